"""
How long does a puff of modulator act?
======================================

A pipette puffs a modulator onto a cell. The concentration rises during the puff and clears within
a fraction of a second, but receptor and second messenger are slower: the gain peaks after the
modulator has gone and fades over seconds. Longer puffs reach higher gains, and a little later.
The dashed line is the gain at the end of the same puffs if it followed the concentration at once.
:doc:`/reference/receptors` shows all ways to deliver a modulator.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, second, umolar

import neuromod

run = neuromod.run(
    "puff",
    conc=[10] * umolar,
    width=[100, 300, 1000] * ms,
    interval=[2] * second,
    puffs=2,
    onset=0.5 * second,
    after=6 * second,
)

figure, (above, below) = plt.subplots(2, 1, figsize=(6, 4.5), sharex=True)
for k, width in enumerate([100, 300, 1000]):
    recording = run.recordings[f"single_{k}"]
    signals = recording.signals["neurons"]
    seconds = np.asarray(recording.times / second)
    above.plot(seconds, signals["conc_modulator"].values[0], label=f"{width} ms")
    below.plot(seconds, signals["gain"].values[0])
above.set(ylabel="modulator (µM)")
above.legend(title="puff of")
below.set(xlabel="time (s)", ylabel="gain")
plt.show()

# %%
run.table[["width_ms", "peak_conc_uM", "peak_gain", "latency_s", "half_decay_s"]].round(3)
