"""The evidence of an incident: one file that holds what it says, the same bytes for the same lake and time."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zipfile
from html.parser import HTMLParser

import pytest

from lakewarden.audit.incident import Impact
from lakewarden.errors import LakeError, StorageError
from lakewarden.operations import evidence

DAY = dt.date(2026, 1, 5)


@pytest.fixture(autouse=True)
def state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def opened(lake) -> str:
    lake.conserve(DAY)
    impact = Impact(tables=("risk_scores_gold",), first_date=DAY, last_date=DAY)
    found = lake.incident_open("INC-DATA01", 'wrong rates <b>&"', impact=impact).data["id"]
    lake.incident_note(found, "<script>alert(1)</script>")
    lake.incident_close(found, "an old file", "a new file")
    return found


def unpacked(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_holds_the_record_the_receipts_the_statements_and_the_runs(lake, opened, tmp_path):
    report = lake.evidence(opened, tmp_path / "e.zip").data
    files = unpacked(tmp_path / "e.zip")
    assert sorted(files) == report["files"]
    assert hashlib.sha256((tmp_path / "e.zip").read_bytes()).hexdigest() == report["sha256"]
    incident = json.loads(files["incident.json"])
    assert (incident["cause"], incident["notes"][0]["text"]) == ("an old file", "<script>alert(1)</script>")
    store = lake.house.store
    linked = lake.receipts(incident=opened).data["receipts"]
    assert len(linked) == report["receipts"] == 3
    for receipt in linked:
        name = f"receipts/{receipt['number']:020d}.json"
        assert files[name] == store.get(f"_{name}")
    assert json.loads(files["receipts/verification.json"])["ok"]
    assert [name for name in files if name.startswith("receipts/keys/")]
    (statement,) = [name for name in files if name.startswith("conservation/")]
    assert json.loads(files[statement])["date"] == "2026-01-05"
    runs = files["runs/runs.csv"].decode().splitlines()
    assert len(runs) - 1 == json.loads(files["runs/summary.json"])["micro_batches"] == report["runs"] > 0
    assert json.loads(files["published_point.json"])["versions"]["risk_scores_gold"] > 0


def test_its_sums_are_those_of_its_files(lake, opened, tmp_path):
    lake.evidence(opened, tmp_path / "e.zip")
    files = unpacked(tmp_path / "e.zip")
    sums = dict(reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def test_the_same_lake_at_the_same_time_gives_the_same_bytes(lake, opened, tmp_path):
    incident, packed = lake._incidents().get(opened), []
    for name, second in (("a", 0), ("b", 0), ("c", 1)):
        now = dt.datetime(2026, 1, 7, 8, 0, second, tzinfo=dt.UTC)
        evidence.pack(lake.house, incident, [], tmp_path / name, now)
        packed.append((tmp_path / name).read_bytes())
    assert packed[0] == packed[1] != packed[2]


class Page(HTMLParser):
    """Counts what a browser would fetch or run, and checks that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.active: list[str] = []
        self.words = ""

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "img", "link", "iframe", "object") or {"src", "href", "onclick"} & dict(attributes).keys():
            self.active.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_the_page_needs_nothing_runs_nothing_and_tells_it_all(lake, opened, tmp_path):
    lake.evidence(opened, tmp_path / "e.zip")
    page = Page()
    page.feed(unpacked(tmp_path / "e.zip")["index.html"].decode())
    assert (page.open, page.active) == ([], [])
    for words in (
        opened,
        'wrong rates <b>&"',
        "<script>alert(1)</script>",
        "an old file",
        "whole",
        "holds",
        "incident.close",
        "risk_scores_gold",
    ):
        assert words in page.words


def test_a_broken_chain_is_packed_and_told(lake, opened, tmp_path):
    lake.house.store.put("_receipts/00000000000000000000.json", b"x")
    report = lake.evidence(opened, tmp_path / "e.zip")
    assert (report.ok, report.data["receipts_verified"]) == (False, False)
    assert b"not whole" in unpacked(tmp_path / "e.zip")["index.html"]


@pytest.mark.parametrize(
    ("impact", "span"),
    [
        (Impact(first_date=DAY), ("2026-01-05", "2026-01-05")),
        (Impact(since=dt.datetime(2026, 1, 3, tzinfo=dt.UTC), until=dt.datetime(2026, 1, 4, tzinfo=dt.UTC)), ("2026-01-03", "2026-01-04")),
        (Impact(), (dt.datetime.now(dt.UTC).date().isoformat(),) * 2),
    ],
    ids=["dates", "times", "when it was open"],
)
def test_the_dates_are_those_of_the_impact_else_of_the_incident(empty, tmp_path, impact, span):
    found = empty.incident_open("INC-S01", "t", impact=impact).data["id"]
    report = empty.evidence(found, tmp_path / "e.zip").data
    assert (report["from"], report["to"]) == span
    assert (report["statements"], report["runs"]) == (0, 0)


def test_what_cannot_be_packed_or_written_is_an_error(empty, tmp_path):
    with pytest.raises(LakeError, match="no incident"):
        empty.evidence("INC-S01-000001", tmp_path / "e.zip")
    found = empty.incident_open("INC-S01", "t").data["id"]
    with pytest.raises(StorageError, match="written"):
        empty.evidence(found, tmp_path / "no" / "such" / "folder" / "e.zip")
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match="written"):
        empty.evidence(found, tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
