"""What all tests share: the servers that some of them need."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for pytest_plugins only: tests are imported by path
sys.path.append(str(Path(__file__).parents[1] / "scripts"))  # for servers.kafka: the broker is the one that `make kafka` runs

pytest_plugins = ["servers.azurite", "servers.kafka"]
