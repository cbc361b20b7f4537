"""
An engram recalled from a cue
=============================

A group of cells that are wired more densely among themselves than with all others is an engram:
at rest it fires as everybody does, and when a part of it is excited, the rest of it fires along.
Here 80 of 400 excitatory cells are members: 25 of the 30 excitatory synapses onto each come from
other members, where 6 would by chance. From 0.5 to 1 s a cue raises the input of half of them.
The same network wired by chance, with as many synapses onto every cell, does not complete the
pattern. How such wiring grows by itself when neurons only hold their rates is the protocol
:doc:`engram </reference/protocols/engram>`; here it is built in.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, ms, mV, nA, pA, prefs, second

from neuromod import Connection, Experiment, Population, simulate
from neuromod.inputs.currents import steps
from neuromod.inputs.spikes import fixed_indegree, poisson
from neuromod.models import GainLIF

prefs.codegen.target = "numpy"  # compiles nothing
dt, duration = 0.2 * ms, 1.5 * second
engram, excitatory, size, outside = 80, 400, 500, 800


def network(within, seed=1):
    """Excitatory cells have 30 synapses each from their kind; the engram's, `within` of its own."""
    draw = np.random.default_rng(seed)
    everyone = np.arange(size)
    members, others, inhibitory = np.split(everyone, [engram, excitatory])
    start = draw.uniform(-70, -50, size) * mV
    cells = Population("cells", GainLIF(receptors=()), size, {"v": start})
    noise = poisson("outside", outside, 20 * Hz, dt, duration, dt, draw)
    parts = [
        ("cells", members, members, within, 180 * pA),
        ("cells", others, members, 30 - within, 180 * pA),
        ("cells", np.arange(excitatory), everyone[engram:], 30, 180 * pA),
        ("cells", inhibitory, everyone, 25, -700 * pA),
        ("outside", np.arange(outside), everyone, 100, 150 * pA),
    ]
    connections = []
    for name, sources, targets, indegree, weight in parts:
        i, j = fixed_indegree(sources, targets, indegree, draw, recurrent=name == "cells")
        connections.append(Connection(name, "cells", "I_syn", i=i, j=j, weight=weight))
    cue = steps(cells, [0.5, 1] * second, [0.3, 0] * nA, dt, neurons=range(engram // 2))
    return Experiment(
        populations=[cells], sources=[noise], connections=connections, duration=duration, dt=dt
    ).add(cue)


# %%
# Cells 0 to 39 are cued, 40 to 79 are the rest of the engram.

fig, axes = plt.subplots(2, 2, figsize=(9, 5), sharex=True, sharey="row", layout="constrained")
for column, (name, within) in enumerate({"engram": 25, "no engram": 6}.items()):
    spikes = simulate(network(within)).spikes["cells"]
    t = spikes.times / second
    shown = spikes.neurons < 160
    axes[0, column].plot(t[shown], spikes.neurons[shown], "k.", ms=1.5)
    axes[0, column].set_title(f"{name}: {within} of 30 synapses from members")
    bins = np.arange(0, 1.51, 0.05)
    groups = {"cued": (0, 40, "C1"), "uncued members": (40, 80, "C0"), "others": (80, 400, "0.5")}
    for label, (first, last, color) in groups.items():
        own = (spikes.neurons >= first) & (spikes.neurons < last)
        rate = np.histogram(t[own], bins)[0] / (last - first) / 0.05
        axes[1, column].step(bins[:-1], rate, where="post", color=color, label=label)
    for ax in axes[:, column]:
        ax.axvspan(0.5, 1, color="C1", alpha=0.12, lw=0)
    axes[1, column].set_xlabel("time (s)")
axes[0, 0].set_ylabel("cell")
axes[1, 0].set_ylabel("rate (Hz)")
axes[1, 1].legend(frameon=False, fontsize=8)
plt.show()
