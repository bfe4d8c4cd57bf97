"""The part of the composition root that chooses the engine: see `lakewarden.app`. Nothing else names one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import UsageError
from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.lake.lease import Lease
from lakewarden.operations.dates import utc_now
from lakewarden.operations.recorded import Recorded

if TYPE_CHECKING:
    import threading
    from datetime import datetime
    from pathlib import Path

    from lakewarden.engines.embedded import EmbeddedEngine
    from lakewarden.engines.spark.engine import SparkEngine
    from lakewarden.sources.port import Source

EMBEDDED, SPARK = "embedded", "spark"
ENGINES: Final = (EMBEDDED, SPARK)


class Engines(Recorded):
    """A lake and the engine that its operations run on.

    Args:
        house: the lake.
        now: the wall clock.
        engine: `embedded`, or `spark` for Spark or Databricks, which the extra `lakewarden[spark]` brings.

    Raises:
        UsageError: there is no such engine.
    """

    def __init__(self, house: Lakehouse, now: Callable[[], datetime], engine: str = EMBEDDED) -> None:
        super().__init__(house, now)
        if engine not in ENGINES:
            raise UsageError(f"There is no engine {engine!r}.", state="nothing was done", next=f"name one of: {', '.join(ENGINES)}")
        self.engine = engine

    @contextlib.contextmanager
    def reading(self) -> Iterator[EmbeddedEngine | SparkEngine]:
        """An engine that can only read: its store refuses every write."""
        from lakewarden.lake.read_only import ReadOnlyStore

        with self.on(Lakehouse(ReadOnlyStore(self.house.store.root), self.house.settings)) as engine:
            yield engine

    @contextlib.contextmanager
    def writing(self, run_id: str, wait: threading.Event | None = None) -> Iterator[EmbeddedEngine | SparkEngine]:
        """An engine under the lake's lease, every earlier stream fenced off.

        Args:
            wait: wait for whoever holds the lease, until this is set; None: don't.

        Raises:
            LakeBusyError: another stream holds it.
            FencedError: another one took over meanwhile.
        """
        house, started = self.house, utc_now().isoformat(timespec="seconds")
        with (
            Lease(house.store, run_id, started, expires=house.settings.lease_seconds, floor=house.epoch(), wait=wait) as lease,
            self.on(house) as engine,
        ):
            try:
                house.claim(lease, utc_now())
                yield engine
            finally:
                house.unclaim()

    def source(
        self, uri: str, run_id: str, *, mapping: str | Path | None, once: bool, start: str | None, config: str | Path | None
    ) -> Source:
        """The source that a stream reads: on Spark, topics are read by its Structured Streaming.

        Raises:
            UsageError, SourceError, ConfigurationError: see `sources.open.open_source`.
        """
        from lakewarden.sources.kafka.address import is_topic
        from lakewarden.sources.open import open_source

        reader: Callable[..., Any] | None = None
        if self.engine == SPARK and is_topic(uri):
            from lakewarden.engines.spark.topic import SparkTopic

            reader = partial(SparkTopic, self.house.store.root, run_id)
        return open_source(uri, mapping=mapping, once=once, start=start, config=config, topic=reader)

    @contextlib.contextmanager
    def on(self, house: Lakehouse) -> Iterator[EmbeddedEngine | SparkEngine]:
        """The engine, over a lake as it is opened here."""
        with contextlib.ExitStack() as stack:
            engine: EmbeddedEngine | SparkEngine
            if self.engine == SPARK:
                from lakewarden.engines.spark.engine import SparkEngine
                from lakewarden.engines.spark.session import session

                engine = SparkEngine(house, time.monotonic, stack.enter_context(session()))
            else:
                from lakewarden.engines.embedded import EmbeddedEngine

                engine = EmbeddedEngine(house, time.monotonic)
            stack.callback(engine.close)
            yield engine
