"""The report of `Engram`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import number, percent, say, span

if TYPE_CHECKING:
    from neuromod.protocols.engram.protocol import Engram


def report(protocol: Engram, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """What is stored, that it is silent, how it is recalled, and how it is lost."""
    table, wirings = tables["table"], tables["wirings"].set_index("moment")
    return [
        Section("Learning", _on_learning(protocol, wirings), "wirings"),
        Section("Silence and recall", _on_recall(protocol, table), "table"),
        Section("Forgetting", _on_forgetting(protocol, tables)),
        Section("Method", _on_theory(protocol, table)),
    ]


def _on_learning(protocol: Engram, wirings: pd.DataFrame) -> str:
    naive, learned = wirings.loc["naive"], wirings.loc["learned"]
    return (
        "Excitatory neurons start without synapses among themselves and grow them until they fire "
        f"at {say(protocol.plasticity.target)}. Theory asks for "
        f"{number(naive.homeostatic_indegree, 3)} synapses per neuron; the network has "
        f"{number(naive.indegree, 3)} before and {number(learned.indegree, 3)} after learning. "
        "Learning moves synapses rather than adding them. Within the engram there were "
        f"{number(naive.within_engram, 3)} synapses per pair of neurons, and now there are "
        f"{number(learned.within_engram, 3)}; "
        f"between engram and others, {number(naive.onto_engram, 3)} and "
        f"{number(learned.onto_engram, 3)}. No synapse reads the activity of both of its neurons."
    )


def _on_recall(protocol: Engram, table: pd.DataFrame) -> str:
    learned = table[table.moment == "learned"]
    silent = learned[learned.cue == 0].iloc[0]
    found = "; ".join(
        f"with {percent(row.cue)} of it cued, the rest fires at {say(row.uncued_Hz, 'Hz', 3)} and "
        f"the others at {say(row.others_Hz, 'Hz', 3)} (recall {number(row.recall, 3)})"
        for row in learned.itertuples()
        if 0 < row.cue < 1
    )
    cued = f"In the same network, {found}. " if found else ""
    return (
        f"Without a cue, the engram fires at {say(silent.uncued_Hz, 'Hz', 3)} after learning and "
        f"the others at {say(silent.others_Hz, 'Hz', 3)}: recall {number(silent.recall, 3)}. "
        f"{cued}Recall is the probability that an uncued neuron of the engram fires more spikes in "
        f"{say(protocol.dwell)} than one outside (the area under the ROC curve); 0.5 is chance, "
        "with the standard deviation chance_sd. Rates are those of spiking networks; columns that "
        "begin with mean_field are the theory's for the same synapses."
    )


def _on_forgetting(protocol: Engram, tables: dict[str, pd.DataFrame]) -> str:
    course = protocol.forgotten(tables)
    first, last = course.iloc[0], course.iloc[-1]
    left, predicted = (
        percent((last[column] - last.everyone) / (first.within_engram - first.everyone))
        for column in ("within_engram", "predicted")
    )
    return (
        "Synapses turn over while nothing happens, because calcium follows single spikes. Deleted "
        "ones come back between neurons drawn at random, so the engram's excess of synapses "
        f"decays with the share deleted. After {say(last.time_h, 'h', 3)} {left} of it is left; "
        f"{predicted} would be by turnover alone."
    )


def _on_theory(protocol: Engram, table: pd.DataFrame) -> str:
    groups = ("cued", "uncued", "others", "inhibitory")
    ratios = [table[f"{name}_Hz"] / table[f"mean_field_{name}_Hz"] for name in groups]
    off = (pd.concat(ratios) - 1).abs()
    return (
        "Rewiring runs on mean-field rates, one for each neuron from its own synapses, and on "
        "spike counts drawn with these rates and the variance of trains whose intervals have a CV "
        f"of {number(protocol.irregularity, 3)}. Correlations between neurons are left out. "
        "Spiking networks are simulated with the synapses of three moments: their groups fire "
        f"{percent(off.mean(), 2)} off theory on average and {percent(off.max(), 2)} at most, with "
        f"CVs of {span(table.cv, digits=2)} and correlations of "
        f"{span(table.correlation, digits=2)} over {say(protocol.neuron.tau_m)}. Homeostasis "
        "driven by the spikes themselves would remove the difference at rest."
    )
