"""
Can a supply of few bits follow a cell's gain?
==============================================

A puff of modulator raises and lowers the gain of a cell within seconds. A chip follows, a
thousand times faster, by a supply voltage that is set anew every 5 µs. A digital-to-analog
converter has few levels, so the question is how many are needed. The figure shows the exact
supply and those of 2, 3 and 5 bits. The table says how far the gain is off and how well the
spikes coincide; 1 is the best coincidence. :doc:`/explanation/neurons` tells more of the
comparison.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import nsecond, second, usecond, volt

import neuromod

run = neuromod.run("gain-trace", bits=(2, 3, 5), duration=2 * second, dt=50 * nsecond)

table, chip = run.table, run.recordings["circuit"]
figure, axes = plt.subplots(figsize=(6, 3.5))
for neuron, supply in enumerate(table.supply[:-1]):
    vdd = chip.trace("chip", "vdd", neuron) / volt
    look = {"color": "k", "lw": 2} if neuron == 0 else {"alpha": 0.8}
    axes.plot(np.asarray(chip.times / usecond), vdd, label=supply, **look)
axes.set(xlabel="time on the chip (µs)", ylabel="synapse supply (V)")
axes.legend(title="supply")
plt.show()

# %%
table[["supply", "gain_error_rms", "cell_spikes", "chip_spikes", "coincidence_factor"]].round(3)
