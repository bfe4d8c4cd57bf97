"""What all tests share: the servers that some of them need, and a state folder that is not the user's."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for pytest_plugins only: tests are imported by path
sys.path.append(str(Path(__file__).parents[1] / "scripts"))  # for servers.kafka: the broker is the one that `make kafka` runs

pytest_plugins = ["servers.azurite", "servers.kafka", "servers.postgres"]

# Here and not in a fixture: some tests copy the environment for their commands when they are imported.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="lakewarden-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)
