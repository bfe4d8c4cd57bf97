"""Runbook section 3, standard incident types: one test for each type and for each thing that is to be logged."""

from __future__ import annotations

import datetime as dt

import pytest

from lakewarden.audit.incident import Impact
from lakewarden.errors import LakewardenError, UsageError

TYPES = ("INC-S01", "INC-B01", "INC-DQ01", "INC-ML01", "INC-DATA01")
DAY = "2026-01-05"


@pytest.mark.parametrize("code", TYPES)
def test_3_each_type_is_opened_under_its_code(lake, code):
    opened = lake.incident_open(code, f"a case of {code}").data
    assert opened["id"].startswith(f"{code}-")
    assert opened["owner"]
    assert [one["id"] for one in lake.incidents(open_only=True, code=code).data["incidents"]] == [opened["id"]]


def test_3_another_type_is_refused(lake):
    with pytest.raises(UsageError, match="INC-X01"):
        lake.incident_open("INC-X01", "no such type")


def test_3_the_incident_has_an_id_and_timestamps(lake):
    opened = lake.incident_open("INC-S01", "the stream stood still").data
    closed = lake.incident_close(opened["id"], "a full disk", "space was made").data
    assert opened["opened_time"] <= opened["seen_time"] <= closed["closed_time"]


def test_3_the_impacted_tables_and_date_ranges_are_logged(lake):
    day = dt.date.fromisoformat(DAY)
    impact = Impact(tables=("risk_scores_gold",), first_date=day, last_date=day)
    opened = lake.incident_open("INC-DATA01", "a bad load", impact=impact).data
    shown = lake.incident_show(opened["id"]).data
    assert (list(shown["tables"]), str(shown["first_date"]), str(shown["last_date"])) == (["risk_scores_gold"], DAY, DAY)


def test_3_it_is_closed_with_root_cause_and_remediation_only(lake):
    opened = lake.incident_open("INC-DQ01", "a schema drifted").data["id"]
    for cause, remediation in (("", "rules were mended"), ("a new field", " ")):
        with pytest.raises(LakewardenError):
            lake.incident_close(opened, cause, remediation)
    closed = lake.incident_close(opened, "a new field", "rules were mended").data
    assert (closed["cause"], closed["remediation"]) == ("a new field", "rules were mended")


def test_3_any_replay_performed_is_linked_to_it(lake):
    incident = lake.incident_open("INC-DATA01", "a bad load").data["id"]
    replay_id = lake.replay_plan(DAY, DAY, reason="a bad load", incident=incident).data["id"]
    lake.replay_run(replay_id)
    lake.replay_validate(replay_id)
    lake.replay_swap(replay_id)
    lake.replay_undo(replay_id, "it was no bad load")
    done = [receipt["kind"] for receipt in lake.incident_show(incident).data["receipts"]]
    assert done == ["incident.open", "replay.plan", "replay.run", "replay.validate", "replay.swap", "replay.undo"]
    assert lake.receipts_verify().ok
