"""
How symmetric is a leak made of transistors?
============================================

A membrane's leak of 400 MΩ takes too much area as a resistor, so chips use transistors below
threshold. One of them conducts better in one direction: a membrane above rest decays faster than
one below. Two in opposition are symmetric. Currents follow an exponential and a sinh in closed
form, with the same resistance around rest. The current rises faster than a resistor's far from
rest, so the leak shortens large excursions. :doc:`/explanation/physics` has the equations.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import mV, usecond

import neuromod

run = neuromod.run("pseudo-resistor", v=np.linspace(-100, 100, 21) * mV, duration=40 * usecond)

own = run.table[run.protocol.is_own(run.table)]
figure, axes = plt.subplots(figsize=(5, 3.5))
for device, marker in (("resistor", "o"), ("one_sided", "s"), ("symmetric", "^")):
    rows = own[own.device == device]
    (line,) = axes.plot(rows.v_mV, rows.closed_form_pA, label=device.replace("_", "-"))
    axes.plot(rows.v_mV, rows.current_pA, marker, color=line.get_color(), ms=4)
axes.set(xlabel="membrane from rest (mV)", ylabel="leak current (pA)")
axes.legend(title="lines: closed form")
plt.show()
