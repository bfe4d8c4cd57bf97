"""Watch what comes after a change of the model: figures before and after, sample by sample, and a verdict (runbook section 6.2 step 4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.audit.receipts import Act
from lakewarden.errors import LakeError, LakewardenError, Transient, UsageError
from lakewarden.operations.change import kpis
from lakewarden.operations.change.plan import RELEASE
from lakewarden.progress import Progress

if TYPE_CHECKING:
    from lakewarden.audit.receipts import Ledger
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.operations.change.journal import Journal
    from lakewarden.progress import OnProgress
    from lakewarden.settings import WatchSettings

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration(text: str) -> timedelta:
    """A length of time as users write it: `90s`, `30m`, `24h`, `2d`. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:[.]\d+)?)\s*([smhd])", text.strip(), flags=re.ASCII)
    if found is None or not float(found[1]):
        raise UsageError(f"{text!r} is no length of time.", state="nothing was done", next="write it as 90s, 30m, 24h or 2d")
    return timedelta(seconds=float(found[1]) * UNITS[found[2]])


@dataclass(frozen=True)
class Watcher:
    """Watches one change.

    Attributes:
        lake: read at its published point.
        journal: of a change that put a release in force; keeps the figures.
        ledger: leaves the receipt.
        settings: how often it looks, and what counts as stabilised.
        now: the wall clock.
        wait: waits so many seconds; True: stop.
        on_progress: told after each look.
    """

    lake: Lakehouse
    journal: Journal
    ledger: Ledger
    settings: WatchSettings
    now: Callable[[], datetime]
    wait: Callable[[float], bool]
    on_progress: OnProgress | None = None

    def watch(self, length: timedelta) -> dict[str, Any]:
        """Look until so much time has passed, or it is told to stop; leaves figures and a receipt either way.

        What was decided before is what was committed in the same length of time before the change; after it counts what other releases
        decided than the one that was in force before.

        Raises:
            LakeError: the change put no release in force, or isn't at that step.
        """
        plan = self.journal.plan()
        changed = self._changed()
        begun = self.now()
        before = kpis.measure(self.lake, kpis.stretch(self.lake, kpis.between(changed - length, changed)))
        after = (pl.col("committed_time") >= changed) & (pl.col("release_id") != plan.release_before)
        parts: list[kpis.Sums] = []
        samples: list[dict[str, Any]] = []
        newest: int | None = None
        stopped = False
        while True:
            try:
                found = kpis.stretch(self.lake, after)
                fresh = None if found is None or found[1] == newest else (found[0] if newest is None else newest + 1, found[1])
                parts.append(kpis.measure(self.lake, fresh))
                newest = fresh[1] if fresh else newest
                samples.append({"time": self.now().isoformat(), "micro_batch": newest, **parts[-1].kpis()})
            except LakewardenError as error:  # the storage was away for a moment: the next look counts what this one missed
                if not isinstance(error, Transient):
                    raise
                samples.append({"time": self.now().isoformat(), "error": error.what})
            watched = self.now() - begun
            ended = watched >= length
            told = self._told(changed, begun, watched, length, before, parts, ended=ended)
            self.journal.keep({**told, "stopped": stopped, "samples": samples})
            if self.on_progress is not None:
                self.on_progress(Progress(int(watched.total_seconds()), int(length.total_seconds()), "watching"))
            if ended or stopped:
                break
            stopped = self.wait(min(self.settings.every_seconds, (length - watched).total_seconds()))
        return self._receipted(told, begun, len(samples))

    def _changed(self) -> datetime:
        done = self.journal.state()["done"]
        if RELEASE not in done:
            plan = self.journal.plan()
            what = "put no release in force" if plan.release_after is None else "isn't at its end"
            raise LakeError(
                f"{self.journal.id} {what}, so there is nothing to watch.", state="nothing was done", next="lakewarden model list"
            )
        return datetime.fromisoformat(done[RELEASE]["time"])

    def _told(
        self,
        changed: datetime,
        begun: datetime,
        watched: timedelta,
        length: timedelta,
        before: kpis.Sums,
        parts: list[kpis.Sums],
        *,
        ended: bool,
    ) -> dict[str, Any]:
        judged = [
            kpis.Criterion("time", ended, f"watched for {watched.total_seconds():.0f} s of {length.total_seconds():.0f} s"),
            *kpis.judge(parts, self.settings),
        ]
        return {
            "change": self.journal.id,
            "changed": changed.isoformat(),
            "begun": begun.isoformat(),
            "asked_seconds": length.total_seconds(),
            "watched_seconds": round(watched.total_seconds(), 3),
            "stabilised": all(one.ok for one in judged),
            "criteria": [asdict(one) for one in judged],
            "kpis": {"before": before.kpis(), "after": sum(parts, kpis.Sums()).kpis()},
        }

    def _receipted(self, told: dict[str, Any], begun: datetime, samples: int) -> dict[str, Any]:
        plan = self.journal.plan()
        receipt = self.ledger.record(
            Act(
                "model.watch",
                id=f"watch {plan.id} {begun.isoformat()}",
                reason=plan.request.reason.strip(),
                incident=plan.request.incident,
                plan={"change": plan.id, "seconds": told["asked_seconds"], "settings": self.settings.model_dump()},
                outcome={**told, "samples": samples, "interrupted": not told["criteria"][0]["ok"]},
                counts={"before": told["kpis"]["before"]["events"], "after": told["kpis"]["after"]["events"]},
            )
        )
        return {**told, "samples": samples, "interrupted": not told["criteria"][0]["ok"], "receipt": receipt.number}
