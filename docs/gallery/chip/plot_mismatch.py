"""
How many chips work when no two transistors are alike?
======================================================

Thresholds, transconductances, resistors and offsets differ from device to device. The XOR gate is
made 100 times with random mismatch of several sizes, and a gate works if all four rows of its
truth table are right. Where it fails, its supplies are tuned again and some gates are rescued,
though one supply cannot restore the balance of two currents. Bars are 95 % intervals. Standard
deviations are estimates for the default circuit; :doc:`/explanation/transistors` has those of
open processes.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import mV, volt

import neuromod

run = neuromod.run(
    "mismatch",
    vdd=[0.9] * volt,
    chips=100,
    sizes=np.array([0.5, 1, 2, 3, 4]),
    trim=[-40, -20, 0, 20, 40] * mV,
    supply_noise=[3] * mV,
)

figure, axes = plt.subplots(figsize=(5, 3.5))
rows = run.table[run.table.design == "widest"]
for name, label in (("yield", "as made"), ("retuned", "supplies tuned again")):
    value = rows[f"{name}_percent"]
    bars = [value - rows[f"{name}_low_percent"], rows[f"{name}_high_percent"] - value]
    axes.errorbar(rows.size_sigma, value, np.clip(bars, 0, None), fmt="o-", capsize=3, label=label)
axes.set(xlabel="mismatch (standard deviations)", ylabel="gates that work (%)", ylim=(0, 104))
axes.legend()
plt.show()
