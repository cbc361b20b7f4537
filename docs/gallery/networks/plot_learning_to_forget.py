"""
Must a network forget in order to learn?
========================================

A layer of cells learns digits by spike-timing-dependent plasticity, one class after another:
zeros, then ones, then twos. What is learned later may overwrite what came before. With adaptive
plasticity (ASP, Panda et al. 2018) weights leak, the less the more significant they are, so that
room is made where little is lost. The figure shows, for plain STDP and for ASP, how much of every
digit is recalled after each stage. Here twos overwrite ones under both rules. One network with 12
cells and 20 images of a class tells no more than what is asked; the comparison is in
:doc:`/explanation/learning-to-forget`.
"""

import matplotlib.pyplot as plt
from brian2 import ms

import neuromod

run = neuromod.run(
    "learning-to-forget",
    conditions=("stdp", "asp"),
    networks=1,
    classes=(0, 1, 2),
    n=12,
    learning=20,
    labelled=4,
    tested=8,
    dt=1 * ms,
)

recall = run.tables["recall"]
figure, panels = plt.subplots(1, 2, figsize=(7, 3.5), sharey=True)
for axes, (condition, rows) in zip(panels, recall.groupby("condition", sort=False), strict=True):
    for digit, found in rows.groupby("digit"):
        axes.plot(found.stage, 100 * found.recall, "o-", label=f"{digit}")
    axes.set(xlabel="after stage", xticks=[1, 2, 3], title=condition)
panels[0].set(ylabel="test images recalled (%)", ylim=(-4, 104))
panels[1].legend(title="digit")
plt.show()
