"""
What does a gain do to three neuron circuits?
=============================================

The same gain reaches this package's circuit neuron and Mead's axon-hillock by a supply voltage,
and the DPI neuron by a bias. Each gets a constant input that the gain scales. None is quite
proportional: an axon-hillock's spikes take the longer the more its input holds against the reset,
the circuit neuron leaks and rests after a spike, and the DPI neuron adapts. Rates are drawn
relative to that at gain 1, because they go from a few hertz (DPI) to megahertz.
:doc:`/explanation/circuit-neurons` has their equations and energies.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, usecond

import neuromod

run = neuromod.run(
    "circuit-neurons",
    gains=np.array([0.5, 1, 1.4, 1.8]),
    duration=60 * usecond,
    dpi_duration=600 * ms,
)

figure, axes = plt.subplots(figsize=(5, 3.5))
names = {"circuit": "circuit neuron", "hillock": "axon-hillock", "dpi": "DPI neuron"}
for circuit, name in names.items():
    own = run.table[run.table.circuit == circuit]
    axes.plot(own.gain, own.rate_Hz / own.rate_Hz[own.gain == 1].iloc[0], "o-", label=name)
axes.axline((1, 1), slope=1, color="0.7", ls=":", zorder=0)
axes.set(xlabel="gain", ylabel="rate, relative to that at gain 1")
axes.legend(title="dotted: proportional")
plt.show()
