"""A release in memory and events that meet each other: few accounts, few ids, close times."""

from __future__ import annotations

import datetime as dt
import json
from importlib import resources

import polars as pl
import pytest
from hypothesis import HealthCheck, settings

from lakewarden.contracts import compiler
from lakewarden.flow.release import Release
from lakewarden.rules import compliance, quality, references
from lakewarden.settings import FlowSettings

settings.register_profile("promises", max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("promises")


@pytest.fixture(scope="session")
def release() -> Release:
    conf = resources.files("lakewarden") / "conf"
    kyc = pl.DataFrame(
        {
            "account_id": ["A0", "A1", "A2"],
            "customer_risk": ["LOW", "MEDIUM", "HIGH"],
            "opened_date": [dt.date(2020, 1, 1), dt.date(2025, 12, 1), None],
        }
    )
    limits = pl.DataFrame({"account_id": ["A0", "A1"], "single_limit_minor": [50_000, 90_000], "daily_limit_minor": [90_000, 200_000]})
    hits = pl.DataFrame({"kind": ["counterparty"], "id": ["X1"], "entry_id": ["W1"], "score": [0.97]})
    tables = references.defaults().with_table("kyc", kyc).with_table("limits", limits).with_table("watchlist_hits", hits)
    return Release(
        id="r-test",
        contract=compiler.compile_contract(compiler.load(2)),
        dq_rules=quality.load_rules((conf / "dq_rules.yaml").read_text()),
        compliance_rules=compliance.load_rules((conf / "compliance_rules.yaml").read_text()),
        references=tables,
        settings=FlowSettings(),
        model=None,
        features_version="1",
        code_version="test",
    )


def body(event: dict[str, object]) -> bytes:
    return json.dumps({k: v for k, v in event.items() if v is not None}, separators=(",", ":")).encode()
