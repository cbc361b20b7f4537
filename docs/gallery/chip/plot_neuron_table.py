"""
How does this neuron compare with published circuits?
=====================================================

Table 9 of Barton et al. 2022 lists neuron circuits by their highest rate of spikes and their
energy per spike. The model is driven as hard as its time constants allow, at several supplies,
and joins the published designs (circles). Its energy was calibrated to the paper's least energy,
so only how it changes with rate and supply is a result. The designs are of processes from 28 to
350 nm, which their energies reflect. :doc:`/explanation/transistors` has the model in other
processes.
"""

import matplotlib.pyplot as plt

import neuromod

run = neuromod.run("neuron-table")

table = run.table
published, own = table[table.process_nm.notna()], table[table.process_nm.isna()]
figure, axes = plt.subplots(figsize=(6, 4))
axes.plot(published.max_rate_MHz, published.energy_per_spike_pJ, "o", label="published")
for row in published.itertuples():
    left = row.max_rate_MHz > 0.1
    axes.annotate(
        row.design,
        (row.max_rate_MHz, row.energy_per_spike_pJ),
        (-7 if left else 7, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=8,
    )
axes.plot(own.max_rate_MHz, own.energy_per_spike_pJ, "^", alpha=0.7, label="this model")
axes.set(xscale="log", yscale="log", ylim=(0.2, 200))
axes.set(xlabel="highest rate of spikes (MHz)", ylabel="energy per spike (pJ)")
axes.legend(loc="upper left")
plt.show()
