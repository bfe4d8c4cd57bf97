"""Whatever the rows: an explanation sums to the log-odds of the score that is stored, and no cut of the rows changes anything."""

import dataclasses
import itertools
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.flow.release import Release
from lakewarden.flow.score import score
from lakewarden.rules.compliance import default_rules, load_rules
from lakewarden.rules.references import defaults
from lakewarden.settings import FlowSettings
from lakewarden.tables import LINEAGE, SILVER
from makers import models

RULES = load_rules(default_rules())
SCHEMA = {name: dtype for name, dtype in SILVER.columns.items() if name not in LINEAGE}
MODELS = {
    "scorecard": None,
    "classifier": models.model(),
    "steep": dataclasses.replace(models.model(), calibration=(40.0, 3.0)),
    "no labels": models.model(labels=False),
}

counts = st.none() | st.integers(0, 500)
ratios = st.none() | st.floats(0, 1e6)
silver_rows = st.fixed_dictionaries(
    {
        "amount_base_minor": st.none() | st.integers(0, 10**13),
        "amount_minor": st.integers(0, 10**13),
        "a_count_1h": counts,
        "a_count_24h": counts,
        "a_near_threshold_24h": counts,
        "a_near_threshold_7d": counts,
        "a_sum_24h": st.none() | st.integers(0, 10**15),
        "limit_daily_minor": st.none() | st.integers(0, 10**9),
        "in_sum_24h": st.none() | st.integers(0, 10**15),
        "a_ratio_mean_30d": ratios,
        "a_zscore_30d": st.none() | st.floats(-1e6, 1e6),
        "a_since_last_s": ratios,
        "a_new_country": st.none() | st.booleans(),
        "country_risk": st.none() | st.integers(0, 2),
        "watchlist_score": st.none() | st.floats(0, 1),
        "event_type": st.sampled_from([None, "PAYMENT", "TRANSFER"]),
    }
)


@pytest.mark.parametrize("kind", MODELS)
@given(rows=st.lists(silver_rows, min_size=1, max_size=12), top=st.integers(1, 64), cut=st.integers(0, 12))
def test_explanations_sum_and_cuts_change_nothing(kind: str, rows, top: int, cut: int) -> None:
    frame = pl.DataFrame(rows, schema_overrides={k: v for k, v in SCHEMA.items() if k in rows[0]})
    frame = frame.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in SCHEMA.items() if name not in frame.columns)
    release = Release("r", None, (), RULES, defaults(), FlowSettings(explain_top=top), MODELS[kind], "1", "c")
    scored = score(frame, release)
    for row in scored.iter_rows(named=True):
        assert 0 < row["risk_score"] < 1
        assert (row["explanations"] is None) == (row["risk_band"] == "LOW")
        if row["explanations"] is not None:
            total = math.fsum(part["contribution"] for part in row["explanations"])
            assert abs(total - math.log(row["risk_score"] / (1 - row["risk_score"]))) < 1e-4
            assert len(row["explanations"]) <= max(top, len(RULES)) + 2
    ends = sorted({0, min(cut, frame.height), frame.height})
    parts = pl.concat([score(frame[a:b], release) for a, b in itertools.pairwise(ends)])
    assert parts.equals(scored)
