"""Progress bars with rate and time left, on stderr, on a terminal, for anything over a second."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from lakewarden.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import Task, TaskID
    from rich.text import Text

APPEAR_AFTER_SECONDS = 1.0


class Bars:
    """One bar for each part of the work that a command names; silent when stderr is not a terminal."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._rich: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._closed = not sys.stderr.isatty()

    def update(self, progress: Progress) -> None:
        """Take one moment of the work; returns at once."""
        if time.monotonic() - self._started < APPEAR_AFTER_SECONDS:
            return
        with self._lock:
            if self._closed:
                return
            if self._rich is None:
                self._rich = _build()
                self._rich.start()
            task = self._tasks.get(progress.what)
            if task is None:
                self._finish_bars(self._rich)
                task = self._tasks[progress.what] = self._rich.add_task(progress.what, total=progress.total, rate=None)
            self._rich.update(task, completed=progress.done, total=progress.total, rate=progress.rate)

    def close(self) -> None:
        """Take the bars off the screen; later updates are ignored."""
        with self._lock:
            self._closed = True
            if self._rich is not None:
                self._rich.stop()
                self._rich = None

    def _finish_bars(self, rich: RichProgress) -> None:
        for task in rich.tasks:
            if not task.finished:
                rich.update(task.id, total=task.completed, completed=task.completed)


def _build() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class Done(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.completed:,.0f}" + (f" of {task.total:,.0f}" if task.total and not task.finished else ""))

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(_rate(task))

    class Left(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(_left(task))

    return RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        Done(),
        Rate(),
        TimeElapsedColumn(),
        Left(),
        console=Console(stderr=True),
        transient=True,
    )


def _speed(task: Task) -> float | None:
    told = task.fields.get("rate")
    return float(told) if told is not None else task.speed


def _rate(task: Task) -> str:
    speed = _speed(task)
    return f"{speed:,.0f}/s" if speed else ""


def _left(task: Task) -> str:
    speed = _speed(task)
    if task.finished or task.total is None or not speed:
        return ""
    minutes, seconds = divmod(round((task.total - task.completed) / speed), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"
