"""
Three-factor learning of a delayed reward
=========================================

Which synapse earned a reward that comes a second later? Spikes before and after a synapse mark it
with an eligibility that decays slowly, and dopamine turns what is left of it into a change of
strength (Izhikevich 2007). One input spikes 5 ms before a spike of the cell, another 5 ms after
one, and a third not at all. When dopamine arrives at 1.2 s, the first is strengthened, the second
weakened, and the third stays as it was. The protocol :doc:`reward-learning
</reference/protocols/reward-learning>` tells one stimulus from many in this way.
"""

import matplotlib.pyplot as plt
from brian2 import ms, nmolar, prefs, second, umolar

from neuromod import Connection, Experiment, PlasticConnection, Population, Spikes, Trace, simulate
from neuromod.models import PlasticLIF, ThreeFactor

prefs.codegen.target = "numpy"  # compiles nothing

# The teacher makes the cell fire at 200 and 400 ms, whatever the synapses do.
cell = Population("cell", PlasticLIF(), 1)
inputs = Spikes("inputs", 3, [0, 1], [195, 405] * ms)
teacher = Spikes("teacher", 1, [0, 0], [199, 399] * ms)
dopamine = Spikes("dopamine", 1, [0], [1200] * ms)
one = {"i": [0], "j": [0]}
rule = ThreeFactor(rule="stdp", w=0, tau_e=0.8 * second)
synapses = PlasticConnection("synapses", "inputs", "cell", rule, i=[0, 1, 2], j=[0, 0, 0])
experiment = Experiment(
    populations=[cell],
    sources=[inputs, teacher, dopamine],
    connections=[
        Connection("teacher", "cell", "v", **one, weight=1.5),
        Connection("dopamine", "cell", "conc_modulator", **one, weight=1 * umolar),
    ],
    plastic=[synapses],
    traces=[
        Trace("synapses", ("eligibility", "E"), [0, 1, 2]),
        Trace("cell", "conc_modulator", [0]),
    ],
    duration=2.5 * second,
    dt=1 * ms,
)
recording = simulate(experiment)

# %%
# Each synapse has its own mark; all of them see the same dopamine.

t = recording.times / second
names = ["spike 5 ms before the cell's", "spike 5 ms after the cell's", "no spike"]
fig, axes = plt.subplots(3, 1, figsize=(7, 5.5), sharex=True, layout="constrained")
for variable, ax in (("eligibility", axes[0]), ("E", axes[2])):
    values = recording.signal("synapses", variable).values
    for trace, name, color in zip(values, names, ("C0", "C1", "0.6"), strict=True):
        ax.plot(t, trace, color=color, label=name)
axes[0].set_ylabel("eligibility")
axes[0].legend(frameon=False)
axes[1].plot(t, recording.signal("cell", "conc_modulator").values[0] / nmolar, color="C2")
axes[1].set_ylabel("dopamine (nM)")
axes[2].set(ylabel="plastic trace E", xlabel="time (s)")
plt.show()

# %%
# The change has a closed form, the integral of what is left of the mark times the dopamine.

lags, waits = [5, -5] * ms, [1000, 795] * ms
print("simulated: ", recording.totals["synapses"]["E"][:2])
print("closed form:", rule.credit(cell.model, lags, waits, [1, 1] * umolar))
