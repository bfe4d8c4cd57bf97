"""Run a planned backfill into its sandbox, and carry on with one that was killed (runbook section 5.2 steps 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from lakewarden.engines.lineage import derived_tables, run_record
from lakewarden.engines.port import MicroBatch
from lakewarden.engines.state import state_of
from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.flow.stages import Context, FlowState, decode_events, run_flow
from lakewarden.lake.lease import Lease
from lakewarden.operations import papers
from lakewarden.operations.backfill.loading import load
from lakewarden.operations.backfill.sandbox import BROUGHT_IN, STAGING, BackfillSandbox
from lakewarden.operations.status import Report
from lakewarden.progress import Progress
from lakewarden.tables import BRONZE, GOLD, PIPELINE_RUNS, SILVER

if TYPE_CHECKING:
    from lakewarden.engines.port import Engine
    from lakewarden.flow.labels import LabelIndex
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
            deriving = Deriving(plan, under, reader.labels(plan.labels_version), sandbox, int(journal.state()["staged"]))
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
        plan: of the backfill.
        release, labels: what every event is derived under.
        sandbox: where they come from, and go.
        staged: how many there are.
    """

    def __init__(self, plan: Plan, release: Release, labels: LabelIndex, sandbox: BackfillSandbox, staged: int) -> None:
        self._plan, self._release, self._labels, self._sandbox, self._staged = plan, release, labels, sandbox, staged
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
        begun = self._sandbox.done() + 1
        state = self._state(begun)
        for chunk in range(begun, self.chunks):
            started, bronze = monotonic(), self._bronze(chunk)
            derived = run_flow(decode_events(bronze, self._release), Context(self._release, state, self._labels), monotonic)
            batch = MicroBatch(
                self.number(chunk),
                self._plan.id,
                self._release,
                self._plan.labels_version,
                bronze,
                bronze,
                str(bronze["source"][0]),
                started,
            )
            tables = derived_tables(batch, derived, now())
            tables[GOLD.name] = tables[GOLD.name].with_columns(pl.lit(None, pl.Float64).alias("latency_ms"))
            record = run_record(batch, derived, {}, now(), monotonic() - started).record
            unknown = [pl.lit(None, pl.Float64).alias(f"latency_{name}_ms") for name in ("p50", "p95", "p99")]  # nobody waited for it
            for name, rows in {BRONZE.name: bronze, **tables, PIPELINE_RUNS.name: record.with_columns(unknown)}.items():
                step(f"write {name}")
                self._sandbox.put(name, rows, chunk)
            if on_progress is not None:
                on_progress(Progress(min((chunk + 1) * self._rows, self._staged), self._staged, "deriving"))
        return begun

    def _state(self, chunk: int) -> FlowState:
        """What the stages remember before a chunk; nothing before the first: no event comes before it."""
        if chunk == 0:
            return FlowState.empty()
        before = self._sandbox.scan(SILVER.name).filter(pl.col("seq") < self.first + chunk * self._rows)
        return state_of(before, self._release)

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
