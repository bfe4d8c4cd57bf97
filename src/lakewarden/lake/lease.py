"""One stream a lake: whoever writes holds the lease; a second is refused and told who holds it.

Locally the operating system's file lock is the lease: it ends with the process, also by SIGKILL. On Azure it is an object
replaced on condition, renewed while the stream runs and free again when it has not been renewed for a while.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from lakewarden.errors import LakeBusyError

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

PATH: Final = "_lease.json"
EXPIRES_SECONDS: Final = 30.0


class Lease:
    """Held from `with` to its end.

    Raises:
        LakeBusyError: another stream holds it; names the host, process and start.
    """

    def __init__(self, store: Store, run_id: str, started: str) -> None:
        self._store = store
        self._holder = {"host": socket.gethostname(), "pid": os.getpid(), "run_id": run_id, "since": started}
        self._file: int | None = None
        self._etag: str | None = None
        self._ended = threading.Event()
        self._renewer: threading.Thread | None = None

    def __enter__(self) -> Lease:
        if self._store.local is not None:
            self._lock_file(self._store.local / PATH)
        else:
            self._take_object()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None
        if self._renewer is not None:
            self._renewer.join()
            self._store.delete([PATH])

    def _lock_file(self, path: Path) -> None:
        import fcntl  # not on Windows, where a lake is opened read-only

        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            text = os.read(handle, 4096)
            os.close(handle)
            raise self._busy(text) from None
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(self._holder).encode())
        self._file = handle

    def _take_object(self) -> None:
        etag = self._store.etag(PATH)
        if etag is not None:
            data = self._store.get(PATH) or b"{}"
            if time.time() - json.loads(data).get("renewed", 0) < EXPIRES_SECONDS:
                raise self._busy(data)
        self._etag = self._store.put_if(PATH, self._renewed(), etag)
        if self._etag is None:
            raise self._busy(self._store.get(PATH) or b"")
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewer.start()

    def _renewed(self) -> bytes:
        return json.dumps({**self._holder, "renewed": time.time()}).encode()

    def _renew(self) -> None:
        while not self._ended.wait(EXPIRES_SECONDS / 3):
            self._etag = self._store.put_if(PATH, self._renewed(), self._etag)
            if self._etag is None:
                return

    @property
    def lost(self) -> bool:
        """Whether somebody else took the lease over (this process was paused for too long): write no more."""
        return self._renewer is not None and self._etag is None

    def _busy(self, text: bytes) -> LakeBusyError:
        try:
            holder = json.loads(text)
            who = f"process {holder['pid']} on {holder['host']} (run {holder['run_id']}, since {holder['since']})"
        except (ValueError, KeyError):
            who = "another process"
        return LakeBusyError(
            f"The lake at {self._store.root} is being written by {who}.",
            state="nothing was written",
            next="stop that stream (Ctrl-C or SIGTERM ends it after its micro-batch), or watch it: lakewarden status",
        )


def holder(store: Store) -> dict[str, object] | None:
    """Who holds the lease now, or None."""
    if store.local is None:
        data = store.get(PATH)
        fields: dict[str, object] = json.loads(data) if data else {}
        renewed = fields.get("renewed", 0)
        return fields if isinstance(renewed, float) and time.time() - renewed < EXPIRES_SECONDS else None
    import fcntl

    try:
        handle = os.open(store.local / PATH, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(handle, 4096)
        return dict(json.loads(text)) if text else {}
    finally:
        os.close(handle)
    return None
