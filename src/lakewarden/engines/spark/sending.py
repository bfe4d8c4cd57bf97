"""One value for every worker, unpacked once in each: a broadcast, or (with Spark Connect, which has none) in the functions' luggage."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_KEPT: Final = 4
_unpacked: OrderedDict[str, Any] = OrderedDict()
"""In a worker: what it unpacked last, by fingerprint."""


class Sent(Protocol[T_co]):
    """A value that is on its way to the workers."""

    @property
    def value(self) -> T_co:
        """What was sent."""
        ...


class Carried(Generic[T]):
    """A value that travels with each function that names it; a worker unpacks it once."""

    def __init__(self, value: T) -> None:
        self._data = pickle.dumps(value)
        self._fingerprint = hashlib.sha256(self._data).hexdigest()

    @property
    def value(self) -> T:
        """What was sent."""
        if self._fingerprint not in _unpacked:
            _unpacked[self._fingerprint] = pickle.loads(self._data)
            while len(_unpacked) > _KEPT:
                _unpacked.popitem(last=False)
        found: T = _unpacked[self._fingerprint]
        return found


def send(session: SparkSession, value: T) -> Sent[T]:
    """Send a value to the workers of a session."""
    if is_remote(session):
        return Carried(value)
    sent: Sent[T] = session.sparkContext.broadcast(value)
    return sent


def is_remote(session: SparkSession) -> bool:
    """Whether a session speaks to its cluster by Spark Connect."""
    return type(session).__module__.startswith("pyspark.sql.connect")
