"""
Are several sets of gains better than one?
==========================================

The weights of a network stay on the chip, and several sets of supplies are applied one after
another: an ensemble that costs 173 numbers a member and no memory. Output neurons vote. At equal
numbers of trained parameters a single network with supplies for groups of synapses stands beside
it. Each pass costs energy, and so does changing the supplies. One seed and two members;
:doc:`/explanation/ensembles` has calibration, regression and the spread over seeds.
"""

import matplotlib.pyplot as plt

import neuromod

run = neuromod.run("ensemble", studies=("chip",), members=(1, 2), seeds=1, images=2)

chip = run.tables["chip"]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
names = {"sets": "sets of supplies, voting", "groups": "one network with groups"}
for (way, rows), marker in zip(chip.groupby("way", sort=False), "os", strict=False):
    left.plot(rows.members, 100 * rows.accuracy_mean, marker + "-", label=names[way])
    right.plot(rows.members, rows.energy_per_image_pJ_mean, marker + "-")
left.set(ylabel="test images right (%)", ylim=(0, 100))
right.set(ylabel="energy per image (pJ)", ylim=(0, None))
for axes in (left, right):
    axes.set(xlabel="members, or their number of parameters", xticks=[1, 2])
left.legend()
plt.show()
