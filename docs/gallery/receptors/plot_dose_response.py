"""
Which concentration has half of the effect?
===========================================

A metabotropic receptor's effect saturates with the concentration of its ligand. Cells settle in
baths of a modulator and fire; their gain is recovered from the firing rates alone, and a Hill
function is fitted to it. Its EC50 need not be the receptor's dissociation constant, 1 µM here: a
second messenger lies in between, so that less suffices for half of the effect. The line is the
steady state of the receptor's equations. :doc:`/explanation/physics` has them, and the table
below sets the fit beside them.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import nA, second, umolar

import neuromod

conc = np.append(0, np.geomspace(0.01, 100, 9))
run = neuromod.run("dose-response", conc=conc * umolar, I=[0.7, 1, 1.3] * nA, duration=0.5 * second)

doses, fit = run.tables["doses"], run.tables["gain_fit"].iloc[0]
fine = np.geomspace(0.01, 100, 200)
figure, axes = plt.subplots(figsize=(5, 3.5))
axes.plot(fine, run.protocol.steady_gain(fine), label="steady state of the equations")
axes.errorbar(
    doses.conc_uM, doses.recovered_gain, doses.recovered_gain_se, fmt="o", label="from rates"
)
axes.axvline(fit.ec50_uM, color="0.6", ls="--", label=f"EC50 = {fit.ec50_uM:.2f} µM (fit)")
axes.set(xscale="log", xlabel="concentration (µM)", ylabel="gain")
axes.legend()
plt.show()

# %%
run.tables["gain_fit"].round(3).T
