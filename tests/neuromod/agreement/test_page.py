import numpy as np
import pytest

from neuromod.agreement.agree import Agreed
from neuromod.agreement.page import page, plot, tables_of
from neuromod.agreement.speed import Timed
from neuromod.agreement.suite import Compared


@pytest.fixture
def found():
    compared = [
        Compared("two-step", "a", "double", "agrees", spikes=10, trace=1e-9),
        Compared("two-step", "b", "double", "differs", spikes=5, moved=1, extra=2, trace=1e-8),
        Compared("lost", "", "", "left out", "It needs torch."),
    ]
    timed = [
        Timed("cpp", "double", 10_000, 0, program_s=3.0, build_s=20.0, compiled=True),
        Timed("genn", "double", 10_000, 0, program_s=0.5, build_s=4.0, compiled=True),
        Timed("genn", "single", 10_000, 0, why="out of memory"),
    ]
    machine = {"gpus": [], "cpu": "some", "versions": {"brian2": "2.9.0"}}
    return Agreed("genn", "2030-01-02T03:04:05+00:00", machine, compared, timed=timed)


def test_experiments_of_a_protocol_are_added_up(found):
    (row,) = tables_of(found)["agreement"].itertuples(index=False)
    assert (row.protocol, row.spikes, row.moved, row.extra) == ("two-step", 15, 1, 2)
    assert not row.agrees
    assert tables_of(found)["others"].why.tolist() == ["It needs torch."]


def test_speed_is_relative_to_cpp_in_double_precision(found):
    (row,) = tables_of(found)["speed"].itertuples(index=False)
    assert row.faster == pytest.approx(6)
    assert tables_of(found)["not_timed"].why.tolist() == ["out of memory"]


def test_the_figure_has_what_was_timed(found):
    faster, _ = plot(tables_of(found)["speed"]).axes
    drawn = [line.get_ydata() for line in faster.lines if len(line.get_ydata()) == 1]
    assert np.concatenate(drawn) == pytest.approx([6])


def test_the_page_says_what_differs_and_why(found):
    text = page(found)
    assert "1 comparisons of two-step differ by more than is allowed." in text
    assert "It needs torch." in text
    assert "because a GPU adds up in an order that varies" in text


def test_a_page_of_nothing_is_a_page(found):
    found.compared, found.timed = [], []
    assert "No experiment could be compared." in page(found)
