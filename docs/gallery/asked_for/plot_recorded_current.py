"""
A recorded current drives a cell and a chip
===========================================

A current that you recorded is injected into a model cell by ``recorded``. A chip neuron has no
wire for it: its input are pulses, so the same current becomes a train of pulses of one unit whose
charge per time is the current, on the chip's scales (0.25 instead of 0.5 nA at threshold, and
1000 times faster). Both start from the same trace, here a noisy one drawn at random, and stay
alike, up to the grain of the pulses and the dead time of the chip's spikes. The supply is 0.5 V,
where one pulse moves the membrane by 5 of its 100 mV.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, mV, nA, nsecond, prefs, second, usecond, volt

from neuromod import Experiment, Population, Spikes, Trace, simulate
from neuromod.chip.pulses import code_pulses
from neuromod.inputs.currents import recorded
from neuromod.models import CircuitNeuron, GainLIF

prefs.codegen.target = "numpy"  # compiles nothing

# The recording: times in ms and a current in nA, as from a file with two columns.
draw = np.random.default_rng(7)
t = np.arange(0, 300.1, 0.5)
smooth = np.convolve(draw.normal(size=t.size), np.exp(-np.arange(60) / 8))[: t.size]
current = 0.6 + 0.2 * np.sin(2 * np.pi * t / 130) + 0.1 * smooth / smooth.std()

cell = GainLIF(receptors=(), t_ref=0.1 * ms)
dt = 0.1 * ms
cells = Population("cell", cell, 1)
in_cell = Experiment(
    populations=[cells], traces=[Trace("cell", "v", [0])], duration=300 * ms, dt=dt
).add(recorded(cells, t * ms, current * nA, dt))
of_cell = simulate(in_cell)

# %%
# Pulses are sent whenever the integral of the current on the chip's scale has grown by one pulse.

chip = CircuitNeuron()
vdd, step = 0.5 * volt, 20 * nsecond
scale = ((chip.v_th - chip.v_rest) / chip.R_leak) / ((cell.v_th - cell.v_rest) / cell.R)
charge = chip.unit_current(vdd) * chip.t_pulse
fine = np.arange(0, 300, 0.02)  # in µs of the chip, as ms of the cell
flowing = np.maximum(np.interp(fine, t, current), 0) * nA * scale
sent = np.floor(np.cumsum(flowing / charge * float(step / second)))
at = fine[np.flatnonzero(np.diff(sent)) + 1]
pulses = Spikes("pulses", 1, np.zeros(len(at), dtype=int), at * usecond)
on_chip = Experiment(
    populations=[Population("chip", chip, 1, {"vdd": vdd})],
    sources=[pulses],
    connections=code_pulses("pulses", "chip", [0], [0], 1, chip.t_pulse),
    traces=[Trace("chip", "v", [0])],
    duration=300 * usecond,
    dt=step,
)
of_chip = simulate(on_chip)

# %%

fig, axes = plt.subplots(3, 1, figsize=(8, 5.5), sharex=True, layout="constrained")
axes[0].plot(t, current, color="0.3", lw=1)
axes[0].set_ylabel("recorded (nA)")
for ax, recording, name, color, slower in (
    (axes[1], of_cell, "cell", "C0", 1),
    (axes[2], of_chip, "chip", "C3", 1000),
):
    times = slower * recording.times / ms
    ax.plot(times, recording.trace(name, "v", 0) / mV, color=color, lw=0.8)
    spikes = recording.spikes[name].times
    low, high = ax.get_ylim()
    ax.plot(slower * spikes / ms, np.full(len(spikes), high), "|", color=color, ms=10)
    ax.set_ylabel(f"{name}: v (mV)")
    ax.set_title(f"{len(spikes)} spikes", fontsize=9, loc="right")
axes[2].set_xlabel("time of the cell (ms), of the chip (µs)")
plt.show()
