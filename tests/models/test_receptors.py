from functools import cache

import numpy as np
import pytest
from brian2 import ms, second, umolar
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor

PER = 1 / (umolar * second)
receptors = st.builds(
    lambda k_on, k_off, on_rival, off_rival, rate, n, K, gain_max: Receptor(
        k_on=k_on * PER,
        k_off=k_off / second,
        antagonist="rival",
        k_on_antagonist=on_rival * PER,
        k_off_antagonist=off_rival / second,
        k_desensitise=rate / second,
        tau_recover=7.3 * second,
        n=n,
        K=K,
        gain_max=gain_max,
    ),
    k_on=st.floats(0.01, 50),
    k_off=st.floats(0.01, 50),
    on_rival=st.floats(0.01, 50),
    off_rival=st.floats(0.01, 50),
    rate=st.sampled_from([0.0, 0.03, 1.9]),
    n=st.floats(0.3, 6),
    K=st.floats(0.05, 3),
    gain_max=st.floats(0, 9),
)
doses = st.floats(1e-3, 1e3)


@settings(deadline=None)
@given(receptors, doses, doses)
def test_the_steady_state_is_where_nothing_changes(receptor, conc, rival):
    steady = receptor.steady(conc * umolar, rival * umolar)
    bound, blocked, available, messenger = (
        steady.get(f"{name}_generic", np.array(1.0))
        for name in ("occupancy", "blocked", "available", "messenger")
    )
    free = 1 - bound - blocked
    on, off = float(receptor.k_on / PER) * conc, float(receptor.k_off * second)
    on_rival = float(receptor.k_on_antagonist / PER) * rival
    off_rival = float(receptor.k_off_antagonist * second)
    assert on * free == pytest.approx(off * bound, rel=1e-9)
    assert on_rival * free == pytest.approx(off_rival * blocked, rel=1e-9)
    silenced = float(receptor.k_desensitise * second) * bound * available
    assert (1 - available) / 7.3 == pytest.approx(silenced, rel=1e-6, abs=1e-12)
    assert messenger == pytest.approx(bound * available)


@settings(deadline=None)
@given(receptors, doses, st.floats(0.01, 300))
def test_an_antagonist_shifts_the_dose_response_curve_by_the_schild_relation(receptor, conc, rival):
    # Gaddum and Schild: 1 + c_B/K_B times the dose give the same response.
    K_B = float(receptor.k_off_antagonist / receptor.k_on_antagonist / umolar)
    shifted = receptor.gain(conc * (1 + rival / K_B) * umolar, rival * umolar)
    assert shifted == pytest.approx(receptor.gain(conc * umolar), rel=1e-9)


@settings(deadline=None)
@given(receptors)
def test_ec50_and_slope_are_those_of_the_steady_curve_at_half_its_greatest_effect(receptor):
    top = float(receptor.activation(1e15 * umolar))

    def logit(log_conc):
        share = float(receptor.activation(np.exp(log_conc) * umolar)) / top
        return np.log(share / (1 - share))

    middle = np.log(float(receptor.ec50 / umolar))
    at = brentq(logit, middle - 3, middle + 3)
    assert np.exp(at) == pytest.approx(float(receptor.ec50 / umolar), rel=1e-6)
    slope = (logit(at + 1e-4) - logit(at - 1e-4)) / 2e-4
    assert receptor.hill_slope == pytest.approx(slope, rel=1e-4)


def test_with_a_hill_coefficient_of_one_the_curve_is_a_hill_function_of_slope_one():
    receptor = Receptor(k_on=3 * PER, k_off=0.7 / second, n=1, K=0.21)
    assert receptor.hill_slope == pytest.approx(1)
    assert float(receptor.ec50 / umolar) == pytest.approx(0.7 / 3 * 0.21 / 1.21)


KINETICS = {
    "k_on": 2.3 * PER,
    "k_off": 1.7 / second,
    "k_on_antagonist": 5.1 * PER,
    "k_off_antagonist": 0.9 / second,
    "k_desensitise": 2.9 / second,
    "tau_recover": 0.41 * second,
    "tau_messenger": 170 * ms,
    "n": 3,
    "K": 0.19,
}


@cache
def transient():
    receptor = Receptor(name="R1", ligand="agonist", antagonist="rival", **KINETICS)
    neuron = GainLIF(receptors=(receptor,))
    values = {"conc_agonist": [0.4, 3.7] * umolar, "conc_rival": [0.33, 0.08] * umolar}
    names = ("occupancy_R1", "blocked_R1", "available_R1", "messenger_R1")
    experiment = Experiment(
        populations=[Population("cells", neuron, 2, values)],
        traces=[Trace("cells", names, range(2))],
        duration=1.7 * second,
        dt=0.5 * ms,
    )
    signals = simulate(experiment).signals["cells"]
    return np.array([np.asarray(signals[name].values) for name in names])


@pytest.mark.parametrize(("cell", "conc", "rival"), [(0, 0.4, 0.33), (1, 3.7, 0.08)])
def test_binding_competition_and_desensitisation_agree_with_an_independent_solver(
    cell, conc, rival
):
    def slopes(_, state):
        bound, blocked, available, messenger = state
        free = 1 - bound - blocked
        return [
            2.3 * conc * free - 1.7 * bound,
            5.1 * rival * free - 0.9 * blocked,
            (1 - available) / 0.41 - 2.9 * bound * available,
            (bound * available - messenger) / 0.17,
        ]

    at = np.arange(3400) * 5e-4
    solved = solve_ivp(slopes, (0, at[-1]), [0, 0, 1, 0], t_eval=at, rtol=1e-10, atol=1e-12)
    # Ligand and antagonist wait for each other half a step: 0.5 ms/2 times some 2/s.
    np.testing.assert_allclose(transient()[:, cell], solved.y, rtol=1e-3, atol=1e-6)


def test_a_desensitising_receptor_peaks_and_sags_under_lasting_agonist():
    available, messenger = transient()[2:, 1]
    assert messenger.max() > 1.1 * messenger[-1]
    assert (np.diff(available)[:1000] < 0).all()


def test_an_antagonist_that_is_not_there_changes_nothing():
    plain, contested = Receptor(), Receptor(antagonist="rival")
    conc = np.geomspace(0.01, 100, 7) * umolar
    np.testing.assert_array_equal(plain.gain(conc), contested.gain(conc))


@pytest.mark.parametrize("exponent", [1, 2, 2.6])
def test_the_exponent_stands_in_the_equations_as_a_number(exponent):
    assert f"messenger_generic**{exponent:g}/" in Receptor(n=exponent).equations
    assert "n_generic" not in Receptor(n=exponent).constants


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "D 1"}, "name = 'D 1' .* letters and digits"),
        ({"name": ""}, "name = ''"),
        ({"ligand": "a_b"}, "ligand"),
        ({"ligand": "5-HT"}, "letters and digits"),
        ({"antagonist": "x+y"}, "antagonist"),
        ({"ligand": "dopamine", "antagonist": "dopamine"}, "compete with itself"),
        ({"k_desensitise": -1 / second}, "k_desensitise"),
        ({"K": 0}, "K"),
    ],
)
def test_what_no_receptor_can_be_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        Receptor(**values)
