"""
Your dose-response points over the model's curve
================================================

A Hill function is fitted to points that you measured, with 95 % intervals of the profile
likelihood for EC50 and Hill slope. The library's D1 receptor, whose steady state is a closed
form, is drawn beside it. The points here are drawn at random around a receptor that binds three
times more weakly than the library's; put your own two lists in their place. Where doses end
before the EC50, its interval is open and the upper end infinite, and a missing response (nan) is
left out and counted.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import umolar

from neuromod.analysis.dose_response import fit_hill
from neuromod.models import library

draw = np.random.default_rng(5)
conc = np.repeat([0.03, 0.1, 0.3, 1, 3, 10, 30, 100], 3) * umolar
gain = library.D1.gain(conc / 3) + draw.normal(0, 0.04, conc.size)

fit = fit_hill(conc, gain)
print(f"EC50 {fit.ec50.value / umolar:.2f} µM", fit.ec50)
print(f"Hill slope {fit.hill_slope.value:.2f}", fit.hill_slope)
print(f"the library's D1: EC50 {library.D1.ec50 / umolar:.2f} µM")

# %%
# The fitted curve is a function of concentration. The bar below the points is the interval of the
# EC50.

doses = np.geomspace(0.01, 200, 300) * umolar
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(doses / umolar, library.D1.gain(doses), "--", color="0.5", label="D1 of the library")
ax.plot(doses / umolar, fit(doses), color="C0", label="Hill function, fitted")
ax.plot(conc / umolar, gain, "o", color="C1", ms=5, label="your points")
low, high = (end / umolar for end in (fit.ec50.low, fit.ec50.high))
ax.plot([low, high], [0.95, 0.95], color="C0", lw=4)
ax.text(high * 1.3, 0.95, "EC50, 95 %", va="center", color="C0")
ax.set(xscale="log", xlabel="dopamine (µM)", ylabel="gain", ylim=(0.9, None))
ax.set_title(
    f"EC50 {fit.ec50.value / umolar:.2g} µM ({low:.2g} to {high:.2g}), slope "
    f"{fit.hill_slope.value:.2f} ({fit.hill_slope.low:.2f} to {fit.hill_slope.high:.2f})",
    fontsize=10,
)
ax.legend(frameon=False)
plt.show()
