"""XOR by three circuit neurons: which codes compute it, and four rows simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import mV, volt
from brian2.units.allunits import pjoule

from neuromod.chip.conversion import Costs, by_references, by_supply, energies
from neuromod.chip.xor import CODES, READS_ONE, ROW_NAMES, TRUTH, Gates, like_the_paper
from neuromod.experiment import Experiment
from neuromod.parameters import parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import GateProtocol
from neuromod.protocols.xor import page
from neuromod.recording import Recording


@dataclass(frozen=True, eq=False)
class Xor(GateProtocol):
    """XOR by three circuit neurons with 3-bit codes, found by exhaustive search.

    Which 3-bit codes make three circuit neurons compute XOR?

    Two inputs, two hidden neurons, one output neuron. A 1 is a train of ten spikes on an input, a
    0 none, and fewer than three output spikes read 0, as in section 6.2 of Barton et al. 2022,
    which does not print the codes. Every set of six codes is tried at every supply, with linear
    leaks and ideal sources, and two networks are simulated: the one whose decisions have the
    widest margin, and the widest of those that give 4 output spikes for a 1 and 2 for a 0, as the
    paper's simulation did.
    """

    shown: ClassVar[tuple[str, ...]] = ("designs", "table", "supplies")
    small: ClassVar[Mapping[str, Any]] = {"vdd": [0.75, 0.9] * volt}

    costs: Costs = parameter(Costs(), "energy of the core's events", "see its own")

    plot = page.plot
    report = page.report

    def experiments(self) -> dict[str, Experiment]:
        """The four rows of the truth table of the networks found."""
        gates, every = Gates.of(self.designs), np.arange(len(self.designs))
        return {"rows": gates.experiment(self.circuit, self.train, self.seed, every)}

    def measure(self, recordings: Recordings) -> Tables:
        """Rows of the networks simulated, their codes, and what the search found."""
        supplies = []
        for vdd, found in zip(self.vdd, self.found, strict=True):
            within = found[found.within_rails]
            paper = within[like_the_paper(within)]
            supplies.append(
                {
                    "vdd_V": float(vdd / volt),
                    "step_mV": float(self.circuit.step(vdd) / mV),
                    "tried": (2 * self.circuit.code_max + 1) ** len(CODES),
                    "networks": found.networks.sum(),
                    "within_rails": within.networks.sum(),
                    "like_paper": paper.networks.sum(),
                    "margin_mV": within.margin_mV.max(),
                    "like_paper_margin_mV": paper.margin_mV.max(),
                }
            )
        return {
            "table": self._rows(recordings["rows"]),
            "designs": self.designs,
            "supplies": pd.DataFrame(supplies),
        }

    def _rows(self, recording: Recording) -> pd.DataFrame:
        """One row per network and row of the truth table."""
        hidden = recording.spikes["hidden"].counts().reshape(-1, 2)
        output = recording.spikes["output"].counts()
        spent = {}
        for name, spikes in recording.spikes.items():
            totals, duration = recording.totals[name], recording.duration
            entries = energies(self.circuit, self.costs, totals, spikes.counts(), duration)
            spent[name] = by_supply(self.circuit, entries) | by_references(entries)
        # Of the three neurons of each row.
        core, synapse, always, pulsed = (
            np.asarray(
                (spent["hidden"][s].reshape(-1, 2).sum(axis=1) + spent["output"][s]) / pjoule
            )
            for s in ("core", "synapse", "always", "pulsed")
        )
        networks = len(self.designs)
        searched = Gates.of(self.designs).answers(self.circuit, self.train)
        return pd.DataFrame(
            {
                "design": self.designs.design.repeat(len(ROW_NAMES)).to_numpy(),
                "row": np.tile(ROW_NAMES, networks),
                "hidden_1_spikes": hidden[:, 0],
                "hidden_2_spikes": hidden[:, 1],
                "output_spikes": output,
                "searched_spikes": searched.ravel(),
                "reads": (output >= READS_ONE).astype(int),
                "right": (output >= READS_ONE) == np.tile(TRUTH, networks),
                "energy_core_pJ": core,
                "energy_synapse_pJ": synapse,
                "energy_pJ": core + synapse,
                "energy_always_pJ": always,
                "energy_pulsed_pJ": pulsed,
            }
        )
