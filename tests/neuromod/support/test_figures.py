import re
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from brian2 import mM, ms, mV, uM
from matplotlib.colors import to_rgb

from neuromod.support import figures
from neuromod.support.figures import (
    STYLE,
    Family,
    legend,
    ordered_colors,
    panels,
    plain_figure,
    style,
    thin,
)


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

    before = plt.get_fignums()
    panels([["a"]])
    assert plt.get_fignums() == before


def test_colours_differ():
    names = ("BLUE", "ORANGE", "GREEN", "PURPLE", "SKY", "RED", "YELLOW", "BLACK")
    colours = {getattr(figures, name) for name in names}
    assert len(colours) == 8
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour) for colour in colours)


def test_a_peak_of_one_sample_survives_thinning():
    times = np.arange(100_003) * 0.1 * ms
    trace = np.zeros(100_003)
    trace[54_321], trace[777] = 11.804, -3.3
    at, thinned = thin(times, trace * uM)
    assert len(at) <= 2002
    assert thinned.max() == 11.804 * uM
    assert thinned.min() == -3.3 * uM
    assert at[np.argmax(thinned)] == times[54_321]
    assert trace[:: len(trace) // 2000].max() == 0, "every n-th sample would lose it"


def test_thinned_traces_keep_their_ends_and_stay_together():
    times = np.linspace(0, 1, 7001)
    a, b = np.sin(37 * times), np.cos([[11.0], [3.0]] * times)
    at, thinned_a, thinned_b = thin(times, a, b, points=300)
    assert (at[0], at[-1]) == (0, 1)
    assert np.all(np.diff(at) > 0)
    assert len(at) <= 302
    assert np.array_equal(thinned_a, np.sin(37 * at))
    assert np.array_equal(thinned_b, np.cos([[11.0], [3.0]] * at))


def test_short_traces_and_gaps_are_left_as_they_are():
    times, trace = np.arange(50), np.arange(50.0)
    assert thin(times, trace)[1] is trace
    gap = np.where(np.arange(9000) < 4500, np.nan, np.arange(9000.0))
    assert np.nanmax(thin(np.arange(9000), gap, points=100)[1]) == 8999


def luminance(color):
    channels = np.array(to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("hue", ["blue", "orange", "green"])
def test_ordered_colours_darken_evenly_and_stand_out_from_white(hue):
    found = [luminance(color) for color in ordered_colors(7, hue)]
    lightness = 116 * np.cbrt(found) - 16
    steps = -np.diff(lightness)
    assert steps.min() > 0.8 * steps.max() > 0
    # Web Content Accessibility Guidelines 2.1: graphics need a contrast of 3.
    assert 1.05 / (max(found) + 0.05) >= 3
    assert len(ordered_colors(1, hue)) == 1


def test_a_family_has_the_colours_of_its_order():
    assert Family([3, 1, 2], "dose").colors == [ordered_colors(3)[rank] for rank in (2, 0, 1)]


def test_families_of_different_hues_have_no_colour_in_common():
    colors = [Family([3, 1, 2], "dose", hue).colors for hue in ("blue", "orange", "green")]
    assert len({color for family in colors for color in family}) == 9


def drawn_family(values):
    figure, axes = panels([["a"]])
    family = Family(values, "dopamine")
    family.draw(axes["a"], np.arange(5), np.outer(np.arange(len(values)), np.arange(5)), "o-")
    family.explain(axes["a"])
    figure.draw_without_rendering()
    return figure, axes["a"]


def test_up_to_seven_curves_have_a_legend():
    figure, axes = drawn_family([0.0003, 0.001, 0.01] * mM)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "0.3 µM",
        "1 µM",
        "10 µM",
    ]
    assert axes.get_legend().get_title().get_text() == "dopamine"
    assert len(figure.axes) == 1


@pytest.mark.parametrize(("low", "scale"), [(0.01, "log"), (0.0, "linear")])
def test_more_than_seven_curves_have_a_colour_bar(low, scale):
    values = np.append(low, np.geomspace(0.1, 100, 8)) * uM
    figure, axes = drawn_family(values)
    assert axes.get_legend() is None
    bar = next(found for found in figure.axes if found is not axes)
    assert (bar.get_ylabel(), bar.get_yscale()) == ("dopamine (µM)", scale)
    assert axes.lines[-1].get_color() == ordered_colors(2)[-1]


def test_a_legend_lies_beside_the_axes():
    figure, axes = panels([["a"]])
    axes["a"].plot([0, 1], [0, 1], label="x")
    for below in (False, True):
        legend(axes["a"], "kind", below)
        figure.draw_without_rendering()
        box = axes["a"].get_legend().get_window_extent()
        assert not box.overlaps(axes["a"].get_window_extent())
        assert figure.bbox.containsx(box.x1)


def test_a_legend_names_only_what_is_drawn():
    _, axes = panels([["a"]])
    axes["a"].plot([], [], label="empty")
    axes["a"].plot([0, 1], [np.nan, np.nan], label="missing")
    axes["a"].plot([0, 1], [2, np.nan], label="line")
    axes["a"].scatter([], [], label="no points")
    axes["a"].scatter([1], [2], label="point")
    axes["a"].errorbar([1], [2], yerr=[0.1], label="error")
    axes["a"].bar([1], [2], label="bar")
    axes["a"].fill_between([0, 1], [0, 1], label="band")
    axes["a"].axvline(0.5, label="hidden", visible=False)
    legend(axes["a"], also={"closed form": {"ls": ":"}})
    named = {text.get_text() for text in axes["a"].get_legend().get_texts()}
    assert named == {"line", "point", "error", "bar", "band", "closed form"}


def test_no_legend_stands_where_there_is_nothing_to_name():
    _, axes = panels([["a"]])
    legend(axes["a"])
    assert axes["a"].get_legend() is None


def test_a_plain_figure_draws_numbers_against_the_first_column():
    table = pd.DataFrame(
        {"conc_uM": [1.0, 3.0], "gain": [1.5, 2.5], "who": ["a", "b"], "n": [1, 2]}
    )
    figure = plain_figure({"table": table, "other": table}, {})
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes] == [
        ("conc (µM)", "gain"),
        ("conc (µM)", "n"),
    ]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.5, 2.5]


def test_a_plain_figure_joins_no_points_of_several_conditions():
    table = pd.DataFrame({"vdd_V": [0.5, 1, 0.5, 1], "spikes": [1, 2, 3, 4]})
    assert plain_figure({"table": table}, {}).axes[0].lines[0].get_linestyle() == "None"


def recorded(signals):
    return SimpleNamespace(
        times_of=lambda *_: np.arange(9000) * 0.1 * ms,
        signals={"cells": signals},
        spikes={"cells": SimpleNamespace(times=[3, 7] * ms, neurons=np.array([0, 1]))},
    )


def test_a_plain_figure_of_words_shows_traces():
    v = np.zeros((9, 9000)) * mV
    v[3, 4000] = 40 * mV
    signal = SimpleNamespace(neurons=np.arange(9), values=v)
    table = pd.DataFrame({"verdict": ["yes"]})
    axes = plain_figure({"table": table}, {"run": recorded({"v": signal})}).axes
    assert [(one.get_ylabel(), one.get_xlabel()) for one in axes] == [("v (mV)", "time (ms)")]
    assert len(axes[0].lines) == 7
    assert axes[0].lines[3].get_ydata().max() == pytest.approx(40)


def test_a_plain_figure_without_numbers_and_traces_shows_spikes():
    axes = plain_figure({}, {"run": recorded({})}).axes
    assert axes[0].lines[0].get_xdata().tolist() == pytest.approx([3, 7])
    assert axes[0].get_ylabel() == "neuron"


def test_a_plain_figure_of_nothing_says_so():
    assert "No numbers" in plain_figure({}, {}).texts[0].get_text()


def test_a_plain_figure_stays_readable_with_many_columns():
    table = pd.DataFrame(np.ones((2, 40)), columns=[f"x{n}" for n in range(40)])
    assert len(plain_figure({"table": table}, {}).axes) == 12
