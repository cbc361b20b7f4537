"""Plasticity on any neuron: what synapses read of it, and what they add to it."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    amp,
    defaultclock,
    ms,
    mV,
    nA,
    nS,
    pA,
    pF,
    prefs,
    second,
    umolar,
)
from scipy.integrate import solve_ivp

from neuromod.devices.genn.limits import refuse
from neuromod.devices.simulation import SCHEDULE, simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models import (
    AdEx,
    CobaLIF,
    GainLIF,
    HodgkinHuxley,
    Izhikevich,
    Receptor,
    modulate,
    with_conductances,
    with_plasticity,
)
from neuromod.models.own_equations import read_equations
from neuromod.models.postsynaptic import LIGAND
from neuromod.models.three_factor import PlasticLIF, ThreeFactor

DT = 0.1 * ms
ONE = {"i": np.zeros(1, int), "j": np.zeros(1, int)}
STATE = {"tau_y": 7.3 * ms, "tau_clear": 41 * ms}
KINDS = {
    "adex": (AdEx(receptors=(Receptor(),)), 1.1 * nA),
    "hh": (HodgkinHuxley(), 1.9 * nA),
    "izhikevich": (Izhikevich(), 1.3 * nA),
    "coba": (CobaLIF(), 0.31 * nA),
    "exact": (GainLIF(receptors=()), 1.7 * nA),
    "held": (GainLIF(), 1.7 * nA),
    "modulated": (modulate(AdEx(), [Receptor()], on={"w": "generic"}), 1.1 * nA),
}


@cache
def beside():
    """Every kind of neuron without and with plasticity, side by side; a release to the latter."""
    populations, release, traces = [], [], []
    for name, (neuron, current) in KINDS.items():
        populations.append(Population(name, neuron, 1, {"I_ext": current}))
        plastic = Population(f"{name}_p", with_plasticity(neuron, **STATE), 1, {"I_ext": current})
        populations.append(plastic)
        traces += [Trace(name, "v", [0]), Trace(plastic.name, ("v", "y"), [0])]
    traces.append(Trace("held_p", (f"conc_{LIGAND}", "occupancy_generic", "gain"), [0]))
    release = [Connection("reward", "held_p", f"conc_{LIGAND}", **ONE, weight=2.3 * umolar)]
    return simulate(
        Experiment(
            populations=populations,
            sources=[Spikes("reward", 1, [0], [47.9] * ms)],
            connections=release,
            traces=traces,
            duration=70 * ms,
            dt=DT,
        )
    )


@pytest.mark.parametrize("name", KINDS)
def test_plasticity_changes_nothing_in_its_neuron(name):
    recording = beside()
    bare, plastic = (recording.spikes[part].times for part in (name, f"{name}_p"))
    # Before the release, which has receptors of one.
    early = 480
    v, with_it = (recording.signal(part, "v").values[:, :early] for part in (name, f"{name}_p"))
    np.testing.assert_array_equal(with_it, v)
    assert len(bare) > 2
    if name != "held":
        # All but this one are without release.
        np.testing.assert_array_equal(plastic, bare)


@pytest.mark.parametrize("name", KINDS)
def test_the_trace_of_spikes_decays_exactly_whatever_the_neurons_method(name):
    recording = beside()
    y = recording.signal(f"{name}_p", "y").values[0]
    fired = np.round(np.asarray(recording.spikes[f"{name}_p"].times / DT)).astype(int)
    step = np.arange(len(y))
    since = (step[:, None] - 1 - fired) * float(DT / STATE["tau_y"])
    expected = np.where(since >= 0, np.exp(-np.maximum(since, 0)), 0).sum(axis=1)
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-13)


def test_receptors_and_synapses_of_a_cell_see_one_release():
    conc, occupied, gain = (
        beside().signal("held_p", name).values[0]
        for name in (f"conc_{LIGAND}", "occupancy_generic", "gain")
    )
    # Sent in step 479, it arrives in 480 before the cell is stepped.
    conc, occupied, gain = (np.asarray(signal)[481:] for signal in (conc, occupied, gain))
    times, tau = (np.arange(len(conc)) + 1) * 1e-4, 0.041
    np.testing.assert_allclose(conc, 2.3e-3 * np.exp(-times / tau), rtol=1e-10)
    receptor = Receptor()

    def binding(t, y):
        free = receptor.k_on * 2.3 * umolar * np.exp(-t / tau) * (1 - y)
        return np.asarray((free - receptor.k_off * y) / Hz)

    exact = solve_ivp(binding, (0, times[-1]), [0], t_eval=times, rtol=1e-9, atol=1e-12).y[0]
    # It sees the concentration at the start of a step.
    np.testing.assert_allclose(occupied, exact, rtol=0.002)
    assert (np.diff(gain[2:]) > 0).all()


LAGS, DELAYS = np.array([-213, -9, 1, 58, 330]), np.array([120, 700])
SLOW = {"tau_y": 19 * ms, "tau_clear": 61 * ms}
PAIRED = ThreeFactor(
    rule="stdp", eta=11 * Hz, tau_x=13 * ms, tau_e=47 * ms, A_minus=0.7, w=0 * mV, alpha=0 * mV
)
FOREIGN = {
    # Stronger than the way to its peak: it fires in the step in which the kick arrives.
    "adex": (with_plasticity(AdEx(), **SLOW), 117 * mV, 1),
    "hh": (with_plasticity(HodgkinHuxley(), **SLOW), 21 * mV, 8),
}


@cache
def credited():
    """One pair of spikes at every synapse of two kinds of neuron, then one release."""
    lag, delay = (side.ravel() for side in np.meshgrid(LAGS, DELAYS, indexing="ij"))
    size, each = len(lag), np.arange(len(lag))
    first = 20 - np.minimum(lag, 0)
    arriving = {"inputs": first, "reward": first + np.maximum(lag, 0) + delay}
    arriving |= {f"to_{name}": first + lag - late for name, (_, _, late) in FOREIGN.items()}
    sources = []
    for name, steps in arriving.items():
        order = np.argsort(steps, kind="stable")
        sources.append(Spikes(name, size, order, steps[order] * DT))
    pairs = {"i": each, "j": each}
    populations, connections, plastic = [], [], []
    for name, (neuron, kick, _) in FOREIGN.items():
        populations.append(Population(name, neuron, size))
        connections += [
            Connection(f"to_{name}", name, "v", **pairs, weight=kick),
            Connection("reward", name, f"conc_{LIGAND}", **pairs, weight=0.9 * umolar),
        ]
        plastic.append(PlasticConnection(f"onto_{name}", "inputs", name, PAIRED, **pairs))
    recording = simulate(
        Experiment(
            populations=populations,
            sources=sources,
            connections=connections,
            plastic=plastic,
            duration=(int(arriving["reward"].max()) + 2100) * DT,
            dt=DT,
        )
    )
    return lag, delay, first, recording


@pytest.mark.parametrize("name", FOREIGN)
def test_credit_of_a_pair_is_that_of_the_closed_form_on_any_neuron(name):
    """E = eta A exp(-|lag|/tau) conc exp(-delay/tau_e) / (1/tau_e + 1/tau_clear)."""
    lag, delay, first, recording = credited()
    spikes = recording.spikes[name]
    order = np.argsort(spikes.neurons)
    assert spikes.counts().tolist() == [1] * len(lag)
    at = np.round(np.asarray(spikes.times / DT)).astype(int)[order]
    np.testing.assert_array_equal(at - first, lag)
    apart, wait = np.abs(lag) * 0.1, delay * 0.1
    mark = np.where(lag > 0, np.exp(-apart / 13), -0.7 * np.exp(-apart / 19))
    expected = 11 * mark * 0.9 * np.exp(-wait / 47) * 1e-3 / (1 / 47 + 1 / 61)
    found = np.asarray(recording.totals[f"onto_{name}"]["E"])
    # A sum over steps of 0.1 ms stands for an integral over 27 ms.
    np.testing.assert_allclose(found, expected, rtol=0.003)


def test_credit_in_closed_form_adds_up_over_the_spikes_of_a_burst():
    """Of its three spikes one comes with the input, and one after the release."""
    steps, seen, released = np.array([41, 70, 148]), 70, 120
    cells = with_plasticity(AdEx(), **SLOW)
    once = {"neurons": [0], "size": 1}
    experiment = Experiment(
        populations=[Population("cells", cells, 1)],
        sources=[
            Spikes("driving", 1, [0, 0, 0], (steps - 1) * DT),
            Spikes("inputs", **once, times=[seen] * DT),
            Spikes("reward", **once, times=[released] * DT),
        ],
        connections=[
            Connection("driving", "cells", "v", **ONE, weight=117 * mV),
            Connection("reward", "cells", f"conc_{LIGAND}", **ONE, weight=0.9 * umolar),
        ],
        plastic=[PlasticConnection("synapses", "inputs", "cells", PAIRED, **ONE)],
        duration=220 * ms,
        dt=DT,
    )
    recording = simulate(experiment)
    np.testing.assert_array_equal(np.round(recording.spikes["cells"].times / DT), steps)
    left = released - np.maximum(steps, seen)
    credit = PAIRED.credit(cells, (steps - seen) * DT, left * DT, 0.9 * umolar)
    assert credit[0] < 0 < credit[2]
    found = recording.totals["synapses"]["E"]
    assert found[0] == pytest.approx(credit.sum(), rel=0.003)


# A neuron that has all names of the synapse for itself.
OWN = """
dv/dt = (g*(E - v) + I_s - w + x + change)/M : volt (unless refractory)
dI_s/dt = -I_s/tau_x : amp
dw/dt = -w/tau_e : amp
change = A_plus - A_minus + alpha*eligibility : amp
x : amp
alpha : 1
eligibility : amp
""".strip()
VALUES = {
    "g": 11 * nS,
    "E": -67 * mV,
    "M": 170 * pF,
    "tau_x": 3.1 * ms,
    "tau_e": 71 * ms,
    "eta": -50 * mV,
    "bound": 43 * pA,
    "A_plus": 7 * pA,
    "A_minus": 3 * pA,
}
CODE = {"threshold": "v > eta", "reset": "v = E\nw += bound", "refractory": 1.7 * ms}
LEARNING = {"tau_x": 17 * ms, "tau_e": 140 * ms, "eta": 9 * Hz, "A_plus": 1.1, "A_minus": 0.83}
CELLS, INPUTS, STEPS = 3, 17, 4000
_draw = np.random.default_rng(20261130)
RASTER = _draw.random((STEPS, INPUTS)) < 0.004
RELEASES = _draw.random(STEPS) < 0.002
WEIGHTS = _draw.uniform(60, 190, (INPUTS, CELLS)).ravel() * pA
TONIC = np.array([-0.31, 0.02, 0.17])


@cache
def ours(device="cython"):
    """Learning cells, simulated; without a device, what is simulated."""
    neuron = modulate(
        OWN, start={"v": -67 * mV}, namespace=VALUES, method="exponential_euler", **CODE
    )
    cells = with_plasticity(neuron, tau_y=23 * ms, tau_clear=90 * ms)
    synapse = ThreeFactor(
        rule="stdp", variable="I_s", w=0 * pA, alpha=170 * pA, bound=50.0, **LEARNING
    )
    i, j = (side.ravel() for side in np.indices((INPUTS, CELLS)))
    step, neuron_of = np.nonzero(RASTER)
    releases = np.flatnonzero(RELEASES)
    experiment = Experiment(
        populations=[Population("cells", cells, CELLS, {"tonic": TONIC, "x": 21 * pA})],
        sources=[
            Spikes("inputs", INPUTS, neuron_of, step * DT),
            Spikes("reward", 1, np.zeros(len(releases), int), releases * DT),
        ],
        connections=[
            Connection(
                "reward",
                "cells",
                f"conc_{LIGAND}",
                i=np.zeros(CELLS, int),
                j=np.arange(CELLS),
                weight=0.37 * umolar,
            )
        ],
        plastic=[
            PlasticConnection(
                "synapses", "inputs", "cells", synapse, i=i, j=j, values={"w": WEIGHTS}
            )
        ],
        traces=[Trace("synapses", ("eligibility", "E", "x"), np.arange(len(i)), 10 * ms)],
        duration=STEPS * DT,
        dt=DT,
    )
    return simulate(experiment, device) if device else experiment


@cache
def by_hand():
    """The same as a user of Brian2 would write it, with names for the synapse that are free."""
    before = prefs["codegen.target"], prefs["core.network.default_schedule"]
    prefs["codegen.target"], prefs["core.network.default_schedule"] = "numpy", SCHEDULE
    defaultclock.dt = DT
    try:
        cells = NeuronGroup(
            CELLS,
            f"{OWN}\ndpost/dt = -post/(23*ms) : 1\nddopamine/dt = -dopamine/(90*ms) : mM\nm_0 : 1",
            threshold="v > eta",
            reset="v = E; w += bound; post += 1",
            refractory=1.7 * ms,
            method="exponential_euler",
            namespace=VALUES,
        )
        cells.v, cells.x, cells.m_0 = -67 * mV, 21 * pA, TONIC
        step, neuron_of = np.nonzero(RASTER)
        inputs = SpikeGeneratorGroup(INPUTS, neuron_of, step * DT)
        releases = np.flatnonzero(RELEASES)
        reward = SpikeGeneratorGroup(1, np.zeros(len(releases), int), releases * DT)
        learning = Synapses(
            inputs,
            cells,
            """
            dpre/dt = -pre/(17*ms) : 1 (clock-driven)
            dtag/dt = -tag/(140*ms) : 1 (clock-driven)
            dgrown/dt = 9*Hz*(m_0_post + dopamine_post/umolar)*tag : 1 (clock-driven)
            fixed : amp
            """,
            on_pre="I_s_post += fixed + 170*pA*grown; pre += 1; tag += -0.83*post_post",
            on_post="tag += 1.1*pre",
            method="exponential_euler",
        )
        learning.connect()
        learning.fixed = WEIGHTS
        learning.state_updater.when, learning.state_updater.order = "synapses", -2
        learning.post.order = 1
        releasing = Synapses(reward, cells, on_pre="dopamine_post += 0.37*umolar")
        releasing.connect()
        spikes = SpikeMonitor(cells)
        states = StateMonitor(learning, ("tag", "grown", "pre"), record=True, dt=10 * ms)
        Network(cells, inputs, reward, learning, releasing, spikes, states).run(STEPS * DT)
        return spikes, states
    finally:
        prefs["codegen.target"], prefs["core.network.default_schedule"] = before


def assert_the_same(recording):
    spikes, states = by_hand()
    found = recording.spikes["cells"]
    order = np.lexsort((spikes.i[:], np.round(spikes.t / DT)))
    assert found.counts().min() > 5
    np.testing.assert_array_equal(found.neurons, spikes.i[:][order])
    np.testing.assert_array_equal(np.round(found.times / DT), np.round(spikes.t / DT)[order])
    for name, own in {"eligibility": "tag", "E": "grown", "x": "pre"}.items():
        values = recording.signal("synapses", name).values
        assert np.abs(values).max() > 0.1
        np.testing.assert_allclose(values, getattr(states, own), atol=1e-11)


def test_a_foreign_neuron_learns_as_hand_written_equations_do_though_it_has_all_our_names():
    (synapses,) = ours(device="").plastic
    named = read_equations(synapses.model.equations).names | synapses.model.constants.keys()
    assert len(named) == 13
    assert named <= read_equations(OWN).names | VALUES.keys()
    assert_the_same(ours())


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("device", ["cpp", "genn-cpu"])
def test_a_foreign_neuron_learns_as_hand_written_equations_do_on_other_devices(device, needs):
    needs(device)
    assert_the_same(ours(device))


def test_genn_has_nothing_against_plasticity_on_a_neuron_with_all_our_names():
    refuse(ours(device=""))


def test_a_weight_is_a_conductance_where_it_goes_to_one():
    neuron = with_plasticity(with_conductances(AdEx)())
    synapse = ThreeFactor(variable="g_ampa", w=3.7 * nS, alpha=1 * nS, eta=0 * Hz)
    run = Experiment(
        populations=[Population("cells", neuron, 1)],
        sources=[Spikes("inputs", 1, [0], [0.3] * ms)],
        plastic=[
            PlasticConnection("synapses", "inputs", "cells", synapse, values={"E": 0.31}, **ONE)
        ],
        traces=[Trace("cells", "g_ampa", [0])],
        duration=0.6 * ms,
        dt=DT,
    )
    g = simulate(run).signal("cells", "g_ampa").values[0]
    # AMPA decays with 2 ms, here by a Runge-Kutta step after its arrival.
    assert g[-1] / nS == pytest.approx(4.01 * np.exp(-0.1 / 2), rel=1e-8)


def connected(neuron, **synapse):
    cells = Population("cells", neuron, 1)
    plastic = PlasticConnection("synapses", "inputs", "cells", ThreeFactor(**synapse), **ONE)
    inputs = Spikes("inputs", 1, [0], [0] * ms)
    return Experiment(
        populations=[cells], sources=[inputs], plastic=[plastic], duration=1 * ms, dt=DT
    )


CURRENT = {"w": 0.3 * nA, "alpha": 0.1 * nA}
CELL = with_plasticity(AdEx())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: connected(CELL), "v_post.* has the wrong unit: a value in volt was expected"),
        (lambda: connected(CELL, variable="I_sin", **CURRENT), "'I_sin'.*nearest: 'I_syn'|I_syn"),
        (lambda: connected(CELL, variable="I_in", **CURRENT), "I_in of cells is computed from"),
        (lambda: connected(CELL, variable="E_L", **CURRENT), "variable of cells named 'E_L'"),
        (lambda: connected(CELL, variable="g_L", **CURRENT), "variable of cells named 'g_L'"),
        (lambda: connected(AdEx(), variable="I_syn", **CURRENT), "variable of cells named"),
        (lambda: ThreeFactor(w=0.3 * nA), "w and alpha need one unit, that of v"),
        (lambda: ThreeFactor(variable="I syn"), "variable = 'I syn' must be a name"),
        (lambda: with_plasticity(AdEx), "A neuron such as AdEx"),
        (lambda: with_plasticity(CELL), "PlasticAdEx has plasticity already"),
        (lambda: with_plasticity(PlasticLIF()), "PlasticLIF has plasticity already"),
        (lambda: with_plasticity(AdEx(), tau_why=3 * ms), "tau_why"),
        (lambda: with_plasticity(AdEx(), tau_y=-3 * ms), "tau_y"),
        (lambda: replace(CELL, V_peak=-90 * mV), "must lie below V_peak"),
        (
            lambda: with_plasticity(
                modulate("dy/dt = -y/tau_y : volt", threshold="y > 1*mV", namespace={"tau_y": ms})
            ),
            "tau_y and y would be a name of the neuron and of what plastic synapses read",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(make, message):
    with pytest.raises(UserError, match=message):
        make()


@dataclass(frozen=True)
class Guest:
    """A neuron as another package would have it: what `Experiment` needs, and no more."""

    equations: str = "dv/dt = -v/tau : 1"
    threshold: str = "v > 0.7"
    reset: str = ""
    refractory: Any = False
    method: str = "euler"
    constants: Any = None
    start: Any = None


def test_a_model_of_another_package_can_have_plasticity():
    guest = Guest(constants={"tau": 9 * ms}, start={"v": 0.9}, reset="v = -0.1")
    made = with_plasticity(guest, tau_y=11 * ms)
    assert made.reset == "v = -0.1\ny += 1"
    assert made.start["v"] == 0.9
    cells = Population("cells", made, 2, {"tau": [3, 5] * ms, "tonic": [0.1, 0.2]})
    run = Experiment(populations=[cells], traces=[], duration=1 * ms, dt=DT)
    assert simulate(run).spikes["cells"].counts().tolist() == [1, 1]


def test_a_neuron_with_plasticity_is_one_of_its_kind():
    made = with_plasticity(AdEx(a=3.1 * nS), tonic=0.4)
    assert isinstance(made, AdEx)
    assert made.rheobase == AdEx(a=3.1 * nS).rheobase
    assert made.neuron == AdEx(a=3.1 * nS)
    assert type(made) is type(with_plasticity(AdEx()))
    changed = replace(made, a=0 * amp / mV, tau_y=1 * second)
    assert changed.neuron == AdEx(a=0 * nS)
    assert changed.constants["tau_y"] == 1 * second
