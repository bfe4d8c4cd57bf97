"""The source is told what is published, when it is, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.engines.embedded import EmbeddedEngine
from lakewarden.errors import StorageError
from lakewarden.sources.files import FileSource


class Told(FileSource):
    """Files that remember what they were told, and what readers saw then."""

    lake: lakewarden.Lake
    heard: list[tuple[dict[str, int], int]]

    def acknowledge(self, offsets: Mapping[str, int]) -> None:
        visible = self.lake.table("risk_scores_gold").select(pl.len()).collect().item()
        self.heard.append((dict(offsets), visible))


@pytest.fixture
def source(empty, tmp_path, monkeypatch):
    """Makes streams read from files that remember."""
    folder = tmp_path / "in"
    folder.mkdir()
    monkeypatch.setattr(Told, "lake", empty, raising=False)
    monkeypatch.setattr(Told, "heard", [], raising=False)
    monkeypatch.setattr("lakewarden.sources.open.open_source", lambda uri, once, **_: Told(Path(uri), once=once))
    return folder


def write(folder: Path, name: str, begin: int, count: int) -> None:
    event = {"event_time": "2026-01-05T10:00:00Z", "account_id": "A1", "amount": 1, "currency": "EUR", "channel": "POS", "country": "DE"}
    lines = [json.dumps({**event, "transaction_id": f"T{n}"}) for n in range(begin, begin + count)]
    (folder / name).write_text("\n".join(lines) + "\n")


def test_the_source_is_told_the_last_offset_of_each_partition_once_readers_see_it(empty, source):
    write(source, "a.jsonl", 0, 3)
    write(source, "b.jsonl", 3, 4)
    empty.stream(source, once=True, batch_rows=5, batch_seconds=30)
    assert Told.heard == [({"a.jsonl": 2, "b.jsonl": 1}, 5), ({"b.jsonl": 3}, 7)]


def test_what_is_recovered_is_told_after_the_source_knows_its_place(empty, source, tmp_path, monkeypatch):
    write(source, "a.jsonl", 0, 3)

    def fail(*_: object, **__: object) -> None:
        raise StorageError("the disk went away")

    with monkeypatch.context() as broken:
        broken.setattr(EmbeddedEngine, "write", fail)
        with pytest.raises(StorageError):
            empty.stream(source, once=True)
    assert Told.heard == []
    resumed: list[int] = []
    monkeypatch.setattr(Told, "resume", lambda self, positions: (resumed.append(len(Told.heard)), FileSource.resume(self, positions))[0])
    report = empty.stream(source, once=True)
    assert (report.recovered, resumed, Told.heard) == (1, [0], [({"a.jsonl": 2}, 3)])


def test_another_source_is_not_told(empty, source, tmp_path, monkeypatch):
    write(source, "a.jsonl", 0, 3)

    def fail(*_: object, **__: object) -> None:
        raise StorageError("the disk went away")

    with monkeypatch.context() as broken:
        broken.setattr(EmbeddedEngine, "write", fail)
        with pytest.raises(StorageError):
            empty.stream(source, once=True)
    other = tmp_path / "other"
    other.mkdir()
    write(other, "a.jsonl", 10, 2)
    assert empty.stream(other, once=True).recovered == 1
    assert Told.heard == [({"a.jsonl": 1}, 5)]
