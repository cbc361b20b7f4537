"""
How does a network hold a cue in mind?
======================================

A cue (shaded) excites one group of pyramidal cells. Within the group synapses are strong and slow
(NMDA), so that its cells keep each other firing after the cue has gone, while all other cells
stay at a few hertz (Brunel & Wang 2001). It needs enough background: with the weak drive from
outside on the left the cue raises a few spikes, with that on the right the group fires on. One
trial of 500 cells each; :doc:`/explanation/working-memory` shows what dopamine changes, and with
how many trials.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import kHz, ms, second

import neuromod

drives = [1.4, 2.4]
run = neuromod.run(
    "working-memory",
    studies=("drive",),
    trials=1,
    drives=drives * kHz,
    stimulus=300 * ms,
    settling=200 * ms,
    window=300 * ms,
)

(recording,) = run.recordings.values()
spikes, cells = recording.spikes["cells"], run.protocol.n_excitatory
size = cells + run.protocol.n_inhibitory
figure, panels = plt.subplots(1, 2, figsize=(7, 3.5), sharex=True, sharey=True)
for copy, (axes, drive) in enumerate(zip(panels, drives, strict=True)):
    cell = spikes.neurons - copy * size
    shown = (cell >= 0) & (cell < cells)
    group = run.protocol.network(2).group(0)
    of_cue = np.isin(cell, group) & shown
    seconds = np.asarray(spikes.times / second)
    axes.plot(seconds[shown & ~of_cue], cell[shown & ~of_cue], ",", color="0.5")
    axes.plot(seconds[of_cue], cell[of_cue], ".", ms=2, color="#D55E00", label="cued group")
    axes.axvspan(0.5, 0.8, color="0.9", zorder=0)
    axes.set(xlabel="time (s)", title=f"{drive:g} kHz from outside")
panels[0].set(ylabel="pyramidal cell")
plt.show()

# %%
# Rates of the cued group before the cue and in the delay after it.
run.table[["drive_kHz", "spontaneous_Hz", "delay_Hz", "mean_field_persistent_Hz", "loaded"]].round(
    2
)
