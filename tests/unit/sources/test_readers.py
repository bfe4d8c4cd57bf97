"""One file each: lines of any bytes, Parquet of any types, and what a name says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakewarden.errors import SourceError
from lakewarden.sources.blocks import Reader
from lakewarden.sources.readers import LineReader, ParquetReader, kind_of, open_reader
from lakewarden.sources.streams import ByteStream, Feed
from lakewarden.sources.views import cut


def read_all(reader: Reader, *, final: bool = True) -> list[tuple[int, bytes]]:
    rows: list[tuple[int, bytes]] = []
    while (block := reader.read(final)) is not None:
        rows += zip(block.offsets, block.bodies, strict=True)
    reader.close()
    return rows


def lines(tmp_path: Path, content: bytes, *, final: bool = True) -> list[tuple[int, bytes]]:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    return read_all(LineReader(path, None), final=final)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", "lines"),
        ("A.JSON.GZ", "lines"),
        ("a.b.ndjson.zst", "lines"),
        ("a.csv", "delimited"),
        ("a.csv.gz", "delimited"),
        ("a.parquet", "parquet"),
        ("a.parquet.gz", None),
        ("a.gz", None),
        ("jsonl", None),
        ("a.txt", None),
    ],
)
def test_the_name_says_the_kind(name: str, kind: str | None) -> None:
    assert kind_of(Path(name)) == kind


def test_lines_keep_every_byte_but_their_ends(tmp_path: Path) -> None:
    content = b'{"a":1}\r\n\x00\xff\xfe\n  \n\n\r\n\r\r\nlast \xc3'
    assert lines(tmp_path, content) == [(0, b'{"a":1}'), (1, b"\x00\xff\xfe"), (2, b"  "), (5, b"\r"), (6, b"last \xc3")]
    assert lines(tmp_path, content, final=False)[-1] == (5, b"\r")


def test_a_byte_order_mark_is_taken_off_the_start_only(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert lines(tmp_path, mark + b"1\n" + mark + b"2\n") == [(0, b"1"), (1, mark + b"2")]
    assert lines(tmp_path, mark) == []
    assert lines(tmp_path, mark[:2]) == [(0, mark[:2])]


def test_an_empty_file_has_no_events(tmp_path: Path) -> None:
    assert lines(tmp_path, b"") == []
    assert lines(tmp_path, b"\n\r\n") == []


@pytest.mark.parametrize("size", [0, 1, 3, 4, 11, 12, 13, 100])
def test_pieces_of_any_length_survive(size: int) -> None:
    data = np.arange(1, size + 1, dtype=np.uint8)
    for start in range(size + 1):
        stops = np.arange(start, size + 1)
        series = cut(data, np.full(len(stops), start), stops - start)
        assert series.to_list() == [data[start:stop].tobytes() for stop in stops]
        assert series.bin.size().to_list() == (stops - start).tolist()


def test_a_line_of_ten_megabytes_among_small_ones(tmp_path: Path) -> None:
    big = b'{"x":"' + b"y" * 10_000_000 + b'"}'
    rows = lines(tmp_path, b"1\n" + big + b"\n2\n")
    assert [offset for offset, _ in rows] == [0, 1, 2]
    assert rows[1][1] == big


def test_a_line_too_long_for_memory_stops_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakewarden.sources.streams.LONGEST_RECORD", 1 << 20)
    (tmp_path / "a.jsonl").write_bytes(b"1\n" + b"x" * (5 << 20))
    reader = LineReader(tmp_path / "a.jsonl", None)
    with pytest.raises(SourceError, match="line of more than 1 MB"):
        read_all(reader)
    reader.close()


def test_memory_is_bounded_by_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes((b"x" * 999 + b"\n") * 20_000)
    reader = LineReader(path, None)
    sizes = []
    while (block := reader.read(True)) is not None:
        sizes.append(block.size)
    reader.close()
    assert sum(sizes) == 20_000 * 999
    assert max(sizes) <= 4 << 20


def test_blocks_hold_nothing_of_the_bytes_that_follow(tmp_path: Path) -> None:
    """A block stays what it was while the reader goes on."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(b"%06d-and-some-more\n" % n for n in range(300_000)))
    reader = LineReader(path, None)
    first = reader.read(True)
    assert first is not None
    read_all(reader)
    assert first.bodies.to_list() == [b"%06d-and-some-more" % n for n in range(len(first))]


def test_feed_gives_back_what_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"abcdef")
    feed = Feed(ByteStream(path))
    data, ended = feed.block()
    assert (data.tobytes(), ended) == (b"abcdef", True)
    feed.keep(data[4:])
    assert feed.block()[0].tobytes() == b"ef"
    feed.stream.close()


def test_parquet_values_become_json_without_nulls(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    moment = datetime(2024, 2, 29, 12, 30, 0, 123_456)
    pl.DataFrame(
        {
            "s": ['a"\\\n\x01é', None],
            "i": [1, None],
            "f": [0.1, float("nan")],
            "g": [float("inf"), float("-inf")],
            "b": [True, None],
            "d": [date(2024, 2, 29), None],
            "naive": [moment, None],
            "aware": [moment.replace(tzinfo=UTC), None],
            "t": [time(1, 2, 3), None],
            "span": [timedelta(days=1), None],
            "money": [Decimal("1.50"), None],
            "raw": [b"text", b"\xff\x00"],
            "list": [[1, None], None],
            "struct": [{"x": 1, "y": moment, "z": b"\xff"}, None],
            "tags": [["a", "b"], []],
            "nothing": [None, None],
        }
    ).write_parquet(path)
    bodies = [body for _, body in read_all(ParquetReader(path, open_mapping()))]
    assert json.loads(bodies[0]) == {
        "s": 'a"\\\n\x01é',
        "i": 1,
        "f": 0.1,
        "g": "Infinity",
        "b": True,
        "d": "2024-02-29",
        "naive": "2024-02-29T12:30:00.123456Z",
        "aware": "2024-02-29T12:30:00.123456Z",
        "t": "01:02:03",
        "span": "P1D",
        "money": 1.5,
        "raw": "text",
        "list": [1, None],
        "struct": {"x": 1, "y": "2024-02-29T12:30:00.123456Z", "z": "hex:ff"},
        "tags": ["a", "b"],
    }
    assert b'"money":1.50' in bodies[0]
    assert json.loads(bodies[1]) == {"f": "NaN", "g": "-Infinity", "raw": "hex:ff00", "tags": []}


def open_mapping():
    from lakewarden.sources.mapping import EventMapping

    return EventMapping()


def test_parquet_skips_whole_row_groups_and_into_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakewarden.sources.readers.PARQUET_ROWS", 40)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": list(range(1000))}), path, row_group_size=300)
    everything = [(n, b'{"n":%d}' % n) for n in range(1000)]
    for behind in (0, 1, 299, 300, 301, 655, 999, 1000):
        reader = ParquetReader(path, open_mapping())
        reader.skip(behind)
        assert reader.position <= path.stat().st_size
        assert read_all(reader) == everything[behind:]


def test_parquet_without_rows(tmp_path: Path) -> None:
    pl.DataFrame({"n": []}, schema={"n": pl.Int64}).write_parquet(tmp_path / "a.parquet")
    assert read_all(ParquetReader(tmp_path / "a.parquet", open_mapping())) == []


def test_parquet_with_broken_pages_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": list(range(100_000))}), path, compression="zstd", row_group_size=50_000, use_dictionary=False)
    content = bytearray(path.read_bytes())
    begin = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content[begin : begin + 4000] = b"\xee" * 4000
    path.write_bytes(content)
    reader = open_reader(path, "parquet", None)
    blocks = [reader.read(True), reader.read(True)]
    with pytest.raises(SourceError, match=r"can't be decoded at row 50,000"):
        reader.read(True)
    reader.close()
    assert sum(len(block) for block in blocks if block) == 50_000


def test_parquet_of_dictionaries_and_old_binary_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"channel": pa.array(["POS", "ATM"]).dictionary_encode(), "account_id": pa.array([b"a1", b"a2"], pa.binary())}), path
    )
    assert [body for _, body in read_all(ParquetReader(path, open_mapping()))] == [
        b'{"account_id":"a1","channel":"POS"}',
        b'{"account_id":"a2","channel":"ATM"}',
    ]
