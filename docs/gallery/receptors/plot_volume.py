"""
Where does a modulator released into the tissue act?
====================================================

Neuromodulatory axons release into the space between cells, and whoever is near gets some of it
(volume transmission). A release raises the concentration by an exponential of the distance, 30 µm
here, and is then cleared. On the left is how much of a single release reaches cells at several
distances (dots), on the line that it must lie on. On the right twelve neurons (crosses) release
at random times all over the tissue; colours are the mean gains of 300 cells. The gain is highest
where releases crowd, and the concentration is below that of half effect at the edges.
:doc:`/reference/receptors` has the equations.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import second, um

import neuromod

run = neuromod.run("volume", active=3 * second, after=0.5 * second)

volume, tissue = run.protocol, run.tables["tissue"]
reached, rise = volume.first_release(run.recordings["burst"])
distance = np.linspace(0, 140, 100)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.5), width_ratios=(2, 3))
left.plot(distance, 0.5 * volume.kernel(distance))
left.plot(reached, rise, ".", ms=4)
left.set(xlabel="distance (µm)", ylabel="rise by one release (µM)")
dots = right.scatter(tissue.x_um, tissue.y_um, 14, tissue.mean_gain, cmap="viridis")
figure.colorbar(dots, label="mean gain")
sites = volume.places()[1]["tissue"] / um
right.plot(*sites.T, "x", color="#D55E00", mew=2)
right.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal")
plt.show()
