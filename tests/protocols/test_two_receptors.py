"""Gains of two receptors multiply, rates do not, and both follow the closed form."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import linspace, nA, pA, second, umolar

import neuromod
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptor_library import library
from neuromod.models.receptors import Receptor
from neuromod.protocols.two_receptors import TwoReceptors
from neuromod.runs.report import draw

UP = Receptor(name="up", ligand="one", n=1.0, gain_max=2.7)
DOWN = Receptor(name="down", ligand="other", gain_max=0.3, K=0.37)
SMALL = {
    "conc_first": [0, 0.23, 1.9, 17] * umolar,
    "conc_second": [0, 0.41, 3.7] * umolar,
    "I": linspace(1.27, 2.3, 5) * nA,
    "duration": 0.4 * second,
}


def run_of(*receptors, **neuron):
    return neuromod.run(TwoReceptors(neuron=GainLIF(receptors=receptors, **neuron), **SMALL))


@pytest.fixture(scope="module")
def run():
    return run_of(UP, DOWN)


@pytest.fixture(scope="module")
def surface(run):
    return run.tables["surface"]


def test_gains_recovered_from_rates_are_the_product_of_both_by_hand(surface):
    up = surface.conc_one_uM / (surface.conc_one_uM + 1)
    down = surface.conc_other_uM / (surface.conc_other_uM + 1)
    by_hand = (1 + 1.7 * up / (up + 0.5)) * (1 - 0.7 * down**2 / (down**2 + 0.37**2))
    assert np.allclose(surface.recovered_gain, by_hand, rtol=1e-2)
    assert np.allclose(surface.gain, by_hand, rtol=1e-12)


def test_log_gains_add_within_the_rounding_of_intervals(surface):
    assert np.allclose(surface.gain_interaction, 0, atol=0.015)
    assert np.allclose(surface.single_gains_product, surface.recovered_gain, rtol=0.015)


def test_alone_or_in_none_there_is_nothing_to_interact(surface):
    alone = surface[(surface.conc_one_uM == 0) | (surface.conc_other_uM == 0)]
    for name in ("gain_interaction", "rate_interaction", "exact_rate_interaction"):
        assert np.allclose(alone[name], 0, atol=1e-12)


def test_rates_interact_as_the_closed_form_says(surface):
    assert np.allclose(surface.rate_interaction, surface.exact_rate_interaction, atol=0.02)
    assert surface.rate_interaction.abs().max() > 0.2


def test_far_above_rheobase_without_refractoriness_rates_multiply_too():
    # Driven to 34 times its threshold at gain 1 a slow cell integrates: its rate goes with gain,
    # but for half of threshold over drive, of which the index has two each way.
    neuron = GainLIF(receptors=(UP, DOWN), t_ref=0 * second, tau_m=0.53 * second)
    result = neuromod.run(TwoReceptors(neuron=neuron, **SMALL | {"I": [17.0] * nA}))
    surface = result.tables["surface"]
    drive = 34 * surface.gain
    assert (surface.rate_interaction.abs() <= 1 / drive.min() + 0.005).all()
    assert surface.gain.max() / surface.gain.min() > 4.5
    assert np.allclose(surface.rate_Hz, drive / 0.53, rtol=0.06)


def test_rates_follow_the_closed_form_within_a_time_step(run):
    firing = run.table[run.table.closed_form_Hz > 0]
    assert (np.abs(1 / firing.rate_Hz - 1 / firing.closed_form_Hz) <= 0.05e-3 + 1e-9).all()


def test_which_receptor_is_first_only_turns_the_table(run, surface):
    settings = SMALL | {"conc_first": SMALL["conc_second"], "conc_second": SMALL["conc_first"]}
    turned = neuromod.run(TwoReceptors(neuron=GainLIF(receptors=(DOWN, UP)), **settings))
    order = ["conc_one_uM", "conc_other_uM"]
    other = turned.tables["surface"].sort_values(order)[surface.columns]
    assert np.allclose(other, surface, rtol=1e-9, atol=1e-12)
    assert draw(run.protocol, run.tables, run.recordings).png


def test_silence_in_one_modulator_leaves_the_rates_index_open():
    blocking = Receptor(name="down", ligand="other", gain_max=0.0, K=0.1)
    result = run_of(Receptor(name="up", ligand="one"), blocking)
    surface = result.tables["surface"].set_index(["conc_one_uM", "conc_other_uM"])
    assert surface.rate_Hz[0.0, 3.7] == 0
    assert np.isnan(surface.rate_interaction[0.23, 3.7])
    assert draw(result.protocol, result.tables, result.recordings).png


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neuron": GainLIF()}, "two receptors, not 1"),
        ({"neuron": GainLIF(receptors=(library["D1"], library["D2"]))}, "dopamine binds to both"),
        (
            {"neuron": GainLIF(receptors=(UP, Receptor(ligand="third", antagonist="one")))},
            "one binds to both",
        ),
        ({"conc_first": [0.3, 1.1, 4.7] * umolar}, "conc_first must begin with 0"),
        ({"conc_second": [0, 4.7, 1.1] * umolar}, "conc_second must be at least 3 values in asc"),
        ({"conc_second": [0, 4.7] * umolar}, "conc_second must be at least 3"),
        ({"conc_second": [-1.3, 0, 4.7] * umolar}, "conc_second"),
        ({"I": [0.11, 1.3] * nA}, "below rheobase in every bath"),
    ],
)
def test_settings_without_a_surface_are_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        TwoReceptors(**settings)


def test_an_adapting_neuron_has_its_gains_measured_and_they_multiply():
    run = neuromod.run(
        TwoReceptors(
            neuron=GainLIF(receptors=(UP, DOWN), b=13 * pA),
            conc_first=[0, 1.1, 4.7] * umolar,
            conc_second=[0, 0.3, 4.7] * umolar,
            I=[1.1, 1.7] * nA,
            duration=0.3 * second,
        )
    )
    surface = run.tables["surface"]
    assert np.allclose(surface.recovered_gain, surface.gain, rtol=0.02)
    assert np.allclose(surface.recovered_gain, surface.single_gains_product, rtol=0.03)
    assert "exact_rate_interaction" not in surface
    assert draw(run.protocol, run.tables, run.recordings).png
    assert "no closed form" in " ".join(s.text for s in run.protocol.report(run.tables))
