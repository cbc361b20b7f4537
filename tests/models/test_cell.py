"""Neurons of the shelf with receptors, against hand-written equations of the same."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, ms, nA, nS, prefs, umolar

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.models import library
from neuromod.models.adex import AdEx
from neuromod.models.coba_lif import CobaLIF
from neuromod.models.conductances import with_conductances
from neuromod.models.gating import Staggered
from neuromod.models.hodgkin_huxley import HodgkinHuxley
from neuromod.models.izhikevich import Izhikevich
from neuromod.models.pospischil import BurstingHH, CorticalHH

CURRENT = [0.41, 0.87, 1.43] * nA
DT = 0.1 * ms
D1 = replace(
    library["D1"],
    k_on=0.021 / (umolar * ms),
    k_off=0.013 / ms,
    tau_messenger=21 * ms,
    n=2.2,
    K=0.43,
    gain_max=1.7,
    g_K=3.1 * nS,
    ahp_max=0.35,
)
CASCADE = """
gain = 1 + 0.7*active : 1
active = messenger**2.2/(messenger**2.2 + 0.43**2.2) : 1
doccupancy/dt = 0.021/ms*2.3*(1 - occupancy) - 0.013/ms*occupancy : 1
dmessenger/dt = (occupancy - messenger)/(21*ms) : 1
I : amp
"""
ADEX = """
x = v - (v - 20*mV)*int(v > 20*mV) : volt
drive = gain*I + 3.1*nS*active*(-90*mV - v) : amp
adapting = w*(1 - 0.65*active) : amp
dv/dt = (30*nS*(-70.6*mV - x + 2*mV*exp((x + 50.4*mV)/(2*mV))) - adapting + drive)/(281*pF) : volt
dw/dt = (4*nS*(x + 70.6*mV) - w)/(144*ms) : amp
"""
SQUID = """
drive = gain*I + 3.1*nS*active*(-77*mV - v) : amp
density = drive/(20000*um**2) : amp/meter**2
leak = 0.3*msiemens/cm**2*(-54.387*mV - v) : amp/meter**2
ions = 120*msiemens/cm**2*m**3*h*(50*mV - v) + 36*msiemens/cm**2*n**4*(-77*mV - v) : amp/meter**2
dv/dt = (leak + ions + density)/(1*uF/cm**2) : volt
dm/dt = (exprel_m*(1 - m) - 4*exp(-(v + 65*mV)/(18*mV))*m)/ms : 1
dh/dt = (0.07*exp(-(v + 65*mV)/(20*mV))*(1 - h) - h/(1 + exp(-(v + 35*mV)/(10*mV))))/ms : 1
dn/dt = (0.1*exprel_n*(1 - n) - 0.125*exp(-(v + 65*mV)/(80*mV))*n)/ms : 1
exprel_m = 1/exprel(-(v + 40*mV)/(10*mV)) : 1
exprel_n = 1/exprel(-(v + 55*mV)/(10*mV)) : 1
"""


def receptor_for(kind):
    """The receptor, without an effect on an adaptation that a cell does not have."""
    return D1 if kind.adaptation else replace(D1, ahp_max=1.0)


def test_a_receptor_on_an_adaptation_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="HodgkinHuxley has no adaptation that D1 could scale"):
        HodgkinHuxley(receptors=(D1,))


def through_an_experiment(cell, dose):
    """Spikes of three cells, each under its current, in a bath that has just come."""
    values = {"I_ext": CURRENT, "conc_dopamine": dose}
    experiment = Experiment(
        populations=[Population("cells", cell, 3, values)], duration=100 * ms, dt=DT
    )
    return simulate(experiment).spikes["cells"]


def by_hand(equations, cell, method, threshold, reset="", refractory=False):
    """Neurons and steps of the spikes of the same in plain Brian2."""
    group = NeuronGroup(
        3,
        equations + CASCADE,
        threshold=threshold,
        reset=reset,
        refractory=refractory,
        method=method,
        dt=DT,
    )
    group.I = CURRENT
    for name, value in cell.resting.items():
        setattr(group, name, value)
    spikes = SpikeMonitor(group)
    Network(group, spikes).run(100 * ms)
    return np.asarray(spikes.i), np.round(spikes.t / DT).astype(int)


@pytest.fixture(autouse=True)
def _numpy(monkeypatch):
    monkeypatch.setitem(prefs, "codegen.target", "numpy")


@pytest.mark.parametrize(
    ("cell", "equations", "method", "conditions"),
    [
        (AdEx, ADEX, "rk4", {"threshold": "v > 20*mV", "reset": "v = -70.6*mV\nw += 80.5*pA"}),
        (HodgkinHuxley, SQUID, Staggered(), {"threshold": "v > 0*mV", "refractory": 2 * ms}),
    ],
    ids=["adex", "hodgkin-huxley"],
)
def test_a_receptor_does_to_a_cell_what_it_does_in_hand_written_equations(
    cell, equations, method, conditions
):
    receiving = cell(receptors=(receptor_for(cell),))
    spikes = through_an_experiment(receiving, 2.3 * umolar)
    i, steps = by_hand(equations, receiving, method, **conditions)
    assert len(i) > 7
    np.testing.assert_array_equal(spikes.neurons, i)
    np.testing.assert_array_equal(np.round(spikes.times / DT).astype(int), steps)


def test_a_receptor_that_takes_all_of_the_m_current_leaves_a_cell_without():
    taking = replace(library["M1"], gain_max=1, ahp_max=0, K=1e-6, n=4)
    cell = CorticalHH(receptors=(taking,))
    conc = {"acetylcholine": 1e6 * umolar}
    values = {"I_ext": CURRENT, "conc_acetylcholine": 1e6 * umolar, **cell.bound(conc)}
    bare = replace(CorticalHH(), g_M=0 * cell.g_M)
    populations = [
        Population("taken", cell, 3, values),
        Population("bare", bare, 3, {"I_ext": CURRENT}),
        Population("whole", CorticalHH(), 3, {"I_ext": CURRENT}),
    ]
    spikes = simulate(Experiment(populations=populations, duration=50 * ms, dt=DT)).spikes
    assert spikes["taken"].counts().tolist() == spikes["bare"].counts().tolist()
    assert spikes["taken"].counts()[1] > spikes["whole"].counts()[1] > 0


KINDS = (AdEx, Izhikevich, HodgkinHuxley, CorticalHH, BurstingHH, CobaLIF, with_conductances(AdEx))


@pytest.mark.thorough
@pytest.mark.parametrize("device", ["cpp", "genn-cpu"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_neuron_fires_alike_on_every_device(kind, device, needs):
    needs(device)
    values = {"I_ext": CURRENT, "conc_dopamine": 2.3 * umolar}
    cells = Population("cells", kind(receptors=(receptor_for(kind),)), 3, values)
    experiment = Experiment(populations=[cells], duration=80 * ms, dt=DT)
    expected = simulate(experiment).spikes["cells"]
    found = simulate(experiment, device).spikes["cells"]
    assert len(expected.times) > 5
    np.testing.assert_array_equal(found.neurons, expected.neurons)
    np.testing.assert_allclose(found.times / ms, expected.times / ms, atol=1e-9)


def test_a_step_in_which_a_receptor_would_bind_more_than_once_is_refused():
    # 0.021/(uM ms) * 4300 uM + 0.013/ms = 90.3/ms: 0.0111 ms at the most.
    values = {"conc_dopamine": [0, 4300] * umolar}
    cells = Population("cells", AdEx(receptors=(D1,)), 2, values)
    with pytest.raises(UserError, match=r"too long .* allows 11\.07\d* µs at most \(neuron 1\)"):
        simulate(Experiment(populations=[cells], duration=1 * ms, dt=DT))
