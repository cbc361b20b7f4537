"""
Does a learned memory survive weights of few bits?
==================================================

A network that has learned to recall patterns seen once keeps them in plastic weights. On a chip
these are codes of a few bits, and what gates their change is a supply voltage instead of an ideal
third factor. All variants run in Brian2 on the same episodes. Without plastic part (0 bits) the
network guesses; with each bit more it should come nearer to weights that are not rounded. The
network is one that learned for 60 steps instead of 200 and is not good at its task yet;
:doc:`/explanation/plasticity` has three full ones.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms

import neuromod

run = neuromod.run(
    "plastic-codes", seeds=1, steps=60, episodes=40, calibration=20, bits=(0, 2, 4), delay=0 * ms
)

summary = run.tables["summary"]
figure, axes = plt.subplots(figsize=(5, 3.5))
for modulation, rows in summary.groupby("modulation", sort=False):
    rounded = rows[np.isfinite(rows.bits)]
    (line,) = axes.plot(rounded.bits, rounded.success_mean, "o-", label=modulation)
    full = rows[np.isinf(rows.bits)].success_mean.iloc[0]
    axes.plot(5, full, "o", color=line.get_color())
axes.axhline(1 / 3, color="0.6", ls=":", label="guessing")
axes.set_xticks([0, 2, 4, 5], ["0", "2", "4", "not\nrounded"])
axes.set(xlabel="bits besides the sign", ylabel="share of answers right", ylim=(0, 1.03))
axes.legend(title="modulation")
plt.show()
