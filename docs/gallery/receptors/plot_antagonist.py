"""
How strongly does an antagonist bind? A Schild plot
===================================================

A competitive antagonist shifts the dose-response curve of the agonist to the right without
changing its height, by a dose ratio of 1 + [B]/K\\ :sub:`B` (Gaddum 1937). Schild's plot of log
(dose ratio − 1) against log [B] is then a line of slope 1 that crosses zero at pA\\ :sub:`2`, the
antagonist's affinity. The response here is a firing rate: equal responses mean equal occupancies,
whatever lies between receptor and spikes. The receptor was given a pA\\ :sub:`2` of 7, which the
regression should find. :doc:`/reference/receptors` shows how receptors get antagonists.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import nA, second, umolar

import neuromod

run = neuromod.run(
    "antagonist",
    antagonist=[0.3, 1, 3, 10] * umolar,
    conc=np.append(0, np.geomspace(0.03, 1000, 10)) * umolar,
    I=[1.1, 1.3] * nA,
    duration=0.5 * second,
)

curves, schild = run.tables["curves"], run.tables["schild"].iloc[0]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
for conc, points in run.tables["responses"].groupby("antagonist_uM"):
    left.plot(points.conc_uM, points.rate_Hz, "o-", ms=4, label=f"{conc:g} µM")
left.set(xscale="log", xlabel="agonist (µM)", ylabel="firing rate (Hz)")
left.legend(title="antagonist")

shifted = curves[curves.antagonist_uM > 0]
log_conc = np.log10(shifted.antagonist_uM * 1e-6)
right.plot(log_conc, np.log10(shifted.dose_ratio - 1), "o")
right.plot(log_conc, schild.slope * (log_conc + schild.pA2))
right.set(
    xlabel="log [antagonist] (M)",
    ylabel="log (dose ratio − 1)",
    title=f"slope {schild.slope:.3f}, pA₂ {schild.pA2:.3f}",
)
plt.show()
