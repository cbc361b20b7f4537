"""
Block of the afterhyperpolarisation by acetylcholine
====================================================

Pyramidal cells adapt: every spike adds to a slow outward current that holds the next one back.
Muscarinic receptors block it (Madison & Nicoll 1984), and the cell keeps firing. Here the neuron
is an adaptive exponential one. An M1 receptor that leaves its input alone (``gain_max=1``) takes
90 % of the effect of its adaptation current away. The same step of current reaches cells in four
baths of acetylcholine, in one network. The size of the block is chosen here, to be seen well.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, mV, nA, pA, prefs, umolar

from neuromod import Experiment, Population, Trace, simulate
from neuromod.inputs.currents import steps
from neuromod.inputs.modulators import bath
from neuromod.models import AdEx, library

prefs.codegen.target = "numpy"  # compiles nothing
dt = 0.1 * ms
M1 = replace(library.M1, gain_max=1, ahp_max=0.1)
baths = [0, 1, 3, 30] * umolar
cells = Population("cells", AdEx(receptors=[M1], b=100 * pA), len(baths))
experiment = Experiment(
    populations=[cells],
    traces=[Trace("cells", ("v", "w"), np.arange(len(baths)))],
    duration=700 * ms,
    dt=dt,
)
step = steps(cells, [50, 550] * ms, [0.9, 0] * nA, dt)
recording = simulate(experiment.add(bath(cells, {"acetylcholine": baths}), step))

# %%
# On the right what follows the step: there the adaptation current alone pulls the cell below its
# rest.

v, spikes = recording.signal("cells", "v").values / mV, recording.spikes["cells"]
v[spikes.neurons, np.round(spikes.times / dt).astype(int)] = 20  # the peak, within one step
t, counts = recording.times / ms, spikes.counts()
fig, axes = plt.subplot_mosaic(
    [["none", "ahp"], ["most", "ahp"]], figsize=(9, 4), width_ratios=[3, 2], layout="constrained"
)
colors = plt.cm.viridis(np.linspace(0, 0.85, len(baths)))
for name, k in (("none", 0), ("most", -1)):
    axes[name].plot(t, v[k], color=colors[k], lw=0.8)
    title = f"{baths[k] / umolar:g} µM acetylcholine: {counts[k]} spikes"
    axes[name].set(ylabel="v (mV)", ylim=(-80, 25), title=title)
axes["most"].set_xlabel("time (ms)")
after = t > 551
for trace, conc, color in zip(v, baths / umolar, colors, strict=True):
    axes["ahp"].plot(t[after], trace[after], color=color, label=f"{conc:g} µM")
axes["ahp"].axhline(-70.6, color="0.6", lw=0.8, ls=":", label="rest")
axes["ahp"].set(xlabel="time (ms)", ylabel="v (mV)", ylim=(-79, -66), title="after the step")
axes["ahp"].legend(frameon=False, fontsize=8)
plt.show()

print("lowest potential after the step (mV):", v[:, after].min(axis=1).round(1))
