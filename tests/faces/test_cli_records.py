"""Incidents, receipts and evidence as a user has them: from what broke to the file for the auditor."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import lakewarden


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    lakewarden.init(tmp_path / "lake")
    return tmp_path / "lake"


@pytest.fixture
def told(cli, lake, tmp_path):
    """Runs a command on the lake; its JSON object."""
    env = {"LAKEWARDEN_LAKE": str(lake), "LAKEWARDEN_ACTOR": "ada"}
    return lambda *arguments: cli(*arguments, "--json", env=env).data


def test_an_incident_from_its_opening_to_its_evidence(told, lake, tmp_path):
    opened = told("incident", "open", "INC-DATA01", "wrong rates", "--dates", "2026-01-05..2026-01-06", "--tables", "risk_scores_gold,x")
    assert (opened["id"], opened["tables"], opened["last_date"]) == ("INC-DATA01-000001", ["risk_scores_gold", "x"], "2026-01-06")
    told("incident", "note", opened["id"], "looked into it", "--owner", "run-ops", "--impact-from", "2026-01-05T08:00:00+01:00")
    (lake / "conf" / "settings.yaml").write_text("band_high: 0.9\n")
    told("release", "create", "--incident", opened["id"], "--reason", "fewer alerts")
    assert told("incident", "list", "--open")["rows"] == 1
    closed = told("incident", "close", opened["id"], "--cause", "an old file", "--remediation", "a new one", "--impact-to", "2026-01-06")
    assert (closed["state"], closed["impact_from"]) == ("closed", "2026-01-05T07:00:00+00:00")
    assert told("incident", "list", "--open")["rows"] == 0
    shown = told("incident", "show", opened["id"])
    assert [receipt["kind"] for receipt in shown["receipts"]] == ["incident.open", "incident.note", "release.create", "incident.close"]
    packed = told("evidence", opened["id"])
    assert packed["receipts_verified"]
    with zipfile.ZipFile(tmp_path / "INC-DATA01-000001.zip") as archive:
        assert "index.html" in archive.namelist()


def test_receipts_are_verified_with_a_key_that_the_auditor_holds(told, lake, tmp_path):
    told("incident", "open", "INC-S01", "it stands still")
    head = told("receipts", "list")["head"]
    assert told("receipts", "show", 1)["hash"] == head["hash"]
    (key,) = (lake / "_receipts" / "keys").iterdir()
    (tmp_path / "auditor.pem").write_bytes(key.read_bytes())
    held = ("--key", tmp_path / "auditor.pem", "--head", head["hash"])
    assert told("receipts", "verify", *held)["notes"] == []
    (lake / "_receipts" / f"{1:020d}.json").unlink()
    found = told("receipts", "verify", *held)
    assert (found["ok"], [(one["number"], one["kind"]) for one in found["findings"]]) == (False, [(1, "truncated")])


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["incident", "open", "INC-9", "t"], 2, "INC-9"),
        (["incident", "open", "INC-S01", " "], 2, "no title"),
        (["incident", "open", "INC-S01", "t", "--dates", "yesterday"], 2, "yesterday"),
        (["incident", "open", "INC-S01", "t", "--impact-from", "noon"], 2, "noon"),
        (["incident", "open", "INC-S01", "t", "--owner", "nobody"], 2, "nobody"),
        (["incident", "close", "INC-S01-000001"], 2, "cause"),
        (["incident", "show", "INC-S01-000001"], 1, "INC-S01-000001"),
        (["evidence", "INC-S01-000001"], 1, "INC-S01-000001"),
        (["receipts", "show", "9"], 1, "receipt 9"),
        (["receipts", "verify", "--head", "abc"], 2, "abc"),
        (["receipts", "verify", "--key", "no-such.pem"], 1, "no-such.pem"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_a_clear_error(face, lake, arguments, code, named):
    ran = face(*arguments, "--lake", lake, "--json")
    assert ran.code == code
    assert named in ran.data["error"]["what"]
    assert ran.data["error"]["next"]


def test_people_get_words_and_tables(face, lake):
    env = {"LAKEWARDEN_LAKE": str(lake)}
    assert face("incident", "open", "INC-S01", "it stands still", env=env).code == 0
    for arguments in (["incident", "list"], ["incident", "show", "INC-S01-000001"], ["receipts", "list"], ["receipts", "verify"]):
        ran = face(*arguments, env=env)
        assert ran.code == 0, ran.stderr
        assert "it stands still" in ran.stdout or arguments[0] == "receipts"
        assert "{" not in ran.stdout
