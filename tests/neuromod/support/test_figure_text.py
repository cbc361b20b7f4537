import io

import numpy as np
import pytest
from brian2 import umolar
from matplotlib.figure import Figure

from neuromod.support.figure_text import alternative, points
from neuromod.support.figures import Family, label, legend, none_at_left, panels


def drawn(figure):
    """The same figure, laid out."""
    figure.savefig(io.BytesIO())
    return figure


def test_a_marker_says_its_series_and_its_values_with_units():
    figure, axes = panels([["a", "b"]])
    doses = Family([0, 3.7] * umolar, "dopamine")
    doses.draw(axes["a"], [0.25, 0.75], [[11, 21.23456], [31, np.nan]], "o")
    doses.draw(axes["a"], [0.25, 0.75], [[11, 21], [31, 41]])
    label(axes["a"], "a  Rates", "injected current (nA)", "firing rate (Hz)")
    axes["b"].errorbar([0.1, 10], [1, 2.5], [0.1, 0.2], fmt="s", label="fitted")
    axes["b"].plot([0.1, 10], [1, 2], ".")
    label(axes["b"], "b  Gain", "dopamine (µM; none at the left end)", "gain", log="x")
    none_at_left(axes["b"], 0.1)
    assert [point.text for point in points(drawn(figure))] == [
        "dopamine: 0 µM\ninjected current: 0.25 nA\nfiring rate: 11 Hz",
        "dopamine: 0 µM\ninjected current: 0.75 nA\nfiring rate: 21.23 Hz",
        "dopamine: 3.7 µM\ninjected current: 0.25 nA\nfiring rate: 31 Hz",
        "fitted\ndopamine: none\ngain: 1",
        "fitted\ndopamine: 10 µM\ngain: 2.5",
    ]


def test_a_marker_lies_where_it_is_drawn():
    figure, axes = panels([["a"]])
    axes["a"].set_position([0.2, 0.1, 0.5, 0.6])
    axes["a"].set(xlim=(0, 10), ylim=(0, 1))
    axes["a"].plot([4, 11], [0.25, 0.5], "x")
    figure.set_layout_engine("none")
    (point,) = points(drawn(figure))
    assert (point.x, point.y) == pytest.approx((0.2 + 0.5 * 0.4, 1 - 0.1 - 0.6 * 0.25))


def test_markers_on_each_other_are_told_together():
    figure, axes = panels([["a"]])
    for number in range(7):
        axes["a"].plot([1], [2], "o", label=f"series {number}")
    (point,) = points(drawn(figure))
    assert point.text.startswith("series 0\n1\n2\n\nseries 1\n")
    assert point.text.endswith("and 2 more")


def test_a_crowd_of_markers_has_no_words():
    figure, axes = panels([["a"]])
    axes["a"].plot(*np.random.default_rng(3).random((2, 5000)), "o")
    assert points(drawn(figure)) == []


def test_ticks_that_are_names_are_told_by_name_and_numbers_are_not():
    figure, axes = panels([["a"]])
    axes["a"].set_xticks([0, 1, 2], ["torch", "cells", "chip"])
    axes["a"].set_yticks([1, 2], ["1", "2"])
    axes["a"].plot([0, 1.1, 2], [1, 1.5, 2], "o")
    label(axes["a"], x="made of", y="share")
    assert [point.text.replace("\n", ", ") for point in points(drawn(figure))] == [
        "made of: torch, share: 1",
        "made of: cells, share: 1.5",
        "made of: chip, share: 2",
    ]
    assert alternative(figure) == "Figure. Share from 1 to 2 against made of torch, cells and chip."


def test_a_figure_in_words_has_titles_quantities_ranges_and_curves():
    figure, axes = panels([["a", "b", "c"]])
    axes["a"].plot([1, 2], [3.3, 4.4], label="simulated")
    axes["a"].plot([1, 2], [3, 4], label="closed form")
    label(axes["a"], "a  Rates", "current (nA)", "rate (Hz)")
    legend(axes["a"])
    shown = axes["b"].pcolormesh([[0.5, 0.7], [0.9, 1.1]])
    figure.colorbar(shown, ax=axes["b"], label="gain")
    label(axes["b"], "b  Map", "x (µm)", "y (µm)")
    assert alternative(drawn(figure)) == (
        "Figure of 2 panels. Panel a, Rates: rate from 3 to 4.4 Hz against current from 1 to 2 nA; "
        "drawn are simulated and closed form. Panel b, Map: y from 0 to 2 µm against x from 0 to "
        "2 µm; by colour gain from 0.5 to 1.1."
    )


def test_labels_of_ticks_may_be_numbers():
    figure, axes = panels([["a"]])
    axes["a"].plot([0, 1], [2, 3], "o")
    label(axes["a"], "a  Recall", "digit", "recall")
    axes["a"].set_xticks([0, 1], [4, 7])
    assert "digit 4 and 7" in alternative(drawn(figure))


def test_spikes_above_a_membrane_are_counted_and_are_not_its_range():
    figure, axes = panels([["a"]])
    axes["a"].plot([0, 1, 2], [-70, -50, -65])
    axes["a"].plot([0.5, 1.5], [0, 0], "|")
    axes["a"].set_yticks([-60, -50, 0, 20], [-60, -50, "inputs", "outputs"])
    label(axes["a"], "a  Cell", "time (ms)", "membrane (mV)", ylim=(-80, 30))
    assert alternative(drawn(figure)) == (
        "Figure. Panel a, Cell: membrane from -70 to -50 mV with inputs (2 marks) and outputs "
        "(0 marks) against time from 0 to 2 ms."
    )


def test_of_panels_in_a_line_one_is_labelled_for_all():
    figure, axes = panels([["a", "b"], ["va", "vb"]])
    for name, at in (("a", [1, 2]), ("b", [3])):
        axes[name].plot(at, np.zeros(len(at)), "|")
        axes[name].set(ylim=(-0.5, 1.5), xlim=(0, 4), xticks=[])
        axes[name].set_yticks([0, 1], ["in", "out"] if name == "a" else ["", ""])
        axes[f"v{name}"].plot([0, 4], [1, at[0]], "o-")
        axes[f"v{name}"].set(ylim=(0, 5), xlim=(0, 4))
        axes[name].set_title(f"{name}  Row", loc="left")
        axes[f"v{name}"].set_xlabel("time (ms)")
    axes["va"].set_ylabel("membrane (mV;\nthreshold dotted)")
    assert alternative(drawn(figure)) == (
        "Figure of 2 panels. Panel a, Row: in (2 marks) and out (0 marks) against time from 1 to "
        "2 ms; below it membrane 1 mV against time from 0 to 4 ms. Panel b, Row: in (1 mark) and "
        "out (0 marks) against time 3 ms; below it membrane from 1 to 3 mV against time from 0 to "
        "4 ms."
    )
    assert points(figure)[-1].text == "time: 4 ms\nmembrane: 3 mV"


def test_panels_of_a_row_may_differ_in_limits_and_share_a_legend():
    figure, axes = panels([["b", "a"]])
    for name, top in (("a", 10), ("b", 20)):
        (line,) = axes[name].plot([0, 1], [0, top], "o")
        axes[name].set(xlabel="current (nA)", title=f"{name}")
    axes["b"].set_ylabel("firing rate (Hz)")
    figure.legend([line], ["measured"], title="", loc="outside lower center")
    assert alternative(drawn(figure)) == (
        "Figure of 2 panels. Panel a: firing rate from 0 to 10 Hz against current from 0 to 1 nA. "
        "Panel b: firing rate from 0 to 20 Hz against current from 0 to 1 nA. In all panels drawn "
        "is measured."
    )


def test_markers_of_a_part_of_a_figure_lie_where_they_are_drawn():
    figure = Figure(figsize=(4, 4))
    upper, lower = figure.subfigures(2, 1)
    for part, value in ((upper, 1), (lower, 2)):
        axes = part.add_axes([0.25, 0.25, 0.5, 0.5], xlim=(0, 1), ylim=(0, 4))
        axes.plot([0.5], [value], "o")
    found = points(drawn(figure))
    assert [(point.x, point.y) for point in found] == [
        pytest.approx((0.5, 0.5 - (0.25 + 0.125) / 2)),
        pytest.approx((0.5, 1 - (0.25 + 0.25) / 2)),
    ]


def test_names_of_ticks_keep_their_unit():
    figure, axes = panels([["a"]])
    axes["a"].imshow([[1, 2], [3, 4]])
    axes["a"].set_xticks([0, 1], ["none", "3.1"])
    axes["a"].set_yticks([0, 1], ["none", "0.7"])
    label(axes["a"], "a  Gain", "dopamine (µM)", "noradrenaline (µM)")
    assert alternative(drawn(figure)) == (
        "Figure. Panel a, Gain: noradrenaline none and 0.7 µM against dopamine none and 3.1 µM."
    )


def test_a_marker_beside_its_place_says_the_place_with_its_unit():
    figure, axes = panels([["a"]])
    axes["a"].errorbar([0.9, 2.1], [3, 4], fmt="o")
    axes["a"].fmt_xdata = lambda x: f"{x:.0f}"
    label(axes["a"], "a  Rates", "drive (kHz)", "rate (Hz)")
    texts = [point.text.replace("\n", ", ") for point in points(drawn(figure))]
    assert texts == ["drive: 1 kHz, rate: 3 Hz", "drive: 2 kHz, rate: 4 Hz"]
    assert alternative(figure).endswith("rate from 3 to 4 Hz against drive from 1 to 2 kHz.")
