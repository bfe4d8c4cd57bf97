"""Bronze rows through the stages inside Spark: by any split where a stage asks for no key, by shards of its key where it does.

The functions that run in the workers are those of `tasks`; between them Spark moves parcels, and computes no value itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from lakewarden.engines.spark import parcels, parts, tasks
from lakewarden.engines.spark.columns import from_arrow
from lakewarden.engines.spark.sending import Sent, is_remote, send
from lakewarden.engines.spark.session import check_session
from lakewarden.flow.behaviour import HORIZON_US
from lakewarden.tables import SILVER

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakewarden.engines.spark.state import Before
    from lakewarden.flow.release import Release

Task = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Shards:
    """In how many pieces ids and accounts are worked on, and the number by which Spark groups each, so that no two share a task."""

    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def spread(cls, session: SparkSession, count: int | None = None) -> Shards:
        """So many shards (None: one a task), evenly over the tasks of a shuffle.

        Spark puts a group into the task that the hash of its key says; among the first whole numbers are enough for every task.
        """
        among = int(str(session.conf.get("spark.sql.shuffle.partitions")))
        wanted = count or among
        by_task: dict[int, list[int]] = {}
        number = 0
        while min((len(by_task.get(task, ())) for task in range(among)), default=0) < -(-wanted // among):
            by_task.setdefault(hash_of_int(number) % among, []).append(number)
            number += 1
        return cls(tuple(by_task[n % among][n // among] for n in range(wanted)))


def hash_of_int(value: int) -> int:
    """What Spark's `hash` says of one int: Murmur3 (x86, 32 bits) over its four bytes, seed 42."""
    low = 0xFFFFFFFF
    mixed = value * 0xCC9E2D51 & low
    mixed = (mixed << 15 | mixed >> 17) & low
    found = 42 ^ (mixed * 0x1B873593 & low)
    found = ((found << 13 | found >> 19) & low) * 5 + 0xE6546B64 & low
    found ^= 4
    found = (found ^ found >> 16) * 0x85EBCA6B & low
    found = (found ^ found >> 13) * 0xC2B2AE35 & low
    found ^= found >> 16
    return found - (1 << 32) if found >> 31 else found


@dataclass(frozen=True)
class Passed:
    """What the parts made of some events, as parcels that Spark keeps until `close`."""

    admitted: DataFrame
    recognised: DataFrame
    remembered: DataFrame
    concluded: DataFrame

    @property
    def left(self) -> DataFrame:
        """Everything that left the flow."""
        from pyspark.sql import functions as f

        leaving = f.col("kind").isin(parts.DEAD, parts.CHECKED, parts.REPEATED)
        return self.admitted.filter(leaving).union(self.recognised.filter(leaving)).union(self.concluded)

    @property
    def states(self) -> DataFrame:
        """The states behind the events."""
        from pyspark.sql import functions as f

        return self.recognised.filter(f.col("kind") == tasks.IDS).union(self.remembered.filter(f.col("kind") == tasks.HISTORY))

    def close(self) -> None:
        """Let Spark forget the rows; the states are forgotten with them."""
        for frame in (self.admitted, self.recognised, self.remembered, self.concluded):
            forget(frame)


def run(bronze: DataFrame, state: DataFrame | None, shared: Sent[parts.Shared], shards: Shards) -> Passed:
    """What `flow.stages.run_flow` makes of events, value for value; nothing is computed before it is asked for.

    Args:
        bronze: at least the columns `parts.ENTERING`, in any order.
        state: parcels of states, as `Passed.states` or `fold` give them; None: nothing came before.
        shared: release and labels, sent.
        shards: pieces that ids and accounts are worked on in; the same ones that the state is in.

    Raises:
        ConfigurationError: the session's time zone isn't UTC.
    """
    check_session(bronze.sparkSession)
    count = len(shards)
    admitted = kept(mapped(bronze.select(*parts.ENTERING.names()), lambda some: tasks.admit(some, shared.value, count)))
    recognised = kept(
        grouped(_with_state(_rows(admitted), state, tasks.IDS), shards, lambda some: tasks.recognise(some, shared.value, count))
    )
    remembered = kept(
        grouped(_with_state(_rows(recognised), state, tasks.HISTORY), shards, lambda some: tasks.remember(some, shared.value, count))
    )
    concluded = kept(grouped(_rows(remembered), shards, lambda some: tasks.conclude(some, shared.value, count)))
    return Passed(admitted, recognised, remembered, concluded)


def kept(rows: DataFrame) -> DataFrame:
    """Rows that Spark keeps from the first time that it computes them, cut off from what they were made of, until `forget`.

    Not `persist`: what that keeps is thrown away and made again when a table that it was made of is written to, as bronze is by the next
    micro-batch.
    """
    return rows.localCheckpoint(eager=False)


def forget(rows: DataFrame) -> None:
    """Let Spark drop what it keeps of a checkpoint now. Else it stays until Python and then Java happen to collect.

    Over Connect the server sees to it.
    """
    if not is_remote(rows.sparkSession):
        rows._jdf.queryExecution().logical().rdd().unpersist(False)


PARTS_IN_ORDER: Final = ("admitted", "recognised", "remembered", "concluded")


def worked(passed: Passed, timer: Callable[[], float]) -> tuple[dict[str, int], dict[str, float]]:
    """Have every part worked on, one after the other; gives rows by kind, and each part's seconds."""
    from pyspark.sql import functions as f

    counts: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for part in PARTS_IN_ORDER:
        started = timer()
        for kind, rows in getattr(passed, part).groupBy("kind").agg(f.sum("rows")).collect():
            counts[kind] = counts.get(kind, 0) + int(rows)
        seconds[part] = timer() - started
    return counts, seconds


def fold(session: SparkSession, sources: Sequence[Before], release: Release, shards: Shards, min_clock: int | None = None) -> DataFrame:
    """The states behind rows of silver, which are all that there were before some place.

    Args:
        sources: where the rows are.
        release: the one that comes next.
        min_clock: earliest event time (microseconds) that will be asked for; None: any.
    """
    count, sent = len(shards), send(session, release)
    newest = max((tasks.latest(data) for source in sources for data in _parcels(_taken(source, tasks.OF_AGE, tasks.age))), default=None)
    floor = None if min_clock is None else min_clock - HORIZON_US
    folded: list[DataFrame] = []
    for columns, oldest, deal, task in (
        (tasks.OF_IDS, tasks.horizon(newest, release), tasks.deal_ids, tasks.fold_ids),
        (tasks.OF_HISTORY, tasks.reach(floor), tasks.deal_history, tasks.fold_history),
    ):
        moving = [_taken(source, columns, deal, oldest, count) for source in sources]
        folded.append(grouped(_union(moving), shards, partial(_folded, task, sent)))
    return _union(folded).localCheckpoint(eager=True)


def _folded(task: Callable[[pa.Table, Release], pa.Table], sent: Sent[Release], some: pa.Table) -> pa.Table:
    return task(some, sent.value)


def _taken(source: Before, columns: pl.Schema, deal: Callable[..., pa.Table], oldest: pl.Expr | None = None, count: int = 1) -> DataFrame:
    """The rows of one source that count, dealt to their shards as parcels."""
    keep = source.keep if oldest is None else source.keep & oldest
    wanted = pl.Schema({**columns, "event_date": SILVER.columns["event_date"]})
    if source.packed:
        return mapped(source.rows, lambda some: deal(tasks.unfolded(some, wanted).filter(keep).select(columns.names()), count))
    rows = source.rows if source.below is None else source.rows.filter(source.rows["seq"] < source.below)
    return mapped(rows.select(*wanted.names()), lambda some: deal(from_arrow(some, wanted).filter(keep).select(columns.names()), count))


def _parcels(frame: DataFrame) -> list[bytes]:
    found: list[bytes] = frame.select("parcel").toArrow().column("parcel").to_pylist()
    return found


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    return reduce(lambda one, other: one.union(other), frames)


def mapped(rows: DataFrame, task: Task) -> DataFrame:
    """A task over rows as they come, in any split."""

    def each(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for some in tasks.gathered(batches):
            yield from task(some).to_batches()

    return rows.mapInArrow(each, parcels.schema())


def grouped(moving: DataFrame, shards: Shards, task: Task) -> DataFrame:
    """A task over all parcels of each shard."""
    from pyspark.sql import functions as f

    def each(some: pa.Table) -> pa.Table:  # Spark asks a function for its arguments, which a `partial` doesn't tell
        return task(some)

    labels = f.array(*(f.lit(label) for label in shards.labels))
    return moving.groupBy(labels[f.col("shard")]).applyInArrow(each, parcels.schema())


def _rows(moving: DataFrame) -> DataFrame:
    from pyspark.sql import functions as f

    return moving.filter(f.col("kind").isin(parts.ROW, tasks.COPIES))


def _with_state(rows: DataFrame, state: DataFrame | None, kind: str) -> DataFrame:
    from pyspark.sql import functions as f

    return rows if state is None else rows.union(state.filter(f.col("kind") == kind))
