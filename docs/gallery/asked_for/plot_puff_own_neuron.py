"""
A puff of dopamine onto your own neuron
=======================================

The equations below are those of a quadratic integrate-and-fire neuron, as one would write them in
any Brian2 script. ``modulate`` puts a D1 receptor on its synaptic current. ``puffs`` describes a
pipette's puff, and ``deliver`` brings it to a ``NeuronGroup``. The receptor binds within a
fraction of a second, its second messenger follows more slowly, and the excitatory postsynaptic
potentials grow and shrink with the gain. The messenger is made faster here than in the library,
so that the example is short.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    defaultclock,
    ms,
    mV,
    nS,
    pF,
    prefs,
    second,
    umolar,
)

from neuromod import Population
from neuromod.devices.native import deliver
from neuromod.inputs.modulators import puffs
from neuromod.models import library, modulate

prefs.codegen.target = "numpy"  # compiles nothing
defaultclock.dt = 0.2 * ms

equations = """
dv/dt = (k*(v - E_L)*(v - V_T) + I_syn)/C : volt
dI_syn/dt = -I_syn/tau_syn : amp
"""
D1 = replace(library.D1, tau_messenger=300 * ms, gain_max=3)
cell = modulate(
    equations,
    [D1],
    on={"I_syn": "D1"},
    threshold="v > 20*mV",
    reset="v = E_L",
    start={"v": -65 * mV},
    namespace={
        "C": 150 * pF,
        "k": 0.6 * nS / mV,
        "E_L": -65 * mV,
        "V_T": -45 * mV,
        "tau_syn": 5 * ms,
    },
)

# %%
# A population tells ``puffs`` whose receptors to reach; the group is Brian2's own.

population = Population("cells", cell, 1)
puff = puffs(
    "dopamine", population, 20 * umolar, 0.5 * second, 0.3 * second, 0.2 * second, 0.2 * ms
)
reached = population.given(puff)
group = NeuronGroup(
    1,
    reached.equations,
    threshold=cell.threshold,
    reset=cell.reset,
    method=cell.method,
    namespace=reached.constants,
)
cell.settle(group)

arrivals = np.arange(50, 3000, 50) * ms
source = SpikeGeneratorGroup(1, np.zeros(len(arrivals), dtype=int), arrivals)
synapses = Synapses(source, group, on_pre="I_syn_post += 0.3*nA")
synapses.connect()
spikes = SpikeMonitor(group)
seen = StateMonitor(group, ["v", "conc_dopamine", "gain_D1"], record=True)
Network(group, source, synapses, spikes, seen, deliver(puff, group)).run(3 * second)

# %%

fig, axes = plt.subplots(3, 1, figsize=(7, 5), sharex=True, layout="constrained")
t = seen.t / second
axes[0].plot(t, seen.conc_dopamine[0] / umolar, color="C2")
axes[0].set_ylabel("dopamine (µM)")
axes[1].plot(t, seen.gain_D1[0], color="C0")
axes[1].set_ylabel("gain")
v = np.array(seen.v[0] / mV)
v[np.round(spikes.t / defaultclock.dt).astype(int)] = 20  # a spike's peak lies between two steps
axes[2].plot(t, v, color="k", lw=0.6)
axes[2].set(ylabel="v (mV)", xlabel="time (s)")
axes[0].set_title(f"A puff of 0.3 s; {spikes.count[0]} spikes")
plt.show()
