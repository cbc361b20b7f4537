"""A table of a mirror passes through its points, rises, is inverted exactly, and drives neurons."""

import numpy as np
import pytest
from brian2 import Mohm, amp, kelvin, nA, nsecond, ohm, second, uA, volt
from brian2.units.allunits import ffarad
from hypothesis import given, settings, strategies as st

from neuromod.chip.conversion import Design, deploy, gain_of, reachable_gains, vdd_of
from neuromod.chip.pulses import code_pulses
from neuromod.devices.genn.limits import lacking, obstacles
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.supplies import schedule
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.device_table import MOST_DROPS, DeviceTable
from neuromod.models.mirror import Mirror

THERMAL = 0.025852
VDD = np.linspace(0.43, 1.07, 33)
DROPS = np.array([0, 0.03, 0.06, 0.1, 0.15, 0.22, 0.31, 0.5, 0.8, 1.07])
SLOPE = 1.37
EKV = Mirror("ekv", 0.61e-6, 0.34, 17e6, 2 * SLOPE * THERMAL, 0.11)


def alone(mirror, vdd=VDD):
    return DeviceTable(at_vdd=vdd * volt, unit_current=mirror.current(mirror.overdrive(vdd)) * amp)


def grid(mirror=EKV):
    vdd, drop = np.meshgrid(VDD, DROPS, indexing="ij")
    return mirror.output(mirror.overdrive(vdd), drop, SLOPE)


def with_drops(current):
    return DeviceTable(at_vdd=VDD * volt, at_drop=DROPS * volt, unit_current=current.ravel() * amp)


rising = st.lists(st.floats(0.01, 3), min_size=3, max_size=30).map(
    lambda steps: np.exp(np.cumsum([-25.0, *steps]))
)


@settings(deadline=None)
@given(rising, st.integers(0, 3))
def test_any_rising_currents_are_met_rise_in_between_and_are_inverted(current, silent):
    current = np.concatenate([np.zeros(silent), current])
    vdd = np.linspace(0.47, 1.03, len(current))
    table = DeviceTable(at_vdd=vdd * volt, unit_current=current * amp)
    np.testing.assert_allclose(table.current(vdd), current, rtol=1e-12)
    fine = np.linspace(0.47, 1.03, 1999)
    found = table.current(fine)
    steps = np.diff(found)
    assert np.all(steps >= 0)
    # A step of the supply that is below rounding is none of the current.
    clear = (found > 1e-3 * current[-1]) & (table.slope(fine) > 1e-3 * current[-1])
    np.testing.assert_allclose(table.vdd_for(found[clear]), fine[clear], rtol=1e-10)
    np.testing.assert_allclose(table.current(table.vdd_for(found)), found, rtol=1e-9, atol=0)


def test_exponentials_are_kept_to_a_thousandth_at_fifty_millivolt_a_point():
    mirror = Mirror("ekv", 0.61e-6, 0.49, 1e3, 2 * SLOPE * THERMAL)
    vdd, fine = np.arange(0.2, 0.71, 0.05), np.linspace(0.2, 0.7, 777)
    off = alone(mirror, vdd).current(fine) / mirror.current(mirror.overdrive(fine)) - 1
    assert np.abs(off).max() < 4e-3
    assert np.abs(off[fine < 0.35]).max() < 1e-3


def test_the_slope_is_continuous_at_the_points():
    table = alone(EKV)
    inner = VDD[1:-1]
    before, after = (
        (table.current(inner + side * 1e-7) - table.current(inner)) / (side * 1e-7)
        for side in (-1, 1)
    )
    np.testing.assert_allclose(before, after, rtol=1e-4)
    np.testing.assert_allclose(table.slope(inner), after, rtol=1e-4)


def test_a_square_law_s_threshold_is_where_the_last_point_without_current_is():
    square = Mirror("square", 0.53e-6, 0.55, 11e6, 1.0)
    table = alone(square)
    off = VDD[VDD <= 0.55]
    assert not table.current(off).any()
    assert table.vdd_for(0.0) == pytest.approx(off[-1], abs=1e-12)
    fine = np.linspace(0.43, 1.07, 501)
    exact = square.current(square.overdrive(fine))
    assert np.abs(table.current(fine) - exact).max() < 2e-3 * exact.max()


def test_current_over_both_voltages_is_that_of_the_transistor():
    table = with_drops(grid())
    generator = np.random.default_rng(5)
    vdd, drop = generator.uniform(0.43, 1.07, 400), generator.uniform(0.1, 1.07, 400)
    exact = EKV.output(EKV.overdrive(vdd), drop, SLOPE)
    np.testing.assert_allclose(table.current(vdd, drop), exact, rtol=4e-3)
    np.testing.assert_allclose(table.current(VDD[:, None], DROPS), grid(), rtol=1e-12)
    assert table.vdd_for(table.current(0.777, 0.25), 0.25) == pytest.approx(0.777, abs=1e-12)


def test_pieces_are_the_same_cubic_as_the_current():
    table = with_drops(grid())
    vdd = np.array([0.52, 0.71, 0.98])
    knots, pieces = table.pieces(vdd)
    drop, total = 0.42, np.zeros(3)
    for k, (start, slope, bend, twist) in enumerate(pieces):
        np.testing.assert_allclose(start, table.current(vdd, knots[k]), rtol=1e-12, atol=1e-22)
        part = min(max(drop - knots[k], 0), knots[k + 1] - knots[k])
        total += slope * part + bend * part**2 + twist * part**3
    np.testing.assert_allclose(total, table.current(vdd, drop), rtol=1e-13)
    np.testing.assert_allclose(total, EKV.output(EKV.overdrive(vdd), drop, SLOPE), rtol=4e-3)


def test_nothing_is_extrapolated():
    table = alone(EKV)
    for vdd in (0.42, 1.08):
        with pytest.raises(
            UserError, match=r"outside the table device, which has 0\.43 to 1\.07 V"
        ):
            table.current(vdd)
    with pytest.raises(UserError, match=r"unit current of .* outside the table device, .* nA to"):
        table.vdd_for(1.01 * table.current(1.07))
    with pytest.raises(UserError, match=r"\(neuron 2\)"):
        table.current(np.array([0.5, 0.6, 1.2]))
    with pytest.raises(UserError, match=r"v = 1\.2 V is outside .* 0 V to 1\.07 V"):
        with_drops(grid()).current(0.8, 1.2)


def changed(place, value):
    current = grid().copy()
    current[place] = value
    return current


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"at_vdd": [0.5, 0.6, 0.6, 0.7] * volt}, r"vdd of device must rise, .* 0\.6 to 0\.6 V"),
        ({"unit_current": [1, 2, 2, 3] * nA}, r"goes from 2 nA to 2 nA between vdd = 0\.65 V"),
        ({"unit_current": [1, 2, 0, 3] * nA}, r"from 2 nA to 0 nA between vdd = 0\.65 V and 0\.8"),
        ({"unit_current": [0, 0, 0, 0] * nA}, "no current at its highest supply"),
        ({"unit_current": [-1, 2, 3, 4] * nA}, "at least 0 nA"),
        ({"unit_current": [1, 2, 3] * nA}, "3 currents, and needs 4 x 1"),
        ({"at_vdd": [0.5, 0.6, 0.7] * volt}, "4 to 10000 supplies, and device has 3"),
        ({"unit_current": [1, np.nan, 3, 4] * nA}, "must be finite"),
    ],
)
def test_what_is_no_table_is_refused_with_the_place(values, said):
    with pytest.raises(UserError, match=said):
        DeviceTable(**values)


@pytest.mark.parametrize(
    ("current", "said"),
    [
        (changed((7, 4), 0.5 * grid()[7, 4]), r"vdd = 0\.55 V, v = 0\.15 V and 0\.57 V"),
        (changed((32, 9), 0.5 * grid()[32, 9]), r"v = 0\.8 V and .*|vdd = 1\.05"),
        (changed((4, 0), 0.2 * grid()[4, 9]), r"At v = 0 nothing flows .* at vdd = 0\.51 V"),
    ],
)
def test_a_table_over_both_voltages_is_refused_with_the_place(current, said):
    with pytest.raises(UserError, match=said):
        with_drops(current)


def test_voltages_across_the_transistor_begin_at_none_and_are_not_too_many():
    with pytest.raises(UserError, match=r"must begin at 0 V, not 0\.1 V"):
        DeviceTable(at_drop=[0.1, 0.2] * volt, unit_current=np.arange(1, 9) * nA)
    many = MOST_DROPS + 1
    with pytest.raises(UserError, match=f"41 voltages v at most, .* has {many}"):
        DeviceTable(at_drop=np.linspace(0, 1, many) * volt, unit_current=np.arange(4.0 * many) * nA)


IDEAL = {"law": "ekv", "beta": 0.61 * uA / volt**2, "vto": 0.34 * volt, "R_S": 17 * Mohm}
IDEAL |= {"slope_factor": SLOPE}
NO_MODULATION = Mirror("ekv", 0.61e-6, 0.34, 17e6, 2 * SLOPE * THERMAL)
PAIRS = {
    "ideal": (CircuitNeuron(law="table", table=alone(NO_MODULATION)), CircuitNeuron(**IDEAL)),
    "mosfet": (
        CircuitNeuron(law="table", table=with_drops(grid()), output="mosfet"),
        CircuitNeuron(**IDEAL, output="mosfet", channel_modulation=0.11 / volt),
    ),
}
SUPPLIES = np.array([0.51, 0.66, 0.83, 0.98])
DT = 10 * nsecond


def driven(chip, **values):
    """Neurons at several supplies under pulses that push and pull, overlap and repeat."""
    population = Population("chip", chip, len(SUPPLIES), values)
    who = np.tile(np.arange(3), 12)
    at = np.sort(np.random.default_rng(3).integers(5, 1500, len(who)))
    source = Spikes("inputs", 3, who, at * DT)
    i, j = (side.ravel() for side in np.indices((3, len(SUPPLIES))))
    codes = np.array([7, 5, -3])[i]
    return Experiment(
        populations=(population,),
        sources=(source,),
        connections=code_pulses("inputs", "chip", i, j, codes, chip.t_pulse),
        traces=(Trace("chip", ("v",), range(len(SUPPLIES))),),
        duration=1700 * DT,
        dt=DT,
        seed=1,
    )


@pytest.mark.parametrize("kind", PAIRS)
def test_neurons_with_a_table_spike_as_those_with_the_law_that_it_is_of(kind):
    table, law = (simulate(driven(chip, vdd=SUPPLIES * volt)) for chip in PAIRS[kind])
    assert len(law.spikes["chip"].times) > 10
    np.testing.assert_array_equal(table.spikes["chip"].neurons, law.spikes["chip"].neurons)
    np.testing.assert_allclose(table.spikes["chip"].times, law.spikes["chip"].times)
    off = np.asarray(table.signals["chip"]["v"].values) - np.asarray(
        law.signals["chip"]["v"].values
    )
    assert np.abs(off).max() < 0.3e-3
    # With modulation the law's reference, whose drain is its gate, has another current than rest.
    energy = [np.asarray(found.totals["chip"]["energy"]) for found in (table, law)]
    np.testing.assert_allclose(*energy, rtol=1e-3 if kind == "ideal" else 0.02)


@pytest.mark.thorough
def test_compiled_neurons_look_the_same_table_up():
    run = driven(PAIRS["mosfet"][0], vdd=SUPPLIES * volt)
    runtime, compiled = (simulate(run, device) for device in ("cython", "cpp"))
    np.testing.assert_array_equal(runtime.spikes["chip"].times, compiled.spikes["chip"].times)
    v = [np.asarray(one.signals["chip"]["v"].values) for one in (runtime, compiled)]
    np.testing.assert_allclose(*v, rtol=1e-12)


def test_near_its_supply_a_transistor_of_a_table_pushes_no_further():
    """With a threshold beyond the supply the membrane ends where push and leak hold each other."""
    chip = CircuitNeuron(
        law="table",
        table=with_drops(grid()),
        output="mosfet",
        v_th=1.2 * volt,
        vdd_low=0.45 * volt,
        t_pulse=40_000 * nsecond,
    )
    population = Population("chip", chip, 1, {"vdd": 0.62 * volt})
    source = Spikes("inputs", 1, [0], [0] * second)
    run = Experiment(
        populations=(population,),
        sources=(source,),
        connections=code_pulses("inputs", "chip", [0], [0], np.array([7]), chip.t_pulse),
        traces=(Trace("chip", ("v",), [0]),),
        duration=3900 * DT,
        dt=DT,
        seed=1,
    )
    end = float(simulate(run).signals["chip"]["v"].values[0, -1] / volt)
    assert 0.5 < end < 0.62
    pushed = 7 * chip.table[0].current(0.62, 0.62 - end)
    assert pushed == pytest.approx((end - 0.25) / 400e6, rel=1e-3)


@pytest.mark.parametrize("kind", PAIRS)
def test_gains_supplies_and_deployment_follow_the_table(kind):
    chip, law = PAIRS[kind]
    vdd = np.array([0.53, 0.75, 0.93]) * volt
    gain = gain_of(chip, vdd)
    assert gain[1] == 1
    np.testing.assert_allclose(vdd_of(chip, gain) / volt, vdd / volt, rtol=1e-10)
    np.testing.assert_allclose(gain, gain_of(law, vdd), rtol=0.02)
    low, high = reachable_gains(chip)
    assert low < gain[0] < gain[2] < high
    weight = np.random.default_rng(2).normal(size=(5, 4))
    layers = [
        deploy(one, weight, weight[:, 0], np.linspace(0.5, 1.3, 5), 1.0, Design())
        for one in (chip, law)
    ]
    np.testing.assert_array_equal(layers[0].codes, layers[1].codes)
    np.testing.assert_allclose(layers[0].vdd / volt, layers[1].vdd / volt, atol=0.01)


def test_a_table_may_have_a_range_of_supplies_of_its_own():
    vdd = np.linspace(0.3, 0.6, 13)
    chip = CircuitNeuron(
        law="table",
        table=alone(NO_MODULATION, vdd),
        vdd_low=0.3 * volt,
        vdd_reference=0.45 * volt,
        vdd_high=0.6 * volt,
    )
    low, high = reachable_gains(chip)
    exact = [NO_MODULATION.current(NO_MODULATION.overdrive(end)) for end in (0.3, 0.45, 0.6)]
    assert (low, high) == pytest.approx((exact[0] / exact[1], exact[2] / exact[1]), rel=1e-10)


def test_a_supply_may_change_in_a_run_where_the_current_does_not_depend_on_v():
    chip, law = PAIRS["ideal"]
    vdd = np.array([SUPPLIES, SUPPLIES[::-1]]) * volt
    times = [0, 8e-6] * second
    found = []
    for one in (chip, law):
        run = driven(one)
        run = run.add(schedule(run.populations[0], times, vdd, DT))
        found.append(simulate(run).spikes["chip"].times)
    np.testing.assert_allclose(*found)
    with pytest.raises(UserError, match="cannot change in a run: its table has currents by v"):
        schedule(driven(PAIRS["mosfet"][0]).populations[0], times, vdd, DT)


@pytest.mark.parametrize("kind", PAIRS)
def test_power_domains_have_the_table_each_at_its_supply(kind):
    chip = PAIRS[kind][0]
    values = {"vdd_soma": 0.6 * volt, "vdd_tuft": 0.9 * volt}
    completed = Population("chip", chip, 2, values).completed
    for name, vdd in (("soma", 0.6), ("tuft", 0.9)):
        expected = float(chip.unit_current(vdd * volt) / nA)
        np.testing.assert_allclose(completed[f"I_unit_{name}"] / nA, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", PAIRS)
def test_genn_has_all_that_a_table_needs(kind):
    chip = PAIRS[kind][0]
    assert list(obstacles(chip)) == list(obstacles(PAIRS[kind][1]))
    assert list(lacking(chip)) == []


ONE, BOTH = alone(NO_MODULATION), with_drops(grid())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"law": "table"}, "law=table takes one table of a mirror, not 0"),
        ({"law": "table", "table": (ONE, ONE)}, "takes one table of a mirror, not 2"),
        ({"table": ONE}, "A table is for law=table, not law=square"),
        ({"law": "table", "table": "m.csv"}, "table must be a DeviceTable"),
        ({"law": "table", "table": BOTH}, "has currents by v: use output=mosfet"),
        ({"law": "table", "table": ONE, "output": "mosfet"}, "no voltages v: use output=ideal"),
        ({"law": "table", "table": ONE, "vdd_low": 0.4 * volt}, r"0\.43 V to 1\.07 V, and syn"),
        ({"law": "table", "table": ONE, "beta": 1 * uA / volt**2}, "beta needs transistors"),
        ({"law": "table", "table": ONE, "R_supply": 1 * ohm}, "R_supply needs transistors"),
        ({"law": "table", "table": ONE, "C_gate": 1 * ffarad}, "C_gate needs transistors"),
        ({"law": "table", "table": ONE, "temperature": 310 * kelvin}, "one temperature"),
        ({"law": "table", "table": ONE, "synapse": "conductance"}, "synapse=mirror"),
    ],
)
def test_what_does_not_go_with_a_table_is_refused(values, said):
    with pytest.raises(UserError, match=said):
        CircuitNeuron(**values)


def test_last_digits_of_a_simulator_are_no_fall_with_v():
    current = grid().copy()
    current[:, 7:] = current[:, [6]] * (1 - 3e-8 * np.arange(3))
    table = with_drops(current)
    assert table.current(0.8, 0.9) == pytest.approx(table.current(0.8, 0.5), rel=1e-6)


def test_v_of_a_table_reaches_the_highest_supply():
    short = DeviceTable(
        at_vdd=VDD * volt, at_drop=DROPS[:-1] * volt, unit_current=grid()[:, :-1].ravel() * amp
    )
    with pytest.raises(UserError, match=r"v up to 0\.8 V, and needs it up to vdd_high = 1 V"):
        CircuitNeuron(law="table", table=short, output="mosfet")


def test_single_neurons_and_formulas_of_transistors_have_no_place_with_a_table():
    chip = PAIRS["ideal"][0]
    with pytest.raises(UserError, match="A table has no beta, vto or R_S"):
        Population("chip", chip, 2, {"beta": [0.5, 0.6] * uA / volt**2}).completed  # noqa: B018
    with pytest.raises(UserError, match="A table has no beta, vto or R_S"):
        chip.bias_for(100 * nsecond)
