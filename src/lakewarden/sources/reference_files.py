"""Reference data from files: CSV and Parquet of each kind, watchlists as published, and folders of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from lakewarden.errors import ConfigurationError, SourceError, UsageError
from lakewarden.rules.references import SCHEMAS, validate
from lakewarden.sources import watchlists

IMPORTABLE: Final = tuple(kind for kind in SCHEMAS if kind != "watchlist_hits")
"""Kinds that files give; watchlist hits are computed from the others."""

_SUFFIXES: Final = (".csv", ".csv.gz", ".parquet", ".xml")
_OFAC_PARTS: Final = ("alt.csv", "add.csv", "sdn_comments.csv")


def read_references(path: str | Path, kind: str | None = None) -> dict[str, pl.DataFrame]:
    """Reference tables of a file or a folder, by kind, validated.

    A file's kind is told from its name (`kyc.csv`, `kyc-2026-03.csv`, `fx_daily.parquet`) unless given. `sdn.csv` is OFAC's
    list, with `alt.csv` and `add.csv` beside it; an XML file is the UN's. Several watchlists in one folder become one table.

    Args:
        path: a file, or a folder whose files are read (names that tell no kind are left).
        kind: one of :data:`IMPORTABLE`; for one file only.

    Raises:
        SourceError: nothing is there, nothing can be told, or a file can't be read.
        ConfigurationError: a table isn't what its kind must be.
        UsageError: a kind was given for a folder, or a kind that isn't imported.
    """
    root = Path(path)
    if kind is not None and kind not in IMPORTABLE:
        raise UsageError(f"{kind!r} isn't a kind of reference data to import", next=f"use one of: {', '.join(IMPORTABLE)}")
    if root.is_dir():
        if kind is not None:
            raise UsageError(f"{root} is a folder, so --kind {kind} makes no sense", next="name the file, or leave --kind out")
        return _read_folder(root)
    if not root.is_file():
        raise SourceError(f"there is no file {root}", state="nothing was imported", next="check the path")
    told = kind or kind_of(root)
    if told is None:
        raise SourceError(
            f"the name {root.name} doesn't tell its kind of reference data",
            state="nothing was imported",
            next=f"say --kind KIND, one of: {', '.join(IMPORTABLE)}",
        )
    return {told: read_table(root, told)}


def kind_of(path: Path) -> str | None:
    """The kind that a file's name tells, or None."""
    name = path.name.lower()
    if not name.endswith(_SUFFIXES):
        return None
    if name.endswith(".xml") or name == "sdn.csv":
        return "watchlist"
    stem = name.split(".")[0]
    if stem.startswith("watchlist_hits"):
        return None
    return next((kind for kind in IMPORTABLE if stem == kind or stem.startswith((f"{kind}-", f"{kind}_", f"{kind} "))), None)


def read_table(path: Path, kind: str) -> pl.DataFrame:
    """One file as the table of `kind`, validated. Raises SourceError and ConfigurationError as :func:`read_references`."""
    name = path.name.lower()
    if kind == "watchlist" and name.endswith(".xml"):
        return watchlists.read_un(path)
    if kind == "watchlist" and (name == "sdn.csv" or _looks_like_ofac(path)):
        alt, add = path.with_name("alt.csv"), path.with_name("add.csv")
        return watchlists.read_ofac(path, alt if alt.is_file() else None, add if add.is_file() else None)
    if not name.endswith(_SUFFIXES) or name.endswith(".xml"):
        raise SourceError(f"{path} is no file of a kind that can be read", state="nothing was imported", next="use CSV or Parquet")
    try:
        table = pl.read_parquet(path) if name.endswith(".parquet") else _read_csv(path)
    except (OSError, pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SourceError(
            f"{path} can't be read: {reason}", state="nothing was imported", next="check that it is CSV (UTF-8) or Parquet"
        ) from error
    try:
        return validate(kind, table)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.what}", state=error.state, next=error.next) from error


def _read_csv(path: Path) -> pl.DataFrame:
    """Every value as text, "NA" too (it is Namibia); lines that start with "# " ahead of the header are comments."""
    comments = 0
    if not path.name.endswith(".gz"):
        with path.open(encoding="utf-8-sig") as lines:
            for line in lines:
                if not line.startswith("# "):
                    break
                comments += 1
    return pl.read_csv(path, infer_schema=False, skip_lines=comments)


def _read_folder(folder: Path) -> dict[str, pl.DataFrame]:
    found: dict[str, pl.DataFrame] = {}
    for path in sorted(folder.iterdir()):
        kind = None if path.name.lower() in _OFAC_PARTS else kind_of(path)
        if kind is None or not path.is_file():
            continue
        table = read_table(path, kind)
        if kind in found and kind != "watchlist":
            raise SourceError(
                f"{folder} holds two files of the kind {kind}, {path.name} being the second",
                state="nothing was imported",
                next="leave one of them there, or import the file itself",
            )
        found[kind] = validate(kind, pl.concat([found[kind], table])) if kind in found else table
    if not found:
        raise SourceError(
            f"{folder} holds no reference data",
            state="nothing was imported",
            next=f"name files by their kind: {', '.join(IMPORTABLE)} (.csv, .parquet)",
        )
    return found


def _looks_like_ofac(path: Path) -> bool:
    """Whether a CSV is OFAC's main file under another name: twelve columns, a number first, no header."""
    if not path.name.lower().endswith(".csv"):
        return False
    with path.open("rb") as file:
        first = file.readline(4096).decode("utf-8-sig", errors="replace")
    return first.split(",", 1)[0].strip().isdigit() and "-0-" in first
