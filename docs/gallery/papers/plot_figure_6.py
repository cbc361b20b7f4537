"""
Figure 6: one pseudo-resistor is lopsided, two in opposition are not
====================================================================

The membrane of 50 fF needs a leak of hundreds of megohms, which a transistor in place of a
resistor gives. One alone conducts far better in one direction (figure 6a); two in opposition are
symmetric (figure 6b). "Approximately 400 MΩ" and "halves the effective resistance" (section
5.2.2) can be read in two ways, as 400 MΩ for the pair or for each; both are drawn. The law is
that of a transistor below threshold. Its slope factor is assumed here, so the shape is the law's
and its steepness is not measured.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Mohm, mV, nA

from neuromod.models import CircuitNeuron

v = np.linspace(-100, 100, 201) * mV
circuit = CircuitNeuron(leak="symmetric")
R, slope = circuit.leak_resistance, circuit.v_slope
bend = v / slope
currents = {
    "one, 400 MΩ (6a)": (slope / R * np.expm1(bend), "C3", "-"),
    "two, 400 MΩ together (6b)": (slope / R * np.sinh(bend), "C0", "-"),
    "two of 400 MΩ each (6b)": (2 * slope / R * np.sinh(bend), "C0", "--"),
    "a resistor of 400 MΩ": (v / R, "0.5", ":"),
}

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for name, (current, color, line) in currents.items():
    left.plot(v / mV, current / nA, color=color, ls=line, label=name)
    away = np.abs(v) > 0.5 * mV
    right.plot(v[away] / mV, (v[away] / current[away]) / Mohm, color=color, ls=line)
for ax in (left, right):
    ax.axvline(0, color="0.85", lw=0.8, zorder=0)
    ax.set_xlabel("membrane, from rest (mV)")
left.set(ylabel="leak current (nA)", ylim=(-1.2, 1.2))
left.legend(frameon=False, fontsize=8, loc="upper left")
right.set(yscale="log", ylabel="resistance (MΩ)")
right.set_title(f"slope factor {circuit.slope_factor:g}: assumed here", fontsize=9)
plt.show()
