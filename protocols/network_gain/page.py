"""The page of `NetworkGain`: its figure and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, second
from matplotlib.figure import Figure

from neuromod.protocol import Recordings, Section, Tables
from neuromod.support.figures import BLACK, RED, Family, label, panels
from neuromod.support.text import number, say, span

if TYPE_CHECKING:
    from neuromod.protocols.network_gain.protocol import NetworkGain

RASTER = 0.3 * second
LOOKS: dict[str, dict[str, Any]] = {
    "excitatory": {"marker": "o", "ls": "-"},
    "inhibitory": {"marker": "s", "ls": "--", "mfc": "none"},
}
# Chosen here: ten times the correlation of the default network while it is asynchronous.
SYNCHRONOUS = 0.1


def plot(protocol: NetworkGain, tables: Tables, recordings: Recordings) -> Figure:
    """Some trains without and with the modulator; rates, irregularity and correlations."""
    layout = [["least"] * 3 + ["most"] * 3, ["rate"] * 2 + ["cv"] * 2 + ["correlation"] * 2]
    figure, axes = panels(layout, width=11, height=7)
    some = [neurons[: protocol.sample] for neurons in protocol.populations.values()]
    groups = dict(zip(LOOKS, zip(some, (BLACK, RED), strict=True), strict=True))
    for letter, name, conc in (("a", "least", protocol.conc[0]), ("b", "most", protocol.conc[-1])):
        protocol.draw_raster(axes[name], recordings[protocol.name_of(conc)], RASTER, groups)
        axes[name].set_title(f"{letter}  {say(conc)} at the strongest drive")
    doses = Family(protocol.conc, protocol.ligand)
    colors = dict(zip(np.unique(tables["table"].conc_uM), doses.colors, strict=True))
    looks = {name: look | {"color": BLACK, "ms": 4, "lw": 1} for name, look in LOOKS.items()}
    curves = tables["table"].groupby(["conc_uM", "population"])
    # Points stand beside each other, so that their bars can be told apart.
    drives = np.asarray(protocol.drive / Hz)
    aside = np.linspace(-0.02, 0.02, len(curves)) * np.ptp(drives)
    for name in ("cv", "correlation"):
        axes[name].fmt_xdata = lambda x: number(drives[np.abs(drives - x).argmin()])
    for (group, curve), shift in zip(curves, aside, strict=True):
        # A label that begins with an underscore is in no legend, and said of a marker.
        told = f"_{group[1]}, {say(group[0], 'µM')}"
        look = looks[group[1]] | {"color": colors[group[0]], "label": told}
        axes["rate"].plot(curve.drive_Hz, curve.rate_Hz, **look | {"ls": ""})
        if "mean_field_Hz" in curve:
            axes["rate"].plot(curve.drive_Hz, curve.mean_field_Hz, **look | {"marker": ""})
        for name in ("cv", "correlation"):
            # Runs of earlier versions have no errors.
            error = curve.get(f"{name}_se")
            axes[name].errorbar(curve.drive_Hz + shift, curve[name], error, **look)
    axes["correlation"].axhline(0, color=BLACK, lw=0.5)
    lines = "; mean field (lines)" if "mean_field_Hz" in tables["table"] else ""
    counted = f"correlation of counts in {say(protocol.bin)}"
    for name, title, y, bottom in (
        ("rate", f"c  Rates{lines}", "rate (Hz)", 0),
        ("cv", "d  Irregularity ± s.e.", "CV of inter-spike intervals", 0),
        ("correlation", "e  Synchrony ± s.e.", counted, None),
    ):
        label(axes[name], title, "drive (Hz)", y, ylim=(bottom, None))
    doses.explain(axes["correlation"], also=looks)
    return figure


def report(protocol: NetworkGain, tables: Tables) -> list[Section]:
    """Response gain, and how near mean-field theory comes."""
    response = tables["response"]
    found = "; ".join(
        f"{row.population} cells have {_gain_of(row)}a response gain of "
        f"{number(row.response_gain, 3)} ± {number(row.response_gain_se, 2)}, "
        f"{number(row.over_control, 3)} times that at the lowest concentration"
        for row in response[response.conc_uM == response.conc_uM.max()].itertuples()
    )
    text = (
        "The response gain is the slope of a straight line through the rates against the rate of "
        "the neurons outside; the table gives its standard error and the drive at which the line "
        f"begins. At the highest concentration {found}.\n\n{_on_balance(protocol)}"
    )
    return [
        Section("Response gain", text, "response"),
        Section("Mean field", _on_theory(protocol, tables["table"]), "table"),
    ]


def _gain_of(row: Any) -> str:
    return f"a gain of {number(row.gain, 3)} and " if hasattr(row, "gain") else ""


def _on_balance(protocol: NetworkGain) -> str:
    """How the balance of excitation and inhibition acts on the cells' gain."""
    excitatory, inhibitory, _ = protocol.indegrees
    feedback = protocol.g * inhibitory / excitatory - 1
    if protocol.target != "all" or feedback <= 0:
        return (
            "A cell's gain multiplies all of its input, recurrent input too. Cells without "
            "receptors change their rate because the others do."
        )
    return (
        "A cell's gain multiplies all of its input, recurrent inhibition too. With very many "
        "synapses inhibition balances excitation at any gain, and the slope is "
        f"1/(g*K_I/K_E - 1) = {number(1 / feedback, 3)} (van Vreeswijk & Sompolinsky 1996, Science "
        "274:1724-1726): a gain of all cells does not multiply the network's response but lets it "
        "begin at a weaker drive."
    )


def _on_theory(protocol: NetworkGain, table: pd.DataFrame) -> str:
    if "mean_field_Hz" not in table:
        return (
            "Mean-field theory holds for leaky integrate-and-fire cells without after-spike "
            "current and K+ conductance, so there is none to compare with here."
        )
    off = (table.rate_Hz - table.mean_field_Hz).abs()
    together = int((table.correlation > SYNCHRONOUS).sum())
    text = (
        "Mean-field theory replaces each cell's input by noise of the same mean and variance "
        "(Brunel 2000; Fourcaud & Brunel 2002, for exponential synapses). Simulated rates differ "
        f"from it by {off.mean():.2g} Hz on average and {off.max():.2g} Hz at most. The theory is "
        "for many weak synapses and independent trains. Correlations of "
        f"{span(table.correlation, digits=2)} and CVs of {span(table.cv, digits=2)}, over "
        f"{protocol.sample} neurons of each population, show how far that holds here. Errors of "
        "correlations come from parts of the time, those of CVs from the neurons."
    )
    if together:
        text += (
            f" In {together} of {len(table)} rows the correlation exceeds {SYNCHRONOUS}: these "
            "cells fire in synchrony, where the theory does not hold."
        )
    return text
