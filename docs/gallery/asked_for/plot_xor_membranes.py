"""
XOR by three circuit neurons, seen on their membranes
=====================================================

``search`` finds every set of six 3-bit codes with which two hidden neurons and an output neuron
compute XOR at one supply. The set with the widest margin is simulated for the four rows of the
truth table at once. A 1 is a train of ten pulses and a 0 none, and fewer than three output spikes
read 0 (Barton et al. 2022, section 6.2). The membranes show how it works: the second hidden
neuron fires at every volley of any input, the first at every other volley of one input and at
every volley of both, and it takes away from the output neuron what the second gives.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import mV, nsecond, prefs, usecond, volt

from neuromod import simulate
from neuromod.chip.pulses import PulseTrain
from neuromod.chip.xor import CODES, Gates, designs, search
from neuromod.models import CircuitNeuron

prefs.codegen.target = "numpy"  # compiles nothing
circuit = CircuitNeuron()
train = PulseTrain(count=10, period=500 * nsecond, dt=20 * nsecond)
found = search(circuit, train, 0.85 * volt)
best = designs(found).iloc[[0]]
print(f"{found.networks.sum()} of {15**6} sets of codes compute XOR at 0.85 V")
print(best[[*CODES, "margin_mV"]].to_string(index=False))

gate = Gates.of(best)
recording = simulate(gate.experiment(circuit, train, seed=1, shown=np.array([0])))

# %%
# Columns are the rows of the truth table. Dashes are the threshold, triangles spikes.

rows = ["0 0", "0 1", "1 0", "1 1"]
neurons = ["first hidden", "second hidden", "output"]
fig, axes = plt.subplots(3, 4, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
t = recording.times / usecond
for row, name in enumerate(rows):
    of_row = [("hidden", 2 * row), ("hidden", 2 * row + 1), ("output", row)]
    for ax, (population, number), what in zip(axes[:, row], of_row, neurons, strict=True):
        color = "C3" if population == "output" else "C0"
        ax.plot(t, recording.trace(population, "v", number) / mV, color=color, lw=0.9)
        ax.axhline(350, color="0.6", lw=0.8, ls="--")
        spikes = recording.spikes[population]
        at = spikes.times[spikes.neurons == number] / usecond
        ax.plot(at, np.full(len(at), 395), "v", color=color, ms=4)
        if row == 0:
            ax.set_ylabel(f"{what}\nv (mV)")
    count = len(at)
    axes[0, row].set_title(f"inputs {name}: {count} spikes\nread {int(count >= 3)}", fontsize=10)
    axes[2, row].set_xlabel("time (µs)")
plt.show()
