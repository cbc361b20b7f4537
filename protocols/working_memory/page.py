"""The page of `WorkingMemory`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import ms, second
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.protocols.working_memory.conditions import REACHED
from neuromod.protocols.working_memory.network import CELLS
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, RED, label, legend, panels
from neuromod.support.text import number, percent, say, span

if TYPE_CHECKING:
    from neuromod.protocols.working_memory.protocol import WorkingMemory

RASTER = 12
"""Cells of each population that a raster shows."""
BIN = 50 * ms
AXES = {
    "drive": ("drive_kHz", "drive from outside (kHz)", "c  Over the drive"),
    "concerted": ("conc_uM", "{ligand} (µM)", "d  NMDA and GABA_A together"),
    "differential": ("conc_uM", "{ligand} (µM)", "e  NMDA, pyramidal cells first"),
}
LOOKS = {"none": BLACK, "D1": BLUE, "D2": ORANGE, "D1 and D2": GREEN}


def plot(protocol: WorkingMemory, tables: Tables, recordings: Recordings) -> Figure:
    """A trial, rates of both states in every study, thresholds of stimuli, and the puff."""
    example = next(iter(recordings))
    names = ["raster", "rates"] + [study for study in AXES if study in protocol.studies]
    names += ["thresholds"] if "concerted" in protocol.studies else []
    names += ["puff", "ends"] if "puff" in protocol.studies else []
    across = min(4, len(names))
    filled = names + ["."] * (-len(names) % across)
    layout = [filled[k : k + across] for k in range(0, len(filled), across)]
    figure, axes = panels(layout, width=3.6 * across, height=3.2 * len(layout))
    _plot_trial(protocol, axes, example, recordings)
    for study, (x, words, title) in AXES.items():
        if study in protocol.studies:
            x_label = words.format(ligand=protocol.d1.ligand)
            _plot_states(axes[study], tables, study, x)
            label(axes[study], title, x_label, "rate (Hz)", ylim=(0, None))
    if "thresholds" in axes:
        _plot_thresholds(protocol, axes["thresholds"], tables["thresholds"])
    if "puff" in axes:
        _plot_puff(protocol, axes["puff"], recordings)
        _plot_ends(axes["ends"], tables["puff"])
    return figure


def _plot_trial(protocol: WorkingMemory, axes: Any, name: str, recordings: Recordings) -> None:
    """Spikes and rates of one copy: in the study `concerted`, that of the middle strength."""
    study = name.rsplit(" ", 1)[0]
    if "concerted" in protocol.studies:
        study, name = "concerted", "concerted 1"
    copy = len(protocol.strengths) // 2 if study == "concerted" else 0
    copies = protocol.copies(study)
    network, times = protocol.network(copies), protocol.course(study)
    spikes, first = recordings[name].spikes[CELLS], copy * network.size
    mine = (spikes.neurons >= first) & (spikes.neurons < first + network.size)
    cell, at = spikes.neurons[mine] - first, np.asarray(spikes.times / second)[mine]
    groups = {f"object {k + 1}": network.group(k) for k in range(network.groups)}
    groups["no object"] = np.arange(network.groups * network.members, network.sizes[0])
    groups["interneurons"] = np.arange(network.sizes[0], network.size)
    edges = np.arange(0, times.end + 1e-9, float(BIN / second))
    shown = ("object 1", "object 2", "no object", "interneurons")
    ticks, floor = {}, 0
    for name_of, cells in reversed(groups.items()):
        color = dict(zip(shown, (RED, BLUE, "0.6", BLACK), strict=True)).get(name_of, ORANGE)
        some = cells[:RASTER]
        inside = np.isin(cell, some)
        row = cell[inside] - some[0] + floor
        axes["raster"].plot(at[inside], row, ".", color=color, ms=1.5)
        ticks[floor + len(some) / 2] = name_of
        floor += len(some) + 2
        if name_of in shown:
            inside = np.isin(cell, cells)
            counts = np.histogram(at[inside], edges)[0] / len(cells) / float(BIN / second)
            axes["rates"].plot(edges[:-1] + float(BIN) / 2, counts, color=color, label=name_of)
    axes["raster"].set_yticks(list(ticks), list(ticks.values()), fontsize=7)
    for panel in (axes["raster"], axes["rates"]):
        for window in (times.cue, *times.distractors[:1]):
            panel.axvspan(*window, color=BLACK, alpha=0.1, lw=0)
        panel.set_xlim(0, times.end)
    label(axes["raster"], "a  A trial: cue, distractor", "time (s)")
    label(axes["rates"], "b  Its rates", "time (s)", "rate (Hz)", ylim=(0, None))
    legend(axes["rates"])


def _plot_states(axes: Any, tables: Tables, study: str, x: str) -> None:
    """Rates of both states with their spread over trials, and mean-field branches."""
    theory, table = (tables[name][tables[name].study == study] for name in ("theory", "table"))
    for name, color in (("spontaneous", BLUE), ("persistent", RED)):
        axes.plot(theory[x], theory[f"mean_field_{name}_Hz"], color=color, lw=1)
        look: Any = {"fmt": "o", "color": color, "ms": 4, "capsize": 2}
        spread = table[f"{name}_sd_Hz"].fillna(0)
        axes.errorbar(table[x], table[f"{name}_Hz"], spread, label=name, **look)
    axes.plot(theory[x], theory.mean_field_unstable_Hz, ":", color=BLACK, lw=1)
    for _, row in table.iterrows():
        if 0 < row.loaded < 1:
            axes.annotate(
                percent(row.loaded, 2),
                (row[x], row.persistent_Hz),
                (3, 3),
                textcoords="offset points",
                fontsize=6,
            )
    if x == "conc_uM" and len(table) > 1:
        axes.set_xscale("symlog", linthresh=float(table[x][table[x] > 0].min()))
    if study == "drive":
        shares: dict[str, Any] = {"%: trials that keep it": {"ls": ""}}
        legend(axes, below=True, also={"unstable": {"color": BLACK, "ls": ":"}} | shares)


def _plot_thresholds(protocol: WorkingMemory, axes: Any, thresholds: pd.DataFrame) -> None:
    """Weakest cue that is loaded, and weakest distractor that takes its place."""
    strongest = float(protocol.strengths[-1])
    beyond = 1.2 * strongest
    for name, color, words in (
        ("load", GREEN, "cue is loaded"),
        ("overturn", RED, "distractor overturns"),
    ):
        low, middle, high = (
            thresholds[f"{name}{part}_Hz"].clip(upper=beyond)
            for part in ("_lowest", "", "_highest")
        )
        bars = [middle - low, high - middle]
        look: Any = {"fmt": "-", "color": color, "capsize": 2}
        axes.errorbar(thresholds.conc_uM, middle, bars, **look)
        found = middle < beyond
        x = thresholds.conc_uM
        axes.plot(x[found], middle[found], "o", color=color, ms=4, label=words)
        axes.plot(x[~found], middle[~found], "^", color=color, ms=5, mfc="none")
    axes.axhline(strongest, color=BLACK, lw=0.7, ls="--")
    axes.set_xscale("symlog", linthresh=float(thresholds.conc_uM[thresholds.conc_uM > 0].min()))
    y = "weakest strength (Hz)"
    label(axes, "f  Stimuli", f"{protocol.d1.ligand} (µM)", y, ylim=(0, 1.1 * beyond))
    words = "strongest tried (above: none did)"
    axes.text(0.02, 0.99 * strongest, words, fontsize=6, va="top", transform=_across(axes))
    legend(axes, below=True)


def _across(axes: Any) -> Any:
    """Coordinates of the axes across, of the data upwards."""
    return axes.get_yaxis_transform()


def _plot_puff(protocol: WorkingMemory, axes: Any, recordings: Recordings) -> None:
    """Activation of the receptors, and the mean rate of the group in mind before distractors."""
    traces = recordings["puff 1"].signals[CELLS]
    times = protocol.course("puff")
    for receptor, color in ((protocol.d1, BLUE), (protocol.d2, ORANGE)):
        values = traces[f"activation_{receptor.name}"].values[0]
        at = np.linspace(0, times.end, len(values), endpoint=False)
        axes.plot(at, values, color=color, label=receptor.name)
    axes.axvspan(times.puff, times.puff + float(protocol.puff_width), color=GREEN, alpha=0.2, lw=0)
    for start, end in times.distractors:
        axes.axvspan(start, end, color=BLACK, alpha=0.1, lw=0)
    label(axes, "g  Puff (green), distractors (grey)", "time (s)", "activation", ylim=(0, 1))
    legend(axes, below=True)


def _plot_ends(axes: Any, puff: pd.DataFrame) -> None:
    """Shares of memories before and after a distractor, by its time after the puff."""
    for shift, name in enumerate(REACHED):
        rows = puff[puff.receptors == name]
        at = rows.distractor_after_s + 0.05 * (shift - 1.5)
        axes.plot(at, 100 * rows.loaded, "o:", color=LOOKS[name], ms=4, mfc="none", lw=0.8)
        axes.plot(at, 100 * rows.remembered, "o-", color=LOOKS[name], ms=4, label=name)
    x = "distractor after puff (s)"
    label(axes, "h  Memories", x, "share of trials (%)", ylim=(-5, 105))
    before = {"color": BLACK, "marker": "o", "mfc": "none", "ls": ":", "ms": 4}
    legend(axes, "after the distractor", also={"before it": before})


def report(protocol: WorkingMemory, tables: Tables) -> list[Section]:
    """Each finding in numbers."""
    table = tables["table"]
    sections = [Section("States", _on_states(protocol, table), "table")]
    if "concerted" in protocol.studies:
        words = _on_thresholds(protocol, tables["thresholds"])
        sections.append(Section("Distractors", words, "thresholds"))
    if "puff" in protocol.studies:
        sections.append(Section("A puff during the delay", _on_puff(protocol, tables), "puff"))
    sections.append(Section("Method", _on_method(protocol, table)))
    return sections


def _on_states(protocol: WorkingMemory, table: pd.DataFrame) -> str:
    """Spontaneous and persistent rates of each study."""
    parts = []
    for study, (x, _, _) in AXES.items():
        rows = table[(table.study == study) & table.persistent_Hz.notna()]
        if study not in protocol.studies:
            continue
        unit = "kHz" if x == "drive_kHz" else "µM"
        if rows.empty:
            parts.append(f"In the study {study} no cue left persistent activity.")
            continue
        best, ends = rows.loc[rows.persistent_Hz.idxmax()], (rows.iloc[0], rows.iloc[-1])
        parts.append(
            f"In the study {study} persistent activity exists from {number(ends[0][x])} to "
            f"{number(ends[1][x])} {unit} and is highest, {_rate(best, 'persistent')}, at "
            f"{number(best[x])} {unit}. From one end to the other it goes from "
            f"{_rate(ends[0], 'persistent')} to {_rate(ends[1], 'persistent')}, and spontaneous "
            f"activity from {_rate(ends[0], 'spontaneous')} to {_rate(ends[1], 'spontaneous')}."
        )
    return "\n\n".join(parts) or "No study of steady states was made."


def _rate(row: Any, name: str) -> str:
    """A mean rate and its standard deviation over trials."""
    spread = row[f"{name}_sd_Hz"]
    mean = number(row[f"{name}_Hz"], 3)
    return f"{mean} ± {number(spread, 2)} Hz" if np.isfinite(spread) else f"{mean} Hz"


def _on_thresholds(protocol: WorkingMemory, thresholds: pd.DataFrame) -> str:
    """Strengths at which cues are loaded and distractors overturn."""
    parts = [
        f"at {say(row.conc_uM, 'µM')} cues from {_strength(row.load_Hz)} on are loaded and "
        f"distractors from {_strength(row.overturn_Hz)} on overturn the memory"
        for row in thresholds.itertuples()
    ]
    tried = span(protocol.strengths)
    return (
        f"Cue and distractor are of one strength, {tried}. As the median over "
        f"{say(protocol.trials)} trials, {'; '.join(parts)}."
    )


def _strength(value: Any) -> str:
    return f"{number(value)} Hz" if np.isfinite(value) else "more than the strongest"


def _on_puff(protocol: WorkingMemory, tables: Tables) -> str:
    """Memories that outlast a distractor, with each receptor and at each time."""
    parts = []
    for name, rows in tables["puff"].groupby("receptors", sort=False):
        kept = ", ".join(
            f"{percent(row.loaded, 2)} and {percent(row.remembered, 2)} at "
            f"{say(row.distractor_after_s, 's')}"
            for row in rows.itertuples()
        )
        parts.append(f"with {'no receptors' if name == 'none' else name} {kept}")
    return (
        f"A puff of {say(protocol.puff_conc)} for {say(protocol.puff_width)} comes during the "
        f"delay, and a distractor of {say(protocol.puff_distractor)} after it. The shares of "
        f"trials with the object in mind before and after the distractor, by its time, are "
        f"{'; '.join(parts)}. {protocol.d1.name} raises NMDA and GABA_A of all cells, "
        f"{protocol.d2.name} lowers GABA_A."
    )


def _on_method(protocol: WorkingMemory, table: pd.DataFrame) -> str:
    compared = table.dropna(subset=["persistent_Hz", "mean_field_persistent_Hz"])
    off = (compared.persistent_Hz - compared.mean_field_persistent_Hz).mean()
    rest = (table.spontaneous_Hz - table.mean_field_spontaneous_Hz).abs().mean()
    size = protocol.n_excitatory + protocol.n_inhibitory
    found = ""
    if len(compared):
        found = (
            f" Persistent rates are {number(abs(off), 2)} Hz "
            f"{'below' if off < 0 else 'above'} theory on average, and spontaneous ones "
            f"{number(rest, 2)} Hz off."
        )
    return (
        f"{say(size)} cells in {say(protocol.trials)} trials of every condition, whose copies of "
        "the network receive the same spikes from outside. Synapses of a network that is not of "
        "1000 cells are scaled so that all means stay; smaller networks fluctuate more, and fall "
        "out of both states more easily. Theory is the mean field of the paper's appendix, with "
        f"NMDA gates whose rise takes no time.{found}"
    )
