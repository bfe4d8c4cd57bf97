"""Reference data: what the flow looks up besides events, by kind, validated and named by content.

A kind that is absent is never a failure: the checks that need it are not evaluated and what it would give is null.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa

from lakewarden.errors import ConfigurationError
from lakewarden.rules.reference_checks import CHECKS, EXAMPLES, cast_column

T = TypeVar("T")

SCHEMAS: Final[dict[str, pl.Schema]] = {
    "kyc": pl.Schema(
        {
            "account_id": pl.String(),
            "customer_id": pl.String(),
            "name": pl.String(),
            "customer_risk": pl.String(),
            "kyc_status": pl.String(),
            "is_pep": pl.Boolean(),
            "country": pl.String(),
            "opened_date": pl.Date(),
        }
    ),
    "limits": pl.Schema({"account_id": pl.String(), "single_limit_minor": pl.Int64(), "daily_limit_minor": pl.Int64()}),
    "counterparties": pl.Schema({"counterparty_id": pl.String(), "name": pl.String(), "country": pl.String()}),
    "watchlist": pl.Schema(
        {
            "entry_id": pl.String(),
            "list": pl.String(),
            "name": pl.String(),
            "aliases": pl.List(pl.String()),
            "kind": pl.String(),
            "country": pl.String(),
        }
    ),
    "watchlist_hits": pl.Schema(
        {
            "kind": pl.String(),
            "id": pl.String(),
            "entry_id": pl.String(),
            "list": pl.String(),
            "matched_name": pl.String(),
            "name": pl.String(),
            "score": pl.Float64(),
        }
    ),
    "fx": pl.Schema({"currency": pl.String(), "rate": pl.Float64()}),
    "countries": pl.Schema({"country": pl.String(), "region": pl.String(), "risk": pl.Int8()}),
    "currencies": pl.Schema({"currency": pl.String(), "exponent": pl.Int8()}),
    "mcc": pl.Schema({"mcc_code": pl.String(), "risk": pl.Int8()}),
}
"""Columns of each kind. Limits are minor units of the base currency; a rate is base units for 1 unit; risks are 0, 1 or 2."""

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "kyc": ("account_id",),
    "limits": ("account_id",),
    "counterparties": ("counterparty_id",),
    "watchlist": ("entry_id",),
    "watchlist_hits": ("kind", "id", "entry_id"),
    "fx": ("currency",),
    "countries": ("country",),
    "currencies": ("currency",),
    "mcc": ("mcc_code",),
}
"""What identifies a row of each kind."""

REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "kyc": ("account_id",),
    "limits": ("account_id",),
    "counterparties": ("counterparty_id",),
    "watchlist": ("entry_id", "name"),
    "watchlist_hits": ("kind", "id", "entry_id", "score"),
    "fx": ("currency", "rate"),
    "countries": ("country", "region", "risk"),
    "currencies": ("currency", "exponent"),
    "mcc": ("mcc_code", "risk"),
}
"""Columns that must be there and never null; the other columns of a kind may be left out and are null then."""

DEFAULT_KINDS: Final = ("countries", "currencies", "fx", "mcc")
"""Kinds that the package brings a table for."""


@dataclass(frozen=True, eq=False, repr=False)
class References:
    """An immutable set of reference tables by kind.

    Args:
        tables: table by kind, in the shape of :data:`SCHEMAS` (see :func:`validate`).
    """

    tables: Mapping[str, pl.DataFrame]
    _derived: dict[object, Any] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def __post_init__(self) -> None:
        for kind in self.tables:
            _known(kind)
        ordered = MappingProxyType({kind: self.tables[kind] for kind in sorted(self.tables)})
        object.__setattr__(self, "tables", ordered)

    def get(self, kind: str) -> pl.DataFrame | None:
        """The table of `kind`, or None where it is absent. Raises ConfigurationError for a kind that doesn't exist."""
        _known(kind)
        return self.tables.get(kind)

    def with_table(self, kind: str, df: pl.DataFrame) -> References:
        """These references with `df`, validated, as the table of `kind`. Raises ConfigurationError as :func:`validate` does."""
        return References({**self.tables, kind: validate(kind, df)})

    def updated(self, kind: str, df: pl.DataFrame) -> References:
        """As :meth:`with_table`, but of a watchlist only the lists that `df` holds are replaced (OFAC's leaves the UN's)."""
        table, before = validate(kind, df), self.tables.get(kind)
        if kind == "watchlist" and before is not None:
            table = pl.concat([before.join(table.select("list").unique(), on="list", how="anti", nulls_equal=True), table])
        return self.with_table(kind, table)

    def without(self, kind: str) -> References:
        """These references less the table of `kind`."""
        _known(kind)
        return References({name: table for name, table in self.tables.items() if name != kind})

    def derive(self, key: object, build: Callable[[References], T]) -> T:
        """What `build` makes of these references, made once and kept as long as they live (thread-safe).

        `build` must be pure: a lookup prepared here costs a micro-batch nothing.
        """
        with self._lock:
            if key not in self._derived:
                self._derived[key] = build(self)
            value: T = self._derived[key]
            return value

    def fingerprints(self) -> dict[str, str]:
        """Content hash by kind (64 hex digits), computed once."""
        return self.derive("fingerprints", lambda refs: {kind: fingerprint(table) for kind, table in refs.tables.items()})

    def __reduce__(self) -> tuple[type[References], tuple[dict[str, pl.DataFrame]]]:
        return References, (dict(self.tables),)

    def __repr__(self) -> str:
        return f"References({', '.join(f'{kind}: {table.height}' for kind, table in self.tables.items())})"


def validate(kind: str, df: pl.DataFrame) -> pl.DataFrame:
    """`df` in the shape of `kind`: columns in order, cast, trimmed, sorted by key.

    Columns that the kind doesn't know are left out; an empty text is null. Raises ConfigurationError, with at most
    five examples, for missing columns, values that can't be read, values out of range, nulls where a value is
    required, and two rows with one key.
    """
    _known(kind)
    schema = SCHEMAS[kind]
    missing = [name for name in REQUIRED[kind] if name not in df.columns]
    if missing:
        raise ConfigurationError(
            f"reference table {kind} lacks the columns {', '.join(missing)}; it has {', '.join(df.columns) or 'none'}",
            state="the reference data is as it was",
            next=f"give it the columns {', '.join(schema.names())}",
        )
    columns = []
    for name, dtype in schema.items():
        if name not in df.columns:
            columns.append(pl.Series(name, [[] if dtype.is_nested() else None] * df.height, dtype=dtype))
            continue
        series, unreadable = cast_column(df[name], dtype, pad=4 if name == "mcc_code" else 0)
        if unreadable.any():
            _refuse(kind, f"{name} can't be read as {_plain(dtype)}", df[name].filter(unreadable))
        columns.append(series)
    out = pl.DataFrame(columns, schema=schema)
    for name in REQUIRED[kind]:
        if out[name].null_count():
            numbers = out.with_row_index("row", offset=1).filter(pl.col(name).is_null())["row"]
            _refuse(kind, f"{name} is empty", numbers, show="in row")
    for name, rule, condition in CHECKS[kind]:
        bad = out.filter(~condition)
        if bad.height:
            _refuse(kind, f"{name} must be {rule}", bad[name])
    keys = list(KEYS[kind])
    doubled = out.filter(pl.struct(keys).is_duplicated()).select(pl.concat_str(keys, separator=", ")).to_series()
    if doubled.len():
        _refuse(kind, f"{' and '.join(keys)} must be unique", doubled.unique(maintain_order=True))
    return out.sort(keys).rechunk()


def fingerprint(df: pl.DataFrame) -> str:
    """sha256 (64 hex digits) of the content of `df`: of names, types and values, whatever the order of rows or the chunks.

    It hashes bytes of its own making (lengths, UTF-8, little-endian numbers), so no file format is in it.
    """
    order = sorted(name for name, dtype in df.schema.items() if not dtype.is_nested())
    rows = df.sort(order, nulls_last=True, maintain_order=True) if order else df
    digest = hashlib.sha256()
    for name in sorted(rows.columns):
        digest.update(f"{name}\x00{rows.schema[name]}\x00{rows.height}\x00".encode())
        _hash_series(digest, rows[name])
    return digest.hexdigest()


def defaults() -> References:
    """The tables that come with the package: countries, currencies, mcc and an illustrative fx (to EUR)."""
    folder = resources.files("lakewarden") / "conf" / "reference"
    tables = {}
    for kind in DEFAULT_KINDS:
        text = (folder / f"{kind}.csv").read_bytes()
        tables[kind] = validate(kind, pl.read_csv(text, infer_schema=False, comment_prefix="#"))
    return References(tables)


def _hash_series(digest: hashlib._Hash, series: pl.Series) -> None:
    """Feed one column: which values are null, then the values, nulls left out."""
    digest.update(np.packbits(series.is_null().to_numpy()).tobytes())
    values = series.drop_nulls()
    if isinstance(values.dtype, pl.List):
        digest.update(values.list.len().cast(pl.Int64).to_numpy().astype("<i8").tobytes())
        _hash_series(digest, values.list.explode(empty_as_null=False, keep_nulls=True))
    elif values.dtype == pl.String:
        digest.update(values.str.len_bytes().cast(pl.Int64).to_numpy().astype("<i8").tobytes())
        digest.update(_utf8(values))
    elif values.dtype.is_float():
        digest.update(values.cast(pl.Float64).to_numpy().astype("<f8").tobytes())
    elif values.dtype.is_integer() or values.dtype.is_temporal() or values.dtype == pl.Boolean:
        digest.update(values.cast(pl.Int64).to_numpy().astype("<i8").tobytes())
    else:
        raise ConfigurationError(f"column {series.name} has the type {series.dtype}, which reference data doesn't hold")


def _utf8(values: pl.Series) -> pa.Buffer:
    """The bytes of all texts, one after the other, without a Python object for each."""
    texts = values.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return pa.py_buffer(b"") if data is None or not len(texts) else data[int(ends[0]) : int(ends[-1])]


def _known(kind: str) -> None:
    if kind not in SCHEMAS:
        raise ConfigurationError(
            f"there is no reference data of the kind {kind!r}", state="nothing was read", next=f"use one of: {', '.join(SCHEMAS)}"
        )


def _refuse(kind: str, what: str, values: pl.Series, show: str = "for example") -> None:
    examples = ", ".join(str(value) for value in values.head(EXAMPLES).to_list())
    raise ConfigurationError(
        f"reference table {kind}: {what} ({values.len()} {'row' if values.len() == 1 else 'rows'}; {show} {examples})",
        state="the reference data is as it was",
        next="correct the file and import it again",
    )


def _plain(dtype: pl.DataType) -> str:
    words = {"Int64": "a whole number", "Int8": "a whole number", "Float64": "a number", "Date": "a date (YYYY-MM-DD)"}
    return words.get(str(dtype), {"Boolean": "true or false"}.get(str(dtype), "text"))
