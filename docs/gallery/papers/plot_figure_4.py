"""
Figure 4: the same input and weights at 550 and 750 mV
======================================================

The paper's figure 4 shows a neuron's output with the same input spikes and synaptic weights at
two supplies of the synapses, and more spikes at the higher one. Here are the same two supplies,
with codes and input spikes chosen here. Rest, threshold, spike width, capacitor and leak are the
paper's (section 5.2: 250 mV, 350 mV, 100 ns, 50 fF, 400 MΩ). The current of a unit is calibrated
here, so the number of spikes is no prediction of theirs.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import khertz, mV, nA, nsecond, prefs, usecond, volt

from neuromod import Experiment, Population, Trace, simulate
from neuromod.chip.pulses import code_pulses
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models import CircuitNeuron

prefs.codegen.target = "numpy"  # compiles nothing
circuit, dt, duration = CircuitNeuron(), 10 * nsecond, 15 * usecond
supplies = [0.55, 0.75] * volt
inputs = circuit_inputs(circuit, 4, 350 * khertz, duration, dt, seed=2)
connections = []
for source, code in enumerate((4, 3, 2, -2)):
    ends = "inputs", "chip", np.array([source, source]), np.array([0, 1])
    connections += code_pulses(*ends, code, circuit.t_pulse)
experiment = Experiment(
    populations=[Population("chip", circuit, 2, {"vdd": supplies})],
    sources=[inputs],
    connections=connections,
    traces=[Trace("chip", "v", [0, 1])],
    duration=duration,
    dt=dt,
)
recording = simulate(experiment)

fig, axes = plt.subplots(
    3, 1, figsize=(7, 5), sharex=True, height_ratios=[1, 2, 2], layout="constrained"
)
axes[0].plot(inputs.times / usecond, inputs.neurons, "k|", ms=8)
axes[0].set_yticks(range(4), ["+4", "+3", "+2", "-2"])
axes[0].set(ylabel="code", ylim=(-0.7, 3.7), title="Input spikes and codes, chosen here")
t = recording.times / usecond
spikes = recording.spikes["chip"]
for ax, number, color in zip(axes[1:], (0, 1), ("C0", "C3"), strict=True):
    current = circuit.unit_current(supplies[number]) / nA
    ax.plot(t, recording.trace("chip", "v", number) / mV, color=color, lw=1)
    ax.axhline(350, color="0.6", lw=0.8, ls="--")
    at = spikes.times[spikes.neurons == number] / usecond
    ax.plot(at, np.full(len(at), 430), "v", color=color, ms=6)
    ax.set(ylabel="membrane (mV)", ylim=(140, 450))
    name = f"VDD {supplies[number] / volt:g} V: {current:.1f} nA a unit, {len(at)} spikes"
    ax.set_title(name, fontsize=9, loc="left")
axes[2].set_xlabel("time (µs)")
plt.show()
