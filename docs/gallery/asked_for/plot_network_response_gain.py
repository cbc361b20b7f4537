"""
Response gain of a recurrent network under a modulator
======================================================

A receptor scales the input of every cell; what the network makes of that depends on its recurrent
inhibition. Three copies of one network of 400 excitatory and 100 inhibitory cells, with the same
synapses, lie in three baths of dopamine and receive the same input, which swells from 1 to 16
spikes per second at each of 1000 afferents and ebbs again. The response gain is the slope of
population rate over input rate. Dopamine lets the network respond to a weaker input, and raises
the slope by less than the cells' own gain, because it scales the inhibition that answers as well.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, ms, pA, prefs, second, umolar

from neuromod import Connection, Experiment, Population, simulate
from neuromod.inputs.modulators import bath
from neuromod.inputs.spikes import fixed_indegree, inhomogeneous
from neuromod.models import GainLIF, library

prefs.codegen.target = "numpy"  # compiles nothing
draw = np.random.default_rng(4)
dt, duration = 0.2 * ms, 1.6 * second
excitatory, size, afferents = 400, 500, 1000
baths = [0, 0.5, 20] * umolar

cell = GainLIF(receptors=[library.D1])
conc = np.repeat(baths / umolar, size) * umolar
cells = Population("cells", cell, size * len(baths))
inputs = inhomogeneous(
    "inputs", afferents, [0, 0.8, 1.6] * second, [1, 16, 1] * Hz, duration, dt, draw
)


def wired(sources, indegree, weight, name):
    """The same synapses in every copy of the network."""
    i, j = fixed_indegree(sources, np.arange(size), indegree, draw, recurrent=name == "cells")
    copies = size * np.arange(len(baths))[:, None]
    own = copies if name == "cells" else 0 * copies
    weights = np.full(i.size * len(baths), weight / pA) * pA
    return Connection(
        name, "cells", "I_syn", i=(i + own).ravel(), j=(j + copies).ravel(), weight=weights
    )


network = Experiment(
    populations=[cells],
    sources=[inputs],
    connections=[
        wired(np.arange(afferents), 80, 250 * pA, "inputs"),
        wired(np.arange(excitatory), 20, 150 * pA, "cells"),
        wired(np.arange(excitatory, size), 20, -900 * pA, "cells"),
    ],
    duration=duration,
    dt=dt,
)
recording = simulate(network.add(bath(cells, {"dopamine": conc})))

# %%
# Rates of the excitatory cells in bins of 80 ms, against the rate of the input in the same bins.
# Lines are fitted to bins in which the cells fire at more than 1 Hz.

spikes = recording.spikes["cells"]
copy, cell_number = np.divmod(spikes.neurons, size)
bins = np.linspace(0, 1.6, 21)
middle = (bins[1:] + bins[:-1]) / 2
input_rate = np.interp(middle, [0, 0.8, 1.6], [1, 16, 1])
gains = cell.steady_gain({"dopamine": baths})

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
colors = plt.cm.viridis(np.linspace(0, 0.8, len(baths)))
slopes = []
for k, color in enumerate(colors):
    own = (copy == k) & (cell_number < excitatory)
    rate = np.histogram(spikes.times[own] / second, bins)[0] / (excitatory * 0.08)
    fires = rate > 1
    slope, rise = np.polyfit(input_rate[fires], rate[fires], 1)
    slopes.append(slope)
    name = f"{baths[k] / umolar:g} µM: cell {gains[k]:.2f}, network {slope / slopes[0]:.2f}"
    ax.plot(input_rate, rate, "o", ms=4, color=color, label=name)
    x = np.array([-rise / slope, 16])
    ax.plot(x, rise + slope * x, color=color, lw=1)
ax.set(xlabel="input rate (Hz)", ylabel="rate of excitatory cells (Hz)")
ax.set_ylim(-0.3, 18)
ax.legend(title="dopamine: gain relative to none", frameon=False)
plt.show()
