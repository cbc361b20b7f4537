"""The picture of the landing page and of the README: one gain in a cell, a network and a chip.

`python docs/landing_figure.py` writes `_static/gain-wide-light.svg` and three more: for wide and
for narrow pages, on light and on dark ones. Above is what sets the gain, below what it does:

- cell: dopamine at D1 receptors; the membrane for four input spikes, without and with it;
- network: training the gains of a frozen network (digits 0 to 4 of scikit-learn) on digits 5 to 9;
  the gain of one of its neurons, and that neuron's output;
- chip: the supply of a mirror synapse; the membrane for four input pulses, at both supplies.

The trained gain is the one that receptor and supply are then set to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from brian2 import Quantity, ms, mV, nA, nsecond, prefs, umolar, usecond, volt
from matplotlib.axes import Axes
from scipy.optimize import brentq
from sklearn.datasets import load_digits

from neuromod import Connection, Experiment, Population, Recording, Spikes, Trace, simulate
from neuromod.chip.conversion import gain_of, vdd_of
from neuromod.chip.pulses import code_pulses
from neuromod.models import CircuitNeuron, GainLIF, library
from neuromod.support.figures import STYLE
from neuromod.tuning import attach, trained_parameters

FOLDER = Path(__file__).parent / "_static"
SOUGHT = 1.3
"""Within reach of D1 receptors (1 to 1.46) and of supplies (0.25 to 1.88)."""
STEPS = 150
ARRIVALS = np.array([5, 10, 15])
"""Of input spikes: milliseconds in the cell, microseconds on the chip."""


@dataclass(frozen=True)
class Way:
    """One way to a gain and what follows: two curves, with labels of their axes.

    Attributes
    ----------
    setting, gain : ndarray, shape (n,)
        What sets the gain, and the gain.
    chosen : float
        The setting that gives the gain of the picture.
    x : ndarray, shape (m,)
    before, after : ndarray, shape (m,)
        What a neuron does at gain 1 and at the gain of the picture.
    """

    name: str
    by: str
    setting: np.ndarray
    gain: np.ndarray
    chosen: float
    set_in: str
    x: np.ndarray
    before: np.ndarray
    after: np.ndarray
    labels: tuple[str, str]
    legend: tuple[str, str]
    fired: np.ndarray = field(default_factory=lambda: np.empty(0))
    """When the neuron fired at the gain of the picture."""
    threshold: float | None = None


def network() -> Way:
    """Gains trained on a network that stays as it is."""
    torch.manual_seed(5)
    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target)
    old = labels < 5
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 5))
    fit(model, list(model.parameters()), images[old], labels[old])
    attach(model, "nt1")
    gains = trained_parameters(model)
    history = np.array(fit(model, gains, images[~old], labels[~old] - 5, rate=0.02))
    # Of the hidden neurons.
    neuron = np.abs(history[-1, :32] - SOUGHT).argmin()
    gain = history[:, neuron]
    drive = np.linspace(-1, 3, 50)
    return Way(
        name="Network",
        by="training sets it",
        setting=np.arange(len(gain)),
        gain=gain,
        chosen=len(gain) - 1,
        set_in="training step",
        x=drive,
        before=np.maximum(drive, 0),
        after=np.maximum(gain[-1] * drive, 0),
        labels=("input $wx+b$", "output"),
        legend=("before", "tuned"),
    )


def fit(model, parameters, images, labels, rate=0.02):
    """Train parameters for the figure's steps; all of the first tensor and others at each step."""
    optimizer = torch.optim.Adam(parameters, lr=rate)
    history = []
    for _ in range(STEPS + 1):
        history.append(torch.cat([p.detach().flatten() for p in parameters]).numpy().copy())
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return history


def cell(gain: float) -> Way:
    """Dopamine at D1 receptors, and the membrane of a cell."""
    receptor = library.D1
    conc = np.geomspace(0.02, 200, 80)
    chosen = brentq(lambda c: float(receptor.gain(c * umolar)) - gain, 1e-3, 1e6)
    given = np.array([0, chosen]) * umolar
    neuron = GainLIF(receptors=(receptor,))
    values = {"conc_dopamine": given, **receptor.steady(given)}
    cells = Population("cells", neuron, 2, values)
    synapses = [Connection("inputs", "cells", "I_syn", i=[0, 0], j=[0, 1], weight=2.2 * nA)]
    recording = driven(cells, synapses, ms, 0.1 * ms)
    before, after = recording.signals["cells"]["v"].values
    return Way(
        name="Cell",
        by="a receptor sets it",
        setting=conc,
        gain=receptor.gain(conc * umolar),
        chosen=chosen,
        set_in="dopamine (µM)",
        x=np.arange(len(before)) * 0.1,
        before=np.asarray(before / mV),
        after=np.asarray(after / mV),
        labels=("time (ms)", "membrane (mV)"),
        legend=("no dopamine", f"{chosen:.2g} µM"),
        fired=recording.spike_trains("cells")[1].magnitude * 1e3,
        threshold=float(neuron.v_th / mV),
    )


def driven(
    pair: Population, synapses: Sequence[Connection], unit: Quantity, dt: Quantity
) -> Recording:
    """Two neurons, given the same spikes; `unit` is the one in which their time is told."""
    experiment = Experiment(
        populations=[pair],
        sources=[Spikes("inputs", 1, [0] * len(ARRIVALS), ARRIVALS * unit)],
        connections=synapses,
        traces=[Trace(pair.name, "v", [0, 1])],
        duration=40 * unit,
        dt=dt,
    )
    return simulate(experiment)


def chip(gain: float) -> Way:
    """The supply of a mirror synapse, and the membrane of a circuit neuron."""
    circuit = CircuitNeuron()
    low, high = float(circuit.vdd_low / volt), float(circuit.vdd_high / volt)
    vdd = np.linspace(low, high, 80)
    pair = Quantity([circuit.vdd_reference, vdd_of(circuit, np.array([gain]))[0]])
    neurons = Population("chip", circuit, 2, {"vdd": pair})
    synapses = code_pulses("inputs", "chip", [0, 0], [0, 1], 2, circuit.t_pulse)
    recording = driven(neurons, synapses, usecond, 10 * nsecond)
    before, after = recording.signals["chip"]["v"].values
    return Way(
        name="Chip",
        by="a supply sets it",
        setting=vdd,
        gain=gain_of(circuit, vdd * volt),
        chosen=float(pair[1] / volt),
        set_in="supply (V)",
        x=np.arange(len(before)) * 0.01,
        before=np.asarray(before / volt),
        after=np.asarray(after / volt),
        labels=("time (µs)", "membrane (V)"),
        legend=tuple(f"{value / volt:.2f} V" for value in pair),
        fired=recording.spike_trains("chip")[1].magnitude * 1e6,
        threshold=float(circuit.v_th / volt),
    )


@dataclass(frozen=True)
class Look:
    """Colours on light or on dark pages."""

    name: str
    ink: str
    faint: str
    page: str
    accent: str


LOOKS = (
    Look("light", "#1f2328", "#8b949e", "white", "#0072B2"),
    Look("dark", "#e6edf3", "#8b949e", "#131416", "#56B4E9"),
)


def draw_setting(ax: Axes, way: Way, look: Look, gain: float) -> None:
    """What sets the gain, and where it gives the gain of the picture."""
    ax.axhline(gain, color=look.accent, lw=1, ls=":")
    ax.plot(way.setting, way.gain, color=look.ink)
    if way.name == "Cell":
        ax.text(way.setting[0], gain + 0.05, f"gain {gain:.2f}", color=look.accent)
    ax.plot([way.chosen], [gain], "o", color=look.accent, clip_on=False, zorder=3)
    if way.name == "Cell":
        ax.set_xscale("log")
        ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        ax.minorticks_off()
    ax.set(xlabel=way.set_in, ylabel="gain", ylim=(0.2, 1.95), yticks=[0.5, 1, 1.5])
    ax.set_title(f"{way.name}: {way.by}", weight="bold")


def draw_effect(ax: Axes, way: Way, look: Look, gain: float) -> None:
    """What the neuron does at gain 1 and at the gain of the picture."""
    if way.threshold is not None:
        ax.axhline(way.threshold, color=look.faint, lw=0.8, ls="--")
    ax.plot(way.x, way.before, color=look.faint, label=f"gain 1, {way.legend[0]}")
    ax.plot(way.x, way.after, color=look.accent, label=f"gain {gain:.2f}, {way.legend[1]}")
    for spike in way.fired:
        ax.plot(spike, way.threshold, "^", color=look.accent, ms=6)
    ax.set(xlabel=way.labels[0], ylabel=way.labels[1])
    low, high = ax.get_ylim()
    # Room for the legend.
    ax.set_ylim(low, high + 0.45 * (high - low))
    ax.legend(loc="upper left", borderpad=0, handlelength=1.2, borderaxespad=0.2)


def draw(ways: list[Way], look: Look, gain: float, wide: bool) -> plt.Figure:
    """Ways side by side, or below each other on narrow pages."""
    if wide:
        fig, axes = plt.subplots(2, 3, figsize=(10, 5), layout="constrained")
        pairs = axes.T
    else:
        fig, pairs = plt.subplots(3, 2, figsize=(5.6, 8), layout="constrained")
    for way, (above, below) in zip(ways, pairs, strict=True):
        draw_setting(above, way, look, gain)
        draw_effect(below, way, look, gain)
    return fig


def style(look: Look) -> dict[str, object]:
    """Settings of matplotlib."""
    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return {
        **STYLE,
        **dict.fromkeys(ink, look.ink),
        "figure.facecolor": look.page,
        "axes.facecolor": look.page,
        "font.size": 11,
        "axes.titlesize": 11,
        "legend.fontsize": 9.5,
        "lines.linewidth": 1.8,
        # The same file for the same figure, but for matplotlib's version.
        "svg.hashsalt": "neuromod",
    }


def main() -> None:
    """Compute once, draw four times."""
    prefs.codegen.target = "numpy"
    trained = network()
    gain = float(trained.gain[-1])
    ways = [cell(gain), trained, chip(gain)]
    for look in LOOKS:
        with plt.rc_context(style(look)):
            for wide in (True, False):
                path = FOLDER / f"gain-{'wide' if wide else 'tall'}-{look.name}.svg"
                draw(ways, look, gain, wide).savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
