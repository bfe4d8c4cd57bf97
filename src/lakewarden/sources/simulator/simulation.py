"""Simulate: a world's events, labels and reference data into a folder, at a rate or as fast as it goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any, Final

import polars as pl

from lakewarden.errors import UsageError
from lakewarden.progress import OnProgress, Progress
from lakewarden.sources.open import Sink, is_simulation
from lakewarden.sources.simulator.days import DayOfEvents, Simulation
from lakewarden.sources.simulator.faults import Profile
from lakewarden.sources.simulator.pace import Pace
from lakewarden.sources.simulator.plan import DEFAULT_CUSTOMERS, DEFAULT_EVENTS_PER_DAY, Plan
from lakewarden.sources.simulator.reference import reference_tables
from lakewarden.sources.simulator.writer import SUFFIXES, Compress, Folder, remove

_FILE_ROWS: Final = 50_000
_VERSION: Final = 1


@dataclass(frozen=True)
class SimulationReport:
    """What a simulation made.

    Attributes:
        out: the folder, or the topic's URI.
        seed: its seed.
        days: how many days were asked for.
        rows: events written, faulty ones and repeated ones included.
        transactions: genuine transactions, each once, as the system of record has them.
        files: event files written; 0 if events went to a topic.
        labels: fraudulent transactions by typology.
        faults: faults by kind; a gap's are events that were lost.
        stopped: whether it was asked to stop before its end.
        seconds: wall-clock time.
    """

    out: str
    seed: int
    days: int
    rows: int
    transactions: int
    files: int
    labels: dict[str, int]
    faults: dict[str, int]
    stopped: bool
    seconds: float

    @property
    def ok(self) -> bool:
        """True: a simulation that fails raises."""
        return True

    @property
    def fraud_rate(self) -> float:
        """Share of the genuine transactions that are fraudulent."""
        return sum(self.labels.values()) / self.transactions if self.transactions else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return {"ok": self.ok, **asdict(self), "fraud_rate": round(self.fraud_rate, 6), "seconds": round(self.seconds, 3)}


def simulate(
    out: str | PathLike[str],
    *,
    seed: int,
    days: int,
    start: date = date(2026, 1, 5),
    customers: int = DEFAULT_CUSTOMERS,
    events_per_day: int = DEFAULT_EVENTS_PER_DAY,
    faults: Profile = "default",
    label_delay_days: int = 7,
    rate: float | None = None,
    sink: Sink | None = None,
    companions: str | PathLike[str] | None = None,
    compress: Compress = "none",
    file_rows: int = _FILE_ROWS,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    stop: Callable[[], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> SimulationReport:
    """Writes a simulation; the same arguments give the same text on every machine.

    `out` gets `manifest.json` (first, with ``"complete": false``), `reference/`, `events/`, `labels/` and `system_of_record/`.

    Args:
        out: the folder; or a topic's URI, with a `sink` that takes the events and `companions` for everything else.
        seed, days, start, customers, events_per_day, faults, label_delay_days: see :class:`Plan`.
        rate: events a second, in small files; None for as fast as it goes.
        sink: takes the events instead of `out`'s `events/`.
        companions: the folder of what is not events when `out` is a URI; None writes no such files.
        compress: of event files: ``none``, ``gzip`` or ``zstd``.
        file_rows: most events in a file.
        overwrite: whether an earlier simulation in the folder may be removed first (nothing else ever is).
        on_progress: told after every piece.
        stop: asked after every piece; True ends the simulation there, with whole files and a manifest that says so.
        clock, sleep: monotonic seconds and waiting; for tests.

    Raises:
        UsageError: arguments that make no sense, or a folder that holds something.
        StorageError: the file system refused a write.
    """
    plan = Plan(seed, days, start, customers, events_per_day, faults, label_delay_days)
    target = str(out)
    folder_path = _checked(target, sink=sink, companions=companions, rate=rate, compress=compress, file_rows=file_rows)
    if folder_path is not None:
        _cleared(folder_path, overwrite)
    pace = Pace(rate, clock, sleep)
    simulation = Simulation(plan)
    folder = Folder(folder_path, compress) if folder_path else None
    run = _Run(simulation, folder, sink, pace, file_rows=file_rows, on_progress=on_progress, stop=stop)
    run.begin()
    for day in simulation.days():
        if not run.day(day):
            break
    return run.end(target)


class _Run:
    """One simulation under way."""

    def __init__(
        self,
        simulation: Simulation,
        folder: Folder | None,
        sink: Sink | None,
        pace: Pace,
        *,
        file_rows: int,
        on_progress: OnProgress | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        self._simulation = simulation
        self._folder = folder
        self._sink = sink
        self._pace = pace
        self._piece = pace.piece(file_rows)
        self._on_progress = on_progress
        self._stop = stop
        self._stopped = False
        self._rows = 0
        self._transactions = 0
        self._typologies: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def begin(self) -> None:
        """Writes what stands before the first event."""
        if self._folder is not None:
            self._folder.manifest(self._manifest(complete=False))
            self._folder.reference(reference_tables(self._simulation.population, self._simulation.plan.start))

    def day(self, day: DayOfEvents) -> bool:
        """Writes a day; False if it was asked to stop."""
        self._truth(day)
        for first in range(0, day.lines, self._piece):
            name = self._sent(day, first)
            count = min(self._piece, day.lines - first)
            self._note(day.faults.filter(pl.col("line").is_between(self._rows, self._rows + count, closed="left")), name)
            self._rows += count
            if self._on_progress is not None:
                self._on_progress(Progress(self._rows, max(self._rows, self._simulation.plan.expected_lines), "simulating"))
            self._pace.sent(count)
            if self._stop is not None and self._stop():
                self._stopped = True
                return False
        self._note(day.faults.filter(pl.col("line").is_null()), None)
        return True

    def end(self, out: str) -> SimulationReport:
        """Writes the final manifest and reports."""
        if self._folder is not None:
            self._folder.manifest(self._manifest(complete=not self._stopped))
        plan = self._simulation.plan
        return SimulationReport(
            out=out,
            seed=plan.seed,
            days=plan.days,
            rows=self._rows,
            transactions=self._transactions,
            files=self._folder.files if self._folder else 0,
            labels=dict(sorted(self._typologies.items())),
            faults=dict(sorted(self._faults.items())),
            stopped=self._stopped,
            seconds=self._pace.seconds,
        )

    def _truth(self, day: DayOfEvents) -> None:
        for first in range(0, day.transactions, _FILE_ROWS):
            labels = day.labels(first, _FILE_ROWS)
            self._typologies.update(labels["typology"].drop_nulls().to_list())
            if self._folder is not None:
                self._folder.labels(labels)
                self._folder.records(day.records(first, _FILE_ROWS))
        self._transactions += day.transactions

    def _sent(self, day: DayOfEvents, first: int) -> str | None:
        bodies = day.bodies(first, self._piece)
        if self._sink is not None:
            keys = [key.encode() for key in day.keys(first, self._piece).to_list()]
            self._sink(list(zip(keys, bodies.to_list(), strict=True)))
            return None
        return self._folder.events(day.date, bodies) if self._folder else None

    def _note(self, faults: pl.DataFrame, file: str | None) -> None:
        self._faults.update(faults["fault"].to_list())
        if self._folder is not None:
            named = faults.with_columns(file=pl.lit(file, pl.String))
            self._folder.faults(named.select("line", "file", "transaction_id", "fault", "detail"))

    def _manifest(self, *, complete: bool) -> dict[str, object]:
        plan = asdict(self._simulation.plan)
        counts = {
            "rows": self._rows,
            "transactions": self._transactions,
            "files": self._folder.files if self._folder else 0,
            "labels": dict(sorted(self._typologies.items())),
            "faults": dict(sorted(self._faults.items())),
        }
        state = {"complete": complete, "stopped": self._stopped}
        return {"version": _VERSION, **plan, "start": plan["start"].isoformat(), **state, "counts": counts}


def _checked(
    out: str,
    *,
    sink: Sink | None,
    companions: str | PathLike[str] | None,
    rate: float | None,
    compress: Compress,
    file_rows: int,
) -> Path | None:
    """The folder to write to, if there is one."""
    if rate is not None and not 0 < rate < float("inf"):
        raise _refused(f"rate is {rate}; it must be above 0, or left out for as fast as it goes")
    if file_rows < 1:
        raise _refused(f"file_rows is {file_rows}; it must be at least 1")
    if compress not in SUFFIXES:
        raise _refused(f"compress is {compress!r}; it must be one of {', '.join(SUFFIXES)}")
    if "://" not in out:
        if companions is not None:
            raise _refused("companions is for a topic; a folder gets everything")
        return Path(out)
    if sink is None:
        raise _refused(f"{out} is neither a folder nor a topic")
    if compress != "none":
        raise _refused("compress is for files; a topic's events are compressed by the client")
    return Path(companions) if companions is not None else None


def _cleared(out: Path, overwrite: bool) -> None:
    """Makes sure that the folder is free, removing an earlier simulation if that is allowed."""
    if out.exists() and not out.is_dir():
        raise _refused(f"{out} is a file, not a folder")
    if not out.exists() or not any(out.iterdir()):
        return
    if not is_simulation(out):
        raise UsageError(
            f"Can't simulate into {out}: the folder holds something that is not a simulation.",
            state="Nothing was written or removed.",
            next="Choose an empty folder or a new one.",
        )
    if not overwrite:
        raise UsageError(
            f"Can't simulate into {out}: the folder holds a simulation already.",
            state="Nothing was written or removed.",
            next="Choose another folder, or repeat the command with --overwrite to replace that simulation.",
        )
    remove(out)


def _refused(what: str) -> UsageError:
    return UsageError(f"Can't simulate: {what}.", state="Nothing was written.", next="lakewarden simulate --help")
