"""Measures of time courses on curves whose measures are known, and the cascade by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from brian2 import ms, second, umolar
from hypothesis import given, settings, strategies as st

from neuromod.analysis.time_course import (
    integrated_activations,
    integrated_gain,
    measure_response,
    momentary_rates,
    time_constant,
)
from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.models.gain_lif import GainLIF
from neuromod.models.messenger import Messenger
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor

TIMES = np.arange(0, 40, 0.003)


@pytest.mark.parametrize("sign", [1, -1], ids=["rise", "fall"])
def test_an_alpha_function_has_the_peak_latency_and_area_of_its_formula(sign):
    # t exp(-t/tau) peaks at tau with tau/e, has area tau^2, and is at half its peak again at
    # 2.678347 tau: x exp(1 - x) = 1/2.
    tau = 1.37
    response = measure_response(TIMES, 4.1 + sign * TIMES * np.exp(-TIMES / tau))
    assert response.peak == pytest.approx(sign * tau / np.e, rel=1e-5)
    assert response.latency == pytest.approx(tau, abs=0.003)
    assert response.latency + response.half_decay == pytest.approx(2.678347 * tau, rel=1e-5)
    assert response.area == pytest.approx(sign * tau**2, rel=1e-5)


def test_a_response_that_lasts_has_no_half_decay_time():
    assert np.isnan(measure_response(TIMES, np.tanh(TIMES)).half_decay)


def test_without_a_response_there_is_nothing_to_measure():
    response = measure_response(TIMES, np.full(len(TIMES), 2.3))
    assert (response.peak, response.area) == (0, 0)
    assert np.isnan(response.half_decay)


@settings(deadline=None)
@given(
    tau=st.floats(0.05, 3), delay=st.floats(0, 9), start=st.floats(-3, 3), change=st.floats(0.1, 9)
)
def test_an_exponential_gives_back_its_time_constant_however_late_it_starts(
    tau, delay, start, change
):
    since = np.maximum(TIMES - delay, 0)
    for sign in (1, -1):
        values = start + sign * change * -np.expm1(-since / tau)
        assert time_constant(TIMES, values) == pytest.approx(tau, rel=1e-3)


def test_no_change_and_too_sudden_a_change_have_no_time_constant():
    assert np.isnan(time_constant(TIMES, np.full(len(TIMES), 1.7)))
    assert np.isnan(time_constant(TIMES, np.where(TIMES > 3, 2.9, 1.7)))


def test_momentary_rates_are_the_inverse_intervals_of_one_neuron():
    spikes = Spikes("cells", 2, np.array([1, 0, 1, 1, 0]), [3, 5, 7, 32, 47] * ms)
    at, rate = momentary_rates(spikes, 1)
    assert at == pytest.approx([0.005, 0.0195])
    assert rate == pytest.approx([250, 40])
    assert len(momentary_rates(Spikes("cells", 1, np.zeros(0, int), [] * second), 0)[1]) == 0


def bath(*conc):
    return lambda _: np.array(conc) * float(umolar)


def test_a_sudden_bath_gives_the_sum_of_two_exponentials_by_hand():
    binding = {"k_on": 1.9 * PER_UMOLAR_SECOND, "k_off": 0.7 / second}
    receptor = Receptor(**binding, tau_messenger=0.23 * second, n=3.0, K=0.31, gain_max=2.2)
    times = np.linspace(0, 4, 300)
    gain = integrated_gain(GainLIF(receptors=(receptor,)), bath(0.6, 4.3), times * second)
    for conc, found in zip((0.6, 4.3), gain, strict=True):
        rate, end = 1.9 * conc + 0.7, 1.9 * conc / (1.9 * conc + 0.7)
        lag = np.exp(-times / 0.23)
        messenger = end * (1 - lag - (np.exp(-rate * times) - lag) / (1 - 0.23 * rate))
        expected = 1 + 1.2 * messenger**3 / (messenger**3 + 0.31**3)
        assert np.allclose(found, expected, rtol=1e-6)


def test_what_is_washed_out_at_once_unbinds_with_k_off():
    receptor = Receptor(k_off=0.7 / second, tau_messenger=1e-3 * second, n=1.0)
    times = np.array([0, 12, 12.5, 13.7]) * second
    gain = integrated_gain(
        GainLIF(receptors=(receptor,)),
        lambda time: np.array([2.1 * (time < 12)]) * float(umolar),
        times,
        [12],
    )
    activation = (gain[0] - 1) / 2
    occupancy = 0.5 * activation / (1 - activation)
    assert occupancy[0] == 0
    assert occupancy[1] == pytest.approx(2.1 / 2.8, rel=1e-6)
    # Half a second and 1.7 s later, seen a messenger's time constant late.
    assert occupancy[2:] == pytest.approx(
        2.1 / 2.8 * np.exp(-0.7 * np.array([0.499, 1.699])), rel=1e-5
    )


def test_in_the_end_every_receptor_is_in_its_steady_state():
    silencing = {"k_desensitise": 0.6 / second, "tau_recover": 2.1 * second}
    first = Receptor(name="D1", ligand="dopamine", **silencing)
    second_ = Receptor(name="other", ligand="another", antagonist="dopamine", gain_max=0.4)
    third = Receptor(name="D2", ligand="dopamine", gain_max=0.3, n=1.3, K=0.8)
    neuron = GainLIF(receptors=(first, second_, third))
    gain = integrated_gain(neuron, bath(0.4, 7.1), [0, 300] * second)
    expected = neuron.steady_gain({"dopamine": [0.4, 7.1] * umolar})
    assert gain[:, 0] == pytest.approx(1)
    assert gain[:, 1] == pytest.approx(expected, rel=1e-6)


def test_a_gain_that_no_solver_can_follow_is_refused():
    at = np.linspace(0, 3, 11) * second
    with pytest.raises(UserError, match="gain over time cannot be integrated"):
        integrated_gain(GainLIF(), lambda now: np.array([1e40 * now]), at)


GS = Receptor(name="D1", ligand="dopamine", k_on=1.9 * PER_UMOLAR_SECOND, k_off=0.7 / second)
GI = Receptor(name="D2", ligand="dopamine", k_on=3.1 * PER_UMOLAR_SECOND, k_off=0.37 / second)
SHARED = {"tau_messenger": 0.23 * second, "n": 3.0, "K": 0.31, "gain_max": 2.2}


def test_a_messenger_that_one_receptor_raises_is_that_receptor_s_own():
    alone = Receptor(**{**vars(GS), **SHARED})
    times = np.linspace(0, 4, 60) * second
    own = integrated_activations(GainLIF(receptors=(alone,)), bath(0.6, 4.3), times)
    shared = Messenger(raised_by=("D1",), **SHARED)
    found = integrated_activations(GainLIF(receptors=(GS, shared)), bath(0.6, 4.3), times)
    assert set(found) == {"cAMP"}
    assert np.allclose(found["cAMP"], own["D1"], rtol=1e-6, atol=1e-9)


def test_two_receptors_of_one_ligand_pull_a_messenger_as_two_exponentials_say():
    neuron = GainLIF(receptors=(GS, GI, Messenger(lowered_by=("D2",), basal=0.2, **SHARED)))
    times = np.linspace(0, 6, 1500)
    found = integrated_activations(neuron, bath(1.3), times * second)["cAMP"][0]
    rates = np.array([[1.9 * 1.3, 0.7], [3.1 * 1.3, 0.37]])
    bound = [on / (on + off) * -np.expm1(-(on + off) * times) for on, off in rates]
    production = (1 - 0.8 * (1 - bound[0])) * (1 - bound[1])
    # The messenger is the production seen through an exponential of its time constant.
    step = times[1] - times[0]
    level = [0.2]
    for before, after in pairwise(production):
        decay = np.exp(-step / 0.23)
        rise = (after - before) * (1 - 0.23 / step * (1 - decay))
        level.append(level[-1] * decay + before * (1 - decay) + rise)
    level = np.array(level) ** 3
    assert np.allclose(found, level / (level + 0.31**3), rtol=2e-4)
    assert np.ptp(found) > 0.01


def test_a_messenger_ends_in_its_steady_state():
    neuron = GainLIF(receptors=(GS, GI, Messenger(lowered_by=("D2",), basal=0.2, **SHARED)))
    gain = integrated_gain(neuron, bath(0.4, 7.1), [0, 90] * second)
    expected = neuron.steady_gain({"dopamine": [0.4, 7.1] * umolar})
    assert gain[:, 1] == pytest.approx(expected, rel=1e-6)
