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
LONGEST = "test_spark_kill.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What kills processes and waits for others comes first, dealt among the test processes, each of which begins with a slice of all.

    By its place it would all be the first one's, and be what the others wait for in the end.
    """
    processes = int(getattr(config, "workerinput", {}).get("workercount", 1))
    waiting = sorted((item for item in items if item.path.is_relative_to(CRASH)), key=lambda item: item.path.name != LONGEST)
    others = [item for item in items if not item.path.is_relative_to(CRASH)]
    dealt: list[pytest.Item] = []
    for number in range(processes):
        mine, left = waiting[number::processes], processes - number
        share = (len(items) - len(dealt)) // left - len(mine)
        dealt += mine + others[: max(0, share)]
        del others[: max(0, share)]
    items[:] = dealt + others
