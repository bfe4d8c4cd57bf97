"""Promise 2 on a real broker: whatever ends or holds up the stream, the broker or the disk, no event is lost and none is written twice.

`benchmarks/soak_faults.py` runs many more of the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import lakewarden
from crash import faults
from crash.evidence import unlike
from crash.material import new_lake
from crash.small_disk import MountError, SmallDisk
from crash.trial import Trial

SEED = 20
EVENTS = 9000
FOR_LATER = {"bronze file", "publishing", "copy of the published point", "acknowledgement", "claim of the tables"} | {
    "merged file",
    "checkpoint",
    "cleaning of the log",
}
"""Steps that only the long run takes: of each, another one close by is here."""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sim") / "events"
    lakewarden.simulate(out, seed=8, days=1, customers=120, events_per_day=EVENTS, faults="all")
    return out


@pytest.fixture(scope="module")
def at_each_step() -> list[faults.Fault]:
    return [fault for fault in faults.at_each_step(random.Random(SEED), sides=1) if fault.place not in FOR_LATER]


@pytest.fixture
def disk(tmp_path) -> Iterator[SmallDisk]:
    try:
        with SmallDisk(tmp_path / "disk") as disk:
            yield disk
    except MountError as error:
        pytest.skip(f"a small disk can't be mounted here: {error}")


def suffer(trial: Trial, struck: list[faults.Fault]) -> None:
    for fault in struck:
        trial.meet(fault)
    trial.finish()
    assert trial.examine().wrong == {}


@pytest.mark.timeout(900)
def test_whatever_ends_stream_or_broker_nothing_is_lost_or_doubled(tmp_path, kafka_broker, simulated, at_each_step):
    dice = random.Random(SEED + 1)
    trial = Trial(kafka_broker, tmp_path / "lake", simulated, partitions=4, dice=dice)
    away = [faults.of_the_broker(name, dice) for name in faults.OF_THE_BROKER]
    suffer(trial, [faults.at_the_beginning(dice), *at_each_step[::2], *away, faults.instant(dice), faults.instant(dice)])


@pytest.mark.timeout(900)
def test_the_tables_are_as_if_the_stream_had_never_been_killed(tmp_path, kafka_broker, simulated, at_each_step):
    trial = Trial(kafka_broker, tmp_path / "lake", simulated, partitions=1, dice=random.Random(SEED + 2))
    suffer(trial, at_each_step[1::2])
    undisturbed = new_lake(tmp_path / "undisturbed", simulated)
    assert undisturbed.stream(kafka_broker.uri(trial.topic), once=True, batch_rows=700).rows == trial.produced
    assert unlike(trial.lake, undisturbed) == 0


@pytest.mark.timeout(900)
def test_a_stream_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(kafka_broker, simulated, disk):
    dice = random.Random(SEED + 3)
    trial = Trial(kafka_broker, disk.folder / "lake", simulated, partitions=4, dice=dice, disk=disk)
    suffer(trial, [faults.full_disk(dice), faults.full_disk(dice)])
