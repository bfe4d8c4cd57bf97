"""The code version covers all code that decides values."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lakewarden.flow.version import ROOT, sources

DECIDES_NOTHING = {"__init__.py", "allocation.py", "errors.py"}
"""What the flow loads besides: messages and memory."""


def test_every_module_that_the_flow_loads_is_in_the_version():
    listing = (
        "import json, sys, lakewarden.flow.stages; "
        "print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.startswith('lakewarden')]))"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout)
    assert {str(Path(name).relative_to(ROOT)) for name in loaded} - {str(path.relative_to(ROOT)) for path in sources()} == DECIDES_NOTHING
