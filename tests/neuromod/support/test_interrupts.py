import os
import signal
import sys
import time

import pytest

from neuromod.support.interrupts import heard

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Dropping:
    """What is raised in its destructor is dropped."""

    def __init__(self, action):
        self.action = action

    def __del__(self):
        self.action()


@pytest.fixture(autouse=True)
def ctrl_c():
    """Hear Ctrl-C where a shell had it ignored, as in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(number):
    os.kill(os.getpid(), number)
    time.sleep(3)


def interrupt_a_destructor(number):
    Dropping(lambda: os.kill(os.getpid(), number))
    time.sleep(1.7)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("work", [interrupt, interrupt_a_destructor])
def test_an_interrupt_ends_the_work_even_where_python_drops_it(work, number, capfd):
    with pytest.raises(KeyboardInterrupt), heard() as came:
        work(number)
    assert came == [number] * (number == signal.SIGTERM)
    assert capfd.readouterr().err == ""


def test_a_second_sigterm_does_not_stop_the_tidying_up():
    tidied = []

    def work():
        try:
            interrupt(signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            tidied.append(True)

    with pytest.raises(KeyboardInterrupt), heard():
        work()
    assert tidied


def test_other_errors_of_destructors_are_told_as_before(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_type))
    with heard():
        Dropping(lambda: 1 / 0)
    assert told == [ZeroDivisionError]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
