"""Symptoms: what the product itself sees of a failure, and when that is bad enough for an incident. Pure, but for the reporter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.audit.incident import Impact
from lakewarden.tables import ALERTS, DLQ, GOLD, SILVER

if TYPE_CHECKING:
    from lakewarden.audit.incident import Incident
    from lakewarden.audit.incidents import Incidents
    from lakewarden.operations.pulse import Pulse
    from lakewarden.settings import SymptomSettings

LAG_SUBJECT: Final = "stream lag"
DQ_SUBJECT: Final = "critical data quality"
WORST: Final = 5
"""Rules that an incident's facts name."""


@dataclass(frozen=True)
class Symptom:
    """A reason to open an incident: code, subject (the same for the same trouble), a sentence, facts, what is hit."""

    code: str
    subject: str
    title: str
    detail: Mapping[str, Any]
    impact: Impact


@dataclass(frozen=True)
class LagSample:
    """What a look at a stream says of its lag: when, events behind, p95 of the last minute's latency (None: nothing was published),
    how long the oldest event in hand has been waiting."""

    time: datetime
    lag: int | None
    p95_seconds: float | None
    waiting_seconds: float

    @classmethod
    def of(cls, pulse: Pulse) -> LagSample:
        """The sample in a pulse."""
        p95 = pulse.latency_ms.get("p95")
        return cls(pulse.time, pulse.lag, None if p95 is None else p95 / 1000, pulse.unpublished_seconds)


def lagging(samples: Sequence[LagSample], settings: SymptomSettings) -> Symptom | None:
    """Whether a stream falls behind: its lag grew for as long as the settings say, and its latency is over the service level.

    It grew when it is larger than at the beginning of that time and was at no look smaller. Latency is over its level by the p95 of the
    last minute, or because an event has been waiting for longer than the level allows (a stream that publishes nothing has no p95).

    Args:
        samples: of one run, oldest first; those that are older than needed are left aside.
        settings: the thresholds.
    """
    known = [sample for sample in samples if sample.lag is not None]  # a copy: a deque may be given
    if not known:
        return None
    newest = known[-1]
    before = [one for one in known if (newest.time - one.time).total_seconds() >= settings.lag_growing_seconds]
    if not before:
        return None
    first = before[-1]
    since = [one.lag or 0 for one in known if one.time >= first.time]
    begin, now = since[0], since[-1]
    slow = max(newest.p95_seconds or 0.0, newest.waiting_seconds)
    if not (now > begin <= min(since) and slow > settings.latency_p95_seconds):
        return None
    seconds = (newest.time - first.time).total_seconds()
    detail = {
        "lag_events": now,
        "lag_events_before": begin,
        "growing_seconds": round(seconds, 1),
        "latency_p95_seconds": newest.p95_seconds,
        "waiting_seconds": round(newest.waiting_seconds, 1),
        "level_seconds": settings.latency_p95_seconds,
    }
    title = f"The stream falls behind: {now:,} events, {now - begin:,} more than {seconds:.0f} s before, and latency is {slow:.0f} s."
    return Symptom("INC-S01", LAG_SUBJECT, title, detail, Impact(since=first.time, tables=(SILVER.name, GOLD.name, ALERTS.name)))


def dq_collapsed(results: pl.DataFrame, settings: SymptomSettings) -> Symptom | None:
    """Whether critical data quality collapsed: over the newest rows, all critical rules together or one of them pass too small a share.

    One rule is judged by itself as well, because the average over twenty hides one that fails altogether.

    Args:
        results: rows of `dq_results`.
        settings: the thresholds.
    """
    critical = results.filter(pl.col("criticality") == "critical", pl.col("rows") > 0)
    batches = critical.group_by("batch").agg(pl.col("rows").max().alias("judged")).sort("batch", descending=True)
    enough = batches.filter((pl.col("judged").cum_sum() - pl.col("judged")) < settings.dq_rows)
    newest = critical.join(enough, on="batch", how="semi")
    rules = (
        newest.group_by("rule")
        .agg(pl.col("rows").sum(), pl.col("failed").sum())
        .filter(pl.col("rows") >= settings.dq_least_rows)
        .with_columns((1 - pl.col("failed") / pl.col("rows")).alias("pass_rate"))
        .sort("pass_rate", "rule")
    )
    if rules.is_empty():
        return None
    together = 1 - int(rules["failed"].sum()) / int(rules["rows"].sum())
    worst = rules.head(WORST).to_dicts()
    least = min(together, worst[0]["pass_rate"])
    if least >= settings.dq_pass_rate:
        return None
    detail = {
        "pass_rate": round(together, 6),
        "level": settings.dq_pass_rate,
        "rows": int(enough["judged"].sum()),
        "rules": [{**rule, "pass_rate": round(rule["pass_rate"], 6)} for rule in worst],
    }
    title = f"Critical data quality collapsed: {worst[0]['rule']} passes {worst[0]['pass_rate']:.1%}, all critical rules {together:.1%}."
    return Symptom("INC-DQ01", DQ_SUBJECT, title, detail, _when(newest))


def _when(results: pl.DataFrame) -> Impact:
    failed = results.filter(pl.col("failed") > 0)
    dates, times = failed["event_date"], failed["checked_time"]
    first, last = dates.min(), dates.max()
    since = times.min()
    return Impact(
        since=since if isinstance(since, datetime) else None,
        tables=(SILVER.name, GOLD.name, DLQ.name),
        first_date=first if isinstance(first, date) else None,
        last_date=last if isinstance(last, date) else None,
    )


class SymptomReporter:
    """Opens an incident for each symptom, once while it lasts.

    Args:
        incidents: opens the incidents' store; called when there is a symptom, not before.
        run_id: goes into the incident.
        now: the wall clock.
    """

    def __init__(self, incidents: Callable[[], Incidents], run_id: str, now: Callable[[], datetime]) -> None:
        self._incidents = incidents
        self._run_id = run_id
        self._now = now

    def __call__(self, symptom: Symptom | None) -> Incident | None:
        """Open the symptom's incident, or note that it was seen again; without a symptom, nothing. Raises StorageError."""
        if symptom is None:
            return None
        return self._incidents().open_once(
            symptom.code, symptom.subject, symptom.title, symptom.detail, self._run_id, self._now(), impact=symptom.impact
        )
