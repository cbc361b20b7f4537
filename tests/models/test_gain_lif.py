from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from brian2 import Hz, Mohm, NeuronGroup, Quantity, ms, mV, nA, nS, pA, second, umolar, volt
from hypothesis import given, settings, strategies as st

from neuromod.analysis.spike_trains import steady_rates
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.inputs.modulators import bath, trace, wash
from neuromod.models.gain_lif import INPUT, SYNAPSE, GainLIF
from neuromod.models.receptors import Receptor

DT = 0.1 * ms
STEP = 1e-4


def steps_of(spikes, neuron):
    return np.round(np.asarray(spikes.times[spikes.neurons == neuron] / DT)).astype(int)


CELL = {"v_reset": -73 * mV, "t_ref": 1.7 * ms, "tau_m": 17.3 * ms, "receptors": ()}
SIZE = 120
_draw = np.random.default_rng(20260806)
GAIN = _draw.uniform(0.3, 2.7, SIZE)
CURRENT = _draw.uniform(0.1, 1.9, SIZE)
DRIVE = 40e6 * GAIN * CURRENT * 1e-9 / 20e-3
NUDGED = np.arange(SIZE) % 3 == 0
NUDGES = np.sort(_draw.choice(9000, (SIZE, 40)))


@cache
def driven(site):
    neuron = GainLIF(site=site, **CELL)
    targets = np.flatnonzero(NUDGED)
    at = np.unique(NUDGES[targets] + 10_000 * np.arange(len(targets))[:, None])
    source, step = np.divmod(at, 10_000)
    in_time = np.argsort(step, kind="stable")
    inputs = Spikes("inputs", len(targets), source[in_time], step[in_time] * DT)
    values = {"trained_gain": GAIN, "I_ext": CURRENT * nA}
    weight = Connection(
        "inputs", "cell", "I_syn", i=np.arange(len(targets)), j=targets, weight=0.31 * nA
    )
    return simulate(
        Experiment(
            populations=[Population("cell", neuron, SIZE, values)],
            sources=[inputs],
            connections=[weight],
            duration=9000 * DT,
            dt=DT,
        )
    )


def test_intervals_are_those_of_the_closed_form_rounded_up_to_whole_steps():
    """Held for `n_ref - 1` steps after that of its spike, a cell then charges for T0, rounded up.

    Brian2 dates a spike k at the start of its step and integrates again from step k + n_ref on,
    that step included: m steps of charging end in step k + n_ref + m - 1.
    """
    spikes = driven("input").spikes["cell"]
    checked = 0
    for neuron in np.flatnonzero((DRIVE > 1) & ~NUDGED):
        charging = 17.3e-3 * np.log((DRIVE[neuron] + 0.15) / (DRIVE[neuron] - 1))
        intervals = np.diff(steps_of(spikes, neuron))
        assert set(intervals) <= {17 - 1 + np.ceil(charging / STEP)}
        checked += len(intervals)
    assert checked > 1000


def test_the_first_spike_comes_after_charging_from_rest():
    spikes = driven("input").spikes["cell"]
    for neuron in np.flatnonzero((DRIVE > 1.01) & ~NUDGED):
        charging = 17.3e-3 * np.log(DRIVE[neuron] / (DRIVE[neuron] - 1))
        assert steps_of(spikes, neuron)[0] == np.ceil(charging / STEP) - 1


def test_rates_are_those_of_the_closed_form_to_one_step_per_interval():
    rates = np.asarray(steady_rates(driven("input").spikes["cell"]) / Hz)
    closed = np.asarray(GainLIF(**CELL).rate(CURRENT * nA, GAIN) / Hz)
    firing = (rates > 0) & ~NUDGED
    short = 1 / closed[firing] - 1 / rates[firing]
    assert firing.sum() > 40
    assert (short > -1e-9).all()
    assert (short < STEP + 1e-9).all()


def test_below_rheobase_no_cell_ever_fires():
    counts = driven("input").spikes["cell"].counts()
    weak = (DRIVE < 1) & ~NUDGED
    assert weak.sum() > 10
    assert not counts[weak].any()


def test_a_constant_gain_on_the_input_equals_its_inverse_on_the_threshold():
    on_input, on_threshold = driven("input").spikes["cell"], driven("threshold").spikes["cell"]
    assert on_input.counts()[NUDGED].sum() > 200
    np.testing.assert_array_equal(on_input.neurons, on_threshold.neurons)
    np.testing.assert_array_equal(on_input.times, on_threshold.times)


cells = st.builds(
    lambda rest, reach, reset, tau, ref: GainLIF(
        synapse="pulse",
        v_rest=rest * mV,
        v_th=(rest + reach) * mV,
        v_reset=(rest + reset * reach) * mV,
        tau_m=tau * ms,
        t_ref=ref * ms,
    ),
    rest=st.floats(-90, -50),
    reach=st.floats(2, 40),
    reset=st.floats(-1.3, 0.9),
    tau=st.floats(0.5, 90),
    ref=st.floats(0, 8),
)


@settings(deadline=None)
@given(cells, st.floats(1.01, 30), st.floats(0.05, 9))
def test_the_closed_form_is_the_time_in_which_the_membrane_charges(cell, drive, gain):
    way = cell.v_th - cell.v_rest
    current = drive * way / cell.R / gain
    interval = 1 / cell.rate(current, gain)[0]
    end = cell.v_rest + drive * way
    charging = interval - cell.t_ref
    reached = end + (cell.v_reset - end) * np.exp(-float(charging / cell.tau_m))
    assert float((reached - cell.v_rest) / way) == pytest.approx(1, rel=1e-6)


@settings(deadline=None)
@given(cells, st.floats(0.05, 9), st.floats(0, 1))
def test_up_to_rheobase_the_closed_form_is_silent(cell, gain, share):
    rheobase = (cell.v_th - cell.v_rest) / cell.R / gain
    assert cell.rate(share * (1 - 1e-12) * rheobase, gain)[0] == 0 * Hz


def test_a_strong_current_fires_at_the_refractory_limit():
    assert float(GainLIF().rate(1e9 * nA)[0] / Hz) == pytest.approx(500, rel=1e-6)


receptors = st.builds(
    lambda k_on, k_off, n, K, gain_max: Receptor(
        k_on=k_on / (umolar * second), k_off=k_off / second, n=n, K=K, gain_max=gain_max
    ),
    k_on=st.floats(0.01, 50),
    k_off=st.floats(0.01, 50),
    n=st.floats(0.3, 6),
    K=st.floats(0.05, 3),
    gain_max=st.floats(0, 9),
)
DOSES = np.array([0, 1e-4, 0.013, 0.3, 1.7, 11, 140, 1e5]) * umolar


def test_half_the_receptors_are_bound_at_their_dissociation_constant():
    receptor = Receptor(k_on=3 / (umolar * second), k_off=0.7 / second)
    assert receptor.occupancy(0.7 / 3 * umolar) == pytest.approx(0.5)


@settings(deadline=None)
@given(receptors)
def test_without_modulator_the_gain_is_one(receptor):
    assert receptor.gain(0 * umolar) == 1


def test_half_activation_gives_half_of_the_gain():
    receptor = Receptor(n=3.3, K=0.37, gain_max=4.2)
    conc = 0.37 / (1 - 0.37) * umolar
    assert receptor.gain(conc) == pytest.approx(1 + 3.2 / 2)


def test_a_saturated_receptor_reaches_the_hill_function_of_one():
    receptor = Receptor(n=2.4, K=0.6, gain_max=3.1)
    expected = 1 + 2.1 / (1 + 0.6**2.4)
    assert receptor.gain(1e9 * umolar) == pytest.approx(expected, rel=1e-6)


def test_the_steady_gain_by_hand():
    # c/K_D = 3: occupancy 3/4; 0.75^2/(0.75^2 + 0.5^2) = 9/13.
    assert Receptor().gain(3 * umolar) == pytest.approx(1 + 2 * 9 / 13)


@settings(deadline=None)
@given(receptors)
def test_gain_goes_one_way_with_concentration_up_for_gs_and_down_for_gi(receptor):
    change = np.diff(receptor.gain(DOSES)) * np.sign(receptor.gain_max - 1)
    assert (change >= -1e-12).all()


@settings(deadline=None)
@given(receptors)
def test_gain_stays_between_one_and_its_greatest_or_least(receptor):
    low, high = sorted((1.0, receptor.gain_max))
    gain = receptor.gain(DOSES)
    assert ((low - 1e-12 <= gain) & (gain <= high + 1e-12)).all()


SHARP = Receptor(
    k_on=13 / (umolar * second),
    k_off=7 / second,
    tau_messenger=43 * ms,
    n=2.6,
    K=0.41,
    gain_max=2.9,
)
CONC = np.array([0, 0.17, 0.9, 6.3])
BOUND = np.array([0.83, 0, 0, 0.2])
TRAINED = np.array([1, 0.6, 1.45, -0.8])


@cache
def cascade(gain_max=2.9):
    receptor = Receptor(**{**vars(SHARP), "gain_max": gain_max})
    neuron = GainLIF(receptors=(receptor,))
    values = {
        "conc_modulator": CONC * umolar,
        "occupancy_generic": BOUND,
        "messenger_generic": np.zeros(4),
        "trained_gain": TRAINED,
    }
    names = ("occupancy_generic", "messenger_generic", "gain")
    recording = simulate(
        Experiment(
            populations=[Population("cell", neuron, 4, values)],
            traces=[Trace("cell", names, range(4))],
            duration=10_000 * 0.2 * ms,
            dt=0.2 * ms,
        )
    )
    signals = recording.signals["cell"].items()
    return {name.partition("_")[0]: np.asarray(signal.values) for name, signal in signals}


ELAPSED = np.arange(10_000) * 2e-4
SPEED = (13 * CONC + 7)[:, None]
END = (CONC / (CONC + 7 / 13))[:, None]
# Second order: (dt*rate)**3/6 a step, over the 1/(dt*rate) steps in which it matters.
STEP_ERROR = (2e-4 * SPEED.max()) ** 2


def test_after_a_step_of_concentration_binding_is_an_exponential_of_rate_kon_c_plus_koff():
    expected = END + (BOUND[:, None] - END) * np.exp(-SPEED * ELAPSED)
    np.testing.assert_allclose(cascade()["occupancy"], expected, rtol=STEP_ERROR)


def test_the_messenger_follows_binding_with_its_own_time_constant():
    lag = np.exp(-ELAPSED / 0.043)
    gap = (BOUND[:, None] - END) * (np.exp(-SPEED * ELAPSED) - lag) / (1 - SPEED * 0.043)
    np.testing.assert_allclose(
        cascade()["messenger"], END * (1 - lag) + gap, rtol=STEP_ERROR, atol=1e-3 * STEP_ERROR
    )


def test_the_cascade_relaxes_to_its_steady_state():
    steady = SHARP.steady(CONC[1:] * umolar)
    for name in ("occupancy", "messenger"):
        np.testing.assert_allclose(cascade()[name][1:, -1], steady[f"{name}_generic"], rtol=1e-6)


def test_a_trained_gain_multiplies_the_receptors():
    at_end = TRAINED * SHARP.gain(CONC * umolar)
    np.testing.assert_allclose(cascade()["gain"][:, -1], at_end, rtol=1e-6)
    hill = cascade()["messenger"] ** 2.6
    receptors_own = 1 + 1.9 * hill / (hill + 0.41**2.6)
    np.testing.assert_allclose(cascade()["gain"], TRAINED[:, None] * receptors_own, rtol=1e-9)


def test_a_gi_like_receptor_lowers_the_gain():
    gain = cascade(gain_max=0.15)["gain"] / TRAINED[:, None]
    assert (gain <= 1 + 1e-12).all()
    assert gain[3, -1] < 0.3


@cache
def bathed(site):
    neuron = GainLIF(receptors=(SHARP,), site=site)
    conc, current = (x.ravel() for x in np.meshgrid([0, 0.21, 1.3, 8.7], [0.43, 0.77, 1.31]))
    cells = Population("cell", neuron, 12, {"I_ext": current * nA})
    experiment = Experiment(populations=[cells], duration=4000 * DT, dt=DT, seed=3).add(
        bath(cells, {"modulator": conc * umolar})
    )
    rate = neuron.rate(current * nA, SHARP.gain(conc * umolar))
    return np.asarray(rate / Hz), simulate(experiment).spikes["cell"]


@pytest.mark.parametrize("site", INPUT)
def test_a_modulated_cell_in_its_steady_state_fires_at_the_rate_of_its_gain(site):
    closed, spikes = bathed(site)
    rates = np.asarray(steady_rates(spikes) / Hz)
    np.testing.assert_array_equal(rates > 0, closed > 0)
    assert (closed == 0).sum() == 1
    firing = closed > 0
    short = 1 / closed[firing] - 1 / rates[firing]
    assert (short > -1e-7).all()
    assert (short < STEP + 1e-7).all()


PSP_GAIN = np.array([1, 0.37, 2.3])
AT = 6


@cache
def psp(synapse, site="input"):
    neuron = GainLIF(
        receptors=(), synapse=synapse, site=site, tau_m=19 * ms, tau_syn=3.1 * ms, v_th=50 * mV
    )
    inputs = Spikes("inputs", 1, np.array([0]), np.array([AT]) * DT)
    i, j, weight = np.zeros(3, int), np.arange(3), np.array([210, 210, -150]) * pA
    width = None if synapse == "exponential" else 25 * DT
    synapses = Connection("inputs", "cell", "I_syn", i=i, j=j, weight=weight, width=width)
    recording = simulate(
        Experiment(
            populations=[Population("cell", neuron, 3, {"trained_gain": PSP_GAIN})],
            sources=[inputs],
            connections=[synapses],
            traces=[Trace("cell", ("v", "I_syn"), range(3))],
            duration=4000 * DT,
            dt=DT,
        )
    )
    signals = recording.signals["cell"]
    return np.asarray(signals["v"].values / volt) + 0.07, np.asarray(signals["I_syn"].values)


AFTER = np.maximum(np.arange(4000) - AT - 1, 0) * STEP
PEAK = np.array([[210], [210], [-150]]) * 1e-12


def test_an_exponential_synapse_gives_a_difference_of_two_exponentials():
    slow, fast = np.exp(-AFTER / 19e-3), np.exp(-AFTER / 3.1e-3)
    expected = 40e6 * PSP_GAIN[:, None] * PEAK * 3.1 / (3.1 - 19) * (fast - slow)
    np.testing.assert_allclose(psp("exponential")[0], expected, atol=1e-13)


def test_an_exponential_synapse_carries_weight_times_its_time_constant_of_charge():
    # Samples start one step after the jump: a geometric series.
    shrink = np.exp(-STEP / 3.1e-3)
    summed = psp("exponential")[1].sum(axis=1)
    np.testing.assert_allclose(summed, PEAK[:, 0] * shrink / (1 - shrink), rtol=1e-9)
    np.testing.assert_allclose(summed * STEP, PEAK[:, 0] * 3.1e-3, rtol=0.02)


@pytest.mark.parametrize(("synapse", "charged"), [("exponential", 3.1e-3), ("pulse", 2.5e-3)])
def test_the_area_under_a_potential_is_gain_times_resistance_times_charge(synapse, charged):
    area = psp(synapse)[0].sum(axis=1) * STEP
    np.testing.assert_allclose(area, 40e6 * PSP_GAIN * PEAK[:, 0] * charged, rtol=1e-3)


def test_a_pulse_charges_while_it_is_on_and_decays_after():
    on, off = np.minimum(AFTER, 2.5e-3), np.maximum(AFTER - 2.5e-3, 0)
    expected = 40e6 * PSP_GAIN[:, None] * PEAK * -np.expm1(-on / 19e-3) * np.exp(-off / 19e-3)
    np.testing.assert_allclose(psp("pulse")[0], expected, atol=1e-13)


def test_a_gain_on_the_threshold_leaves_potentials_alone():
    np.testing.assert_allclose(
        psp("exponential", "threshold")[0] * PSP_GAIN[:, None], psp("exponential")[0], atol=1e-13
    )


@pytest.mark.parametrize("site", INPUT)
@pytest.mark.parametrize("synapse", SYNAPSE)
@pytest.mark.parametrize("receptors", [(Receptor(),), ()], ids=["modulated", "unmodulated"])
def test_brian2s_unit_check_passes_the_equations(site, synapse, receptors):
    neuron = GainLIF(site=site, synapse=synapse, receptors=receptors)
    group = NeuronGroup(
        2,
        neuron.equations,
        threshold=neuron.threshold,
        reset=neuron.reset,
        refractory=neuron.refractory,
        method=neuron.method,
        namespace=Population("cells", neuron, 2).constants,
    )
    group.before_run({})


OPENER = Receptor(
    name="opener",
    k_on=40 / (umolar * second),
    k_off=40 / second,
    tau_messenger=20 * ms,
    n=1,
    K=0.3,
    gain_max=1,
    g_K=6.5 * nS,
    ahp_max=0.25,
)
OPENED = 6.5 * np.array([0, 0.5, 0.8]) / (np.array([0, 0.5, 0.8]) + 0.3)


@cache
def polarised():
    neuron = GainLIF(receptors=(OPENER,), v_th=50 * mV)
    cells = Population("cells", neuron, 3, {"I_ext": 0.11 * nA})
    bathed = cells.given(bath(cells, {"modulator": [0, 1, 4] * umolar}))
    at_rest = replace(bathed, values={**bathed.values, "v": neuron.v_rest})
    experiment = Experiment(
        populations=[at_rest], traces=[Trace("cells", "v", range(3))], duration=2000 * DT, dt=DT
    )
    return neuron, np.asarray(simulate(experiment).signals["cells"]["v"].values / mV)


def test_a_potassium_conductance_pulls_the_membrane_to_ohms_law_with_a_shorter_time_constant():
    ratio = 40e6 * OPENED * 1e-9
    end = (-70 + ratio * -90 + 4.4) / (1 + ratio)
    expected = end + (-70 - end) * np.exp(-np.arange(2000)[:, None] * 0.1 / 20 * (1 + ratio))
    np.testing.assert_allclose(polarised()[1], expected.T, rtol=1e-9)


def test_the_resting_potential_in_a_bath_is_where_the_conductances_balance():
    rest = polarised()[0].rest({"modulator": [0, 1, 4] * umolar}) / mV
    g = OPENED * 1e-9 * 40e6
    np.testing.assert_allclose(rest, (-70 - 90 * g) / (1 + g))


def test_a_closed_potassium_conductance_depolarises():
    closer = Receptor(g_K=-5 * nS)
    assert GainLIF(receptors=(closer,)).rest({"modulator": 3 * umolar}) > -70 * mV


@cache
def adapting():
    """Cells that fire one spike, made by a strong synapse, and then only their after-current."""
    neuron = GainLIF(receptors=(OPENER,), b=37 * pA, tau_ahp=83 * ms, v_reset=-71 * mV)
    neuron = replace(neuron, receptors=(replace(OPENER, g_K=0 * nS),))
    cells = Population("cells", neuron, 3)
    inputs = Spikes("inputs", 1, np.array([0]), np.array([AT]) * DT)
    kick = Connection("inputs", "cells", "v", i=np.zeros(3, int), j=np.arange(3), weight=25 * mV)
    experiment = Experiment(
        populations=[cells],
        sources=[inputs],
        connections=[kick],
        traces=[Trace("cells", ("v", "I_ahp"), range(3))],
        duration=3000 * DT,
        dt=DT,
    )
    return simulate(experiment.add(bath(cells, {"modulator": [0, 1, 4] * umolar})))


def test_the_after_spike_current_decays_with_its_time_constant():
    signals, spikes = adapting().signals["cells"], adapting().spikes["cells"]
    assert spikes.counts().tolist() == [1, 1, 1]
    after = np.asarray(signals["I_ahp"].values / pA)[0, AT + 2 :]
    np.testing.assert_allclose(after, 37 * np.exp(-np.arange(len(after)) * 0.1 / 83), rtol=1e-9)


def test_a_receptor_scales_what_the_after_spike_current_does_to_the_membrane():
    """Area under the hyperpolarisation: charge times resistance times the receptor's factor."""
    v = np.asarray(adapting().signals["cells"]["v"].values / mV)[:, AT + 2 :]
    held = 20
    away = (v + 70)[:, held:].sum(axis=1) * 0.1
    factor = 1 - 0.75 * OPENED / 6.5
    decayed = np.exp(-held * 0.1 / 83)
    from_reset = -1 * 20
    # What the current leaves of the membrane's charge at the end of the record is negligible.
    expected = from_reset - factor * 40 * 37e-3 * 83 * decayed
    np.testing.assert_allclose(away, expected, rtol=0.05)


def test_receptors_multiply():
    first, second_one = replace(SHARP, name="one"), replace(SHARP, name="two", ligand="other")
    neuron = GainLIF(receptors=(first, second_one))
    gain = neuron.steady_gain({"modulator": 0.9 * umolar, "other": [0.2, 5] * umolar})
    apart = SHARP.gain(0.9 * umolar) * SHARP.gain([0.2, 5] * umolar)
    np.testing.assert_allclose(gain, apart)


def test_two_receptors_for_one_ligand_see_the_same_concentration():
    neuron = GainLIF(receptors=(SHARP, replace(SHARP, name="other", gain_max=0.2)))
    assert neuron.ligands == ("modulator",)
    assert neuron.equations.count("conc_modulator*") == 2


def test_a_modulated_cell_without_modulator_fires_precisely_as_one_without_receptors():
    current = np.array([0.55, 0.83, 1.4]) * nA
    spikes = []
    for receptors in ((Receptor(),), ()):
        cells = Population("cell", GainLIF(receptors=receptors), 3, {"I_ext": current})
        run = simulate(Experiment(populations=[cells], duration=5000 * DT, dt=DT))
        spikes.append(run.spikes["cell"])
    np.testing.assert_array_equal(spikes[0].neurons, spikes[1].neurons)
    np.testing.assert_array_equal(spikes[0].times, spikes[1].times)


def in_a_bath(neuron):
    cells = Population("cell", neuron, 2)
    return cells.given(bath(cells, {"modulator": [0.3, 2] * umolar}))


def before_a_wash(neuron):
    cells = in_a_bath(neuron)
    return cells.given(wash("modulator", cells, 9 * umolar, DT * 40, DT * 49, 1 * second, DT))


def under_a_flat_trace(neuron):
    cells = Population("cell", neuron, 2, neuron.steady({"modulator": 0.3 * umolar}))
    return cells.given(trace("modulator", cells, [0, 60] * ms, [0.3, 0.3] * umolar, DT))


@pytest.mark.parametrize(
    ("cells", "level"),
    [(in_a_bath, [0.3, 2]), (before_a_wash, [0.3, 2]), (under_a_flat_trace, [0.3, 0.3])],
)
def test_cells_that_have_settled_keep_the_gain_of_their_steady_state(cells, level):
    experiment = Experiment(
        populations=[cells(GainLIF(receptors=(SHARP,)))],
        traces=[Trace("cell", ("conc_modulator", "gain"), [0, 1])],
        duration=40 * DT,
        dt=DT,
    )
    signals = simulate(experiment).signals["cell"]
    held = np.outer(level, np.ones(40))
    np.testing.assert_allclose(np.asarray(signals["conc_modulator"].values / umolar), held)
    expected = SHARP.gain(held * umolar)
    np.testing.assert_allclose(np.asarray(signals["gain"].values), expected, rtol=1e-9)


def test_a_cell_starts_at_rest_and_its_receptor_in_the_steady_state():
    neuron = GainLIF(receptors=(SHARP,))
    assert neuron.start["v"] == neuron.v_rest
    assert neuron.start["occupancy_generic"] == 0
    steady = neuron.steady({"modulator": 1.7 * umolar})
    assert steady["occupancy_generic"] == pytest.approx(1.7 / (1.7 + 7 / 13))
    assert set(GainLIF(receptors=()).start) == {"v"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tau_m": 0 * ms}, "tau_m"),
        ({"t_ref": -1 * ms}, "t_ref"),
        ({"v_rest": -70}, "a value in volt was expected"),
        ({"v_rest": -50 * mV}, "v_rest .* must lie below v_th"),
        ({"v_reset": -49 * mV}, "v_reset"),
        ({"site": "thresold"}, "did you mean threshold"),
        ({"synapse": "exp"}, "There is no synapse named 'exp'"),
        ({"R": float("inf") * Mohm}, "must be finite"),
        ({"receptors": (GainLIF(),)}, "receptors must be a Receptor"),
        ({"receptors": (SHARP, OPENER, SHARP)}, "names of their own"),
        ({"receptors": "D5"}, "There is no receptor named 'D5'"),
        (
            {"receptors": (replace(SHARP, g_K=-26 * nS),)},
            "negative g_K .* must stay above -1/R = -25 nS",
        ),
        ({"tau_syn": 20 * ms}, "tau_syn .* must differ from tau_m"),
        ({"b": 3 * pA, "tau_ahp": 20 * ms}, "tau_ahp .* must differ from tau_m"),
    ],
)
def test_what_no_cell_can_have_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        GainLIF(**values)


@pytest.mark.parametrize(
    "values", [{"k_on": 0 / (umolar * second)}, {"k_off": 3 * second}, {"n": 0}, {"gain_max": -0.1}]
)
def test_what_no_receptor_can_have_is_refused(values):
    with pytest.raises(UserError, match=next(iter(values))):
        Receptor(**values)


def test_a_ligand_that_nothing_binds_is_refused_with_those_that_are():
    with pytest.raises(UserError, match=r"no ligand .* named 'dopamin'.*modulator"):
        GainLIF().steady({"dopamin": 1 * umolar})


@pytest.mark.parametrize("extra", [{"b": 10 * pA}, {"receptors": (OPENER,)}])
def test_the_closed_form_of_the_rate_is_refused_where_it_does_not_hold(extra):
    with pytest.raises(UserError, match="closed form of the rate"):
        GainLIF(**extra).rate(1 * nA)


def test_parameters_keep_their_units():
    assert isinstance(GainLIF(v_th=-48 * mV).v_th, Quantity)
