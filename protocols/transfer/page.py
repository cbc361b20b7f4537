"""The page of `Transfer`: its figure and its words."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support import figures
from neuromod.support.figures import label, panels
from neuromod.support.text import listed, say
from neuromod.tuning.backbone import RANDOM
from neuromod.tuning.whole_network import WAYS

if TYPE_CHECKING:
    from neuromod.protocols.transfer.protocol import Transfer

STYLES = {
    "nt1": {"color": figures.BLUE, "marker": "o"},
    "nt1_both": {"color": figures.SKY, "marker": "s"},
    "nt1_inputs": {"color": figures.BLACK, "marker": "v"},
    "nt2": {"color": figures.ORANGE, "marker": "^"},
    "additive": {"color": figures.ORANGE, "marker": "x", "ls": ":"},
    "probe": {"color": figures.GREEN, "marker": "D"},
    "lora": {"color": figures.PURPLE, "marker": "P"},
    "nt1_groups k=1": {"color": figures.BLUE, "marker": "o", "fillstyle": "none", "ls": ":"},
    "nt1_groups k=4": {"color": figures.BLUE, "marker": "o", "fillstyle": "left", "ls": "--"},
    "tft": {"color": figures.RED, "marker": "*"},
}
WHOLE_STYLES = {
    **{name: STYLES[name] for name in ("nt1", "probe", "tft")},
    "biases": {"color": figures.ORANGE, "marker": "<"},
    "ia3": {"color": figures.BLACK, "marker": ">"},
    "norm": {"color": figures.SKY, "marker": "h"},
    "lora r=1": {"color": figures.PURPLE, "marker": "P", "fillstyle": "none"},
    "lora r=4": {"color": figures.PURPLE, "marker": "P", "fillstyle": "left"},
    "lora r=8": {"color": figures.PURPLE, "marker": "P"},
}
PROBE: Any = {
    "color": figures.GREEN,
    "ls": "--",
    "lw": 1,
    "label": "logistic regression on the features",
}
MOST_TASKS = 4


def plot(protocol: Transfer, tables: Tables, recordings: Recordings) -> Figure:
    """For each task: accuracy against trained parameters, learning curves, learning rates."""
    del protocol, recordings
    tasks = tables["tasks"].set_index("data")
    names = list(tasks.index)[:MOST_TASKS]
    drawn = {name: draw for name, draw in PANELS.items() if _measured(tables[name])}
    layout = [[f"{table} of {name}" for name in names] for table in drawn]
    width = 3.7 if "whole" in drawn else 2.7
    figure, axes = panels(layout, max(width * len(names), 6), 3 * len(drawn) + 0.5)
    letters = iter(ascii_lowercase)
    for table, draw in drawn.items():
        for name in names:
            ax, rows = axes[f"{table} of {name}"], tables[table]
            draw(ax, rows[rows.data == name])
            part = "test" if table in OF_TEST else "validation"
            line = ax.axvline if table == "whole" else ax.axhline
            line(100 * rows[rows.data == name][f"probe_{part}_accuracy"].iloc[0], **PROBE)
            whole = ", whole network" if table == "whole" else ""
            ax.set_title(f"{next(letters)}  {Path(name).name}{whole}")
    named: dict[str, Any] = {}
    for ax in axes.values():
        handles, methods = ax.get_legend_handles_labels()
        named |= dict(zip(methods, handles, strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=4)
    if meaningless(tables):
        figure.suptitle(MEANINGLESS.strip())
    return figure


def _measured(table: pd.DataFrame) -> bool:
    """Whether a table holds anything that was measured here."""
    return bool(len(table)) and ("measured" not in table or "here" in set(table.measured))


def _plot_whole(axes: Any, rows: pd.DataFrame) -> None:
    """A line for each method, fewest trained numbers first: many are alike in both."""
    for place, row in enumerate(rows.itertuples()):
        spread = 100 * np.nan_to_num(row.test_accuracy_sd)
        look: Any = {"ms": 6, "ls": "", "capsize": 2, **WHOLE_STYLES[row.method]}
        axes.errorbar(100 * row.test_accuracy_mean, place, xerr=spread, **look)
    names = [f"{row.method}, {say(row.trained_parameters)}" for row in rows.itertuples()]
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", lw=0.3)
    label(axes, x="test images right (%)", y="method, trained numbers")


def _plot_equal(axes: Any, rows: pd.DataFrame) -> None:
    for method, own in rows.groupby("method", sort=False):
        spread = 100 * own.test_accuracy_sd.fillna(0)
        look: Any = {"ms": 5, "lw": 1, "capsize": 2, **STYLES[method]}
        accuracy = 100 * own.test_accuracy_mean
        axes.errorbar(own.trained_parameters, accuracy, spread, label=method, **look)
    # Within less than a decade the labels of a logarithmic axis would lie on each other.
    counts = rows.trained_parameters
    log = "x" if counts.max() >= 10 * counts.min() else ""
    label(axes, x="trained parameters", y="test images right (%)", log=log, ylim=(0, 103))


def _plot_curves(axes: Any, rows: pd.DataFrame) -> None:
    for method, own in rows[rows.layers == 0].groupby("method", sort=False):
        look: Any = {**STYLES[method], "marker": "", "lw": 1.2}
        axes.plot(own.epoch, 100 * own.validation_accuracy, **look)
    axes.xaxis.get_major_locator().set_params(integer=True)
    label(axes, x="epoch (all layers)", y="validation images right (%)", ylim=(0, 103))


def _plot_rates(axes: Any, cells: pd.DataFrame) -> None:
    rows = cells[cells.table.isin([2, 3])].drop_duplicates(["method", "learning_rate"])
    for method, own in rows.sort_values("learning_rate").groupby("method", sort=False):
        look: Any = {"ms": 4, **STYLES[method]}
        axes.plot(own.learning_rate, 100 * own.validation_accuracy_mean, label=method, **look)
        axes.plot(own.learning_rate, 100 * own.paper_accuracy, "--", color=look["color"], lw=0.8)
    dashed = ", paper dashed" if rows.paper_accuracy.notna().any() else ""
    x, y = f"learning rate (tables 2 and 3{dashed})", "validation images right (%)"
    label(axes, x=x, y=y, log="x", ylim=(0, 103))


OF_TEST = ("whole", "equal")
PANELS = {"whole": _plot_whole, "equal": _plot_equal, "curves": _plot_curves, "table": _plot_rates}
PRETRAINED = "pre-trained"
MEANINGLESS = f"Weights are {RANDOM}. "


def meaningless(tables: Tables) -> bool:
    """Return whether the weights were random."""
    return not (tables["tasks"].weights == PRETRAINED).all()


def report(protocol: Transfer, tables: Tables) -> list[Section]:
    """Tasks, the comparison in words, the paper's tables, and what was not measured."""
    del protocol
    parts = [
        ("The tasks", _tasks(tables["tasks"]), "tasks"),
        ("At equal numbers", _equal(tables["equal"]), "equal"),
        ("Whole networks", _whole(tables["whole"]), "whole"),
        ("The paper's tables 1 to 7", _table(tables["table"]), "paper"),
        (
            "Table 8: the best of table 7",
            "Best mean over the learning rates, on validation images as in the paper, and numbers "
            "of trained parameters. The paper's 0.0356 for tft on Food-11 does not fit its table "
            "7, whose best there is 0.1168. The last column is the linear probe on the same images."
            if len(tables["best"])
            else "",
            "best",
        ),
    ]
    warning = MEANINGLESS if meaningless(tables) else ""
    return [Section(title, warning + text, table) for title, text, table in parts if text]


def _tasks(tasks: pd.DataFrame) -> str:
    known = tasks.dropna(subset="untuned_test_accuracy")
    untuned = [f"{row.data} {100 * row.untuned_test_accuracy:.0f} %" for row in known.itertuples()]
    probes = [f"{row.data} {100 * row.probe_test_accuracy:.1f} %" for row in tasks.itertuples()]
    far = (
        "The less it gets right untuned, the further a task is from what it was trained on: "
        f"{', '.join(untuned)}. "
        if untuned
        else ""
    )
    return (
        f"The network is {tasks.backbone[0]}. {far}If a task has another number of classes than "
        "the network, a new output layer is trained too. The reference of all accuracies is a "
        "linear probe, a logistic regression on the very features that the classifier reads, which "
        f"gets so many test images right: {', '.join(probes)}."
    )


def _whole(whole: pd.DataFrame) -> str:
    """What each way of tuning whole networks reaches, and whether gains beat the others."""
    if not len(whole):
        return ""
    lines = []
    for data, rows in whole.groupby("data", sort=False):
        gains = next(rows[rows.method == "nt1"].itertuples())
        others = ", ".join(_verdict(gains, o) for o in rows[rows.method != "nt1"].itertuples())
        sizes = f"{say(gains.trained_parameters)} numbers"
        if gains.of_a_fresh_head:
            sizes += f", {say(gains.of_a_fresh_head)} of them the new head's"
        lines.append(
            f"On {data}, nt1 ({sizes}; {100 * gains.test_accuracy_mean:.1f} %) {others}. "
            f"{_against_probe(gains)}."
        )
    fresh = whole.of_a_fresh_head.gt(0).any()
    head = (
        "Every method trains a new head, which starts the same for all methods of a seed. "
        if fresh
        else "The head stays, because there are as many classes as outputs. "
    )
    ways = "; ".join(f"{name}: {way.trains}" for name, way in WAYS.items())
    return (
        f"All layers are tuned, convolutions too. {ways}. {head}Networks are in evaluation mode: "
        "batch normalisation keeps its frozen statistics. Validation images choose each method's "
        "learning rate: the two best with the first seed are tried with all. "
        f"{_at_an_end(whole)}What a network has no layers for is not there. A method beats or "
        "loses to another if their means differ by more than the two standard deviations "
        "together.\n\n" + "\n\n".join(lines)
    )


def _at_an_end(whole: pd.DataFrame) -> str:
    """Which methods might do better at learning rates that were not tried."""
    rates = [WAYS[method.split()[0]].rates for method in whole.method]
    ends = [
        f"{row.method} on {row.data} ({row.learning_rate:g})"
        for row, own in zip(whole.itertuples(), rates, strict=True)
        if row.learning_rate in (own[0], own[-1])
    ]
    return f"At the lowest or highest of those tried is {listed(ends)}. " if ends else ""


def _against_probe(row: Any) -> str:
    ahead = 100 * (row.test_accuracy_mean - row.probe_test_accuracy)
    side = "above" if ahead >= 0 else "below"
    probe = f"{100 * row.probe_test_accuracy:.1f} %"
    return f"That is {abs(ahead):.1f} points {side} the linear probe on the features ({probe})"


def _table(table: pd.DataFrame) -> str:
    if not len(table):
        return ""
    here = table[table.measured == "here"]
    there = sorted(set(table.data[table.measured != "here"]))
    return (
        "Adam with a constant learning rate; nothing is chosen. A cell holds the paper's accuracy "
        "on validation images / the one measured here, in percent, with the standard deviation "
        "over the runs; the linear probe's is beside. A dash means that there is none. table.csv "
        "has test images and numbers of trained parameters. Measured here: "
        f"{listed(dict.fromkeys(here.data))}; not measured: "
        f"{listed(there)}. Up to table 4 the paper has gains on the inputs of all layers, then of "
        "two."
    )


def _equal(equal: pd.DataFrame) -> str:
    """What beats what, by more than both standard deviations together."""
    if not len(equal):
        return ""
    lines = []
    for data, rows in equal.groupby("data", sort=False):
        found = []
        for count, own in rows.groupby("trained_parameters"):
            gained = own.method.str.startswith("nt1")
            others = list(own[~gained].itertuples())
            for gains in own[gained].itertuples():
                if others:
                    verdicts = ", ".join(_verdict(gains, other) for other in others)
                    found.append(f"with {count} numbers {_named(gains)} {verdicts}")
        found += [
            f"{row.method} has {say(row.trained_parameters)} numbers and "
            f"{100 * row.test_accuracy_mean:.0f} %"
            for row in rows[rows.method.isin(["probe", "nt1_inputs", "tft"])].itertuples()
        ]
        probe = (
            f"the linear probe on the features has {100 * rows.probe_test_accuracy.iloc[0]:.1f} %"
        )
        lines.append(f"On {data}: {'; '.join([*found, probe])}.")
    return (
        "Test images classified right, means over the runs. Learning rates are those with the best "
        "mean on validation images. A method beats or loses to another if their means differ by "
        "more than the two standard deviations together. A gain on every input and output of a "
        "layer (nt1_both) is as many numbers as a change of its weights of rank 1 (lora). "
        "nt1_groups has a gain for each of k groups of a neuron's synapses of each sign.\n\n"
        + "\n\n".join(lines)
    )


def _verdict(gains: Any, other: Any) -> str:
    ahead = gains.test_accuracy_mean - other.test_accuracy_mean
    margin = np.nansum([gains.test_accuracy_sd, other.test_accuracy_sd])
    word = "is level with" if abs(ahead) <= margin else "beats" if ahead > 0 else "loses to"
    return f"{word} {_named(other)}"


def _named(row: Any) -> str:
    return f"{row.method} ({100 * row.test_accuracy_mean:.0f} %)"
