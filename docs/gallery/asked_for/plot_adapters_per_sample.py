"""
A neuromodulatory state for each sample of a torch batch
========================================================

A network knows upright digits, and its weights are frozen. Adapters, one set of gains each, tune
it to digits that are mirrored, turned or dim. ``each_sample`` then lets every image of a mixed
batch be seen in its own state, in a single forward pass, as neurons under different modulators
would. The bars compare the untuned network with the adapter of each condition on the same test
images. Gains are all that an adapter trains here, 330 numbers beside 8970 frozen weights and
biases.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from neuromod.tuning import add_adapter, attach, each_sample, trained_parameters, use_adapter

torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 8, 8)
labels = torch.tensor(labels)
conditions = {
    "upright": lambda x: x,
    "mirrored": lambda x: x.flip(-1),
    "turned": lambda x: x.rot90(1, (-2, -1)),
    "dim": lambda x: 0.15 * x,
}
learn, test = slice(0, 1300), slice(1300, None)


def train(model, parameters, x, y, epochs, lr):
    """Adam on all images at once."""
    optimizer = torch.optim.Adam(parameters, lr=lr)
    for _ in range(epochs):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


model = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
)
train(model, model.parameters(), images[learn], labels[learn], 60, 0.01)

# %%
# One adapter a condition: gains on all layers, of inputs and outputs, trained with frozen weights.

attach(model, "nt1_both", layers=["1", "3", "5"])
for name, change in conditions.items():
    add_adapter(model, name)
    use_adapter(model, name)
    if name != "upright":
        train(model, trained_parameters(model), change(images[learn]), labels[learn], 60, 0.05)

print(sum(p.numel() for p in trained_parameters(model)), "gains in an adapter")

mixed = torch.cat([change(images[test]) for change in conditions.values()])
truth = labels[test].repeat(len(conditions))
whose = [name for name in conditions for _ in labels[test]]
with torch.no_grad():
    use_adapter(model, "default")
    untuned = model(mixed).argmax(1) == truth
    with each_sample(model, whose):
        own = model(mixed).argmax(1) == truth

# %%

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
at = np.arange(len(conditions))
for shift, right, name in ((-0.2, untuned, "untuned network"), (0.2, own, "its own adapter")):
    share = 100 * right.float().reshape(len(conditions), -1).mean(1).numpy()
    bars = ax.bar(at + shift, share, 0.38, label=name)
    ax.bar_label(bars, fmt="%.0f", fontsize=8)
ax.axhline(10, color="0.3", ls=":", lw=1, label="chance")
ax.set_xticks(at, conditions)
ax.set(ylabel="test images right (%)", ylim=(0, 118))
ax.legend(frameon=False, ncols=3, loc="upper center")
plt.show()
