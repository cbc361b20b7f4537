"""
Table 3: gains need no careful learning rate
============================================

The paper tunes VGG-19's classifier to three data sets at five learning rates: by gains (NT1) and
in full (TFT). At its best rate full tuning is ahead everywhere, by 3.5 points on STL-10; at rates
of 0.01 and above it falls to chance, and gains do not. All points are the paper's table 3, as the
package keeps it in ``published_cells``; the package repeats such trainings with ``neuromod run
transfer`` on networks and images at hand. Chance is one over the number of classes, since the
largest output decides.
"""

import matplotlib.pyplot as plt
import pandas as pd

from neuromod.tuning.published import published_cells

cells = pd.DataFrame(vars(cell) for cell in published_cells())
table = cells[cells.table == 3]
names = {"stl10": ("STL-10", 10), "food11": ("Food-11", 11), "bccd": ("BCCD", 4)}

fig, axes = plt.subplots(1, 3, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (data, (name, classes)) in zip(axes, names.items(), strict=True):
    of_data = table[table.data == data]
    for gains, what, style in ((True, "gains (NT1)", "o-C0"), (False, "everything (TFT)", "s-C3")):
        rows = of_data[(of_data.method != "tft") == gains].sort_values("lr")
        ax.plot(rows.lr, 100 * rows.accuracy, style, ms=5, label=what)
    ax.axhline(100 / classes, color="0.5", ls=":", lw=1)
    ax.set(xscale="log", xlabel="learning rate", title=name, ylim=(0, 100))
axes[0].set_ylabel("validation accuracy (%)")
axes[0].text(1.2e-5, 11, "chance", color="0.4")
axes[2].legend(frameon=False, title="Barton et al. 2022, table 3")
plt.show()

print(table.groupby(["data", "method"]).accuracy.max().unstack(0).round(4))
