"""
Push-pull: two supplies for one neuron
======================================

A supply voltage scales the current of the synapses behind it and cannot turn its sign. Two
supplies can do more: one for all synapses that push current onto the membrane, one for all that
pull it off. Here every point of the map is a circuit neuron with the same stored codes, +4, +3,
-2 and -3, and the same input spikes; only its two supplies differ. A neuron with a single supply
can move along the dashed diagonal alone, on which push and pull grow together.
:doc:`/explanation/supply-groups` shows what such pairs are worth to a network.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import khertz, nsecond, prefs, usecond, volt

from neuromod import Experiment, Population, simulate
from neuromod.chip.pulses import code_pulses
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models import CircuitNeuron

prefs.codegen.target = "numpy"  # compiles nothing
circuit, dt, duration = CircuitNeuron(), 20 * nsecond, 60 * usecond
vdd = np.linspace(0.5, 1, 26)
push, pull = (axis.ravel() for axis in np.meshgrid(vdd, vdd))
supplies = {"vdd_push": push * volt, "vdd_pull": pull * volt}
chip = Population("chip", circuit, push.size, supplies)

inputs = circuit_inputs(circuit, 4, 400 * khertz, duration, dt, seed=3)
connections = []
for code, source in ((4, 0), (3, 1), (-2, 2), (-3, 3)):
    every = np.arange(chip.size)
    domain = "push" if code > 0 else "pull"
    ends = "inputs", "chip", np.full(chip.size, source), every
    connections += code_pulses(*ends, code, circuit.t_pulse, domain=domain)
experiment = Experiment(
    populations=[chip], sources=[inputs], connections=connections, duration=duration, dt=dt
)
spikes = simulate(experiment).spikes["chip"].counts().reshape(26, 26)

# %%

fig, ax = plt.subplots(figsize=(5.5, 4.4), layout="constrained")
image = ax.pcolormesh(vdd, vdd, spikes, cmap="viridis", shading="nearest")
ax.plot([0.5, 1], [0.5, 1], "w--", lw=1.5)
ax.text(0.86, 0.82, "one supply", color="w", rotation=42, ha="center", va="center")
ax.set(xlabel="supply of what pushes (V)", ylabel="supply of what pulls (V)", aspect="equal")
fig.colorbar(image, label=f"output spikes in {duration / usecond:g} µs")
plt.show()
