"""What all tests share: the servers that some of them need."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for pytest_plugins only: tests are imported by path

pytest_plugins = ["servers.azurite"]
