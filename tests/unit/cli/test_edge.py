"""Errors become words: what, state, next, kind, and the exit code."""

import errno
import json
import os
import re
import stat
from pathlib import Path

import pytest

from lakewarden.cli.edge import INTERRUPTED, NOT_OK, USAGE, explain, interrupted, tell
from lakewarden.errors import LakeBusyError, ModelError, UsageError


def test_our_own_errors_keep_their_words():
    failure = explain(ModelError("model 3 wants feature a_x", state="no release was made", next="lakewarden train"))
    assert (failure.what, failure.state, failure.next) == ("model 3 wants feature a_x", "no release was made", "lakewarden train")
    assert (failure.kind, failure.transient, failure.code) == ("ModelError", False, NOT_OK)


def test_an_error_that_may_pass_says_so():
    assert explain(LakeBusyError("held by process 12 on host a")).transient


def test_a_usage_error_has_its_own_exit_code():
    assert explain(UsageError("--source and --from can't go together")).code == USAGE


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.ENOSPC, "free some space"), (errno.EACCES, "who owns"), (errno.EROFS, "be written to")]
)
def test_the_storage_s_refusals_are_no_internal_errors(number: int, advice: str):
    failure = explain(OSError(number, os.strerror(number), "/data/lake/x.parquet"))
    assert failure.kind == "StorageError"
    assert "/data/lake/x.parquet" in failure.what
    assert advice in failure.next


def test_an_unforeseen_error_goes_to_a_private_log_with_its_traceback(monkeypatch, tmp_path: Path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        raise RuntimeError("customer Jane Doe")
    except RuntimeError as error:
        failure = explain(error)
    name = re.fullmatch(r"internal error ([0-9a-f]{8}): RuntimeError", failure.what)
    assert name
    log = tmp_path / f"lakewarden-error-{name[1]}.log"
    assert str(log) in failure.next
    assert "Jane Doe" not in failure.what + failure.state + failure.next
    assert "RuntimeError: customer Jane Doe" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_an_unforeseen_error_is_told_even_when_its_log_cannot_be_written(monkeypatch, tmp_path: Path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    failure = explain(RuntimeError("x"))
    assert failure.kind == "InternalError"
    assert "LAKEWARDEN_DEBUG=1" in failure.next


def test_interrupted_is_not_ok_and_can_be_repeated():
    assert interrupted().code == INTERRUPTED
    assert explain(KeyboardInterrupt()) == interrupted()


def test_json_has_the_error_s_shape_and_nothing_on_stderr(capsys):
    assert tell(explain(ModelError("a", state="b", next="c")), as_json=True) == NOT_OK
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {
        "ok": False,
        "error": {"what": "a", "state": "b", "next": "c", "kind": "ModelError", "transient": False},
    }


def test_words_leave_out_what_is_not_known(capsys):
    tell(explain(ModelError("only this")), as_json=False)
    assert capsys.readouterr().err == "error: only this\n"
