"""From librdkafka's messages to columns: every call on a message costs, so as few as can be are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from confluent_kafka import KafkaError

from lakewarden.tables import UTC_US

if TYPE_CHECKING:
    from confluent_kafka import Message

_OFFSET: Final[Callable[[Any], int]] = methodcaller("offset")
_VALUE: Final[Callable[[Any], bytes | None]] = methodcaller("value")
_PARTITION: Final[Callable[[Any], int]] = methodcaller("partition")
_TIMESTAMP: Final[Callable[[Any], tuple[int, int]]] = methodcaller("timestamp")
_NO_TIMESTAMP: Final = 0


@dataclass(frozen=True)
class Fetched:
    """Events in the order of (partition, offset), and what lay between them.

    Attributes:
        rows: `body` (Binary), `partition` (Int32), `offset` (Int64), `time` (the broker's timestamp, null where it gave none).
        errors: errors, without ends of partitions.
        ended: partitions whose end was reached (if the consumer tells).
    """

    rows: pl.DataFrame
    errors: tuple[KafkaError, ...] = ()
    ended: frozenset[int] = frozenset()

    @property
    def last(self) -> dict[int, int]:
        """The last offset by partition."""
        ends = self.rows.group_by("partition").agg(pl.col("offset").last())
        return dict(ends.iter_rows())


def fetched(messages: Sequence[Message]) -> Fetched:
    """Take messages apart, in their order; those that are errors come apart from the events."""
    times = list(map(_TIMESTAMP, messages))
    kinds = np.fromiter((time[0] for time in times), np.int8, len(times))
    errors: list[KafkaError] = []
    ended: set[int] = set()
    if (kinds == _NO_TIMESTAMP).any():  # errors have none; asking each message for its error would cost as much as its body
        sound = []
        for message in messages:
            error = message.error()
            if error is None:
                sound.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(_PARTITION(message))
            else:
                errors.append(error)
        messages, times = sound, list(map(_TIMESTAMP, sound))
        kinds = np.fromiter((time[0] for time in times), np.int8, len(times))
    partitions = np.fromiter(map(_PARTITION, messages), np.int32, len(messages))
    milliseconds = pl.Series("time", [time[1] for time in times], dtype=pl.Int64)
    rows = pl.DataFrame(
        {
            "body": pl.Series([b"" if body is None else body for body in map(_VALUE, messages)], dtype=pl.Binary),
            "partition": partitions,
            "offset": _offsets(messages, partitions),
            "time": milliseconds,
            "known": kinds != _NO_TIMESTAMP,
        }
    )
    when = pl.when("known").then(pl.col("time") * 1000).cast(UTC_US).alias("time")
    return Fetched(rows.select("body", "partition", "offset", when), tuple(errors), frozenset(ended))


def together(pieces: Sequence[Fetched]) -> Fetched:
    """Pieces as one, in the order of (partition, offset). At least one piece."""
    rows = pl.concat([piece.rows for piece in pieces]).sort("partition", maintain_order=True)
    errors = tuple(error for piece in pieces for error in piece.errors)
    return Fetched(rows, errors, frozenset[int]().union(*(piece.ended for piece in pieces)))


def _offsets(messages: Sequence[Message], partitions: np.ndarray[Any, np.dtype[np.int32]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Offsets, asked for at the ends of each run of one partition; only a run with holes in it (a compacted topic) is asked one by one."""
    count = len(messages)
    found = np.empty(count, np.int64)
    if not count:
        return found
    bounds = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), count]
    for begin, end in pairwise(bounds):
        first, last = _OFFSET(messages[begin]), _OFFSET(messages[end - 1])
        if last - first == end - 1 - begin:
            found[begin:end] = np.arange(first, last + 1)
        else:
            found[begin:end] = list(map(_OFFSET, messages[begin:end]))
    return found
