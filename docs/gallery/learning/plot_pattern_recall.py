"""
Can a network recall what it saw once?
======================================

In each episode new random patterns are shown once, each with an answer, and later one of them
returns. Fixed weights cannot have learned these patterns before. Plastic synapses, whose rule
(Oja's, gated by a modulator that the network itself releases) is learned by gradient descent over
many episodes, can store them within the episode. Learning curves and success with patterns of the
test, of one network of each kind, two patterns instead of three and 40 steps instead of 200: it
shows which way they go, no more. :doc:`/explanation/plasticity` has five kinds of networks and
their spread.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms

import neuromod
from neuromod.plasticity.tasks import PatternRecall

run = neuromod.run(
    "pattern-recall",
    networks=("none", "modulated-oja"),
    task=PatternRecall(pairs=2, gap=10 * ms),
    seeds=1,
    steps=40,
    lr=0.05,
    learned_delays=[0, 50] * ms,
    episodes=100,
    noise=np.array([0, 1 / 3]),
    delays=[0, 50] * ms,
)

curves, summary = run.tables["curves"], run.tables["table"]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5), sharey=True)
for network, marker in (("none", "o"), ("modulated-oja", "s")):
    learning = curves[curves.network == network]
    left.plot(learning.step, learning.success, marker + "-")
    tested = summary[(summary.network == network) & (summary.exchanged == 0)]
    right.plot(tested.delay_ms, tested.success, marker + "-", label=network)
for axes in (left, right):
    axes.axhline(run.protocol.chance, color="0.6", ls=":")
left.set(xlabel="step of learning", ylabel="share of answers right", ylim=(0, 1))
right.set(xlabel="delay before the question (ms)")
right.legend(title="plasticity")
plt.show()
