"""
What is left of learned balance when the body changes?
======================================================

A spiking network balances a pole on a cart, whose physics MuJoCo computes. An evolution strategy
learns its weights, alone or together with a rule of plasticity that acts while the body moves.
Then the body changes: its motor is weak, it is heavier, gravity is stronger. Bars tell for how
many actions, of 100 at most, the pole stood. After 10 generations of small networks balance is
poor; :doc:`/explanation/locomotion` has trained networks, other bodies and intervals.
"""

import matplotlib.pyplot as plt
import numpy as np

import neuromod

run = neuromod.run(
    "locomotion",
    networks=("none", "modulated-oja"),
    conditions=("weak joint", "heavy", "gravity"),
    seeds=2,
    hidden=16,
    generations=10,
    pairs=12,
    actions=100,
    tested_actions=100,
    episodes=4,
)

summary = run.tables["summary"]
figure, axes = plt.subplots(figsize=(5.5, 3.5))
for place, (network, rows) in enumerate(summary.groupby("network", sort=False)):
    axes.bar(np.arange(len(rows)) + 0.4 * (place - 0.5), rows.return_mean, 0.4, label=network)
axes.set_xticks(range(len(rows)), rows.condition)
axes.set(ylabel="actions until the pole falls", xlabel="condition")
axes.set_ylim(top=1.3 * axes.get_ylim()[1])
axes.legend(title="plasticity", ncols=2)
plt.show()
