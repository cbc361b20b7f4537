"""The report of `Transfer`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import say
from neuromod.tuning.backbone import RANDOM

if TYPE_CHECKING:
    from neuromod.protocols.transfer.protocol import Transfer

PRETRAINED = "pre-trained"
MEANINGLESS = f"Weights are {RANDOM}. "


def meaningless(tables: dict[str, pd.DataFrame]) -> bool:
    """Return whether the weights were random."""
    return not (tables["tasks"].weights == PRETRAINED).all()


def report(protocol: Transfer, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Tasks, the comparison in words, the paper's tables, and what was not measured."""
    del protocol
    parts = [
        ("The tasks", _tasks(tables["tasks"]), "tasks"),
        ("At equal numbers", _equal(tables["equal"]), "equal"),
        ("The paper's tables 1 to 7", _table(tables["table"]), "paper"),
        (
            "Table 8: the best of table 7",
            "Best mean over the learning rates, on validation images as in the paper, and numbers "
            "of trained parameters. The paper's 0.0356 for tft on Food-11 does not fit its table "
            "7, whose best there is 0.1168.",
            "best",
        ),
    ]
    warning = MEANINGLESS if meaningless(tables) else ""
    return [Section(title, warning + text, table) for title, text, table in parts if text]


def _tasks(tasks: pd.DataFrame) -> str:
    untuned = ", ".join(
        f"{row.data} {100 * row.untuned_test_accuracy:.0f} %" for row in tasks.itertuples()
    )
    return (
        f"The network is {tasks.backbone[0]}. The less it gets right untuned, the further a task "
        f"is from what it was trained on: {untuned}. If a task has another number of classes than "
        "the network, a new output layer is trained too."
    )


def _table(table: pd.DataFrame) -> str:
    here = table[table.measured == "here"]
    there = sorted(set(table.data[table.measured != "here"]))
    text = (
        "Adam with a constant learning rate; nothing is chosen. A cell holds the paper's accuracy "
        "on validation images / the one measured here, in percent, with the standard deviation "
        "over the runs. A dash means that there is none. table.csv has test images and numbers of "
        "trained parameters. "
    )
    if there:
        text += f"Not measured here: {', '.join(there)}. "
    if len(here):
        text += f"Measured here: {', '.join(dict.fromkeys(here.data))}. "
    return text + "Up to table 4 the paper has gains on the inputs of all layers, then of two."


def _equal(equal: pd.DataFrame) -> str:
    """What beats what, by more than both standard deviations together."""
    if not len(equal):
        return ""
    lines = []
    for data, rows in equal.groupby("data", sort=False):
        matched = [
            f"with {count} numbers {gains.method} ({100 * gains.test_accuracy_mean:.0f} %) "
            + ", ".join(_verdict(gains, other) for other in others)
            for count, own in rows.groupby("trained_parameters")
            for gains, others in _matched(own)
        ]
        alone = [
            f"{row.method} has {say(row.trained_parameters)} numbers and "
            f"{100 * row.test_accuracy_mean:.0f} %"
            for row in rows[rows.method.isin(["probe", "nt1_inputs", "tft"])].itertuples()
        ]
        lines.append(f"On {data}: {'; '.join([*matched, *alone])}.")
    return (
        "Test images classified right, means over the runs. Learning rates are those with the best "
        "mean on validation images. A method beats or loses to another if their means differ by "
        "more than the two standard deviations together. A gain on every input and output of a "
        "layer (nt1_both) is as many numbers as a change of its weights of rank 1 (lora).\n\n"
        + "\n\n".join(lines)
    )


def _matched(rows: pd.DataFrame) -> Iterator[tuple[Any, list[Any]]]:
    """Gains, and the other methods with as many trained numbers, if there are any."""
    every = list(rows.itertuples())
    others = [row for row in every if not row.method.startswith("nt1")]
    for row in every:
        if row.method.startswith("nt1") and others:
            yield row, others


def _verdict(gains: Any, other: Any) -> str:
    ahead = gains.test_accuracy_mean - other.test_accuracy_mean
    margin = np.nansum([gains.test_accuracy_sd, other.test_accuracy_sd])
    word = "is level with" if abs(ahead) <= margin else "beats" if ahead > 0 else "loses to"
    return f"{word} {other.method} ({100 * other.test_accuracy_mean:.0f} %)"
