"""What the flow made of some events inside Spark: parcels that stay where they were made, and become rows of tables there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from lakewarden.engines.lineage import PARTS, complete
from lakewarden.engines.spark import parcels, parts
from lakewarden.engines.spark.columns import spark_schema, to_arrow
from lakewarden.engines.spark.sending import send
from lakewarden.flow.stages import Derived
from lakewarden.tables import LINEAGE, RUN_COLUMNS, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

    from lakewarden.engines.lineage import Stamp
    from lakewarden.engines.spark.flow import Passed


class SparkOutcome:
    """Implements `engines.port.Outcome`; Spark keeps the rows until `close`.

    Args:
        passed: the parcels.
        counts: rows by part.
        seconds: by part of the flow.
    """

    def __init__(self, passed: Passed, counts: Mapping[str, int], seconds: Mapping[str, float]) -> None:
        self._passed = passed
        self.counts = {part: counts.get(part, 0) for part in PARTS.values()}
        self.seconds = dict(seconds)

    def parcels(self, *kinds: str) -> DataFrame:
        """The parcels of some parts of `flow.stages.Derived`."""
        from pyspark.sql import functions as f

        return self._passed.left.filter(f.col("kind").isin(*kinds))

    def rows(self, name: str, stamp: Stamp) -> DataFrame:
        """The rows of a table, complete, where they are."""
        made, spec = self.parcels(PARTS[name]).select("parcel"), TABLES[name]
        sent = send(made.sparkSession, stamp)

        def finished(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for data in batch.column(0).to_pylist():
                    yield from to_arrow(complete(name, parcels.frame_of(data), sent.value), spec.schema).to_batches()

        return made.mapInArrow(finished, spark_schema(spec.schema))

    def small_rows(self, names: Sequence[str], stamp: Stamp) -> dict[str, pl.DataFrame]:
        """The rows of tables that have few, complete, brought here at once."""
        if not names:
            return {}
        found = self._frames(*(PARTS[name] for name in names))
        return {name: complete(name, found[PARTS[name]], stamp) for name in names}

    def silver(self) -> DataFrame:
        """The parcels of silver's rows, for whoever derives behind them."""
        return self.parcels(parts.SILVER_ROWS)

    def collect(self) -> Derived:
        """Bring all rows here, each frame in `seq` order."""
        return Derived(seconds=self.seconds, **self._frames(*PARTS.values()))

    def close(self) -> None:
        """Let Spark forget the rows."""
        self._passed.close()

    def _frames(self, *names: str) -> dict[str, pl.DataFrame]:
        """Rows by part; of what each rule found, only the workers' shares are there before."""
        found: dict[str, list[pl.DataFrame]] = {name: [] for name in names}
        for kind, data in zip(*(column.to_pylist() for column in self.parcels(*names).select("kind", "parcel").toArrow()), strict=True):
            found[kind].append(parcels.frame_of(data))
        frames = {}
        for name, some in found.items():
            table = next(table for table, part in PARTS.items() if part == name)
            rows = pl.concat(some).sort("seq", maintain_order=True) if some else _nothing(table)
            frames[name] = parts.checks_of(rows) if name == parts.CHECKED and some else rows
        return frames


def _nothing(name: str) -> pl.DataFrame:
    """No rows of a table as the stages make them: without what `complete` adds."""
    later = {*LINEAGE, *RUN_COLUMNS}
    return pl.Schema({column: dtype for column, dtype in TABLES[name].columns.items() if column not in later}).to_frame()
