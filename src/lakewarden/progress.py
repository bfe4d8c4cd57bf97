"""How far a long command has come: what the lake reports and a face shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of a long command.

    Attributes:
        done: units finished so far; never falls while `what` stays the same.
        total: units in all; None when nobody can know (a stream that never ends).
        what: the part of the work in a few words, for example ``streaming``; a new text starts a new bar.
        rate: units a second lately; None lets the face work it out from `done`.
    """

    done: int
    total: int | None
    what: str
    rate: float | None = None


OnProgress = Callable[[Progress], None]
"""What every long method takes as `on_progress`: called often, from any thread, and expected to return at once."""
