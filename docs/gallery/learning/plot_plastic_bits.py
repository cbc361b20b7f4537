"""
How many bits must a weight have that learns?
=============================================

A digital chip stores weights as codes of a few bits, and learning changes them by less than one
step. Rounded to the nearest code, such a change is lost every time. Rounded at random, so that
its mean is exact, it gets through now and then as a whole step. A layer of ten spiking cells
learns handwritten digits with both. Dashed is the same network with weights that are not rounded.
It has seen 250 images here instead of 2000, so accuracies are lower than those in
:doc:`/explanation/plasticity`.
"""

import matplotlib.pyplot as plt
import numpy as np

import neuromod

run = neuromod.run("plastic-bits", seeds=1, images=250, passes=1, tested=150, bits=(2, 3, 4, 6, 8))

summary = run.tables["summary"]
full = summary[np.isinf(summary.bits)].iloc[0]
figure, axes = plt.subplots(figsize=(5, 3.5))
for rounding, rows in summary[np.isfinite(summary.bits)].groupby("rounding", sort=False):
    axes.plot(rows.bits, 100 * rows.accuracy_mean, "o-", label=f"{rounding} rounding")
axes.axhline(100 * full.accuracy_mean, color="0.5", ls="--", label="not rounded")
axes.axhline(10, color="0.5", ls=":", label="guessing")
axes.set(xlabel="bits, sign included", ylabel="test images right (%)", ylim=(0, 100))
axes.legend(loc="center right", bbox_to_anchor=(1, 0.33))
plt.show()
