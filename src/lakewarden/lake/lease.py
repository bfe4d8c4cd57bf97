"""One stream a lake: whoever writes holds the lease, under a number that only grows, its epoch (docs/adr/0014).

`_lease/<epoch>.json` says who holds an epoch, and the highest one counts. It is taken by creating that object, which only one can, and
written by its holder alone. Locally the holder also holds a lock of the operating system, which ends with the process: who was killed is
followed at once. Who is paused, or was killed writing to Azure, is followed when the time has passed within which it said it would renew.
The lease keeps streams apart that behave; that nothing of a paused one gets through is the tables' and the published point's doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from lakewarden.errors import FencedError, LakeBusyError, LakewardenError, StorageError
from lakewarden.lake.store import storage_error

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

FOLDER: Final = "_lease"
EXPIRES_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.5
LOOKS: Final = 5


@dataclass(frozen=True)
class Holding:
    """One epoch of the lease: who holds it, since when; when it was last renewed (0: given back) and for how many seconds that holds."""

    epoch: int
    host: str = ""
    pid: int = 0
    run_id: str = ""
    since: str = ""
    token: str = ""
    expires: float = EXPIRES_SECONDS
    renewed: float = 0.0

    @property
    def who(self) -> str:
        """The holder in words."""
        return f"process {self.pid} on {self.host} (run {self.run_id}, since {self.since})" if self.host else "another process"


class Lease:
    """Held from `with` to its end.

    Args:
        store: the lake's objects.
        run_id: told to others, with host and process.
        started: told to others, ISO 8601.
        expires: seconds without a renewal after which another stream may take over.
        floor: an epoch that the tables know; the lease's is higher, also where `_lease/` was lost.
        wait: wait for whoever holds it, until this is set; None: don't.

    Raises:
        LakeBusyError: another stream holds it; names the host, process and start.
        FencedError: (at the end) the stream failed because another one had taken over.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        started: str,
        *,
        expires: float = EXPIRES_SECONDS,
        floor: int = 0,
        wait: threading.Event | None = None,
    ) -> None:
        self._store = store
        self._floor = floor
        self._wait = wait
        self._mine = Holding(0, socket.gethostname(), os.getpid(), run_id, started, uuid.uuid4().hex, expires)
        self._lock: int | None = None
        self._lost = False
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    @property
    def epoch(self) -> int:
        """The number under which this holder writes; 0 before it holds the lease."""
        return self._mine.epoch

    @property
    def lost(self) -> bool:
        """Whether another stream is known to have taken over; `look` asks the storage."""
        return self._lost

    def check(self) -> None:
        """Costs nothing.

        Raises:
            FencedError: the lease is known to be lost.
        """
        if self._lost:
            raise fenced(self._store)

    def look(self) -> bool:
        """Ask the storage whether another stream has taken over; says so."""
        found = newest(self._store)
        self._lost = self._lost or (found is not None and found.epoch > self.epoch)
        return self._lost

    def __enter__(self) -> Lease:
        while True:
            try:
                self._take()
                break
            except LakeBusyError:
                if self._wait is None or self._wait.wait(POLL_SECONDS):
                    raise
        self._renewer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._renewer.join()
        with contextlib.suppress(LakewardenError, OSError):  # say, on a full disk; its lock is free anyway, or its time runs out
            if not self.look():
                self._store.put(path(self.epoch), self._state(self.epoch, 0.0))
            self._remove_lock()
        self._unlock()
        if self._lost and isinstance(error, Exception) and not isinstance(error, FencedError):
            raise fenced(self._store) from error  # whatever it stumbled over when it woke up, this is why

    def _take(self) -> None:
        before = newest(self._store)
        if before is not None and (held(self._store, before) or self._stirs(before)):
            raise self._busy(before)
        epoch = max(before.epoch if before is not None else 0, self._floor) + 1
        self._lock_own_file()  # before others can see the epoch, or they would take its holder for dead
        try:
            won = self._store.put_new(path(epoch), self._state(epoch, time.time()))
            after = newest(self._store)
            if after is None or after.token != self._mine.token:
                # Somebody was quicker; or long since past, and the name was free only because a later epoch had cleared it away.
                if won:
                    self._store.delete([path(epoch)])
                self._remove_lock()
                raise self._busy(after)
        except BaseException:
            self._unlock()
            raise
        self._mine = after
        self._clear(before)

    def _stirs(self, silent: Holding) -> bool:
        """Whether one that is silent by this clock renews all the same: the clocks of two hosts may disagree."""
        if not silent.renewed or died(self._store, silent):
            return False
        (self._wait or self._ended).wait(silent.expires / 2)  # it renews every third
        now = newest(self._store)
        return now is not None and (now.epoch, now.renewed) != (silent.epoch, silent.renewed)

    def _state(self, epoch: int, renewed: float) -> bytes:
        return json.dumps({**asdict(self._mine), "epoch": epoch, "renewed": renewed}).encode()

    def _renew(self) -> None:
        pause = self._mine.expires / 3
        while not self._ended.wait(pause):
            try:
                if self.look():
                    return
                self._store.put(path(self.epoch), self._state(self.epoch, time.time()))
                pause = self._mine.expires / 3
            except LakewardenError:  # the storage may answer the next time; till then others see it expire, and the tables are fenced
                pause = self._mine.expires / 10

    def _clear(self, before: Holding | None) -> None:
        """What former epochs left; a paused holder that writes its own again harms nobody."""
        with contextlib.suppress(StorageError, OSError):
            self._store.delete([path(epoch) for epoch in epochs(self._store) if epoch < self.epoch])
            if before is not None and self._store.local is not None and before.token:
                _lock_path(self._store.local, before.token).unlink(missing_ok=True)

    def _lock_own_file(self) -> None:
        if self._store.local is None:
            return
        import fcntl  # not on Windows, where a lake is opened read-only

        file = _lock_path(self._store.local, self._mine.token)
        try:
            file.parent.mkdir(exist_ok=True)
            self._lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX)  # at once: the name is nobody else's
        except OSError as error:
            self._unlock()
            raise storage_error(f"lock {file}", error) from error

    def _remove_lock(self) -> None:
        if self._store.local is not None:
            _lock_path(self._store.local, self._mine.token).unlink(missing_ok=True)

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _busy(self, by: Holding | None) -> LakeBusyError:
        return LakeBusyError(
            f"The lake at {self._store.root} is being written by {by.who if by else 'another process'}.",
            state="nothing was written",
            next="stop that stream (Ctrl-C or SIGTERM ends it after its micro-batch), or take over when it ends: lakewarden stream --wait",
        )


def path(epoch: int) -> str:
    """Where an epoch's holder is named."""
    return f"{FOLDER}/{epoch:020d}.json"


def epochs(store: Store) -> list[int]:
    """The epochs that are there, in no particular order; former ones are cleared away."""
    names = (Path(entry.path) for entry in store.entries(FOLDER))
    return [int(name.stem) for name in names if name.suffix == ".json" and name.stem.isdigit()]


def newest(store: Store) -> Holding | None:
    """The highest epoch, also one that was given back; None before the first.

    Raises:
        LakeBusyError: it changes hands more quickly than it can be read.
    """
    for _ in range(LOOKS):
        known = epochs(store)
        if not known:
            return None
        data = store.get(path(max(known)))
        if data is not None:
            return _holding(max(known), data)
    raise LakeBusyError(f"The lake at {store.root} changes hands.", state="nothing was written", next="run the command again")


def _holding(epoch: int, data: bytes) -> Holding:
    try:
        return Holding(**{**json.loads(data), "epoch": epoch})
    except (ValueError, TypeError):  # cut by a power failure, which ended its holder too
        return Holding(epoch)


def held(store: Store, holding: Holding) -> bool:
    """Whether a holder is there and at work, as far as anybody else can tell: not given back, not dead, not paused for too long."""
    return bool(holding.renewed) and time.time() - holding.renewed < holding.expires and not died(store, holding)


def died(store: Store, holding: Holding) -> bool:
    """Whether a holder's lock is free. On Azure, or where the file is gone (a copied lake), nobody can tell, and the time decides."""
    if store.local is None:
        return False
    import fcntl

    try:
        handle = os.open(_lock_path(store.local, holding.token), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who only look don't take each other for the holder
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def awaited(store: Store, stop: threading.Event) -> bool:
    """Wait until nobody holds the lease; False when `stop` was set first."""
    while not stop.is_set():
        found = newest(store)
        if found is None or not held(store, found):
            return True
        stop.wait(POLL_SECONDS)
    return False


def holder(store: Store) -> dict[str, object] | None:
    """Who holds the lease now (epoch, host, process, run, since when), or None."""
    found = newest(store)
    if found is None or not held(store, found):
        return None
    return {name: value for name, value in asdict(found).items() if name in {"epoch", "host", "pid", "run_id", "since"}}


def fenced(store: Store) -> FencedError:
    """What a stream is told that another one took over; names the other where the storage tells."""
    by = None
    with contextlib.suppress(LakewardenError):
        by = newest(store)
    return FencedError(
        f"The lake at {store.root} was taken over by {by.who if by else 'another process'}, while this stream was paused or cut off.",
        state="what was committed before stands; nothing was lost, and nothing written twice",
        next="lakewarden status",
    )


def _lock_path(root: Path, token: str) -> Path:
    return root / FOLDER / f"{token}.lock"
