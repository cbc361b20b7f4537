"""A protocol as someone else's package would bring it: small, quick, and able to fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from brian2 import Quantity, ms, mV, nA, second
from matplotlib.figure import Figure

from neuromod import Experiment, Population, Protocol, Recording, Section, Trace
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter


@dataclass(frozen=True, eq=False)
class Tiny(Protocol):
    """Spikes of neurons
    driven by constant currents.

    They start at random potentials.
    """

    neuron: GainLIF = parameter(GainLIF(receptors=()), "the neuron", source="see its own")
    current: Quantity = parameter(
        np.array([0.613, 0.917]) * nA, "injected, one neuron each", source="chosen here"
    )
    weights: tuple[float, ...] = parameter((1.5, 2.5), "of nothing", source="chosen here")
    repeats: int = parameter(1, "of nothing", source="chosen here", low=1)
    mode: str = parameter("plain", "word", source="chosen here", choices=("plain", "fancy"))
    note: str = parameter("none", "any text", source="chosen here")
    broken: bool = parameter(False, "whether measuring fails", source="chosen here")
    duration: Quantity = parameter(31.7 * ms, "length", source="chosen here", low=0 * second)

    def experiments(self) -> dict[str, Experiment]:
        size = len(self.current)
        start = np.random.default_rng(self.seed).uniform(-70, -51, size) * mV
        cells = Population("cells", self.neuron, size, {"I_ext": self.current, "v": start})
        trace = Trace("cells", ("v",), np.array([size - 1]))
        return {
            "tiny": Experiment(
                populations=(cells,),
                traces=(trace,),
                duration=self.duration,
                dt=0.1 * ms,
                seed=self.seed,
            )
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        if self.broken:
            raise RuntimeError("measuring failed")
        counts = recordings["tiny"].spikes["cells"].counts()
        table = pd.DataFrame({"current_nA": np.asarray(self.current / nA), "spikes": counts})
        return {"table": table.assign(rate_Hz=counts / float(self.duration / second))}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        figure = Figure()
        figure.subplots().plot(
            tables["table"].current_nA, recordings["tiny"].spikes["cells"].counts()
        )
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        return [Section("Spikes", f"There were {tables['table'].spikes.sum()}.", "table")]
