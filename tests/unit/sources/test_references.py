"""Secrets are named, never written down."""

from __future__ import annotations

import pytest

from lakewarden.errors import ConfigurationError
from lakewarden.sources.references import resolve


def test_a_variable_and_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_SECRET", " text \n")
    (tmp_path / "secret").write_text("in a file\n")
    assert (resolve("env:SOME_SECRET"), resolve(f"file:{tmp_path / 'secret'}")) == ("text", "in a file")


@pytest.mark.parametrize(
    "reference", ["env:", "env:NOT_SET_ANYWHERE", "file:/nowhere/at/all", "keyvault:onlyvault", "plain-secret", "vault:x"]
)
def test_what_names_nothing_is_refused(reference):
    with pytest.raises(ConfigurationError) as refused:
        resolve(reference)
    assert refused.value.next
    assert "plain-secret" not in str(refused.value)
