"""The report of `FiveNetworks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuromod.plasticity.rules import RULES, START
from neuromod.protocol import Section
from neuromod.support.text import listed, number, percent

if TYPE_CHECKING:
    from neuromod.protocols.families.five_networks.study import FiveNetworks


def report(study: FiveNetworks, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Success, learned rules, and method."""
    return [
        Section("Success", _on_success(study, tables["summary"]), "summary"),
        Section("Learned rules", _on_rules(tables["rules"]), "rules"),
        Section("Method", _on_method(study)),
    ]


def _on_success(study: FiveNetworks, summary: pd.DataFrame) -> str:
    found = "; ".join(
        f"{row.network} {_spread(row.success_learned_mean, row.success_learned_sd)}, beyond "
        f"{_spread(row.success_beyond_mean, row.success_beyond_sd)}"
        for row in summary.itertuples()
    )
    return (
        f"Share of right answers, mean and standard deviation over {study.seeds} networks of each "
        f"kind, within the noises and delays of learning and beyond them: {found}. Guessing is "
        f"right in {percent(study.chance, 2)}. {study.episodes} episodes resolve a share to "
        f"{number(50 / study.episodes**0.5, 2)} points at best. {_on_best(summary)}"
    )


def _on_best(summary: pd.DataFrame) -> str:
    """Gain by plasticity over none, and by modulation over plasticity, where both are there."""
    mean = 100 * summary.set_index("network").success_learned_mean
    plastic = mean.drop("none", errors="ignore")
    said = ""
    if "none" in mean.index and not plastic.empty:
        gains = plastic - mean["none"]
        said = (
            f"Within the difficulties of learning, plastic networks exceed the network without "
            f"plasticity by {gains.min():.0f} to {gains.max():.0f} points. "
        )
    pairs = [rule for rule in RULES if {rule, f"modulated-{rule}"} <= set(mean.index)]
    if pairs:
        changes = [f"{mean[f'modulated-{r}'] - mean[r]:+.1f} points ({r})" for r in pairs]
        said += f"Modulation changes success by {listed(changes)}."
    return said


def _on_rules(rules: pd.DataFrame) -> str:
    names = [name for name in START if name in rules]
    means = rules.groupby("network", sort=False)[names].mean().dropna(how="all")
    learned = "; ".join(
        f"{network}: " + ", ".join(f"{name} {value:.2g}" for name, value in row.items())
        for network, row in ((network, row.dropna()) for network, row in means.iterrows())
    )
    starts = ", ".join(f"{name} {START[name]:g}" for name in names)
    return (
        f"Learned parameters of the layer, means over seeds: {learned}. All started at {starts}. "
        "Each synapse learns a coefficient alpha; alpha_rms is their root mean square. Each neuron "
        "of a modulated layer learns its own tonic and sensitivity in M = tonic + sensitivity c."
    )


def _on_method(study: FiveNetworks) -> str:
    return (
        "All networks have the same inputs, plastic layer and readout, and networks of one seed "
        f"start with the same fixed weights. Modulated ones also have {study.modulators} "
        "modulatory neurons. The layer's neurons reach each other, so a network without "
        "plasticity can hold a memory too, in its activity. Every network learns for "
        f"{study.steps} steps of {study.batch} new episodes. Plastic traces start at 0 in every "
        "episode. Test episodes are new ones, the same for all networks of one seed."
    )


def _spread(mean: float, sd: float) -> str:
    spread = "" if np.isnan(sd) else f" ± {100 * sd:.0f}"
    return "not tested" if np.isnan(mean) else f"{100 * mean:.0f}{spread} %"
