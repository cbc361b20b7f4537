from dataclasses import replace

import numpy as np
import pytest
from brian2 import ms, mV, nA, nS, pA

from neuromod.errors import UserError
from neuromod.models.adex import AdEx
from neuromod.models.coba_lif import CobaLIF
from neuromod.models.conductances import Conductances, with_conductances
from neuromod.models.hodgkin_huxley import HodgkinHuxley
from neuromod.models.izhikevich import Izhikevich
from neuromod.models.pospischil import CorticalHH

STILL = {"g_L": 1e6 * nS, "v_th": 100 * mV}


def held(v, **channels):
    """A cell that a vast leak holds at a potential."""
    cell = with_conductances(CobaLIF)(E_L=v, **STILL)
    return replace(cell, channels=Conductances(**channels))


@pytest.mark.parametrize(
    ("v", "magnesium", "share"),
    # By hand: 1/(1 + exp(-0.062 V)*[Mg]/3.57).
    [(0, 1, 0.78118), (-60, 1, 0.07962), (-60, 0.1, 0.46385), (40, 1, 0.97708), (-70, 0, 1)],
)
def test_magnesium_blocks_as_in_jahr_and_stevens(v, magnesium, share):
    channels = Conductances(magnesium=magnesium)
    assert channels.share_unblocked(v * mV) == pytest.approx(share, abs=1e-5)


@pytest.fixture(scope="module")
def decaying(clamp):
    """Conductances in nS after one arrival at each channel of a cell that is held at -40 mV."""
    cell = held(-40 * mV, tau_rise=3.1 * ms, tau_nmda=47 * ms)
    weights = {"g_ampa": 1.7 * nS, "x_nmda": 0.9 * nS, "g_gaba": 2.3 * nS}
    names = ["g_ampa", "g_nmda", "g_gaba", "unblocked", "I_channels"]
    start = [cell.resting | weights | {"g_nmda": 0 * nS, "unblocked": 1}]
    return clamp([cell], [0] * nA, 60 * ms, 0.05 * ms, names, start).traces


def test_ampa_and_gaba_decay_exponentially(decaying):
    t = np.arange(1200) * 0.05
    np.testing.assert_allclose(decaying["g_ampa"][0], 1.7e-9 * np.exp(-t / 2), rtol=1e-6)
    np.testing.assert_allclose(decaying["g_gaba"][0], 2.3e-9 * np.exp(-t / 10), rtol=1e-6)


def test_nmda_is_the_difference_of_exponentials_whose_peak_is_the_weight(decaying):
    t = np.arange(1200) * 0.05
    course = np.exp(-t / 47) - np.exp(-t / 3.1)
    at = 3.1 * 47 / (47 - 3.1) * np.log(47 / 3.1)
    expected = 0.9e-9 * course / (np.exp(-at / 47) - np.exp(-at / 3.1))
    np.testing.assert_allclose(decaying["g_nmda"][0], expected, atol=0.012e-9)
    assert decaying["g_nmda"].max() == pytest.approx(0.9e-9, rel=0.01)


def test_the_block_settles_and_all_three_currents_add_up(decaying):
    share = Conductances().share_unblocked(-40 * mV)
    assert decaying["unblocked"][0, -1] == pytest.approx(share, rel=1e-3)
    last = {name: trace[0, -1] for name, trace in decaying.items()}
    total = (last["g_ampa"] + last["g_nmda"] * share) * 0.040 + last["g_gaba"] * -0.030
    assert last["I_channels"] == pytest.approx(total, rel=2e-3)


@pytest.mark.parametrize("kind", [AdEx, Izhikevich, HodgkinHuxley, CorticalHH, CobaLIF])
def test_any_neuron_of_the_shelf_takes_channels(kind, clamp):
    cell = with_conductances(kind)()
    closed = cell.resting | {"g_ampa": 0 * nS, "g_nmda": 0 * nS}
    start = [closed | {"g_ampa": 20 * nS}, closed | {"g_nmda": 20 * nS}, closed]
    run = clamp([cell] * 3, [0] * 3 * nA, 6 * ms, 0.05 * ms, ["v"], start)
    by_ampa, by_nmda, alone = run.traces["v"].max(axis=1) * 1e3
    # NMDA is blocked at rest, so it moves the membrane less.
    assert by_ampa > by_nmda + 1
    assert by_nmda > alone + 0.1


def test_a_neuron_with_closed_channels_fires_as_without(clamp):
    alone, joined = (
        clamp([kind(), kind(a=0.03 / ms)], [0.83, 1.21] * nA, 120 * ms).spikes
        for kind in (Izhikevich, with_conductances(Izhikevich))
    )
    for one, other in zip(alone, joined, strict=True):
        assert len(one) > 2
        np.testing.assert_array_equal(one, other)


def test_an_nmda_channel_that_rises_as_it_decays_is_refused():
    with pytest.raises(UserError, match="tau_rise = 100 ms must lie below tau_nmda = 100 ms"):
        Conductances(tau_rise=100 * ms)


def test_the_channels_reversal_potential_is_where_no_current_flows(clamp):
    cell = held(-70 * mV)
    start = [cell.resting | {"g_gaba": 30 * nS}]
    traces = clamp([cell], [0] * pA, 5 * ms, 0.1 * ms, ["I_channels"], start).traces
    assert np.abs(traces["I_channels"]).max() < 1e-15
