"""The face: JSON that any parser reads, a stdout that nothing else writes to, exit code 1 when not ok."""

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.cli.face import ready

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes()
    | st.decimals()
    | st.times()
)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner))


@given(values)
def test_anything_a_query_can_return_becomes_strict_json(value):
    text = json.dumps(ready(value), allow_nan=False)
    assert json.loads(text) == json.loads(json.dumps(ready(json.loads(text)), allow_nan=False))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (dt.date(2026, 3, 1), "2026-03-01"),
        (dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC), "2026-03-01T12:00:00+00:00"),
        (dt.timedelta(seconds=90), 90.0),
        (b"caf\xc3\xa9 \xff", "café \\xff"),
        (Decimal("1.50"), "1.50"),
        (2**70, 2**70),
        ({1: (2, {"b": b"x"})}, {"1": [2, {"b": "x"}]}),
    ],
)
def test_ready(value, expected):
    assert ready(value) == expected


PROGRAM = """
import os, sys
from dataclasses import dataclass
from lakewarden.cli.face import Face
import typer

@dataclass(frozen=True)
class Told:
    ok: bool
    def to_dict(self):
        return {"rows": 3, "ok": "overridden"}

try:
    with Face("tables", True) as face:
        print("a library prints")
        os.write(1, b"a C++ library prints\\n")
        face.show(Told(sys.argv[1] == "ok"))
except typer.Exit as left:
    print("code", left.exit_code)
print("after")
"""


@pytest.mark.parametrize("state", ["ok", "not ok"])
def test_only_the_report_reaches_stdout_while_a_command_works(state: str):
    done = subprocess.run([sys.executable, "-c", PROGRAM, state], capture_output=True, text=True, check=True, timeout=60)
    lines = done.stdout.splitlines()
    assert json.loads(lines[0]) == {"ok": state == "ok", "rows": 3}
    assert lines[1:] == (["after"] if state == "ok" else ["code 1", "after"])
    assert sorted(done.stderr.splitlines()) == ["a C++ library prints", "a library prints"]
