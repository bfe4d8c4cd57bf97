"""A former release comes back whole: nobody composes a mixture, and whoever comes next finishes what was begun."""

from __future__ import annotations

import json

import pytest

from lakewarden.errors import LakeError, StorageError
from lakewarden.lake import releases
from lakewarden.operations import conf, release, restoring
from lakewarden.operations.dates import utc_now


def edit(lake, band: float) -> None:
    path = lake.house.store.local / conf.SETTINGS
    path.write_text("\n".join(f"band_high: {band}" if line.startswith("band_high") else line for line in path.read_text().splitlines()))


@pytest.fixture
def two(empty):
    """The lake's first release, and a second one in force that differs in rules and settings."""
    first = empty.init_report.data["id"]
    rules = empty.house.store.local / conf.DQ_RULES
    rules.write_text("# another\n" + rules.read_text())
    edit(empty, 0.9)
    return empty, first, empty.release_create().id


def test_a_release_that_is_begun_is_finished_by_whoever_composes(two):
    lake, first, second = two
    store = lake.house.store
    restoring.begin(store, "change-1", first)
    assert releases.current_id(store) == second
    made = release.create(store, utc_now())
    assert (made.id, made.new, made.change) == (first, True, "change-1")
    assert restoring.read(store).state == restoring.SETTLED
    assert json.loads(store.get(releases.CURRENT))["change"] == "change-1"
    assert restoring.edits(store, releases.load(store, first)) == {}
    again = release.create(store, utc_now())
    assert (again.new, again.change) == (False, None)


@pytest.mark.parametrize("moment", range(6))
def test_a_restoration_while_conf_is_read_means_to_read_again(two, monkeypatch, moment):
    lake, first, second = two
    store, reads, required = lake.house.store, [], conf.required

    def slowly(of, path):
        reads.append(path)
        if len(reads) == moment + 1:
            monkeypatch.setattr(release, "required", required)
            restoring.begin(store, "change-1", first)
            restoring.finish(store)
        return required(of, path)

    monkeypatch.setattr(release, "required", slowly)
    known = {release_id for release_id, _ in releases.list_ids(store)}
    assert release.create(store, utc_now()).id == (first if len(reads) > moment else second)
    assert {release_id for release_id, _ in releases.list_ids(store)} == known


def test_edits_after_a_restoration_are_not_written_over_and_do_not_belong_to_it(two):
    lake, first, _ = two
    store = lake.house.store
    restoring.begin(store, "change-1", first)
    restoring.finish(store)
    edit(lake, 0.85)
    assert restoring.finish(store).state == restoring.RESTORED
    made = release.create(store, utc_now())
    assert (made.manifest["settings"]["band_high"], made.change) == (0.85, None)
    assert "change" not in json.loads(store.get(releases.CURRENT))


def test_a_watch_takes_a_restoration_up_and_leaves_the_receipt_to_the_change(two):
    lake, first, second = two
    store, clock, made = lake.house.store, iter(range(0, 1000, 2)), []
    watch = release.ReleaseWatch(store, utc_now, lambda: float(next(clock)), lambda error: pytest.fail(str(error)), made.append)
    assert watch.current() == second
    restoring.begin(store, "change-1", first)
    assert watch.current() == first
    assert [one.change for one in made] == ["change-1"]
    lake._receipt_of_release(made[0])
    assert lake.receipts(kind="release").data["rows"] == 1


def test_comments_in_settings_are_no_difference_and_values_are(two):
    lake, _, second = two
    store = lake.house.store
    manifest = releases.load(store, second)
    store.put(conf.SETTINGS, b"# ours\n" + store.get(conf.SETTINGS))
    assert restoring.edits(store, manifest) == {}
    edit(lake, 0.95)
    assert list(restoring.edits(store, manifest)) == [conf.SETTINGS]
    store.put(conf.SETTINGS, b"[not settings")
    assert list(restoring.edits(store, manifest)) == [conf.SETTINGS]


def test_a_damaged_note_is_said_and_changes_nothing(two):
    lake, _, second = two
    store = lake.house.store
    store.put(releases.RESTORING, b"{")
    with pytest.raises(LakeError, match="damaged"):
        release.create(store, utc_now())
    assert releases.current_id(store) == second


def test_restorations_without_end_are_given_up_with_a_word(two, monkeypatch):
    lake, first, _ = two
    numbers = iter(range(1000))
    monkeypatch.setattr(release, "compose", lambda store: restoring.begin(store, f"change-{next(numbers)}", first))
    with pytest.raises(StorageError, match="again and again"):
        release.create(lake.house.store, utc_now())


def test_the_note_is_no_release(two):
    lake, first, _ = two
    restoring.begin(lake.house.store, "change-1", first)
    assert {row["id"] for row in lake.releases().releases} == {first, two[2]}


def test_another_version_of_the_code_finishes_it_for_the_change_too(two, monkeypatch):
    lake, first, _ = two
    store = lake.house.store
    restoring.begin(store, "change-1", first)
    monkeypatch.setattr(release, "code_version", lambda: "0.2.0+new")
    made = release.create(store, utc_now())
    assert (made.change, made.id != first) == ("change-1", True)
    assert restoring.read(store).state == restoring.SETTLED
