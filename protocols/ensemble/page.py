"""The page of `Ensemble`: its figure and its words."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support import figures
from neuromod.support.figures import BLACK, label, legend, panels
from neuromod.support.text import listed, say

if TYPE_CHECKING:
    from neuromod.protocols.ensemble.protocol import Ensemble

STUDIES = ("classification", "regression", "chip")
LOOKS: dict[str, dict[str, Any]] = {
    "order": {"color": figures.SKY, "marker": "o"},
    "start": {"color": figures.BLUE, "marker": "s"},
    "bagging": {"color": figures.GREEN, "marker": "^"},
    "groups": {"color": figures.ORANGE, "marker": "D"},
    "pixels": {"color": figures.PURPLE, "marker": "v"},
    "features": {"color": figures.RED, "marker": "P"},
    "small": {"color": figures.PURPLE, "marker": "v"},
    "full": {"color": BLACK, "marker": "*", "ls": ":"},
    "linear": {"color": figures.RED, "marker": "x"},
    "sets": {"color": figures.BLUE, "marker": "s"},
}
NAMES = {
    "order": "sets of gains, orders differ",
    "start": "sets of gains, starts differ too",
    "bagging": "sets of gains, bagging",
    "groups": "one network, gains for groups",
    "pixels": "small networks on pixels",
    "features": "small networks on features",
    "small": "small networks",
    "full": "networks of full size",
    "linear": "linear regression",
    "sets": "sets of supplies, in turn",
}
LAYOUT = {
    "classification": [["accuracy", "nll", "ece"], ["reliability", "noisy", "trusted"]],
    "regression": [["rmse", "density", "coverage"]],
    "chip": [["votes", "spent", "price"]],
}
PARTS = {"passes": figures.BLUE, "resets": figures.YELLOW, "changes": figures.ORANGE}
NOISY = ("start", "groups", "pixels", "features")
"""Ways that are drawn against noise."""
FEWEST = 10
"""Images of a bin, over all seeds, that is drawn: the share that is right of fewer says little."""


def plot(protocol: Ensemble, tables: Tables, recordings: Recordings) -> Figure:
    """Scores against the number of members, reliability, noise, and what the chip spends."""
    del recordings
    rows = [row for study in STUDIES if study in protocol.studies for row in LAYOUT[study]]
    figure, axes = panels(rows, width=12, height=3.3 * len(rows))
    draw = {
        "classification": _draw_classification,
        "regression": _draw_regression,
        "chip": _draw_chip,
    }
    for study in STUDIES:
        if study in protocol.studies:
            draw[study](protocol, axes, tables)
    for letter, ax in zip(ascii_lowercase, axes.values(), strict=False):
        ax.set_title(f"{letter}  {ax.get_title(loc='left')}")
    return figure


def _draw_classification(protocol: Ensemble, axes: Any, tables: Tables) -> None:
    table = tables["classification"]
    _against_members(axes["accuracy"], table, "accuracy", 100)
    label(axes["accuracy"], "Accuracy", y="test images right (%)")
    _against_members(axes["nll"], table, "nll")
    label(axes["nll"], "Negative log likelihood", y="nats per image", ylim=(0, None))
    _against_members(axes["ece"], table, "ece", 100)
    own = table[table.way == "start"].sort_values("members")
    look = {"color": LOOKS["start"]["color"], "ls": ":", "label": "starts differ, by chance"}
    axes["ece"].plot(own.members, 100 * own.ece_by_chance_mean, **look)
    label(axes["ece"], "Calibration error", y="ECE (%)", ylim=(0, None))
    legend(axes["ece"])
    _draw_reliability(protocol, axes["reliability"], tables["reliability"])
    every = pd.concat([table.assign(noise=0.0), tables["shift"]])
    for name, measure, title, up in (
        ("noisy", "accuracy", "Accuracy under noise", "test images right (%)"),
        ("trusted", "ece", "Calibration under noise", "ECE (%)"),
    ):
        for way in NOISY:
            of_way = every[every.way == way]
            ends = {max(protocol.members): "-"}
            if way == "start":
                ends |= {min(protocol.members): ":"}
            for size, style in ends.items():
                own = of_way[of_way.members == size].sort_values("noise")
                look = LOOKS[way] | {"ls": style, "ms": 5, "label": f"{NAMES[way]}, {size}"}
                axes[name].plot(own.noise, 100 * own[f"{measure}_mean"], **look)
        across = "noise on pixels of 0 to 1 (sd)"
        label(axes[name], title, across, up, ylim=(0, None))
    legend(axes["trusted"])


def _draw_reliability(protocol: Ensemble, axes: Any, table: pd.DataFrame) -> None:
    sizes = sorted({min(protocol.members), max(protocol.members)})
    shown = [("start", size) for size in sizes] + [("groups", sizes[-1]), ("pixels", sizes[-1])]
    for (way, size), style in zip(shown, [":"] * (len(sizes) - 1) + ["-"] * 3, strict=True):
        rows = table[(table.way == way) & (table.members == size) & (table.samples >= FEWEST)]
        look = LOOKS[way] | {"ls": style, "ms": 4, "label": f"{way}, {size}"}
        axes.plot(100 * rows.confidence, 100 * rows.accuracy, **look)
    axes.plot([0, 100], [0, 100], color=BLACK, lw=0.8, ls="--")
    title, up = f"Reliability, bins of {FEWEST} images and more", "images right (%)"
    label(axes, title, "confidence (%)", up, xlim=(15, 103), ylim=(0, 103))
    axes.legend(loc="lower right")


def _draw_regression(protocol: Ensemble, axes: Any, tables: Tables) -> None:
    table = tables["regression"]
    _against_members(axes["rmse"], table, "rmse")
    label(axes["rmse"], "Regression: error", y="RMSE (units of progression)")
    _against_members(axes["density"], table, "nll")
    label(axes["density"], "Regression: negative log likelihood", y="nats per patient")
    _against_members(axes["coverage"], table, "coverage", 100)
    axes["coverage"].axhline(100 * protocol.level, color=BLACK, lw=0.8, ls="--", label="wanted")
    title = f"Intervals of {100 * protocol.level:g} %"
    label(axes["coverage"], title, y="patients within (%)")
    legend(axes["coverage"])


def _draw_chip(protocol: Ensemble, axes: Any, tables: Tables) -> None:
    table = tables["chip"]
    _against_members(axes["votes"], table, "accuracy", 100)
    label(axes["votes"], "On the chip", y="test images right (%)", ylim=(0, 103))
    own = table[table.way == "sets"]
    bottom = np.zeros(len(own))
    for part, color in PARTS.items():
        height = own[f"{part}_energy_pJ_mean"].to_numpy()
        axes["spent"].bar(own.members.astype(str), height, 0.6, bottom, color=color, label=part)
        bottom += height
    often = "" if protocol.batch == 1 else f", {protocol.batch} images each"
    title, up = f"Energy of sets of supplies{often}", "energy per image (pJ)"
    label(axes["spent"], title, "members", up)
    axes["spent"].legend(loc="upper left")
    for way, rows in table.groupby("way", sort=False):
        energy, right = rows.energy_per_image_pJ_mean, 100 * rows.accuracy_mean
        spread = 100 * rows.accuracy_sd.fillna(0)
        look = LOOKS[way] | {"ms": 5, "capsize": 2, "label": NAMES[way]}
        axes["price"].errorbar(energy, right, spread, **look)
        for size, x, y in zip(rows.members, energy, right, strict=True):
            at = {"xytext": (4, -10), "textcoords": "offset points", "fontsize": 8}
            axes["price"].annotate(str(size), (x, y), **at)
    label(axes["price"], "What accuracy costs", up, "test images right (%)", ylim=(0, 103))
    legend(axes["price"])


def _against_members(axes: Any, table: pd.DataFrame, measure: str, times: float = 1) -> None:
    """A line for each way, its markers a little apart."""
    sizes = sorted(table.members.unique())
    ways = list(dict.fromkeys(table.way))
    for place, way in enumerate(ways):
        rows = table[table.way == way].sort_values("members")
        mean, spread = times * rows[f"{measure}_mean"], times * rows[f"{measure}_sd"].fillna(0)
        look = LOOKS[way] | {"ms": 5, "lw": 1.2, "capsize": 2, "label": NAMES[way]}
        at = rows.members * 2 ** (0.06 * (place - (len(ways) - 1) / 2))
        axes.errorbar(at, mean, spread, **look)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    label(axes, x="members, or as many numbers")


def report(protocol: Ensemble, tables: Tables) -> list[Section]:
    """What ensembles of gains reach, where they lose, and what they cost."""
    parts = [("One backbone, many sets of gains", _about(protocol, tables), "")]
    if "classification" in tables:
        parts += [
            ("Accuracy and calibration", _classified(protocol, tables), "classification"),
            ("Under noise", _shifted(protocol, tables["shift"]), "shift"),
        ]
    if "regression" in tables:
        parts.append(("Regression", _regressed(protocol, tables["regression"]), "regression"))
    if "chip" in tables:
        parts.append(("On the chip", _voted(protocol, tables["chip"]), "chip"))
    return [Section(*part) for part in parts if part[1]]


def _about(protocol: Ensemble, tables: Tables) -> str:
    table = tables["table"]
    seeds = f"Means and standard deviations are over {table.seed.nunique()} seeds."
    return (
        "Members are sets of gains of the same frozen network, one gain for each neuron. They "
        "differ in the order of the training images alone (order), also in the gains that they "
        f"start from, of mean 1 and standard deviation {protocol.spread:g} (start), or in a "
        "bootstrap sample of the images (bagging). Smaller ensembles are the first members of the "
        "largest. One network with gains for groups of synapses has as many numbers as an even "
        "number of sets (groups), and so has an ensemble of small networks that start anew. "
        "Networks of full size have many times as many, and are a reference. Weights of the "
        f"backbone, and principal components, are not counted. {seeds}"
    )


def _classified(protocol: Ensemble, tables: Tables) -> str:
    table = tables["classification"]
    single, ensemble = _of(table, "start", min(protocol.members)), _last(table, "start")
    others = [_last(table, way) for way in ("order", "bagging", "groups", *_FRESH)]
    verdicts = [_verdict(ensemble, other) for other in others if other is not None]
    return (
        f"From {single.members} to {ensemble.members} members ({single.trained_numbers} to "
        f"{say(ensemble.trained_numbers)} numbers), accuracy goes from {_percent(single)} to "
        f"{_percent(ensemble)}, the negative log likelihood from {_number(single, 'nll')} to "
        f"{_number(ensemble, 'nll')}, the Brier score from {_number(single, 'brier')} to "
        f"{_number(ensemble, 'brier')}, and the calibration error from {_percent(single, 'ece')} "
        f"to {_percent(ensemble, 'ece')} (by chance {_percent(ensemble, 'ece_by_chance')}). The "
        f"best member alone, chosen by test images, has "
        f"{_percent(ensemble, 'best_member_accuracy')}. In accuracy, the ensemble "
        f"{listed(verdicts)}: more than the two standard deviations together decide.\n\n"
        f"The Brier score is summed over classes. ECE has {protocol.bins} bins of equal width of "
        "the largest probability; ece_by_chance is what it would be if all confidences were true. "
        "disagreement is the share of images for which two members name different classes; "
        "diversity, the variance of their probabilities, is exactly by how much the ensemble's "
        "Brier score is below the members' mean."
    )


_FRESH = ("pixels", "features", "full")


def _shifted(protocol: Ensemble, shift: pd.DataFrame) -> str:
    if not len(shift):
        return ""
    worst = shift[shift.noise == shift.noise.max()]
    found = [
        f"{NAMES[way]}, {size}: {_percent(row)} right, ECE {_percent(row, 'ece')}"
        for way, size in [("start", min(protocol.members))]
        + [(way, max(protocol.members)) for way in NOISY]
        if (row := _of(worst, way, size)) is not None
    ]
    return (
        "Test images get Gaussian noise that no network was trained with. At a standard deviation "
        f"of {worst.noise.iloc[0]:g} of the pixels' range: {'; '.join(found)}."
    )


def _regressed(protocol: Ensemble, table: pd.DataFrame) -> str:
    single, ensemble = _of(table, "start", min(protocol.members)), _last(table, "start")
    ways = ("order", "bagging", "groups", "small", "full", "linear")
    found = [
        f"{NAMES[row.way]} {_number(row, 'rmse', 1)} ({say(row.trained_numbers)} numbers)"
        for way in ways
        if (row := _last(table, way)) is not None
    ]
    wanted = f"{100 * protocol.level:g} %"
    return (
        "A network of 10-30-30-1 neurons is pre-trained on the younger half of scikit-learn's "
        "diabetes patients, and 61 gains are tuned on 40 % of the older half. What errors members "
        "make, 20 % tell; 40 % are the test. The prediction is a Gaussian with the mean of the "
        "members, and with the variance of their means added to that of their own errors. From "
        f"{single.members} to {ensemble.members} members the error goes from "
        f"{_number(single, 'rmse', 1)} to {_number(ensemble, 'rmse', 1)}, and intervals of "
        f"{wanted} hold {_percent(ensemble, 'coverage')} of the patients. The others: "
        f"{'; '.join(found)}. ambiguity is exactly by how much the squared error of the ensemble "
        "is below the members' mean."
    )


def _voted(protocol: Ensemble, table: pd.DataFrame) -> str:
    single, ensemble = _of(table, "sets", min(protocol.members)), _last(table, "sets")
    groups = _last(table, "groups")
    beside = ""
    if groups is not None:
        beside = (
            f" One pass with as many supplies, for groups of synapses, has {_percent(groups)} for "
            f"{say(groups.energy_per_image_pJ_mean, 'pJ', 3)}."
        )
    # The largest ensemble holds the members of all others.
    ran = table[(table.way == "groups") | (table.members == table.members.max())]
    compared, differ = (
        round(protocol.seeds * ran[f"neurons_{what}_mean"].sum()) for what in ("compared", "differ")
    )
    often = "every image" if protocol.batch == 1 else f"{protocol.batch} images"
    return (
        "Codes stay in memory. Each member is a supply for each neuron, tuned on the codes within "
        "reach; its spikes are votes, and the class with most votes is the answer (a tie is "
        f"wrong). From {single.members} to {ensemble.members} sets, accuracy goes from "
        f"{_percent(single)} to {_percent(ensemble)}, and an image from "
        f"{say(single.energy_per_image_pJ_mean, 'pJ', 3)} to "
        f"{say(ensemble.energy_per_image_pJ_mean, 'pJ', 3)}, of which "
        f"{say(ensemble.changes_energy_pJ_mean, 'pJ', 3)} are for changing supplies after {often}."
        f"{beside}\n\n"
        f"A change charges each supply's rail of {say(protocol.rail)} anew, C VDD², whatever it "
        "was at before; that capacitance is an estimate, and changes cost in proportion to it. "
        "Neurons are reset before each pass. Accuracy and votes are in closed form with all test "
        f"images; energy is that of {protocol.images} images simulated as circuit neurons, each "
        f"pass from rest. Of {say(compared)} neurons compared there with the closed form, "
        f"{say(differ)} differed. Regulators, and the time that a rail takes to settle, are left "
        "out."
    )


def _of(table: pd.DataFrame, way: str, members: int) -> Any:
    """The row of a way and size, if there is one."""
    rows = table[(table.way == way) & (table.members == members)]
    return next(rows.itertuples(), None)


def _last(table: pd.DataFrame, way: str) -> Any:
    """The row of a way with the most members that it has, if there is one."""
    rows = table[table.way == way].sort_values("members")
    return next(rows.tail(1).itertuples(), None)


def _percent(row: Any, measure: str = "accuracy") -> str:
    mean, spread = getattr(row, f"{measure}_mean"), getattr(row, f"{measure}_sd")
    behind = "" if pd.isna(spread) else f" ± {100 * spread:.1f}"
    return f"{100 * mean:.1f}{behind} %"


def _number(row: Any, measure: str, digits: int = 3) -> str:
    mean, spread = getattr(row, f"{measure}_mean"), getattr(row, f"{measure}_sd")
    behind = "" if pd.isna(spread) else f" ± {spread:.{digits}f}"
    return f"{mean:.{digits}f}{behind}"


def _verdict(row: Any, other: Any) -> str:
    ahead = row.accuracy_mean - other.accuracy_mean
    margin = np.nansum([row.accuracy_sd, other.accuracy_sd])
    word = "is level with" if abs(ahead) <= margin else "beats" if ahead > 0 else "loses to"
    return f"{word} {NAMES[other.way]} ({say(other.trained_numbers)} numbers, {_percent(other)})"
