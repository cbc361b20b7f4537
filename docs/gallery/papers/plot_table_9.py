"""
Table 9: energy per spike and highest rate among neuron circuits
================================================================

Table 9 of the paper compares five circuits of a neuron. Here are its numbers, with this model's
beside them: driven at ever shorter intervals by just enough current to fire it at each volley, at three
supplies. Filled marks count the core alone, as the paper seems to; open ones add the synapses, whose
current at a given supply follows from the mirror. The core's energies are calibrated to the paper's
1.08 pJ, so only rates and synapses are results of the model.
"""

import matplotlib.pyplot as plt
import neuromod
import numpy as np
from brian2 import nsecond, prefs, usecond, volt

prefs.codegen.target = "numpy"  # compiles nothing
run = neuromod.run(
    "neuron-table",
    intervals=np.arange(190, 321, 10) * nsecond,
    vdd=[0.5, 0.75, 1] * volt,
    v_bias=[0.6] * volt,
    duration=15 * usecond,
)
table = run.table
published = table[table.source.str.contains("table 9")]
own = table[table.design.str.contains("fewest")]

fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
for row in published.itertuples():
    paper = row.design.startswith("Barton")
    ax.plot(row.max_rate_MHz, row.energy_per_spike_pJ, "s", ms=7, color="k" if paper else "0.6")
    ax.annotate(row.design, (row.max_rate_MHz, row.energy_per_spike_pJ), xytext=(0, 7),
                textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
colors = plt.cm.viridis(np.linspace(0, 0.8, len(own)))
for row, color in zip(own.itertuples(), colors, strict=True):
    name = row.design.split(", ")[1]
    ax.plot(row.max_rate_MHz, row.energy_core_pJ, "o", color=color, label=f"this model, {name}")
    ax.plot(row.max_rate_MHz, row.energy_per_spike_pJ, "o", color=color, mfc="none")
ax.set(xscale="log", yscale="log", xlim=(2e-5, 40), ylim=(0.2, 150))
ax.set(xlabel="highest spike rate (MHz)", ylabel="energy per spike (pJ)")
ax.legend(frameon=False, fontsize=8, loc="upper left", title="filled: core; open: with synapses")
plt.show()

print(own[["design", "max_rate_MHz", "energy_core_pJ", "energy_per_spike_pJ"]].round(2).to_string())
