"""Objects by path under one root: a local folder or `az://container/prefix`, through the same code.

Every write replaces the whole object at once (a rename locally, one PUT on Azure), so a reader sees the old bytes or the new.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlparse

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError

from lakewarden.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore


_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK)
"""What a file system says that knows no second names, or no more of them."""


@dataclass(frozen=True)
class Entry:
    """One stored object: path below the root, size in bytes, time of its last write."""

    path: str
    size: int
    modified: datetime


class Store:
    """Reads, writes, lists and deletes objects below one root.

    Args:
        root: a local path, `file:///path` or `az://container/prefix`. Credentials of Azure come from the environment
            (`AZURE_STORAGE_ACCOUNT_NAME`, a managed identity, ...), never from here.
        create: make a local root that does not exist yet.

    Raises:
        ConfigurationError: the scheme is not one of these.
    """

    def __init__(self, root: str | Path, *, create: bool = False) -> None:
        text = str(root)
        parts = urlparse(text)
        if len(parts.scheme) > 1 and parts.scheme not in {"file", "az", "abfs", "abfss"}:
            raise ConfigurationError(
                f"A lake can't live at {text!r}: the scheme {parts.scheme!r} is not known.",
                next="use a local path or az://container/prefix",
            )
        self.local: Path | None = None
        if len(parts.scheme) <= 1 or parts.scheme == "file":
            self.local = Path(parts.path if parts.scheme == "file" else text).expanduser().absolute()
        self.root = str(self.local) if self.local else text.rstrip("/")
        self._objects = self._connect(create)

    def _connect(self, create: bool) -> ObjectStore:
        if self.local is None:
            return obstore.store.from_url(self.root)
        try:
            if create:
                self.local.mkdir(parents=True, exist_ok=True)
            return obstore.store.LocalStore(self.local)
        except (OSError, BaseError) as error:
            raise StorageError(f"The folder {self.local} can't be used: {error}.", next="check the path and its permissions") from error

    def uri(self, path: str) -> str:
        """The address of a path that delta-rs, Polars and DuckDB understand."""
        return f"{self.root}/{path}"

    def exists(self, path: str) -> bool:
        """Whether an object stands at `path`."""
        try:
            obstore.head(self._objects, path)
        except (NotFoundError, FileNotFoundError):
            return False
        except (BaseError, OSError) as error:
            raise self._failed("read", path, error) from error
        return True

    def get(self, path: str) -> bytes | None:
        """The object's bytes, or None where there is none."""
        try:
            return bytes(obstore.get(self._objects, path).bytes())
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise self._failed("read", path, error) from error

    def put(self, path: str, data: bytes | memoryview) -> None:
        """Write or replace an object in one step."""
        try:
            obstore.put(self._objects, path, data)
        except (BaseError, OSError) as error:
            raise self._failed("write", path, error) from error

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless one stands there; says whether it was written."""
        try:
            obstore.put(self._objects, path, data, mode="create")
        except (AlreadyExistsError, FileExistsError):
            return False
        except (BaseError, OSError) as error:
            raise self._failed("write", path, error) from error
        return True

    def link(self, source: str, target: str) -> None:
        """Give an object that never changes a second name, without moving its bytes where the storage can; an existing target stays."""
        if self.local is None:
            try:
                obstore.copy(self._objects, source, target)
            except (BaseError, OSError) as error:
                raise self._failed("copy", source, error) from error
            return
        old, new = self.local / source, self.local / target
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(old, new)
            except FileExistsError:
                return
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self.put(target, old.read_bytes())
        except OSError as error:
            raise self._failed("link", source, error) from error

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Every object below `prefix`, in no particular order."""
        try:
            for page in obstore.list(self._objects, prefix):
                for meta in page:
                    yield Entry(meta["path"], meta["size"], meta["last_modified"])
        except (BaseError, OSError) as error:
            raise self._failed("list", prefix, error) from error

    def delete(self, paths: list[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        for path in paths:
            try:
                obstore.delete(self._objects, path)
            except (NotFoundError, FileNotFoundError):
                continue
            except (BaseError, OSError) as error:
                raise self._failed("delete", path, error) from error

    def free_bytes(self) -> int | None:
        """Space left where the root is; None where there is no such limit (an object store)."""
        return None if self.local is None else shutil.disk_usage(self.local).free

    def _failed(self, verb: str, path: str, error: Exception) -> StorageError:
        return storage_error(f"{verb} {self.uri(path)}", error)


def storage_error(act: str, error: Exception) -> StorageError:
    """Turn a storage library's error into ours; a full disk is named as such."""
    text = str(error).strip().split("\n")[0][:300]
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error) or "StorageFull" in str(error)
    if full:
        return StorageError(
            f"The disk is full: can't {act}.",
            state="all that was committed stands; the unfinished micro-batch is finished from bronze at the next start",
            next="free space, then run the same command again",
        )
    return StorageError(
        f"Can't {act}: {text}", state="all that was committed stands", next="check the storage, then run the same command again"
    )
