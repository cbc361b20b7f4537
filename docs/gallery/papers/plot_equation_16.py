"""
Equation 16 and its erratum: the current of a unit over its supply
==================================================================

A synapse's current comes from a mirror behind a load: equation 14, the square law of its
transistor, and equation 15, the drop over the load, together make a quadratic equation. Its
physical root is the one with the gate above threshold. The paper prints another: both signs in
its equation 16 are wrong, and β lacks its 1/2. At 0.75 V the printed form gives three times the
current, more than would flow if the gate sat at threshold, which cannot be. Dots solve equations
14 and 15 numerically. β, R_S and V_th are calibrated here, as the paper gives none; the erratum
holds for all.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import amp, nA, ohm, volt
from scipy.optimize import brentq

from neuromod.models import CircuitNeuron

circuit = CircuitNeuron()
beta = float(circuit.beta / (amp / volt**2))
R_S, V_th = float(circuit.R_S / ohm), float(circuit.vto / volt)
vdd = np.linspace(0.4, 1, 200)
U = vdd - V_th

ours = circuit.unit_current(vdd * volt) / nA
printed = (np.sqrt(4 * beta * R_S * U - 1) + 2 * beta * R_S * U + 1) / (2 * beta * R_S**2) * 1e9
at_threshold = U / R_S * 1e9

some = np.linspace(0.4, 1, 9)


def through_both(supply):
    """Current that transistor (14) and load (15) carry alike, in nA."""

    def surplus(gate):
        return beta / 2 * (gate - V_th) ** 2 - (supply - gate) / R_S

    gate = brentq(surplus, V_th, supply)
    return 1e9 * (supply - gate) / R_S


solved = [through_both(supply) for supply in some]

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(vdd, printed, color="C3", ls="--", label="equation 16 as printed")
ax.fill_between(vdd, at_threshold, 60, color="0.92", lw=0, label="gate below threshold: impossible")
ax.plot(vdd, ours, color="C0", label="physical root, used here")
ax.plot(some, solved, "ko", ms=5, label="equations 14 and 15, solved numerically")
ax.set(xlabel="synapse supply VDD (V)", ylabel="current of a unit (nA)", ylim=(0, 55))
ax.set_title("β = 0.5 µA/V², R_S = 20 MΩ, V_th = 0.35 V: calibrated here", fontsize=9)
ax.legend(frameon=False, fontsize=8, loc="upper left")
plt.show()

at = circuit.unit_current(0.75 * volt) / nA
print(f"at 0.75 V: {at:.1f} nA, as printed {np.interp(0.75, vdd, printed):.1f} nA")
