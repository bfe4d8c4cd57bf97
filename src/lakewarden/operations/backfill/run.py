"""Run a planned backfill into its sandbox, and carry on with one that was killed (runbook section 5.2 steps 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from lakewarden.engines.lineage import Stamp, day_of, run_record
from lakewarden.engines.port import Events, MicroBatch
from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.lake.lease import Lease
from lakewarden.operations import papers
from lakewarden.operations.backfill.loading import load
from lakewarden.operations.backfill.sandbox import BROUGHT_IN, STAGING, BackfillSandbox
from lakewarden.operations.status import Report
from lakewarden.progress import Progress
from lakewarden.tables import BRONZE, SILVER

if TYPE_CHECKING:
    from lakewarden.engines.port import Engine, Outcome
    from lakewarden.flow.release import Release
    from lakewarden.operations.backfill.journal import Journal
    from lakewarden.operations.backfill.plan import Plan
    from lakewarden.progress import OnProgress


def run(
    reader: Engine,
    journal: Journal,
    *,
    release: Callable[[str], Release],
    code_version: str,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    on_progress: OnProgress | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Report:
    """Load the files into staging and derive them into the sandbox; what a killed run committed is not written again.

    The reader only reads, and the journal and the sandbox reach nothing outside `_backfills/<id>`: no production table can be written.

    Args:
        step: told the name of each step before it; for tests that stop there.

    Raises:
        LakeError: a precondition of the plan failed, or plan, files or code were changed since.
        LakeBusyError: another process runs this backfill.
    """
    plan = journal.plan()
    _refuse(plan, code_version)
    journal.require(papers.PLANNED, papers.RUNNING, papers.RUN, papers.VALIDATED, papers.STOPPED)
    started, since = monotonic(), now()
    try:
        with Lease(journal.store, plan.id, since.isoformat(timespec="seconds")):
            sandbox = BackfillSandbox(journal.store)
            sandbox.create()
            under = release(plan.release)
            if "staged" not in journal.state():
                journal.move(papers.RUNNING, now(), stage="loading")
                loaded = load(plan, under, sandbox, step, on_progress)
                if not loaded.kept:
                    raise LakeError(
                        f"No event of {plan.scope.source} is of the plan's dates.",
                        state="nothing was derived",
                        next="lakewarden backfill plan (other dates)",
                    )
                step("staging is whole")
                journal.move(papers.RUNNING, now(), stage="deriving", staged=loaded.kept, loaded=loaded.to_dict())
            deriving = Deriving(reader, plan, under, sandbox, int(journal.state()["staged"]))
            before = deriving.run(now, monotonic, on_progress, step)
            counts = {name: sandbox.count(name) for name in BROUGHT_IN}
            figures = {"chunks": deriving.chunks, "chunks_before": before, "counts": counts}
            step("say that it is run")
            journal.move(papers.RUN, now(), seconds=round(monotonic() - started, 3), **figures)
    except LakeBusyError as error:
        raise LakeBusyError(
            f"Another process runs {plan.id} now.", state="its run goes on", next=f"lakewarden backfill show {plan.id}"
        ) from error
    seconds, state = monotonic() - started, journal.state()
    told = {"events_per_second": round(state["staged"] / seconds) if seconds else None, "seconds": round(seconds, 3)}
    figures = {"rows": state["staged"], "loaded": state["loaded"], **figures}
    return Report({"id": plan.id, "state": papers.RUN, **figures, **told, "next": journal.next()})


def _refuse(plan: Plan, code_version: str) -> None:
    failed = next((one for one in plan.preconditions if not one.ok), None)
    if failed is not None:
        raise LakeError(
            f"{plan.id} can't be run. {failed.what}", state="nothing was written", next=failed.next or "lakewarden backfill plan"
        )
    if code_version != plan.code_version:
        raise LakeError(
            f"{plan.id} was planned under code {plan.code_version}; this is {code_version}. One sandbox holds what one code derived.",
            state="nothing was written",
            next="lakewarden backfill plan (a new one)",
        )


class Deriving:
    """Staged events through the stages, a chunk at a time, each a micro-batch with a place and a number below all that there are.

    Args:
        engine: derives them, and writes what they become.
        plan: of the backfill; names the labels that are known.
        release: what every event is derived under.
        sandbox: where they come from, and go.
        staged: how many there are.
    """

    def __init__(self, engine: Engine, plan: Plan, release: Release, sandbox: BackfillSandbox, staged: int) -> None:
        self._engine, self._plan, self._release, self._sandbox, self._staged = engine, plan, release, sandbox, staged
        self._rows = plan.settings.chunk_rows
        self.first = plan.below - staged
        self.chunks = -(-staged // self._rows)

    def number(self, chunk: int) -> int:
        """The micro-batch number of a chunk: rising with it, the last one right below the lowest that the lake has."""
        return self._plan.below_batch - self.chunks + chunk

    def run(
        self, now: Callable[[], datetime], monotonic: Callable[[], float], on_progress: OnProgress | None, step: Callable[[str], None]
    ) -> int:
        """Derive what isn't derived yet; gives how many chunks were there already."""
        begun, tables = self._sandbox.done() + 1, self._sandbox.tables
        silver = tables[SILVER.name]
        silver.refresh()
        state = self._engine.state_before(self.first + begun * self._rows, self._release, silver=silver)
        for chunk in range(begun, self.chunks):
            started, bronze = monotonic(), self._bronze(chunk)
            events = Events(bronze)
            derived = self._engine.derive(events, self._release, state, self._plan.labels_version, monotonic)
            batch = MicroBatch(self.number(chunk), self._plan.id, self._release, events, str(bronze["source"][0]), started)
            step(f"write {BRONZE.name}")
            self._sandbox.put(BRONZE.name, bronze, chunk)
            record = partial(self._record, batch, derived, now(), monotonic)
            # nobody waited for these events
            stamp = Stamp(batch.number, batch.run_id, self._release.id, now(), day_of(bronze), None)
            self._engine.write(derived, stamp, chunk, tables, record, step)
            derived.close()
            if on_progress is not None:
                on_progress(Progress(min((chunk + 1) * self._rows, self._staged), self._staged, "deriving"))
        return begun

    @staticmethod
    def _record(
        batch: MicroBatch, derived: Outcome, now: datetime, monotonic: Callable[[], float], versions: Mapping[str, int]
    ) -> pl.DataFrame:
        """The run record: as of a stream, without table versions and latency."""
        made = run_record(batch, derived.counts, derived.seconds, {}, now, monotonic() - batch.started).record
        return made.with_columns(pl.lit(None, pl.Float64).alias(f"latency_{name}_ms") for name in ("p50", "p95", "p99"))

    def _bronze(self, chunk: int) -> pl.DataFrame:
        begin = chunk * self._rows
        staged = self._sandbox.scan(STAGING.name).filter(pl.col("seq").is_between(begin, begin + self._rows - 1)).sort("seq").collect()
        return staged.with_columns(
            (pl.col("seq") + self.first).alias("seq"),
            pl.lit(self.number(chunk), pl.Int64).alias("batch"),
        )


def block(plan: Plan, staged: int) -> tuple[int, int]:
    """First and last place in the order of arrival of a backfill's events."""
    return plan.below - staged, plan.below - 1


def told(plan: Plan, state: dict[str, Any]) -> dict[str, Any]:
    """In what a backfill deviates from the standard pipeline, so far as it is known once it was run."""
    loaded = state.get("loaded", {})
    mapping = plan.scope.mapping
    return {
        "arrival": "from the envelope or the mapping, else the event's own time",
        "latency": "not measured: nobody waited for these events",
        "state": "empty at the start: no event comes before the first",
        "out_of_order": loaded.get("out_of_order"),
        "left_out_before": loaded.get("before"),
        "left_out_after": loaded.get("after"),
        "mapping": None if mapping is None else {"path": mapping["path"], "fingerprint": mapping["fingerprint"]},
        "columns_ignored": sorted((mapping or {}).get("content", {}).get("drop", [])),
    }
