"""
Which ways of tuning survive on the chip?
=========================================

A network lies in a chip's memory as 3-bit codes, and learns new digits by one gain per neuron. On
the chip a gain is a supply voltage, which has a range and no negative values. Gains tuned freely
need the memory rewritten, for their signs, or lose accuracy when they are clipped to the range;
gains kept within reach while they are tuned lose less, and several supplies a neuron, for groups
of its synapses, win most of it back. One network of each kind, in volleys of single spikes;
:doc:`/explanation/supply-groups` has more of them.
"""

import matplotlib.pyplot as plt

import neuromod

run = neuromod.run("chip-network", bits=(3,), supplies=(4,), seeds=1, images=10)

methods = run.tables["methods"]
figure, axes = plt.subplots(figsize=(6, 3.5))
names = [f"{row.method} ({row.supplies:.0f} supplies)" for row in methods.itertuples()]
axes.barh(names, 100 * methods.trained_accuracy_mean, color="0.85", label="as trained")
axes.barh(names, 100 * methods.test_accuracy_mean, 0.5, label="on the chip")
axes.axvline(3.1, color="k", ls=":", label="chance")
axes.invert_yaxis()
axes.set(xlabel="test images right (%)", xlim=(0, 100))
axes.legend(loc="lower right")
plt.show()

# %%
# Neurons may share supplies, found by clustering their gains, and be tuned again with these.
run.tables["supplies"][["grouping", "supplies", "memory", "again", "test_accuracy_mean"]].round(3)
