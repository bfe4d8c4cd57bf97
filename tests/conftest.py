"""What all tests share: the servers that some of them need, and a state folder that is not the user's."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for pytest_plugins only: tests are imported by path
sys.path.append(str(Path(__file__).parents[1] / "scripts"))  # for servers.kafka: the broker is the one that `make kafka` runs

pytest_plugins = ["servers.azurite", "servers.kafka", "servers.postgres"]

# Here and not in a fixture: some tests copy the environment for their commands when they are imported.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="lakewarden-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

CRASH = Path(__file__).with_name("crash")
WEIGHTS = {"test_spark_kill.py": 20}
"""Of tests that take as long as so many others there."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What kills processes and waits for others comes first, in every other test process; those between keep the machine busy meanwhile.

    Each process begins with a slice of all, and takes from the end of another's when it is done. By their place in the alphabet these would
    all be the first one's, and what the others wait for in the end.
    """
    processes = int(getattr(config, "workerinput", {}).get("workercount", 1))
    mine: dict[int, list[pytest.Item]] = {number: [] for number in range(0, processes, 2)}
    weights = dict.fromkeys(mine, 0)
    waiting = [item for item in items if item.path.is_relative_to(CRASH)]
    for item in sorted(waiting, key=lambda item: -WEIGHTS.get(item.path.name, 1)):
        lightest = min(weights, key=weights.__getitem__)
        mine[lightest].append(item)
        weights[lightest] += WEIGHTS.get(item.path.name, 1)
    others = [item for item in items if not item.path.is_relative_to(CRASH)]
    dealt: list[pytest.Item] = []
    for number in range(processes):
        first = mine.get(number, [])
        share = max(0, (len(items) - len(dealt)) // (processes - number) - len(first))
        dealt += first + others[:share]
        del others[:share]
    items[:] = dealt + others
