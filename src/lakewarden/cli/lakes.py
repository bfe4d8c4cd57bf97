"""How commands find the lake that they work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakewarden.cli.options import Engine
from lakewarden.errors import UsageError

if TYPE_CHECKING:
    from lakewarden.app import Lake


def named(lake: str | None) -> str:
    """The lake's path.

    Raises:
        UsageError: when neither --lake nor LAKEWARDEN_LAKE names one.
    """
    if lake is None or not lake.strip():
        raise UsageError(
            "no lake was named",
            state="nothing was done",
            next="give --lake PATH, or: export LAKEWARDEN_LAKE=PATH",
        )
    return lake


def opened(lake: str | None, engine: Engine = Engine.embedded) -> Lake:
    """The lake, open; its operations run on the engine.

    Raises:
        UsageError: when no lake was named.
        LakeError: when there is no lake there, or it is of another version.
    """
    path = named(lake)
    from lakewarden import app  # Polars and the rest load here, so that --help needn't wait

    return app.open(path, engine=engine.value)
