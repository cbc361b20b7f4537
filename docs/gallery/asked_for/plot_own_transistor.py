"""
Your own transistor: fitting a mirror to a sweep
================================================

The current of one unit over the supply, from your simulator or your bench, is enough for a
circuit neuron. ``fit_mirror`` finds β, threshold, load and slope factor of a mirror in it, with
95 % intervals. The points here stand in for a measurement and are typed by hand; ``read_mirror``
takes them from a table or from a SPICE raw file. The fit becomes a ``CircuitNeuron``, which runs
everywhere another does. What the mirror's law cannot follow shows in the residuals.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from brian2 import nA, volt

from neuromod.chip.mirror_fit import fit_mirror

sweep = pd.DataFrame(
    {
        "vdd_V": [0.30, 0.34, 0.38, 0.42, 0.46, 0.50, 0.58, 0.66, 0.74, 0.82, 0.90, 1.00],
        "current_nA": [0.033, 0.122, 0.371, 0.93, 1.77, 2.91, 5.67, 8.64, 11.9, 15.1, 18.5, 22.9],
    }
)
fit = fit_mirror(sweep)
print(fit)
chip = fit.circuit(vdd_low=0.3 * volt)

# %%

vdd = np.linspace(0.3, 1, 200) * volt
fig, (main, rest) = plt.subplots(
    2, 1, figsize=(6, 5), sharex=True, height_ratios=[3, 1], layout="constrained"
)
main.plot(vdd / volt, chip.unit_current(vdd) / nA, color="C0", label="EKV mirror, fitted")
main.plot(sweep.vdd_V, sweep.current_nA, "o", color="C1", label="your sweep")
main.set(yscale="log", ylabel="current of a unit (nA)")
main.legend(frameon=False)
there = chip.unit_current(sweep.vdd_V.to_numpy() * volt) / nA
rest.axhline(0, color="0.7", lw=0.8)
rest.plot(sweep.vdd_V, 100 * (sweep.current_nA / there - 1), "o", color="C1")
rest.set(xlabel="supply VDD (V)", ylabel="residual (%)")
plt.show()
