"""The first signal asks, the second forces, and the handlers from before come back."""

import os
import signal
import subprocess
import sys

import pytest

from lakewarden.cli.signals import GracefulStop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_forces(number: signal.Signals, capfd):
    before = signal.getsignal(number)
    with GracefulStop() as stop:
        assert not stop.event.is_set()
        os.kill(os.getpid(), number)
        assert stop.event.wait(5)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert "Stopping after the piece of work at hand" in capfd.readouterr().err


def test_a_signal_may_come_at_any_moment():
    """Also while the thread that it interrupts is about to wait for the event, and holds its lock."""
    with GracefulStop(say=False) as stop:
        with stop.event._cond:
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.event.wait(5)


PROGRAM = """
import os, signal, sys, threading
from lakewarden.cli.signals import GracefulStop
with GracefulStop() as stop:
    import polars as pl
    found = []
    def work():
        rows = pl.LazyFrame({"a": pl.int_range(0, 8_000_000, eager=True)})
        started.set()
        found.append(rows.with_columns(b=(pl.col("a") * 7919) % 1000003).sort("b").group_by("b").agg(pl.len()).collect().height)
    started = threading.Event()
    worker = threading.Thread(target=work)
    worker.start()
    started.wait()
    os.kill(os.getpid(), signal.SIGINT)
    worker.join()
    print(stop.event.is_set(), found)
"""


def test_a_computation_under_way_is_finished():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "True [1000003]\n", done.stderr
