"""Cells and synapses of Brunel & Wang 2001 against hand computation and independent integration."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms, mV, nS, second
from scipy.optimize import brentq

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.brunel_wang import BrunelWangCell, BrunelWangInterneuron, SaturatingNMDA


def test_membrane_time_constants_are_those_of_the_paper():
    for cell, expected in ((BrunelWangCell(), 20), (BrunelWangInterneuron(), 10)):
        assert float(cell.C / cell.g_L / ms) == pytest.approx(expected)


def test_the_potential_settles_where_all_currents_balance():
    cell = BrunelWangCell(tau_ampa=900 * second, tau_nmda=900 * second, tau_gaba=900 * second)
    opened = {"s_outside": 1.7, "s_ampa": 3.1, "s_nmda": 170.0, "s_gaba": 5.3}
    one = Population("one", cell, 1, opened)
    run = Experiment(
        populations=[one],
        traces=[Trace("one", ["v"], np.arange(1))],
        duration=300 * ms,
        dt=0.1 * ms,
    )
    settled = simulate(run).signals["one"]["v"].values[0, -1]

    def current(v):
        block = 1 / (1 + np.exp(-0.062 * v) / 3.57)
        excitatory = 2.08 * 1.7 + 0.104 * 3.1 + 0.327 * 170 * block
        return 25 * (-70 - v) - excitatory * v + 1.25 * 5.3 * (-70 - v)

    assert float(settled / mV) == pytest.approx(brentq(current, -70, -40), abs=0.01)


def test_spikes_open_a_share_of_the_closed_nmda_channels_and_all_decay_alike():
    synapse = SaturatingNMDA(jump=0.37, strength=2.3)
    at = np.array([3.0, 10.0, 81.0])
    spikes = Spikes("pre", 1, np.zeros(3, dtype=int), at * ms)
    one = np.zeros(1, dtype=int)
    run = Experiment(
        populations=[Population("cell", BrunelWangCell(), 1)],
        sources=[spikes],
        plastic=[PlasticConnection("nmda", "pre", "cell", synapse, i=one, j=one, delay=0.5 * ms)],
        traces=[Trace("cell", ["s_nmda"], one)],
        duration=100 * ms,
        dt=0.1 * ms,
    )
    traced = simulate(run).signals["cell"]["s_nmda"].values[0]
    gate, last = 0.0, 0.0
    for time in at:
        gate *= np.exp((last - time) / 100)
        gate, last = gate + 0.37 * (1 - gate), time
    # A spike acts in the step after its own and the delay.
    assert traced[-1] == pytest.approx(2.3 * gate * np.exp(-(99.9 - 81.6) / 100), rel=1e-4)


def test_the_mean_gate_is_that_of_the_gate_with_a_rise_of_2_ms():
    # Trains on a grid of 0.1 ms; x decays exactly, and the gate is solved with x held at its mean.
    dt, steps, settled, trains = 0.1, 14_000, 4000, 500
    rate = np.repeat([1.3, 4.7, 19.0, 47.0], trains)
    generator = np.random.default_rng(11)
    x, gate = np.zeros(len(rate)), np.full(len(rate), 0.3)
    total, spikes = np.zeros(len(rate)), np.zeros(len(rate))
    kept, held = np.exp(-dt / 2), 2 * (1 - np.exp(-dt / 2)) / dt
    for step in range(steps):
        fired = generator.random(len(rate)) < rate * dt * 1e-3
        x += fired
        opening = 0.5 * x * held
        whole = opening + 0.01
        gate = opening / whole + (gate - opening / whole) * np.exp(-whole * dt)
        x *= kept
        if step >= settled:
            total += gate
            spikes += fired
    seconds = (steps - settled) * dt * 1e-3
    mean = (total / (steps - settled)).reshape(4, -1).mean(axis=1)
    seen = spikes.reshape(4, -1).mean(axis=1) / seconds
    assert SaturatingNMDA().mean_gate(seen * Hz) == pytest.approx(mean, rel=0.015)


def test_a_spike_opens_gaba_and_hyperpolarises_a_depolarised_cell():
    one = np.zeros(1, dtype=int)
    spikes = Spikes("pre", 1, one, [20] * ms)
    cell = BrunelWangCell(E_L=-60 * mV)
    run = Experiment(
        populations=[Population("cell", cell, 1)],
        sources=[spikes],
        connections=[Connection("pre", "cell", "s_gaba", i=one, j=one, weight=3.0)],
        traces=[Trace("cell", ["v", "s_gaba"], one)],
        duration=60 * ms,
        dt=0.1 * ms,
    )
    traced = simulate(run).signals["cell"]
    assert traced["s_gaba"].values.max() == pytest.approx(3.0, rel=0.02)
    assert np.all(traced["v"].values[0, 210:] < -60 * mV)


def test_a_reset_above_threshold_and_a_jump_above_one_are_refused():
    with pytest.raises(UserError, match="v_reset"):
        BrunelWangCell(v_reset=-49 * mV)
    with pytest.raises(UserError, match="jump"):
        SaturatingNMDA(jump=1.2)
    with pytest.raises(UserError, match="g_nmda"):
        BrunelWangCell(g_nmda=-0.3 * nS)
