"""
Figure 7: where the neuron core's power goes at two spike rates
===============================================================

The paper's figure 7 divides the power of the neuron core among its parts at two spike rates, in a
picture whose numbers are not in the text. Here is the same question for this model, at its highest
rate of 3.3 MHz (table 9) and at a tenth of that. The core's split into decisions of the comparator,
spikes, resets and leakage is calibrated so that a spike costs the paper's least energy, 1.08 pJ, at
3.3 MHz; that this energy belongs to that rate is chosen here. What the calibration does not set is how
the shares change with the rate.
"""

import matplotlib.pyplot as plt
import neuromod
import numpy as np
from brian2 import Mhertz, prefs, usecond

prefs.codegen.target = "numpy"  # compiles nothing
run = neuromod.run(
    "power-budget", shown_rates=[0.33, 3.3] * Mhertz, rates=[1.0] * Mhertz, duration=60 * usecond
)
budget = run.tables["budget"]
core = budget[budget.supply == "core"]
print(core[["rate_MHz", "entry", "power_nW", "core_percent"]].round(2).to_string(index=False))

fig, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
colors = dict(zip(core.entry.unique(), ("C0", "C1", "C2", "0.6"), strict=True))
for ax, (rate, rows) in zip(axes, core.groupby("rate_MHz"), strict=True):
    names = [f"{row.entry}\n{row.core_percent:.0f} %" for row in rows.itertuples()]
    ax.pie(rows.power_nW, labels=names, colors=[colors[entry] for entry in rows.entry])
    total = rows.power_nW.sum()
    ax.set_title(f"{rate:.2g} MHz: {total / 1e3:.2g} µW, {total / rate / 1e3:.2f} pJ a spike")
fig.suptitle("Neuron core; split calibrated to 1.08 pJ a spike at 3.3 MHz", fontsize=10)
plt.show()
