"""What the flow made of some events inside Spark: parcels that stay where they were made, and become rows of tables there."""

from __future__ import annotations

from collections.abc import Mapping
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
        """The rows of a table, complete."""
        made, spec = self.parcels(PARTS[name]).select("parcel"), TABLES[name]
        if PARTS[name] == parts.CHECKED:  # a handful, of which each worker has only a share
            checks = complete(name, self._checks(), stamp)
            return made.sparkSession.createDataFrame(to_arrow(checks, spec.schema), spark_schema(spec.schema))
        sent = send(made.sparkSession, stamp)

        def finished(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for data in batch.column(0).to_pylist():
                    yield from to_arrow(complete(name, parcels.frame_of(data), sent.value), spec.schema).to_batches()

        return made.mapInArrow(finished, spark_schema(spec.schema))

    def silver(self) -> DataFrame:
        """The parcels of silver's rows, for whoever derives behind them."""
        return self.parcels(parts.SILVER_ROWS)

    def collect(self) -> Derived:
        """Bring all rows here, each frame in `seq` order."""
        frames = {part: self._collected(part) for part in PARTS.values() if part != parts.CHECKED}
        return Derived(dq_results=self._checks(), seconds=self.seconds, **frames)

    def close(self) -> None:
        """Let Spark forget the rows."""
        self._passed.close()

    def _collected(self, part: str) -> pl.DataFrame:
        found = self.parcels(part).select("parcel").toArrow().column("parcel").to_pylist()
        frames = [parcels.frame_of(data) for data in found]
        if frames:
            return pl.concat(frames).sort("seq")
        spec = next(TABLES[name] for name, one in PARTS.items() if one == part)
        later = {*LINEAGE, *RUN_COLUMNS}  # what `complete` adds
        return pl.Schema({name: dtype for name, dtype in spec.columns.items() if name not in later}).to_frame()

    def _checks(self) -> pl.DataFrame:
        return parts.checks_of(self._collected(parts.CHECKED))
