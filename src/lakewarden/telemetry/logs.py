"""A stream's log: one JSON object a line, on stderr or in a file. Figures and identifiers, never an event's content, never a secret."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

import structlog

from lakewarden.errors import ConfigurationError, LakewardenError, UsageError
from lakewarden.operations.pulse import STOPPED

if TYPE_CHECKING:
    from lakewarden.operations.pulse import Published, Pulse, ReleaseChange
    from lakewarden.sources.port import Gap

STDERR: Final = "-"
PULSE_SECONDS: Final = 10.0
LEVELS: Final = ("debug", "info", "warning", "error")
SUMMARY: Final = (
    "rows",
    "micro_batches",
    "rate",
    "latency_ms",
    "on_time",
    "lag",
    "skew",
    "unpublished_events",
    "unpublished_seconds",
    "idle_seconds",
    "troubles",
    "throttled_ms",
    "telemetry_errors",
    "memory_bytes",
)
"""What of a pulse goes into the line of every ten seconds; the rest is in the metrics and in the lake."""


class StreamLog:
    """Writes a stream's log from `with` to its end.

    Args:
        where: a file, which is appended to, or `-` for stderr.
        level: the least level that is written, one of `LEVELS`.
        now: the wall clock.
        context: goes into every line.

    Raises (on entering): ConfigurationError when the file can't be written; UsageError for a level that there isn't.
    """

    def __init__(self, where: str, level: str, now: Callable[[], datetime], context: Mapping[str, object]) -> None:
        self._where, self._level, self._now, self._context = where, level, now, context
        self._file: TextIO | None = None
        self._told: datetime | None = None
        self._troubles: Mapping[str, int] = {}

    def __enter__(self) -> Self:
        if self._level not in LEVELS:
            raise UsageError(f"{self._level!r} is no log level.", state="nothing was read or written", next=f"use {', '.join(LEVELS)}")
        try:
            self._file = sys.stderr if self._where == STDERR else open(self._where, "a", encoding="utf-8")  # closed by __exit__
        except OSError as error:
            raise ConfigurationError(
                f"The log {self._where} can't be written: {error.strerror}.", state="nothing was read or written", next="name another file"
            ) from error
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(self._file),
            processors=[self._ordered, structlog.processors.JSONRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
            context_class=dict,
        ).bind(**self._context)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # a full disk must not hide the error that ended the stream
            if error is not None:
                self._failed(error)
        with contextlib.suppress(OSError):
            if self._file is not None and self._where != STDERR:
                self._file.close()

    def pulse(self, pulse: Pulse) -> None:
        """Take every pulse: tells what changed in it, and every ten seconds how the stream stands."""
        if self._told is None:
            self._told = pulse.time
            self._log.info("stream.started", source=pulse.source, host=pulse.host, pid=pulse.pid, metrics_url=pulse.metrics_url)
        self._tell_troubles(pulse)
        data = pulse.to_dict()
        figures = {name: data[name] for name in SUMMARY}
        if pulse.state == STOPPED:
            self._log.info("stream.stopped", counts=data["counts"], incidents=data["incidents"], **figures)
        elif (pulse.time - self._told).total_seconds() >= PULSE_SECONDS:
            self._told = pulse.time
            self._log.info("stream.pulse", state=pulse.state, release=pulse.release, **figures)

    def recovered(self, micro_batches: int) -> None:
        """Take the end of the recovery."""
        self._log.info("stream.recovered", micro_batches=micro_batches)

    def published(self, batch: Published) -> None:
        """Take every micro-batch."""
        self._log.debug(
            "micro_batch.published",
            batch=batch.batch,
            rows=batch.rows,
            seconds=round(batch.seconds, 4),
            latency_p95_ms=round(batch.latency_p95_ms, 1),
            release=batch.release,
            counts=dict(batch.counts),
        )

    def release_changed(self, change: ReleaseChange) -> None:
        """Take every change of the release while the stream runs."""
        self._log.info("release.changed", release=change.release, from_batch=change.batch, before=change.before, what=str(change))

    def gap(self, gap: Gap, incident_id: str) -> None:
        """Take every gap in a source, with the incident that it opened."""
        self._log.warning(
            "gap.found",
            incident=incident_id,
            source=gap.source,
            partition=gap.partition,
            first=gap.first,
            last=gap.last,
            lost=gap.lost,
            kind=gap.kind,
            detail=gap.detail,
        )

    def _tell_troubles(self, pulse: Pulse) -> None:
        for kind, count in pulse.troubles.items():
            new = count - self._troubles.get(kind, 0)
            if new > 0:
                self._log.warning("source.trouble", kind=kind, count=count, new=new)
        self._troubles = pulse.troubles

    def _failed(self, error: BaseException) -> None:
        """Our own errors are written for people to read; what another's message holds (an event, a password) nobody can know."""
        told = {"what": error.what, "state": error.state, "next": error.next} if isinstance(error, LakewardenError) else {}
        self._log.error("stream.failed", kind=type(error).__name__, **told)

    def _ordered(self, _: object, level: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {"time": self._now().isoformat(timespec="milliseconds"), "level": level, "event": event.pop("event"), **event}
