"""
Section 3.1: changing the threshold is multiplying the input
============================================================

Modulators "change the activation threshold" and so amplify, "resulting in multiplicative tuning
of the neuron's inputs", says the paper. Both can be said of a leaky integrate-and-fire neuron
whose reset is at rest: dividing the threshold by the gain and multiplying the input by it give
the same spikes. Here are f-I curves at three gains, simulated in both ways, over the closed form.
A supplementary current, as an additive bias would be, moves the curve instead and leaves its
slope.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, ms, nA, prefs, second

from neuromod import Experiment, Population, simulate
from neuromod.analysis.spike_trains import steady_rates
from neuromod.models import GainLIF

prefs.codegen.target = "numpy"  # compiles nothing
gains, current = np.array([0.7, 1, 1.5]), np.linspace(0.3, 1.6, 27)
gain, injected = (grid.ravel() for grid in np.meshgrid(gains, current, indexing="ij"))
given = {"trained_gain": gain, "I_ext": injected * nA}
sites = {site: GainLIF(receptors=(), site=site) for site in ("input", "threshold")}
cells = [Population(site, cell, gain.size, given) for site, cell in sites.items()]
recording = simulate(Experiment(populations=cells, duration=0.6 * second, dt=0.1 * ms))

by_input, by_threshold = (recording.spikes[site] for site in sites)
print("same spikes:", np.array_equal(by_input.times, by_threshold.times))
rates = {site: np.reshape(steady_rates(recording.spikes[site]) / Hz, (3, -1)) for site in sites}

# %%

fig, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
colors = plt.cm.viridis(np.linspace(0, 0.8, 3))
cell, fine = sites["input"], np.linspace(0.3, 1.6, 400)
for k, (factor, color) in enumerate(zip(gains, colors, strict=True)):
    ax.plot(fine, cell.rate(fine * nA, factor) / Hz, color=color, label=f"gain {factor:g}")
    ax.plot(current, rates["input"][k], "o", mfc="none", color=color, ms=7)
    ax.plot(current, rates["threshold"][k], ".", color=color, ms=4)
shifted = cell.rate((fine + 0.2) * nA, 1.0) / Hz
ax.plot(fine, shifted, "--", color="C3", label="gain 1, and 0.2 nA added")
ax.plot([], [], "o", mfc="none", color="0.4", label="input multiplied")
ax.plot([], [], ".", color="0.4", label="threshold divided")
ax.set(xlabel="injected current (nA)", ylabel="firing rate (Hz)")
ax.legend(frameon=False, fontsize=8)
plt.show()
