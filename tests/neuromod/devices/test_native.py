"""What reaches a group of Brian2's is what reaches the same population in an experiment."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    ms,
    mV,
    nS,
    pA,
    pF,
    prefs,
    um,
    umolar,
)

from neuromod.devices.native import deliver
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.inputs.modulators import bath, puffs, trace, volume, wash
from neuromod.models import modulate
from neuromod.models.receptors import Receptor

DT = 0.1 * ms
D1 = Receptor(
    name="D1",
    ligand="dopamine",
    k_on=0.021 / (umolar * ms),
    k_off=0.013 / ms,
    tau_messenger=11 * ms,
    n=2.2,
    K=0.43,
    gain_max=1.9,
)
CELL = modulate(
    "dv/dt = (g_L*(E_L - v) + I)/C_m : volt\nI : amp",
    [D1],
    on={"I": "D1"},
    threshold="v > V_t",
    reset="v = E_L",
    namespace={"g_L": 13 * nS, "E_L": -68.3 * mV, "C_m": 170 * pF, "V_t": -51.9 * mV},
    start={"v": -68.3 * mV},
    current="I",
)
SIZE = 4
CELLS = Population("cells", CELL, SIZE, {"I": [210, 260, 330, 410] * pA})
RELEASING = Population(
    "releasing",
    modulate("dv/dt = 1/(17*ms) : 1", threshold="v > 1", reset="v = 0", start={"v": 0.31}),
    2,
    {"v": [0.31, 0.77]},
)
SITES = [[0, 0], [90, 40]] * um
PLACES = [[10, 3], [40, 40], [90, 41], [-20, 70]] * um
COURSE = [0, 13.3, 31.05, 60, 200] * ms, [0, 7.7, 0.9, 4.1, 0] * umolar


def delivered(kind):
    conc = [0, 1.7, 9.3, 41] * umolar
    return {
        "bath": lambda: bath(CELLS, {"dopamine": conc}),
        "wash": lambda: wash("dopamine", CELLS, conc, 7 * ms, 61 * ms, 5.3 * ms, DT),
        "puffs": lambda: puffs("dopamine", CELLS, conc, [3.1, 55.3] * ms, 9.7 * ms, 21 * ms, DT),
        "volume": lambda: volume(
            "dopamine", CELLS, "releasing", SITES, PLACES, 1.9 * umolar, 31 * um, 43 * ms
        ),
        "trace": lambda: trace("dopamine", CELLS, *COURSE, DT),
    }[kind]()


@pytest.fixture(autouse=True)
def _numpy(monkeypatch):
    monkeypatch.setitem(prefs, "codegen.target", "numpy")


def group_of(population):
    """A group in a script, made from a population with what reaches it."""
    model = population.model
    group = NeuronGroup(
        population.size,
        population.equations,
        threshold=model.threshold,
        reset=model.reset,
        method=model.method,
        namespace=population.constants,
        dt=DT,
    )
    for name, value in {**model.start, **population.values}.items():
        if name in group.variables:
            setattr(group, name, value)
    return group


def in_a_script(given):
    population = CELLS.given(given)
    group, releasing = group_of(population), group_of(RELEASING)
    parts = deliver(given, group, releasing)
    # In Brian2's order spikes arrive at the end of a step, in ours at the start of the next one.
    names = ["conc_dopamine", "gain_D1"]
    traced = StateMonitor(group, names, record=True, dt=DT, when="after_groups")
    spikes = SpikeMonitor(group)
    Network(group, releasing, traced, spikes, *parts).run(100 * ms)
    # Since 2.10 what Brian2 gives is its objects' own memory, which ends with them.
    return spikes.i[:].copy(), spikes.t[:].copy(), traced.conc_dopamine / umolar, traced.gain_D1


@pytest.mark.parametrize("kind", ["bath", "wash", "puffs", "volume", "trace"])
def test_a_group_gets_the_concentration_the_gain_and_the_spikes_of_an_experiment(kind):
    given = delivered(kind)
    experiment = Experiment(
        populations=[CELLS, RELEASING],
        traces=[Trace("cells", ["conc_dopamine", "gain_D1"], range(SIZE))],
        duration=100 * ms,
        dt=DT,
    ).add(given)
    expected = simulate(experiment)
    i, t, conc, gain = in_a_script(given)
    signals = expected.signals["cells"]
    for name, course in {"conc_dopamine": conc, "gain_D1": gain}.items():
        before = np.asarray(signals[name].values / (umolar if name == "conc_dopamine" else 1))
        np.testing.assert_allclose(course[:, :-1], before[:, 1:], rtol=1e-9, atol=1e-12)
    assert i.tolist() == expected.spikes["cells"].neurons.tolist()
    assert (t / DT) == pytest.approx(expected.spikes["cells"].times / DT)
    assert len(i) > 10
    assert np.ptp(gain) > 0.3


def test_a_group_without_the_equations_of_a_delivery_is_refused():
    given = delivered("puffs")
    with pytest.raises(UserError, match=r"no variable supply_dopamine.*population.given"):
        deliver(given, group_of(CELLS))


def test_a_release_needs_the_group_that_releases():
    given = delivered("volume")
    group = group_of(CELLS.given(given))
    with pytest.raises(UserError, match=r"^releasing releases onto .*: give its group"):
        deliver(given, group)
    assert (np.asarray(group.conc_dopamine) == 0).all()


def test_two_deliveries_to_two_groups_do_not_meet():
    given = delivered("puffs")
    first, second = (group_of(CELLS.given(given)) for _ in range(2))
    parts = [*deliver(given, first), *deliver(given, second)]
    assert len({part.name for part in parts}) == len(parts)
    Network(first, second, *parts).run(20 * ms)
    np.testing.assert_array_equal(first.conc_dopamine[:], second.conc_dopamine[:])
    assert first.conc_dopamine[3] > 0 * umolar
