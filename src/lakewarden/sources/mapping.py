"""From any source's column names to the contract's, for rows and for JSON lines; and the labels beside them."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from string import Formatter
from typing import Final

import orjson
import polars as pl

from lakewarden.contracts.rfc3339 import read_instants
from lakewarden.errors import ConfigurationError
from lakewarden.sources.bodies import render
from lakewarden.sources.mapping_spec import LabelSpec, MappingSpec, Origin, load_spec
from lakewarden.sources.values import flags, instant, number, text, truth
from lakewarden.tables import EVENT_PROPERTIES, UTC_US

ARRIVAL: Final = "enqueued_time"
"""The envelope property that says when an event arrived."""

LABEL_SCHEMA: Final = pl.Schema(
    {
        "transaction_id": pl.String(),
        "is_fraud": pl.Boolean(),
        "typology": pl.String(),
        "known_time": UTC_US,
        "account_id": pl.String(),
        "party_id": pl.String(),
        "event_time": UTC_US,
    }
)
"""What labels are, wherever they come from; `known_time` null: not said; the last three are null where the source has none."""


class EventMapping:
    """Turns a source's rows into events of the contract.

    Args:
        spec: what a mapping file says; without one, columns keep their names and only their values are fitted to the contract.
    """

    def __init__(self, spec: MappingSpec | None = None) -> None:
        self.spec = spec or MappingSpec()
        self._hidden = self.spec.drop | (self.spec.labels.secret if self.spec.labels else frozenset())
        self._given = {*self.spec.columns, *([ARRIVAL] if self.spec.arrival else [])}

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when what the mapping does changes."""
        spec = self.spec.model_dump(mode="json", exclude_defaults=True) | {"drop": sorted(self.spec.drop)}
        return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]

    def apply(self, frame: pl.DataFrame, *, where: str = "the source") -> pl.DataFrame:
        """Return rows under the contract's names: its properties, `enqueued_time` if there is an arrival, then all columns kept.

        Times become RFC 3339 text, ids text, amounts numbers; what can't be read stays as its text. A kept column whose name is
        given to something else becomes `source_<name>`. Same height and order.

        Raises:
            ConfigurationError: a column that the mapping names does not exist; `where` is named with the columns that do.
        """
        for name, origin in self.spec.columns.items():
            _require(origin.columns, f"columns.{name}", frame.columns, where)
        _require(self._arrival_columns(), "arrival", frame.columns, where)
        origins = {name: Origin(column=name) for name in EVENT_PROPERTIES if name in frame.columns and name not in self._hidden}
        origins |= self.spec.columns
        filled = self._fill(frame, origins)
        used = {column for origin in origins.values() for column in origin.columns} | {*self._arrival_columns()} | self._hidden
        taken = {series.name for series in filled} | set(frame.columns)
        for column in frame:
            if column.name not in used:
                filled.append(column.alias(_other_name(column.name, taken)) if column.name in self._given else column)
        return pl.DataFrame(filled, height=frame.height)

    def to_bodies(self, frame: pl.DataFrame, *, where: str = "the source") -> pl.Series:
        """Return the rows as JSON bodies (Binary) of the contract, nulls absent.

        Raises:
            ConfigurationError: as `apply`.
        """
        return render(self.apply(frame, where=where)) if frame.height else pl.Series(dtype=pl.Binary)

    def map_lines(self, bodies: pl.Series) -> pl.Series:
        """Return JSON bodies under the contract's names; a body that is no JSON object stays as it is, so that decode rejects it.

        Properties that the mapping doesn't name keep their names and values. Same height and order.
        """
        used = sorted({column for origin in self.spec.columns.values() for column in origin.columns} | {*self._arrival_columns()})
        texts: dict[str, list[str | None]] = {column: [] for column in used}
        rest: list[bytes | None] = []
        broken: list[bool] = []
        for body in bodies.to_list():
            event = _object(body)
            broken.append(event is None)
            event = event or {}
            for column, values in texts.items():
                value = event.pop(column, None)
                values.append(value if value is None or type(value) is str else _scalar_text(value))
            for name in self._hidden:
                event.pop(name, None)
            if not self._given.isdisjoint(event):
                for name in self._given & event.keys():
                    event[_other_name(name, set(event))] = event.pop(name)
            rest.append(orjson.dumps(event)[1:-1] if event else None)
        frame = pl.DataFrame(texts, schema=dict.fromkeys(used, pl.String), height=len(bodies))
        mapped = pl.DataFrame(self._fill(frame, self.spec.columns), height=len(bodies))
        rendered = render(mapped, pl.Series(rest, dtype=pl.Binary).cast(pl.String))
        return bodies.zip_with(pl.Series(broken), rendered).alias(bodies.name)

    def labels(self, frame: pl.DataFrame, *, where: str = "the source") -> pl.DataFrame:
        """Return the labels of the rows with the columns of `LABEL_SCHEMA`, same height and order.

        Raises:
            ConfigurationError: the mapping has no `labels` section, or a column that it names does not exist.
        """
        spec = self.label_spec()
        needed = {spec.is_fraud, *spec.secret, *([spec.transaction_id] if spec.transaction_id else [])}
        _require(needed, "labels", frame.columns, where)
        wanted = ("transaction_id", "event_time", "account_id", "merchant_id", "counterparty_id")
        events = self.apply(frame, where=where)
        events = events.select([_column(events, name) for name in wanted])
        if spec.transaction_id:
            events = events.with_columns(text(frame[spec.transaction_id]).alias("transaction_id"))
        event_time = read_instants(events["event_time"])
        if spec.known_time is not None:
            known = read_instants(_value(frame, ARRIVAL, spec.known_time))
        elif spec.known_after_days is not None:
            known = (event_time.to_physical() + round(spec.known_after_days * 86_400_000_000)).cast(UTC_US)
        else:
            known = pl.Series([None] * frame.height, dtype=UTC_US)
        fraud = truth(frame[spec.is_fraud])
        return events.select(
            "transaction_id",
            fraud.alias("is_fraud"),
            _typology(frame, spec, fraud).alias("typology"),
            known.alias("known_time"),
            "account_id",
            party("merchant_id", "counterparty_id"),
            event_time.alias("event_time"),
        )

    def label_spec(self) -> LabelSpec:
        """Return the `labels` section.

        Raises:
            ConfigurationError: there is none.
        """
        if self.spec.labels is None:
            raise ConfigurationError("the mapping has no `labels` section", next="add `labels: {is_fraud: COLUMN}` to the mapping file")
        return self.spec.labels

    def _arrival_columns(self) -> tuple[str, ...]:
        return self.spec.arrival.columns if self.spec.arrival else ()

    def _fill(self, frame: pl.DataFrame, origins: dict[str, Origin]) -> list[pl.Series]:
        """The contract's properties of the rows, in the contract's order, then the arrival."""
        filled = [_value(frame, name, origins[name]) for name in EVENT_PROPERTIES if name in origins]
        if self.spec.arrival is not None:
            filled.append(_value(frame, ARRIVAL, self.spec.arrival))
        return filled


def load_mapping(path: str | Path) -> EventMapping:
    """Read a mapping file.

    Raises:
        ConfigurationError: it's missing, no YAML, or not a mapping; every offending key is named.
    """
    return EventMapping(load_spec(path))


def party(merchant: str, counterparty: str) -> pl.Expr:
    """The other side of a transaction: "m:" and the merchant, or "c:" and the counterparty, or null."""
    return pl.coalesce(pl.format("m:{}", pl.col(merchant)), pl.format("c:{}", pl.col(counterparty))).alias("party_id")


def _value(frame: pl.DataFrame, name: str, origin: Origin) -> pl.Series:
    dtype = UTC_US if name == ARRIVAL else EVENT_PROPERTIES[name]
    if origin.value is not None:
        return pl.Series(name, [origin.value], dtype=dtype).new_from_index(0, frame.height)
    if origin.template is not None:
        source = _template(frame, origin.template)
    else:
        source = frame[origin.columns[0]]
        source = text(source) if source.dtype == pl.Binary else source
    if dtype == pl.Float64:
        return number(source, origin.scale).alias(name)
    if dtype == UTC_US:
        return instant(source, origin.format, origin.timezone).alias(name)
    if dtype == pl.List(pl.String):
        return flags(source, origin.separator).alias(name)
    return text(source).alias(name)


def _typology(frame: pl.DataFrame, spec: LabelSpec, fraud: pl.Series) -> pl.Series:
    if spec.typology is None:
        return pl.Series([None] * frame.height, dtype=pl.String)
    named = text(frame[spec.typology.column])
    named = named.replace(spec.typology.names) if spec.typology.names else named
    return named.set(~fraud.fill_null(False), None)


def _template(frame: pl.DataFrame, template: str) -> pl.Series:
    parts: list[pl.Expr] = []
    texts: dict[str, pl.Series] = {}
    for literal, column, _, _ in Formatter().parse(template):
        parts += [pl.lit(literal)] if literal else []
        if column:
            texts[column] = text(frame[column]).alias(column)
            parts.append(pl.col(column))
    return pl.DataFrame(list(texts.values())).select(pl.concat_str(parts)).to_series()


def _require(names: Iterable[str], key: str, columns: list[str], where: str) -> None:
    for name in names:
        if name not in columns:
            close = difflib.get_close_matches(name, columns, 1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise ConfigurationError(
                f"mapping key `{key}`: {where} has no column {name}{meant}; its columns are {', '.join(columns)}",
                next="correct the mapping file and run the same command again",
            )


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    return text(frame[name]).alias(name) if name in frame.columns else pl.Series(name, [None] * frame.height, dtype=pl.String)


def _other_name(name: str, taken: set[str]) -> str:
    other = f"source_{name}"
    while other in taken:
        other += "_"
    taken.add(other)
    return other


def _object(body: bytes) -> dict[str, object] | None:
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def _scalar_text(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return orjson.dumps(value).decode()
