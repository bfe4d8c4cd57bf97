"""Creating and opening lakes; the published point."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.lake import lease, pins, published, releases
from lakewarden.lake.lakehouse import MARKER, Lakehouse
from lakewarden.lake.store import Store
from lakewarden.tables import TABLES

NOW = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Lakehouse:
    return Lakehouse.create(tmp_path_factory.mktemp("lake"), NOW)


def test_a_new_lake_has_every_table_empty(house):
    for name, spec in TABLES.items():
        assert house.table(name).collect_schema().names() == list(spec.columns)
        assert house.table(name).collect().height == 0


def test_creating_again_changes_nothing(house):
    before = house.published()
    assert Lakehouse.create(house.store.root, NOW).published() == before


def test_a_missing_lake_names_the_next_command(tmp_path):
    with pytest.raises(LakeError) as caught:
        Lakehouse.open(tmp_path / "nothing")
    assert "lakewarden init" in caught.value.next


@pytest.mark.parametrize(("marker", "says"), [(b'{"format": 99}', "format 99"), (b"{", "damaged"), (b"[]", "damaged")])
def test_a_lake_of_another_version_is_refused(tmp_path, marker, says):
    Store(tmp_path, create=True).put(MARKER, marker)
    with pytest.raises(LakeError, match=says):
        Lakehouse.open(tmp_path)


def test_an_unknown_table_lists_those_there_are(house):
    with pytest.raises(LakeError) as caught:
        house.table("nonsense")
    assert "risk_scores_gold" in caught.value.state


def test_the_point_moves_on_and_keeps_its_versions(house):
    before = house.published()
    after = house.publish(before.batch, NOW)
    assert (after.point, after.versions) == (before.point + 1, before.versions)
    assert published.read(house.store) == after


def test_what_is_announced_stays_until_it_is_taken_back_or_settled(house):
    before = house.published()
    house.announce("one", "dates are under replay", NOW)
    told = house.announce("two", "so are these", NOW)
    assert (told.point, told.versions, told.batch) == (before.point + 2, before.versions, before.batch)
    assert house.publish(before.batch, NOW).notice == "dates are under replay so are these"
    assert house.announce("one", None, NOW).notice == "so are these"
    assert house.publish(before.batch, NOW, order=3, settled="two").notice == ""
    assert house.publish(before.batch, NOW).order == 3


def test_a_second_stream_is_refused_and_told_who_holds_the_lake(house):
    assert lease.holder(house.store) is None
    with lease.Lease(house.store, "run-1", "2026-01-05"):
        with pytest.raises(LakeBusyError, match="run-1"), lease.Lease(house.store, "run-2", "2026-01-05"):
            pass
        held = lease.holder(house.store)
        assert held is not None
        assert held["run_id"] == "run-1"
    assert lease.holder(house.store) is None
    with lease.Lease(house.store, "run-3", "2026-01-05"):
        pass


def test_an_unknown_pin_is_an_error(house):
    with pytest.raises(LakeError, match="no pin"):
        pins.release(house.store, "pin-nothing")


def manifest(**changed) -> releases.Manifest:
    fields = {
        "contract": "c",
        "dq_rules": "d",
        "compliance_rules": "r",
        "references": {"fx": "f"},
        "settings": {"band_high": 0.8},
        "model": releases.ModelRef("m", "1", "run", "sha"),
        "features_version": "1",
        "code_version": "0",
    }
    return releases.Manifest(**{**fields, **changed})


def test_a_release_is_named_by_its_content(house):
    one = manifest()
    assert releases.Manifest.from_json(one.to_json()) == one
    assert manifest().id == one.id
    assert manifest(settings={"band_high": 0.9}).id != one.id
    assert releases.load(house.store, releases.save(house.store, one)) == one


def test_an_edited_release_is_found_out(house):
    release_id = releases.save(house.store, manifest(code_version="1"))
    path = f"_releases/{release_id}.json"
    fields = json.loads(house.store.get(path))
    house.store.put(path, json.dumps({**fields, "settings": {"band_high": 0.1}}).encode())
    with pytest.raises(LakeError, match="was changed"):
        releases.load(house.store, release_id)


def test_an_edited_blob_is_found_out(house):
    digest = releases.put_blob(house.store, b"rules")
    assert releases.get_blob(house.store, digest) == b"rules"
    house.store.put(f"_blobs/{digest}", b"other rules")
    with pytest.raises(LakeError, match="was changed"):
        releases.get_blob(house.store, digest)
