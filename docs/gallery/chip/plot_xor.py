"""
Which 3-bit weights make three chip neurons compute XOR?
========================================================

Two hidden neurons and an output neuron, six synapses with codes from −7 to 7: all 11 million sets
of codes are tried in closed form at each supply. Left is how many of them compute XOR. Below a
supply of 0.7 V there are none, because a unit moves the membrane too little. Right are the spikes
of the network with the widest margin in each row of the truth table, simulated: the output fires
for 01 and 10 alone. :doc:`/explanation/physics` gives the closed form.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import volt

import neuromod

run = neuromod.run("xor", vdd=[0.65, 0.7, 0.75, 0.8, 0.9] * volt)

supplies, widest = run.tables["supplies"], run.table[run.table.design == "widest"]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
left.plot(supplies.vdd_V, supplies.networks / 1000, "o-", label="all")
left.plot(supplies.vdd_V, supplies.within_rails / 1000, "s-", label="between the rails")
left.set(xlabel="synapse supply (V)", ylabel="networks found (1000)", ylim=(0, None))
left.legend()
width = 0.27
for place, neuron in enumerate(("hidden_1", "hidden_2", "output")):
    at = np.arange(len(widest)) + width * (place - 1)
    right.bar(at, widest[f"{neuron}_spikes"], width, label=neuron.replace("_", " "))
right.set(xlabel="inputs", ylabel="spikes", xticks=range(len(widest)))
right.set_xticklabels(widest.row)
right.legend()
plt.show()
