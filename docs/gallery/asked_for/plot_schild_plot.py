"""
Schild plot and pA2 of your antagonist
======================================

Dose-response curves of an agonist are measured in four concentrations of an antagonist. Gaddum's
and Schild's equation is fitted to all points at once, with one pA2 for the whole experiment; the
classical regression of the dose ratios stands beside it. The points here are drawn at random for
a competitive antagonist with a dissociation constant of 20 nM, hence a pA2 of 7.70 and a Schild
slope of 1. Both methods take concentrations with their unit, since a pA2 is a logarithm of mol/l.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import nmolar, umolar

from neuromod.analysis.dose_response import fit_hill
from neuromod.analysis.schild import gaddum_schild, schild

draw = np.random.default_rng(8)
agonist = np.geomspace(0.01, 300, 10) * umolar
baths = [0, 30, 100, 300, 1000] * nmolar
conc = np.tile(agonist, len(baths))
number = np.repeat(np.arange(len(baths)), agonist.size)
antagonist = baths[number]
bound = conc / (0.5 * umolar * (1 + antagonist / (20 * nmolar)))
response = 100 * bound / (1 + bound) + draw.normal(0, 3, conc.size)

joint = gaddum_schild(conc, response, antagonist)
parallel = fit_hill(conc, response, number)
regression = schild(baths[1:], parallel)
print("one fit:   ", joint.pA2, joint.schild_slope)
print("regression:", regression.pA2, regression.slope)

# %%
# On the left the parallel curves; on the right the logarithm of dose ratio less 1, whose line
# crosses zero at minus pA2.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
fine = np.geomspace(0.003, 500, 200) * umolar
colors = plt.cm.viridis(np.linspace(0, 0.85, len(baths)))
for k, (bath, color) in enumerate(zip(baths / nmolar, colors, strict=True)):
    ratio = 1.0 if k == 0 else parallel.dose_ratios[k - 1].value
    left.plot(fine / umolar, parallel(fine / ratio), color=color)
    of_bath = number == k
    left.plot(conc[of_bath] / umolar, response[of_bath], "o", ms=4, color=color, label=f"{bath:g}")
left.set(xscale="log", xlabel="agonist (µM)", ylabel="response (% of greatest)")
left.legend(title="antagonist (nM)", frameon=False, fontsize=8)

log_bath = np.log10(np.asarray(baths[1:] / nmolar)) - 9
values = np.array([ratio.value for ratio in parallel.dose_ratios])
ends = np.array([[ratio.low, ratio.high] for ratio in parallel.dose_ratios]).T
y = np.log10(values - 1)
spread = np.abs(np.log10(ends - 1) - y)
right.errorbar(log_bath, y, spread, fmt="o", color="C1", label="dose ratios, 95 %")
x = np.array([-regression.pA2.value, log_bath[-1]])
right.plot(x, regression.slope.value * (x + regression.pA2.value), color="C0", label="regression")
right.axhline(0, color="0.7", lw=0.8)
right.set(xlabel="log10 of antagonist (mol/l)", ylabel="log10(dose ratio - 1)")
right.set_title(f"pA2 {joint.pA2.value:.2f} ({joint.pA2.low:.2f} to {joint.pA2.high:.2f})")
right.legend(frameon=False)
plt.show()
