"""What of a stream's telemetry is wanted, opened before the stream touches anything and closed behind it.

No outlet can harm the stream: one that fails while it runs is counted (`telemetry_errors` in the pulse) and tried again.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import psutil

from lakewarden.operations import last_pulse
from lakewarden.operations.heartbeat import EVERY_SECONDS, Heartbeat
from lakewarden.operations.pulse import FAILED, STOPPED, Identity, PulseRecorder

if TYPE_CHECKING:
    from lakewarden.lake.store import Store
    from lakewarden.operations.job import Clocks
    from lakewarden.operations.pulse import Published, Pulse, ReleaseChange
    from lakewarden.sources.port import Gap, Source
    from lakewarden.telemetry.logs import StreamLog

REMOTE_SECONDS: Final = 5.0
"""How often the pulse is put into a lake on an object store, where every put costs."""


@dataclass(frozen=True)
class Wanted:
    """Which outlets a user asked for; OpenTelemetry is asked for by its own variables.

    Attributes:
        metrics_port: where Prometheus may scrape; 0 takes a free port, None serves nothing.
        metrics_host: the address to listen on.
        log: a file, `-` for stderr, None for no log.
        log_level: debug, info, warning or error.
    """

    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    log: str | None = None
    log_level: str = "info"


class Telemetry:
    """Opens the outlets on entering; `beating` hands them the pulse and closes them, or else the end does.

    Args:
        wanted: which outlets.
        run_id: the stream's run.
        source: what it reads.
        clocks: wall clock and monotonic timer.
        store: the lake's objects, where `status` finds the pulse.
        on_release: told, in a sentence, when the stream takes another release up; must not raise.

    Raises (on entering): ConfigurationError, UsageError: an outlet can't be opened; nothing was read or written.
    """

    def __init__(
        self,
        wanted: Wanted,
        run_id: str,
        source: Source,
        clocks: Clocks,
        store: Store,
        on_release: Callable[[str], None] | None = None,
    ) -> None:
        process = psutil.Process()
        self._on_release = on_release
        self._wanted, self._run_id, self._clocks, self._store = wanted, run_id, clocks, store
        identity = Identity(run_id, socket.gethostname(), process.pid)
        self.recorder = PulseRecorder(identity, clocks, source, lambda: int(process.memory_info().rss), self)
        self.metrics_url: str | None = None
        self._log: StreamLog | None = None
        self._kept: float | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            if self._wanted.log is not None:
                from lakewarden.telemetry.logs import StreamLog  # each library loads only where it is used

                log = StreamLog(self._wanted.log, self._wanted.log_level, self._clocks.now, {"run_id": self._run_id})
                self._log = opening.enter_context(log)
            if self._wanted.metrics_port is not None:
                from lakewarden.telemetry.prometheus import MetricsServer

                server = opening.enter_context(MetricsServer(self.recorder.pulse, self._wanted.metrics_port, self._wanted.metrics_host))
                self.metrics_url = server.url
                self.recorder.served_at(server.url)
            if otlp_is_asked_for(os.environ):
                from lakewarden.telemetry.otel import Otlp

                opening.enter_context(Otlp(self.recorder.pulse, self._run_id, lambda: self.recorder.telemetry_failed("otlp")))
            self._open = opening.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.__exit__(kind, error, trace)

    @contextlib.contextmanager
    def beating(self, attention: Callable[[Pulse], None]) -> Iterator[None]:
        """From `with` to its end the outlets get the pulse every second; then they close.

        Args:
            attention: takes it besides, and looks for what is worth an incident.

        To be entered under the lake's lease: whoever waits for the lease may want the same port.
        """
        outlets: dict[str, Callable[[Pulse], None]] = {"lake": self._keep, "incidents": attention}
        if self._log is not None:
            outlets["log"] = self._log.pulse
        with self._open:
            self._to_log(lambda log: log.pulse(self.recorder.pulse()))  # here, so that a quick recovery isn't told before the start
            with Heartbeat(self.recorder, outlets):
                yield

    def gap(self, gap: Gap, incident_id: str) -> None:
        """A gap in the source opened an incident."""
        self.recorder.incident(incident_id)
        self._to_log(lambda log: log.gap(gap, incident_id))

    def recovered(self, micro_batches: int) -> None:
        """See `Listener.recovered`."""
        self._to_log(lambda log: log.recovered(micro_batches))

    def published(self, batch: Published) -> None:
        """See `Listener.published`."""
        self._to_log(lambda log: log.published(batch))

    def release_changed(self, change: ReleaseChange) -> None:
        """See `Listener.release_changed`."""
        self._to_log(lambda log: log.release_changed(change))
        if self._on_release is not None:
            self._on_release(str(change))

    def _to_log(self, write: Callable[[StreamLog], None]) -> None:
        if self._log is None:
            return
        try:
            write(self._log)
        except Exception:  # noqa: BLE001  # a full disk, a closed stderr: the events matter more
            self.recorder.telemetry_failed("log")

    def _keep(self, pulse: Pulse) -> None:
        at = self._clocks.monotonic()
        often = EVERY_SECONDS if self._store.local is not None else REMOTE_SECONDS
        if self._kept is None or at - self._kept >= often * 0.9 or pulse.state in (STOPPED, FAILED):
            self._kept = at
            last_pulse.keep(self._store, pulse)


def otlp_is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether the environment names an endpoint for OpenTelemetry metrics, and nothing in it turns them off."""
    named = environment.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_METRICS_EXPORTER") == "none"
    return bool(named) and not off
