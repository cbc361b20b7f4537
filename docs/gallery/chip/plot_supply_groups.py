"""
Can a few rails feed all the supplies of a chip?
================================================

A network whose memory is never rewritten is tuned by supplies for groups of each neuron's
synapses. To make a supply for each group is costly. Instead the chip can have a few voltages
(rails), and each group a switch that chooses one of them; gains are then tuned for those rails.
Bars are the shares of test images that are right, with a supply of its own for every group and
with four rails, switched for groups or for single synapses. One network each;
:doc:`/explanation/supply-groups` compares numbers of supplies, sharing, bits and mismatch.
"""

import matplotlib.pyplot as plt

import neuromod

run = neuromod.run("supply-groups", studies=("rails",), rails=(4,), seeds=1, images=10)

supplies = run.tables["supplies"]
names = ["a supply for\neach group", "4 rails,\nfor groups", "4 rails,\nfor synapses"]
figure, axes = plt.subplots(figsize=(5, 3.5))
axes.bar(names, 100 * supplies.test_accuracy_mean, color=["0.6", "C0", "C1"])
axes.axhline(3.1, color="k", ls=":")
axes.set(ylabel="test images right (%)", ylim=(0, 100))
plt.show()

# %%
supplies[["study", "grouping", "rails", "test_accuracy_mean", "energy_per_image_pJ_mean"]].round(3)
