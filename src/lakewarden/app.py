"""The composition root, and the Python API: `lakewarden.open(path)` gives a lake whose methods are the commands.

Only here are an engine, a source, clocks and storage put together. What compiles rules and loops takes a second to load, so it is
imported by the methods that need it: looking into a lake doesn't.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakewarden.allocation import give_back_large_arrays
from lakewarden.app_backfill import Backfills
from lakewarden.app_compact import Compactions
from lakewarden.app_models import Models
from lakewarden.app_snapshot import Snapshots
from lakewarden.flow.version import code_version
from lakewarden.lake import releases as releases_at_rest
from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.lake.lease import awaited
from lakewarden.operations import query
from lakewarden.operations import status as standing
from lakewarden.operations.dates import as_date, utc_now
from lakewarden.settings import StreamSettings

if TYPE_CHECKING:
    import polars as pl

    from lakewarden.audit.conservation import Statement
    from lakewarden.operations import release, verify
    from lakewarden.operations.attention import Attention
    from lakewarden.operations.train import TrainReport
    from lakewarden.progress import OnProgress
    from lakewarden.sources.port import Gap
    from lakewarden.sources.simulator import SimulationReport


def init(path: str | Path) -> Lake:
    """Make an empty lake with its tables, default rules and a first release; an existing one is opened as it is.

    Raises:
        LakeError: the path holds a lake of another version.
        StorageError: the path can't be written.
        ConfigurationError: there is no key to sign the lake's first receipt with.
    """
    from lakewarden.audit.receipts import numbers
    from lakewarden.operations import acts, release

    house = Lakehouse.create(path, utc_now())
    lake = Lake(house)
    release.write_defaults(house.store)
    made = release.create(house.store, utc_now())
    if made.new or not numbers(house.store):
        acts.initialised(lake.ledger(), house.store, made)
    lake.init_report = standing.Report({"lake": house.store.root, "id": made.id, "tables": len(house.tables), "new": made.new})
    return lake


def open(path: str | Path, *, engine: str = "embedded") -> Lake:
    """Open a lake.

    Args:
        engine: what its operations run on: `embedded` (this process) or `spark` (docs/scaling.md).

    Raises:
        LakeError: there is none, or it is of another version.
        UsageError: there is no such engine.
    """
    return Lake(Lakehouse.open(path), engine)


def simulate(
    out: str | Path,
    *,
    seed: int = 7,
    days: int = 3,
    rate: float | None = None,
    faults: str = "default",
    customers: int | None = None,
    events_per_day: int | None = None,
    compress: str | None = None,
    start: date | None = None,
    label_delay_days: int | None = None,
    companions: str | Path | None = None,
    sink_config: str | Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> SimulationReport:
    """Simulate events with labelled fraud and labelled faults, and the files that belong to them; needs no lake.

    Setting `stop` ends it after the piece at hand, with whole files and a true manifest.

    Args:
        out: a folder, or a topic (`kafka://host:port/topic`, `eventhub://namespace/topic`): events keyed by account.
        companions: with a topic, the folder for what is no event (labels, reference data, system of record); None: not written.
        sink_config: with a topic, a YAML file of librdkafka properties, secrets by reference.
    """
    from lakewarden.sources import simulator
    from lakewarden.sources.open import open_sink

    options: dict[str, Any] = {
        "customers": customers,
        "events_per_day": events_per_day,
        "compress": compress,
        "start": start,
        "label_delay_days": label_delay_days,
    }
    with open_sink(str(out), config=sink_config) as sink:
        return simulator.simulate(
            out,
            seed=seed,
            days=days,
            rate=rate,
            faults=faults,  # type: ignore[arg-type]  # checked by the simulator, which names the choices
            sink=sink,
            companions=companions,
            overwrite=overwrite,
            on_progress=on_progress,
            stop=stop.is_set if stop else None,
            **{name: value for name, value in options.items() if value is not None},
        )


@dataclass(frozen=True)
class StreamReport:
    """What one run of the stream did: rows, tables, rate, latency, releases, how it ended."""

    run_id: str
    rows: int
    batches: int
    recovered: int
    seconds: float
    counts: dict[str, int]
    latency_ms: dict[str, float]
    stage_seconds: dict[str, float]
    releases: tuple[str, ...]
    stopped: bool
    warnings: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    ok: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            "id": self.run_id,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.rows / self.seconds) if self.seconds else None,
            "micro_batches": self.batches,
            "recovered_micro_batches": self.recovered,
            "stopped": self.stopped,
            "counts": self.counts,
            "latency_ms": {name: round(value, 1) for name, value in self.latency_ms.items()},
            "stage_seconds": {name: round(value, 3) for name, value in self.stage_seconds.items()},
            "releases": list(self.releases),
            "warnings": list(self.warnings),
            "incidents": list(self.incidents),
        }


class Lake(Backfills, Models, Snapshots, Compactions):
    """A lake and everything one can do with it; each method is the command of the same name and gives its report."""

    init_report: standing.Report

    def __init__(self, house: Lakehouse, engine: str = "embedded") -> None:
        super().__init__(house, utc_now, engine)
        self.init_report = standing.Report({"lake": house.store.root, "id": releases_at_rest.current_id(house.store), "new": False})

    def table(self, name: str) -> pl.LazyFrame:
        """One table at the published point, as a Polars LazyFrame. Raises LakeError for a name that isn't there."""
        return self.house.table(name)

    def status(self) -> standing.Report:
        """The published point, release in force, counts, latency, DQ pass rate, who streams, and the stream's pulse."""
        return standing.status(self.house, utc_now())

    def pulse(self) -> standing.Report:
        """How the stream stands at this moment, cheaply: its state, its newest pulse, the published point."""
        return standing.pulse(self.house, utc_now())

    def tables(self) -> standing.Report:
        """Every table at the published point: version, rows, files, bytes, partitions."""
        return standing.tables(self.house)

    def sql(self, text: str, limit: int | None = None) -> query.QueryReport:
        """Run one SQL query (DuckDB's dialect) over the published tables. Raises QueryError."""
        return query.sql(self.house, text, limit, time.monotonic)

    def stream(
        self,
        source: str | Path,
        *,
        mapping: str | Path | None = None,
        once: bool = False,
        batch_rows: int | None = None,
        batch_seconds: float | None = None,
        start: str | None = None,
        source_config: str | Path | None = None,
        wait: bool = False,
        metrics_port: int | None = None,
        metrics_host: str = "127.0.0.1",
        on_metrics: Callable[[str], None] | None = None,
        on_release: Callable[[str], None] | None = None,
        log: str | Path | None = None,
        log_level: str = "info",
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
    ) -> StreamReport:
        """Take events in and write every table, exactly once, until the source is exhausted or `stop` is set.

        Args:
            source: a file, a folder, `kafka://host:port/topic` or `eventhub://namespace/topic`.
            mapping: YAML file that maps other names to the event contract.
            once: take what is there, then end.
            batch_rows: most events in a micro-batch.
            batch_seconds: longest wait for a micro-batch to fill.
            start: of a topic of which nothing was ever taken: `earliest` (default), `latest`, a time, or `partition:offset,...`.
            source_config: of a topic: YAML file of librdkafka properties, secrets by reference.
            wait: where another stream holds the lake, wait until it ends, dies or is paused for too long, and take over.
            metrics_port: serve metrics for Prometheus while it runs; 0 takes a free port.
            metrics_host: the address to serve them at.
            on_metrics: told the address of the metrics.
            on_release: told, in a sentence, when another release is taken up.
            log: a file for a log in JSON lines, `-` for stderr.
            log_level: debug, info, warning or error.

        Raises:
            LakeBusyError: another stream holds the lake.
            FencedError: this one was paused, and another took over.
            SourceError, ConfigurationError, StorageError: see their message; what was committed stands.
        """
        from lakewarden.lake.bookmarks import Bookmarks
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations import release, stream
        from lakewarden.operations.gaps import GapReporter
        from lakewarden.operations.job import Clocks, Releases, StreamJob
        from lakewarden.telemetry.outlets import Telemetry, Wanted

        chosen = {"batch_rows": batch_rows, "batch_seconds": batch_seconds}
        settings = StreamSettings(**{name: value for name, value in chosen.items() if value is not None})
        run_id = f"run-{uuid.uuid4().hex[:12]}"
        give_back_large_arrays()
        heard: list[str] = []
        gaps = GapReporter(self._incidents, run_id, utc_now)
        opened = self.source(str(source), run_id, mapping=mapping, once=once, start=start, config=source_config)
        halted = stop or threading.Event()
        if wait and not self._await_turn(halted, on_progress):
            opened.close()
            return StreamReport(run_id, 0, 0, 0, 0.0, {}, {}, {}, (), True)
        clocks = Clocks(utc_now, time.monotonic)
        telemetry = Telemetry(
            Wanted(metrics_port, metrics_host, None if log is None else str(log), log_level),
            run_id,
            opened,
            clocks,
            self.house.store,
            on_release,
        )

        def lost(gap: Gap) -> None:
            gaps(gap)
            telemetry.gap(gap, gaps.opened[-1].id)

        with (
            contextlib.closing(opened),
            telemetry,
            self.writing(run_id, halted if wait else None) as engine,
            contextlib.closing(opened) as events,  # before the engine ends: it may be what reads
        ):
            if on_metrics is not None and telemetry.metrics_url is not None:
                on_metrics(telemetry.metrics_url)
            watch = release.ReleaseWatch(
                self.house.store, utc_now, time.monotonic, lambda error: heard.append(str(error)), self._receipt_of_release
            )
            known = Releases(watch.current, lambda release_id: materialise(self.house.store, release_id))
            job = StreamJob(
                engine,
                self.orders(heard.append),
                events,
                known,
                settings,
                run_id,
                clocks,
                Bookmarks(self.house.store),
                lost,
                heard.append,
                self.house.publish,
            )
            running = stream.Stream(job, on_progress, telemetry.recorder, self.house.check)
            with telemetry.beating(self._attention(run_id, telemetry.recorder.incident)):
                recovered = running.recover()
                started = time.monotonic()
                totals = running.run(halted)
            return StreamReport(
                run_id,
                totals.rows,
                totals.batches,
                recovered,
                time.monotonic() - started,
                totals.counts,
                stream.weighted_percentiles(totals.latencies),
                totals.stage_seconds,
                tuple(totals.releases),
                halted.is_set(),
                tuple(heard),
                tuple(incident.id for incident in gaps.opened),
            )

    def _attention(self, run_id: str, on_incident: Callable[[str], None]) -> Attention:
        from lakewarden.operations.attention import Attention
        from lakewarden.operations.symptoms import SymptomReporter
        from lakewarden.settings import SymptomSettings

        report = SymptomReporter(self._incidents, run_id, utc_now)
        return Attention(report, lambda: standing.newest_checks(self.house), SymptomSettings(), on_incident, time.monotonic)

    def _await_turn(self, stop: threading.Event, on_progress: OnProgress | None) -> bool:
        """Until nobody holds the lake; False when `stop` was set first."""
        from lakewarden.progress import Progress

        if on_progress is not None:
            on_progress(Progress(0, None, "waiting for the stream that holds the lake"))
        return awaited(self.house.store, stop)

    def verify(self, day: date | str, on_progress: OnProgress | None = None) -> verify.VerifyReport:
        """Derive a date again from bronze under the recorded releases and compare every row by hash.

        Raises:
            LakeError: the date has no events, or a part of a release is missing.
        """
        from lakewarden.lake import history
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations import in_effect, verify

        with self.on(self.house) as engine:
            return verify.verify(
                engine,
                as_date(day),
                load=lambda release_id: materialise(self.house.store, release_id),
                standing=lambda newest: in_effect.in_effect(self.house.store, newest),
                blocks=history.blocks(self.house.store),
                code_version=code_version(),
                monotonic=time.monotonic,
                on_progress=on_progress,
            )

    def conserve(self, day: date | str) -> Statement:
        """State by count, amount and row that nothing of a date was lost or doubled, and store the statement as evidence."""
        from lakewarden.operations import conserve

        with self.on(self.house) as engine:
            return conserve.conserve(self.house, engine, as_date(day), utc_now(), time.monotonic)

    def train(
        self,
        labels: str | Path,
        *,
        source: str | Path | None = None,
        mapping: str | Path | None = None,
        seed: int = 7,
        reason: str | None = None,
        incident: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> TrainReport:
        """Train, register and release a model; labels become known to the stream. Leaves a receipt, with the reason and the incident given.

        Raises:
            SourceError, ModelError, ConfigurationError: see their message; the release in force stays.
        """
        from lakewarden.operations import acts, train

        witness = self.witness("model.train", reason, incident, acts.TRAINED)
        report = train.train(self.house, labels, source, mapping, seed=seed, now=utc_now, monotonic=time.monotonic, on_progress=on_progress)
        plan = {"labels": str(labels), "source": source and str(source), "mapping": mapping and str(mapping), "seed": seed}
        return replace(report, receipt=acts.trained(witness, self.house.store, report, plan).number)

    def reference_import(
        self, path: str | Path, kind: str | None = None, *, reason: str | None = None, incident: str | None = None
    ) -> standing.Report:
        """Bring in a new version of reference data, screen names against the watchlists, make a release. Leaves a receipt."""
        from lakewarden.operations import acts, reference

        witness = self.witness("reference.import", reason, incident)
        report = reference.import_path(self.house.store, Path(path), kind, utc_now())
        receipt = acts.imported(witness, self.house.store, report, Path(path), kind)
        return standing.Report({**report.data, "receipt": receipt.number})

    def references(self) -> standing.Report:
        """The reference data of the release in force: kind, version, rows."""
        from lakewarden.operations import reference

        return reference.listed(self.house.store)

    def release_create(self, *, reason: str | None = None, incident: str | None = None) -> release.ReleaseReport:
        """Make a release of what the lake's `conf/` says now; the same content is the same release. A new one leaves a receipt."""
        from lakewarden.operations import acts, release

        witness = self.witness("release.create", reason, incident)
        made = release.create(self.house.store, utc_now())
        receipt = acts.released(witness, self.house.store, made)
        return replace(made, receipt=None if receipt is None else receipt.number)

    def _receipt_of_release(self, made: release.ReleaseReport) -> None:
        """The receipt of a release that a running stream put in force, because `conf/` or the code was changed."""
        from lakewarden.operations import acts

        witness = self.witness("release.create", "conf/ or the code was changed; a stream took it up", None)
        acts.released(witness, self.house.store, made)  # what a change of the model put in force leaves its own

    def releases(self) -> release.ReleasesReport:
        """All releases, newest first."""
        from lakewarden.operations import release

        return release.listed(self.house.store)

    def release_show(self, prefix: str) -> release.ReleaseReport:
        """What one release pins, by its id or the beginning of it. Raises LakeError where none or several begin so."""
        from lakewarden.operations import release

        return release.show(self.house.store, prefix)
