"""The composition root, and the Python API: `lakewarden.open(path)` gives a lake whose methods are the commands.

Only here are an engine, a source, clocks and storage put together. What compiles rules and loops takes a second to load, so it is
imported by the methods that need it: looking into a lake doesn't.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakewarden.allocation import give_back_large_arrays
from lakewarden.flow.version import code_version
from lakewarden.lake import releases as releases_at_rest
from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.lake.lease import Lease
from lakewarden.operations import query
from lakewarden.operations import status as standing
from lakewarden.settings import StreamSettings

if TYPE_CHECKING:
    import polars as pl

    from lakewarden.audit.conservation import Statement
    from lakewarden.engines.embedded import EmbeddedEngine
    from lakewarden.operations import release, verify
    from lakewarden.operations.train import TrainReport
    from lakewarden.progress import OnProgress
    from lakewarden.sources.simulator import SimulationReport


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def init(path: str | Path) -> Lake:
    """Make an empty lake with its tables, default rules and a first release; an existing one is opened as it is.

    Raises:
        LakeError: the path holds a lake of another version.
        StorageError: the path can't be written.
    """
    from lakewarden.operations import release

    house = Lakehouse.create(path, utc_now())
    release.write_defaults(house.store)
    made = release.create(house.store, utc_now())
    lake = Lake(house)
    lake.init_report = standing.Report({"lake": house.store.root, "id": made.id, "tables": len(house.tables), "new": made.new})
    return lake


def open(path: str | Path) -> Lake:
    """Open a lake.

    Raises:
        LakeError: there is none, or it is of another version.
    """
    return Lake(Lakehouse.open(path))


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
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> SimulationReport:
    """Simulate events with labelled fraud and labelled faults, and the files that belong to them; needs no lake.

    Setting `stop` ends it after the piece at hand, with whole files and a true manifest.
    """
    from lakewarden.sources import simulator

    options: dict[str, Any] = {
        "customers": customers,
        "events_per_day": events_per_day,
        "compress": compress,
        "start": start,
        "label_delay_days": label_delay_days,
    }
    return simulator.simulate(
        out,
        seed=seed,
        days=days,
        rate=rate,
        faults=faults,  # type: ignore[arg-type]  # checked by the simulator, which names the choices
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
        }


class Lake:
    """A lake and everything one can do with it; each method is the command of the same name and gives its report."""

    init_report: standing.Report

    def __init__(self, house: Lakehouse) -> None:
        self.house = house
        self.init_report = standing.Report({"lake": house.store.root, "id": releases_at_rest.current_id(house.store), "new": False})

    def table(self, name: str) -> pl.LazyFrame:
        """One table at the published point, as a Polars LazyFrame. Raises LakeError for a name that isn't there."""
        return self.house.table(name)

    def status(self) -> standing.Report:
        """The published point, release in force, counts, latency, DQ pass rate, and who streams."""
        return standing.status(self.house)

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
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
    ) -> StreamReport:
        """Take events in and write every table, exactly once, until the source is exhausted or `stop` is set.

        Raises:
            LakeBusyError: another stream holds the lake.
            SourceError, ConfigurationError, StorageError: see their message; what was committed stands.
        """
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations import release, stream
        from lakewarden.operations.job import Clocks, Releases, StreamJob
        from lakewarden.sources.open import open_source

        chosen = {"batch_rows": batch_rows, "batch_seconds": batch_seconds}
        settings = StreamSettings(**{name: value for name, value in chosen.items() if value is not None})
        run_id = f"run-{uuid.uuid4().hex[:12]}"
        give_back_large_arrays()
        heard: list[str] = []
        with contextlib.closing(open_source(str(source), mapping=mapping, once=once)) as events, self.writing(run_id) as engine:
            watch = release.ReleaseWatch(self.house.store, utc_now, time.monotonic, lambda error: heard.append(str(error)))
            known = Releases(watch.current, lambda release_id: materialise(self.house.store, release_id))
            running = stream.Stream(StreamJob(engine, events, known, settings, run_id, Clocks(utc_now, time.monotonic)), on_progress)
            recovered = running.recover()
            started = time.monotonic()
            halted = stop or threading.Event()
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
            )

    @contextlib.contextmanager
    def writing(self, run_id: str) -> Iterator[EmbeddedEngine]:
        """An engine under the lake's lease. Raises LakeBusyError when another stream holds it."""
        from lakewarden.engines.embedded import EmbeddedEngine

        with Lease(self.house.store, run_id, utc_now().isoformat(timespec="seconds")):
            engine = EmbeddedEngine(self.house, time.monotonic)
            try:
                yield engine
            finally:
                engine.close()

    def verify(self, day: date | str, on_progress: OnProgress | None = None) -> verify.VerifyReport:
        """Derive a date again from bronze under the recorded releases and compare every row by hash.

        Raises:
            LakeError: the date has no events, or a part of a release is missing.
        """
        from lakewarden.engines.embedded import EmbeddedEngine
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations import verify

        engine = EmbeddedEngine(self.house, time.monotonic)
        try:
            return verify.verify(
                engine,
                as_date(day),
                load=lambda release_id: materialise(self.house.store, release_id),
                code_version=code_version(),
                monotonic=time.monotonic,
                on_progress=on_progress,
            )
        finally:
            engine.close()

    def conserve(self, day: date | str) -> Statement:
        """State by count, amount and row that nothing of a date was lost or doubled, and store the statement as evidence."""
        from lakewarden.operations import conserve

        return conserve.conserve(self.house, as_date(day), utc_now(), time.monotonic)

    def train(
        self,
        labels: str | Path,
        *,
        source: str | Path | None = None,
        mapping: str | Path | None = None,
        seed: int = 7,
        on_progress: OnProgress | None = None,
    ) -> TrainReport:
        """Train, register and release a model; labels become known to the stream.

        Raises:
            SourceError, ModelError, ConfigurationError: see their message; the release in force stays.
        """
        from lakewarden.operations import train

        return train.train(self.house, labels, source, mapping, seed=seed, now=utc_now, monotonic=time.monotonic, on_progress=on_progress)

    def reference_import(self, path: str | Path, kind: str | None = None) -> standing.Report:
        """Bring in a new version of reference data, screen names against the watchlists, make a release."""
        from lakewarden.operations import reference

        return reference.import_path(self.house.store, Path(path), kind, utc_now())

    def references(self) -> standing.Report:
        """The reference data of the release in force: kind, version, rows."""
        from lakewarden.operations import reference

        return reference.listed(self.house.store)

    def release_create(self) -> release.ReleaseReport:
        """Make a release of what the lake's `conf/` says now; the same content is the same release."""
        from lakewarden.operations import release

        return release.create(self.house.store, utc_now())

    def releases(self) -> release.ReleasesReport:
        """All releases, newest first."""
        from lakewarden.operations import release

        return release.listed(self.house.store)

    def release_show(self, prefix: str) -> release.ReleaseReport:
        """What one release pins, by its id or the beginning of it. Raises LakeError where none or several begin so."""
        from lakewarden.operations import release

        return release.show(self.house.store, prefix)


def as_date(day: date | str) -> date:
    """A date, or its ISO 8601 text. Raises UsageError."""
    from lakewarden.errors import UsageError

    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError as error:
        raise UsageError(f"{day!r} is no date.", state="nothing was done", next="write it as YYYY-MM-DD") from error
