"""
Which analog synapse is linear, and what does it cost?
======================================================

A stored value should move the membrane in proportion, wherever the membrane is. Current mirrors
do: their current does not depend on the membrane. Conductances, with an analog memory (an
optocoupler) or a digital one, push less the nearer the membrane is to the supply. The left panel
shows the step that a pulse makes from rest against the stored value, the right one the step of
the largest value from other membrane potentials, relative to that from rest. The table adds what
a pulse costs. :doc:`/explanation/physics` has the equations of each.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import usecond

import neuromod

run = neuromod.run("synapse-families", stored=np.linspace(0, 1, 15), duration=10 * usecond)

up = run.table[run.table.sign == "up"]
rest = up[np.isclose(up.v_start_mV, 250)]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
for (family, own), marker in zip(rest.groupby("family", sort=False), "os^", strict=True):
    left.plot(own.stored, own.step_mV, marker, ms=5, label=family, alpha=0.8)
    full = up[(up.family == family) & (up.stored == 1)]
    from_rest = full.step_mV[np.isclose(full.v_start_mV, 250)].iloc[0]
    right.plot(full.v_start_mV, full.step_mV / from_rest, marker + "-", label=family, alpha=0.8)
left.set(xlabel="stored value (of full scale)", ylabel="step of the membrane (mV)")
right.set(xlabel="membrane before the pulse (mV)", ylabel="step, relative")
left.legend()
plt.show()

# %%
run.tables["summary"][
    ["family", "nonlinearity_percent", "energy_per_pulse_fJ", "static_power_uW"]
].round(3)
