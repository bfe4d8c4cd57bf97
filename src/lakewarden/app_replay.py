"""The part of the composition root and the Python API that replays dates: see `lakewarden.app`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from lakewarden.flow.version import code_version
from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.operations import status as standing
from lakewarden.operations.dates import as_date, utc_now
from lakewarden.operations.recorded import Recorded
from lakewarden.settings import ReplaySettings

if TYPE_CHECKING:
    from lakewarden.engines.embedded import EmbeddedEngine
    from lakewarden.progress import OnProgress


class Replays(Recorded):
    """A lake's replays (runbook section 4); each public method is the command of the same name and gives its report."""

    @contextlib.contextmanager
    def reading(self) -> Iterator[EmbeddedEngine]:
        """An engine that can only read: its store refuses every write."""
        from lakewarden.engines.embedded import EmbeddedEngine
        from lakewarden.lake.read_only import ReadOnlyStore

        engine = EmbeddedEngine(Lakehouse(ReadOnlyStore(self.house.store.root), self.house.settings), time.monotonic)
        try:
            yield engine
        finally:
            engine.close()

    def replay_plan(
        self,
        first: date | str,
        last: date | str,
        *,
        reason: str,
        release: str | None = None,
        incident: str | None = None,
        dry_run: bool = False,
        settings: ReplaySettings | None = None,
    ) -> standing.Report:
        """Plan a replay of these dates and store the plan (`dry_run`: don't); not ok where a precondition doesn't hold.

        Args:
            release: a release's id or the beginning of it, for all rows; None: each row under the release recorded for it.
            settings: how the replay is cut and judged; None: the defaults.

        Raises:
            UsageError: the dates are the wrong way round, or there is no reason.
            LakeError: there is no such release or incident.
        """
        from lakewarden.audit.receipts import Author
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations.replay import planning
        from lakewarden.operations.replay.journal import Journal

        if incident is not None:
            self.incident_show(incident)
        plan = planning.build(
            self.house,
            (as_date(first), as_date(last)),
            release_prefix=release,
            reason=reason,
            incident=incident,
            who=Author.of_this_process().actor,
            now=utc_now(),
            code_version=code_version(),
            settings=settings or ReplaySettings(),
            load=lambda release_id: materialise(self.house.store, release_id),
        )
        step = {} if dry_run else {"next": Journal.begin(self.house.store, plan).next()}
        return standing.Report({**plan.to_dict(), "stored": not dry_run, **step}, ok=plan.ok)

    def replay_run(self, replay_id: str, on_progress: OnProgress | None = None) -> standing.Report:
        """Run a planned replay into its sandbox, or carry on with one that was killed; no production table is written.

        Raises:
            LakeError: there is no such replay, its plan isn't ok, or plan or code were changed since.
            LakeBusyError: another process runs it.
        """
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations.replay import run
        from lakewarden.operations.replay.journal import Journal

        journal = Journal.of(self.house.store, replay_id)
        with self.reading() as engine:
            return run.run(
                engine,
                journal,
                load=lambda release_id: materialise(engine.lake.store, release_id),
                code_version=code_version(),
                now=utc_now,
                monotonic=time.monotonic,
                on_progress=on_progress,
            )

    def replay_validate(self, replay_id: str, on_progress: OnProgress | None = None) -> standing.Report:
        """Compare a replay with what is published, put each difference in a class, and judge it; not ok where a gate stops.

        Raises:
            LakeError: there is no such replay, or it isn't run to its end.
        """
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations.replay import validate
        from lakewarden.operations.replay.journal import Journal

        journal = Journal.of(self.house.store, replay_id)
        with self.reading() as engine:
            return validate.validate(
                engine,
                journal,
                load=lambda release_id: materialise(engine.lake.store, release_id),
                now=utc_now,
                monotonic=time.monotonic,
                on_progress=on_progress,
            )

    def replays(self) -> standing.Report:
        """All replays, newest first."""
        from lakewarden.operations.replay import journal

        found = journal.listed(self.house.store)
        return standing.Report({"rows": len(found), "replays": found})

    def replay_show(self, replay_id: str) -> standing.Report:
        """One replay: its plan, its state, its newest verdict. Raises LakeError where there is none of that id."""
        from lakewarden.operations.replay import clean
        from lakewarden.operations.replay.journal import Journal

        return clean.show(Journal.of(self.house.store, replay_id))

    def replay_clean(self, replay_id: str) -> standing.Report:
        """Remove the sandbox of a replay; its plan and its reports stay. Raises LakeBusyError while it runs."""
        from lakewarden.operations.replay import clean
        from lakewarden.operations.replay.journal import Journal

        return clean.clean(Journal.of(self.house.store, replay_id), utc_now())
