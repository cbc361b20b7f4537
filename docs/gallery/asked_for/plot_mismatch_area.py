"""
How large must transistors be for a yield? Mismatch of the XOR gate
===================================================================

Two transistors drawn alike differ, and the less the larger they are: Pelgrom's law, with a
standard deviation that falls with the root of the gate area. Here 200 XOR gates of three circuit
neurons are made at each of several areas of the unit transistor. ``draw`` gives the deviations of
every device, and ``made`` what they do to a gate, which is then tried in closed form on the whole
truth table. Giving each neuron a supply of its own, up to 60 mV off, recovers part of what
mismatch takes. The law's coefficients are estimates for a 28-nm process, not those of a kit.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from brian2 import mV, nsecond, um, volt

from neuromod.chip.pulses import PulseTrain
from neuromod.chip.variation import Mismatch, draw
from neuromod.chip.xor import Gates, computes, designs, pick, retune, search
from neuromod.models import CircuitNeuron

train = PulseTrain(count=10, period=500 * nsecond, dt=10 * nsecond)
design = designs(search(CircuitNeuron(), train, 0.85 * volt)).iloc[[0]]
chips, trims = 200, np.array([-60, -30, 0, 30, 60]) * mV
areas = np.geomspace(0.003, 10, 9)
yields = []
for area in areas:
    side = np.sqrt(area / float(CircuitNeuron().W * CircuitNeuron().L / um**2))
    circuit = replace(CircuitNeuron(), W=side * CircuitNeuron().W, L=side * CircuitNeuron().L)
    nominal = Gates.of(design).take(np.zeros(chips, dtype=int))
    deviations = draw(circuit, Mismatch(), (chips, 3), 2, np.random.default_rng(6))
    levels = [
        replace(nominal, values={"vdd": nominal.values["vdd"] + trim}).made(circuit, deviations)
        for trim in trims
    ]
    tuned = pick(levels, retune(circuit, train, levels, home=2))
    works = [
        computes(gates.answers(circuit, train)).all(axis=1).mean() for gates in (levels[2], tuned)
    ]
    yields.append(works)
yields = 100 * np.array(yields)

# %%
# Bars are 95 % intervals of a share of 200.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for column, (name, color) in enumerate({"one supply": "C0", "supplies re-tuned": "C2"}.items()):
    share = yields[:, column] / 100
    error = 196 * np.sqrt(share * (1 - share) / chips)
    ax.errorbar(areas, yields[:, column], error, fmt="o-", color=color, label=name, capsize=2)
own = float(CircuitNeuron().W * CircuitNeuron().L / um**2)
ax.axvline(own, color="0.6", ls="--", lw=1)
ax.text(own * 0.9, 40, "default circuit", rotation=90, ha="right", color="0.4")
ax.set(xscale="log", xlabel="gate area of a unit transistor (µm²)", ylabel="working gates (%)")
ax.set_ylim(0, 103)
ax.legend(frameon=False, loc="lower center")
plt.show()
