"""
Figure 7: where the neuron core's power goes at two spike rates
===============================================================

The paper's figure 7 divides the power of the neuron core among its parts at two spike rates, in a
picture whose numbers are not in the text. Here is the same question for this model, at its
highest rate of 3.3 MHz (table 9) and at a tenth of that. The core's split into decisions of the
comparator, spikes, resets and leakage is calibrated so that a spike costs the paper's least
energy, 1.08 pJ, at 3.3 MHz; that this energy belongs to that rate is chosen here. What the
calibration does not set is how the shares change with the rate.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Mhertz, prefs, usecond

import neuromod

prefs.codegen.target = "numpy"  # compiles nothing
run = neuromod.run(
    "power-budget", shown_rates=[0.33, 3.3] * Mhertz, rates=[1.0] * Mhertz, duration=60 * usecond
)
budget = run.tables["budget"]
core = budget[budget.supply == "core"]
print(core[["rate_MHz", "entry", "power_nW", "core_percent"]].round(2).to_string(index=False))

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for shift, (rate, rows) in zip((-0.19, 0.19), core.groupby("rate_MHz"), strict=True):
    total = rows.power_nW.sum()
    name = f"{rate:.2g} MHz: {total / 1e3:.2g} µW, {total / rate / 1e3:.2f} pJ a spike"
    at = np.arange(len(rows)) + shift
    bars = ax.barh(at, rows.core_percent, 0.36, label=name)
    ax.bar_label(bars, [f"{share:.1f} %" for share in rows.core_percent], padding=3, fontsize=8)
ax.set_yticks(range(len(rows)), rows.entry)
ax.invert_yaxis()
ax.set(xlabel="share of the core's power (%)", xlim=(0, 95))
ax.set_title("Split calibrated to 1.08 pJ a spike at 3.3 MHz", fontsize=10)
ax.legend(frameon=False, loc="lower right")
plt.show()
