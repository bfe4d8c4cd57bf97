"""A lake that streams from the broker while faults strike, and what has to hold afterwards: nothing lost, nothing doubled."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import polars as pl

from crash import faults
from crash.evidence import Findings, examine
from crash.faults import Fault
from crash.material import messages_of, new_lake
from crash.small_disk import SmallDisk
from lakewarden.lake import published
from lakewarden.lake.store import Store
from lakewarden.tables import BRONZE, PIPELINE_RUNS
from servers.kafka import KafkaBroker

BATCH_ROWS: Final = 16
PIECE: Final = 64
"""Events that are produced for a fault to strike in."""

MUCH: Final = 320
TRIES: Final = 8
PATIENCE_SECONDS: Final = 120.0
GRACE_SECONDS: Final = 30.0
"""What a process is usually given to end by itself, before it is killed."""

FULL: Final = "The disk is full"
SCRIPT: Final = Path(__file__).with_name("faulty_stream.py")


class EndedError(Exception):
    """The simulation has no more events for this lake."""


class FaultError(AssertionError):
    """A fault had another effect than it should have."""


class Trial:
    """One lake and its topic.

    Args:
        broker: may be held and killed; it is back when a fault is over.
        root: where the lake will be.
        simulation: a folder of simulated events, which go into the topic piece by piece.
        partitions: of the topic.
        dice: which dates are verified.
        disk: the small disk that the lake is on, for faults that fill it.
    """

    def __init__(
        self, broker: KafkaBroker, root: Path, simulation: Path, *, partitions: int, dice: random.Random, disk: SmallDisk | None = None
    ) -> None:
        self.root = root
        self.lake = new_lake(root, simulation)
        self.partitions = partitions
        self.topic = broker.new_topic(partitions, retention_ms=-1)  # simulated events are older than a week
        self.produced = 0
        self._broker = broker
        self._events = messages_of(simulation)
        self._dice = dice
        self._disk = disk
        self._store = Store(root)

    # --- streams ------------------------------------------------------------------------------------------------

    @property
    def batch(self) -> int:
        """The newest micro-batch that readers see."""
        return published.read(self._store).batch

    def produce(self, count: int = PIECE) -> None:
        """Append the next events to the topic."""
        piece = list(islice(self._events, count))
        if len(piece) < count:
            raise EndedError
        self._broker.produce(self.topic, piece)
        self.produced += count

    def start(self, *options: str, fault: Fault | None = None, rows: int = BATCH_ROWS) -> subprocess.Popen[str]:
        """Start a stream: the command itself, or with a fault a process that will kill itself."""
        command = ["stream", "--lake", str(self.root), "--source", self._broker.uri(self.topic), "--json", "--batch-rows", str(rows)]
        if fault is None:
            words = ["-m", "lakewarden"]
        else:
            words = [str(SCRIPT), json.dumps({"target": fault.call.target, "wanted": fault.call.wanted, "side": fault.side, "n": fault.n})]
        words = [sys.executable, *words, *command, *options]
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self) -> float:
        """Stream to the end of the topic; seconds until readers saw something new, or until there was nothing to do."""
        before, started = self.batch, time.monotonic()
        with ended(self.start("--once", rows=self._dice.choice((50, 120, 400)))) as process:
            while self.batch == before and process.poll() is None:
                time.sleep(0.01)
            seconds = time.monotonic() - started
            said = process.communicate(timeout=PATIENCE_SECONDS)
        if process.returncode:
            raise FaultError(f"the stream ended with {process.returncode}: {said}")
        return seconds

    # --- faults -------------------------------------------------------------------------------------------------

    def meet(self, fault: Fault) -> float:
        """Let one fault strike; gives the seconds of recovery where the stream goes on by itself, else 0.

        Raises:
            FaultError: it had another effect than it should have.
            EndedError: there are not events enough for it.
        """
        meeting: dict[str, Callable[[Fault], float]] = {
            faults.KILLED_AT_A_STEP: self._killed_at_a_step,
            faults.KILLED_AT_AN_INSTANT: self._killed_at_an_instant,
            faults.BROKER_KILLED: self._broker_away,
            faults.BROKER_PAUSED: self._broker_away,
            faults.BOTH_KILLED: self._both_killed,
            faults.STOPPED_ALONE: self._stopped_alone,
            faults.DISK_FULL: self._disk_full,
        }
        return meeting[fault.name](fault)

    def _killed_at_a_step(self, fault: Fault) -> float:
        for attempt in range(TRIES):
            self.produce((1 + attempt) * PIECE)  # what is rare takes more of them
            with ended(self.start("--once", fault=fault)) as process:
                said = process.communicate(timeout=PATIENCE_SECONDS)
            if process.returncode == -signal.SIGKILL:
                return 0.0
            if process.returncode:
                raise FaultError(f"{fault}: the stream ended with {process.returncode}: {said}")
        raise FaultError(f"{fault}: it never came to that in {TRIES} streams")

    def _killed_at_an_instant(self, fault: Fault) -> float:
        self.produce(MUCH)
        with ended(self.start()) as process:
            if fault.step == faults.GROWTH:
                self._grown(process, fault.n)
            time.sleep(fault.seconds)
            if process.poll() is not None:
                raise FaultError(f"{fault}: the stream ended by itself: {process.communicate()}")
            process.kill()
        return 0.0

    def _grown(self, process: subprocess.Popen[str], commits: int) -> None:
        log = self.root / BRONZE.name / "_delta_log"
        wanted = newest(log) + commits
        self._until(lambda: newest(log) >= wanted, process, "bronze has grown", pause=0.001)

    def _broker_away(self, fault: Fault) -> float:
        """The stream runs on while the broker is gone, and takes what comes after its return."""
        self.produce()
        first = self.batch
        with ended(self.start()) as process:
            self._until(lambda: self.batch >= first + fault.n, process, "the stream begins")
            self._away(fault)
            back, seen = time.monotonic(), self.batch
            self.produce()
            self._until(lambda: self.batch > seen, process, "a micro-batch after the broker's return")
            seconds = time.monotonic() - back
            self._until(lambda: self._received() == self.produced, process, "all events are published", pause=0.1)
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=PATIENCE_SECONDS)
        if process.returncode:
            raise FaultError(f"{fault}: the stream ended with {process.returncode}: {said}")
        return seconds

    def _away(self, fault: Fault) -> None:
        paused = fault.name == faults.BROKER_PAUSED
        if paused:
            self._broker.pause()
        else:
            self._broker.kill()
        try:
            time.sleep(fault.seconds)
        finally:
            (self._broker.resume if paused else self._broker.start_again)()

    def _both_killed(self, fault: Fault) -> float:
        """The next stream meets a broker that has just begun to answer."""
        self.produce()
        first = self.batch
        with ended(self.start()) as process:
            self._until(lambda: self.batch >= first + fault.n, process, "the stream begins")
            self._broker.kill()
            process.kill()
        time.sleep(fault.seconds)
        self._broker.start_again()
        return 0.0

    def _stopped_alone(self, fault: Fault) -> float:
        """Whoever stops a stream doesn't wait until the broker answers again."""
        self.produce()
        first = self.batch
        with ended(self.start()) as process:
            self._until(lambda: self.batch >= first + fault.n, process, "the stream begins")
            self._broker.pause()
            try:
                time.sleep(fault.seconds)
                process.send_signal(signal.SIGTERM)
                said = process.communicate(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired as error:
                raise FaultError(f"{fault}: the stream did not end within {GRACE_SECONDS:.0f} s") from error
            finally:
                self._broker.resume()
        if process.returncode:
            raise FaultError(f"{fault}: the stream ended with {process.returncode}: {said}")
        return 0.0

    def _disk_full(self, fault: Fault) -> float:
        """The stream ends and says why, and so does the next one while nothing is done about it."""
        if self._disk is None:
            raise FaultError(f"{fault}: this lake is on no disk of its own")
        self._disk.leave(fault.n)
        try:
            for _ in range(2):
                self._filled(fault)
        finally:
            self._disk.grow()
        return 0.0

    def _filled(self, fault: Fault) -> None:
        for _ in range(TRIES):
            self.produce()
            with ended(self.start("--once")) as process:
                out, err = process.communicate(timeout=PATIENCE_SECONDS)
            if process.returncode:
                break
        try:
            told = json.loads(out)["error"]
            plain = process.returncode == 1 and FULL in told["what"] and bool(told["next"])
        except (ValueError, KeyError, TypeError):
            plain = False
        if not plain:
            raise FaultError(f"{fault}: the stream ended with {process.returncode} and said {out!r} {err!r}")

    def _received(self) -> int:
        return int(self.lake.table(PIPELINE_RUNS.name).select(pl.col("received").sum()).collect().item())

    def _until(self, true: Callable[[], bool], process: subprocess.Popen[str], what: str, *, pause: float = 0.01) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            if process.poll() is not None:
                raise FaultError(f"the stream ended with {process.returncode}, not {what}: {process.communicate()}")
            if time.monotonic() > deadline:
                raise FaultError(f"not within {PATIENCE_SECONDS:.0f} s: {what}")
            time.sleep(pause)

    # --- evidence -----------------------------------------------------------------------------------------------

    def examine(self, *, verify: int | None = None) -> Findings:
        """What has to hold once the stream has come to the end of the topic (`finish`); so many dates are verified, None: all."""
        found = examine(self.lake, self._broker, self.topic, dice=self._dice, verify=verify)
        if found.events != self.produced:
            raise FaultError(f"the broker itself has {found.events} events of {self.produced}")
        return found


def newest(log: Path) -> int:
    """The newest version of a table by its log."""
    return max((int(entry.stem) for entry in log.glob("*.json") if entry.stem.isdigit()), default=-1)


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kills a process at the end of the block, where it is there still."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
