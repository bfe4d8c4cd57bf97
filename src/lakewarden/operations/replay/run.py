"""Run a planned replay into its sandbox, and carry on with one that was killed (runbook section 4.2 steps 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from lakewarden.engines.lineage import Stamp, day_of
from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.flow.stages import decode_events
from lakewarden.lake.lease import Lease
from lakewarden.operations.derivation import Loaded, derive
from lakewarden.operations.replay import journal as papers
from lakewarden.operations.replay.sandbox import Sandbox
from lakewarden.operations.status import Report
from lakewarden.tables import BRONZE

if TYPE_CHECKING:
    from lakewarden.engines.port import Engine, Frames
    from lakewarden.flow.release import Release
    from lakewarden.operations.derivation import Chunk
    from lakewarden.operations.replay.journal import Journal
    from lakewarden.operations.replay.plan import Plan
    from lakewarden.progress import OnProgress


def run(
    reader: Engine,
    journal: Journal,
    *,
    load: Callable[[str], Release],
    code_version: str,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    on_progress: OnProgress | None = None,
) -> Report:
    """Derive every row of the plan's dates again into the sandbox; what a killed run committed is not written again.

    The reader only reads, and the journal and the sandbox reach nothing outside `_replays/<id>`: no production table can be written.

    Raises:
        LakeError: a precondition of the plan failed, the plan or the code was changed since, or the sandbox was removed.
        LakeBusyError: another process runs this replay.
    """
    plan = journal.plan()
    if not plan.ok or plan.stretch is None:
        failed = next(one for one in plan.preconditions if not one.ok)
        raise LakeError(f"{plan.id} can't be run. {failed.what}", state="nothing was written", next=failed.next or "lakewarden replay plan")
    if code_version != plan.code_version:
        raise LakeError(
            f"{plan.id} was planned under code {plan.code_version}; this is {code_version}. One sandbox holds what one code derived.",
            state="nothing was written",
            next="lakewarden replay plan (a new one)",
        )
    journal.require(papers.PLANNED, papers.RUNNING, papers.RUN, papers.VALIDATED, papers.STOPPED)
    started, since = monotonic(), now()
    try:
        with Lease(journal.store, plan.id, since.isoformat(timespec="seconds")):
            sandbox = Sandbox(journal.store)
            sandbox.create()
            figures = _write(reader, plan, journal, sandbox, load, now, on_progress)
            journal.move(papers.RUN, now(), seconds=round(monotonic() - started, 3), **figures)
    except LakeBusyError as error:
        raise LakeBusyError(
            f"Another process runs {plan.id} now.", state="its run goes on", next=f"lakewarden replay show {plan.id}"
        ) from error
    seconds = monotonic() - started
    told = {"events_per_second": round(figures["arrivals"] / seconds) if seconds else None, "seconds": round(seconds, 3)}
    return Report({"id": plan.id, "state": papers.RUN, **figures, **told, "next": f"lakewarden replay validate {plan.id}"})


def _write(
    reader: Engine,
    plan: Plan,
    journal: Journal,
    sandbox: Sandbox,
    load: Callable[[str], Release],
    now: Callable[[], datetime],
    on_progress: OnProgress | None,
) -> dict[str, Any]:
    assert plan.stretch is not None
    done = sandbox.done()
    resumed, chunks = done + 1, 0
    among: list[pl.Series] = []
    journal.move(papers.RUNNING, now(), chunks=resumed)
    # Chunks that stand already are derived all the same: the state behind them is that of this derivation, not production's.
    for chunk in derive(
        reader, plan.stretch, Loaded(load, plan.release), what="replaying", chunk_rows=plan.settings.chunk_rows, on_progress=on_progress
    ):
        chunks = chunk.number + 1
        within = _within(reader, chunk, plan)
        among.append(within["seq"])
        if chunk.number > done:
            # Each event's row keeps the micro-batch in which it arrived; nobody waited for it.
            stamp = Stamp(chunk.number, plan.id, chunk.release.id, now(), day_of(chunk.bronze), None, within)
            reader.write(chunk.derived, stamp, chunk.number, sandbox.tables)
            journal.move(papers.RUNNING, now(), chunks=chunks)
    if plan.accounts:
        journal.keep_events(pl.concat(among))
    counts = {name: int(sandbox.scan(name).select(pl.len()).collect().item()) for name in sandbox.tables}
    arrivals = plan.stretch[1] - plan.stretch[0] + 1
    return {"rows": sum(counts.values()), "arrivals": arrivals, "chunks": chunks, "chunks_before": resumed, "counts": counts}


def _within(reader: Engine, chunk: Chunk, plan: Plan) -> pl.DataFrame:
    """The events of the plan's dates, as bronze filed them, and accounts; neighbouring dates' and others' events lie between them."""
    within = chunk.bronze.filter(pl.col("event_date").is_between(*plan.dates)).select("seq", "batch")
    if not plan.accounts:
        return within
    of_accounts = partial(_of_accounts, release=chunk.release, accounts=plan.accounts)
    found = reader.by_places((BRONZE,), reader.snapshot(), of_accounts, seqs=(chunk.first_seq, chunk.last_seq))
    return within.join(pl.concat(found).to_frame(), on="seq", how="semi", maintain_order="left")


def _of_accounts(stored: Frames, derived: Frames, release: Release, accounts: Sequence[str]) -> pl.Series:
    """The places of the events of some accounts, as the events say."""
    events = decode_events(stored[BRONZE.name], release)
    return events.filter(pl.col("account_id").is_in(accounts))["seq"]
