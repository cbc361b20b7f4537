"""ngspice and the circuit model, given the same experiment, do the same.

``python tests/neuromod/devices/test_spice.py`` prints the table of docs/explanation/circuit.md, and
with ``--plain`` that of the circuit without the parts that only ngspice has.
"""

import errno
import os
import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from brian2 import Mohm, kelvin, mV, nsecond, nsiemens, ohm, uA, volt
from brian2.units.allunits import fcoulomb, ffarad, fjoule

from neuromod.chip.conversion import Layer, grouped
from neuromod.chip.deployment import on_circuit
from neuromod.chip.pulses import code_pulses, mirror_pulses
from neuromod.devices.spice import ngspice
from neuromod.devices.spice.dialects import PlainNgspice
from neuromod.devices.spice.netlist import netlist
from neuromod.devices.spice.ngspice import run, simulate_in_spice, version
from neuromod.devices.spice.validation import compare, validate
from neuromod.devices.spice.wiring import choose, pick
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.inputs.noise import thermal
from neuromod.inputs.shared_supplies import share_supplies
from neuromod.inputs.supplies import schedule
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.recording import Recording, Signal

needs_ngspice = pytest.mark.skipif(not version(), reason="ngspice is not installed")

DT = 1 * nsecond
WIDTH = 100 * nsecond
STEPS = 4200
VDD = np.array([0.5, 0.58, 0.67, 0.75, 0.86, 1.0])
# Pulses that overlap, touch, leave a gap of one step, come during a spike and come together.
ARRIVALS = {
    0: [31, 700, 1503, 2611, 3400],
    1: [67, 800, 1604, 2650, 3400],
    2: [140, 1900, 2700, 3501],
    3: [701, 1950, 2050, 2661, 3799],
}
CODES = np.array(
    [[7, 5, 6, -2], [6, 7, 5, -4], [7, 7, 7, -7], [3, 4, 6, -1], [2, 3, 2, -3], [2, 1, 3, -1]]
)
CHIP = CircuitNeuron()
CIRCUITS = {
    "clocked": CHIP,
    "continuous": CircuitNeuron(comparator="continuous"),
    "one-sided leak, 321 K": CircuitNeuron(
        leak="one_sided", R_leak=133 * Mohm, temperature=321 * kelvin
    ),
    "353 K, symmetric leak, 1 MΩ in the supply, EKV output transistors": CircuitNeuron(
        leak="symmetric", law="ekv", output="mosfet", temperature=353 * kelvin, R_supply=1 * Mohm
    ),
    "257 K, one-sided leak, output transistors": CircuitNeuron(
        leak="one_sided", output="mosfet", temperature=257 * kelvin
    ),
    "symmetric leak": CircuitNeuron(leak="symmetric", R_leak=133 * Mohm, slope_factor=1.23),
    "EKV": CircuitNeuron(law="ekv", vto=0.47 * volt),
    "output transistors, 0.13/V": CircuitNeuron(output="mosfet", channel_modulation=0.13 / volt),
    "EKV output transistors, 0.13/V": CircuitNeuron(
        law="ekv", output="mosfet", channel_modulation=0.13 / volt
    ),
    "output transistors, membrane up to 470 mV": CircuitNeuron(
        output="mosfet", v_th=0.47 * volt, R_leak=211 * Mohm
    ),
    "3 MΩ in the supply": CircuitNeuron(R_supply=3 * Mohm),
    "3 MΩ in the supply, output transistors": CircuitNeuron(R_supply=3 * Mohm, output="mosfet"),
    "3 MΩ in the supply, EKV": CircuitNeuron(R_supply=3 * Mohm, law="ekv", vto=0.47 * volt),
    "2 MΩ in the supply, EKV output transistors, 0.13/V": CircuitNeuron(
        R_supply=2 * Mohm, law="ekv", output="mosfet", channel_modulation=0.13 / volt
    ),
    "conductances": CircuitNeuron(synapse="conductance", G_unit=23 * nsiemens),
    "corner FS, 353 K, symmetric leak": CircuitNeuron(
        corner="FS", temperature=353 * kelvin, leak="symmetric"
    ),
    "corner SF, 251 K, output transistors, 0.13/V": CircuitNeuron(
        corner="SF", temperature=251 * kelvin, output="mosfet", channel_modulation=0.13 / volt
    ),
    "corner FS, 347 K, EKV output transistors, pulsed references": CircuitNeuron(
        corner="FS", temperature=347 * kelvin, law="ekv", output="mosfet", references="pulsed"
    ),
    # A membrane that forgets within two pulses.
    "corner FF, 398 K": CircuitNeuron(temperature=398 * kelvin, corner="FF"),
    "pulsed references, output transistors": CircuitNeuron(references="pulsed", output="mosfet"),
    "gates of 37 fF, EKV output transistors, 0.13/V": CircuitNeuron(
        C_gate=37 * ffarad, law="ekv", output="mosfet", channel_modulation=0.13 / volt
    ),
    "comparator 41 ns late": CircuitNeuron(t_comparator=41 * nsecond),
    "comparator 7 ns late, kick-back of -0.13 fC": CircuitNeuron(
        Q_kick=-0.13 * fcoulomb, t_comparator=7 * nsecond
    ),
    "0.5 fC left by each reset, symmetric leak": CircuitNeuron(
        Q_reset=0.5 * fcoulomb, leak="symmetric", R_leak=133 * Mohm
    ),
    "20 ns late, 0.13 fC kicks, -0.3 fC resets, 37 fF gates, output transistors": CircuitNeuron(
        t_comparator=20 * nsecond,
        Q_kick=0.13 * fcoulomb,
        Q_reset=-0.3 * fcoulomb,
        C_gate=37 * ffarad,
        output="mosfet",
    ),
    "corner SF, 329 K, 0.9 MΩ in the supply": CircuitNeuron(
        corner="SF", temperature=329 * kelvin, R_supply=0.9 * Mohm
    ),
    "corner FS, 0.7 MΩ in the supply, EKV output transistors, pulsed references": CircuitNeuron(
        corner="FS", output="mosfet", R_supply=0.7 * Mohm, references="pulsed", law="ekv"
    ),
    "5 bits, 173 fF, spikes of 83 ns": CircuitNeuron(bits=5, C=173 * ffarad, t_spike=83 * nsecond),
}


def inputs():
    at, who = np.array(sorted((t, n) for n, times in ARRIVALS.items() for t in times)).T
    return Spikes("inputs", len(ARRIVALS), who, at * DT)


def wires(target, codes, domain=""):
    i, j = (side.ravel() for side in np.indices(codes.T.shape))
    return code_pulses("inputs", target, i, j, codes.T[i, j], WIDTH, domain)


def together(populations, connections, steps=STEPS):
    return Experiment(
        populations=populations,
        sources=(inputs(),),
        connections=connections,
        duration=steps * DT,
        dt=DT,
    )


@cache
def found(name):
    """One circuit at every supply, with other codes at each."""
    chip = Population("chip", CIRCUITS[name], len(VDD), {"vdd": VDD * volt})
    experiment = together([chip], wires("chip", CODES))
    return validate(experiment, choose(experiment, ()))


@needs_ngspice
@pytest.mark.parametrize("name", CIRCUITS)
def test_at_every_supply_spice_finds_the_same_membrane_spikes_and_charge(name):
    table = found(name)
    assert len(table) == len(VDD)
    assert table.spikes_SPICE.sum() > 5
    assert table.agrees.all(), table.to_string()


DOMAINS = CircuitNeuron(output="mosfet", leak="symmetric", R_supply=40e3 * ohm)


def mixed():
    """Two domains, one of whose supplies changes; capacitors, thresholds and starts differ."""
    tuft = np.array([[0.53, 0.97, 0.7], [0.81, 0.62, 0.7], [0.66, 0.88, 0.99]])
    values = {
        "vdd_soma": [0.93, 0.71, 0.58] * volt,
        "vdd_tuft": tuft[0] * volt,
        "v": [263, 250, 231] * mV,
        "C": [47, 50, 61] * ffarad,
        "v_th": [351, 343, 350] * mV,
        "v_offset": [0, -3, 8] * mV,
        "v_slope": [31, 39, 44] * mV,
        "R_supply": [20e3, 40e3, 110e3] * ohm,
    }
    wired = [*wires("chip", CODES[:3], "soma"), *wires("chip", CODES[3:], "tuft")]
    chip = Population("chip", DOMAINS, 3, values)
    supply = schedule(chip, [0, 757, 2622] * DT, tuft * volt, DT, "tuft")
    return together([chip], wired).add(supply)


def shared():
    """Three neurons on two supplies that they load together, one held by a capacitor."""
    circuit = CircuitNeuron(R_domain=1.3 * Mohm, C_domain=31 * ffarad)
    chip = Population("chip", circuit, 3, {"vdd": [0.86, 0.86, 0.71] * volt})
    return share_supplies(together([chip], wires("chip", CODES[[1, 3, 0]])), "chip", [4, 4, 1])


def shared_without_capacitor():
    """Neurons of pulsed references, one of which drives the others, on one supply."""
    circuit = CircuitNeuron(R_domain=1.3 * Mohm, references="pulsed", law="ekv", vto=0.47 * volt)
    chip = Population("chip", circuit, 3, {"vdd": 0.86 * volt})
    driven = code_pulses("chip", "chip", np.array([0, 0]), np.array([1, 2]), [5, -3], WIDTH)
    return share_supplies(together([chip], [*wires("chip", CODES[[0, 3, 0]]), *driven]), "chip")


def gated_pulses(law, C_gate):
    """Gates that every pulse charges anew, at the time step that they are solved for."""
    circuit = CircuitNeuron(references="pulsed", C_gate=C_gate * ffarad, law=law)
    fine = together(
        [Population("chip", circuit, len(VDD), {"vdd": VDD * volt})], wires("chip", 2 * CODES)
    )
    at = np.round(np.asarray(fine.sources[0].times / circuit.gate_step)) * circuit.gate_step
    coarse = Spikes("inputs", len(ARRIVALS), fine.sources[0].neurons, at)
    return replace(fine, sources=(coarse,), dt=circuit.gate_step)


def gated_square():
    return gated_pulses("square", 1.3)


def gated_ekv():
    return gated_pulses("ekv", 0.7)


def gated_schedule():
    """Gates of references that stay on follow a supply that changes, in their own time."""
    circuit = CircuitNeuron(C_gate=23 * ffarad)
    chip = Population("chip", circuit, 2)
    supply = np.array([[0.61, 0.93], [0.9, 0.66], [0.7, 0.7]]) * volt
    experiment = together([chip], wires("chip", CODES[[0, 4]]))
    return experiment.add(schedule(chip, [0, 757, 2622] * DT, supply, DT))


def network():
    """One neuron drives two, one of them late, and is inhibited by that one; a bundle joins in."""
    strong = CircuitNeuron(bits=6, t_pulse=120 * nsecond)
    chip = Population("chip", strong, 3, {"vdd": [0.75, 0.66, 0.91] * volt})
    ones = np.ones(1)
    recurrent = np.array([0, 2]), np.array([1, 0]), np.array([26, -11])
    late = code_pulses("chip", "chip", np.array([0]), np.array([2]), 29, 90 * nsecond)
    bundle = 3.7 * ones, 1.9 * ones, 4.2 * ones
    pulling = 1.425 * ones
    return together(
        [chip],
        [
            *wires("chip", np.array([[9, 7, 8, -3], [0, 0, 0, 0], [0, 0, 0, 0]])),
            *code_pulses("chip", "chip", *recurrent, 120 * nsecond),
            *(replace(pulse, delay=37 * nsecond) for pulse in late),
            *mirror_pulses(
                "inputs", "chip", np.array([3]), np.array([1]), *bundle, WIDTH, n_mirrors=pulling
            ),
        ],
    )


def own_transistors():
    """Every neuron's transistors are others, and so are their supplies over time."""
    circuit = CircuitNeuron(output="mosfet", law="ekv", R_supply=0.3 * Mohm)
    own = {
        "beta": [0.43, 0.5, 0.61] * uA / volt**2,
        "vto": [0.41, 0.35, 0.37] * volt,
        "R_S": [17, 20, 26] * Mohm,
    }
    vdd = np.array([[0.97, 0.81, 0.7], [0.85, 0.93, 0.8]]) * volt
    chip = Population("chip", circuit, 3, own)
    return together([chip], wires("chip", CODES[1:4])).add(schedule(chip, [0, 1700] * DT, vdd, DT))


def kicked():
    """Thermal noise a thousand times hotter, beside pulses."""
    circuit = CircuitNeuron(temperature=3e5 * kelvin, T_nominal=3e5 * kelvin)
    chip = Population("chip", circuit, 4, {"vdd": 0.71 * volt, "C": [50, 41, 66, 50] * ffarad})
    quiet = together([chip], wires("chip", CODES[[0, 1, 2, 0]]))
    return quiet.add(thermal(chip, 63 * DT, STEPS * DT, DT, np.random.default_rng(5)))


def hard_driven():
    """Continuous comparators that fire as fast as they can, tens of times."""
    circuit = CircuitNeuron(comparator="continuous")
    every = Spikes("inputs", 4, np.tile(np.arange(4), 40), np.repeat(np.arange(40) * 100, 4) * DT)
    chip = Population("chip", circuit, 3, {"vdd": [0.77, 0.91, 0.66] * volt})
    codes = np.array([[7, 7, 6, -5], [2, 6, 3, -1], [5, 7, 4, -2]])
    return replace(together([chip], wires("chip", codes)), sources=(every,))


MADE = {
    "two power domains, one of them stepped, 20 to 110 kΩ": mixed,
    "three neurons that drive each other": network,
    "three neurons with EKV transistors of their own, stepped, 0.3 MΩ": own_transistors,
    "four neurons kicked by noise every 63 ns": kicked,
    "continuous, three neurons under trains of 40 pulses at 10 MHz": hard_driven,
    "three neurons on two supplies of 1.3 MΩ, one held by 31 fF": shared,
    "three neurons of pulsed EKV references on one supply of 1.3 MΩ": shared_without_capacitor,
    "gates of 23 fF, supplies that step": gated_schedule,
    "pulsed references, gates of 1.3 fF, at 10 ns": gated_square,
    "pulsed EKV references, gates of 0.7 fF, at 10 ns": gated_ekv,
}


@needs_ngspice
@pytest.mark.parametrize("name", MADE)
def test_spice_agrees_on_what_differs_between_neurons_and_changes_during_a_run(name):
    experiment = MADE[name]()
    table = validate(experiment, choose(experiment, ()))
    assert (table.spikes_SPICE > 0).all()
    assert table.agrees.all(), table.to_string()


GROUPS = 4


def with_groups():
    """Two layers, whose neurons have four supplies: by sign, and by even and odd sources."""
    draw = np.random.default_rng(43)
    layers = []
    for inputs, neurons in ((4, 3), (3, 2)):
        codes = draw.integers(-3, 8, (neurons, inputs + 1))
        supply = 2 * (codes < 0) + np.arange(inputs + 1) % 2
        layer = Layer(codes[:, :-1], codes[:, -1], np.full(neurons, 0.6) * volt, {}, 1.13)
        gain = draw.uniform(0.5, 2.9, (neurons, GROUPS))
        layers.append(grouped(CHIP, layer, supply, gain, 0.6 * volt))
    trains = np.array([[1, 0, 1, 1], [0, 1, 1, 1], [1, 1, 0, 1]])[:, None]
    return on_circuit(CHIP, [layers], trains, 337 * nsecond, DT, 3)[1]


def as_made(experiment):
    """The same, with transistors that differ from neuron to neuron."""
    (chip,) = experiment.populations
    normal = np.random.default_rng(29).standard_normal((2, chip.size))
    own = {
        "vto": CHIP.vto + 6 * normal[0] * mV,
        "beta": chip.values["beta"] * np.exp(0.03 * normal[1]),
    }
    return replace(experiment, populations=(replace(chip, values={**chip.values, **own}),))


@needs_ngspice
def test_spice_agrees_on_neurons_with_a_supply_for_each_group_of_synapses():
    designed = with_groups()
    tables = []
    for experiment in (designed, as_made(designed)):
        table = validate(experiment, choose(experiment, ()))
        assert (table.spikes_SPICE > 0).all()
        assert table.agrees.all(), table.to_string()
        tables.append(table)
    off = tables[1].energy_SPICE_fJ / tables[0].energy_SPICE_fJ - 1
    assert off.abs().min() > 10 * tables[1].charge_off_percent.max() / 100


def test_every_group_of_synapses_has_a_source_of_its_own_in_the_netlist():
    experiment = with_groups()
    (chip,) = experiment.populations
    for group in range(GROUPS):
        name = f"vdd_group{group}"
        found = [
            float(line.split()[-1])
            for neuron in range(chip.size)
            for line in lines(experiment, f"Vchip_{neuron}_{name} ")
        ]
        np.testing.assert_allclose(found, np.asarray(chip.values[name] / volt), rtol=1e-12)


def one(circuit, **values):
    """A neuron with every synapse, at 0.75 V."""
    values = {"vdd": [0.75] * volt} | values
    return together([Population("chip", circuit, 1, values)], wires("chip", CODES[3:4]))


@needs_ngspice
@pytest.mark.parametrize(
    ("changed", "column"),
    [
        ({"R_leak": 150 * Mohm}, "rmse_mV"),
        ({"beta": 0.53 * uA / volt**2}, "charge_off_percent"),
        ({"t_spike": 104 * nsecond, "comparator": "continuous"}, "spike_off_ns"),
        ({"v_th": 385 * mV}, "extra"),
        ({"v_th": 327 * mV}, "missing"),
    ],
)
def test_another_circuit_is_told_apart(changed, column):
    comparator = changed.get("comparator", "clocked")
    ours, theirs = (
        one(CircuitNeuron(comparator=comparator)),
        one(CircuitNeuron(**{"comparator": comparator} | changed)),
    )
    neurons = choose(ours, ())
    recordings = [simulate_in_spice(experiment, neurons) for experiment in (ours, theirs)]
    same = compare(ours, neurons, recordings[0], recordings[0]).iloc[0]
    other = compare(ours, neurons, *recordings).iloc[0]
    assert same.agrees
    assert not other.agrees
    assert other[column] > same[column]


@needs_ngspice
def test_spice_finds_the_charge_of_a_pulse_computed_by_hand():
    # 10 nA a unit at 0.75 V: 7 units and the reference for 100 ns.
    experiment = together(
        [Population("chip", CircuitNeuron(references="pulsed"), 2)],
        code_pulses("inputs", "chip", np.array([0, 0]), np.array([0, 1]), np.array([7, -7]), WIDTH),
        steps=600,
    )
    energy = simulate_in_spice(experiment, choose(experiment, ())).totals["chip"]["energy"]
    np.testing.assert_allclose(energy / fjoule, [0.75 * 8 * 10 * 0.1, 0.75 * 10 * 0.1], rtol=1e-4)
    # A reference that stays on conducts for all of 600 ns.
    stays = replace(experiment, populations=[Population("chip", CHIP, 2)])
    energy = simulate_in_spice(stays, choose(stays, ())).totals["chip"]["energy"]
    expected = [0.75 * 10 * (0.7 + 0.6), 0.75 * 10 * 0.6]
    np.testing.assert_allclose(energy / fjoule, expected, rtol=1e-4)


def recording(spikes, v, energy):
    return Recording(
        {"chip": Spikes("chip", 1, np.zeros(len(spikes), int), np.array(spikes) * nsecond)},
        {"chip": {"v": Signal(np.array([0]), np.atleast_2d(v) * mV)}},
        600 * nsecond,
        DT,
        totals={"chip": {"energy": np.array([energy]) * fjoule}},
    )


def test_differences_are_those_computed_by_hand():
    at = np.arange(600)
    here = np.where(at < 300, 251.0, 250.0)
    # What happens within a spike of either is no matter of the membrane.
    here[(at >= 203) & (at < 300)] = 900
    ours = recording([100, 203, 450], here, 70.7)
    theirs = recording([203.7, 330], np.full(600, 250.0), 70)
    experiment = one(CHIP)
    row = compare(experiment, {"chip": [0]}, ours, theirs).iloc[0]
    assert (row.spikes, row.spikes_SPICE, row.missing, row.extra) == (3, 2, 1, 2)
    assert row.spike_off_ns == pytest.approx(0.7)
    assert row.charge_off_percent == pytest.approx(1)
    # Free of spikes: 0 to 99, 202, 305 to 329, 432 to 449, 552 to 599; off by 1 mV until 202.
    off, free = 101, 101 + 25 + 18 + 48
    assert row.rmse_mV == pytest.approx(np.sqrt(off / free))
    assert row.rmse_percent == pytest.approx(row.rmse_mV)
    assert not row.agrees


def test_a_neuron_brings_all_that_drive_it():
    experiment = network()
    assert choose(experiment, ["1"]) == {"chip": [0, 1, 2]}
    alone = replace(experiment, connections=experiment.connections[:4])
    assert choose(alone, ["1,2"]) == {"chip": [1, 2]}
    assert choose(alone, ["0", "chip:2"]) == {"chip": [0, 2]}


def lines(experiment, start):
    text = netlist(experiment, choose(experiment, ())).replace("\n+", "")
    return [line for line in text.splitlines() if line.startswith(start)]


def test_pulses_start_one_step_after_their_spike_and_are_one_where_they_touch():
    (line,) = lines(one(CHIP), "Vpulse_inputs_3")
    edges = [float(number) for number in line.partition("PWL(")[2].rstrip(")").split()]
    times, levels = edges[2::2], edges[3::2]
    steps = zip(times, [0, *levels], levels, strict=False)
    rises = [t for t, before, after in steps if before == after == 0]
    np.testing.assert_allclose(rises, np.array([702, 1951, 2662, 3800]) * 1e-9)
    assert times[7] == pytest.approx(2151.01e-9)


def test_a_synapse_has_as_many_copies_as_its_code_of_the_kind_of_its_sign():
    experiment = one(CircuitNeuron(output="mosfet"))
    pushing, pulling = lines(experiment, "Xpush"), lines(experiment, "Xpull")
    assert [line.split()[-1] for line in pushing] == ["units=3", "units=4", "units=6"]
    assert [line.split()[-1] for line in pulling] == ["units=1"]
    assert [line.split()[-1] for line in lines(experiment, "Xon_")] == ["count=3", "count=1"]
    pulsed = one(CircuitNeuron(output="mosfet", references="pulsed"))
    last = [line.split()[-2:] for line in lines(pulsed, "Xpull")]
    assert last == [["units=1", "references=1"]]
    assert len(lines(experiment, "Gchip_0")) == 4


def test_a_code_of_zero_has_no_mirror_and_still_clocks_the_comparator():
    experiment = together([Population("chip", CHIP, 1)], wires("chip", np.array([[0, 2, 0, 0]])))
    assert len(lines(experiment, "Xp")) == 1
    assert len(lines(experiment, "Gchip_0")) == 4


ONE = {"i": np.array([0]), "j": np.array([0])}


def wired(*connections):
    return together([Population("chip", CHIP, 1)], connections)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: together([Population("cell", GainLIF(), 2)], ()), "cell has no circuit neurons"),
        (lambda: together([Population("chip", CHIP, 101)], ()), "101 neurons with 0 synapses"),
        (lambda: wired(Connection("inputs", "chip", "nor", **ONE, weight=3.0)), "onto nor of chip"),
        (lambda: wired(Connection("chip", "chip", "v", **ONE, weight=3 * mV)), "chip change v of"),
        (lambda: wired(Connection("inputs", "chip", "up", **ONE, weight=3.0)), "must be pulses"),
        (
            lambda: wired(Connection("inputs", "chip", "up", **ONE, weight=-3.0, width=WIDTH)),
            "weight above 0",
        ),
        (
            lambda: wired(Connection("inputs", "chip", "up", **ONE, weight=3.0, width=WIDTH)),
            "3 units and 0 references",
        ),
        (lambda: one(CHIP, up=[3.0]), "up of single neurons of chip has no place"),
    ],
)
def test_what_no_netlist_can_stand_for_is_refused(make, message):
    experiment = make()
    with pytest.raises(UserError, match=message):
        netlist(experiment, choose(experiment, ()))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["3"], "of which population"),
        (["b:0,2"], "b has neurons 0 to 1, not '2'"),
        (["a:1-4"], "not '1-4'"),
        (["aa:1"], "did you mean a"),
    ],
)
def test_neurons_that_are_not_there_are_refused(wanted, message):
    experiment = together([Population(name, CHIP, 2) for name in "ab"], ())
    with pytest.raises(UserError, match=message):
        choose(experiment, wanted)


def test_one_of_several_experiments_is_named():
    both = {"first": one(CHIP), "second": one(CHIP)}
    assert pick(both, "second") is both["second"]
    assert pick({"first": both["first"]}, None) is both["first"]
    with pytest.raises(UserError, match="--experiment first"):
        pick(both, None)
    with pytest.raises(UserError, match="did you mean second"):
        pick(both, "secnd")


def test_without_ngspice_one_sentence_says_what_brings_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="apt install ngspice"):
        run("* nothing\n.end\n")


@needs_ngspice
def test_what_ngspice_said_when_it_failed_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"ngspice failed; .*ngspice\.log"):
        run("* a part that there is not\nQ1 nothing\n.tran 1n 1u\n.end\n")
    assert "nothing" in (tmp_path / "ngspice.log").read_text()
    with pytest.raises(UserError, match=r"not done after 0\.01 s"):
        run(netlist(one(CHIP), {"chip": [0]}), limit_s=0.01)


SHORT = ["vdd-sweep", "--set", "duration=3*us", "--set", "vdd=0.8*volt"]


def test_a_netlist_is_written_once(neuromod, tmp_path):
    outcome = neuromod("export", "spice", *SHORT, "--out", "chip.cir")
    assert outcome.code == 0, outcome.err
    text = (tmp_path / "chip.cir").read_text()
    assert text.startswith("* Circuit neurons: chip 0\n")
    assert text.endswith(".end\n")
    again = neuromod("export", "spice", *SHORT, "--out", "chip.cir")
    assert (again.code, again.err) == (2, "chip.cir exists: name another file with --out.\n")
    nowhere = neuromod("export", "spice", *SHORT, "--out", "no/chip.cir")
    assert nowhere.err == "no/chip.cir cannot be written (No such file or directory).\n"


RC = "* rc\nV1 a 0 PWL(0 0 1u 1)\nR1 a b 1k\nC1 b 0 1n\n.save v(b)\n.tran 1n 10u 0 1n\n.end\n"


@needs_ngspice
@pytest.mark.parametrize("share", [0, 1, 40, 99])
def test_results_that_ngspice_left_unfinished_are_not_believed(share, monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "cache"))
    read = Path.read_bytes
    assert len(run(RC)) > 9000
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p)[: len(read(p)) * share // 100])
    with pytest.raises(UserError, match="ngspice left its results unfinished"):
        run(RC)


@needs_ngspice
def test_a_log_that_cannot_be_kept_costs_no_result(monkeypatch, tmp_path, caplog):
    cache, wait = tmp_path / "cache", os.fsync

    def full(opened):
        if str(cache) in str(Path(f"/proc/self/fd/{opened}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        wait(opened)

    monkeypatch.setenv("NEUROMOD_CACHE", str(cache))
    monkeypatch.setattr(os, "fsync", full)
    assert len(run(RC)) > 9000
    assert "ngspice.log cannot be written, because the disk" in caplog.text
    assert not list(cache.iterdir())


def test_a_full_disk_leaves_no_part_of_a_netlist(neuromod, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    outcome = neuromod("export", "spice", *SHORT, "--out", "chip.cir")
    assert outcome.code == 2
    assert outcome.err.startswith("chip.cir cannot be written, because the disk /")
    assert not list(tmp_path.iterdir())


@needs_ngspice
def test_the_command_line_says_whether_the_targets_are_met(neuromod):
    outcome = neuromod("validate", *SHORT)
    assert outcome.code == 0, outcome.err
    assert "All of 1 neurons meet them." in outcome.out
    # A continuous comparator's spikes are recorded at the start of the step of their crossing.
    coarse = ("circuit.comparator=continuous", "dt=25*nsecond", "codes=7,7")
    outcome = neuromod("validate", *SHORT, *(word for each in coarse for word in ("--set", each)))
    assert outcome.code == 1
    assert "1 of 1 neurons miss them." in outcome.err


def row(name, table):
    """Largest differences of a circuit's neurons from ngspice, in Markdown."""
    worst = table[["spike_off_ns", "rmse_mV", "charge_off_percent"]].max()
    cells = (f"{each:.2g}" if each > 1e-4 else "<0.0001" for each in worst)
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    if sys.argv[1:] == ["--plain"]:
        ngspice.netlist = partial(netlist, dialect=PlainNgspice())
    print("| circuit | spike, ns | membrane, mV | charge, % |\n|---|---|---|---|")
    for name in CIRCUITS:
        print(row(name, found(name)), flush=True)
    for name, make in MADE.items():
        experiment = make()
        print(row(name, validate(experiment, choose(experiment, ()))), flush=True)
