"""
Table 9: energy per spike and highest rate among neuron circuits
================================================================

Table 9 of the paper compares five circuits of a neuron. Here are its numbers, with this model's
beside them: the highest rate that volleys just strong enough to fire it reach, for several widths
of the spike, which the bias of the spike generator sets. The paper's 3.3 MHz are one spike in 300
ns, of which it gives 100 to the spike itself; this model also fires at every volley, 200 ns
apart. Its energy is no prediction: the core's parts are calibrated to the paper's 1.08 pJ, with
two decisions of the comparator for each spike. Here there is one.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import nsecond, prefs, usecond, volt

import neuromod

prefs.codegen.target = "numpy"  # compiles nothing
run = neuromod.run(
    "neuron-table",
    intervals=np.arange(120, 521, 20) * nsecond,
    vdd=[0.75] * volt,
    v_bias=[0.45, 0.5, 0.6] * volt,
    duration=15 * usecond,
)
published = run.table[run.table.source.str.contains("table 9")]
rates = run.tables["rates"]
own = rates[rates.drive.str.contains("fewest")].sort_values("rate_MHz")

fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
ax.plot(own.rate_MHz, own.energy_per_spike_pJ, "o-", color="C0", ms=4, label="this model, 0.75 V")
for row in published.itertuples():
    color = "k" if row.design.startswith("Barton") else "0.6"
    ax.plot(row.max_rate_MHz, row.energy_per_spike_pJ, "s", ms=7, color=color)
    place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": 8}
    ax.annotate(row.design, (row.max_rate_MHz, row.energy_per_spike_pJ), **place)
ax.set(xscale="log", yscale="log", xlim=(6e-6, 60), ylim=(0.2, 150))
ax.set(xlabel="highest spike rate (MHz)", ylabel="energy per spike (pJ)")
ax.set_title("squares: Barton et al. 2022, table 9; circles: calibrated energies", fontsize=9)
ax.legend(frameon=False, loc="upper left")
plt.show()

print(own[["width_ns", "rate_MHz", "decisions_per_spike", "energy_per_spike_pJ"]].round(2))
