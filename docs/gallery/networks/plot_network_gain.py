"""
What is left of a cell's gain in a recurrent network?
=====================================================

In a network of excitatory and inhibitory cells a modulator raises the gain of every cell. A
cell's gain multiplies all of its input, recurrent inhibition too. So the network does not respond
steeper by the same factor: it begins to fire at a weaker drive. Dots are rates of spiking
networks without and with the modulator, lines are mean-field theory (Brunel 2000). This network
has 500 cells and strong synapses, where the theory is rough; the default has 10 000. The page of
:doc:`plasticity </explanation/plasticity>` uses the same theory.
"""

import matplotlib.pyplot as plt
from brian2 import Hz, pA, second, umolar

import neuromod

run = neuromod.run(
    "network-gain",
    n_excitatory=400,
    n_inhibitory=100,
    indegree=48,
    weight=250 * pA,
    drive=[14, 20, 28, 36] * Hz,
    conc=[0, 1] * umolar,
    dwell=0.4 * second,
    transient=0.1 * second,
)

figure, axes = plt.subplots(figsize=(5, 3.5))
excitatory = run.table[run.table.population == "excitatory"]
for (conc, gain), curve in excitatory.groupby(["conc_uM", "gain"]):
    (line,) = axes.plot(curve.drive_Hz, curve.mean_field_Hz)
    name = f"{conc:g} µM: gain {gain:.2g}"
    axes.plot(curve.drive_Hz, curve.rate_Hz, "o", color=line.get_color(), label=name)
axes.set(xlabel="rate of neurons outside (Hz)", ylabel="rate of excitatory cells (Hz)")
axes.legend(title="modulator")
plt.show()

# %%
# The response gain is the slope of the rate against the drive.
run.tables["response"].round(3)
