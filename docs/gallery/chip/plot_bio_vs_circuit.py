"""
How alike are a cell and a chip at the same gain?
=================================================

A gain is a factor on the input of a biological neuron and a supply voltage of a circuit neuron.
Both get the same input spikes and weights, the chip a thousand times faster. Their membranes,
each on the scale from rest to threshold, should lie on each other, and spikes should coincide at
every gain that the supply reaches. Where they do not, a single spike more or less has moved all
that follow. :doc:`/explanation/neurons` compares other neurons.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, usecond

import neuromod

run = neuromod.run("bio-vs-circuit", gain=np.linspace(0.4, 1.8, 15), duration=100 * usecond)

comparison, table = run.protocol, run.table
one = int(np.abs(table.gain - 1).argmin())
bio, circuit = comparison.membranes(run.recordings)
time = run.recordings["bio"].times / ms
figure, (above, below) = plt.subplots(2, 1, figsize=(6, 4.5))
above.plot(time, bio[one], lw=3, label=f"cell, gain {table.gain[one]:.2f}")
above.plot(time, circuit[one], label=f"chip, supply {table.vdd_V[one]:.2f} V")
above.axhline(1, color="0.6", ls=":")
above.set(xlabel="time in the cell (ms), on the chip (µs)", ylabel="membrane (of swing)")
above.set_xlim(0, 50)
above.set_ylim(top=2.3)
above.legend(ncols=2)
below.plot(table.gain, table.bio_spikes, "o", ms=8, label="cell")
below.plot(table.gain, table.circuit_spikes, "s", ms=4, label="chip")
below.set(xlabel="gain", ylabel="spikes", ylim=(0, None))
below.legend()
plt.show()
