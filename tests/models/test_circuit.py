from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from brian2 import Mohm, NeuronGroup, amp, kelvin, mV, nA, nsecond, ohm, second, uA, uF, um, volt
from brian2.units.allunits import fcoulomb, ffarad
from brian2.units.fundamentalunits import DimensionMismatchError
from hypothesis import given, settings, strategies as st

from neuromod.chip.pulses import code_pulses
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.circuit_equations import COMPARATOR, EQUATIONS, LEAK
from neuromod.models.mirror import LAWS

CHIP = CircuitNeuron()
DT = 10 * nsecond
WIDTH = 10
TAU = 20e-6
DECAY = np.exp(-1e-8 / TAU)
REST = 0.25

mirrors = st.builds(
    lambda beta, R_S, vto: CircuitNeuron(
        beta=10**beta * amp / volt**2, R_S=10**R_S * ohm, vto=vto * volt
    ),
    beta=st.floats(-8, -4),
    R_S=st.floats(3, 9),
    vto=st.floats(0, 0.69),
)
supplies = st.floats(0.7, 1.0)


@settings(deadline=None)
@given(mirrors, supplies)
def test_the_unit_current_solves_the_square_law_behind_its_load(chip, vdd):
    current = chip.unit_current(vdd * volt)
    gate = vdd * volt - current * chip.R_S
    assert gate > chip.vto
    assert chip.beta / 2 * (gate - chip.vto) ** 2 / amp == pytest.approx(
        float(current / amp), rel=1e-8
    )


@settings(deadline=None)
@given(mirrors, supplies)
def test_the_supply_for_a_unit_current_is_the_supply_that_gave_it(chip, vdd):
    found = chip.vdd_for(chip.unit_current(vdd * volt))
    assert float(found / volt) == pytest.approx(vdd, rel=1e-9)


@settings(deadline=None)
@given(mirrors, st.floats(0, 1))
def test_a_mirror_conducts_nothing_at_or_below_its_transistors_threshold(chip, share):
    assert chip.unit_current(share * chip.vto) == 0 * amp


@settings(deadline=None)
@given(mirrors)
def test_more_supply_gives_more_current(chip):
    currents = np.asarray(chip.unit_current(np.linspace(0.7, 1, 31) * volt) / amp)
    assert (np.diff(currents) > 0).all()


def test_at_three_quarters_of_a_volt_a_unit_is_ten_nanoampere_and_the_gate_at_550_mv():
    current = CHIP.unit_current(0.75 * volt)
    assert float(current / nA) == pytest.approx(10, rel=1e-12)
    assert float((0.75 * volt - current * CHIP.R_S) / mV) == pytest.approx(550, rel=1e-12)


def test_without_a_load_the_mirror_is_a_plain_square_law():
    chip = CircuitNeuron(R_S=1e-3 * ohm)
    assert float(chip.unit_current(0.83 * volt) / uA) == pytest.approx(0.25 * 0.48**2, rel=1e-8)


def test_a_large_load_takes_nearly_all_the_voltage():
    chip = CircuitNeuron(R_S=1e15 * ohm)
    limit = 0.48 / 1e15
    current = float(chip.unit_current(0.83 * volt) / amp)
    assert current < limit
    assert current == pytest.approx(limit, rel=2e-4)


@pytest.mark.parametrize("vdd", [0.57, 0.75, 0.98])
def test_the_papers_printed_root_exceeds_what_the_load_lets_through(vdd):
    beta, R_S, U = 0.5e-6, 20e6, vdd - 0.35
    printed = (1 + 2 * beta * R_S * U + np.sqrt(4 * beta * R_S * U - 1)) / (2 * beta * R_S**2)
    assert float(CHIP.unit_current(vdd * volt) / amp) < U / R_S < printed


def test_one_unit_at_three_quarters_of_a_volt_moves_the_membrane_twenty_millivolt():
    lossless = 10e-9 * 100e-9 / 50e-15
    assert float(CHIP.step(0.75 * volt) / volt) == pytest.approx(lossless, rel=5e-3)
    assert float(CHIP.step(0.75 * volt) / volt) < lossless


def test_codes_hold_what_their_bits_hold():
    assert CHIP.code_max == 7
    assert CircuitNeuron(bits=5).code_max == 31
    CHIP.check_codes((7, -7, 0))
    with pytest.raises(UserError, match=r"code -8 is out of range: -7 to 7"):
        CHIP.check_codes((3, -8))


@pytest.mark.parametrize("leak", LEAK)
@pytest.mark.parametrize("comparator", COMPARATOR)
def test_brian2s_unit_check_passes_the_equations(leak, comparator):
    chip = CircuitNeuron(leak=leak, comparator=comparator)
    group = NeuronGroup(
        2,
        chip.equations,
        threshold=chip.threshold,
        reset=chip.reset,
        refractory=chip.refractory,
        method=chip.method,
        namespace=chip.constants,
    )
    group.before_run({})


def test_brian2s_unit_check_would_notice_a_wrong_unit():
    wrong = CHIP.constants | {"C": 50 * Mohm}
    with pytest.raises(DimensionMismatchError):
        NeuronGroup(2, CHIP.equations, method=CHIP.method, namespace=wrong).before_run({})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"C": 0 * ffarad}, "C = 0 F is out of range: expected above"),
        ({"C": -3 * ffarad}, "above"),
        ({"C": 50 * nA}, "C = 50 nA has the wrong unit: a value in farad was expected"),
        ({"vto": 0.76 * volt}, r"vto = 0.76 V must lie below vdd_reference = 0.75 V"),
        ({"vdd_low": 0.8 * volt}, r"vdd_reference = 0.75 V must lie between vdd_low = 0.8 V"),
        ({"vdd_high": 0.75 * volt}, r"between vdd_low = 0.5 V and vdd_high = 0.75 V"),
        ({"vto": 2.1 * volt, "law": "ekv"}, "vto"),
        ({"W": 0 * um}, "W"),
        ({"R_leak": 0 * ohm}, "R_leak"),
        ({"slope_factor": 0.9}, "slope_factor"),
        ({"temperature": 0 * kelvin}, "temperature"),
        ({"bits": 0}, "bits"),
        ({"leak": "linar"}, "did you mean linear"),
        ({"comparator": "clock"}, "did you mean clocked"),
        ({"v_rest": 350 * mV}, "v_rest .* must lie below v_th"),
        ({"synapse": "conductance", "output": "mosfet"}, "are for synapse=mirror"),
        ({"synapse": "conductance", "R_supply": 3 * Mohm}, "are for synapse=mirror"),
    ],
)
def test_what_no_circuit_can_have_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        CircuitNeuron(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vdd": 0.49 * volt}, "vdd of chip = 0.49 V is out of range"),
        ({"vdd": [0.6, 1.01] * volt}, "vdd of chip = 1.01 V is out of range"),
        ({"vdd_soma": [0.6, 0.4] * volt}, "vdd_soma of chip = 0.4 V is out of range"),
        ({"vdd": 0.7}, "a value in volt was expected"),
        ({"vdd": [0.7] * 3 * volt}, "vdd of chip needs 2 values, not 3"),
        ({"vdd": [0.7, np.nan] * volt}, "must be finite"),
        ({"vdd": 0.7 * volt, "vdd_soma": 0.6 * volt}, "one or the other"),
        ({"vdd_a b": 0.7 * volt}, "no input, parameter or state of chip named 'vdd_a b'"),
        ({"v_rest": [0.25, 0.36] * volt}, r"v_rest = 0.36 V must lie below .* \(neuron 1\)"),
        ({"I_unit": [3, 4] * nA}, "I_unit follows from the supply: give vdd"),
        ({"vto": [0.3, 0.8] * volt}, r"vto = 0.8 V must lie below vdd_reference .* \(neuron 1\)"),
    ],
)
def test_what_no_neuron_of_a_population_can_have_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        Population("chip", CHIP, 2, values)


def test_a_comparator_s_offset_may_exceed_the_swing():
    chips = Population("chip", CHIP, 2, {"v_offset": [0, -110] * mV})
    assert chips.own("v_offset")[1] == -110 * mV
    with pytest.raises(UserError, match=r"must lie below v_th = 0\.24 V \(neuron 1\)"):
        Population("chip", CHIP, 2, {"v_th": [0.35, 0.24] * volt})


def test_a_population_has_the_supply_of_the_papers_figure_4_unless_it_is_given_another():
    chips = Population("chip", CHIP, 3)
    assert chips.own("vdd") == 0.75 * volt
    assert float(chips.completed["I_unit"] / nA) == pytest.approx(10)


def test_supplies_by_name_are_power_domains():
    values = {"vdd_soma": 0.6 * volt, "vdd_tuft": [0.7, 0.9] * volt}
    chips = Population("chip", CHIP, 2, values)
    assert chips.model.domains == ("soma", "tuft")
    assert list(chips.model.inputs) == ["vdd_soma", "vdd_tuft", "v_offset"]
    assert "vdd" not in chips.model.inputs
    assert chips.model == CHIP


def test_the_default_equations_are_the_text_that_stands_in_the_file():
    text = [line.partition("#")[0].strip() for line in EQUATIONS.strip().splitlines()]
    assert CHIP.equations.splitlines() == text


def alone(chip, values, steps, *variables):
    size = len(next(iter(values.values())))
    recording = simulate(
        Experiment(
            populations=(Population("chip", chip, size, values),),
            traces=(Trace("chip", variables, np.arange(size)),),
            duration=steps * DT,
            dt=DT,
            seed=3,
        )
    )
    return recording, [np.asarray(recording.signals["chip"][name].values) for name in variables]


DISPLACED = np.array([1e-6, -1e-6, 43e-3, -43e-3])
SLOPE = 1.7 * 1.380649e-23 * 311 / 1.602176634e-19


@cache
def decay(leak):
    warm = {"temperature": 311 * kelvin, "T_nominal": 311 * kelvin}
    chip = CircuitNeuron(leak=leak, slope_factor=1.7, **warm)
    values = {"v": (REST + DISPLACED) * volt}
    return alone(chip, values, 300, "v")[1][0] - REST


@pytest.mark.parametrize("leak", LEAK)
def test_every_leak_has_its_stated_resistance_at_zero_bias(leak):
    small = decay(leak)[:2]
    elapsed = np.arange(300) * 1e-8
    expected = DISPLACED[:2, None] * np.exp(-elapsed / (400e6 * 50e-15))
    np.testing.assert_allclose(small, expected, rtol=2e-5)


def test_a_linear_leak_decays_exponentially_at_any_size():
    expected = DISPLACED[:, None] * DECAY ** np.arange(300)
    np.testing.assert_allclose(decay("linear"), expected, rtol=1e-9)


def test_a_symmetric_leak_is_odd_and_a_one_sided_one_is_not():
    up, down = decay("symmetric")[2:]
    np.testing.assert_allclose(up, -down, rtol=1e-9)
    up, down = decay("one_sided")[2:]
    assert (up[1:] < 0.99 * -down[1:])[100:].all()


def test_a_symmetric_leak_decays_as_its_closed_form():
    elapsed = np.arange(300) * 1e-8
    shrunk = np.tanh(DISPLACED[2:, None] / (2 * SLOPE)) * np.exp(-elapsed / TAU)
    np.testing.assert_allclose(decay("symmetric")[2:], 2 * SLOPE * np.arctanh(shrunk), rtol=1e-6)


def test_a_one_sided_leak_decays_as_its_closed_form():
    elapsed = np.arange(300) * 1e-8
    left = -np.expm1(-DISPLACED[2:, None] / SLOPE) * np.exp(-elapsed / TAU)
    np.testing.assert_allclose(decay("one_sided")[2:], -SLOPE * np.log1p(-left), rtol=1e-6)


@pytest.mark.parametrize("leak", LEAK)
def test_the_charge_that_flows_in_is_on_the_capacitor_or_has_leaked_away(leak):
    drive = np.array([0.3, -2.0, 0.11])
    values = {
        "up": np.maximum(drive, 0),
        "down": np.maximum(-drive, 0),
        "vdd": [0.63, 0.75, 0.94] * volt,
    }
    recording, (v, leaking) = alone(CircuitNeuron(leak=leak), values, 260, "v", "I_leak")
    assert not recording.spikes["chip"].counts().any()
    leaked = 1e-8 * (leaking.sum(axis=1) - (leaking[:, 0] + leaking[:, -1]) / 2)
    units = np.asarray(CHIP.unit_current(values["vdd"]) / amp)
    flowed_in = drive * units * 259 * 1e-8
    np.testing.assert_allclose(50e-15 * (v[:, -1] - REST) + leaked, flowed_in, rtol=2e-5)


SCENES = {
    "one": (0.75, [(7, 3)]),
    "one at 0.5 V": (0.5, [(7, 7)]),
    "one at 0.61 V": (0.61, [(7, 7)]),
    "one at 1 V": (1.0, [(7, -2)]),
    "apart": (0.75, [(7, 2), (61, 2)]),
    "overlap": (0.75, [(7, 2), (11, 1), (13, 1)]),
    "overlap fires": (0.75, [(7, 7), (11, 5)]),
    "below": (0.75, [(7, 2), (9, 2), (13, 1)]),
    "touch": (0.75, [(7, 6), (17, 6)]),
    "one step apart": (0.75, [(7, 6), (18, 6)]),
    "during a spike": (0.75, [(7, 7), (11, 5), (23, 4)]),
    "cancelled": (0.75, [(7, 7), (7, -7)]),
    "vetoed": (0.75, [(7, 7), (11, 5), (13, -7)]),
}
NAMES = list(SCENES)


@cache
def scenes(comparator):
    chip = CircuitNeuron(comparator=comparator)
    starts, targets, codes = np.array(
        [
            (start, number, code)
            for number, (_, arriving) in enumerate(SCENES.values())
            for start, code in arriving
        ]
    ).T
    in_time = np.argsort(starts, kind="stable")
    size = len(starts)
    source = Spikes("inputs", size, np.arange(size)[in_time], starts[in_time] * DT)
    vdd = np.array([vdd for vdd, _ in SCENES.values()]) * volt
    return simulate(
        Experiment(
            populations=(Population("chip", chip, len(SCENES), {"vdd": vdd}),),
            sources=(source,),
            connections=code_pulses("inputs", "chip", np.arange(size), targets, codes, WIDTH * DT),
            traces=(Trace("chip", ("v",), np.arange(len(SCENES))),),
            duration=120 * DT,
            dt=DT,
            seed=3,
        )
    )


def spike_steps(scene, comparator="clocked"):
    spikes = scenes(comparator).spikes["chip"]
    times = spikes.times[spikes.neurons == NAMES.index(scene)]
    return np.round(np.asarray(times / DT)).astype(int).tolist()


def membrane(scene, comparator="clocked"):
    v = scenes(comparator).trace("chip", "v", NAMES.index(scene))
    return np.asarray(v / volt) - REST


def charged(scene, at):
    """Closed form at the start of step `at`: every pulse charges towards its current times R."""
    vdd, arriving = SCENES[scene]
    unit = float(CHIP.unit_current(vdd * volt) / amp)
    total = 0.0
    for start, code in arriving:
        on = np.clip(at - start - 1, 0, WIDTH)
        since = np.maximum(at - start - 1 - WIDTH, 0)
        total = total + code * unit * 400e6 * (1 - DECAY**on) * DECAY**since
    return total


@pytest.mark.parametrize(
    "scene", ["one", "one at 0.5 V", "one at 0.61 V", "one at 1 V", "apart", "overlap", "below"]
)
def test_pulses_charge_and_leak_as_their_closed_form_and_add_up(scene):
    np.testing.assert_allclose(membrane(scene), charged(scene, np.arange(120)), atol=1e-13)


def test_the_end_of_one_pulse_is_the_step_of_its_code():
    assert membrane("one")[18] == pytest.approx(3 * float(CHIP.step(0.75 * volt) / volt), rel=1e-9)
    assert membrane("one").argmax() == 18


def test_opposite_pulses_cancel():
    np.testing.assert_allclose(membrane("cancelled"), 0, atol=1e-15)


def test_the_clocked_comparator_decides_when_the_last_overlapping_pulse_has_ended():
    assert spike_steps("overlap fires") == [22]


def test_the_continuous_comparator_fires_as_soon_as_the_threshold_is_reached():
    # 14 mV a step from step 8, 24 mV a step from step 12: 104 mV at step 13, before the leak.
    assert spike_steps("overlap fires", "continuous") == [13]


def test_a_sum_just_below_threshold_never_fires():
    assert 0.098 < charged("below", np.arange(120)).max() < 0.1
    assert spike_steps("below") == []
    assert spike_steps("below", "continuous") == []


def test_touching_pulses_are_one_to_the_comparator():
    assert spike_steps("touch") == [28]


def test_one_step_between_pulses_is_enough_to_decide():
    assert spike_steps("one step apart") == [18]


def test_inhibition_that_arrives_in_time_vetoes_a_spike_of_the_clocked_comparator_alone():
    assert spike_steps("vetoed", "continuous") == [13]
    assert charged("vetoed", 24) < 0.1
    assert spike_steps("vetoed") == []


def test_the_membrane_is_held_at_reset_for_the_width_of_a_spike():
    v = membrane("overlap fires")
    assert v[22] > 0.1
    np.testing.assert_array_equal(v[23:], 0)


def test_charge_that_arrives_during_a_spike_is_lost():
    assert spike_steps("during a spike") == [22]
    v = membrane("during a spike")
    np.testing.assert_allclose(v[23:33], 0, atol=1e-15)
    # Of the pulse on during steps 24 to 33, steps 32 and 33 come after the spike of step 22.
    unit = float(CHIP.unit_current(0.75 * volt) / amp)
    assert v[34] == pytest.approx(4 * unit * 400e6 * (1 - DECAY**2), rel=1e-9)


NEAR_SUPPLY = np.array([0.62, 0.75, 0.98])


@cache
def driven_high(law, modulation):
    """One unit pushed for 900 steps onto a membrane whose threshold is out of reach, or pulled."""
    chip = CircuitNeuron(
        law=law,
        output="mosfet",
        channel_modulation=modulation / volt,
        v_th=5 * volt,
        R_leak=1e12 * ohm,
    )
    vdd = np.tile(NEAR_SUPPLY, 2) * volt
    values = {"up": np.repeat([7, 0], 3), "down": np.repeat([0, 7], 3), "vdd": vdd}
    return chip, alone(chip, values, 900, "v", "I_up", "I_down", "energy")[1]


@pytest.mark.parametrize("law", LAWS)
def test_a_transistor_pushes_the_membrane_up_to_its_supply_and_no_further(law):
    _, (v, pushed, _, _) = driven_high(law, 0.0)
    np.testing.assert_allclose(v[:3, -1], NEAR_SUPPLY, atol=4e-3)
    assert (v[:3] <= NEAR_SUPPLY[:, None] + 1e-9).all()
    assert (np.diff(pushed[:3], axis=1) <= 1e-20).all()


@pytest.mark.parametrize("law", LAWS)
def test_a_transistor_pulls_the_membrane_down_to_ground_and_no_further(law):
    _, (v, _, _, _) = driven_high(law, 0.0)
    assert (v[3:, -1] > -1e-9).all()
    assert (v[3:, -1] < 4e-3).all()


def test_a_square_law_transistor_leaves_saturation_one_overdrive_from_its_supply():
    chip, (v, pushed, _, _) = driven_high("square", 0.0)
    unit = np.asarray(chip.unit_current(NEAR_SUPPLY * volt) / amp)
    overdrive = NEAR_SUPPLY - unit * 20e6 - 0.35
    drop = NEAR_SUPPLY[:, None] - v[:3]
    share = 1 - np.maximum(1 - drop / overdrive[:, None], 0) ** 2
    np.testing.assert_allclose(pushed[:3] / (7 * unit[:, None]), share, atol=1e-12)
    assert (drop[:, 0] > overdrive).all()


def test_a_saturated_transistors_current_rises_with_drain_voltage():
    chip, (v, pushed, _, _) = driven_high("square", 0.23)
    unit = np.asarray(chip.unit_current(NEAR_SUPPLY * volt) / amp)
    gate = NEAR_SUPPLY - unit * 20e6
    drop = NEAR_SUPPLY - v[:3, 0]
    expected = 7 * unit * (1 + 0.23 * drop) / (1 + 0.23 * gate)
    np.testing.assert_allclose(pushed[:3, 0], expected, rtol=1e-12)


def test_the_supply_pays_for_what_is_pushed_and_not_for_what_is_pulled():
    _, (_, pushed, _, energy) = driven_high("square", 0.0)
    charge = 1e-8 * np.cumsum((pushed[:, :-1] + pushed[:, 1:]) / 2, axis=1)
    np.testing.assert_allclose(energy[:3, 1:], NEAR_SUPPLY[:, None] * charge[:3], rtol=2e-3)
    assert not energy[3:].any()


# What loads a supply: all references, or those whose pulses are on.
@pytest.mark.parametrize(("kind", "load"), [("always", "built"), ("pulsed", "mirrors")])
@pytest.mark.parametrize("law", LAWS)
def test_a_resistance_in_the_supply_loads_every_mirror_with_all_that_conducts(law, kind, load):
    settings = {"law": law, "references": kind}
    onto, references = np.array([0.0, 3.0, 11.0]), np.array([1.0, 1.0, 4.0])
    values = {"mirrors": references, "built": 13 + references, load: references}
    values |= {"up": onto, "vdd": [0.93] * 3 * volt}
    chip = CircuitNeuron(R_supply=17 * Mohm, **settings)
    _, (own, energy) = alone(chip, values, 2, "I_reference", "energy")
    # A reference's own load and its share of the supply's are in series.
    loads = chip.R_S + 17 * Mohm * (onto + references)
    alike = [CircuitNeuron(R_S=load, **settings) for load in loads]
    expected = np.array([float(c.unit_current(0.93 * volt) / amp) for c in alike])
    np.testing.assert_allclose(own[:, 1], references * expected, rtol=1e-5)
    assert expected[2] < 0.2 * float(chip.unit_current(0.93 * volt) / amp)
    np.testing.assert_allclose(
        energy[:, 1], 0.93 * (onto + references) * expected * float(DT), rtol=1e-5
    )


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("modulation", [0, 0.13])
def test_transistors_load_their_supply_by_what_they_push_at_their_real_drain(law, modulation):
    # From far below the supply to beyond it; so large a capacitor that the membrane stays there.
    near = [0.25, 0.52, 0.7, 0.79, 0.86, 0.97]
    values = {
        "up": [11.0] * 6,
        "mirrors": [2.0] * 6,
        "built": [2.0] * 6,
        "vdd": [0.93] * 6 * volt,
        "v": near * volt,
    }
    settings = {"law": law, "output": "mosfet", "channel_modulation": modulation / volt}
    chip = CircuitNeuron(R_supply=1.7 * Mohm, C=1 * uF, v_th=1.1 * volt, **settings)
    _, (rail, pushed, own) = alone(chip, values, 2, "V_rail", "I_up", "I_reference")
    rail, pushed, own = rail[:, 1], pushed[:, 1], own[:, 1]
    np.testing.assert_allclose(0.93 - rail, 1.7e6 * (pushed + own), rtol=1e-6)
    # A reference only sees what is left of its supply.
    np.testing.assert_allclose(own, 2 * chip.unit_current(rail * volt) / amp, rtol=1e-9)
    # Saturated transistors would push 11 units whatever the membrane's potential.
    share = pushed / (11 * own / 2)
    assert abs(share[0] - 1) < (0.01 if modulation == 0 else 0.1)
    assert np.all(np.diff(share) < 1e-6)
    assert share[3] < 0.95
    assert share[-1] < 0


def test_references_that_stay_on_draw_between_pulses_what_no_pulse_draws():
    values = {"up": [3.0], "mirrors": [2.0], "built": [5.0], "vdd": [0.83] * volt}
    _, (energy, idle) = alone(CHIP, values, 40, "energy", "idle")
    unit = float(CHIP.unit_current(0.83 * volt) / amp)
    assert energy[0, -1] == pytest.approx(39e-8 * 0.83 * (3 + 2) * unit, rel=1e-9)
    assert idle[0, -1] == pytest.approx(39e-8 * 0.83 * (5 - 2) * unit, rel=1e-9)


def test_a_current_that_the_supply_cannot_give_is_never_drawn():
    chip = CircuitNeuron(R_supply=500 * Mohm, bits=6)
    values = {"up": [63.0], "mirrors": [1.0], "built": [1.0], "vdd": [1.0] * volt}
    _, (onto, own) = alone(chip, values, 2, "I_up", "I_reference")
    assert 0 < (onto + own)[0, 1] * 500e6 < 1 - 0.35


def two_domains(values, **settings):
    return alone(CircuitNeuron(**settings), values, 40, "v", "energy")[1]


def test_domains_add_their_currents_each_at_its_own_supply():
    soma = {"up_soma": [3.0], "mirrors_soma": [1.0], "vdd_soma": [0.91] * volt}
    tuft = {"down_tuft": [2.0], "mirrors_tuft": [1.0], "vdd_tuft": [0.64] * volt}
    v, energy = two_domains(soma | tuft)
    soma, tuft = np.asarray(CHIP.unit_current([0.91, 0.64] * volt) / amp)
    net = 3 * soma - 2 * tuft
    assert v[0, -1] - REST == pytest.approx(net * 400e6 * (1 - DECAY**39), rel=1e-9)
    assert energy[0, -1] == pytest.approx(39e-8 * (0.91 * 4 * soma + 0.64 * tuft), rel=1e-9)


@pytest.mark.parametrize("output", ["ideal", "mosfet"])
def test_domains_at_one_supply_are_one_supply(output):
    supplies = {"vdd_soma": [0.8] * volt, "vdd_tuft": [0.8] * volt}
    codes = {"up_soma": [3.0], "up_tuft": [1.0], "down_tuft": [2.0]}
    split = two_domains(supplies | codes, output=output, R_leak=313 * Mohm)[0]
    chip = CircuitNeuron(output=output, R_leak=313 * Mohm)
    whole = alone(chip, {"up": [4.0], "down": [2.0], "vdd": [0.8] * volt}, 40, "v")[1][0]
    np.testing.assert_allclose(split, whole, rtol=1e-12)


def test_the_clock_ticks_when_the_nor_of_inputs_and_own_spike_rises():
    # Scenes of one decision each unless pulses are apart; an own spike ends with one more.
    totals = scenes("clocked").totals["chip"]["clocks"]
    expected = dict.fromkeys(NAMES, 1) | {"apart": 2, "overlap fires": 2, "touch": 2}
    # The spike of the first pulse is just beginning when the second pulse comes.
    expected |= {"one step apart": 2, "one at 0.61 V": 1, "during a spike": 2}
    assert dict(zip(NAMES, totals.astype(int).tolist(), strict=True)) == expected


def driven(dt, steps, up, **settings):
    """Steps at which a neuron under constant current fires, as times, seconds."""
    chip = CircuitNeuron(comparator="continuous", **settings)
    chips = Population("chip", chip, 1, {"up": up, "vdd": 0.83 * volt})
    experiment = Experiment(populations=(chips,), duration=steps * dt, dt=dt)
    return np.asarray(simulate(experiment).spikes["chip"].times / second)


@pytest.mark.parametrize("up", [2.3, 7.0, 31.0])
def test_a_train_of_the_continuous_comparator_keeps_time_however_long(up):
    # Released from reset it takes tau*ln(x/(x - 1)) for a drive of x swings, then t_spike.
    drive = up * float(CircuitNeuron().unit_current(0.83 * volt) / amp) * 400e6 / 0.1
    to_threshold = 20e-6 * np.log(drive / (drive - 1))
    spikes = driven(10 * nsecond, 4000, up)
    expected = to_threshold + np.arange(len(spikes)) * (to_threshold + 100e-9)
    assert len(spikes) > 20
    # Recorded at the start of the step in which it lies; within it the membrane is no straight
    # line, which adds dt**2/(8*tau) for each spike.
    curved = np.arange(1, len(spikes) + 1) * 2 * 10e-9**2 / (8 * 20e-6)
    assert np.all(np.abs(expected - spikes - 5e-9) < 5e-9 + curved)


def test_crossings_are_found_under_a_leak_that_is_not_linear():
    coarse = driven(10 * nsecond, 1500, 4.7, leak="symmetric", R_leak=133 * Mohm)
    fine = driven(1 * nsecond, 15000, 4.7, leak="symmetric", R_leak=133 * Mohm)
    assert len(fine) > 20
    np.testing.assert_allclose(coarse, fine, atol=10.1e-9)


def test_transistors_of_single_neurons_are_solved_at_the_supplies_of_all_their_domains():
    values = {"vto": [0.33, 0.38] * volt, "vdd_soma": 0.7 * volt, "vdd_tuft": 0.83 * volt}
    found = Population("chip", CHIP, 2, values).completed
    for name, vdd in (("soma", 0.7), ("tuft", 0.83)):
        expected = [float(CircuitNeuron(vto=t).unit_current(vdd * volt)) for t in values["vto"]]
        np.testing.assert_allclose(found[f"I_unit_{name}"] / amp, expected)


@pytest.mark.parametrize("output", ["ideal", "mosfet"])
@pytest.mark.parametrize("law", LAWS)
def test_transistors_of_single_neurons_are_those_of_circuits_that_have_them(law, output):
    # Of three neurons; with a drop in the supply, which is solved during the run.
    own = {
        "vto": [0.33, 0.35, 0.38] * volt,
        "beta": [0.41, 0.5, 0.57] * uA / volt**2,
        "R_S": [17, 20, 29] * Mohm,
    }
    modulation = (0.11 if output == "mosfet" else 0) / volt
    settings = {"law": law, "output": output, "R_supply": 1.3 * Mohm}
    settings |= {"channel_modulation": modulation}
    inputs = {"up": [3.0], "down": [1.0], "mirrors": [2.0], "built": [2.0]}
    values = {name: value * 3 for name, value in inputs.items()} | {"vdd": [0.8] * 3 * volt}
    _, (v, energy) = alone(CircuitNeuron(**settings), values | own, 7, "v", "energy")
    for n in range(3):
        chip = CircuitNeuron(**settings, **{name: value[n] for name, value in own.items()})
        alike = alone(chip, inputs | {"vdd": [0.8] * volt}, 7, "v", "energy")[1]
        np.testing.assert_allclose(v[n], alike[0][0], rtol=1e-12)
        np.testing.assert_allclose(energy[n], alike[1][0], rtol=1e-12)


def test_mirrors_of_single_neurons_are_solved_with_their_own_transistors():
    vto = np.array([0.33, 0.35, 0.38]) * volt
    values = {"up": [2.0] * 3, "vdd": [0.8] * 3 * volt, "vto": vto}
    _, (pushed,) = alone(CHIP, values, 2, "I_up")
    expected = [float(CircuitNeuron(vto=t).unit_current(0.8 * volt) / amp) for t in vto]
    np.testing.assert_allclose(pushed[:, 0], 2 * np.array(expected), rtol=1e-12)


def test_a_bias_of_550_mv_starves_the_delay_cells_to_the_default_width_of_a_spike():
    # 10 nA take 2 fF to half of 1 V in 100 ns.
    assert float(CHIP.spike_width(0.55 * volt) / nsecond) == pytest.approx(100, rel=1e-12)
    assert float(CHIP.bias_for(CHIP.t_spike) / volt) == pytest.approx(0.55, rel=1e-12)


def test_a_spike_shortens_with_the_square_of_the_bias_above_threshold():
    chip = CircuitNeuron(vto=0.31 * volt, C_delay=3.7 * ffarad, V_core=0.9 * volt)
    widths = chip.spike_width([0.41, 0.51, 0.71] * volt)
    expected = 3.7e-15 * 0.45 / (0.25e-6 * 0.1**2)
    np.testing.assert_allclose(widths / second, expected / np.array([1, 4, 16]), rtol=1e-12)


@pytest.mark.parametrize("output", ["ideal", "mosfet"])
def test_below_threshold_a_spike_lengthens_by_e_for_each_slope_of_the_bias(output):
    # Deep below threshold, from vto on in units of 2*n*U_T: I = I_spec*exp(2x).
    chip = CircuitNeuron(law="ekv", output=output, channel_modulation=0.2 / volt)
    slope = 1.5 * 1.380649e-23 * 300 / 1.602176634e-19
    far, further = chip.spike_width([0.35 - 12 * slope, 0.35 - 13 * slope] * volt)
    assert float(further / far) == pytest.approx(np.e, rel=3e-3)


@settings(deadline=None)
@given(mirrors, st.sampled_from(LAWS), st.floats(-9, -5))
def test_the_bias_for_a_width_is_the_bias_that_gave_it(chip, law, log_width):
    chip = replace(chip, law=law)
    width = 10**log_width * second
    assert float(chip.spike_width(chip.bias_for(width)) / width) == pytest.approx(1, rel=1e-6)


def test_a_bias_at_threshold_gives_no_spike_an_end():
    with pytest.raises(UserError, match=r"without current: above 0\.35 V was expected"):
        CHIP.spike_width([0.5, 0.35] * volt)


def test_one_temperature_carries_threshold_mobility_slope_and_leak():
    warm = CircuitNeuron(temperature=361 * kelvin, leak="symmetric", law="ekv")
    ratio, slope = 361 / 300, 1.5 * 1.380649e-23 * 361 / 1.602176634e-19
    same = CircuitNeuron(
        **{"leak": "symmetric", "law": "ekv", "temperature": 361 * kelvin},
        T_nominal=361 * kelvin,
        vto=0.35 * volt - 61 * mV,
        beta=0.5 * ratio**-1.5 * uA / volt**2,
        # A transistor below threshold, whose current goes as beta*U_T**2*exp(-vto/(n*U_T)).
        R_leak=400 * Mohm * ratio**0.5 * np.exp((0.35 - 0.061) / slope - 0.35 * ratio / slope),
    )
    values = {
        "up": [3.0, 0.0],
        "down": [0.0, 2.0],
        "vdd": [0.8, 0.7] * volt,
        "v": [0.29, 0.3] * volt,
    }
    # Brian2's constants of nature are those of 2014.
    (found,), (expected,) = (alone(chip, values, 9, "v")[1] for chip in (warm, same))
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    assert warm.bias_for(113 * nsecond) == same.bias_for(113 * nsecond)


def test_what_is_given_for_single_neurons_holds_at_the_nominal_temperature():
    own = {
        "vto": [0.31, 0.36] * volt,
        "beta": [0.4, 0.6] * uA / volt**2,
        "R_leak": [333, 415] * Mohm,
    }
    values = {"up": [3.0, 2.0], "vdd": [0.8, 0.7] * volt, "v": [0.29, 0.21] * volt}
    warm = {"temperature": 341 * kelvin, "output": "mosfet"}
    _, (v,) = alone(CircuitNeuron(**warm), values | own, 9, "v")
    for n in range(2):
        chip = CircuitNeuron(**warm, **{name: value[n] for name, value in own.items()})
        # The leak's transistor is that of the design.
        factor = CircuitNeuron(**warm).leak_resistance / (400 * Mohm)
        chip = replace(
            chip, R_leak=own["R_leak"][n] * factor / (chip.leak_resistance / chip.R_leak)
        )
        alike = alone(chip, {name: value[n : n + 1] for name, value in values.items()}, 9, "v")[1][
            0
        ]
        np.testing.assert_allclose(v[n], alike[0], rtol=1e-12)


def test_a_threshold_that_warmth_takes_below_nothing_is_refused():
    with pytest.raises(UserError, match=r"At temperature = 660 K vto is -10 mV, below 0 V"):
        CircuitNeuron(temperature=660 * kelvin)


SPREAD = {"corner_vto": 23 * mV, "corner_beta": 0.13}
DRIVEN = {
    "up": [3.0, 0.0, 2.0],
    "down": [0.0, 2.0, 4.0],
    "mirrors": [1.0, 1.0, 3.0],
    "built": [3.0, 2.0, 4.0],
    "vdd": [0.83, 0.71, 0.94] * volt,
    "v": [0.29, 0.31, 0.22] * volt,
}
# Of the references those of negative codes.
N_TYPE = {"n_mirrors": [0.0, 1.0, 2.0], "n_built": [1.0, 2.0, 2.0]}


def of_speed(speed, p_speed=None, **settings):
    """A circuit of typical transistors with the values of fast or slow ones, by hand."""
    p_speed = speed if p_speed is None else p_speed
    slope = 1.5 * 1.380649e-23 * 300 / 1.602176634e-19
    return CircuitNeuron(
        vto=0.35 * volt - speed * 23 * mV,
        beta=0.5 * 1.13**speed * uA / volt**2,
        R_leak=400 * Mohm * np.exp(-p_speed * 0.023 / slope) / 1.13**p_speed,
        **settings,
    )


OUTPUTS = [
    {"law": "square"},
    {"law": "ekv", "leak": "symmetric"},
    {"law": "square", "output": "mosfet", "leak": "one_sided"},
    {"law": "ekv", "output": "mosfet", "channel_modulation": 0.17 / volt},
]


@pytest.mark.parametrize("settings", OUTPUTS)
@pytest.mark.parametrize(("corner", "speed"), [("TT", 0), ("FF", 1), ("SS", -1)])
def test_where_both_types_are_alike_a_corner_is_other_values(corner, speed, settings):
    chip = CircuitNeuron(corner=corner, **SPREAD, **settings)
    assert chip.equations == CircuitNeuron(**settings).equations
    found = alone(chip, DRIVEN, 9, "v", "energy", "idle")[1]
    expected = alone(of_speed(speed, **settings), DRIVEN, 9, "v", "energy", "idle")[1]
    # Brian2's constants of nature are those of 2014.
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("settings", OUTPUTS)
@pytest.mark.parametrize(("corner", "n", "p"), [("FS", 1, -1), ("SF", -1, 1)])
def test_at_a_skewed_corner_what_pushes_and_what_pulls_are_of_other_circuits(
    corner, n, p, settings
):
    chip = CircuitNeuron(corner=corner, **SPREAD, **settings)
    names = ("v", "I_up", "I_down", "I_reference", "I_idle", "I_leak")
    _, (v, up, down, reference, idle, leak) = alone(chip, DRIVEN | N_TYPE, 9, *names)
    v = v[:, :1]

    def at(speed, *names):
        found = alone(of_speed(speed, p, **settings), DRIVEN | {"v": v[:, 0] * volt}, 2, *names)
        return [values[:, 0] for values in found[1]]

    pushed, pushing, resting, leaking = at(p, "I_up", "I_reference", "I_idle", "I_leak")
    pulled, pulling, drawing = at(n, "I_down", "I_reference", "I_idle")
    np.testing.assert_allclose(up[:, 0], pushed, rtol=1e-9)
    np.testing.assert_allclose(down[:, 0], pulled, rtol=1e-9)
    np.testing.assert_allclose(leak[:, 0], leaking, rtol=1e-6)
    mirrors, built = np.array(DRIVEN["mirrors"]), np.array(DRIVEN["built"])
    n_mirrors, n_built = (np.array(N_TYPE[name]) for name in ("n_mirrors", "n_built"))
    p_unit, n_unit = pushing / mirrors, pulling / mirrors
    assert ((n_unit > p_unit) == (n > p)).all()
    expected = (mirrors - n_mirrors) * p_unit + n_mirrors * n_unit
    np.testing.assert_allclose(reference[:, 0], expected, rtol=1e-9)
    all_of_them = (built - n_built) * p_unit + n_built * n_unit
    np.testing.assert_allclose(idle[:, 0], all_of_them - expected, rtol=1e-9)
    # Where all that a neuron has is of one type.
    np.testing.assert_allclose(idle[1, 0], drawing[1], rtol=1e-9)
    np.testing.assert_allclose((built - mirrors) * p_unit, resting, rtol=1e-9)


@pytest.mark.parametrize("references", ["always", "pulsed"])
@pytest.mark.parametrize("settings", OUTPUTS)
@pytest.mark.parametrize(
    ("corner", "n", "p"), [("FS", 1, -1), pytest.param("SF", -1, 1, marks=pytest.mark.thorough)]
)
def test_at_a_skewed_corner_both_types_see_what_is_left_of_a_supply(
    corner, n, p, settings, references
):
    settings = settings | {"references": references}
    # So large a capacitor that the membrane stays where transistors saw it.
    chip = CircuitNeuron(corner=corner, R_supply=1.7 * Mohm, C=1 * uF, **SPREAD, **settings)
    names = ("I_up", "I_down", "I_reference", "I_idle")
    found = alone(chip, DRIVEN | N_TYPE, 3, *names)[1]
    up, down, reference, idle = (values[:, 1] for values in found)
    own = reference + (idle if references == "always" else 0)
    rail = np.asarray(DRIVEN["vdd"] / volt) - 1.7e6 * (up + own)
    assert (rail < np.asarray(DRIVEN["vdd"] / volt) - 0.01).all()
    p_unit, n_unit = (
        np.asarray(of_speed(speed, p, **settings).unit_current(rail * volt) / amp)
        for speed in (p, n)
    )
    mirrors, n_mirrors = np.array(DRIVEN["mirrors"]), np.array(N_TYPE["n_mirrors"])
    built, n_built = np.array(DRIVEN["built"]), np.array(N_TYPE["n_built"])
    expected = (mirrors - n_mirrors) * p_unit + n_mirrors * n_unit
    np.testing.assert_allclose(reference, expected, rtol=1e-6)
    every = (built - n_built) * p_unit + n_built * n_unit
    np.testing.assert_allclose(reference + idle, every, rtol=1e-6)
    if "output" not in settings:
        np.testing.assert_allclose(up, np.array(DRIVEN["up"]) * p_unit, rtol=1e-6)
        np.testing.assert_allclose(down, np.array(DRIVEN["down"]) * n_unit, rtol=1e-6)


def test_synapses_tell_n_type_mirrors_apart_where_they_differ():
    counted = {}
    for corner in ("FS", "TT"):
        chips = Population("chip", CircuitNeuron(corner=corner, **SPREAD), 2, {"vdd": 0.8 * volt})
        inputs = Spikes("inputs", 3, np.zeros(0, dtype=int), np.zeros(0) * second)
        i, j = np.array([0, 1, 2, 0]), np.array([0, 0, 0, 1])
        pulses = code_pulses("inputs", "chip", i, j, [3, -2, -1, 4], 100 * nsecond)
        wired = Experiment(
            populations=[chips], sources=[inputs], connections=pulses, duration=20 * DT, dt=DT
        )
        counted[corner] = wired.populations[0].wired
        assert ("n_mirrors" in {c.variable for c in wired.connections}) == (corner == "FS")
    np.testing.assert_array_equal(counted["FS"]["built"], [3, 1])
    np.testing.assert_array_equal(counted["FS"]["n_built"], [2, 0])
    assert counted["TT"].keys() == {"built"}


def test_codes_that_pull_count_by_what_their_mirrors_conduct():
    chip, vdd = CircuitNeuron(corner="SF", **SPREAD), [0.62, 0.9] * volt
    pulled = of_speed(-1).unit_current(vdd) / of_speed(1).unit_current(vdd)
    found = chip.pushed(np.array([3.0, -2.5]), vdd)
    np.testing.assert_allclose(found, [3, -2.5 * pulled[1]], rtol=1e-12)
    np.testing.assert_allclose(chip.unit_current(vdd), of_speed(1).unit_current(vdd), rtol=1e-12)
    np.testing.assert_array_equal(CHIP.pushed(np.array([3, -2]), vdd), [3, -2])


def test_the_core_leaks_as_the_mean_of_both_types():
    slope = 1.5 * 1.380649e-23 * 300 / 1.602176634e-19
    fast = 1.13 * np.exp(0.023 / slope)
    chip = CircuitNeuron(corner="FS", **SPREAD)
    assert chip.leakage_growth == pytest.approx((fast + 1 / fast) / 2, rel=1e-6)
    assert float(chip.leak_resistance / Mohm) == pytest.approx(400 * fast, rel=1e-6)


def test_the_starved_transistor_of_the_spike_generator_is_n_type():
    chip = CircuitNeuron(corner="FS", **SPREAD)
    assert chip.bias_for(113 * nsecond) == of_speed(1).bias_for(113 * nsecond)
    assert chip.spike_width(0.5 * volt) == of_speed(1).spike_width(0.5 * volt)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"corner": "FT"}, "corner"),
        ({"corner": "FS", "R_domain": 1 * Mohm}, "corner=FS makes mirrors that push and pull"),
        ({"corner": "SF", "C_gate": 3 * ffarad}, "leave out C_gate and R_domain"),
        ({"corner": "FF", "corner_vto": 0.4 * volt}, "and corner FF vto is -50 mV, below 0 V"),
        ({"corner": "SF", "corner_vto": 0.41 * volt}, "vto is -60 mV, below 0 V"),
        (
            {"corner": "FS", "vto": 0.68 * volt, "corner_vto": 0.08 * volt},
            r"vto = 0\.76 V must lie",
        ),
    ],
)
def test_corners_that_cannot_be_are_refused(settings, problem):
    with pytest.raises(UserError, match=problem):
        CircuitNeuron(**settings)


def one_pulse(code, at=(5,), steps=60, **settings):
    """A neuron's membrane, mV, and the steps at which it fires, under pulses of one synapse."""
    circuit = CircuitNeuron(**settings)
    none = np.zeros(1, dtype=int)
    experiment = Experiment(
        populations=[Population("chip", circuit, 1, {"vdd": 0.75 * volt})],
        sources=[Spikes("inputs", 1, np.zeros(len(at), dtype=int), np.array(at) * DT)],
        connections=code_pulses("inputs", "chip", none, none, code, circuit.t_pulse),
        traces=[Trace("chip", ("v",), none)],
        duration=steps * DT,
        dt=DT,
    )
    found = simulate(experiment)
    fired = np.round(np.asarray(found.spikes["chip"].times / DT)).astype(int).tolist()
    return np.asarray(found.trace("chip", "v", 0) / mV), fired


@pytest.mark.parametrize("delay", [1, 4, 10])
def test_a_late_comparator_fires_later_and_decides_as_before(delay):
    _, (plain,) = one_pulse(7)
    v, (late,) = one_pulse(7, t_comparator=delay * DT)
    assert late == plain + delay
    # Until then the membrane is free.
    assert v[late] > 380
    assert v[late + 1] == pytest.approx(250)
    assert one_pulse(4, t_comparator=delay * DT)[1] == []


def test_a_kick_comes_as_the_clock_rises_and_goes_as_it_falls():
    kicked, plain = one_pulse(3, Q_kick=0.31 * fcoulomb)[0], one_pulse(3)[0]
    apart = kicked - plain
    # 0.31 fC on 50 fF are 6.2 mV. The clock is high at rest and low during the pulse.
    assert not apart[:7].any()
    np.testing.assert_allclose(apart[7:17], -6.2 * DECAY ** np.arange(1, 11), rtol=1e-9)
    np.testing.assert_allclose(
        apart[17:], (-6.2 * DECAY**10 + 6.2) * DECAY ** np.arange(1, 44), atol=1e-9
    )


def test_a_kick_does_not_decide_for_itself():
    # 100 mV above rest within 0.4 mV: 6 mV of kick would do.
    assert one_pulse(5, v_th=350.2 * mV, Q_kick=0.31 * fcoulomb)[1] == []
    assert one_pulse(5, v_th=343 * mV, Q_kick=-0.31 * fcoulomb)[1] == [16]


@pytest.mark.parametrize("charge", [0.5, -0.37])
def test_a_reset_leaves_its_charge_when_the_switch_opens(charge):
    # 0.5 fC on 50 fF are 10 mV.
    v, (fired,) = one_pulse(7, Q_reset=charge * fcoulomb)
    assert v[fired + 1 : fired + 11] == pytest.approx(np.full(10, 250.0))
    after = 1e3 * charge / 50
    np.testing.assert_allclose(
        v[fired + 11 :] - 250, after * DECAY ** np.arange(1, 60 - fired - 10)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"t_comparator": 20 * nsecond, "comparator": "continuous"}, "use comparator=clocked"),
        ({"Q_kick": 1 * fcoulomb, "comparator": "continuous"}, "use comparator=clocked"),
        ({"t_comparator": 110 * nsecond}, r"t_comparator = 110\. ns must be at most t_pulse"),
        ({"C_domain": 1 * ffarad}, "give R_domain as well"),
        ({"references": "pulse"}, "did you mean pulsed"),
    ],
)
def test_options_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Population("chip", CircuitNeuron(**settings), 1, {"vdd": 0.75 * volt})


def test_an_experiment_counts_the_mirrors_of_its_neurons():
    experiment = Experiment(
        populations=[Population("chip", CHIP, 3)],
        sources=[Spikes("inputs", 2, np.zeros(0, dtype=int), [] * second)],
        connections=code_pulses("inputs", "chip", [0, 1, 1], [0, 0, 2], [3, -2, 0], 100 * nsecond),
        duration=3 * DT,
        dt=DT,
    )
    # A synapse of code 0 has none.
    assert experiment.populations[0].completed["built"].tolist() == [2, 0, 0]
    given = Population("chip", CHIP, 3, {"built": [5, 5, 5]})
    own = replace(experiment, populations=[given]).populations[0]
    assert np.asarray(own.completed["built"]).tolist() == [5, 5, 5]


@pytest.mark.parametrize("R_leak", [400, 2])
@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_a_decision_is_taken_as_the_pulse_ends_however_long_the_time_step_is(R_leak, steps):
    # What code 5 leaves on the membrane as its pulse ends: enough by a millionth, or too little.
    chip = CircuitNeuron(R_leak=R_leak * Mohm)
    left = 5 * chip.step(0.75 * volt)
    for share, count in ((1 - 1e-6, 1), (1 + 1e-6, 0)):
        v_th = chip.v_rest + share * left
        own = replace(chip, v_th=v_th)
        wires = code_pulses("inputs", "chip", [0], [0], 5, own.t_pulse)
        experiment = Experiment(
            populations=[Population("chip", own, 1, {"vdd": 0.75 * volt})],
            sources=[Spikes("inputs", 1, np.array([0]), [100] * nsecond)],
            connections=wires,
            duration=400 * nsecond,
            dt=100 * nsecond / steps,
        )
        assert len(simulate(experiment).spikes["chip"].times) == count


@pytest.mark.parametrize("heat", [3, 4])
def test_a_leak_that_is_frozen_is_refused(heat):
    with pytest.raises(UserError, match="leak conducts nothing"):
        Population("chip", CircuitNeuron(temperature=heat * kelvin), 1)
