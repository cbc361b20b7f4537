"""
Where does a spike's energy go?
===============================

A circuit neuron spends on what each spike needs (its generator, the comparator's decisions, the
reset) and on what flows all the time (leakage, references that stay on). At low rates few spikes
share the latter; at high rates the spike generator takes most. The diamond is the 1.08 pJ at 3.3
MHz to which the core was calibrated: an input, and no result. :doc:`/explanation/physics` lists
all entries.
"""

import matplotlib.pyplot as plt

import neuromod

run = neuromod.run("power-budget")

table = run.table.sort_values("rate_MHz")
entries = [name for name in table if name.endswith("_nW")]
shares = [1e-3 * table[name] / table.rate_MHz for name in entries]
figure, axes = plt.subplots(figsize=(6, 3.5))
names = [name.removesuffix("_nW").replace("_", " ") for name in entries]
axes.stackplot(table.rate_MHz, shares, labels=names)
axes.plot(3.3, 1.08, "kD", ms=5)
axes.set(xscale="log", xlabel="output rate (MHz)", ylabel="energy per spike (pJ)")
axes.legend()
plt.show()
