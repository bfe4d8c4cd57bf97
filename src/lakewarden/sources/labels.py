"""Labels from a file: which transactions were fraud, of what kind, and since when that is known."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import polars as pl

from lakewarden.contracts.rfc3339 import read_instants
from lakewarden.errors import SourceError
from lakewarden.sources.mapping import LABEL_SCHEMA, EventMapping, load_mapping, party
from lakewarden.sources.open import is_simulation
from lakewarden.sources.streams import ByteStream, damaged
from lakewarden.sources.values import instant, text, truth

REQUIRED: Final = ("transaction_id", "is_fraud")
OPTIONAL: Final = ("typology", "known_time", "account_id", "party_id", "merchant_id", "counterparty_id", "event_time")
_EXAMPLES: Final = 5
_PIECE: Final = 8 << 20


def read_labels(path: str | Path, mapping: EventMapping | str | Path | None = None) -> pl.DataFrame:
    """Return labels with the columns of `LABEL_SCHEMA`, in the file's order.

    Args:
        path: a CSV (also `.gz`, `.zst`) or Parquet file with the columns `REQUIRED` and any of `OPTIONAL`; or a folder that holds
            `labels.csv` or `labels.parquet`, or that `simulate` wrote.
        mapping: its `labels` section says which columns to take instead; the file's other columns don't matter then.

    Raises:
        SourceError: the file is missing or of another kind, lacks a column, has unknown ones, has a transaction twice, or holds
            something that is no yes or no, or no time.
        ConfigurationError: the mapping has no `labels` section or names a column that isn't there.
    """
    file = _labels_file(Path(path))
    loaded = load_mapping(mapping) if isinstance(mapping, str | Path) else mapping
    frame = _read(file)
    labels = loaded.labels(frame, where=str(file)) if loaded is not None else _own_columns(frame, file)
    labels = labels.cast(LABEL_SCHEMA)
    _refuse(labels, labels["transaction_id"].is_null(), file, "have no transaction_id")
    _refuse(labels, labels["is_fraud"].is_null(), file, "have an is_fraud that is neither 0 or false nor 1 or true")
    _refuse(labels, labels["transaction_id"].is_duplicated(), file, "share their transaction_id with another", ids=True)
    return labels


def _own_columns(frame: pl.DataFrame, file: Path) -> pl.DataFrame:
    missing = [name for name in REQUIRED if name not in frame.columns]
    unknown = [name for name in frame.columns if name not in REQUIRED + OPTIONAL]
    if missing or unknown:
        faults = ([f"lacks {', '.join(missing)}"] if missing else []) + ([f"has unknown columns: {', '.join(unknown)}"] if unknown else [])
        raise SourceError(
            f"{file} {' and '.join(faults)}; labels are {', '.join(REQUIRED)} and, if known, {', '.join(OPTIONAL)}",
            next="rename or remove the columns, or give --mapping a file whose `labels` section names them",
        )
    columns = {name: text(frame[name]) if name in frame.columns else pl.Series([None] * frame.height, dtype=pl.String) for name in OPTIONAL}
    times = {}
    for name in ("known_time", "event_time"):
        given = instant(frame[name]) if name in frame.columns else columns[name]
        times[name] = read_instants(given)
        _refuse(
            frame, given.is_not_null() & times[name].is_null(), file, f"have a {name} that is no time (RFC 3339, like 2024-05-01T12:00:00Z)"
        )
    plain = pl.DataFrame([series.alias(name) for name, series in columns.items()])
    return plain.select(
        text(frame["transaction_id"]).alias("transaction_id"),
        truth(frame["is_fraud"]).alias("is_fraud"),
        "typology",
        times["known_time"].alias("known_time"),
        "account_id",
        pl.coalesce("party_id", party("merchant_id", "counterparty_id")).alias("party_id"),
        times["event_time"].alias("event_time"),
    )


def _refuse(frame: pl.DataFrame, wrong: pl.Series, file: Path, what: str, *, ids: bool = False) -> None:
    count = int(wrong.sum())
    if count:
        places = wrong.arg_true().head(_EXAMPLES).to_list()
        shown = frame["transaction_id"].gather(places).to_list() if ids else [f"row {place + 1}" for place in places]
        raise SourceError(
            f"{file}: {count:,} rows {what}, among them {', '.join(map(str, shown))}",
            state="no label was taken",
            next="correct the file and run the same command again",
        )


def _labels_file(path: Path) -> Path:
    folder = path / "labels" if path.is_dir() and is_simulation(path) else path
    candidates = [folder / "labels.csv", folder / "labels.parquet"] if folder.is_dir() else [folder]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise SourceError(
        f"there are no labels at {path}",
        next="give a CSV or Parquet file with the columns transaction_id and is_fraud, or a folder that `lakewarden simulate` wrote",
    )


def _read(file: Path) -> pl.DataFrame:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    try:
        if suffixes[-1:] == [".parquet"]:
            return pl.read_parquet(file)
        if ".csv" not in suffixes[-2:]:
            raise SourceError(f"{file} is neither CSV nor Parquet", next="give labels as .csv, .csv.gz, .csv.zst or .parquet")
        return pl.read_csv(_bytes(file), infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged(file, f"can't be read as labels: {error}") from error


def _bytes(file: Path) -> io.BytesIO:
    stream, held = ByteStream(file), io.BytesIO()
    piece = memoryview(bytearray(_PIECE))
    while count := stream.readinto(piece):
        held.write(piece[:count])
    stream.close()
    if stream.inside:
        raise damaged(file, "ends in the middle of its compressed data")
    held.seek(0)
    return held
