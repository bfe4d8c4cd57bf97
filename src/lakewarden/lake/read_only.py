"""A store that only reads: what is built over it can't write, whatever it tries."""

from __future__ import annotations

from typing import NoReturn

from lakewarden.errors import LakeError
from lakewarden.lake.store import Store


class ReadOnlyStore(Store):
    """A store of a lake that refuses every write and every removal.

    Raises (put, put_new, link, delete): LakeError, with nothing written.
    """

    def put(self, path: str, data: bytes | memoryview) -> NoReturn:
        """Refused."""
        raise self._refused(path)

    def put_new(self, path: str, data: bytes) -> NoReturn:
        """Refused."""
        raise self._refused(path)

    def link(self, source: str, target: str) -> NoReturn:
        """Refused."""
        raise self._refused(target)

    def delete(self, paths: list[str]) -> NoReturn:
        """Refused."""
        raise self._refused(", ".join(paths))

    def _refused(self, path: str) -> LakeError:
        return LakeError(f"{self.uri(path)} was opened for reading only.", state="nothing was written", next="report this: it is a fault")
