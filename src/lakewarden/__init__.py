"""Lakewarden: compliance and anomaly detection on a lakehouse that an operator can replay, prove and undo.

>>> import lakewarden
>>> lake = lakewarden.open("demo-lake")              # doctest: +SKIP
>>> lake.table("anomaly_alerts").collect()           # doctest: +SKIP

The names below load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lakewarden.allocation import keep_for_the_next_batch

if TYPE_CHECKING:
    from lakewarden.app import Lake as Lake
    from lakewarden.app import init as init
    from lakewarden.app import open as open
    from lakewarden.app import simulate as simulate
    from lakewarden.demonstration import run as demo

    __version__: str

__all__ = ["Lake", "__version__", "demo", "init", "open", "simulate"]

keep_for_the_next_batch()

if not TYPE_CHECKING:  # a typed reader sees the names above and no others

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return import_module("importlib.metadata").version("lakewarden")
        if name == "demo":
            return import_module("lakewarden.demonstration").run
        if name in __all__:
            return getattr(import_module("lakewarden.app"), name)
        raise AttributeError(f"module 'lakewarden' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
