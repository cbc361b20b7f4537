"""Receptors on neurons and synapses of one's own, against the same equations written by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from brian2 import (
    Equations,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    ms,
    mV,
    nA,
    nS,
    pA,
    pF,
    prefs,
    siemens,
    umolar,
)

from neuromod.devices.genn.limits import obstacles
from neuromod.devices.simulation import SCHEDULE, simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.inputs.modulators import bath
from neuromod.models import (
    AdEx,
    CobaLIF,
    CorticalHH,
    GainLIF,
    HodgkinHuxley,
    Izhikevich,
    Messenger,
    TsodyksMarkram,
    modulate,
    modulate_synapse,
    scaled_by,
    shifted_by,
    suppressed_by,
)
from neuromod.models.gating import Staggered
from neuromod.models.receptors import Receptor

DT = 0.1 * ms
D1 = Receptor(
    name="D1",
    ligand="dopamine",
    k_on=0.021 / (umolar * ms),
    k_off=0.013 / ms,
    tau_messenger=21 * ms,
    n=2.2,
    K=0.43,
    gain_max=1.7,
)
M2 = Receptor(
    name="M2",
    ligand="acetylcholine",
    k_on=0.017 / (umolar * ms),
    k_off=0.029 / ms,
    tau_messenger=33 * ms,
    n=1.3,
    K=0.37,
    gain_max=0.25,
)
# The cascade by hand, in two baths that come at the start of a run.
ACTIVE = """
active = messenger**2.2/(messenger**2.2 + 0.43**2.2) : 1
dmessenger/dt = (occupancy - messenger)/(21*ms) : 1
doccupancy/dt = 0.021/ms*2.3*(1 - occupancy) - 0.013/ms*occupancy : 1
"""
MUSCARINIC = """
muscarinic = second_messenger**1.3/(second_messenger**1.3 + 0.37**1.3) : 1
dsecond_messenger/dt = (bound - second_messenger)/(33*ms) : 1
dbound/dt = 0.017/ms*4.1*(1 - bound) - 0.029/ms*bound : 1
"""
BATH = {"conc_dopamine": 2.3 * umolar, "conc_acetylcholine": 4.1 * umolar}
CURRENT = [0.31, 0.57, 0.93] * nA


@pytest.fixture(autouse=True)
def _numpy(monkeypatch):
    monkeypatch.setitem(prefs, "codegen.target", "numpy")


def run_of(group, values, duration, dt=DT, schedule=None, others=()):
    """Neurons and steps of the spikes of a group of Brian2's."""
    for name, value in values.items():
        setattr(group, name, value)
    spikes = SpikeMonitor(group)
    network = Network(group, spikes, *others)
    if schedule:
        network.schedule = schedule
    network.run(duration)
    return np.asarray(spikes.i).tolist(), np.round(spikes.t / dt).astype(int).tolist()


def group_of(modulated, size=3, dt=DT):
    """A group in a plain Brian2 script, made from a modulated neuron."""
    return NeuronGroup(
        size,
        modulated.equations,
        threshold=modulated.threshold,
        reset=modulated.reset,
        refractory=modulated.refractory,
        method=modulated.method,
        namespace=modulated.constants,
        dt=dt,
    )


def in_a_script(modulated, values, duration=100 * ms):
    """Spikes of a group with nothing bound yet, in baths that have just come."""
    group = group_of(modulated)
    modulated.settle(group)
    return run_of(group, values, duration)


def in_an_experiment(modulated, values, duration=100 * ms, device="cython"):
    cells = Population("cells", modulated, 3, values)
    found = simulate(Experiment(populations=[cells], duration=duration, dt=DT), device)
    spikes = found.spikes["cells"]
    return spikes.neurons.tolist(), np.round(spikes.times / DT).astype(int).tolist()


# A user's AdEx with an excitatory conductance, an M current of its own kind, and a refractory time.
CELL = """
dv/dt = (g_L*(E_L - v) + I_rise - w + I_e + I_ext)/C_m : volt (unless refractory)
I_rise = g_L*Delta*exp((v - V_T)/Delta) : amp
I_e = g_e*(E_e - v) : amp
dg_e/dt = -g_e/tau_e : siemens
dw/dt = (a*(v - E_L) - w)/tau_w : amp
I_ext : amp
"""
CONSTANTS = {
    "g_L": 17 * nS,
    "E_L": -69.3 * mV,
    "Delta": 2.1 * mV,
    "V_T": -51.7 * mV,
    "C_m": 210 * pF,
    "E_e": -3.1 * mV,
    "tau_e": 170 * ms,
    "a": 3.7 * nS,
    "tau_w": 83 * ms,
    "b": 61 * pA,
    "V_cut": -38.3 * mV,
    "V_r": -61.1 * mV,
    "t_held": 1.3 * ms,
}
FIRING = {"threshold": "v > V_cut", "reset": "v = V_r; w += b", "refractory": "t_held"}
START = {"v": -66.3 * mV, "g_e": 7.3 * nS}
TWO = {"D1": D1, "M2": M2}
HALF_LEFT = suppressed_by("D1", 0.47)
TARGETS = {
    "current": ({"I_rise": "D1"}, {"+ I_rise": "+ I_rise*(1 + 0.7*active)"}),
    "conductance": ({"g_e": "D1"}, {"= g_e*(E": "= g_e*(1 + 0.7*active)*(E"}),
    "leak": ({"g_L": "D1"}, {"g_L*": "(g_L*(1 + 0.7*active))*"}),
    "adaptation": ({"w": HALF_LEFT}, {"- w + I_e": "- w*(1 - 0.47*active) + I_e"}),
    "reversal": ({"E_e": shifted_by("D1", -43 * mV)}, {"(E_e": "(E_e - 43*mV*active"}),
    "time-constant": ({"tau_w": scaled_by("D1", 2.9)}, {"/tau_w": "/(tau_w*(1 + 1.9*active))"}),
    "increment": ({"b": suppressed_by("D1")}, {"+= b": "+= b*(1 - active)"}),
    "threshold": ({"V_cut": shifted_by("D1", -9 * mV)}, {"> V_cut": "> V_cut - 9*mV*active"}),
    "refractory": ({"t_held": scaled_by("D1", 4)}, {"t_held": "t_held*(1 + 3*active)"}),
    "expression": (
        {"a": "a*exp(-2*activation_D1) + 1.9*nS*(gain_D1 - 1)"},
        {"(a*(v": "((a*exp(-2*active) + 1.9*nS*0.7*active)*(v"},
    ),
    "several": (
        {"g_e": ["D1", "M2"], "b": suppressed_by("M2", 0.3)},
        {
            "= g_e*(E": "= g_e*(1 + 0.7*active)*(1 - 0.75*muscarinic)*(E",
            "+= b": "+= b*(1 - 0.3*muscarinic)",
        },
    ),
    "list": (
        {"I_rise": ["D1", shifted_by("M2", 97 * pA), scaled_by("M2", 0.6)]},
        {"+ I_rise": "+ (I_rise*(1 + 0.7*active)*(1 - 0.4*muscarinic) + 97*pA*muscarinic)"},
    ),
}


def edited(text, edits):
    for old, new in edits.items():
        assert text.count(old) <= 2
        text = text.replace(old, new)
    return text


def by_hand(edits, values):
    assert all(any(old in text for text in (CELL, *FIRING.values())) for old in edits)
    firing = {name: edited(text, edits) for name, text in FIRING.items()}
    text = edited(CELL, edits) + ACTIVE + MUSCARINIC
    group = NeuronGroup(3, text, method="euler", namespace=CONSTANTS, dt=DT, **firing)
    return run_of(group, {**START, **values}, 100 * ms)


UNMODULATED = by_hand({}, {"I_ext": CURRENT})


@pytest.mark.parametrize(("on", "edits"), TARGETS.values(), ids=TARGETS)
def test_whatever_a_receptor_acts_on_it_does_what_is_written_by_hand(on, edits):
    acting = {name: r for name, r in TWO.items() if name in str(on)}
    modulated = modulate(CELL, acting, on, namespace=CONSTANTS, start=START, **FIRING)
    bathed = {f"conc_{r.ligand}": BATH[f"conc_{r.ligand}"] for r in acting.values()}
    expected = by_hand(edits, {"I_ext": CURRENT})
    assert len(expected[0]) > 7
    assert expected != UNMODULATED
    assert in_a_script(modulated, {"I_ext": CURRENT, **bathed}) == expected
    assert in_an_experiment(modulated, {"I_ext": CURRENT, **bathed}) == expected
    assert not list(obstacles(modulated))


def test_without_receptors_a_neuron_is_what_it_was():
    bare = modulate(CELL, namespace=CONSTANTS, start=START, **FIRING)
    assert in_a_script(bare, {"I_ext": CURRENT}) == UNMODULATED
    assert in_an_experiment(bare, {"I_ext": CURRENT}) == UNMODULATED
    assert bare.ligands == ()


# The squid's axon and the benchmark's cell in their own authors' units, with the receptor.
SQUID = """
dv/dt = (leak + sodium + potassium + I_ext/(20000*um**2))/(1*uF/cm**2) : volt
leak = 0.3*msiemens/cm**2*(-54.387*mV - v) : amp/meter**2
sodium = 120*msiemens/cm**2*m**3*h*(50*mV - v) : amp/meter**2
potassium = 36*msiemens/cm**2*(1 - 0.083*active)*n**4*(-77*mV - v) : amp/meter**2
dm/dt = (exprel_m*(1 - m) - 4*exp(-(v + 65*mV)/(18*mV))*m)/ms : 1
dh/dt = (0.07*exp(-(v + 65*mV)/(20*mV))*(1 - h) - h/(1 + exp(-(v + 35*mV)/(10*mV))))/ms : 1
dn/dt = (0.1*exprel_n*(1 - n) - 0.125*exp(-(v + 65*mV)/(80*mV))*n)/ms : 1
exprel_m = 1/exprel(-(v + 40*mV)/(10*mV)) : 1
exprel_n = 1/exprel(-(v + 55*mV)/(10*mV)) : 1
I_ext : amp
"""


STRONGER = [1.13, 1.73, 2.91] * nA


def test_a_receptor_on_the_potassium_conductance_of_hodgkin_and_huxley_is_that_by_hand():
    squid = modulate(HodgkinHuxley(), {"D1": D1}, on={"g_Kd": suppressed_by("D1", 0.083)})
    values = {"I_ext": STRONGER, "conc_dopamine": 2.3 * umolar}
    firing = {"threshold": "v > 0*mV", "refractory": 2 * ms}
    group = NeuronGroup(3, SQUID + ACTIVE, method=Staggered(), dt=DT, **firing)
    expected = run_of(group, {"I_ext": STRONGER, **HodgkinHuxley().resting}, 100 * ms)
    assert len(expected[0]) > 7
    assert in_a_script(squid, values) == expected
    assert in_an_experiment(squid, values) == expected


@pytest.mark.parametrize(
    ("kind", "term"),
    [(AdEx, "tau_w"), (Izhikevich, "I_in"), (CorticalHH, "g_M"), (GainLIF, "I_syn")],
)
def test_every_neuron_of_the_shelf_takes_receptors_and_without_their_ligand_fires_as_before(
    kind, term
):
    values = {"I_ext": CURRENT}
    bare = kind(receptors=())
    modulated = modulate(bare, {"D1": D1}, on={term: "D1"})
    expected = in_an_experiment(bare, values, 40 * ms)
    assert len(expected[0]) > 1
    assert in_a_script(modulated, values, 40 * ms) == expected
    assert in_an_experiment(modulated, values, 40 * ms) == expected


def test_under_an_exact_method_a_settled_gain_is_the_same_as_a_current_that_is_so_much_stronger():
    text = "dv/dt = (-71*mV - v + 90*Mohm*I)/(17*ms) : volt (unless refractory)\nI : amp"
    firing = {"threshold": "v > -52.3*mV", "reset": "v = -71*mV", "refractory": 1.9 * ms}
    cell = {**firing, "method": "exact", "current": "I", "start": {"v": -71 * mV}}
    modulated = modulate(text, [D1], on={"I": "D1"}, **cell)
    lying = NeuronGroup(
        3,
        modulated.equations,
        threshold=modulated.threshold,
        reset=modulated.reset,
        refractory=modulated.refractory,
        method=modulated.method,
        namespace=modulated.constants,
        dt=DT,
    )
    modulated.settle(lying, dopamine=2.3 * umolar)
    found = run_of(lying, {"I": CURRENT}, 200 * ms)
    plain = NeuronGroup(3, text, method="exact", dt=DT, **firing)
    gain = float(D1.gain(2.3 * umolar))
    assert gain > 1.3
    assert found == run_of(plain, {"v": -71 * mV, "I": CURRENT * gain}, 200 * ms)
    assert len(found[0]) > 20


# A network: afferent and recurrent excitation apart, inhibition, and delays.
SIZE = 24
COBA = """
dv/dt = (10*nS*(-60*mV - v) + I_aff + I_rec + I_inh)/(200*pF) : volt (unless refractory)
I_aff = g_aff*(0*mV - v) : amp
I_rec = g_rec{left}*(0*mV - v) : amp
I_inh = g_inh*(-80*mV - v) : amp
dg_aff/dt = -g_aff/(5*ms) : siemens
dg_rec/dt = -g_rec/(5*ms) : siemens
dg_inh/dt = -g_inh/(10*ms) : siemens
"""
COBA_FIRING = {
    "threshold": "v > -50*mV",
    "reset": "v = -60*mV",
    "refractory": 5 * ms,
    "method": "exponential_euler",
}
_draw = np.random.default_rng(20261129)
AFFERENT = np.unique(_draw.integers(0, 7 * 1200, 900))
FROM, ONTO = np.nonzero(_draw.random((SIZE, SIZE)) < 0.21)
INHIBITS = FROM >= 17
WIRED = {"g_rec": (FROM[~INHIBITS], ONTO[~INHIBITS]), "g_inh": (FROM[INHIBITS], ONTO[INHIBITS])}
WEIGHTS = {"g_aff": 13.7 * nS, "g_rec": 9.3 * nS, "g_inh": 21 * nS}
ARRIVING = (AFFERENT % 7, (AFFERENT // 7) * DT)
FIBRES = np.arange(SIZE) % 7


def network_in_a_script(group, schedule=None):
    """Spikes of cells with afferent fibres and connections to each other."""
    fibres = SpikeGeneratorGroup(7, *ARRIVING, dt=DT)
    parts = [fibres]
    wired = {"g_aff": (fibres, FIBRES, np.arange(SIZE), 0 * ms)}
    wired |= {name: (group, *pairs, 1.1 * ms) for name, pairs in WIRED.items()}
    for name, (source, i, j, delay) in wired.items():
        effect = f"{name}_post += {float(WEIGHTS[name] / siemens)!r}*siemens"
        made = Synapses(source, group, on_pre=effect, delay=delay, dt=DT)
        made.connect(i=i, j=j)
        parts.append(made)
    return run_of(group, {"v": -60 * mV}, 120 * ms, schedule=schedule, others=parts)


def network_in_an_experiment(modulated, conc, device="cython", variables=None):
    cells = Population("cells", modulated, SIZE, {"v": -60 * mV, "conc_acetylcholine": conc})
    fibres = Spikes("fibres", 7, *ARRIVING)
    named = variables or {name: name for name in WEIGHTS}
    ends = {"i": FIBRES, "j": np.arange(SIZE), "weight": WEIGHTS["g_aff"]}
    wires = [Connection("fibres", "cells", named["g_aff"], **ends)]
    for name, (i, j) in WIRED.items():
        wires.append(
            Connection(
                "cells", "cells", named[name], i=i, j=j, weight=WEIGHTS[name], delay=1.1 * ms
            )
        )
    experiment = Experiment(
        populations=[cells], sources=[fibres], connections=wires, duration=120 * ms, dt=DT
    )
    spikes = simulate(experiment, device).spikes["cells"]
    return spikes.neurons.tolist(), np.round(spikes.times / DT).astype(int).tolist()


PER_PATHWAY = modulate(
    COBA.format(left=""), {"M2": M2}, on={"g_rec": suppressed_by("M2", 0.83)}, **COBA_FIRING
)


def coba_by_hand(left):
    text = COBA.format(left=left) + MUSCARINIC
    return NeuronGroup(SIZE, text, dt=DT, **COBA_FIRING)


def test_acetylcholine_suppresses_recurrent_and_spares_afferent_input_as_by_hand():
    suppressed = "*(1 - 0.83*muscarinic)"
    expected = network_in_a_script(coba_by_hand(suppressed))
    cells = group_of(PER_PATHWAY, SIZE)
    PER_PATHWAY.settle(cells)
    cells.conc_acetylcholine = 4.1 * umolar
    assert network_in_a_script(cells) == expected
    # Devices step in another order, in which hand-written equations give other times too.
    in_order = network_in_a_script(coba_by_hand(suppressed), SCHEDULE)
    assert network_in_an_experiment(PER_PATHWAY, 4.1 * umolar) == in_order
    whole = network_in_a_script(coba_by_hand(""))
    assert len(whole[0]) > len(expected[0]) > 30


def test_the_same_on_the_shelf_s_cells_of_the_benchmark():
    coba = modulate(CobaLIF(), {"M2": M2}, on={"g_exc": suppressed_by("M2", 0.83)})
    both = modulate(
        COBA.format(left=""),
        {"M2": M2},
        on={name: suppressed_by("M2", 0.83) for name in ("g_aff", "g_rec")},
        **COBA_FIRING,
    )
    variables = {"g_aff": "g_exc", "g_rec": "g_exc", "g_inh": "g_inh"}
    found = network_in_an_experiment(coba, 4.1 * umolar, variables=variables)
    assert found == network_in_an_experiment(both, 4.1 * umolar)
    assert len(found[0]) > 10


def test_compiled_a_cell_fires_as_hand_written_equations():
    on, edits = TARGETS["several"]
    cell = modulate(CELL, TWO, on, namespace=CONSTANTS, start=START, **FIRING)
    found = in_an_experiment(cell, {"I_ext": CURRENT, **BATH}, device="cpp")
    assert found == by_hand(edits, {"I_ext": CURRENT})


@pytest.mark.thorough
@pytest.mark.parametrize("device", ["cython", "cpp", "genn-cpu"])
def test_every_device_fires_as_hand_written_equations(device, compiled, monkeypatch, needs):
    needs(device)
    del compiled
    expected = network_in_a_script(coba_by_hand("*(1 - 0.83*muscarinic)"), SCHEDULE)
    squid = modulate(HodgkinHuxley(), {"D1": D1}, on={"g_Kd": suppressed_by("D1", 0.083)})
    values = {"I_ext": STRONGER, "conc_dopamine": 2.3 * umolar}
    axons = in_a_script(squid, values)
    on, edits = TARGETS["several"]
    cell = modulate(CELL, TWO, on, namespace=CONSTANTS, start=START, **FIRING)
    adapting = by_hand(edits, {"I_ext": CURRENT})
    monkeypatch.setitem(prefs, "codegen.target", "cython" if device == "cython" else "auto")
    assert network_in_an_experiment(PER_PATHWAY, 4.1 * umolar, device) == expected
    assert in_an_experiment(squid, values, device=device) == axons
    assert in_an_experiment(cell, {"I_ext": CURRENT, **BATH}, device=device) == adapting


GI = Receptor(
    name="M4", ligand="acetylcholine", k_on=0.017 / (umolar * ms), k_off=0.029 / ms, n=1.3, K=0.37
)
CAMP = Messenger(lowered_by=("M4",), basal=0.17, tau_messenger=33 * ms, n=2.7, K=0.31, gain_max=2.6)
CONVERGING = """
acts = camp**2.7/(camp**2.7 + 0.31**2.7) : 1
dcamp/dt = ((1 - 0.83*(1 - occupancy))*(1 - bound) - camp)/(33*ms) : 1
doccupancy/dt = 0.021/ms*2.3*(1 - occupancy) - 0.013/ms*occupancy : 1
dbound/dt = 0.017/ms*4.1*(1 - bound) - 0.029/ms*bound : 1
"""


def test_receptors_that_converge_on_one_messenger_are_those_by_hand():
    on = {"I_e": "cAMP", "b": suppressed_by("cAMP", 0.9)}
    cell = modulate(CELL, [D1, GI, CAMP], on, namespace=CONSTANTS, start=START, **FIRING)
    text = edited(CELL, {"+ I_e +": "+ I_e*(1 + 1.6*acts) +"}) + CONVERGING
    firing = FIRING | {"reset": "v = V_r; w += b*(1 - 0.9*acts)"}
    group = NeuronGroup(3, text, method="euler", namespace=CONSTANTS, dt=DT, **firing)
    expected = run_of(group, {**START, "I_ext": CURRENT, "camp": 0.17}, 100 * ms)
    assert in_a_script(cell, {"I_ext": CURRENT, **BATH}) == expected
    assert in_an_experiment(cell, {"I_ext": CURRENT, **BATH}) == expected
    assert not list(obstacles(cell))


def test_a_settled_group_stays_where_it_is_and_is_that_of_a_bath_in_an_experiment():
    on = {"I_rise": "cAMP", "g_e": "M2"}
    cell = modulate(CELL, [D1, GI, CAMP, M2], on, namespace=CONSTANTS, start=START, **FIRING)
    conc = {"dopamine": [0, 0.7, 9.1] * umolar, "acetylcholine": 1.3 * umolar}
    group = group_of(cell)
    cell.settle(group, **conc)
    names = [f"messenger_{name}" for name in ("cAMP", "M2")] + ["occupancy_D1", "conc_dopamine"]
    before = {name: np.array(getattr(group, name)) for name in names}
    spikes = run_of(group, {"I_ext": CURRENT}, 100 * ms)
    for name, value in before.items():
        np.testing.assert_allclose(np.array(getattr(group, name)), value, rtol=1e-9)
    cells = Population("cells", cell, 3, {"I_ext": CURRENT})
    lying = cells.given(bath(cells, conc))
    found = simulate(Experiment(populations=[lying], duration=100 * ms, dt=DT)).spikes["cells"]
    assert found.neurons.tolist() == spikes[0]
    assert np.round(found.times / DT).astype(int).tolist() == spikes[1]


def modulated(on=None, receptors=None, text=CELL, **changed):
    given = {"namespace": CONSTANTS, "start": START, **FIRING, **changed}
    return modulate(text, receptors or {"D1": D1}, {"g_e": "D1"} if on is None else on, **given)


def without(name):
    return {key: value for key, value in CONSTANTS.items() if key != name}


REFUSED = {
    "term": (lambda: modulated({"g_ee": "D1"}), "no term named 'g_ee': did you mean g_e,"),
    "receptor": (lambda: modulated({"g_e": "D2"}), "receptor for g_e named 'D2': .* mean D1"),
    "name": (lambda: modulated({"g_e": "g_e*gain_D2"}), "named 'gain_D2': did you mean gain_D1"),
    "variable": (
        lambda: modulated(text=f"{CELL}gain_D1 = 2 : 1"),
        "gain_D1 would be a name of the equations and of the receptor D1: give the receptor "
        "another one, as in {'D1b'",
    ),
    "constant": (lambda: modulated(namespace={**CONSTANTS, "K_D1": 2}), "^K_D1 would be a name"),
    "amount": (
        lambda: modulated({"g_e": scaled_by("D1", 2)}, namespace={**CONSTANTS, "factor_g_e_D1": 2}),
        "^factor_g_e_D1 would be a name",
    ),
    "shift": (lambda: modulated({"g_e": shifted_by("D1", 3 * mV)}), "has unit S.* has unit V"),
    "expression": (
        lambda: modulated({"g_e": "g_e*gain_D1*mV"}),
        "wrong unit: a value in siemens was expected, not a value in amp",
    ),
    "sum": (lambda: modulated({"g_e": "g_e + gain_D1"}), "Units do not fit in g_e [+] gain_D1"),
    "equation": (
        lambda: modulated(text=CELL.replace("I_e = g_e*(E_e - v)", "I_e = g_e")),
        "equation of I_e has the wrong unit: a value in amp was expected of g_e, not a value in s",
    ),
    "reset": (
        lambda: modulated(namespace={**CONSTANTS, "b": 61 * nS}),
        r"^w \+= b has the wrong unit: a value in amp was expected, not a value in siemens",
    ),
    "condition": (lambda: modulated(threshold="v > g_L"), "Units do not fit in v > g_L"),
    "start": (lambda: modulated(start={"v": 3 * nS}), "^v starts with the wrong unit: .* volt"),
    "state": (lambda: modulated(start={"vv": 3 * mV}), "variable to start named 'vv': .* mean v"),
    "syntax": (lambda: modulated(text="dv/dt = -v"), "^The equations cannot be read: "),
    "idle": (lambda: modulated(receptors=TWO), "^M2 acts on nothing: name what it acts on"),
    "unread": (
        lambda: modulated({"g_x": "D1"}, text=f"{CELL}dg_x/dt = -g_x/tau_e : siemens"),
        "Nothing but its own equation reads g_x: a receptor on it would do nothing",
    ),
    "own": (
        lambda: modulate(AdEx(receptors=(D1,)), {"M2": M2}, on={"w": "M2"}),
        r"^AdEx has receptors of its own: set receptors=\(\)",
    ),
    "twice": (lambda: modulated(receptors=[D1, D1]), "need names of their own"),
    "effect": (lambda: modulated({"g_e": 3.1}), r"^g_e needs the name of a receptor, .* not 3\.1"),
    "repeated": (
        lambda: modulated({"g_e": [scaled_by("D1", 2), suppressed_by("D1")]}),
        "^D1 does the same to g_e twice",
    ),
    "kind": (lambda: modulated(receptors=["D1"]), "receptor such as library.D1 .* not 'D1'"),
    "neuron": (lambda: modulate(AdEx, [D1], on={"w": "D1"}), "or a model such as AdEx()"),
    "written": (
        lambda: modulate(AdEx(), [D1], on={"w": "D1"}, threshold="v > 0*mV"),
        "threshold goes with equations; a model has its own",
    ),
    "behind": (
        lambda: modulated({"g_e": "D1"}, [D1, Messenger()]),
        "named 'gain_D1': did you mean gain_cAMP",
    ),
    "around": (lambda: modulated(around=("my drug",)), "around = 'my drug' stands in the names"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_sentence(make, words):
    with pytest.raises(UserError, match=words) as refusal:
        make()
    assert re.fullmatch(r"[^\n]+[.?]", str(refusal.value))


@pytest.mark.parametrize("name", ["tau_w", "b", "t_held", "V_cut"])
def test_a_population_needs_a_value_for_every_constant_and_a_script_does_not(name):
    cell = modulated(namespace=without(name))
    with pytest.raises(UserError, match=f"^{name} in the equations of cells has no value"):
        Population("cells", cell, 2)
    group = group_of(cell, 1)
    group.namespace[name] = CONSTANTS[name]
    cell.settle(group)
    run_of(group, {}, 1 * ms)


def test_a_population_needs_a_threshold_and_a_script_does_not():
    silent = modulated(threshold="", reset="", refractory=False)
    with pytest.raises(UserError, match=r"^cells would never spike: its neuron needs a threshold"):
        Population("cells", silent, 2)
    group = NeuronGroup(
        1, silent.equations, threshold=silent.threshold, namespace=silent.constants, method="euler"
    )
    silent.settle(group, dopamine=2.3 * umolar)
    Network(group).run(1 * ms)
    assert group.gain_D1[0] == pytest.approx(float(D1.gain(2.3 * umolar)))


def test_only_a_group_of_the_modulated_equations_can_be_settled_and_only_in_what_binds():
    cell = modulated()
    group = NeuronGroup(1, "v : volt", name="plain")
    with pytest.raises(UserError, match=r"plain has no variable .*: make it from the modulated"):
        cell.settle(group)
    with pytest.raises(UserError, match="named 'dopamin': did you mean dopamine"):
        cell.settle(group, dopamin=1 * umolar)
    Network(group).run(0 * ms)


def test_a_neuron_s_own_equation_of_a_concentration_stands():
    cleared = f"{CELL}dconc_dopamine/dt = -conc_dopamine/(70*ms) : mole/meter**3"
    cell = modulated(text=cleared)
    assert cell.equations.count("conc_dopamine : ") == 0
    group = group_of(cell)
    cell.settle(group)
    run_of(group, {"conc_dopamine": 2.3 * umolar}, 50 * ms)
    left = np.asarray(group.conc_dopamine / umolar)
    assert left == pytest.approx(2.3 * (1 - 0.1 / 70) ** 500, rel=1e-6)


# Synapses: what a spike adds is read from a variable that only adds up.
ADDING = "dv/dt = -v/(9*ms) : 1\nI_syn : 1"
TARGET = modulate(ADDING, threshold="v > 2", around=["acetylcholine"])
TIMES = np.cumsum([1.7, 21.3, 13.1, 34.9, 8.3, 8.3, 55.1, 13.3]) * ms
SYNAPSE = TsodyksMarkram(weight=1.0, U=0.43, tau_rec=310 * ms)


def released(synapse, values=None, device="cython", size=1, conc=0 * umolar):
    """What every spike of a train adds to each of its targets, shape (targets, spikes)."""
    targets = Population("targets", TARGET, size, {"conc_acetylcholine": conc})
    train = Spikes("train", 1, np.zeros(len(TIMES), int), TIMES)
    wire = PlasticConnection(
        "wire",
        "train",
        "targets",
        synapse,
        i=np.zeros(size, int),
        j=np.arange(size),
        values=values or {},
    )
    experiment = Experiment(
        populations=[targets],
        sources=[train],
        plastic=[wire],
        traces=[Trace("targets", ["I_syn"], range(size))],
        duration=160 * ms,
        dt=DT,
    )
    steps = np.diff(simulate(experiment, device).signals["targets"]["I_syn"].values, axis=1)
    return steps[:, np.flatnonzero(steps[0])]


def recursion(U, tau_rec=310.0):
    """The same by hand, for a release probability that may change from spike to spike."""
    left, amounts, intervals = 1.0, [], np.diff(TIMES / ms)
    for probability, interval in zip(np.broadcast_to(U, len(TIMES)), [*intervals, 0], strict=True):
        amounts.append(probability * left)
        left = 1 - (1 - left * (1 - probability)) * np.exp(-interval / tau_rec)
    return np.array(amounts)


def test_a_settled_presynaptic_receptor_scales_the_release_probability():
    presynaptic = modulate_synapse(SYNAPSE, {"M2": M2}, on={"U": "M2"})
    conc = 4.1 * umolar
    lying = {"conc_acetylcholine": conc, **presynaptic.steady({"acetylcholine": conc})}
    gain = float(M2.gain(conc))
    assert gain < 0.6
    np.testing.assert_allclose(released(presynaptic)[0], recursion(0.43), rtol=1e-9)
    np.testing.assert_allclose(released(presynaptic, lying)[0], recursion(0.43 * gain), rtol=1e-9)
    assert not list(obstacles(presynaptic))


def activation_by_hand(conc):
    """Activation of M2 at the spikes, in a bath that comes at the start; by exponential Euler."""
    bound = second_messenger = 0.0
    course = [0.0]
    for _ in range(1600):
        rate = 0.017 * conc + 0.029
        after = 0.017 * conc / rate + (bound - 0.017 * conc / rate) * np.exp(-0.1 * rate)
        second_messenger = bound + (second_messenger - bound) * np.exp(-0.1 / 33)
        bound = after
        course.append(second_messenger)
    # A spike arrives in the next step, after synapses have been stepped.
    arrivals = np.round(TIMES / DT).astype(int) + 2
    level = np.array(course)[arrivals] ** 1.3
    return level / (level + 0.37**1.3)


@pytest.mark.parametrize("at_target", [False, True])
def test_a_presynaptic_receptor_follows_the_concentration_around_the_synapse_or_the_target(
    at_target,
):
    synapse = modulate_synapse(SYNAPSE, {"M2": M2}, on={"U": "M2"}, at_target=at_target)
    conc = np.array([0.9, 4.1])
    given = {} if at_target else {"conc_acetylcholine": conc * umolar}
    found = released(synapse, given, size=2, conc=conc * umolar if at_target else 0 * umolar)
    for row, level in zip(found, conc, strict=True):
        expected = recursion(0.43 * (1 - 0.75 * activation_by_hand(level)))
        np.testing.assert_allclose(row, expected, rtol=1e-9)
    assert not list(obstacles(synapse))


def test_a_receptor_at_the_target_needs_a_target_with_the_ligand_around_it():
    synapse = modulate_synapse(SYNAPSE, {"D1": D1}, on={"U": "D1"}, at_target=True)
    with pytest.raises(UserError, match="variable of targets named 'conc_dopamine'"):
        released(synapse)


def test_a_synapse_of_one_s_own_in_a_script_has_its_receptor_by_hand():
    own = modulate_synapse(
        "trust : 1",
        [M2],
        on={"trust": suppressed_by("M2", 0.61)},
        on_pre="I_syn_post += 3.7*trust",
        start={"trust": 0.7},
    )
    target = NeuronGroup(1, "I_syn : 1", dt=DT)
    train = SpikeGeneratorGroup(1, np.zeros(len(TIMES), int), TIMES, dt=DT)
    made = Synapses(
        train,
        target,
        own.equations,
        on_pre=own.on_pre,
        method=own.method,
        namespace=own.constants,
        dt=DT,
    )
    made.connect()
    own.settle(made, acetylcholine=4.1 * umolar)
    Network(target, train, made).run(160 * ms)
    left = 1 - 0.61 * float(M2.activation(4.1 * umolar))
    assert target.I_syn[0] == pytest.approx(len(TIMES) * 3.7 * 0.7 * left)


@pytest.mark.thorough
@pytest.mark.parametrize("device", ["cpp", "genn-cpu"])
def test_presynaptic_receptors_are_the_same_on_every_device(device, needs):
    needs(device)
    synapse = modulate_synapse(SYNAPSE, {"M2": M2}, on={"U": "M2"})
    given = {"conc_acetylcholine": 4.1 * umolar}
    expected = recursion(0.43 * (1 - 0.75 * activation_by_hand(4.1)))
    np.testing.assert_allclose(released(synapse, given, device)[0], expected, rtol=1e-6)


def test_equations_objects_of_brian2_are_read_as_what_they_say():
    # Brian2 prints siemens as S, which it does not read.
    written = (
        "dge/dt = -ge/(3*ms) : siemens\ndv/dt = ge*(0*mV - v)/(7*pF) : volt (unless refractory)"
    )
    made = modulate(Equations(written), {"D1": D1}, on={"ge": "D1"}, threshold="v > -5*mV")
    as_text = modulate(written, {"D1": D1}, on={"ge": "D1"}, threshold="v > -5*mV")
    assert Equations(made.equations) == Equations(as_text.equations)
    assert Equations(made.own.equations) == Equations(written)
