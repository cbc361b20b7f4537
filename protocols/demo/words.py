"""The report of `Demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import percent, say
from neuromod.tuning.backbone import RANDOM

if TYPE_CHECKING:
    from neuromod.protocols.demo.protocol import Demo


def report(protocol: Demo, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """The story in the order in which it happens."""
    del protocol
    return [
        _task(tables["task"].iloc[0]),
        _tuning(tables["summary"]),
        _deployment(tables["deployment"], tables["table"]),
        Section(
            "Agreement, neuron by neuron",
            "Every neuron is compared for every test image. The biological neurons must do exactly "
            "what torch's do, or the run fails. The circuit differs where coarse codes, or a "
            "supply at the end of its range, push a neuron across its threshold.",
            "agreement",
        ),
        _changes(tables["changes"]),
        Section(
            "Energy of one image on the chip",
            "The energy of the synapses follows from codes, spikes and the mirror equation. For "
            "the core the paper gives one total, 1.08 pJ per spike at 3.3 MHz. Its split is "
            "calibrated here, so these entries are estimates. The analog features count as pulses "
            "with a charge of their own. The convolutional stack, which computes them, is not on "
            "the chip and does not count.",
            "ledger",
        ),
        Section(
            "All tuned networks",
            "Shares of images classified right. Each network is that of the last epoch. Test "
            "images chose nothing.",
            "table",
        ),
    ]


def _task(task: pd.Series) -> Section:
    known = (
        f" On its source task it classifies {percent(task.source_test_accuracy)} of unseen images "
        "right."
        if pd.notna(task.source_test_accuracy)
        else ""
    )
    meaningless = "" if "weights" not in task else f"Weights are {RANDOM}. "
    return Section(
        "The task",
        f"{meaningless}{task.classes} classes of {task.data}: {task.train_images} images to train "
        f"on, {task.validation_images} to choose by, {task.test_images} to test with. The "
        f"convolutional stack of {task.backbone} turns each image into {task.features} numbers, "
        f"once. Only the classifier behind it is tuned.{known} A guess is right in "
        f"{percent(task.chance_rate)} of images for the rate network, and in "
        f"{percent(task.chance_spiking)} for the spiking ones, where the right output neuron must "
        "fire and all others must stay silent.",
    )


def _tuning(summary: pd.DataFrame) -> Section:
    lines = []
    for (network, loss), rows in summary.groupby(["network", "loss"], sort=False):
        shares = ", ".join(
            f"{row.method} {100 * row.test_accuracy_mean:.0f} %" for row in rows.itertuples()
        )
        lines.append(f"{network} network, {loss.replace('_', ' ')} loss: {shares}.")
    counts = summary.groupby("method").trained_parameters.first()
    ratio = (
        f" Gains are {say(counts['nt1'])} trained numbers; everything is {say(counts['tft'])}."
        if "tft" in counts
        else ""
    )
    return Section(
        "Accuracy of each way of tuning",
        f"Test images classified right, means over the seeds. {' '.join(lines)}{ratio}\n\n"
        "The simple loss is the paper's: target minus output at each output neuron. The membrane "
        "loss, added here, is the cross entropy of the output neurons' membranes, with a smoother "
        "gradient through the spikes.",
        "summary",
    )


def _deployment(deployment: pd.DataFrame, table: pd.DataFrame) -> Section:
    candidates = table[(table.network == "spiking") & (table.method == "nt1")]
    best = candidates.loc[candidates.validation_accuracy.idxmax()]
    chosen = "was the best on validation images" if len(candidates) > 1 else "is deployed"
    share = {row.realisation: percent(row.test_accuracy) for row in deployment.itertuples()}
    return Section(
        "From torch to cells to a chip",
        f"The spiking network tuned by gains with the {best.loss} loss and seed {best.seed} "
        f"{chosen}. It classifies {share['torch']} of the test images right in torch, "
        f"{share['cells']} as biological neurons in Brian2, and {share['circuit']} as circuit "
        "neurons.",
        "deployment",
    )


def _changes(changes: pd.DataFrame) -> Section:
    total = changes.select_dtypes("number").sum()
    count = {name: say(int(value)) for name, value in total.items()}
    weights = count.get("weights_in_all") or count["weights"]
    return Section(
        "What the chip changed",
        f"Of {count['neurons']} gains {count['negative_gain']} are negative. Training may turn "
        "signs, but no receptor turns an input's sign, and no supply a current's: the codes of "
        "these neurons are stored inverted, which rewrites the chip's memory where a supply alone "
        f"should do. {count['supply_at_lower_end']} neurons needed less than 0.5 V and "
        f"{count['supply_at_upper_end']} more than 1 V. Of {weights} weights and biases "
        f"{count['weights_to_zero']} became 0, and {count['weights_saturated']} were cut to the "
        "largest code.\n\n"
        "Each neuron's weights share one scale, which is folded into its gain; the two together "
        "need a supply voltage. weights_rounded counts weights that no code meets exactly. A "
        "neuron whose supply lies outside the range gets the end of the range "
        "(supply_at_lower_end, supply_at_upper_end), and its codes are scaled to make up for it. "
        "rms_error_lsb is the error of the codes in units of the smallest step.",
        "changes",
    )
