"""
How long does a puff of modulator act?
======================================

A pipette puffs a modulator onto a cell. The concentration rises during the puff and clears within
a fraction of a second, but receptor and second messenger are slower: the gain peaks after the
modulator has gone and fades over seconds. Longer puffs reach higher gains, and a little later.
:doc:`/reference/receptors` shows all ways to deliver a modulator.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import second, umolar

import neuromod

run = neuromod.run(
    "puff",
    conc=[10] * umolar,
    width=[0.1, 0.3, 1] * second,
    interval=[1.1] * second,
    puffs=2,
    onset=0.5 * second,
    after=3 * second,
)

figure, (above, below) = plt.subplots(2, 1, figsize=(6, 4.5), sharex=True)
for k, width in enumerate(run.table.width_ms):
    recording = run.recordings[f"single_{k}"]
    signals = recording.signals["neurons"]
    seconds = np.asarray(recording.times / second)
    above.plot(seconds, signals["conc_modulator"].values[0] / umolar, label=f"{width:g} ms")
    below.plot(seconds, signals["gain"].values[0])
above.set(ylabel="modulator (µM)")
above.legend(title="puff of")
below.set(xlabel="time (s)", ylabel="gain")
plt.show()

# %%
run.table[["width_ms", "peak_conc_uM", "peak_gain", "latency_s", "half_decay_s"]].round(3)
