"""Load historical files into the staging table, in their own order (runbook section 5.2 step 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.engines.arrival import Past, arrive_as_history, instant
from lakewarden.errors import LakeError
from lakewarden.operations.backfill.sandbox import STAGING
from lakewarden.progress import Progress
from lakewarden.sources.mapping import EventMapping
from lakewarden.sources.mapping_spec import MappingSpec
from lakewarden.sources.open import open_source
from lakewarden.tables import UTC_US

if TYPE_CHECKING:
    from datetime import date

    from lakewarden.flow.release import Release
    from lakewarden.operations.backfill.plan import Plan, Scope
    from lakewarden.operations.backfill.sandbox import BackfillSandbox
    from lakewarden.progress import OnProgress
    from lakewarden.sources.port import Chunk

ENDLESS: Final = 1e9
"""Seconds: chunks are cut by rows and bytes alone, so the same files give the same ones."""


@dataclass
class Loaded:
    """What was read and what was kept of it.

    Attributes:
        before, after: events left out because they are of earlier or later dates.
        between: of those after, how many stand in a file before one that was kept.
        out_of_order: events that stand behind a later one.
    """

    read: int = 0
    kept: int = 0
    before: int = 0
    after: int = 0
    between: int = 0
    out_of_order: int = 0
    _later: Counter[str] = field(default_factory=Counter)

    def add(self, rows: pl.DataFrame, partitions: pl.Series, last: date, behind: int) -> None:
        """Count a chunk."""
        told = rows.select("kept", (pl.col("event_date") > last).alias("after")).with_columns(partitions.alias("file"))
        self.read += rows.height
        self.kept += int(told["kept"].sum())
        self.after += int(told["after"].sum())
        self.before = self.read - self.kept - self.after
        self.out_of_order += behind
        for (name,), part in told.partition_by("file", as_dict=True, maintain_order=True).items():
            kept = part["kept"].arg_true()
            if len(kept):
                upto = int(kept[-1])
                self.between += self._later.pop(str(name), 0) + int(part["after"][:upto].sum())
                part = part[upto + 1 :]  # noqa: PLW2901  # what stands behind the last one that was kept
            self._later[str(name)] += int(part["after"].sum())

    def to_dict(self) -> dict[str, int]:
        """JSON-ready."""
        names = ("read", "kept", "before", "after", "between", "out_of_order")
        return {name: getattr(self, name) for name in names}


def mapping_of(scope: Scope) -> EventMapping | None:
    """The mapping as the plan has it."""
    return None if scope.mapping is None else EventMapping(MappingSpec.model_validate(scope.mapping["content"]))


def files_of(source: str) -> list[dict[str, Any]]:
    """Name, bytes and time of change (microseconds) of each file, in the order of reading.

    Raises:
        SourceError: there is nothing to read.
    """
    from lakewarden.sources.files import event_files
    from lakewarden.sources.open import events_folder, local_path

    root = events_folder(local_path(source))
    found = []
    for path in event_files(root):
        looks = path.stat()
        name = path.name if root.is_file() else path.relative_to(root).as_posix()
        found.append({"file": name, "bytes": looks.st_size, "modified": looks.st_mtime_ns // 1000})
    return found


def unchanged(plan: Plan) -> None:
    """Refuse files that aren't those of the plan any more.

    Raises:
        LakeError: one was changed, added or removed.
        SourceError: there are none.
    """
    planned = {str(file["file"]): dict(file) for file in plan.scope.files}
    present = {str(file["file"]): file for file in files_of(plan.scope.source)}
    unlike = sorted(name for name in {*planned, *present} if planned.get(name) != present.get(name))
    if unlike:
        raise LakeError(
            f"{len(unlike)} of the files in {plan.scope.source} aren't as they were when {plan.id} was made: {', '.join(unlike[:5])}.",
            state="nothing more was loaded",
            next="bring them back, or lakewarden backfill plan (a new one)",
        )


def chunks(scope: Scope, rows: int) -> Iterator[tuple[Chunk, float | None]]:
    """The files' events in chunks that are the same each time, and how much of the files was read by then."""
    source = open_source(Path(scope.source), mapping=mapping_of(scope), once=True)
    try:
        source.resume({})
        while not source.exhausted:
            chunk = source.read(rows, ENDLESS)
            if chunk is not None:
                yield chunk, source.fraction
    finally:
        source.close()


def load(
    plan: Plan, release: Release, sandbox: BackfillSandbox, step: Callable[[str], None], on_progress: OnProgress | None = None
) -> Loaded:
    """Load what isn't loaded yet. What stands in staging already is read again, to know how it goes on, and not written again.

    Raises:
        LakeError: the files were changed since the plan was made.
        SourceError: one can't be read.
    """
    unchanged(plan)
    told, arrived, done = Loaded(), Past(), sandbox.loaded()
    for number, (chunk, fraction) in enumerate(chunks(plan.scope, plan.settings.chunk_rows)):
        rows, arrived, behind = arrive_as_history(chunk, release, arrived, plan.scope.span)
        told.add(rows, chunk.partitions, plan.scope.span.last, behind)
        if number > done:
            step(f"load chunk {number}")
            sandbox.put(STAGING.name, _staged(chunk, rows, plan), number)
        if on_progress is not None:
            on_progress(Progress(told.read, round(told.read / fraction) if fraction else None, "loading"))
    return told


def _staged(chunk: Chunk, rows: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    stamped: Mapping[str, pl.Expr | pl.Series] = {
        "enqueued_time": pl.lit(None, UTC_US),
        "received_time": pl.lit(instant(chunk.received_time), UTC_US),
        "source": pl.lit(chunk.source),
        "source_partition": chunk.partitions.cast(pl.String),
        "source_offset": chunk.offsets.cast(pl.Int64),
        "labels_version": pl.lit(plan.labels_version, pl.Int64),
        "batch": pl.lit(None, pl.Int64),
        "run_id": pl.lit(plan.id),
        "release_id": pl.lit(plan.release),
    }
    named = rows.select("kept", "seq", "event_date", "arrival_time", "body").with_columns(**stamped)
    return named.filter("kept").select(list(STAGING.columns))
