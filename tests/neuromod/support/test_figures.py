import re

import matplotlib
import pytest

from neuromod.support import figures
from neuromod.support.figures import STYLE, panels, style


def test_the_common_look_ends_with_its_context():
    before = {name: matplotlib.rcParams[name] for name in STYLE}
    with style():
        assert {name: matplotlib.rcParams[name] for name in STYLE} == STYLE
    assert {name: matplotlib.rcParams[name] for name in STYLE} == before


def test_the_common_look_ends_after_an_error_too():
    before = matplotlib.rcParams["font.size"]
    with pytest.raises(RuntimeError), style():
        raise RuntimeError
    assert matplotlib.rcParams["font.size"] == before


def test_panels_are_found_by_name_on_a_figure_of_the_size_asked_for():
    figure, axes = panels([["a", "a"], ["b", "c"]], width=7.3, height=2.1)
    assert set(axes) == {"a", "b", "c"}
    assert figure.get_size_inches().tolist() == [7.3, 2.1]
    assert set(figure.axes) == set(axes.values())


def test_a_figure_is_unknown_to_pyplot():
    import matplotlib.pyplot as plt

    panels([["a"]])
    assert plt.get_fignums() == []


def test_colours_differ():
    names = ("BLUE", "ORANGE", "GREEN", "PURPLE", "SKY", "RED", "YELLOW", "BLACK")
    colours = {getattr(figures, name) for name in names}
    assert len(colours) == 8
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour) for colour in colours)
