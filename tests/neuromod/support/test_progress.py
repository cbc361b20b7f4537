import io

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


def test_without_a_terminal_nothing_is_shown(capfd):
    with progress.bars():
        progress.task("counting sheep")(1, 2)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_outside_the_bars_a_task_does_nothing():
    progress.task("counting sheep")(1, 2)


def test_a_bar_follows_things_that_are_given_one_by_one(screen):
    with progress.bars():
        assert list(progress.watched("counting sheep", "abc")) == ["a", "b", "c"]
    assert "100%" in screen.getvalue()
