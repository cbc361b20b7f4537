"""What `modulate` costs: a user's neurons with receptors by it, against the same typed by hand.

Both are plain Brian2 on C++ standalone, compiled once; what is compared is the processor time that
the two programs take, by turns. Run with ``pytest tests/benchmarks``.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import brian2 as b2
import numpy as np
import pytest

from neuromod.models import library, modulate, suppressed_by

SIZE, DURATION, DT = 10_000, 300 * b2.ms, 0.1 * b2.ms
ROUNDS = 25
THRESHOLD, RESET = "v > -30*mV", "v = V_r; w += b"

ADEX = """
dv/dt = (I_leak + I_spike - w + I_M + I_syn + I_ext)/C : volt
dw/dt = (a*(v - E_L) - w)/tau_w : amp
dp/dt = (1/(1 + exp((V_M - v)/k_M)) - p)/tau_M : 1
dI_syn/dt = -I_syn/tau_syn : amp
I_leak = g_L*(E_L - v) : amp
I_spike = g_L*Delta_T*exp((v - V_T)/Delta_T) : amp
I_M = g_M*p*(E_K - v) : amp
I_ext : amp (constant)
"""
BY_HAND = """
dv/dt = (g_L*(E_L - v) + g_L*Delta_T*exp((v - V_T)/Delta_T) - w
         + g_M*(1 - activation_M1)*p*(E_K - v) + gain_D1*I_syn + I_ext)/C : volt
dw/dt = (a*(v - E_L) - w)/tau_w : amp
dp/dt = (1/(1 + exp((V_M - v)/k_M)) - p)/tau_M : 1
dI_syn/dt = -I_syn/tau_syn : amp
I_ext : amp (constant)
gain_D1 = 1 + (gain_max - 1)*messenger_D1**2/(messenger_D1**2 + K_D1**2) : 1
dmessenger_D1/dt = (bound_D1 - messenger_D1)/tau_D1 : 1
dbound_D1/dt = k_on_D1*dopamine*(1 - bound_D1) - k_off_D1*bound_D1 : 1
activation_M1 = messenger_M1/(messenger_M1 + K_M1) : 1
dmessenger_M1/dt = (bound_M1 - messenger_M1)/tau_M1 : 1
dbound_M1/dt = k_on_M1*acetylcholine*(1 - bound_M1) - k_off_M1*bound_M1 : 1
dopamine : mole/meter**3
acetylcholine : mole/meter**3
"""
CONSTANTS = {
    "C": 281 * b2.pF,
    "g_L": 30 * b2.nS,
    "E_L": -70.6 * b2.mV,
    "V_T": -50.4 * b2.mV,
    "Delta_T": 2 * b2.mV,
    "a": 4 * b2.nS,
    "tau_w": 144 * b2.ms,
    "b": 40 * b2.pA,
    "V_r": -60 * b2.mV,
    "g_M": 40 * b2.nS,
    "E_K": -90 * b2.mV,
    "V_M": -45 * b2.mV,
    "k_M": 4 * b2.mV,
    "tau_M": 60 * b2.ms,
    "tau_syn": 5 * b2.ms,
}
BATH = {"dopamine": 1.3 * b2.umolar, "acetylcholine": 7 * b2.umolar}


def modulated() -> b2.NeuronGroup:
    """The user's neurons, with D1 on their synaptic and M1 on their M current."""
    cell = modulate(
        ADEX,
        {"D1": library.D1, "M1": library.M1},
        on={"I_syn": "D1", "g_M": suppressed_by("M1")},
        threshold=THRESHOLD,
        reset=RESET,
        namespace=CONSTANTS,
    )
    group = b2.NeuronGroup(
        SIZE,
        cell.equations,
        threshold=cell.threshold,
        reset=cell.reset,
        method=cell.method,
        namespace=cell.constants,
    )
    cell.settle(group, **BATH)
    return group


def typed_by_hand() -> b2.NeuronGroup:
    """The same neurons as their user would write them without `modulate`."""
    D1, M1 = library.D1, library.M1
    constants = {
        f"{name}_{receptor.name}": value
        for receptor in (D1, M1)
        for name, value in (
            ("k_on", receptor.k_on),
            ("k_off", receptor.k_off),
            ("tau", receptor.tau_messenger),
            ("K", receptor.K),
        )
    }
    group = b2.NeuronGroup(
        SIZE,
        BY_HAND,
        threshold=THRESHOLD,
        reset=RESET,
        method="euler",
        namespace={**CONSTANTS, **constants, "gain_max": D1.gain_max},
    )
    for receptor, conc in ((D1, BATH["dopamine"]), (M1, BATH["acetylcholine"])):
        setattr(group, receptor.ligand, conc)
        for state in ("bound", "messenger"):
            setattr(group, f"{state}_{receptor.name}", receptor.occupancy(conc))
    return group


def compiled(make: Callable[[], b2.NeuronGroup], folder: Path) -> Path:
    """Program of neurons that receive a current each, and 200 synaptic spikes/s."""
    b2.set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    try:
        b2.defaultclock.dt = DT
        group = make()
        group.v = -70 * b2.mV
        group.I_ext = np.linspace(200, 900, SIZE) * b2.pA
        steps = np.arange(1, round(float(DURATION / DT)), 50)
        arriving = b2.SpikeGeneratorGroup(1, np.zeros_like(steps), steps * DT)
        onto = b2.Synapses(arriving, group, on_pre="I_syn_post += 120*pA")
        onto.connect()
        spikes = b2.SpikeMonitor(group)
        b2.Network(group, arriving, onto, spikes).run(DURATION)
        b2.device.build(directory=str(folder), compile=True, run=False)
        return folder
    finally:
        b2.device.reinit()
        b2.devices.reset_device()


def seconds(folder: Path) -> float:
    """Processor time that a program takes; other programs on the machine disturb it little."""
    started = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["./main"], cwd=folder, check=True, capture_output=True)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime - started.ru_utime + ended.ru_stime - started.ru_stime


def spike_counts(folder: Path) -> np.ndarray:
    """Spikes of every neuron in the last run of a program."""
    (found,) = folder.glob("results/_dynamic_array_spikemonitor*_i_*")
    return np.bincount(np.fromfile(found, dtype=np.int32), minlength=SIZE)


@pytest.mark.slow
def test_modulate_is_as_fast_as_the_same_by_hand(benchmark, tmp_path):
    ours = compiled(modulated, tmp_path / "modulate")
    theirs = compiled(typed_by_hand, tmp_path / "by_hand")
    pairs: list[tuple[float, float]] = []
    # Each goes first in half of the rounds.
    benchmark.pedantic(
        lambda: pairs.append(
            (seconds(ours), seconds(theirs))
            if len(pairs) % 2
            else (seconds(theirs), seconds(ours))[::-1]
        ),
        rounds=ROUNDS,
        warmup_rounds=1,
    )
    counts = spike_counts(ours), spike_counts(theirs)
    assert counts[0].sum() > SIZE
    # Compilers order sums differently: a spike may come or go at the end.
    assert np.abs(counts[0] - counts[1]).max() <= 1
    taken = np.array(pairs[1:])
    low, median, high = np.quantile(taken[:, 0] / taken[:, 1], [0.25, 0.5, 0.75])
    best = taken.min(axis=0)
    benchmark.extra_info.update(ratio=median, best_ratio=best[0] / best[1])
    print(
        f"\n{SIZE} neurons, modulate against by hand: ratio {median:.3f} in the median of "
        f"{ROUNDS} pairs (quartiles {low:.3f} to {high:.3f}), {best[0] / best[1]:.3f} of the best "
        f"times {best[0]:.3f} and {best[1]:.3f} s"
    )
