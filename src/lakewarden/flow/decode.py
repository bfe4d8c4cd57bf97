"""First stage: an event's bytes become typed columns; what is wrong with it becomes reasons, never an error.

Plain events are read by the scanner at memory speed, the rest row by row; both give the same values, so what a row becomes
depends on its own bytes alone: not on its neighbours, and not on how the events were cut into micro-batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
import polars as pl
import pyarrow as pa

from lakewarden.flow import verdicts
from lakewarden.flow.columns import Assembly
from lakewarden.flow.exact import NOTHING, Exact, canonical, read_exactly
from lakewarden.flow.plan import DecodePlan, plan
from lakewarden.flow.scanner import DOUBT, PLAIN_AND_MORE, gather_unknown, scan
from lakewarden.flow.tokens import Bytes, Ints

if TYPE_CHECKING:
    from lakewarden.contracts.compiler import CompiledContract
    from lakewarden.settings import FlowSettings

OLDEST: Final = pl.duration(days=3653)
"""An event older than ten years at its arrival is filed under the date of arrival."""


def decode(bodies: pl.Series, contract: CompiledContract, settings: FlowSettings) -> pl.DataFrame:
    """Read events into columns, one row a body, in order.

    Args:
        bodies: Binary; the events as received.
        contract: names and types the properties.
        settings: `max_event_bytes`, beyond which a body isn't parsed (code `too_large`).

    Returns:
        Every column of tables.EVENT_PROPERTIES and every further property of the contract (null where missing, null or
        mistyped); `<p>_text` for every date-time property p (p itself is null where unreadable); `extra`: what no column
        of a table holds, as JSON with sorted keys; `enqueued_time` (reserved, null if unreadable); `codes`, `reasons`
        (List[String], empty when fine); `decoded`: False when the body isn't a JSON object.
    """
    looked_for = plan(contract)
    source = _Bodies(bodies)
    assembly = Assembly(looked_for, source.height, source.buffers)
    judged = source.scan(assembly, settings.max_event_bytes)
    assembly.read_far_numbers(judged)
    extra = _unknown(source, looked_for, judged)
    doubtful = np.flatnonzero(judged == DOUBT)
    exact = NOTHING
    if len(doubtful):
        exact = read_exactly(bodies.gather(doubtful).to_list(), looked_for, settings.max_event_bytes)
        assembly.put(doubtful, exact.columns)
    return pl.DataFrame([*assembly.series(source.words), *_verdicts(source.height, doubtful, exact, extra)])


def file_under(rows: pl.DataFrame, settings: FlowSettings) -> pl.DataFrame:
    """`rows` with `event_date`: the date of `event_time`, or of `arrival_time` where that is unreadable or out of reason.

    Out of reason: later than arrival by more than the tolerance for the future, or more than ten years before it.
    """
    event, arrival = pl.col("event_time"), pl.col("arrival_time")
    sound = (event <= arrival + pl.duration(seconds=settings.future_tolerance_seconds)) & (event >= arrival - OLDEST)
    return rows.with_columns(pl.when(sound).then(event).otherwise(arrival).dt.date().alias("event_date"))


class _Bodies:
    """The bodies as Arrow binary views and the buffers that they point into; nothing is copied."""

    def __init__(self, bodies: pl.Series) -> None:
        array = bodies.fill_null(b"").rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
        held = array.buffers()
        self.height = len(array)
        self.buffers: list[pa.Buffer] = list(held[2:])
        words = np.frombuffer(held[1], dtype=np.int64) if held[1] is not None else np.zeros(0, dtype=np.int64)
        self.words: Ints = words[2 * array.offset : 2 * (array.offset + self.height)]
        self.sizes: Ints = self.words[::2] & 0xFFFFFFFF

    def by_buffer(self, rows: Ints) -> Iterator[tuple[int, Bytes, Ints]]:
        """The rows by the buffer that holds their bodies: its number, its bytes, the rows in order."""
        numbers = self.words[2 * rows + 1] & 0xFFFFFFFF
        order = np.argsort(numbers, kind="stable")
        for some in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            if len(some):
                number = int(numbers[some[0]])
                yield number, np.frombuffer(self.buffers[number], dtype=np.uint8), rows[some]

    def scan(self, assembly: Assembly, largest: int) -> Bytes:
        """Scan every row into the assembly; the verdict on each. Bodies of up to 12 bytes lie in no buffer: in doubt."""
        judged = np.full(self.height, DOUBT, dtype=np.uint8)
        for number, data, rows in self.by_buffer(np.flatnonzero(self.sizes > 12)):
            follows = np.full(len(assembly.plan.keys.kinds) + 1, -1, dtype=np.int64)
            scan(data, number, rows, self.words, largest, judged, *assembly.plan.keys, *assembly.out, follows)
        return judged


def _unknown(source: _Bodies, looked_for: DecodePlan, judged: Bytes) -> list[tuple[Ints, pl.Series]]:
    """Rows and their `extra` for the rows scanned as PLAIN_AND_MORE; a row whose members aren't JSON falls into doubt."""
    out, keys = [], looked_for.keys
    for _, data, rows in source.by_buffer(np.flatnonzero(judged == PLAIN_AND_MORE)):
        text = np.empty(int(source.sizes[rows].sum()), dtype=np.uint8)
        ends = np.zeros(len(rows), dtype=np.int64)
        gather_unknown(text, ends, rows, source.words, data, keys.names, keys.starts, keys.kept)
        raw, start = text.tobytes(), 0
        texts: list[str | None] = []
        known: dict[bytes, str | None] = {}  # what upstream adds is often the same from event to event
        for end in ends.tolist():
            member = raw[start:end]
            if member not in known:
                known[member] = _canonical(member)
            texts.append(known[member])
            start = end
        series = pl.Series(texts, dtype=pl.String)
        judged[rows[series.is_null().to_numpy()]] = DOUBT
        out.append((rows, series))
    return out


def _canonical(members: bytes) -> str | None:
    """JSON with sorted keys; None where it is no JSON, or nested too deep to be kept."""
    try:
        return canonical(orjson.loads(members))
    except (orjson.JSONDecodeError, TypeError):
        return None


def _verdicts(height: int, doubtful: Ints, exact: Exact, extra: list[tuple[Ints, pl.Series]]) -> list[pl.Series]:
    """The columns `extra`, `codes`, `reasons` and `decoded`."""
    parts = [(doubtful, exact.extra), *extra]
    at = np.full(height, -1, dtype=np.int64)
    start = 0
    # The doubtful come last: a row that fell into doubt after the scan has an empty entry among the others.
    for rows, _ in reversed(parts):
        at[rows] = np.arange(start, start + len(rows))
        start += len(rows)
    held = pl.concat([texts for _, texts in reversed(parts)])
    numbers = pl.Series(at)
    kept = held.gather(numbers.set(numbers < 0, None)) if len(held) else pl.Series([None], dtype=pl.String).new_from_index(0, height)
    rows = doubtful[np.array(exact.failures.rows, dtype=np.int64)]
    order = np.argsort(rows, kind="stable")
    codes = pl.Series(exact.failures.codes, dtype=pl.String).gather(order)
    reasons = pl.Series(exact.failures.reasons, dtype=pl.String).gather(order)
    decoded = np.ones(height, dtype=np.bool_)
    decoded[doubtful] = exact.decoded
    return [
        kept.alias("extra"),
        verdicts.lists("codes", height, rows[order], codes),
        verdicts.lists("reasons", height, rows[order], reasons),
        pl.Series("decoded", decoded),
    ]
