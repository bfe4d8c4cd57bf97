"""Progress is drawn on a terminal only, after a second, with rate and time left."""

import os
import pty
import subprocess
import sys

PROGRAM = """
import time
from lakewarden.cli.bars import Bars
from lakewarden.progress import Progress
bars = Bars()
for step in range({steps}):
    bars.update(Progress(step * 1000, 20_000, "streaming", 1000.0))
    time.sleep(0.1)
bars.update(Progress(5, None, "settling"))
time.sleep(0.3)
bars.close()
bars.update(Progress(6, None, "after the end"))
"""


def drawn(steps: int) -> str:
    main, child = pty.openpty()
    env = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(steps=steps)], stderr=child, env=env)
    os.close(child)
    said = b""
    try:
        while chunk := os.read(main, 65536):
            said += chunk
    except OSError:  # Linux ends a terminal without writers this way
        pass
    finally:
        os.close(main)
    assert process.wait(timeout=60) == 0
    return said.decode()


def test_a_long_command_shows_rate_and_time_left():
    said = drawn(20)
    assert "streaming" in said
    assert "1,000/s" in said
    assert " of 20,000" in said
    assert "0:05 left" in said or "0:06 left" in said or "0:04 left" in said
    assert "settling" in said
    assert "after the end" not in said


def test_a_short_command_draws_nothing():
    assert drawn(2) == ""


def test_nothing_is_drawn_where_there_is_no_terminal():
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(steps=13)], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")
