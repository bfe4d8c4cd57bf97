"""Incidents on SQLite and on PostgreSQL: the same trouble opens one, once, whoever sees it at the same time."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from lakewarden.audit.database import VARIABLE, connect, database_url
from lakewarden.audit.incident import CODES, Impact
from lakewarden.audit.incidents import Incidents
from lakewarden.errors import ConfigurationError, LakeError, StorageError, UsageError

NOW = dt.datetime(2026, 1, 6, 9, 30, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=2)
GAP = ("INC-S01", "gap in topic t", "Events 5 to 9 are gone", {"lost": 5}, "run-1")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'records' / 'records.db'}"


@pytest.fixture
def incidents(url) -> Incidents:
    return Incidents(connect(url), {"INC-S01": "run-ops"}.get)


def test_a_first_sighting_opens_an_incident_with_what_is_usual_for_its_code(incidents):
    found = incidents.open_once(*GAP, NOW, impact=Impact(tables=("b", "a"), first_date=dt.date(2026, 1, 5)))
    assert (found.id, found.state, found.severity, found.owner) == ("INC-S01-000001", "open", "high", "run-ops")
    assert (found.opened_time, found.opened_by, found.seen_count) == ("2026-01-06T09:30:00+00:00", "lakewarden", 1)
    assert (found.tables, found.first_date, found.last_date) == (("a", "b"), "2026-01-05", None)
    assert incidents.get(found.id) == found
    assert incidents.list() == [found]


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_the_runbook_can_be_opened(incidents, code):
    assert incidents.open_once(code, "s", "t", {}, None, NOW).id == f"{code}-000001"


def test_a_second_sighting_is_noted_on_the_first(incidents):
    first = incidents.open_once(*GAP, NOW, impact=Impact(tables=("a",)))
    again = incidents.open_once("INC-S01", "gap in topic t", "Events 5 to 11 are gone", {"lost": 7}, "run-2", LATER)
    assert (again.id, again.seen_count, again.seen_time) == (first.id, 2, "2026-01-06T11:30:00+00:00")
    assert (again.title, again.detail, again.run_id, again.tables) == ("Events 5 to 11 are gone", {"lost": 7}, "run-1", ("a",))
    assert len(incidents.list()) == 1


def test_what_is_seen_again_after_closing_is_a_new_incident_that_refers_to_the_old_one(incidents):
    first = incidents.open_once(*GAP, NOW)
    incidents.close(first.id, "retention", "raised", "ada", NOW)
    again = incidents.open_once(*GAP, LATER)
    assert (again.id, again.follows, again.state) == ("INC-S01-000002", first.id, "open")
    assert incidents.open_once(*GAP, LATER).id == again.id
    incidents.close(again.id, "retention", "raised more", "ada", LATER)
    assert incidents.open_once(*GAP, LATER).follows == again.id
    assert [one.follows for one in incidents.list()] == [again.id, first.id, None]


def test_closing_needs_cause_and_remediation_and_names_what_is_missing(incidents):
    found = incidents.open_once(*GAP, NOW)
    for cause, remediation, missing in (("", "done", "--cause"), ("it was so", "  ", "--remediation")):
        with pytest.raises(UsageError) as refused:
            incidents.close(found.id, cause, remediation, "ada", NOW)
        assert missing[2:] in refused.value.what
        assert missing in refused.value.next
    assert incidents.get(found.id).state == "open"


def test_closing_keeps_who_when_why(incidents):
    found = incidents.open_once(*GAP, NOW)
    closed = incidents.close(found.id, " retention ", "raised", "ada", LATER, impact=Impact(since=NOW, until=LATER))
    assert (closed.state, closed.cause, closed.remediation) == ("closed", "retention", "raised")
    assert (closed.closed_by, closed.closed_time) == ("ada", "2026-01-06T11:30:00+00:00")
    assert (closed.impact_from, closed.impact_to) == ("2026-01-06T09:30:00+00:00", "2026-01-06T11:30:00+00:00")
    assert incidents.close(found.id, "retention", "raised", "bob", LATER) == closed  # the same once more, after a crash
    with pytest.raises(LakeError, match="closed already, by ada"):
        incidents.close(found.id, "another cause", "raised", "bob", LATER)


def test_notes_have_author_and_time_and_can_hand_over(incidents):
    found = incidents.open_once(*GAP, NOW)
    incidents.note(found.id, "the broker was restarted", "ada", NOW)
    noted = incidents.note(found.id, "over to you", "ada", LATER, owner="tech-owner", severity="low", impact=Impact(tables=("x",)))
    assert [(note.author, note.time, note.text) for note in noted.notes] == [
        ("ada", "2026-01-06T09:30:00+00:00", "the broker was restarted"),
        ("ada", "2026-01-06T11:30:00+00:00", "over to you"),
    ]
    assert (noted.owner, noted.severity, noted.tables) == ("tech-owner", "low", ("x",))
    incidents.close(found.id, "c", "r", "ada", LATER)
    assert len(incidents.note(found.id, "looked at once more", "bob", LATER).notes) == 3
    with pytest.raises(UsageError, match="empty"):
        incidents.note(found.id, " ", "ada", NOW)


def test_the_list_can_be_narrowed(incidents):
    gap = incidents.open_once(*GAP, NOW)
    model = incidents.open_once("INC-ML01", "drift", "drift", {}, None, NOW)
    incidents.close(gap.id, "c", "r", "ada", NOW)
    assert [one.id for one in incidents.list()] == [model.id, gap.id]
    assert [one.id for one in incidents.list(open_only=True)] == [model.id]
    assert [one.id for one in incidents.list(code="INC-S01")] == [gap.id]
    assert incidents.list(open_only=True, code="INC-S01") == []


@pytest.mark.parametrize("id", ["INC-S01-000002", "INC-ML01-000001", "INC-S01-1", "1", "", "INC-S01-00000199999999999999", "x'; --"])
def test_an_id_that_is_none_is_an_error(incidents, id):
    incidents.open_once(*GAP, NOW)
    for act in (
        lambda: incidents.get(id),
        lambda: incidents.note(id, "n", "ada", NOW),
        lambda: incidents.close(id, "c", "r", "ada", NOW),
    ):
        with pytest.raises(LakeError, match="no incident"):
            act()
    assert incidents.get("INC-S01-000001").state == "open"


def test_what_is_no_code_severity_or_span_is_refused(incidents):
    with pytest.raises(UsageError, match="INC-X"):
        incidents.open_once("INC-X", "s", "t", {}, None, NOW)
    with pytest.raises(UsageError, match="terrible"):
        incidents.open_once("INC-S01", "s", "t", {}, None, NOW, severity="terrible")
    with pytest.raises(UsageError, match="before it begins"):
        incidents.open_once("INC-S01", "s", "t", {}, None, NOW, impact=Impact(since=LATER, until=NOW))
    with pytest.raises(UsageError, match="code"):
        incidents.list(code="S01")
    assert incidents.list() == []


def test_long_subjects_are_the_same_for_the_same_trouble(incidents):
    for _ in range(2):
        incidents.open_once("INC-S01", "x" * 2000, "t" * 5000, {}, None, NOW)
    assert [one.seen_count for one in incidents.list()] == [2]


def test_many_who_see_the_same_at_once_open_one(url):
    def see(_: int) -> str:
        return Incidents(connect(url)).open_once(*GAP, NOW).id

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(see, range(32))) == {"INC-S01-000001"}
    assert Incidents(connect(url)).get("INC-S01-000001").seen_count == 32


SEEING = """
import datetime as dt, sys
from lakewarden.audit.database import connect
from lakewarden.audit.incidents import Incidents
incidents = Incidents(connect(sys.argv[1]))
now = dt.datetime(2026, 1, 6, tzinfo=dt.UTC)
for n in range(20):
    found = incidents.open_once("INC-S01", f"subject {n % 4}", "t", {}, None, now)
    incidents.note(found.id, "seen", sys.argv[2], now)
    if n % 5 == 4:
        try:
            incidents.close(found.id, "c", f"r {sys.argv[2]} {n}", "ada", now)
        except Exception as error:
            if "closed already" not in str(error):
                raise
"""


def test_processes_that_open_note_and_close_at_once_lose_nothing(url):
    workers = [subprocess.Popen([sys.executable, "-c", SEEING, url, name]) for name in ("a", "b")]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    incidents = Incidents(connect(url))
    found = [incidents.get(one.id) for one in incidents.list()]
    assert sum(one.seen_count for one in found) == 40
    assert sum(len(one.notes) for one in found) == 40
    assert len([one for one in found if one.state == "open"]) <= 4
    assert all(one.follows is not None for one in found[: -4 or None])


def test_records_are_kept_where_the_variable_says_else_in_the_lake(store, monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert database_url(store) == f"sqlite:///{store.root}/_records/records.db"
    monkeypatch.setenv(VARIABLE, "sqlite:////elsewhere/r.db")
    assert database_url(store) == "sqlite:////elsewhere/r.db"


@pytest.mark.parametrize("address", ["nonsense", "nosuch://u:hunter2@h/d", "postgresql+nosuch://u:hunter2@h/d"])
def test_an_address_that_names_no_database_is_an_error_that_keeps_the_password(address):
    with pytest.raises(ConfigurationError) as refused:
        connect(address)
    assert VARIABLE in refused.value.what
    assert "hunter2" not in str(refused.value)


def test_a_database_that_cannot_be_reached_is_a_passing_error_that_keeps_the_password(tmp_path):
    pytest.importorskip("psycopg", reason="psycopg isn't installed")
    with pytest.raises(StorageError) as refused:
        connect(f"postgresql+psycopg://u:hunter2@/d?host={tmp_path}")
    assert "hunter2" not in str(refused.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="operational records"):
        connect(f"sqlite:///{tmp_path / 'file' / 'r.db'}")


def test_a_table_of_another_form_is_an_error_and_no_traceback(url):
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE incidents DROP COLUMN title"))
    incidents = Incidents(engine)
    for act in (incidents.list, lambda: incidents.open_once(*GAP, NOW)):
        with pytest.raises(StorageError, match="operational records"):
            act()
