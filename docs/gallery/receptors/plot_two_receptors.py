"""
Do the gains of two modulators multiply?
========================================

Prefrontal pyramidal cells have D1 receptors, which raise their gain here, and α2 receptors, which
lower it. With both on one cell the model says that gains multiply. Dopamine and noradrenaline are
applied alone and together, and the gain is recovered from firing rates: every combination (dots)
should lie on the diagonal, where the gain of both together is the product of the two single ones.
Rates interact even though gains do not, because a rate is no linear function of the gain.
:doc:`/reference/receptors` lists the receptors and their sources.
"""

import matplotlib.pyplot as plt
from brian2 import nA, second, umolar

import neuromod

run = neuromod.run(
    "two-receptors",
    conc_first=[0, 0.3, 1, 10] * umolar,
    conc_second=[0, 0.03, 0.1, 1] * umolar,
    I=[0.9, 1.3] * nA,
    duration=0.5 * second,
)

surface = run.tables["surface"]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
for conc, row in surface.groupby("conc_noradrenaline_uM"):
    left.plot(row.conc_dopamine_uM, row.recovered_gain, "o-", ms=4, label=f"{conc:g} µM")
left.set(xlabel="dopamine (µM)", ylabel="gain")
left.set_xscale("symlog", linthresh=0.3, linscale=0.5)
left.set_xticks([0, 0.3, 1, 10], ["0", "0.3", "1", "10"])
left.legend(title="noradrenaline")

right.axline((1, 1), slope=1, color="0.7", zorder=0)
right.plot(surface.single_gains_product, surface.recovered_gain, "o", ms=5)
right.set(xlabel="product of the single gains", ylabel="gain with both", aspect="equal")
plt.show()
