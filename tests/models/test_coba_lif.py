import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, Synapses, ms, mV, nA, nS, prefs

from neuromod.analysis.spike_trains import between, interval_cvs
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population
from neuromod.models.coba_lif import EXCITATORY, INHIBITORY, CobaLIF

DT = 0.1 * ms
BY_HAND = """
dv/dt = (10*nS*(-60*mV - v) + g_e*(0*mV - v) + g_i*(-80*mV - v))/(200*pF) : volt (unless refractory)
dg_e/dt = -g_e/(5*ms) : siemens
dg_i/dt = -g_i/(10*ms) : siemens
"""


def drawn(cells, chance, seed):
    """Pairs of an excitatory and an inhibitory population, and states to start from.

    States as in the benchmark's script for Brian: a mean of 40 and 200 nS, which sets it off.
    """
    draw = np.random.default_rng(seed)
    excitatory = cells * 4 // 5
    pairs = np.argwhere(draw.random((cells, cells)) < chance)
    inhibiting = pairs[:, 0] >= excitatory
    states = {
        "v": draw.normal(-65, 5, cells) * mV,
        "g_exc": np.abs(draw.normal(40, 15, cells)) * nS,
        "g_inh": np.abs(draw.normal(200, 120, cells)) * nS,
    }
    return pairs[~inhibiting].T, pairs[inhibiting].T, states


def network(cells, chance, seed, duration):
    """Spikes of a COBA network through an experiment; weights grow as synapses become fewer."""
    excitatory, inhibitory, states = drawn(cells, chance, seed)
    scale = 80 / (cells * chance)
    connections = [
        Connection("cell", "cell", variable, i=i, j=j, weight=weight * scale)
        for variable, (i, j), weight in (
            ("g_exc", excitatory, EXCITATORY),
            ("g_inh", inhibitory, INHIBITORY),
        )
    ]
    experiment = Experiment(
        populations=[Population("cell", CobaLIF(), cells, states)],
        connections=connections,
        duration=duration,
        dt=DT,
    )
    return simulate(experiment).spikes["cell"]


def by_hand(cells, chance, seed, duration):
    """Neurons and times in ms of the spikes of the same, in plain Brian2."""
    excitatory, inhibitory, states = drawn(cells, chance, seed)
    scale = 80 / (cells * chance)
    group = NeuronGroup(
        cells,
        BY_HAND,
        threshold="v > -50*mV",
        reset="v = -60*mV",
        refractory=5 * ms,
        method="exponential_euler",
        dt=DT,
    )
    group.v, group.g_e, group.g_i = states["v"], states["g_exc"], states["g_inh"]
    excite = Synapses(group, group, on_pre="g_e += 6*nS*scale", namespace={"scale": scale}, dt=DT)
    inhibit = Synapses(group, group, on_pre="g_i += 67*nS*scale", namespace={"scale": scale}, dt=DT)
    excite.connect(i=excitatory[0], j=excitatory[1])
    inhibit.connect(i=inhibitory[0], j=inhibitory[1])
    spikes = SpikeMonitor(group)
    Network(group, excite, inhibit, spikes).run(duration)
    return np.asarray(spikes.i), np.asarray(spikes.t / ms)


def same_spikes(spikes, i, t):
    order, other = np.lexsort((spikes.neurons, spikes.times / ms)), np.lexsort((i, t))
    np.testing.assert_array_equal(np.asarray(spikes.neurons)[order], i[other])
    np.testing.assert_allclose(np.asarray(spikes.times / ms)[order], t[other], atol=1e-6)


def test_a_small_network_is_that_of_hand_written_equations(monkeypatch):
    monkeypatch.setitem(prefs, "codegen.target", "numpy")
    i, t = by_hand(210, 0.13, 20260731, 60 * ms)
    assert len(i) > 150
    same_spikes(network(210, 0.13, 20260731, 60 * ms), i, t)


@pytest.mark.thorough
def test_the_benchmark_fires_on_by_itself_irregularly():
    """Vogels & Abbott 2005, Brette et al. 2007: lasting, as irregular as Poisson or more."""
    spikes = network(4000, 0.02, 20261129, 1000 * ms)
    same_spikes(spikes, *by_hand(4000, 0.02, 20261129, 1000 * ms))
    assert spikes.times.max() > 990 * ms
    late = between(spikes, 200 * ms, 1000 * ms, DT)
    rate = late.counts() / 0.8
    assert rate.mean() == pytest.approx(20, rel=0.2)
    assert rate[:3200].mean() == pytest.approx(rate[3200:].mean(), rel=0.1)
    often = np.flatnonzero(late.counts() > 8)
    assert np.nanmean(interval_cvs(late, often)) > 1


def test_a_neuron_settles_at_the_mean_of_its_reversal_potentials(clamp):
    """Weighted by the conductances, which a vast decay time holds."""
    cell = CobaLIF(tau_exc=1e9 * ms, tau_inh=1e9 * ms)
    start = [{"v": -63 * mV, "g_exc": 2.3 * nS, "g_inh": 17 * nS}]
    v = clamp([cell], [0] * nA, 60 * ms, traces=["v"], start=start).traces["v"][0, -1]
    assert v == pytest.approx((10 * -0.06 + 17 * -0.08) / (10 + 2.3 + 17), abs=1e-6)


def test_a_constant_current_fires_it_at_the_rate_of_the_closed_form(clamp):
    current = [0.13, 0.21]
    trains = clamp([CobaLIF()] * 2, current * nA, 250 * ms).spikes
    for amount, train in zip(current, trains, strict=True):
        interval = 5 + 20 * np.log(amount / (amount - 0.1))
        assert np.diff(train)[-1] == pytest.approx(interval, abs=0.11)


def test_a_reset_above_threshold_is_refused():
    with pytest.raises(UserError, match="v_reset = -49 mV must lie below v_th = -50 mV"):
        CobaLIF(v_reset=-49 * mV)
