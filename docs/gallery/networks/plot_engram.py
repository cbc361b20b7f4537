"""
How can a memory be silent?
===========================

Excitatory cells create and delete synapses only to hold their own firing rate. Stimulated cells
fire too much and lose synapses. When the stimulus ends they fire too little, and grow new ones
with whoever grows at the same time: with each other. Rates then return to those of all others, so
that nothing shows the memory, but the synapses within the group stay denser until turnover wears
them off. Shaded are two stimuli. The network of 375 cells is small;
:doc:`/explanation/plasticity` has the full one.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import pA, second

import neuromod

run = neuromod.run(
    "engram",
    n_excitatory=300,
    n_inhibitory=75,
    n_outside=600,
    indegree=32,
    weight=330 * pA,
    growing=200 * second,
    stimulation=100 * second,
    rest=150 * second,
    forgetting=600 * second,
    cues=np.array([0]),
    dwell=0.2 * second,
)

history = run.tables["history"]
minutes = history.time_s / 60
figure, (above, below) = plt.subplots(2, 1, figsize=(6, 4.5), sharex=True)
above.plot(minutes, history.engram_Hz, label="stimulated group")
above.plot(minutes, history.others_Hz, label="others")
above.set(ylabel="firing rate (Hz)")
above.legend()
below.plot(minutes, history.within_engram, label="within the group")
below.plot(minutes, history.among_others, label="among others")
below.set(xlabel="time (min)", ylabel="synapses per pair")
below.legend()
for axes in (above, below):
    where = axes.get_xaxis_transform()
    axes.fill_between(minutes, 0, 1, history.input == 1, step="post", transform=where, color="0.9")
plt.show()
