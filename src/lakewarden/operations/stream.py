"""Streaming (runbook section 1): events in, every table out, exactly once.

Three threads, each a step ahead of the next: receive (read, decode, commit bronze), derive (the stages), commit (every other
table, the run record, the published point); a fourth keeps tail and log short beside them. Bronze is committed first and is the
log of all the rest: whatever a killed process left undone is finished from it at the next start, under the release in its rows.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from lakewarden.engines.lineage import RunRecord, Stamp, run_record
from lakewarden.engines.port import Committed, MicroBatch
from lakewarden.operations.handover import TICK_SECONDS, put, take
from lakewarden.operations.receive import Receiver
from lakewarden.progress import Progress

if TYPE_CHECKING:
    from lakewarden.engines.port import Outcome, State
    from lakewarden.flow.release import Release
    from lakewarden.operations.job import StreamJob
    from lakewarden.operations.pulse import PulseRecorder
    from lakewarden.progress import OnProgress


@dataclass
class StreamTotals:
    """What a stream has done so far."""

    batches: int = 0
    recovered: int = 0
    rows: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    latencies: list[tuple[int, float, float, float]] = field(default_factory=list)
    releases: list[str] = field(default_factory=list)

    def add(self, batch: MicroBatch, committed: Committed) -> None:
        """Count one finished micro-batch."""
        self.batches += 1
        self.rows += batch.bronze.height
        for name, count in committed.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        for name, seconds in committed.stage_seconds.items():
            self.stage_seconds[name] = self.stage_seconds.get(name, 0.0) + seconds
        late = committed.latency_ms
        self.latencies.append((batch.bronze.height, late["p50"], late["p95"], late["p99"]))
        if not self.releases or self.releases[-1] != batch.release.id:
            self.releases.append(batch.release.id)


class Stream:
    """One run of the stream on one lake. Call `recover` and then `run`, under the lake's lease.

    Args:
        job: engine, source, releases, settings, run id, clocks.
        on_progress: told after every micro-batch.
        recorder: told of every micro-batch when it is taken, and when readers see it.
        check: called where a micro-batch begins and where it is committed; raises FencedError when the lease is known to be lost.
    """

    def __init__(
        self,
        job: StreamJob,
        on_progress: OnProgress | None = None,
        recorder: PulseRecorder | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._job = job
        self._engine = job.engine
        self._clocks = job.clocks
        self._on_progress = on_progress
        self._recorder = recorder
        self._check = check
        self._recovered_ends: list[tuple[str, dict[str, int]]] = []
        self._state: State | None = None
        self._next_seq = 0
        self._derived = -1
        self._publishing = threading.RLock()
        self._failure: BaseException | None = None
        self._finished = -1
        self._progressed = threading.Condition()
        self._untidy = threading.Event()
        self._moved = threading.Event()
        self.totals = StreamTotals()

    # --- recovery -----------------------------------------------------------------------------------------------

    def recover(self) -> int:
        """Finish what was begun: orders cut short, then every micro-batch that bronze has and some table lacks; gives their number."""
        newest, finished = self._engine.heads()
        self._finished = self._derived = finished
        halfway = self._job.orders.take_up()  # first: the state of what comes is rebuilt from what they bring
        pending = range(finished + 1, newest + 1)
        loaded: dict[str, Release] = {}
        for number in pending:
            events = self._engine.recall(number)
            release = self._load(events.bronze["release_id"][0], loaded)
            source = str(events.bronze["source"][0])
            batch = MicroBatch(number, self._job.run_id, release, events, source, self._clocks.monotonic())
            # None is published before the last: a reader must not see half of an order.
            self._recovered_ends.append((batch.source, self._commit(batch, self._derive_one(batch), publish=False)))
        self._next_seq = self._engine.arrived().seq
        if halfway:
            self._job.orders.conclude(newest, self._next_seq)
            self._state = None  # what comes next sees what they brought in; what was finished just now doesn't
        elif newest >= 0:
            self._job.publish(newest, self._clocks.now())
        self.totals.recovered = len(pending)
        if self._recorder is not None:
            self._recorder.recovered(len(pending))
        return len(pending)

    def carry_out(self) -> None:
        """Carry out the orders that wait, all micro-batches being finished; readers see the whole of each at once."""
        with self._publishing:
            if self._job.orders.carry_out(self._finished, self._next_seq):
                self._state = None  # the next micro-batch rebuilds it, from what stands now

    def _load(self, release_id: str, loaded: dict[str, Release]) -> Release:
        if release_id not in loaded:
            loaded[release_id] = self._job.releases.load(release_id)
        return loaded[release_id]

    # --- the three steps ----------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> StreamTotals:
        """Stream until the source is exhausted or `stop` is set; what was read by then is finished.

        Raises:
            LakewardenError: a step failed; all that was committed stands and the rest is finished at the next start.
        """
        receiver = Receiver(self._job)
        for name, ends in self._recovered_ends:  # told only now that the source knows where it goes on
            self._acknowledge(name, ends)
        received: queue.Queue[MicroBatch | None] = queue.Queue(self._job.settings.queue_batches)
        derived: queue.Queue[tuple[MicroBatch, Outcome] | None] = queue.Queue(1)
        halt = threading.Event()
        threads = [
            threading.Thread(target=self._guard, args=(halt, self._receive_all, receiver, received, stop, halt), name="receive"),
            threading.Thread(target=self._guard, args=(halt, self._derive_all, received, derived, halt), name="derive"),
            threading.Thread(target=self._guard, args=(halt, self._tidy_all, halt), name="tidy"),
        ]
        for thread in threads:
            thread.start()
        self._guard(halt, self._commit_all, derived, halt)
        halt.set()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
        self._publish_layout()
        return self.totals

    def _guard(self, halt: threading.Event, step: Callable[..., None], *args: object) -> None:
        try:
            step(*args)
        except BaseException as error:  # noqa: BLE001  (raised again by run, in the caller's thread)
            halt.set()
            with self._progressed:
                self._failure = self._failure or error
                self._progressed.notify_all()

    def _receive_all(self, receiver: Receiver, out: queue.Queue[MicroBatch | None], stop: threading.Event, halt: threading.Event) -> None:
        while not (stop.is_set() or halt.is_set()):
            self._check()
            batch = receiver.next_batch()
            if batch is not None:
                if self._recorder is not None:
                    self._recorder.took(batch)
                put(out, batch, halt)
            elif self._job.source.exhausted:
                break
        put(out, None, halt)

    def _derive_all(
        self, batches: queue.Queue[MicroBatch | None], out: queue.Queue[tuple[MicroBatch, Outcome] | None], halt: threading.Event
    ) -> None:
        for batch in take(batches, halt, self._carry_out_due):
            derived = self._derive(batch)
            put(out, (replace(batch, events=replace(batch.events, content=None)), derived), halt)  # it is large and no longer needed
            del batch, derived
        put(out, None, halt)

    def _commit_all(self, pairs: queue.Queue[tuple[MicroBatch, Outcome] | None], halt: threading.Event) -> None:
        started = self._clocks.monotonic()
        for batch, derived in take(pairs, halt, self._publish_layout):
            self._acknowledge(batch.source, self._commit(batch, derived))
            self._untidy.set()
            if self._on_progress is not None:
                elapsed = max(self._clocks.monotonic() - started, 1e-9)
                fraction = self._job.source.fraction
                total = round(self.totals.rows / fraction) if fraction else None
                self._on_progress(Progress(self.totals.rows, total, "streaming", self.totals.rows / elapsed))

    def _derive(self, batch: MicroBatch) -> Outcome:
        self._carry_out_due()
        return self._derive_one(batch)

    def _carry_out_due(self) -> None:
        """Between two micro-batches: orders wait until the one before is published, and what comes waits for them."""
        if self._job.orders.due():
            self._wait_for(self._derived)
            if self._failure is None:
                self.carry_out()

    def _derive_one(self, batch: MicroBatch) -> Outcome:
        if self._state is None or not self._state.fits(batch.release):  # a release may ask for ids from further back than are remembered
            self._wait_for(batch.number - 1)
            self._state = self._engine.state_before(batch.first_seq, batch.release)
        derived = self._engine.derive(batch.events, batch.release, self._state, batch.labels_version, self._clocks.monotonic)
        self._derived, self._next_seq = batch.number, batch.last_seq + 1
        return derived

    def _wait_for(self, number: int) -> None:
        """Until a micro-batch is committed, or another step failed (its error is what run raises)."""
        with self._progressed:
            self._progressed.wait_for(lambda: self._finished >= number or self._failure is not None)

    def _commit(self, batch: MicroBatch, derived: Outcome, *, publish: bool = True) -> dict[str, int]:
        """Write and publish; gives the last offset of each source partition in it."""
        self._check()
        committed = self._write(batch, derived)
        self._moved.clear()
        if publish:
            self._job.publish(batch.number, self._clocks.now())
        self.totals.add(batch, committed)
        with self._progressed:
            self._finished = batch.number
            self._progressed.notify_all()
        rows, ends = rows_and_ends(batch.bronze)
        if self._recorder is not None:
            self._recorder.published(batch, committed, rows)
        return ends

    def _write(self, batch: MicroBatch, derived: Outcome) -> Committed:
        """Every table, once, and the run record behind them."""
        now, made = self._clocks.now(), list[RunRecord]()

        def record(versions: Mapping[str, int]) -> pl.DataFrame:
            seconds = self._clocks.monotonic() - batch.started
            made.append(run_record(batch, derived.counts, derived.seconds, versions, now, seconds))
            return made[0].record

        versions = self._engine.write(derived, Stamp.of(batch, now), batch.number, record=record)
        derived.close()
        took = self._clocks.monotonic() - batch.started
        return Committed(batch.number, made[0].counts, made[0].latency_ms, took, derived.seconds, versions)

    def _acknowledge(self, name: str, ends: dict[str, int]) -> None:
        if name == self._job.source.name:  # of another source, or of a topic since made anew, they would say nothing
            self._job.source.acknowledge(ends)

    def _tidy_all(self, halt: threading.Event) -> None:
        """Beside the micro-batches, so that none waits for it."""
        while not halt.is_set():
            if self._untidy.wait(TICK_SECONDS):
                self._untidy.clear()
                if self._engine.tidy(self._clocks.now()):
                    self._moved.set()

    def _publish_layout(self) -> None:
        """Between micro-batches: readers move to the compacted files, before the old ones go. Never in the middle of an order."""
        if self._moved.is_set() and self._publishing.acquire(blocking=False):
            try:
                self._moved.clear()
                self._job.publish(self._finished, self._clocks.now())
            finally:
                self._publishing.release()


def rows_and_ends(bronze: pl.DataFrame) -> tuple[dict[str, int], dict[str, int]]:
    """A micro-batch's rows by source partition, and the last offset of each."""
    found = bronze.group_by("source_partition").agg(pl.len(), pl.col("source_offset").max()).rows()
    return {name: rows for name, rows, _ in found}, {name: end for name, _, end in found}


def weighted_percentiles(latencies: list[tuple[int, float, float, float]]) -> dict[str, float]:
    """Percentiles over micro-batches, each weighted by its rows: p50 of the p50s, p95 of the p95s, p99 of the p99s."""
    if not latencies:
        return {}
    frame = pl.DataFrame(latencies, schema=["rows", "p50", "p95", "p99"], orient="row")
    found: dict[str, float] = {}
    rows = sum(row[0] for row in latencies)
    for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        ordered = frame.sort(name).with_columns(pl.col("rows").cum_sum().alias("upto"))
        found[name] = float(ordered.filter(pl.col("upto") >= q * rows)[name][0])
    return found
