"""The first signal asks, the second forces, and the handlers from before come back."""

import os
import signal

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
