"""
Can a network recall what it saw once?
======================================

In each episode new random patterns are shown once, each with an answer, and later one of them
returns. Fixed weights cannot have learned these patterns before. Plastic synapses, whose rule
(Oja's, gated by a modulator that the network itself releases) is learned by gradient descent over
many episodes, can store them within the episode. Learning curves of both kinds of networks, one
network each and 60 steps instead of 200: it shows which way they go, no more.
:doc:`/explanation/plasticity` has five kinds of networks and their spread.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms

import neuromod

run = neuromod.run(
    "pattern-recall",
    networks=("none", "modulated-oja"),
    seeds=1,
    steps=60,
    episodes=100,
    noise=np.array([0, 1 / 3]),
    delays=[0, 50] * ms,
)

print(run.tables["curves"].head().to_string(), run.tables["summary"].to_string())
