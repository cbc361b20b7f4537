"""
Tables 3, 5 and 8: how many numbers are trained
===============================================

The paper's counts of trained parameters are exact, and the package's methods must have the same.
Here VGG-19's classifier is built without memory, on torch's "meta" device, with the new output
layer of each data set, tuned by ``attach``, and counted. Crosses are the paper's printed numbers:
one gain for each input of three layers (table 3), one for each neuron of two (table 5), and
everything. A spiking STL-10 network has no new layer, which is why its table 8 has 9192, the
number of its neurons.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from neuromod.tuning import attach, trained_parameters
from neuromod.tuning.published import published_best

old, new = ["0", "1", "2"], "3"
printed = {  # STL-10, Food-11, BCCD
    "gains on inputs, table 3": (43_290, 44_291, 37_284),
    "gain per neuron, table 5": (18_202, 19_203, 12_196),
    "spiking, gain per neuron, table 8": tuple(
        published_best().trained_parameters[data, "nt1"] for data in ("stl10", "food11", "bccd")
    ),
    "everything, table 3": (123_652_866, 123_653_867, 123_646_860),
}
ways = [("nt1_inputs", old), ("nt1", old[:2]), ("nt1", old), ("tft", old)]
counted = {}
for (name, _), (method, layers) in zip(printed.items(), ways, strict=True):
    for classes in (10, 11, 4):
        with torch.device("meta"):
            sizes = [(25088, 4096), (4096, 4096), (4096, 1000), (1000, classes)]
            network = nn.Sequential(*(nn.Linear(*size) for size in sizes))
        attach(network, method, layers=layers)
        if not (name.startswith("spiking") and classes == 10):
            attach(network, "tft", layers=[new])
        found = sum(parameter.numel() for parameter in trained_parameters(network))
        counted.setdefault(name, []).append(found)
    assert tuple(counted[name]) == printed[name]

# %%

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for k, (data, color) in enumerate((("STL-10", "C0"), ("Food-11", "C1"), ("BCCD", "C2"))):
    at = [row + 0.25 * (k - 1) for row in range(len(counted))]
    ax.barh(at, [counts[k] for counts in counted.values()], 0.24, color=color, label=data)
    label = "" if k else "printed in the paper"
    ax.plot([counts[k] for counts in printed.values()], at, "kx", ms=6, label=label)
ax.set_yticks(range(len(counted)), counted)
ax.invert_yaxis()
ax.set(xscale="log", xlim=(5e3, 1e9), xlabel="trained parameters, the new output layer included")
ax.legend(frameon=False, loc="upper right")
plt.show()
