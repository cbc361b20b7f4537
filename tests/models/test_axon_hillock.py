"""Mead's axon-hillock against its closed forms, which follow from charges."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Mohm, Quantity, amp, mV, nA, nsecond, second, uA, usecond, volt
from brian2.units.allunits import ffarad, pjoule

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.axon_hillock import AxonHillock

MEAD = AxonHillock()
DT = 10 * nsecond
UNITS = np.array([1.3, 2.9, 4.7, 7.3])
INPUT = UNITS * MEAD.unit_current(0.75 * volt)


def run(model, values, duration, dt=DT, **parts):
    size = max(np.size(value) for value in values.values())
    cells = Population("cells", model, size, values)
    trace = Trace("cells", ("v", "out"), np.arange(size))
    experiment = Experiment(populations=[cells], traces=[trace], duration=duration, dt=dt, **parts)
    return simulate(experiment)


@pytest.fixture(scope="module")
def held():
    """Neurons at constant inputs."""
    return run(MEAD, {"up": UNITS, "mirrors": 1.0}, 200 * usecond)


def period(recording, neuron):
    spikes = recording.spikes["cells"]
    at = spikes.times[spikes.neurons == neuron]
    return float((at[-1] - at[0]) / second) / (len(at) - 1)


def test_a_unit_at_the_reference_supply_gives_ten_nanoamperes():
    assert float(MEAD.unit_current(0.75 * volt) / nA) == pytest.approx(10)
    current = np.array([2.3, 10, 17]) * nA
    np.testing.assert_allclose(MEAD.unit_current(MEAD.vdd_for(current)) / nA, current / nA)


def test_its_rate_is_the_closed_form(held):
    # 13 nA onto 100 fF at 1 V, of which 13 % pass during spikes: 113.1 kHz.
    assert float(MEAD.rate(INPUT[0]) * second) == pytest.approx(113.1e3)
    for neuron, rate in enumerate(np.asarray(MEAD.rate(INPUT) * second)):
        assert 1 / period(held, neuron) == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("dt", [37, 100, 500])
def test_trains_keep_their_period_at_any_step(dt):
    steps = 400_000 // dt
    found = run(MEAD, {"up": UNITS, "mirrors": 1.0}, steps * dt * nsecond, dt * nsecond)
    for neuron, rate in enumerate(np.asarray(MEAD.rate(INPUT) * second)):
        spikes = found.spikes["cells"]
        count = (spikes.neurons == neuron).sum() - 1
        assert abs(period(found, neuron) - 1 / rate) < 2 * dt * 1e-9 / count


def test_spikes_are_as_wide_as_the_rest_of_the_reset_current_makes_them(held):
    share = held.signals["cells"]["out"].values[:, 4000:].mean(axis=1)
    expected = np.asarray(MEAD.spike_width(INPUT) * MEAD.rate(INPUT))
    np.testing.assert_allclose(np.asarray(share), expected, atol=0.02)
    # In each cycle the input brings what the reset takes during the spike.
    np.testing.assert_allclose(expected, np.asarray(INPUT / MEAD.I_reset))


def test_the_membrane_jumps_by_its_share_of_the_supply(held):
    assert float(MEAD.jump / mV) == pytest.approx(200)
    v = held.signals["cells"]["v"].values / mV
    ends = np.sort(v[:, 4000:], axis=1)[:, [0, -1]]
    np.testing.assert_allclose(ends, np.tile([300, 700], (len(UNITS), 1)), atol=2)


def test_its_rate_is_highest_at_half_the_reset_current():
    current = np.linspace(0, 1.2, 1201) * MEAD.I_reset
    rates = np.asarray(MEAD.rate(current) * second)
    assert float(current[rates.argmax()] / nA) == pytest.approx(50)
    assert rates.max() == pytest.approx(float(MEAD.highest_rate * second))
    assert (rates[1000:] == 0).all()


def test_from_the_reset_current_on_the_output_stays_high():
    found = run(MEAD, {"up": [9.7, 10.3], "mirrors": 1.0}, 90 * usecond)
    counts = found.spikes["cells"].counts()
    assert counts[0] > 1
    assert counts[1] == 1
    assert found.signals["cells"]["out"].values[1, -1] == 1
    assert not np.isfinite(float(MEAD.spike_width(103 * nA) / second))


def test_the_amplifier_draws_what_the_closed_form_says(held):
    counts = held.spikes["cells"].counts()
    current = 10 * nA * (UNITS + 1)
    mirrors = 0.75 * volt * current * 200 * usecond
    drawn = (held.totals["cells"]["energy"] - mirrors) / counts
    expected = np.asarray(MEAD.energy_per_spike(INPUT) / pjoule)
    # But for the cycle that was left unfinished.
    np.testing.assert_allclose(np.asarray(drawn / pjoule), expected, rtol=1.2 / counts.min())


def test_without_conduction_a_spike_costs_its_capacitors_charges():
    cold = replace(MEAD, vto_inverter=2 * volt, C_load=3.1 * ffarad)
    # (100 + 2*3.1) fF at 1 V.
    assert float(cold.energy_per_spike(20 * nA) / pjoule) == pytest.approx(0.1062, rel=1e-6)


def test_pulses_bring_the_charge_of_a_spike():
    # 7 units at 10 nA for 100 ns are 7 fC, and 100 fC make a spike: every 14th or 15th pulse.
    count, apart = 100, 1 * usecond
    train = Spikes("train", 1, np.zeros(count, int), np.arange(count) * apart)
    ends = {"i": np.zeros(1, int), "j": np.zeros(1, int), "width": 100 * nsecond}
    wires = [
        Connection("train", "cells", n, **ends, weight=w)
        for n, w in (("up", 7.0), ("mirrors", 1.0))
    ]
    values = {"vdd": [0.75] * volt}
    found = run(MEAD, values, count * apart, sources=[train], connections=wires)
    assert found.spikes["cells"].counts()[0] in (6, 7)
    energy = float(found.totals["cells"]["energy"][0] / pjoule)
    assert energy > 100 * 0.75 * 8e-3


def test_a_supply_is_a_gain():
    vdd = np.array([0.61, 0.75, 0.93]) * volt
    found = run(MEAD, {"vdd": vdd, "up": 2.0, "mirrors": 1.0}, 200 * usecond)
    expected = np.asarray(MEAD.rate(2 * MEAD.unit_current(vdd)) * second)
    measured = [1 / period(found, neuron) for neuron in range(3)]
    np.testing.assert_allclose(measured, expected, rtol=0.005)


def test_neurons_may_have_capacitors_and_mirrors_of_their_own():
    own = {
        "up": 3.0,
        "C_mem": [400, 310] * ffarad,
        "beta": [0.43, 0.5] * uA / volt**2,
        "R_S": [20, 26] * Mohm,
    }
    found = run(MEAD, own, 200 * usecond)
    expected = [
        float(MEAD.rate(3 * MEAD.unit_current(0.75 * volt, beta=b, R_S=r)) * second)
        for b, r in zip(own["beta"], own["R_S"], strict=True)
    ]
    np.testing.assert_allclose([1 / period(found, n) for n in range(2)], expected, rtol=0.005)


def test_the_reset_transistor_conducts_the_reset_current_at_its_gate():
    inverter = MEAD.inverter
    overdrive = float(MEAD.V_pw / volt) - float(MEAD.vto_inverter / volt)
    assert float(inverter.current(overdrive)) == pytest.approx(100e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: AxonHillock(C_fb=413 * ffarad),
            "C_fb = 413 fF lifts the membrane by 0.50799508 V",
        ),
        (lambda: AxonHillock(vdd=1 * volt), "vdd is an input of AxonHillock"),
        (
            lambda: Population("cells", MEAD, 1, {"I_unit": Quantity(3e-9, dim=amp.dim)}),
            "I_unit follows from the supply",
        ),
        (lambda: Population("cells", MEAD, 1, {"vdd": 1.2 * volt}), "vdd of cells"),
    ],
)
def test_what_no_circuit_can_be_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_step_in_which_a_spike_would_begin_and_end_is_refused():
    with pytest.raises(UserError, match="too long for cells"):
        run(MEAD, {"up": [1.0]}, 20 * usecond, 2 * usecond)
