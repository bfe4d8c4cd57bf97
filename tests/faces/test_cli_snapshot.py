"""`lakewarden snapshot` as a user has it."""

import lakewarden

DAY = "2026-01-05"


def filled(tmp_path) -> lakewarden.Lake:
    lakewarden.simulate(tmp_path / "sim", seed=4, days=1, customers=100, events_per_day=200, faults="none")
    lake = lakewarden.init(tmp_path / "lake")
    lake.reference_import(tmp_path / "sim" / "reference")
    assert lake.stream(tmp_path / "sim", once=True).ok
    return lake


def test_an_empty_lake_needs_none_and_says_so(face, tmp_path):
    lakewarden.init(tmp_path / "lake")
    taken = face("snapshot", "take", "--lake", tmp_path / "lake", "--json")
    assert (taken.code, taken.data["dates"], taken.data["taken"], taken.data["snapshots"]) == (0, 0, 0, [])
    listed = face("snapshot", "list", "--lake", tmp_path / "lake", "--json")
    assert (listed.code, listed.data["rows"], listed.data["due"]) == (0, 0, [])


def test_from_due_to_taken_to_proved_to_taken_back(face, tmp_path):
    lake = filled(tmp_path)
    where = ("--lake", tmp_path / "lake")
    assert face("snapshot", "list", *where, "--json").data["due"] == [{"date": DAY, "why": "there is none"}]
    taken = face("snapshot", "take", DAY, *where, "--reason", "T+1", "--json")
    assert taken.code == 0
    assert taken.data["rows"] == lake.table("risk_scores_gold").collect().height
    shown = face("snapshot", "list", *where)
    assert (shown.code, f"snapshot-{DAY}-1" in shown.stdout) == (0, True)
    proved = face("snapshot", "verify", *where, "--json")
    assert (proved.code, proved.data["differences"], proved.data["snapshots"][0]["current"]) == (0, 0, True)
    undone = face("snapshot", "undo", DAY, "--reason", "only tried", *where, "--json")
    assert (undone.code, undone.data["taken_back"], undone.data["restored"]) == (0, f"snapshot-{DAY}-1", None)
    assert face("receipts", "show", undone.data["receipt"], *where, "--json").data["reason"] == "only tried"


def test_what_is_not_there_is_said_with_the_next_command(face, tmp_path):
    lakewarden.init(tmp_path / "lake")
    for command in (("take", DAY), ("verify", DAY), ("undo", DAY, "--reason", "x")):
        ran = face("snapshot", *command, "--lake", tmp_path / "lake")
        assert (ran.code, ran.stdout) == (1, ""), command
        assert "next: lakewarden " in ran.stderr
    assert face("snapshot", "take", "--from", DAY, "--lake", tmp_path / "lake").code == 2
    assert face("snapshot", "undo", DAY, "--lake", tmp_path / "lake").code == 2
