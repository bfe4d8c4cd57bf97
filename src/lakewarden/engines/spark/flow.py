"""Bronze rows through the stages inside Spark: row by row where a stage asks for no key, by shards of its key where it does.

The functions that run in the workers are those of `parts`; Spark moves rows between them, and no value is computed by Spark itself
but shard numbers, which decide where a row is worked on and never what it becomes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl
import pyarrow as pa

from lakewarden.engines.spark import parts
from lakewarden.engines.spark.columns import from_arrow, spark_schema, to_arrow
from lakewarden.engines.spark.session import check_session
from lakewarden.flow.behaviour import HORIZON_US, BehaviourState
from lakewarden.flow.deduplicate import DedupState
from lakewarden.flow.stages import Derived

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from lakewarden.flow.labels import LabelIndex
    from lakewarden.flow.release import Release

BLOCK_ROWS: Final = 50_000
"""Places in the order of arrival that are concluded together."""

_SHARD: Final = "_shard"


class _Sent(Protocol):
    """A value that Spark sends to every worker once."""

    @property
    def value(self) -> parts.Shared:
        """What was sent."""
        ...


@dataclass(frozen=True)
class SparkDerived:
    """What the flow made of some events, as Spark frames that are kept until `close`.

    Attributes:
        admitted, recognised, concluded: outcomes of the parts, all kinds of rows together.
        kinds: the columns of each kind of row, by part.
    """

    admitted: DataFrame
    recognised: DataFrame
    concluded: DataFrame
    kinds: Mapping[str, Mapping[str, pl.Schema]]

    def collect(self) -> Derived:
        """Bring all rows here, each frame in `seq` order."""
        admitted = self._frames("admit", self.admitted, parts.DEAD, parts.CHECK)
        recognised = self._frames("recognise", self.recognised, parts.DEAD, parts.DUPLICATE)
        concluded = self._frames("conclude", self.concluded, parts.ROW, parts.GOLD, parts.ALERT)
        return Derived(
            silver=concluded[parts.ROW].sort("seq"),
            gold=concluded[parts.GOLD].sort("seq"),
            alerts=concluded[parts.ALERT].sort("seq"),
            dead_letters=pl.concat([admitted[parts.DEAD], recognised[parts.DEAD]]).sort("seq"),
            duplicates=recognised[parts.DUPLICATE].sort("seq"),
            dq_results=parts.checks_of(admitted[parts.CHECK]),
            seconds={},
        )

    def close(self) -> None:
        """Let Spark forget the rows."""
        for frame in (self.admitted, self.recognised, self.concluded):
            frame.unpersist()

    def _frames(self, part: str, outcome: DataFrame, *kinds: str) -> dict[str, pl.DataFrame]:
        columns = self.kinds[part]
        whole = pl.Schema({name: dtype for kind in kinds for name, dtype in columns[kind].items()} | {parts.KIND: pl.String()})
        rows = from_arrow(outcome.filter(outcome[parts.KIND].isin(*kinds)).select(*whole.names()).toArrow(), whole)
        return {kind: rows.filter(pl.col(parts.KIND) == kind).select(columns[kind].names()) for kind in kinds}


def derive(
    bronze: DataFrame, silver: DataFrame, release: Release, labels: LabelIndex, *, shards: int, min_clock: int | None = None
) -> SparkDerived:
    """What `flow.stages.run_flow` makes of a stretch of arrivals, value for value.

    Args:
        bronze: the stretch's rows; in any order.
        silver: rows from before the stretch, which give the state; in any order.
        release: the one that all of the stretch is derived under.
        labels: those that were known.
        shards: pieces that ids and accounts are worked on in; a piece and its history must fit into a worker's memory.
        min_clock: earliest event time (microseconds) in the stretch; None: any.

    Raises:
        ConfigurationError: the session's time zone isn't UTC.
    """
    check_session(bronze.sparkSession)
    shared = parts.Shared(release, labels)
    sent: _Sent = bronze.sparkSession.sparkContext.broadcast(shared)
    outcomes = parts.nothing(shared)
    schemas = {name: parts.together(outcome).schema for name, outcome in outcomes.items()}
    kinds = {name: {kind: frame.schema for kind, frame in outcome.items()} for name, outcome in outcomes.items()}

    admitted = _each(bronze, parts.ENTERING, schemas["admit"], sent).persist()
    rows = _rows(admitted, kinds["admit"][parts.ROW])
    recognised = _sharded(
        rows.withColumn(_SHARD, _shard("transaction_id", shards)),
        _ids_before(silver, release).withColumn(_SHARD, _shard("transaction_id", shards)),
        (kinds["admit"][parts.ROW], _of_silver(DedupState.NEEDS)),
        schemas["recognise"],
        lambda some, before: parts.recognise(some, before, sent.value),
    ).persist()
    entering = pl.Schema({**kinds["recognise"][parts.ROW], parts.HOME: pl.Boolean()})
    remembered = _sharded(
        _with_copies(_rows(recognised, kinds["recognise"][parts.ROW]), shards),
        _with_copies(_history_before(silver, min_clock), shards),
        (entering, _of_silver(BehaviourState.NEEDS)),
        schemas["remember"],
        lambda some, before: parts.remember(some, before, sent.value),
    )
    concluded = _blocks(remembered, kinds["remember"][parts.ROW], schemas["conclude"], sent).persist()
    return SparkDerived(admitted, recognised, concluded, kinds)


def _each(bronze: DataFrame, entering: pl.Schema, leaving: pl.Schema, sent: _Sent) -> DataFrame:
    """Run the first part over rows as they come."""

    def admit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            events = from_arrow(pa.Table.from_batches([batch]), entering)
            yield from to_arrow(parts.together(parts.admit(events, sent.value)), leaving).to_batches()

    return bronze.select(*entering.names()).mapInArrow(admit, spark_schema(leaving))


def _sharded(
    rows: DataFrame,
    before: DataFrame,
    entering: tuple[pl.Schema, pl.Schema],
    leaving: pl.Schema,
    fold: Callable[[pl.DataFrame, pl.DataFrame], parts.Outcome],
) -> DataFrame:
    """Fold each shard's rows behind its rows of silver."""
    of_rows, of_silver = entering

    def folded(some: pa.Table, earlier: pa.Table) -> pa.Table:
        if some.num_rows == 0:
            return to_arrow(leaving.to_frame(), leaving)
        return to_arrow(parts.together(fold(from_arrow(some, of_rows), from_arrow(earlier, of_silver))), leaving)

    grouped, earlier = rows.groupBy(_SHARD), before.select(*of_silver.names(), _SHARD).groupBy(_SHARD)
    return grouped.cogroup(earlier).applyInArrow(folded, spark_schema(leaving))


def _blocks(remembered: DataFrame, entering: pl.Schema, leaving: pl.Schema, sent: _Sent) -> DataFrame:
    """Run the last part over blocks of the order of arrival, in which a row meets its copy."""
    from pyspark.sql import functions as f

    def conclude(rows: pa.Table) -> pa.Table:
        return to_arrow(parts.together(parts.conclude(from_arrow(rows, entering), sent.value)), leaving)

    return remembered.groupBy(f.floor(f.col("seq") / BLOCK_ROWS)).applyInArrow(conclude, spark_schema(leaving))


def _rows(outcome: DataFrame, schema: pl.Schema) -> DataFrame:
    """The rows of a part's outcome that go on."""
    return outcome.filter(outcome[parts.KIND] == parts.ROW).select(*schema.names())


def _of_silver(names: tuple[str, ...]) -> pl.Schema:
    return pl.Schema({name: parts.REMEMBERED[name] for name in names})


def _shard(key: str | Column, shards: int) -> Column:
    """The shard of a key. Any function of the key would do: it must only be the same for rows, their copies and their history."""
    from pyspark.sql import functions as f

    return f.pmod(f.xxhash64(key), f.lit(shards)).cast("int")


def _with_copies(rows: DataFrame, shards: int) -> DataFrame:
    """Rows in the shard of their account, and copies in the shard of their party where that is another one.

    An account's shard is that of the party `c:` + its id, because that is the party it asks what it received.
    """
    from pyspark.sql import functions as f

    home = _shard(f.concat(f.lit("c:"), "account_id"), shards)
    away = f.coalesce(f.when(f.col("party_id").isNotNull(), _shard("party_id", shards)), home)
    spread = rows.withColumn(_SHARD, f.explode(f.array_distinct(f.array(home, away))))
    return spread.withColumn(parts.HOME, f.col(_SHARD) == home)


def _ids_before(silver: DataFrame, release: Release) -> DataFrame:
    """The rows of silver that arrived within the horizon before the newest of them."""
    from pyspark.sql import functions as f

    newest = silver.agg(f.max("arrival_time").alias("newest"))
    horizon = f.expr(f"INTERVAL {release.settings.dedup_horizon_hours} HOURS")
    recent = silver.crossJoin(f.broadcast(newest)).filter(f.col("arrival_time") >= f.col("newest") - horizon)
    return recent.select(*DedupState.NEEDS)


def _history_before(silver: DataFrame, min_clock: int | None) -> DataFrame:
    """The rows of silver that somebody's windows can still reach."""
    rows: Any = silver.select(*BehaviourState.NEEDS)
    floor = None if min_clock is None else min_clock - HORIZON_US
    return rows if floor is None else rows.filter((rows["clock"] >= floor) | (rows["party_clock"] >= floor))
