"""A simulation's folder: events in small files, and the tables that belong to them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final, Literal

import polars as pl

from lakewarden.errors import StorageError
from lakewarden.sources.open import MANIFEST, SIMULATION

Compress = Literal["none", "gzip", "zstd"]
SUFFIXES: Final[Mapping[Compress, str]] = {"none": ".jsonl", "gzip": ".jsonl.gz", "zstd": ".jsonl.zst"}
_EVENTS, _REFERENCE, _LABELS, _RECORDS = "events", "reference", "labels", "system_of_record"


class Folder:
    """Writes one simulation's files; nothing is seen under its final name before it is whole.

    Args:
        out: the folder, made if it is not there.
        compress: how event files are compressed. (What is promised to be the same everywhere is the text, not the compressed bytes.)
    """

    def __init__(self, out: Path, compress: Compress) -> None:
        self._out = out
        self._compress = compress
        self._files = 0
        for name in (_EVENTS, _REFERENCE, _LABELS, _RECORDS):
            with _Storing(out / name):
                (out / name).mkdir(parents=True, exist_ok=True)

    @property
    def files(self) -> int:
        """How many event files were written."""
        return self._files

    def manifest(self, content: Mapping[str, object]) -> None:
        """Writes `manifest.json`, in place of an earlier one."""
        self._whole(self._out / MANIFEST, (json.dumps({"kind": SIMULATION, **content}, indent=2) + "\n").encode())

    def reference(self, tables: Mapping[str, pl.DataFrame]) -> None:
        """Writes each table to `reference/KIND.csv`."""
        for kind, table in tables.items():
            self._whole(self._out / _REFERENCE / f"{kind}.csv", _csv(table, header=True))

    def events(self, day: date, bodies: pl.Series) -> str:
        """Writes one file of events, one line each, and gives its name; names sort in the order of arrival."""
        name = f"{day.isoformat()}-{self._files:07}{SUFFIXES[self._compress]}"
        text = b"\n".join([*bodies.to_list(), b""])
        self._whole(self._out / _EVENTS / name, _compressed(text, self._compress))
        self._files += 1
        return name

    def labels(self, table: pl.DataFrame) -> None:
        """Adds to `labels/labels.csv`."""
        self._added(self._out / _LABELS / "labels.csv", table)

    def faults(self, table: pl.DataFrame) -> None:
        """Adds to `labels/faults.csv`."""
        self._added(self._out / _LABELS / "faults.csv", table)

    def records(self, table: pl.DataFrame) -> None:
        """Adds to `system_of_record/DATE.csv` by each row's `event_date`."""
        for day in table["event_date"].unique().sort().to_list():
            rows = table.filter(pl.col("event_date") == day).drop("event_date")
            self._added(self._out / _RECORDS / f"{day.isoformat()}.csv", rows)

    def _whole(self, path: Path, content: bytes) -> None:
        hidden = path.with_name(f".{path.name}.partial")
        with _Storing(path):
            hidden.write_bytes(content)
            os.replace(hidden, path)

    def _added(self, path: Path, table: pl.DataFrame) -> None:
        with _Storing(path):
            header = not path.exists()
            with path.open("ab") as file:
                file.write(_csv(table, header=header))


def remove(out: Path) -> None:
    """Removes a simulation's files from its folder, and nothing else; the manifest goes last."""
    with _Storing(out):
        for name in (_REFERENCE, _LABELS, _RECORDS):
            if (out / name).exists():
                shutil.rmtree(out / name)
        for path in (out / _EVENTS).iterdir():
            path.unlink()
        (out / MANIFEST).unlink()


class _Storing:
    """Turns what the file system refuses into an error that says what remains."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise StorageError(
                f"Writing {self._path} failed: {error.strerror or error}.",
                state="The simulation stopped there; files that have their final name are whole.",
                next="Free some space or choose another folder, then run the same command with --overwrite.",
            ) from error


def _csv(table: pl.DataFrame, *, header: bool) -> bytes:
    return table.write_csv(include_header=header).encode()


def _compressed(text: bytes, how: Compress) -> bytes:
    if how == "gzip":
        return gzip.compress(text, compresslevel=3, mtime=0)
    if how == "zstd":
        import zstandard  # only this option needs it

        return zstandard.ZstdCompressor(level=3).compress(text)
    return text
