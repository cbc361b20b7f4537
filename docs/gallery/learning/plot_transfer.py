"""
How far do gains get at equal numbers of trained parameters?
============================================================

A network that knows the digits 0 to 4 learns 5 to 9 while its weights stay as they are. What is
trained is a gain for each neuron (nt1), a bias for each (nt2, additive), or an output layer alone
(probe). The question that tables of accuracy alone leave open is what a trained number is worth,
so accuracy is drawn against their number; the dotted line is a logistic regression on the very
features. One network each, few epochs: :doc:`/explanation/transfer` has the comparison in full,
on data from digits to ImageNet's successors.
"""

import matplotlib.pyplot as plt
import numpy as np

import neuromod

run = neuromod.run(
    "transfer",
    data=("digits",),
    tables=("equal",),
    methods=("nt1", "nt2", "nt1_inputs", "probe"),
    candidates=np.array([0.3]),
    epochs=10,
    runs=1,
)

equal = run.tables["equal"]
figure, axes = plt.subplots(figsize=(5, 3.5))
for (method, found), marker in zip(equal.groupby("method", sort=False), "os^DvP", strict=False):
    accuracy = 100 * found.test_accuracy_mean
    axes.plot(found.trained_parameters, accuracy, marker + "-", label=method)
axes.axhline(100 * equal.probe_test_accuracy.iloc[0], color="0.5", ls=":")
axes.axhline(20, color="0.7", lw=0.8)
axes.set(xlabel="trained parameters", ylabel="test images right (%)", xscale="log", ylim=(0, 102))
axes.set_xticks([77, 173, 365, 552], [77, 173, 365, 552])
axes.minorticks_off()
axes.legend()
plt.show()
