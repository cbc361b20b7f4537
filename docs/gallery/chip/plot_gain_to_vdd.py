"""
Which gains can a supply reach, and how many bits do they need?
===============================================================

The mirror's law turns a supply into a gain, 1 at 0.75 V, and its exact inverse turns a wanted
gain into a supply. Supplies of 0.5 to 1 V reach gains of about a quarter to just below 2; no
supply gives a negative gain. A transistor that also conducts below threshold (EKV) changes the
lower end. Right is the worst error of a gain when the supply comes from a converter of so many
bits: it halves with every bit. :doc:`/explanation/physics` derives law and inverse.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import volt

import neuromod

run = neuromod.run("gain-to-vdd", vdd=np.linspace(0.5, 1, 21) * volt)

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
for law, own in run.table.groupby("law", sort=False):
    (line,) = left.plot(own.vdd_V, own.gain, label=f"{law} law")
    left.plot(own.vdd_V, own.gain_measured, "o", color=line.get_color(), ms=3)
    steps = run.tables["quantised"].query("law == @law")
    right.plot(steps.bits, steps.worst_percent, color=line.get_color())
left.set(xlabel="synapse supply (V)", ylabel="gain")
left.legend(title="dots: simulated")
right.set(xlabel="bits of the supply", ylabel="worst error of a gain (%)", yscale="log")
right.yaxis.set_major_formatter("{x:g}")
plt.show()
