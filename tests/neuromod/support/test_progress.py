import io
import time

import pytest
from rich.console import Console
from rich.table import Table

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


def test_a_command_in_a_cell_of_a_notebook_leaves_no_frames_of_a_bar(screen, monkeypatch):
    monkeypatch.setenv("JPY_PARENT_PID", "7")
    with progress.bars():
        progress.task("counting sheep")(3, 7)
    assert screen.getvalue() == ""


def test_without_a_task_nothing_is_shown(screen):
    with progress.bars():
        pass
    assert screen.getvalue() == ""


def test_hidden_tasks_are_not_shown(screen):
    with progress.bars():
        progress.task("counting sheep")(3, 7)
        with progress.hidden():
            progress.task("counting every leg")(1, 4)
        progress.task("counting goats")(1, 2)
    assert "sheep" in screen.getvalue()
    assert "goats" in screen.getvalue()
    assert "leg" not in screen.getvalue()


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


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_S", 0.05)
    monkeypatch.setattr(progress, "REDRAWN_S", 0.02)


@progress.seen()
def counted(takes_s):
    update = progress.task("counting sheep")
    update(3, 7)
    time.sleep(takes_s)
    with progress.seen():
        progress.task("counting goats")(7, 7)
    return 7


@pytest.mark.usefixtures("impatient")
def test_called_from_python_long_work_is_shown_on_a_terminal_and_its_bars_are_gone_then(
    screen, monkeypatch
):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert counted(0.4) == 7
    assert "counting sheep" in screen.getvalue()
    assert " 43%" in screen.getvalue()
    # Both lines are cleared at the end.
    assert screen.getvalue().rstrip().endswith("\x1b[2K")


def test_called_from_python_short_work_says_nothing_on_a_terminal(screen, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    counted(0.01)
    assert screen.getvalue() == ""


@pytest.mark.usefixtures("impatient")
def test_called_from_python_nothing_is_written_into_a_file_or_pipe(capfd):
    counted(0.2)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.usefixtures("impatient")
def test_in_a_notebook_long_work_is_a_picture_that_changes_and_is_gone_once_it_is_done(monkeypatch):
    IPython = pytest.importorskip("IPython")
    monkeypatch.setattr(
        progress, "Console", lambda **_: Console(force_jupyter=True, file=io.StringIO())
    )
    pictures = []

    class Handle:
        def update(self, shown):
            html = (
                shown._repr_mimebundle_([], [])["text/html"]
                if isinstance(shown, Table)
                else shown.data
            )
            pictures.append(html)

    def display(table, display_id):
        assert display_id
        Handle().update(table)
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    counted(0.4)
    assert len(pictures) > 2
    assert " 43%" in pictures[0]
    assert "100%" in pictures[-2]
    assert pictures[-1] == ""
    shown = len(pictures)
    counted(0)
    assert len(pictures) == shown


def test_within_the_bars_of_a_command_there_is_one_display(screen):
    with progress.bars():
        counted(0)
    assert "counting sheep" in screen.getvalue()


def test_outside_the_bars_a_task_does_nothing():
    progress.task("counting sheep")(1, 2)


def test_a_bar_follows_things_that_are_given_one_by_one(screen):
    with progress.bars():
        assert list(progress.watched("counting sheep", "abc")) == ["a", "b", "c"]
    assert "100%" in screen.getvalue()
