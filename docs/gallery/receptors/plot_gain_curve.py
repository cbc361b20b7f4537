"""
Does a modulator rescale a cell's f-I curve?
============================================

A gain on the input current rescales the curve of firing rate against current along the current
axis: what fires at current :math:`I` without modulator fires as fast at :math:`I/g` under a gain
:math:`g`. Rates of leaky integrate-and-fire neurons are known in closed form, which the simulated
ones (dots) should lie on. Drawn against gain times current (right), all concentrations fall onto
one curve. A shift of the curve or a constant added to the rate would not.
:doc:`/explanation/physics` derives the closed form.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import nA, second, umolar

import neuromod

run = neuromod.run(
    "gain-curve", conc=[0, 0.5, 10] * umolar, I=np.linspace(0.2, 1.4, 17) * nA, duration=1 * second
)

figure, (raw, scaled) = plt.subplots(1, 2, figsize=(7, 3.5), sharey=True)
for (conc, gain), curve in run.table.groupby(["conc_uM", "gain"]):
    name = f"{conc:g} µM: gain {gain:.2f}"
    (line,) = raw.plot(curve.current_nA, curve.closed_form_Hz, label=name)
    raw.plot(curve.current_nA, curve.rate_Hz, "o", color=line.get_color(), ms=4)
    scaled.plot(gain * curve.current_nA, curve.rate_Hz, "o", color=line.get_color(), ms=4)
raw.set(xlabel="current (nA)", ylabel="firing rate (Hz)")
scaled.set(xlabel="gain × current (nA)")
raw.legend()
plt.show()

# %%
# The gain can be read off the rates alone: the fitted gain of every curve beside the receptor's.
run.tables["gains"].round(3)
