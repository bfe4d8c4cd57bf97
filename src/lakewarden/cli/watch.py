"""`status --watch`: a running stream on one screen, or one JSON object a line for scripts; scans no table."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakewarden.cli.pulse_view import View
from lakewarden.cli.signals import GracefulStop
from lakewarden.errors import LakewardenError, Transient

if TYPE_CHECKING:
    import threading

    from lakewarden.app import Lake
    from lakewarden.cli.face import Face

HISTORY: Final = 240
"""Rates that are remembered: more than a terminal is wide."""


class Rates:
    """Events a second between one pulse and the next; livelier than the pulse's own rate, which is that of a minute."""

    def __init__(self) -> None:
        self.seen: deque[float] = deque(maxlen=HISTORY)
        self._last: tuple[str, datetime, int] | None = None

    def add(self, pulse: dict[str, Any] | None) -> None:
        """Take a pulse; one that was taken before says nothing new."""
        if pulse is None:
            return
        now = (str(pulse["run_id"]), datetime.fromisoformat(pulse["time"]), int(pulse.get("rows", 0)))
        if self._last is not None and self._last[0] == now[0] and now[1] > self._last[1]:
            self.seen.append((now[2] - self._last[2]) / (now[1] - self._last[1]).total_seconds())
        self._last = now


def watch(lake: Lake, face: Face, interval: float, as_json: bool) -> None:
    """Look at the stream every `interval` seconds until Ctrl-C or SIGTERM.

    On a terminal it is drawn; else, and with `as_json`, each look is a JSON object on a line of its own.
    """
    with GracefulStop(say=False) as stop:
        if as_json or not face.out.isatty():
            _lines(lake, face, interval, stop.event)
        else:
            _draw(lake, face, interval, stop.event)


def _lines(lake: Lake, face: Face, interval: float, stop: threading.Event) -> None:
    from lakewarden.operations.status import Report

    while not stop.is_set():
        try:
            face.line(lake.pulse())
        except LakewardenError as error:
            if not isinstance(error, Transient):
                raise
            face.line(Report({"error": {"what": error.what, "kind": type(error).__name__, "transient": True}}, ok=False))
        stop.wait(interval)


def _draw(lake: Lake, face: Face, interval: float, stop: threading.Event) -> None:
    from rich.console import Console
    from rich.live import Live

    console, rates, titles = Console(file=face.out, highlight=False), Rates(), Titles(lake)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        shown: dict[str, Any] = {}
        while not stop.is_set():
            try:
                shown = lake.pulse().to_dict()
                trouble = ""
            except LakewardenError as error:
                if not (shown and isinstance(error, Transient)):
                    raise
                trouble = error.what  # the storage is away for a moment: what was seen last stays on the screen
            rates.add(shown["pulse"])
            view = View(shown, list(rates.seen), titles.of(shown["pulse"]), trouble)
            live.update(view, refresh=True)
            stop.wait(interval)
    console.print(view)


class Titles:
    """The sentences of incidents by their ids, each asked for once."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._known: dict[str, str] = {}

    def of(self, pulse: dict[str, Any] | None) -> dict[str, str]:
        """Ids and titles of the incidents that a pulse names, in its order."""
        ids = [str(name) for name in (pulse or {}).get("incidents", [])]
        for name in ids:
            if name not in self._known:
                self._known[name] = self._title(name)
        return {name: self._known[name] for name in ids}

    def _title(self, name: str) -> str:
        try:
            return str(self._lake.incident_show(name).data["title"])
        except LakewardenError:
            return "see: lakewarden incident show " + name
