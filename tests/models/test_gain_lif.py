from functools import cache

import numpy as np
import pytest
from brian2 import Hz, NeuronGroup, Quantity, ms, mV, nA, pA, second, umolar, volt
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace, pulses
from neuromod.measures import steady_rates
from neuromod.models.gain_lif import INPUT, SYNAPSE, GainLIF
from neuromod.models.receptors import Receptor
from neuromod.simulation import simulate

DT = 0.1 * ms
STEP = 1e-4


def steps_of(spikes, neuron):
    return np.round(np.asarray(spikes.times[spikes.neurons == neuron] / DT)).astype(int)


CELL = {"v_reset": -73 * mV, "t_ref": 1.7 * ms, "tau_m": 17.3 * ms, "modulated": False}
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
    weight = Connection("inputs", "cell", "I_syn", np.arange(len(targets)), targets, 0.31 * nA)
    return simulate(
        Experiment(
            (Population("cell", neuron, SIZE, values),), (inputs,), (weight,), (),
            9000 * DT, DT, 3,
        )
    )  # fmt: skip


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
    k_on=13 / (umolar * second), k_off=7 / second, tau_messenger=43 * ms, n=2.6, K=0.41,
    gain_max=2.9,
)  # fmt: skip
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
    recording = simulate(
        Experiment(
            (Population("cell", neuron, 4, values),), (), (),
            (Trace("cell", ("occupancy_generic", "messenger_generic", "gain"), np.arange(4)),),
            10_000 * 0.2 * ms, 0.2 * ms, 3,
        )
    )  # fmt: skip
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
    values = {"I_ext": current * nA, **neuron.steady({"modulator": conc * umolar})}
    experiment = Experiment((Population("cell", neuron, 12, values),), (), (), (), 4000 * DT, DT, 3)
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
        modulated=False, synapse=synapse, site=site, tau_m=19 * ms, tau_syn=3.1 * ms, v_th=50 * mV
    )
    inputs = Spikes("inputs", 1, np.array([0]), np.array([AT]) * DT)
    i, j, weight = np.zeros(3, int), np.arange(3), np.array([210, 210, -150]) * pA
    connections = (
        (Connection("inputs", "cell", "I_syn", i, j, weight),)
        if synapse == "exponential"
        else pulses("inputs", "cell", "I_syn", i, j, weight, 25 * DT)
    )
    recording = simulate(
        Experiment(
            (Population("cell", neuron, 3, {"trained_gain": PSP_GAIN}),), (inputs,), connections,
            (Trace("cell", ("v", "I_syn"), np.arange(3)),), 4000 * DT, DT, 3,
        )
    )  # fmt: skip
    signals = recording.signals["cell"]
    return np.asarray(signals["v"].values / volt) + 0.07, np.asarray(signals["I_syn"].values)


AFTER = np.maximum(np.arange(4000) - AT - 1, 0) * STEP
PEAK = np.array([[210], [210], [-150]]) * 1e-12


def test_an_exponential_synapse_gives_a_difference_of_two_exponentials():
    expected = (
        40e6 * PSP_GAIN[:, None] * PEAK * 3.1 / (3.1 - 19)
        * (np.exp(-AFTER / 3.1e-3) - np.exp(-AFTER / 19e-3))
    )  # fmt: skip
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
@pytest.mark.parametrize("modulated", [True, False])
def test_brian2s_unit_check_passes_the_equations(site, synapse, modulated):
    neuron = GainLIF(site=site, synapse=synapse, modulated=modulated)
    group = NeuronGroup(
        2,
        neuron.equations,
        threshold=neuron.threshold,
        reset=neuron.reset,
        refractory=neuron.refractory,
        method=neuron.method,
        namespace=neuron.constants,
    )
    group.before_run({})


def test_a_cell_starts_at_rest_and_its_receptor_in_the_steady_state():
    neuron = GainLIF(conc=1.7 * umolar, receptors=(SHARP,))
    assert neuron.start["v"] == neuron.v_rest
    assert neuron.start["occupancy_generic"] == pytest.approx(1.7 / (1.7 + 7 / 13))
    assert set(GainLIF(modulated=False).start) == {"v"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tau_m": 0 * ms}, "tau_m"),
        ({"t_ref": -1 * ms}, "t_ref"),
        ({"conc": -1 * umolar}, "conc"),
        ({"v_rest": -70}, "a value in volt was expected"),
        ({"conc": 3}, "conc"),
        ({"v_rest": -50 * mV}, "v_rest .* must lie below v_th"),
        ({"v_reset": -49 * mV}, "v_reset"),
        ({"site": "thresold"}, "did you mean threshold"),
        ({"synapse": "exp"}, "There is no synapse named 'exp'"),
        ({"trained_gain": float("nan")}, "must be finite"),
        ({"receptors": (GainLIF(),)}, "receptors must be a Receptor"),
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


def test_parameters_keep_their_units():
    assert isinstance(GainLIF(v_th=-48 * mV).v_th, Quantity)
