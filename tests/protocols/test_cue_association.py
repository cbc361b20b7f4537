"""The choice after a delay: what plasticity brings, what is told of it, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from brian2 import Hz, ms

import neuromod

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.plasticity import tasks
from neuromod.plasticity.learning import success as share_right
from neuromod.plasticity.storage import load_network
from neuromod.plasticity.tasks import Difficulty
from neuromod.protocols.cue_association import CueAssociation
from neuromod.runs.run import load_run, render
from neuromod.settings import change

SMALL = CueAssociation(
    networks=("none", "oja", "modulated-bcm"),
    seeds=1,
    hidden=12,
    steps=60,
    batch=24,
    episodes=150,
    task=tasks.CueAssociation(cues=3, neurons=6),
    delays=np.array([0, 65]) * ms,
    learned_delays=np.array([30, 65]) * ms,
    noise=np.array([0, 9, 90]) * Hz,
    learned_noise=np.array([0, 9]) * Hz,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cue-association") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROMOD_CACHE", str(tmp_path_factory.mktemp("cache")))
        neuromod.run(SMALL, out=folder)
        yield folder


@pytest.fixture(scope="module")
def run(folder):
    return load_run(folder)


@pytest.fixture(scope="module")
def summary(run):
    return run.tables["summary"].set_index("network")


def test_plastic_networks_remember_over_the_delay_what_the_fixed_one_does_not(run):
    late = run.table[(run.table.delay_ms == 65) & (run.table.noise_Hz == 9)]
    success = late.set_index("network").success
    assert success["none"] < 0.65
    assert success["oja"] > 0.8
    assert success["modulated-bcm"] > 0.8


def test_every_network_is_tested_at_every_difficulty(run):
    table = run.table
    assert len(table) == 3 * 2 * 3
    assert set(table.delay_ms) == {0, 65}
    assert set(table.noise_Hz) == {0, 9, 90}
    assert table.success.between(0, 1).all()


def test_the_summary_keeps_apart_what_was_learned_from_and_what_lies_beyond(run, summary):
    own = run.table[run.table.network == "oja"]
    within = own.noise_Hz <= 9
    assert summary.success_learned_mean["oja"] == pytest.approx(own.success[within].mean())
    assert summary.success_beyond_mean["oja"] == pytest.approx(own.success[~within].mean())


def test_parameters_are_counted_as_by_hand(summary):
    fixed = 12 * 24 + 12 * 12 + 2 * 12
    # alpha; eta, tau_pre, tau_post
    oja = fixed + 12 * 24 + 3
    # and y0, tau_theta; the modulatory population's synapses, tau_c; tonic and sensitivity
    modulated_bcm = oja + 2 + 4 * (24 + 12) + 1 + 2 * 12
    assert summary.parameters.tolist() == [fixed, oja, modulated_bcm]


def test_learned_rules_are_shown_and_differ_from_their_start(run):
    rules = run.tables["rules"].set_index("network")
    assert rules.loc["none"].drop("seed").isna().all()
    assert rules.eta_Hz["oja"] != pytest.approx(1, rel=0.01)
    assert np.isnan(rules.tau_c_s["oja"])
    assert 0.001 < rules.tau_c_s["modulated-bcm"] < 1


def test_learning_curves_hold_every_round(run):
    curves = run.tables["curves"]
    assert curves[curves.network == "oja"].step.tolist() == [20, 40, 60]
    assert curves.success.between(0, 1).all()


def test_traces_begin_at_nothing_and_the_modulator_is_the_networks_own(run):
    course = run.tables["course"]
    first = course[course.time_ms == 5]
    assert (first.plastic_rms.dropna() == 0).all()
    modulated = course[course.network == "modulated-bcm"]
    assert modulated.concentration.max() > 0.1
    assert course[course.network == "oja"].concentration.isna().all()


def test_stored_networks_answer_as_the_table_says(folder, run):
    network, header = load_network(folder / "oja-1.safetensors")
    assert header["about"] == {"task": "CueAssociation", "seed": 1}
    table = run.table
    row = table[(table.network == "oja") & (table.noise_Hz == 9) & (table.delay_ms == 65)]
    share = share_right(network, SMALL.task, Difficulty(9, 0.065), 150, 1)
    assert share == row.success.item()


def test_report_and_figure_are_made_again_from_what_is_stored(folder, run, summary):
    on_success, on_rules, _, on_counting = run.protocol.report(run.tables)
    assert f"oja {100 * summary.success_learned_mean['oja']:.0f} %" in on_success.text
    assert f"eta_Hz {run.tables['rules'].eta_Hz[1]:.2g}" in on_rules.text
    # 2 or 3 of 3 cues are on the side that wins.
    assert "would be right in 83 %" in on_counting.text
    before = (folder / "figure.png").read_bytes()
    assert render(folder).is_file()
    assert (folder / "figure.png").read_bytes() == before


def of_one_network(run, network: str) -> dict[str, pd.DataFrame]:
    tables = {name: table[table.network == network] for name, table in run.tables.items()}
    # Columns that such a network has nothing for are not there when it runs alone.
    return tables | {n: tables[n].dropna(axis=1, how="all") for n in ("rules", "course")}


@pytest.mark.parametrize(
    ("network", "below"),
    [
        ("none", []),
        ("oja", ["d  Plastic traces", "e  Learned rules"]),
        ("modulated-bcm", ["d  Plastic traces", "e  Modulator", "f  Learned rules"]),
    ],
)
def test_one_network_has_no_empty_panels_and_no_empty_words(run, network, below):
    tables = of_one_network(run, network)
    study = change(SMALL, {"networks": (network,)})
    figure = study.plot(tables, run.recordings)
    assert [axes.get_title() for axes in figure.axes][3:] == below
    assert all(axes.has_data() for axes in figure.axes)
    titles = [section.title for section in study.report(tables)]
    assert ("Learned rules" in titles) == (network != "none")
    # A single network has no spread.
    assert "Share of right answers of one network of each kind" in study.report(tables)[0].text


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("cues", 4, "cues is 4, but must be odd"),
        ("steps", 50, "multiple of 20"),
        ("seeds", 2**62, "expected 1 to 1 000 000"),
        ("networks", ("oja", "oja"), "networks names oja 2 times"),
        ("networks", ("ojas",), "did you mean oja"),
        ("delays", np.array([0, 12]) * ms, "delays = .* whole number of time steps"),
        ("cue", 12 * ms, "cue = 12 ms must be a whole number of time steps"),
        ("noise", np.array([0, 130]) * Hz, "210 Hz would spike more than once"),
    ],
)
def test_impossible_settings_are_refused_when_made(setting, value, message):
    with pytest.raises(neuromod.UserError, match=message):
        change(SMALL, {setting: value})
