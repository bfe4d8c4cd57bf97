"""Strike a stream from a real broker again and again, and prove after each fault that nothing was lost or doubled.

python benchmarks/soak_faults.py --faults 200 --seed 1

The faults are those of `tests/crash/faults.py`: the stream killed at each step of its way and at any instant, the broker killed and
paused, the disk full. After each, the stream goes on to the end of the topic; then bronze is compared with the broker, offset by offset,
every date's conservation statement is drawn up, and one date is derived again; at the end of a lake, every date. A summary goes to
`benchmarks/results/soak_faults.json`; the exit code is 1 when a promise was broken, and then the lake stays for whoever looks into it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import lakewarden
from lakewarden.errors import LakewardenError

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "tests"), str(HERE.parent / "scripts")]

from crash import faults  # noqa: E402
from crash.evidence import Findings, unlike  # noqa: E402
from crash.material import new_lake  # noqa: E402
from crash.small_disk import MountError, SmallDisk  # noqa: E402
from crash.trial import EndedError, FaultError, Trial  # noqa: E402
from servers.kafka import KafkaBroker  # noqa: E402

RESULTS = HERE / "results" / "soak_faults.json"
EVENTS = 14_000
A_LAKE = 25
"""Faults that one lake meets."""

FULL_DISKS = 10
"""Every fourth lake is on a small disk, and meets so many full ones."""

TROUBLE = (FaultError, LakewardenError, subprocess.TimeoutExpired)
MOST_BROKEN = 10


@dataclass
class Tally:
    """What happened so far."""

    struck: list[tuple[faults.Fault, float]] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pieces: Counter[str] = field(default_factory=Counter)
    lakes: int = 0
    events: int = 0

    def summary(self, seed: int, seconds: float) -> dict[str, object]:
        """JSON-ready."""
        kinds = sorted({fault.name for fault, _ in self.struck})
        return {
            "ok": not self.broken,
            "seed": seed,
            "faults": len(self.struck),
            "lakes": self.lakes,
            "events": self.events,
            "minutes": round(seconds / 60, 1),
            **{name: self.found[name] for name in Findings.__dataclass_fields__ if name != "events"},
            "by_kind": dict(Counter(fault.name for fault, _ in self.struck)),
            "by_step": dict(sorted(Counter(fault.step for fault, _ in self.struck if fault.name == faults.KILLED_AT_A_STEP).items())),
            "recovery_seconds": {
                name: percentiles([took for fault, took in self.struck if name in ("all", fault.name)]) for name in ("all", *kinds)
            },
            "half_written_objects_left": dict(self.pieces),
            "broken": self.broken,
            "notes": self.notes,
        }


def percentiles(seconds: list[float]) -> dict[str, float]:
    return {"p50": round(float(np.quantile(seconds, 0.5)), 2), "p95": round(float(np.quantile(seconds, 0.95)), 2)} if seconds else {}


@contextlib.contextmanager
def prepared(
    folder: Path, broker: KafkaBroker, simulation: Path, dice: random.Random, tally: Tally
) -> Iterator[tuple[Trial, list[faults.Fault]]]:
    """The next lake, and what it has to meet."""
    number = tally.lakes
    with contextlib.ExitStack() as stack:
        if number % 4 == 3:
            try:
                disk = stack.enter_context(SmallDisk(folder / "disk"))
            except MountError as error:
                tally.notes.append(f"no full disks: {error}")
            else:
                trial = Trial(broker, disk.folder / "lake", simulation, partitions=4, dice=dice, disk=disk)
                yield trial, [faults.full_disk(dice) for _ in range(FULL_DISKS)]
                return
        trial = Trial(broker, folder / "lake", simulation, partitions=1 if number % 4 == 1 else 4, dice=dice)
        yield trial, [faults.at_the_beginning(dice), *faults.drawn(A_LAKE - 1, dice)]


def suffer(trial: Trial, fault: faults.Fault, tally: Tally) -> str:
    """One fault and the checks behind it; what came of it in words."""
    went_on = trial.meet(fault)
    recovered = trial.finish()
    findings = trial.examine(verify=1)
    judge(findings, fault, tally)
    tally.struck.append((fault, went_on or recovered))
    return f"recovered in {went_on or recovered:5.2f} s, {findings.events:6,} events, {findings.wrong or 'nothing lost or doubled'}"


def judge(findings: Findings, after: object, tally: Tally) -> None:
    """Count what was found; ends the lake where something is wrong, or all that follow would be blamed as well."""
    tally.found.update(findings.wrong)
    if findings.wrong:
        raise FaultError(f"after {after}: {findings.wrong}")


def conclude(trial: Trial, folder: Path, simulation: Path, broker: KafkaBroker, tally: Tally) -> None:
    """Every date derived again; with one partition also against a stream that nothing struck."""
    tally.events += trial.produced
    pieces = [file.stat().st_size for file in trial.root.rglob("*#*") if file.is_file()]
    tally.pieces.update(files=len(pieces), bytes=sum(pieces))
    judge(trial.examine(), "the lake's last fault", tally)
    if trial.partitions == 1:
        undisturbed = new_lake(folder / "undisturbed", simulation)
        undisturbed.stream(broker.uri(trial.topic), once=True, batch_rows=700)
        if differ := unlike(trial.lake, undisturbed):
            tally.found["differences"] += differ
            raise FaultError(f"{differ} rows differ from those of a stream that nothing struck")


def warm_up(trial: Trial) -> None:
    """What the product compiles at its first start is no part of any recovery."""
    trial.produce()
    trial.finish()


def soak(folder: Path, wanted: int, seed: int) -> Tally:
    """Lake after lake until so many faults have struck."""
    dice, tally = random.Random(seed), Tally()
    simulation = folder / "sim"
    lakewarden.simulate(simulation, seed=seed, days=1, customers=150, events_per_day=EVENTS, faults="all")
    broker = KafkaBroker(folder / "broker")
    broker.start_again()
    try:
        warm_up(Trial(broker, folder / "warm-up", simulation, partitions=1, dice=dice))
        while len(tally.struck) < wanted and len(tally.broken) < MOST_BROKEN:
            place = folder / f"{tally.lakes:03}"
            with prepared(place, broker, simulation, dice, tally) as (trial, ahead):
                tally.lakes += 1
                try:
                    with contextlib.suppress(EndedError):
                        for fault in ahead[: wanted - len(tally.struck)]:
                            print(f"{len(tally.struck) + 1:4}/{wanted}  lake {tally.lakes:2}  {fault!s:62}", end="", flush=True)
                            print(suffer(trial, fault, tally), flush=True)
                    trial.finish()
                    conclude(trial, place, simulation, broker, tally)
                except TROUBLE as error:
                    tally.broken.append(f"lake {tally.lakes}: {error}")
                    print(f"\n  BROKEN: {error}", flush=True)
                    shutil.copytree(trial.root, place / "broken")  # a small disk is gone with its block
                    broker.resume()
                    broker.start_again()
            if not (place / "broken").exists():
                shutil.rmtree(place)
    finally:
        broker.broker.stop()
    return tally


def main() -> int:
    """Run the soak and write its summary; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200, help="how many in all")
    parser.add_argument("--seed", type=int, default=1, help="of the faults, and of the events")
    chosen = parser.parse_args()
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="lakewarden-soak-faults-"))
    try:
        tally = soak(folder, chosen.faults, chosen.seed)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    summary = tally.summary(chosen.seed, time.monotonic() - started)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(summary, indent=1) + "\n")
    found = dict(tally.found) or "nothing lost, doubled or different"
    print(f"{len(tally.struck)} faults on {tally.lakes} lakes in {summary['minutes']} min: {found}")
    if tally.broken:
        print("\n".join(tally.broken) + f"\nThe lakes are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
