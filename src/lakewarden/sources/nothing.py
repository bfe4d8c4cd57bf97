"""A source without events: for what is done under the lake's lease beside streaming."""

from __future__ import annotations

from collections.abc import Mapping

from lakewarden.sources.port import Chunk, Notices, SourceStanding


class Nothing:
    """Exhausted from the start; see `sources.port.Source`."""

    name = "nothing"
    exhausted = True
    fraction: float | None = None

    def resume(self, positions: Mapping[str, Mapping[str, int]]) -> None:
        """There is nowhere to go on."""

    def read(self, max_rows: int, max_seconds: float) -> Chunk | None:
        """None."""
        return None

    def take_notices(self) -> Notices:
        """None were found."""
        return Notices()

    def acknowledge(self, offsets: Mapping[str, int]) -> None:
        """Nobody is told."""

    def standing(self) -> SourceStanding:
        """Nothing stands anywhere."""
        return SourceStanding()

    def close(self) -> None:
        """There is nothing to let go of."""
