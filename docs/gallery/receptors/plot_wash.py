"""
How far does the gain lag behind a bath?
========================================

A modulator is washed into a recording chamber and out again. The concentration in the chamber
follows the pump exponentially, and the gain follows the concentration through binding and second
messenger. Where the exchange is slow, the gain is the steady one of the momentary concentration
(grey), and both directions run along the same line. Where it is fast, the gain lags: at the same
concentration it is lower on the way in than on the way out, and the loop between them is wide.
:doc:`/reference/receptors` shows how baths are set up.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import second, umolar

import neuromod

exchange = [0.03, 1, 8]
run = neuromod.run("wash", conc=[3] * umolar, tau_exchange=exchange * second)

signals = run.recordings["wash"].signals["neurons"]
steady = np.linspace(0, 3, 100)
figure, axes = plt.subplots(figsize=(5, 4))
for number, tau in enumerate(exchange):
    conc, gain = (signals[name].values[number] for name in ("conc_modulator", "gain"))
    axes.plot(conc / umolar, gain, label=f"{tau:g} s")
axes.plot(steady, run.protocol.steady_effect(steady), color="0.6", lw=3, zorder=0, label="∞")
axes.set(xlabel="modulator in the chamber (µM)", ylabel="gain")
axes.legend(title="time constant\nof exchange")
plt.show()
