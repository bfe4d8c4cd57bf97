"""A source, clocks and micro-batches made by hand, for a recorder whose every figure is known."""

import datetime as dt
from dataclasses import dataclass, field
from types import SimpleNamespace

import polars as pl

from lakewarden.engines.port import Committed, Events, MicroBatch
from lakewarden.operations.job import Clocks
from lakewarden.operations.pulse import Identity, PulseRecorder
from lakewarden.sources.port import PartitionStanding, SourceStanding

BEGIN = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
UTC_US = pl.Datetime("us", "UTC")


class Time:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> dt.datetime:
        return BEGIN + dt.timedelta(seconds=self.passed)

    @property
    def clocks(self) -> Clocks:
        return Clocks(self.now, lambda: 1000 + self.passed)


@dataclass
class Standing:
    """A source that stands as it is told to."""

    name: str = "kafka://broker/topic/id"
    partitions: tuple[PartitionStanding, ...] = ()
    troubles: dict[str, int] = field(default_factory=dict)
    throttled_ms: float = 0.0
    broken: bool = False

    def standing(self) -> SourceStanding:
        if self.broken:
            raise RuntimeError("the client is closed")
        return SourceStanding(self.partitions, dict(self.troubles), self.throttled_ms)


def recorder(time: Time, source: Standing, listener: object = None) -> PulseRecorder:
    return PulseRecorder(Identity("run-1", "host", 42), time.clocks, source, lambda: 123_000_000, listener)  # type: ignore[arg-type]


def batch(number: int, time: Time, waited: list[float], partitions: list[str] | None = None, *, broker: bool = True) -> MicroBatch:
    """A micro-batch whose events waited so many seconds until now."""
    times = pl.Series([time.now() - dt.timedelta(seconds=seconds) for seconds in waited], dtype=UTC_US)
    bronze = pl.DataFrame(
        {
            "enqueued_time": times if broker else pl.Series([None] * len(waited), dtype=UTC_US),
            "received_time": pl.Series([time.now()] * len(waited), dtype=UTC_US) if broker else times,
            "source_partition": partitions or ["0"] * len(waited),
            "source_offset": range(len(waited)),
        }
    )
    release = SimpleNamespace(id="r1")
    return MicroBatch(number, "run-1", release, Events(bronze), "kafka://broker/topic/id", 0.0)  # type: ignore[arg-type]


def committed(batch: MicroBatch, seconds: float = 0.1, **counts: int) -> Committed:
    rows = batch.bronze.height
    return Committed(batch.number, {"bronze": rows, "gold": rows, **counts}, {}, seconds, {"score": 0.03, "quality": 0.01}, {})


def publish(to: PulseRecorder, made: MicroBatch, seconds: float = 0.1, **counts: int) -> None:
    rows = dict(made.bronze.group_by("source_partition").len().iter_rows())
    to.published(made, committed(made, seconds, **counts), rows)
