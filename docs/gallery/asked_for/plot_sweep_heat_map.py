"""
A sweep of two settings as a heat map
=====================================

``sweep`` runs a protocol with every combination of values and returns an xarray data set with the
settings as coordinates. Here it is the EC50 of a cell's gain over the receptor's affinity (K_D =
k_off/k_on) and the reserve of its second messenger, K, the messenger's level of half effect. The
less messenger suffices, the further the EC50 lies below K_D, which is why a dose-response curve
alone does not tell affinity. Values come from Hill functions fitted to simulated rates; contours
are the closed form of the receptor.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, nA, prefs, second, umolar
from matplotlib.colors import LogNorm

import neuromod
from neuromod.models import Receptor

prefs.codegen.target = "numpy"  # compiles nothing
k_off = np.geomspace(0.1, 10, 5) * Hz
K = np.array([0.1, 0.3, 0.5, 0.7])
found = neuromod.sweep(
    "dose-response",
    {"generic.k_off": k_off, "generic.K": K},
    workers=1,
    conc=np.append(0, np.geomspace(1e-3, 300, 9)) * umolar,
    I=[0.9] * nA,
    duration=0.3 * second,
)
print(found.dataset)

# %%
# The shared settings stand in the data set's attributes; each table's columns are its variables.

ec50 = found.dataset["gain_fit.ec50_uM"].to_numpy().reshape(len(k_off), len(K))
k_on = float(Receptor().k_on * umolar / Hz)
K_D = np.asarray(k_off / Hz) / k_on
fig, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
image = ax.pcolormesh(K, K_D, ec50, norm=LogNorm(), shading="nearest")
fig.colorbar(image, label="EC50 of the gain (µM)")
reserve, fine_off = np.linspace(0.1, 0.7, 20), np.geomspace(0.1, 10, 20)
exact = [
    [replace(Receptor(), k_off=off * Hz, K=k).ec50 / umolar for k in reserve] for off in fine_off
]
lines = ax.contour(reserve, fine_off / k_on, exact, [0.03, 0.1, 0.3, 1, 3], colors="w")
ax.clabel(lines, fmt="%g µM", fontsize=8)
ax.set(yscale="log", xlabel="K, messenger at half effect", ylabel="K_D (µM)")
plt.show()
