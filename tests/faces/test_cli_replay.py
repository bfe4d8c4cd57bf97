"""`lakewarden replay` as a user has it: exit codes, and errors that name the next command."""

import pytest

import lakewarden

DATES = ("--from", "2026-01-05", "--to", "2026-01-05")


@pytest.fixture
def lake(tmp_path):
    lakewarden.init(tmp_path / "lake")
    return str(tmp_path / "lake")


def test_a_precondition_that_fails_ends_with_one_and_says_what_to_do(cli, lake):
    ran = cli("replay", "plan", *DATES, "--as-recorded", "--reason", "t", "--lake", lake, "--json")
    assert ran.code == 1
    failed = [one for one in ran.data["preconditions"] if not one["ok"]]
    assert [(one["name"], bool(one["next"])) for one in failed] == [("events", True)]
    refused = cli("replay", "run", ran.data["id"], "--lake", lake, "--json")
    assert refused.code == 1
    assert "no events" in refused.data["error"]["what"]


@pytest.mark.parametrize("options", [(), ("--as-recorded", "--release", "r1")])
def test_a_replay_is_under_one_release_or_as_recorded(face, lake, options):
    ran = face("replay", "plan", *DATES, "--reason", "t", *options, "--lake", lake)
    assert ran.code == 2
    assert "next: --release ID or --as-recorded" in ran.stderr


@pytest.mark.parametrize("command", ["run", "validate", "show", "clean"])
def test_an_id_that_is_not_there_is_named(face, lake, command):
    ran = face("replay", command, "replay-000000000000", "--lake", lake)
    assert (ran.code, ran.stdout) == (1, "")
    assert "There is no replay 'replay-000000000000'" in ran.stderr
    assert "next: lakewarden replay list" in ran.stderr


def test_a_lake_without_replays_lists_none(face, lake):
    assert face("replay", "list", "--lake", lake, "--json").data == {"ok": True, "rows": 0, "replays": []}
