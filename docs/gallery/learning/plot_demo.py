"""
How well does one gain per neuron tune a network?
=================================================

A network that knows the digits 0 to 4 is tuned to tell 5 to 9 apart at the same outputs, its
weights frozen: by one gain per neuron (nt1), as a network with graded outputs and as spiking
ones. For a chip the gains are supplies, for groups of a neuron's synapses (nt1 groups). That
network is then built from biological neurons and from circuit neurons in Brian2, and all do what
torch's did. One seed, and ten images through the neurons; :doc:`/explanation/physics` tells how a
network becomes a chip, and :doc:`/how-to/tuning` compares all methods.
"""

import matplotlib.pyplot as plt

import neuromod

run = neuromod.run("demo", methods=("nt1",), seeds=1, deployed_images=10)

summary = run.tables["summary"]
names = [f"{row.method}, {row.network}\n({row.loss})" for row in summary.itertuples()]
figure, axes = plt.subplots(figsize=(6, 3.5))
bars = axes.barh(names, 100 * summary.test_accuracy_mean)
axes.bar_label(bars, [f"{n} numbers" for n in summary.trained_parameters], padding=3, fontsize=8)
axes.invert_yaxis()
axes.set(xlabel="test images right (%)", xlim=(0, 110))
plt.show()

# %%
run.tables["deployment"].round(3)
