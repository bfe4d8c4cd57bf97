"""The faults that a stream from a broker has to survive, as data: what strikes, where, at which call; drawn by a seed.

A step is a call that a stream makes on its way. `faulty_stream.py` ends the process there, before the call or behind it, so that
nothing in the product knows of it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from lakewarden.tables import ALERTS, BRONZE, DLQ, DQ_RESULTS, DUPLICATES, GOLD, PIPELINE_RUNS, SILVER

KILLED_AT_A_STEP: Final = "killed at a step"
KILLED_AT_AN_INSTANT: Final = "killed at an instant"
BROKER_KILLED: Final = "broker killed"
BROKER_PAUSED: Final = "broker paused"
BOTH_KILLED: Final = "stream and broker killed"
STOPPED_ALONE: Final = "stream stopped while the broker is held"
OF_THE_BROKER: Final = (BROKER_KILLED, BROKER_PAUSED, BOTH_KILLED, STOPPED_ALONE)
DISK_FULL: Final = "disk full"

TABLES: Final = {
    "bronze": BRONZE.name,
    "silver": SILVER.name,
    "gold": GOLD.name,
    "alerts": ALERTS.name,
    "dlq": DLQ.name,
    "duplicates": DUPLICATES.name,
    "dq_results": DQ_RESULTS.name,
    "pipeline_runs": PIPELINE_RUNS.name,
}


@dataclass(frozen=True)
class Step:
    """A call on a stream's way.

    Attributes:
        target: module and name of what is called, as `package.module:Class.method`.
        wanted: regular expression that the call's texts match (paths, and the beginning of what is written there).
        often: at which of its calls at the latest: one that comes once in many micro-batches is not waited for so often.
    """

    target: str
    wanted: str = ""
    often: int = 3


def _of_table(folder: str, often: int) -> dict[str, Step]:
    # A file that compaction merges is named after micro-batch 0, and its commit is no WRITE.
    file = Step("lakewarden.lake.store:Store.put", rf"^{folder}/(?!_delta_log/)(?:.*/)?b(?!0000000000-)", often)
    return {"file": file, "commit": Step("lakewarden.lake.store:Store.put_new", rf"^{folder}/_delta_log/(?s:.*)WRITE", often)}


_RARE: Final = {"dlq", "duplicates"}
STEPS: Final = {
    **{f"{name} {what}": step for name, folder in TABLES.items() for what, step in _of_table(folder, 1 if name in _RARE else 3).items()},
    "publishing": Step("lakewarden.lake.lakehouse:Lakehouse.publish"),
    "published point": Step("lakewarden.lake.store:Store.put_new", "^_published/points/"),
    "copy of the published point": Step("lakewarden.lake.store:Store.put", "^_published/point[.]json"),
    "acknowledgement": Step("lakewarden.sources.kafka.source:KafkaSource.acknowledge"),
    "consumer group's offsets": Step("lakewarden.sources.kafka.consumer:TopicConsumer._commit", often=1),
    "claim of the tables": Step("lakewarden.lake.store:Store.put_new", "CLAIM", often=8),
    "merged file": Step("lakewarden.lake.compaction:merged"),
    "compaction's commit": Step("lakewarden.lake.store:Store.put_new", "OPTIMIZE"),
    "checkpoint": Step("deltalake:DeltaTable.create_checkpoint"),
    "cleaning of the log": Step("deltalake:DeltaTable.cleanup_metadata"),
}
BEGINNING: Final = {"where reading begins": Step("lakewarden.lake.bookmarks:Bookmarks.add", often=1)}
"""Steps that come once in a lake's life: with its first stream."""

SIDES: Final = ("before", "behind")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: its kind.
        step: of a stream killed at a step: which one, and on which side of it, as `before silver commit`.
        n: killed at a step: at which call; of a broker: after how many micro-batches; disk full: how many KiB are left.
        seconds: killed at an instant: how long after a moment (`step`); of a broker: how long it is away.
    """

    name: str
    step: str = ""
    n: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        words = {
            KILLED_AT_A_STEP: f"killed {self.step}, call {self.n}",
            KILLED_AT_AN_INSTANT: f"killed {self.seconds:.2f} s after {self.step}",
            DISK_FULL: f"disk full, {self.n} KiB left",
        }
        return words.get(self.name, f"{self.name} for {self.seconds:.1f} s after {self.n} micro-batches")

    @property
    def side(self) -> str:
        """On which side of its step the stream is killed."""
        return self.step.partition(" ")[0]

    @property
    def place(self) -> str:
        """The name of its step."""
        return self.step.partition(" ")[2]

    @property
    def call(self) -> Step:
        """The step at which the stream is killed."""
        return (STEPS | BEGINNING)[self.place]


START, GROWTH = "the start", "bronze has grown"
"""Since when an instant counts: anywhere in imports and recovery, or while a micro-batch is under way."""


def at_each_step(dice: random.Random, sides: int = len(SIDES)) -> list[Fault]:
    """One fault on so many sides of each step, in any order."""
    found = [
        Fault(KILLED_AT_A_STEP, f"{side} {name}", dice.randint(1, step.often))
        for name, step in STEPS.items()
        for side in dice.sample(SIDES, sides)
    ]
    dice.shuffle(found)
    return found


def at_the_beginning(dice: random.Random) -> Fault:
    """One that only a new lake can meet."""
    return Fault(KILLED_AT_A_STEP, f"{dice.choice(SIDES)} {dice.choice(list(BEGINNING))}")


def instant(dice: random.Random) -> Fault:
    """Some instruction."""
    if dice.random() < 0.5:
        return Fault(KILLED_AT_AN_INSTANT, START, seconds=dice.uniform(0.4, 2.5))
    return Fault(KILLED_AT_AN_INSTANT, GROWTH, dice.randint(1, 3), dice.uniform(0.0, 0.25))


def of_the_broker(name: str, dice: random.Random) -> Fault:
    """The broker goes, and comes back."""
    return Fault(name, n=dice.randint(1, 4), seconds=dice.uniform(0.5, 4.0))


def full_disk(dice: random.Random) -> Fault:
    """The disk is full at some byte of some write."""
    return Fault(DISK_FULL, n=dice.randint(0, 1500))


def drawn(count: int, dice: random.Random) -> list[Fault]:
    """So many faults of every kind but a full disk, which needs a disk of its own; each step comes before any comes again."""
    found: list[Fault] = []
    steps: list[Fault] = []
    for number in range(count):
        kind = number % 10  # of ten faults: seven at steps, two at instants, one of the broker
        if kind < 2:
            found.append(instant(dice))
        elif kind == 2:
            found.append(of_the_broker(OF_THE_BROKER[number // 10 % len(OF_THE_BROKER)], dice))
        else:
            steps = steps or at_each_step(dice)
            found.append(steps.pop())
    dice.shuffle(found)
    return found
