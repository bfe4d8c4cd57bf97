"""`lakewarden compact` as a user has it."""

import lakewarden


def test_an_empty_lake_has_nothing_to_merge_and_says_so(cli, tmp_path):
    lakewarden.init(tmp_path / "lake")
    ran = cli("compact", "--lake", tmp_path / "lake", "--json")
    assert ran.code == 0
    assert (ran.data["moved"], ran.data["files_before"], ran.data["files_after"]) == (0, 0, 0)
    assert len(ran.data["tables"]) == len(lakewarden.open(tmp_path / "lake").house.tables)
    shown = cli("receipts", "show", ran.data["receipt"], "--lake", tmp_path / "lake", "--json").data
    assert shown["kind"] == "lake.compact"


def test_it_is_shown_as_a_table(cli, tmp_path):
    lakewarden.init(tmp_path / "lake")
    ran = cli("compact", "--fan", "2", "--reason", "quiet hours", "--lake", tmp_path / "lake")
    assert ran.code == 0
    assert "ok  compact" in ran.stdout
    assert "transactions_silver" in ran.stdout


def test_it_is_refused_while_a_stream_runs_and_says_why(cli, tmp_path):
    lake = lakewarden.init(tmp_path / "lake")
    with lake.writing("run-other"):
        ran = cli("compact", "--lake", tmp_path / "lake", "--json")
    assert ran.code == 1
    assert ran.data["error"]["kind"] == "LakeBusyError"
    assert ran.data["error"]["transient"] is True


def test_fewer_than_two_files_are_no_merge(cli, tmp_path):
    ran = cli("compact", "--fan", "1", "--lake", tmp_path / "lake")
    assert ran.code == 2
    assert "--fan" in ran.stderr
