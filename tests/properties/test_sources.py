"""Any cut into chunks and any point of resuming give the same events with the same offsets: none lost, none doubled."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path
from unittest.mock import patch

import polars as pl
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.sources.files import FileSource
from lakewarden.sources.mapping import EventMapping
from lakewarden.sources.mapping_spec import MappingSpec

Rows = list[tuple[str, int, bytes]]

PACK = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}

raw_lines = st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=12)
json_lines = st.lists(
    st.one_of(
        st.dictionaries(st.sampled_from(["a", "b", "amount", "account_id"]), st.one_of(st.none(), st.integers(), st.text(max_size=4))).map(
            lambda event: json.dumps(event).encode()
        ),
        st.sampled_from([b"", b"\r", b"{", b"[1]"]),
    ),
    max_size=12,
)
cells = st.text(st.sampled_from('ab",\n\r é0'), max_size=5)
csv_rows = st.lists(st.lists(cells, min_size=2, max_size=2), max_size=10)
csv_bytes = st.lists(st.sampled_from([b'"', b",", b"\n", b"\r\n", b"a", b"1", b"\xff", b'""', b"\r"]), max_size=40).map(b"".join)
parquet_rows = st.lists(st.tuples(st.one_of(st.none(), st.integers(-5, 5)), st.text(max_size=3)), max_size=20)
cuts = st.integers(1, 7)
ends = st.sampled_from([b"\n", b"\r\n"])


def read(
    folder: Path,
    *,
    max_rows: int,
    block: int,
    mapping: EventMapping | None = None,
    stop_after: int | None = None,
    behind: dict[str, int] | None = None,
) -> Rows:
    rows: Rows = []
    with patch("lakewarden.sources.streams.BLOCK", block), patch("lakewarden.sources.readers.PARQUET_ROWS", block):
        source = FileSource(folder, mapping=mapping, once=True, clock=lambda: 0)
        source.resume({source.name: behind or {}})
        while stop_after is None or len(rows) < stop_after:
            chunk = source.read(max_rows, 0.0)
            if chunk is None:
                assert source.exhausted
                break
            assert 0 < len(chunk) <= max_rows
            rows += zip(chunk.partitions, chunk.offsets, chunk.bodies, strict=True)
        source.close()
    return rows


def check_any_cut_and_resume(folder: Path, data: st.DataObject, mapping: EventMapping | None = None) -> Rows:
    """Read in one go; then in pieces, broken off and resumed at any event."""
    whole = read(folder, max_rows=10_000, block=1 << 20, mapping=mapping)
    max_rows, block = data.draw(cuts, "max_rows"), data.draw(st.integers(1, 60), "block")
    assert read(folder, max_rows=max_rows, block=block, mapping=mapping) == whole
    done = data.draw(st.integers(0, len(whole)), "resume at")
    first = read(folder, max_rows=max_rows, block=block, mapping=mapping, stop_after=done)[:done]
    positions = {partition: offset for partition, offset, _ in first}
    assert first + read(folder, max_rows=max_rows, block=block, mapping=mapping, behind=positions) == whole
    return whole


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(raw_lines, st.sampled_from(list(PACK)), ends, st.booleans()), min_size=1, max_size=3), st.data())
def test_json_lines(files: list[tuple[list[bytes], str, bytes, bool]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        expected: Rows = []
        for number, (lines, packed, end, ended) in enumerate(files):
            content = end.join(lines) + (end if ended else b"")
            partition = f"{number}.jsonl{packed}"
            (Path(name) / partition).write_bytes(PACK[packed](content))
            for offset, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n")):
                last = offset == content.count(b"\n")
                body = line.removesuffix(b"\r")
                if body and not (last and not line):
                    expected.append((partition, offset, body))
        assert check_any_cut_and_resume(Path(name), data) == expected


@settings(max_examples=40, deadline=None)
@given(json_lines, st.data())
def test_mapped_json_lines(lines: list[bytes], data: st.DataObject) -> None:
    mapping = EventMapping(MappingSpec.model_validate({"columns": {"account_id": "a", "amount": {"column": "b", "scale": 0.01}}}))
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "a.jsonl").write_bytes(b"\n".join(lines))
        rows = check_any_cut_and_resume(Path(name), data, mapping)
        assert [offset for _, offset, _ in rows] == [offset for offset, line in enumerate(lines) if line.removesuffix(b"\r")]


@settings(max_examples=60, deadline=None)
@given(csv_rows, st.sampled_from(list(PACK)), ends, st.data())
def test_well_formed_csv(rows: list[list[str]], packed: str, end: bytes, data: st.DataObject) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=end.decode()).writerows([["x", "y"], *rows])
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / f"a.csv{packed}").write_bytes(PACK[packed](text.getvalue().encode()))
        found = [json.loads(body) for _, _, body in check_any_cut_and_resume(Path(name), data)]
        assert found == [{column: cell for column, cell in zip("xy", row, strict=True) if cell} for row in rows]


@settings(max_examples=100, deadline=None)
@given(csv_bytes, st.sampled_from(list(PACK)), st.data())
def test_any_bytes_as_csv(content: bytes, packed: str, data: st.DataObject) -> None:
    """Whatever the quotes do: every line is in some event, the offsets are dense, and no cut matters."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / f"a.csv{packed}").write_bytes(PACK[packed](b"x,y\n" + content))
        rows = check_any_cut_and_resume(Path(name), data)
        assert [offset for _, offset, _ in rows] == list(range(len(rows)))
        kept = b"".join(body for _, _, body in rows)
        for letter in (b"a", b"1", b"\xff"):
            assert kept.count(letter) == content.count(letter)


@settings(max_examples=40, deadline=None)
@given(st.lists(parquet_rows, min_size=1, max_size=2), st.integers(1, 5), st.data())
def test_parquet(files: list[list[tuple[int | None, str]]], group: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        expected = []
        for number, rows in enumerate(files):
            frame = pl.DataFrame(rows, schema={"amount": pl.Int64, "account_id": pl.String}, orient="row")
            frame.write_parquet(Path(name) / f"{number}.parquet", row_group_size=group)
            expected += [{"account_id": text} | ({} if value is None else {"amount": value}) for value, text in rows]
        assert [json.loads(body) for _, _, body in check_any_cut_and_resume(Path(name), data)] == expected


@settings(max_examples=60, deadline=None)
@given(raw_lines, st.lists(st.integers(0, 80), max_size=6), st.sampled_from(list(PACK)), st.integers(1, 60))
def test_a_file_that_grows_in_any_pieces(lines: list[bytes], pieces: list[int], packed: str, block: int) -> None:
    content = b"".join(line + b"\n" for line in lines)
    stored = PACK[packed](content)
    places = sorted({min(piece, len(stored)) for piece in pieces} | {0, len(stored)})
    with tempfile.TemporaryDirectory() as name, patch("lakewarden.sources.streams.BLOCK", block):
        path = Path(name) / f"a.jsonl{packed}"
        source = FileSource(Path(name), clock=lambda: 0)
        found: list[tuple[int, bytes]] = []
        for start, stop in zip([0, *places], places, strict=False):
            with path.open("ab") as handle:
                handle.write(stored[start:stop])
            while (chunk := source.read(3, 0.0)) is not None:
                found += zip(chunk.offsets, chunk.bodies, strict=True)
        source.close()
    lines[:1] = [line.removeprefix(b"\xef\xbb\xbf") for line in lines[:1]]
    bodies = [line.removesuffix(b"\r") for line in lines]
    assert found == [(offset, body) for offset, body in enumerate(bodies) if body]
