"""
Can a network decide after a delay?
===================================

Cues come on the left and on the right, in noise, and after a delay the network says which side
had more. Spiking cells with a membrane time constant of 20 ms forget the cues within the delay
unless something in the network keeps them; synapses that change during the episode by a learned
rule can. The figure shows how often networks are right after delays, without plasticity and with
Oja's rule under the network's own modulator. They learned for 60 steps instead of 200 and for
short delays, so these are no final numbers. :doc:`/explanation/plasticity` has those.
"""

import matplotlib.pyplot as plt
from brian2 import Hz, ms

import neuromod

run = neuromod.run(
    "cue-association",
    networks=("none", "modulated-oja"),
    seeds=1,
    steps=60,
    batch=16,
    episodes=100,
    noise=[0, 20] * Hz,
    delays=[0, 50, 100] * ms,
    learned_delays=[0, 50] * ms,
)

figure, axes = plt.subplots(figsize=(5, 3.5))
without_noise = run.table[run.table.noise_Hz == 0]
for (network, tested), marker in zip(
    without_noise.groupby("network", sort=False), "os", strict=True
):
    axes.plot(tested.delay_ms, tested.success, marker + "-", label=network)
axes.axhline(run.protocol.chance, color="0.6", ls=":")
axes.set(xlabel="delay before the answer (ms)", ylabel="share of answers right", ylim=(0, 1.03))
axes.legend(title="plasticity")
plt.show()
