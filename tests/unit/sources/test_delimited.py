"""CSV: quotes, line ends, and records that break the rules: none lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from lakewarden.errors import SourceError
from lakewarden.sources.delimited import DelimitedReader
from lakewarden.sources.mapping import EventMapping


def read(tmp_path: Path, content: bytes, *, skip: int = 0, final: bool = True, name: str = "a.csv") -> list[tuple[int, bytes]]:
    path = tmp_path / name
    path.write_bytes(content)
    reader = DelimitedReader(path, EventMapping())
    try:
        reader.skip(skip)
        rows: list[tuple[int, bytes]] = []
        while (block := reader.read(final)) is not None:
            rows += zip(block.offsets, block.bodies, strict=True)
    finally:
        reader.close()
    return rows


def test_fields_are_text_the_contracts_own_are_typed_and_empty_ones_absent(tmp_path: Path) -> None:
    content = b"transaction_id,amount,event_time,risk_flags,note,empty\n007,12.50,2024-01-01 10:00:00,a; b,0012,\n"
    assert json.loads(read(tmp_path, content)[0][1]) == {
        "transaction_id": "007",
        "amount": 12.5,
        "event_time": "2024-01-01T10:00:00Z",
        "risk_flags": ["a", "b"],
        "note": "0012",
    }


def test_quotes_as_rfc_4180_has_them(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfa,"b"\r\n"x,y","say ""hi"""\r\n\r\n"two\nlines",""\r\n"",last'
    rows = read(tmp_path, content)
    assert [(offset, json.loads(body)) for offset, body in rows] == [
        (0, {"a": "x,y", "b": 'say "hi"'}),
        (1, {"a": "two\nlines"}),
        (2, {"b": "last"}),
    ]


@pytest.mark.parametrize(
    "line",
    [b"1", b"1,2,3", b'1,2" nail', b'1,"2" x', b'"1,2', b'1,"unclosed', b"\xff,2", b'"a" ,2', b",,", b'1,""2"'],
)
def test_a_malformed_record_is_its_raw_text_and_harms_no_other(tmp_path: Path, line: bytes) -> None:
    rows = read(tmp_path, b"a,b\n0,0\n" + line + b"\r\n3,4\n5,6\n")
    assert rows == [(0, b'{"a":"0","b":"0"}'), (1, line), (2, b'{"a":"3","b":"4"}'), (3, b'{"a":"5","b":"6"}')]


def test_a_quote_that_never_closes_costs_only_its_line(tmp_path: Path) -> None:
    good = b"".join(b"%d,%d\n" % (n, n) for n in range(200_000))
    rows = read(tmp_path, b'a,b\n1,"open\n' + good)
    assert len(good) > 1 << 20
    assert rows[0] == (0, b'1,"open')
    assert len(rows) == 200_001
    assert rows[-1] == (200_000, b'{"a":"199999","b":"199999"}')


def test_a_long_quoted_field_within_the_limit_is_one_record(tmp_path: Path) -> None:
    long = b"x\n" * 400_000
    rows = read(tmp_path, b'a,b\n1,"' + long + b'"\n2,3\n')
    assert json.loads(rows[0][1])["b"].encode() == long
    assert rows[1] == (1, b'{"a":"2","b":"3"}')


def test_an_open_record_is_waited_for_and_taken_at_the_end(tmp_path: Path) -> None:
    content = b'a,b\n1,2\n3,"4\n5,6'
    assert read(tmp_path, content, final=False) == [(0, b'{"a":"1","b":"2"}')]
    assert read(tmp_path, content) == [(0, b'{"a":"1","b":"2"}'), (1, b'3,"4'), (2, b'{"a":"5","b":"6"}')]


@pytest.mark.parametrize("skip", [0, 1, 2, 3])
def test_going_on_behind_records(tmp_path: Path, skip: int) -> None:
    content = b'a,b\n"1\n1",2\nbroken\n\n5,6'
    rows = read(tmp_path, content)
    assert len(rows) == 3
    assert read(tmp_path, content, skip=skip) == rows[skip:]
    assert read(tmp_path, gzip.compress(content), skip=skip, name="a.csv.gz") == rows[skip:]


@pytest.mark.parametrize("content", [b"", b"a,b", b"a,b\n", b"a,b\r\n\r\n"])
def test_no_records(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == []


@pytest.mark.parametrize("header", [b"a,a\n1,2\n", b"a,\n1,2\n", b'a,"b"x\n1,2\n', b"\xff,b\n1,2\n"])
def test_a_header_that_names_no_columns_is_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(SourceError, match=r"a\.csv has a"):
        read(tmp_path, header)


def test_one_column(tmp_path: Path) -> None:
    assert read(tmp_path, b'a\n1\n""\n2') == [(0, b'{"a":"1"}'), (1, b"{}"), (2, b'{"a":"2"}')]
