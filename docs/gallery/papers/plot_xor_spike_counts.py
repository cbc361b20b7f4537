"""
Section 6.2: two output spikes for a 0, four for a 1
====================================================

The paper's XOR of spiking neurons gave 2 output spikes for a 0 and 4 for a 1, read at fewer than
three; its codes are not printed. Here are all sets of codes that compute XOR with three circuit
neurons, at supplies from 0.6 to 1 V, from 15⁶ sets tried at each. Some of them answer as the
paper's simulation did. Their 2 spikes for a 0 must be those of the row with both inputs on, since
without input nothing is clocked. Below 0.7 V one unit moves the membrane too little for three
spikes; the size of a unit is calibrated here.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from brian2 import nsecond, volt
from matplotlib.colors import LogNorm

from neuromod.chip.pulses import PulseTrain
from neuromod.chip.xor import like_the_paper, search
from neuromod.models import CircuitNeuron

circuit = CircuitNeuron()
train = PulseTrain(count=10, period=330 * nsecond, dt=10 * nsecond)
rows, kept = [], []
for vdd in np.arange(0.6, 1.001, 0.05):
    found = search(circuit, train, vdd * volt)
    within = found[found.within_rails]
    alike = within[like_the_paper(within)]
    rows.append((vdd, within.networks.sum(), alike.networks.sum()))
    kept.append(within)
counts = pd.DataFrame(rows, columns=["vdd_V", "compute_xor", "as_the_paper"])
print(counts.to_string(index=False))

# %%
# Right: how many output spikes the sets of all supplies give in the rows that read 1, and in the
# row 1 1.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(counts.vdd_V, counts.compute_xor, "o-", color="C0", label="compute XOR")
left.plot(counts.vdd_V, counts.as_the_paper, "s-", color="C3", label="2 spikes for 0, 4 for 1")
left.set_yscale("symlog", linthresh=1)
left.set(xlabel="supply VDD (V)", ylabel="sets of codes, within the rails", ylim=(-0.3, None))
left.legend(frameon=False, loc="lower right", fontsize=8)
every = pd.concat(kept)
ones, zero = every.spikes_01, every.spikes_11
shares = np.zeros((11, 3))
np.add.at(shares, (ones, zero), every.networks)
image = right.pcolormesh(
    np.arange(3), np.arange(11), np.where(shares > 0, shares, np.nan), norm=LogNorm()
)
fig.colorbar(image, label="sets of codes, all supplies")
right.plot(2, 4, "s", ms=14, mfc="none", mec="C3", mew=2)
right.set_xticks([0, 1, 2])
right.set(xlabel="output spikes, inputs 1 1", ylabel="output spikes, inputs 0 1", ylim=(2.5, 9.5))
right.set_title("red: the paper's 2 and 4", fontsize=10)
plt.show()
