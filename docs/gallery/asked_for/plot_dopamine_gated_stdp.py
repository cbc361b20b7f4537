"""
Spike-timing-dependent plasticity gated by dopamine
===================================================

Pairs of spikes alone change nothing here. They mark a synapse by the window of
spike-timing-dependent plasticity, and dopamine, released 100 ms later, scales the change: none
without it, more with more, and a window that is upside down where the modulator's sensitivity is
negative. One network holds a cell for each interval and each dose. Dots are simulated, lines are
the closed form of the change. Units of the plastic trace are those of the synapse's own weight;
the size of the window is chosen.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, prefs, umolar

from neuromod import Connection, Experiment, PlasticConnection, Population, Spikes, simulate
from neuromod.models import PlasticLIF, ThreeFactor

prefs.codegen.target = "numpy"  # compiles nothing
dt = 1 * ms
lags = np.concatenate([np.arange(-60, -1, 4), np.arange(2, 61, 4)])  # from pre to post, ms
doses = np.array([0, 0.3, 1]) * umolar
sensitivities = np.array([1, 1, 1, -1]) / umolar
released = np.array([0, 0.3, 1, 1]) * umolar

cases, pairs = len(released), len(lags)
size = cases * pairs
lag = np.tile(lags, cases)
post = 100 + 0 * lag
order = np.argsort(post - lag, kind="stable")
pre = Spikes("pre", size, order, (post - lag)[order] * ms)
teacher = Spikes("teacher", 1, [0], [99] * ms)  # makes all cells fire at 100 ms
dopamine = Spikes("dopamine", 1, [0], [300] * ms)

every = np.arange(size)
cells = Population("cells", PlasticLIF(), size, {"sensitivity": sensitivities.repeat(pairs)})
rule = ThreeFactor(rule="stdp", w=0)
experiment = Experiment(
    populations=[cells],
    sources=[pre, teacher, dopamine],
    connections=[
        Connection("teacher", "cells", "v", i=0 * every, j=every, weight=1.5),
        Connection(
            "dopamine",
            "cells",
            "conc_modulator",
            i=0 * every,
            j=every,
            weight=released.repeat(pairs),
        ),
    ],
    plastic=[PlasticConnection("synapses", "pre", "cells", rule, i=every, j=every)],
    duration=3000 * ms,
    dt=dt,
)
change = simulate(experiment).totals["synapses"]["E"].reshape(cases, pairs)

# %%

fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
names = ["no dopamine", "0.3 µM", "1 µM", "1 µM, reversed sign"]
for k, (name, color) in enumerate(zip(names, ("0.5", "C0", "C2", "C3"), strict=True)):
    neuron = PlasticLIF(sensitivity=sensitivities[k])
    for side in (np.linspace(-62, -0.5, 100), np.linspace(0.5, 62, 100)):
        later = np.where(side > 0, 100, 100 - side)
        exact = rule.credit(neuron, side * ms, (300 - later) * ms, released[k] * np.ones(100))
        ax.plot(side, exact, color=color, lw=1)
    ax.plot(lags, change[k], "o", ms=4, color=color, label=name)
ax.axhline(0, color="0.8", lw=0.8, zorder=0)
ax.axvline(0, color="0.8", lw=0.8, zorder=0)
ax.set(xlabel="from presynaptic to postsynaptic spike (ms)", ylabel="change of the synapse")
ax.legend(frameon=False, fontsize=8)
plt.show()
