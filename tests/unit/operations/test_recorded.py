"""Acts on a lake leave receipts, and incidents know them."""

from __future__ import annotations

import json

import pytest

import lakewarden
from lakewarden.audit.receipts import Act, all_receipts
from lakewarden.errors import ConfigurationError, LakeError, UsageError
from lakewarden.operations import acts


@pytest.fixture(autouse=True)
def actor(monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEWARDEN_ACTOR", "ada")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def events(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text("{}\n")
    return tmp_path / "in"


def kinds(lake) -> list[str]:
    return [receipt.kind for receipt in all_receipts(lake.house.store)]


def change(lake, band: float) -> None:
    path = lake.house.store.local / "conf" / "settings.yaml"
    path.write_text("\n".join(f"band_high: {band}" if line.startswith("band_high") else line for line in path.read_text().splitlines()))


def test_making_a_lake_leaves_the_first_receipt_and_opening_it_none(empty):
    (receipt,) = all_receipts(empty.house.store)
    assert (receipt.kind, receipt.actor, receipt.releases) == ("lake.init", "ada", [empty.init_report.data["id"]])
    lakewarden.init(empty.house.store.root)
    assert kinds(empty) == ["lake.init"]


def test_a_release_leaves_a_receipt_with_reason_and_what_was_before(empty):
    before = empty.init_report.data["id"]
    change(empty, 0.9)
    made = empty.release_create(reason="fewer alerts")
    receipt = all_receipts(empty.house.store)[made.receipt]
    assert (receipt.kind, receipt.reason, receipt.releases) == ("release.create", "fewer alerts", [made.id])
    assert receipt.outcome == {"release": made.id, "release_before": before, "new": True}


def test_the_same_release_again_leaves_no_second_receipt_and_going_back_does(empty):
    change(empty, 0.9)
    first = empty.release_create()
    assert empty.release_create(reason="again").receipt == first.receipt
    change(empty, 0.8)
    assert empty.release_create().id == empty.init_report.data["id"]
    change(empty, 0.9)
    assert empty.release_create().id == first.id
    assert kinds(empty) == ["lake.init", *["release.create"] * 3]


def test_a_crash_between_a_release_and_its_receipt_is_made_good_by_the_next_look(empty, monkeypatch):
    change(empty, 0.9)
    with monkeypatch.context() as crashed:
        crashed.setattr(acts, "released", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            empty.release_create()
    assert kinds(empty) == ["lake.init"]
    made = empty.release_create()
    assert (made.new, made.receipt) == (False, 1)


def test_an_act_without_a_key_to_sign_with_is_not_begun(empty, monkeypatch):
    monkeypatch.setenv("LAKEWARDEN_SIGNING_KEY", "env:NO_SUCH_KEY")
    lake = lakewarden.open(empty.house.store.root)
    change(lake, 0.9)
    for act in (lake.release_create, lambda: lake.incident_open("INC-S01", "t"), lambda: lake.reference_import("x.csv")):
        with pytest.raises(ConfigurationError, match="NO_SUCH_KEY"):
            act()
    assert lake.releases().to_dict()["rows"] == 1
    assert lake.incidents().data["rows"] == 0


def test_reference_data_leaves_a_receipt_each_time(empty, tmp_path):
    (tmp_path / "limits.csv").write_text("account_id,single_limit_minor\nA1,5\n")
    incident = empty.incident_open("INC-DQ01", "limits are old").data["id"]
    report = empty.reference_import(tmp_path / "limits.csv", reason="new limits", incident=incident)
    receipt = all_receipts(empty.house.store)[report.data["receipt"]]
    assert (receipt.kind, receipt.incident, receipt.reason) == ("reference.import", incident, "new limits")
    assert receipt.counts == {"limits": 1}
    assert receipt.releases == [report.data["id"]]
    again = empty.reference_import(tmp_path / "limits.csv")
    assert (again.data["new"], again.data["receipt"]) == (False, 3)
    assert empty.release_create().receipt == 2


def test_training_leaves_a_receipt_with_the_tables_that_it_wrote(lake, simulated):
    report = lake.train(simulated / "labels" / "labels.csv", source=simulated, reason="first model")
    receipt = all_receipts(lake.house.store)[report.receipt]
    assert (receipt.kind, receipt.releases, receipt.outcome["version"]) == ("model.train", [report.release_id], report.version)
    assert receipt.counts["rows"] == report.rows
    assert {name: moved["after"] - moved["before"] for name, moved in receipt.tables.items()} == {"labels": 1, "ml_features_training": 1}
    assert len(receipt.hash_totals["model"]) == 64


def test_an_act_for_an_incident_that_is_not_there_is_not_begun(empty):
    change(empty, 0.9)
    with pytest.raises(LakeError, match="no incident"):
        empty.release_create(incident="INC-S01-000009")
    assert empty.releases().to_dict()["rows"] == 1


def test_an_incident_s_way_is_in_its_receipts(empty):
    opened = empty.incident_open("INC-ML01", "too many alerts", severity="low", owner="run-ops", reason="seen on the desk").data
    change(empty, 0.9)
    empty.release_create(incident=opened["id"])
    empty.incident_note(opened["id"], "raised the band")
    empty.incident_close(opened["id"], "a new merchant", "raised the band")
    empty.incident_close(opened["id"], "a new merchant", "raised the band")
    shown = empty.incident_show(opened["id"]).data
    assert (shown["state"], shown["owner"], shown["contact"]["role"]) == ("closed", "run-ops", "DataOps / SRE team")
    assert [receipt["kind"] for receipt in shown["receipts"]] == ["incident.open", "release.create", "incident.note", "incident.close"]
    assert shown["receipts"][0]["reason"] == "seen on the desk"
    assert [note["author"] for note in shown["notes"]] == ["ada"]
    assert empty.receipts(incident=opened["id"]).data["rows"] == 4
    assert empty.receipts(kind="incident").data["rows"] == 3
    assert empty.receipts(kind="inc").data["rows"] == 0
    assert json.dumps(shown)


def test_an_incident_opened_twice_by_hand_is_one(empty):
    first = empty.incident_open("INC-ML01", "too many alerts").data
    again = empty.incident_open("INC-ML01", "too many alerts").data
    assert (again["id"], again["seen_count"]) == (first["id"], 2)
    assert empty.incident_open("INC-S01", "too many alerts").data["id"] != first["id"]


def test_roles_are_those_of_the_lake_s_contacts(empty):
    path = empty.house.store.local / "conf" / "contacts.yaml"
    path.write_text("contacts: {night: {role: Night shift, reach: '#night'}}\nincidents: {INC-S01: night}\n")
    opened = empty.incident_open("INC-S01", "t").data
    assert empty.incident_show(opened["id"]).data["contact"] == {"role": "Night shift", "name": "", "reach": "#night"}
    with pytest.raises(UsageError, match="run-ops"):
        empty.incident_open("INC-S01", "u", owner="run-ops")
    before = empty.releases().to_dict()["rows"]
    empty.release_create()
    assert empty.releases().to_dict()["rows"] == before  # contacts belong to no release


@pytest.mark.parametrize("text", ["contacts: {a: {}}", "[", "contacts: {a: {role: r}}\nincidents: {INC-S01: b}", "\xff", "x: 1"])
def test_contacts_that_cannot_be_read_hold_no_incident_up(empty, text):
    (empty.house.store.local / "conf" / "contacts.yaml").write_bytes(text.encode("latin-1"))
    opened = empty.incident_open("INC-S01", "t").data
    assert opened["owner"] is None
    assert empty.incident_show(opened["id"]).data["contact"] is None
    with pytest.raises(ConfigurationError, match=r"contacts\.yaml"):
        empty.incident_note(opened["id"], "n", owner="run-ops")


def test_receipts_are_listed_shown_and_verified(empty, tmp_path):
    receipt = empty.record(Act("pin.release", id="p", reason="no longer needed"))
    listed = empty.receipts().data
    assert (listed["head"], listed["rows"]) == ({"number": 1, "hash": receipt.hash}, 2)
    assert empty.receipt_show(1).data["reason"] == "no longer needed"
    with pytest.raises(LakeError, match="no receipt 7"):
        empty.receipt_show(7)
    (key,) = (empty.house.store.local / "_receipts" / "keys").iterdir()
    held = key.rename(tmp_path / "auditor.pem")
    assert empty.receipts_verify([held], receipt.hash).to_dict()["notes"] == []
    assert {finding.kind for finding in empty.receipts_verify().findings} == {"forged"}


def test_a_damaged_receipt_is_listed_as_such_and_named(empty):
    empty.record(Act("pin.release"))
    empty.house.store.put("_receipts/00000000000000000000.json", b"x")
    assert [row["kind"] for row in empty.receipts().data["receipts"]] == ["pin.release", "damaged"]
    assert [(finding.number, finding.kind) for finding in empty.receipts_verify().findings] == [(0, "edited")]
    with pytest.raises(LakeError, match="Receipt 0 is damaged"):
        empty.receipt_show(0)


def test_a_release_that_a_stream_takes_up_leaves_a_receipt(empty, events):
    change(empty, 0.9)
    report = empty.stream(events, once=True)
    receipt = all_receipts(empty.house.store)[-1]
    assert report.ok
    assert report.warnings == ()
    assert (receipt.kind, receipt.outcome["new"]) == ("release.create", True)
    assert "stream" in receipt.reason
    assert empty.release_create().receipt == receipt.number


def test_a_stream_without_a_key_goes_on_and_says_so(empty, events, monkeypatch):
    change(empty, 0.9)
    monkeypatch.setenv("LAKEWARDEN_SIGNING_KEY", "env:NO_SUCH_KEY")
    report = lakewarden.open(empty.house.store.root).stream(events, once=True)
    assert report.ok
    assert "NO_SUCH_KEY" in report.warnings[0]
