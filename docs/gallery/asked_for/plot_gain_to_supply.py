"""
From a receptor's gain to a supply voltage, and back
====================================================

A chip neuron's gain is the current of one least significant bit over that at 0.75 V, and the
mirror's law has an exact inverse: ``vdd_of`` gives the supply for a gain and ``gain_of`` the gain
of a supply. So the dose-response curve of a receptor becomes a curve of supplies, which a chip
follows as far as its supplies reach. The default mirror reaches gains from 0.25 to 1.88; where
transistors work in weak inversion, the reach is smaller. The mirror's β, load and threshold are
calibrated here, not published in Barton et al. 2022.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import uA, umolar, volt

from neuromod.chip.conversion import gain_of, reachable_gains, vdd_of
from neuromod.models import CircuitNeuron, Receptor

circuits = {
    "square law": CircuitNeuron(),
    "weak inversion": CircuitNeuron(law="ekv", beta=300 * uA / volt**2),
}
receptor = Receptor(gain_max=2.2)  # beyond what a supply can do
conc = np.geomspace(0.01, 100, 200) * umolar
gain = receptor.gain(conc)

# %%
# Left the gain of every supply; right the supplies that follow the receptor, and where they end.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
vdd = np.linspace(0.5, 1, 200) * volt
for (name, circuit), color in zip(circuits.items(), ("C0", "C1"), strict=True):
    low, high = reachable_gains(circuit)
    left.plot(
        vdd / volt, gain_of(circuit, vdd), color=color, label=f"{name}: {low:.2f} to {high:.2f}"
    )
    wanted = vdd_of(circuit, gain)
    reached = (gain >= low) & (gain <= high)
    right.plot(conc[reached] / umolar, wanted[reached] / volt, color=color)
    right.plot(conc[~reached] / umolar, wanted[~reached] / volt, color=color, ls=":")
    assert np.allclose(gain_of(circuit, wanted[reached]), gain[reached])
left.axhline(1, color="0.8", lw=0.8, zorder=0)
left.set(xlabel="supply VDD (V)", ylabel="gain, relative to 0.75 V")
left.legend(frameon=False)
right.axhline(1, color="0.5", lw=0.8)
right.text(0.012, 1.01, "highest supply", color="0.4", va="bottom")
right.set(xscale="log", xlabel="concentration (µM)", ylabel="supply for the receptor's gain (V)")
right.set_title(f"receptor of gain_max {receptor.gain_max:g}")
plt.show()
