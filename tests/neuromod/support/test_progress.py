import io
import time

import pytest
from rich.console import Console

from neuromod.support import progress


@pytest.fixture
def screen(monkeypatch):
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    return written


def test_a_task_is_shown_where_someone_watches(screen):
    with progress.bars():
        update = progress.task("counting sheep")
        update(3, 7)
        update(7, 7)
    assert "counting sheep" in screen.getvalue()
    assert "100%" in screen.getvalue()


def test_without_a_task_nothing_is_shown(screen):
    with progress.bars():
        pass
    assert screen.getvalue() == ""


def test_without_a_terminal_short_work_says_nothing(capfd):
    with progress.bars():
        progress.task("counting sheep")(1, 2)
        progress.task("counting goats")(2, 2)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_without_a_terminal_long_work_has_a_line_now_and_then(capfd, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.4)
    with progress.bars():
        progress.task("nothing to do")
        update = progress.task("counting sheep")
        update(3, 7)
        # As a program does that says nothing of how far it is.
        progress.task("compiling on cpp")
        time.sleep(1.4)
        update(7, 7)
    captured = capfd.readouterr()
    assert captured.out == ""
    *during, last = captured.err.splitlines()
    assert 2 <= len(during) <= 3
    assert during[0] == "counting sheep: 43 %, 0:00:00; compiling on cpp: running, 0:00:00"
    assert during[-1] == "counting sheep: 43 %, 0:00:01; compiling on cpp: running, 0:00:01"
    assert last == "counting sheep: 100 %, 0:00:01"


def test_a_reader_of_lines_who_has_gone_stops_nothing(monkeypatch):
    def gone(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr(progress, "EVERY_S", 0.1)
    monkeypatch.setattr(progress, "print", gone, raising=False)
    with progress.bars():
        list(progress.watched("counting sheep", [time.sleep(0.13)]))
        time.sleep(0.13)


def test_outside_the_bars_a_task_does_nothing():
    progress.task("counting sheep")(1, 2)


def test_a_bar_follows_things_that_are_given_one_by_one(screen):
    with progress.bars():
        assert list(progress.watched("counting sheep", "abc")) == ["a", "b", "c"]
    assert "100%" in screen.getvalue()
