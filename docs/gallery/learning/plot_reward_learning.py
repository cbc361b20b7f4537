"""
Which synapses get the credit for a late reward?
================================================

Dopamine comes seconds after the spikes that earned it. A synapse can bridge the time by an
eligibility trace, which a pair of spikes sets and which decays (Izhikevich 2007). Left is the
change of isolated pairs that are rewarded after several delays (dots) on its closed form (lines):
spikes in causal order gain, reversed ones lose, less and less with the delay. Right three stimuli
come at random and only the first is rewarded; the synapses of each are averaged. Half a minute
with 8 cells is short; :doc:`/explanation/plasticity` has more.
"""

import matplotlib.pyplot as plt
from brian2 import ms, second

import neuromod

run = neuromod.run(
    "reward-learning", stimuli=3, cells=8, duration=25 * second, lags=[-30, -10, 10, 30] * ms
)

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
for lag, pairs in run.tables["credit"].groupby("lag_ms"):
    (line,) = left.plot(pairs.delay_s, pairs.closed_form)
    left.plot(pairs.delay_s, pairs.credit, "o", color=line.get_color(), label=f"{lag:+g} ms")
left.axhline(0, color="0.7", zorder=0)
left.set(xlabel="delay of the reward (s)", ylabel="change of a synapse")
left.legend(title="post − pre")
table = run.table
colors = ["#D55E00" if rewarded else "0.6" for rewarded in table.rewarded]
right.bar(table.stimulus + 1, table.plastic, yerr=table.plastic_sd, color=colors, capsize=3)
right.axhline(0, color="k", lw=0.8)
right.set(xlabel="stimulus (1 is rewarded)", ylabel="mean change ± SD", xticks=table.stimulus + 1)
plt.show()
