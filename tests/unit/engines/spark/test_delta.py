"""Paths of tables as Spark names them."""

from __future__ import annotations

import pytest

from lakewarden.engines.spark.delta import ACCOUNT, address
from lakewarden.errors import ConfigurationError


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/data/lake/transactions_silver", "file:///data/lake/transactions_silver"),
        ("file:///data/lake", "file:///data/lake"),
        ("az://lakes/bank/transactions_silver", "abfss://lakes@bankstore.dfs.core.windows.net/bank/transactions_silver"),
        ("abfss://lakes/bank", "abfss://lakes@bankstore.dfs.core.windows.net/bank"),
        ("abfss://lakes@other.dfs.core.windows.net/bank", "abfss://lakes@other.dfs.core.windows.net/bank"),
    ],
)
def test_a_path_has_an_address_in_spark(monkeypatch, uri, expected):
    monkeypatch.setenv(ACCOUNT, "bankstore")
    assert address(uri) == expected


def test_an_account_that_is_not_named_is_asked_for(monkeypatch):
    monkeypatch.delenv(ACCOUNT, raising=False)
    with pytest.raises(ConfigurationError, match=f"(?s)az://lakes/bank.*export {ACCOUNT}"):
        address("az://lakes/bank")
