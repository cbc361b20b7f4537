"""Bodies under novel conditions: what is told of trained networks, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms

import neuromod

pytest.importorskip("torch")
pytest.importorskip("mujoco", reason="needs brian2-neuromod[locomotion]")

from neuromod.locomotion.storage import load_controller
from neuromod.protocols.locomotion import Locomotion
from neuromod.protocols.locomotion.protocol import interval
from neuromod.runs.run import load_run, render
from neuromod.settings import change

SMALL = Locomotion(
    networks=("none", "modulated-bcm"),
    conditions=("gravity", "noise", "rough"),
    seeds=2,
    hidden=8,
    modulators=2,
    generations=10,
    pairs=3,
    actions=12,
    tested_actions=17,
    episodes=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locomotion") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROMOD_CACHE", str(tmp_path_factory.mktemp("cache")))
        neuromod.run(SMALL, out=folder)
        yield folder


@pytest.fixture(scope="module")
def run(folder):
    return load_run(folder)


def test_every_network_is_tried_in_every_condition_that_means_something(run):
    table = run.table
    assert list(table.condition.unique()) == ["trained", "gravity", "noise"]
    assert len(table) == 2 * 2 * 3
    # A reward of 1 for every action, of which the pole stands at least one.
    assert table["return"].between(1, 17).all()


def test_returns_are_relative_to_each_networks_own(run):
    own = run.table[(run.table.network == "modulated-bcm") & (run.table.seed == 2)]
    returns = own.set_index("condition")["return"]
    relative = own.set_index("condition").relative_return
    assert relative["trained"] == 1
    assert relative["gravity"] == pytest.approx(returns["gravity"] / returns["trained"])


def test_intervals_are_those_of_students_t(run):
    # Of two values at a distance d the half width is t(0.975, 1) d/2, with t = 12.7062.
    assert interval(np.array([3.1, 4.7])) == pytest.approx((3.9, 12.7062 * 0.8), rel=1e-5)
    # By hand for three: sd 1, t(0.975, 2) = 4.30265.
    assert interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((2, 4.30265 / 3**0.5), rel=1e-5)
    some = run.table[(run.table.network == "none") & (run.table.condition == "noise")]
    told = run.tables["summary"].set_index(["network", "condition"]).loc[("none", "noise")]
    mean, half = interval(some["return"].to_numpy())
    assert told.return_mean == pytest.approx(mean)
    assert told.return_low == pytest.approx(mean - half)
    assert np.isnan(interval(np.array([1.0, np.nan, 3.0]))[0])


def test_learning_curves_hold_every_generation_and_what_it_cost(run):
    curves = run.tables["curves"]
    own = curves[(curves.network == "none") & (curves.seed == 1)]
    assert own.generation.tolist() == list(range(1, 11))
    # Seven networks in a generation, with an episode of 1 to 12 actions each.
    assert np.diff(own.steps, prepend=0).min() >= 7
    assert np.diff(own.steps, prepend=0).max() <= 7 * 12


def test_a_stored_controller_returns_what_the_table_says(folder, run):
    controller, name = load_controller(folder / "none-2.safetensors")
    assert name == "inverted-pendulum"
    own = run.table[(run.table.network == "none") & (run.table.seed == 2)]
    assert SMALL._trials.returns(controller).mean(1) == pytest.approx(own["return"].to_numpy())


def test_report_and_figure_are_made_again_from_what_is_stored(folder, run):
    sections = {section.title: section.text for section in run.protocol.report(run.tables)}
    assert "rough, because none of its surfaces touch" in sections["Novel conditions"]
    kept = run.tables["summary"].query("network == 'none' and condition != 'trained'")
    mean = 100 * kept.relative_return_mean.mean()
    assert f"none {mean:.2g} %" in sections["Novel conditions"].replace("e+02", "00")
    assert "Learned rules" in sections
    before = (folder / "figure.png").read_bytes()
    assert render(folder).is_file()
    assert (folder / "figure.png").read_bytes() == before


def test_frames_are_drawn_from_outlines_where_nothing_is_rendered(run):
    tables = dict(run.tables)
    tables["frames"] = tables["frames"].assign(png="")
    figure = run.protocol.plot(tables, run.recordings)
    drawn = [axes for axes in figure.axes if "modulated-bcm, " in axes.get_title(loc="left")]
    drawn = drawn or [axes for axes in figure.axes if "modulated-bcm, " in axes.get_title()]
    assert len(drawn) == 2
    frames = tables["frames"].groupby("condition", sort=False).size()
    # The cart and the pole in every frame.
    assert [len(axes.lines) for axes in drawn] == (2 * frames).tolist()


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("body", "half-cheeta", "did you mean half-cheetah"),
        ("networks", ("oja", "oja"), "networks names oja 2 times"),
        ("conditions", ("rough",), "None of the conditions means anything for the body"),
        ("conditions", ("ruff",), "There is no conditions named .ruff."),
        ("generations", 25, "multiple of 10"),
        ("dt", 15 * ms, "dt is 15 ms, but the body takes an action every 40 ms"),
        ("seeds", 1, "seeds"),
    ],
)
def test_impossible_settings_are_refused_when_made(setting, value, message):
    with pytest.raises(neuromod.UserError, match=message):
        change(SMALL, {setting: value})
