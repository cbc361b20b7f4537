"""
A map of release in tissue: concentration over distance and time
================================================================

Six varicosities release dopamine into a plane of tissue, each spike a little. What is released
falls off with distance, exp(-d/λ), and is cleared exponentially: one release reaches a whole
neighbourhood, where a synapse reaches one cell. Here the tissue is a grid of cells with D1
receptors, and the same simulation gives the concentration around each of them, over space at one
moment and over distance and time. The burst of one varicosity, between 0.3 and 0.6 s, stands out.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, nmolar, prefs, second, um

from neuromod import Experiment, Population, Spikes, Trace, simulate
from neuromod.inputs.modulators import volume
from neuromod.models import GainLIF, library

prefs.codegen.target = "numpy"  # compiles nothing
draw = np.random.default_rng(2)
dt, duration = 1 * ms, 1.2 * second

x, y = np.meshgrid(np.arange(0, 101, 4), np.arange(0, 61, 4))
places = np.column_stack([x.ravel(), y.ravel()]) * um
sites = np.array([[50, 30], [12, 14], [18, 50], [80, 52], [88, 12], [62, 6]]) * um

# 4 Hz everywhere, and 40 Hz at the first varicosity for 0.3 s.
steps = np.arange(1, 1200)
fires = draw.random((len(sites), len(steps))) < 0.004
fires[0] = (steps >= 300) & (steps < 600) & (steps % 25 == 0)
when, which = np.nonzero(fires.T)  # in order of time
releases = Spikes("varicosities", len(sites), which, steps[when] * dt)

cells = Population("cells", GainLIF(receptors=[library.D1]), len(places))
release = volume("dopamine", cells, "varicosities", sites, places, 60 * nmolar, 12 * um, 150 * ms)
experiment = Experiment(
    populations=[cells],
    sources=[releases],
    traces=[Trace("cells", "conc_dopamine", np.arange(cells.size), every=5 * ms)],
    duration=duration,
    dt=dt,
)
recording = simulate(experiment.add(release))
conc = recording.signal("cells", "conc_dopamine").values / nmolar
t = recording.times_of("cells", "conc_dopamine") / second

# %%
# Left the plane at the end of the burst, right the cells of the middle row, by their distance from
# the bursting varicosity.

fig, (plane, course) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
limit = conc.max()
moment = np.searchsorted(t, 0.6)
shown = conc[:, moment].reshape(x.shape)
plane.pcolormesh(x[0], y[:, 0], shown, cmap="magma", vmax=limit, shading="gouraud")
plane.plot(sites[:, 0] / um, sites[:, 1] / um, "w+", ms=8)
plane.set(aspect="equal", xlabel="x (µm)", ylabel="y (µm)", title="at 0.6 s; + varicosities")
row = np.flatnonzero((places[:, 1] == 28 * um) & (places[:, 0] >= 48 * um))
distance = (places[row, 0] - 48 * um) / um
image = course.pcolormesh(t, distance, conc[row], cmap="magma", vmax=limit, shading="gouraud")
course.set(xlabel="time (s)", ylabel="distance (µm)", title="along y = 28 µm")
fig.colorbar(image, label="dopamine (nM)")
plt.show()
