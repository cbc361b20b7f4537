"""
What does a gain do to three neuron circuits?
=============================================

The same gain reaches this package's circuit neuron and Mead's axon-hillock by a supply voltage,
and the DPI neuron by a bias. Each gets a constant input that the gain scales. In closed form the
rate of the axon-hillock is proportional to its input; the others leak or lose time in their
refractory period and bend. Rates are drawn relative to that at gain 1, since the circuits work at
very different speeds. :doc:`/explanation/circuit-neurons` has their equations and energies.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, usecond

import neuromod

run = neuromod.run(
    "circuit-neurons",
    gains=np.array([0.5, 1, 1.4, 1.8]),
    duration=100 * usecond,
    dpi_duration=200 * ms,
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
