"""
What does a synapse's supply voltage do to a chip neuron?
=========================================================

On an analog chip the current of a synapse follows from its supply voltage, so that a neuron with
the same stored weights and the same input fires more at a higher supply: the supply is its gain.
The mirror's square law gives the current in closed form, 10 nA for a unit at 0.75 V. Energy per
spike falls with the supply, since more spikes share the energy of decisions and leakage, and
flattens where references that stay on draw more. The circuit's constants are calibrated, not
measured; :doc:`/explanation/physics` says how.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import volt

import neuromod

run = neuromod.run("vdd-sweep", vdd=np.linspace(0.5, 1, 26) * volt)

table = run.table
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 3))
left.plot(table.vdd_V, table.unit_current_nA)
left.set(ylabel="current of a unit (nA)")
middle.plot(table.vdd_V, table.output_spikes, "o-", ms=3)
middle.set(ylabel="output spikes in 40 µs")
right.plot(table.vdd_V, table.energy_per_spike_always_pJ, "o-", ms=3, label="references stay on")
right.plot(table.vdd_V, table.energy_per_spike_pulsed_pJ, "--", label="pulsed")
right.set(ylabel="energy per spike (pJ)", ylim=(0, None))
right.legend()
for axes in (left, middle, right):
    axes.set_xlabel("synapse supply (V)")
plt.show()
