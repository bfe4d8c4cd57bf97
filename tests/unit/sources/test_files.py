"""Folders and files as a source: order, watching, growing files, resuming, what is refused."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import polars as pl
import pytest
import zstandard

from lakewarden.errors import ConfigurationError, SourceError, UsageError
from lakewarden.sources.files import FileSource
from lakewarden.sources.open import open_source
from lakewarden.sources.port import Source

NOW = 1_700_000_000_000_000


_OPENED: list[Source] = []


@pytest.fixture(autouse=True)
def _close_all():
    yield
    while _OPENED:
        _OPENED.pop().close()


def opened(path: Path, *, once: bool = True) -> Source:
    _OPENED.append(open_source(path, once=once, clock=lambda: NOW))
    return _OPENED[-1]


def drain(source: Source, max_rows: int = 1000) -> list[tuple[str, int, bytes]]:
    rows: list[tuple[str, int, bytes]] = []
    while (chunk := source.read(max_rows, 0.0)) is not None:
        assert 1 <= len(chunk) <= max_rows
        assert chunk.bodies.dtype == pl.Binary
        assert chunk.partitions.dtype == pl.String
        assert chunk.offsets.dtype == pl.Int64
        assert (chunk.arrival, chunk.received_time) == (None, NOW)
        rows += zip(chunk.partitions, chunk.offsets, chunk.bodies, strict=True)
    return rows


def take_into(rows: list[bytes], source: Source) -> None:
    while (chunk := source.read(10_000, 0.0)) is not None:
        rows += chunk.bodies.to_list()


def test_a_folder_is_read_in_name_order_with_its_folders_and_kinds(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "c.jsonl").write_bytes(b'{"n":3}\n{"n":4}\n')
    (tmp_path / "b" / "x.jsonl.gz").write_bytes(gzip.compress(b'{"n":2}\n'))
    (tmp_path / "a.ndjson.zst").write_bytes(zstandard.ZstdCompressor().compress(b'{"n":1}'))
    (tmp_path / "d.CSV").write_bytes(b"n,m\n5,\n")
    pl.DataFrame({"n": [6]}).write_parquet(tmp_path / "e.parquet")
    source = opened(tmp_path)
    assert drain(source) == [
        ("a.ndjson.zst", 0, b'{"n":1}'),
        ("b/x.jsonl.gz", 0, b'{"n":2}'),
        ("c.jsonl", 0, b'{"n":3}'),
        ("c.jsonl", 1, b'{"n":4}'),
        ("d.CSV", 0, b'{"n":"5"}'),
        ("e.parquet", 0, b'{"n":6}'),
    ]
    assert source.exhausted
    assert source.fraction == 1.0
    assert source.name == tmp_path.as_posix()


def test_hidden_temporary_and_foreign_names_are_passed_over(tmp_path: Path) -> None:
    for name in (".a.jsonl", "_b.jsonl", "c.jsonl.tmp", "d.jsonl.part", "README.md", "e.parquet.gz", "f.gz", "noname"):
        (tmp_path / name).write_bytes(b"{}\n")
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / "0.json").write_bytes(b"{}\n")
    (tmp_path / "z.jsonl").write_bytes(b"{}\n")
    assert [name for name, _, _ in drain(opened(tmp_path))] == ["z.jsonl"]


def test_a_folder_without_events_says_what_was_passed_over(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(SourceError, match=r"no file of events; passed over: README\.md") as caught:
        opened(tmp_path).read(10, 0.0)
    assert ".jsonl" in caught.value.next


def test_an_empty_folder_is_waited_on_while_watching(tmp_path: Path) -> None:
    source = opened(tmp_path, once=False)
    assert source.read(10, 0.0) is None
    assert not source.exhausted
    assert source.fraction is None
    (tmp_path / "a.jsonl").write_bytes(b"1\n")
    assert drain(source) == [("a.jsonl", 0, b"1")]


def test_watching_follows_a_growing_file_by_complete_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":0}\n{"n":')
    source = opened(tmp_path, once=False)
    assert drain(source) == [("a.jsonl", 0, b'{"n":0}')]
    with path.open("ab") as handle:
        handle.write(b'1}\r\n\n{"n":2}')
    assert drain(source) == [("a.jsonl", 1, b'{"n":1}')]
    with path.open("ab") as handle:
        handle.write(b"\n")
    assert drain(source) == [("a.jsonl", 3, b'{"n":2}')]
    assert drain(source) == []


def test_watching_follows_a_growing_csv_through_an_open_quote(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"na")
    source = opened(tmp_path, once=False)
    assert drain(source) == []
    with path.open("ab") as handle:
        handle.write(b'me,x\n"two\n')
    assert drain(source) == []
    with path.open("ab") as handle:
        handle.write(b'lines",1\n')
    assert drain(source) == [("a.csv", 0, b'{"name":"two\\nlines","x":"1"}')]


def test_watching_waits_for_the_rest_of_an_archive_and_of_a_parquet_file(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(b'{"n":%d}\n' % n for n in range(5000)))
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    pl.DataFrame({"n": [1]}).write_parquet(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[:-5])
    source = opened(tmp_path, once=False)
    first = drain(source)
    assert 0 < len(first) < 5000
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    (tmp_path / "b.parquet").write_bytes(whole)
    second = drain(source)
    assert [offset for name, offset, _ in first + second if name == "a.jsonl.gz"] == list(range(5000))
    assert second[-1] == ("b.parquet", 0, b'{"n":1}')


def test_watching_takes_an_appended_gzip_member(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"1\n") + b"\0" * 40)
    source = opened(tmp_path, once=False)
    assert drain(source) == [("a.jsonl.gz", 0, b"1")]
    with path.open("ab") as handle:
        handle.write(gzip.compress(b"2\n"))
    assert drain(source) == [("a.jsonl.gz", 1, b"2")]


def test_reading_once_sees_files_that_arrive_while_it_reads(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(b"1\n2\n")
    source = opened(tmp_path)
    assert source.read(1, 0.0) is not None
    (tmp_path / "a.jsonl").write_bytes(b"3\n")
    assert [body for _, _, body in drain(source)] == [b"2", b"3"]


def test_a_file_may_go_once_it_is_read_or_before(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jsonl").write_bytes(b"1\n")
    source = opened(tmp_path, once=False)
    assert source.read(1, 0.0) is not None
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "b.jsonl").unlink()
    assert [name for name, _, _ in drain(source)] == ["c.jsonl"]


def test_a_file_that_goes_while_it_is_read_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakewarden.sources.streams.BLOCK", 64)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(b"%d\n" % n for n in range(1000)))
    source = opened(tmp_path)
    assert source.read(1, 0.0) is not None
    path.unlink()
    assert len(drain(source)) == 999


@pytest.mark.parametrize("change", [b'{"n":0}\n', b'{"m":0}\n{"m":1}\n{"m":2}\n'], ids=["cut", "written anew"])
def test_a_file_that_changes_behind_what_was_read_is_refused(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":0}\n{"n":1}\n')
    source = opened(tmp_path, once=False)
    assert len(drain(source)) == 2
    path.write_bytes(change)
    for _ in range(2):  # the refusal stands
        with pytest.raises(SourceError, match=r"changed behind byte 16") as caught:
            source.read(10, 0.0)
    assert "2 rows" in caught.value.state
    assert caught.value.next


def test_a_parquet_file_that_is_written_anew_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"n": [1]}).write_parquet(path)
    source = opened(tmp_path, once=False)
    assert len(drain(source)) == 1
    pl.DataFrame({"n": [1, 2], "m": [3, 4]}).write_parquet(path)
    with pytest.raises(SourceError, match="written anew"):
        source.read(10, 0.0)


def test_a_last_line_that_goes_on_after_it_was_taken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":1')
    source = opened(tmp_path)
    assert source.read(1, 0.0) is not None
    with path.open("ab") as handle:
        handle.write(b"1}\n")
    with pytest.raises(SourceError, match="last line had no line end"):
        source.read(1, 0.0)


def test_a_last_line_without_end_is_taken_once_and_gone_on_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n2")
    assert drain(opened(path)) == [("a.jsonl", 0, b"1"), ("a.jsonl", 1, b"2")]
    with path.open("ab") as handle:
        handle.write(b"\n3\n")
    for once in (True, False):
        source = opened(path, once=once)
        source.resume({source.name: {"a.jsonl": 1}})
        assert drain(source) == [("a.jsonl", 2, b"3")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "a.jsonl.gz"])
def test_a_file_with_fewer_rows_than_were_recorded_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        pl.DataFrame({"n": [1, 2]}).write_parquet(path)
    else:
        lines = b"n\n1\n2\n" if name.endswith("csv") else b"1\n2\n"
        path.write_bytes(gzip.compress(lines) if name.endswith("gz") else lines)
    source = opened(tmp_path)
    source.resume({source.name: {name: 2}})
    with pytest.raises(SourceError, match="holds 2 rows, but 3 were streamed"):
        source.read(10, 0.0)
    source = opened(tmp_path)
    source.resume({source.name: {name: 1, "gone.jsonl": 7}})
    assert drain(source) == []
    assert source.exhausted


def test_resuming_where_every_file_was_removed_is_fine(tmp_path: Path) -> None:
    source = opened(tmp_path)
    source.resume({source.name: {"a.jsonl": 4}})
    assert source.read(10, 0.0) is None
    assert source.exhausted


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gz", "zst"])
def test_a_damaged_archive_gives_what_can_be_read_and_then_says_so(tmp_path: Path, pack: object) -> None:
    packed = pack(b"".join(b'{"n":%d}\n' % (n * 7919) for n in range(100_000)))
    path = tmp_path / ("a.jsonl.gz" if packed[:2] == b"\x1f\x8b" else "a.jsonl.zst")
    for content, match in ((packed[: len(packed) // 2], "cut short"), (packed + b"garbage that is no frame", "can't be decompressed")):
        path.write_bytes(content)
        source = opened(tmp_path)
        rows: list[bytes] = []
        with pytest.raises(SourceError, match=match) as caught:
            take_into(rows, source)
        assert str(path) in caught.value.what
        assert f"{len(rows):,} rows of it were read" in caught.value.state
        assert rows == [b'{"n":%d}' % (n * 7919) for n in range(len(rows))]
    assert len(rows) == 100_000
    path.write_bytes(packed)
    source = opened(tmp_path)
    source.resume({source.name: {path.name: 41_999}})
    assert drain(source, 50_000)[0] == (path.name, 42_000, b'{"n":%d}' % (42_000 * 7919))


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(SourceError, match=r"a\.parquet is no complete Parquet file"):
        opened(tmp_path).read(10, 0.0)


def test_events_before_a_damaged_file_are_handed_on_first(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"1\n")
    (tmp_path / "b.parquet").write_bytes(b"nothing")
    source = opened(tmp_path)
    chunk = source.read(10, 60.0)
    assert chunk is not None
    assert chunk.bodies.to_list() == [b"1"]
    with pytest.raises(SourceError, match=r"b\.parquet"):
        source.read(10, 60.0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"1\n")
    (tmp_path / "a.jsonl").chmod(0)
    with pytest.raises(SourceError, match=r"a\.jsonl can't be read"):
        opened(tmp_path).read(10, 0.0)


def test_a_directory_by_an_events_name_is_walked(tmp_path: Path) -> None:
    (tmp_path / "day.jsonl").mkdir()
    (tmp_path / "day.jsonl" / "a.jsonl").write_bytes(b"1\n")
    assert drain(opened(tmp_path)) == [("day.jsonl/a.jsonl", 0, b"1")]


def test_a_folder_that_goes_away_while_watched_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    source = opened(folder, once=False)
    assert source.read(1, 0.0) is None
    folder.rmdir()
    with pytest.raises(SourceError, match="no folder"):
        source.read(1, 0.0)


def test_a_file_and_its_folder_are_the_same_source(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n2\n")
    one, all_of_them = opened(path), opened(tmp_path)
    assert one.name == all_of_them.name
    assert drain(one) == drain(all_of_them)


def test_a_name_that_is_no_utf8_has_a_partition_that_can_be_stored(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl")).write_bytes(b"1\n")
    rows = drain(opened(tmp_path))
    assert rows == [("caf\\xe9.jsonl", 0, b"1")]
    source = opened(tmp_path)
    source.resume({source.name: {"caf\\xe9.jsonl": 0}})
    assert drain(source) == []


def test_a_chunk_ends_where_memory_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakewarden.sources.files.CHUNK_BYTES", 1000)
    line = b'{"x":"' + b"a" * 400 + b'"}'
    for number in range(10):
        (tmp_path / f"{number}.jsonl").write_bytes(line + b"\n")
    source = opened(tmp_path)
    sizes = []
    while (chunk := source.read(100, 60.0)) is not None:
        sizes.append(len(chunk))
    assert sizes == [3, 3, 3, 1]


def test_a_full_wait_returns_what_came(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"1\n")
    source = opened(tmp_path, once=False)
    chunk = source.read(10, 0.05)
    assert chunk is not None
    assert len(chunk) == 1


def test_a_simulation_folder_is_read_at_its_events(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "lakewarden-simulation"}))
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "a.jsonl").write_bytes(b"1\n")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "labels.csv").write_text("transaction_id,is_fraud\n")
    source = opened(tmp_path)
    assert drain(source) == [("a.jsonl", 0, b"1")]
    assert source.name == (tmp_path / "events").as_posix()
    assert open_source(f"file://{tmp_path.as_posix()}", once=True).name == source.name


def test_what_can_not_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="s3://"):
        open_source("s3://bucket/folder")
    with pytest.raises(SourceError, match="there is nothing at") as caught:
        open_source(tmp_path / "missing")
    assert "--source" in caught.value.next
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SourceError, match="no file of events"):
        open_source(tmp_path / "a.txt")
    (tmp_path / "m.yaml").write_text("columns: {nonsense: X}")
    with pytest.raises(ConfigurationError, match="nonsense"):
        open_source(tmp_path, mapping=tmp_path / "m.yaml")


def test_closing_leaves_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"1\n" * 10)
    source = FileSource(tmp_path, once=True)
    assert source.read(1, 0.0) is not None
    source.close()
    links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
    assert not [link for link in links if link.startswith(str(tmp_path))]
