"""The same input spikes and codes at every supply voltage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, linspace, nA, usecond, volt
from brian2.units.allunits import Mhertz, pjoule

from neuromod.chip.conversion import Costs, by_references, by_supply, energies, gain_of
from neuromod.chip.network_file import StoredLayer, read_network
from neuromod.chip.pulses import code_pulses
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.inputs.spikes import circuit_inputs
from neuromod.parameters import parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import DrivenProtocol, supply
from neuromod.protocols.families.timing import time
from neuromod.protocols.vdd_sweep import page

FIGURE_4 = (0.55, 0.75)


@dataclass(frozen=True, eq=False)
class VddSweep(DrivenProtocol):
    """Output spikes, unit current and energy per spike against the supply voltage.

    How do spikes, unit current and energy per spike depend on the supply voltage?

    A circuit neuron's synapses run at a supply voltage VDD that can be tuned; a higher one gives
    more current for the same stored weights. The same input spikes reach many copies of one
    neuron that differ in VDD alone, as in figures 4 and 8 of Barton et al. 2022. A feedforward
    network of your own, from a file, takes the neuron's place: then the output is that of its last
    layer, and the energy that of all its neurons.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "vdd": np.linspace(0.5, 1, 7) * volt,
        "duration": 31 * usecond,
    }

    costs: Costs = parameter(Costs(), "energy of the core's events", "see its own")
    vdd: Quantity = supply(linspace(0.5, 1.0, 51) * volt, "synapse supplies, one neuron each")
    network: str = parameter(
        "",
        "file with a network of your own in place of codes: a CSV file with a row for each "
        "synapse, or safetensors with a tensor for each layer; of codes or of weights",
        "none unless given",
    )
    duration: Quantity = time(40 * usecond, "length of the run", "two membrane time constants")

    by_row: ClassVar[tuple[str, ...]] = ("vdd",)
    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network and self.codes != type(self).codes:
            raise UserError("network takes the place of codes: give one of the two.")

    def experiments(self) -> dict[str, Experiment]:
        """One experiment with a neuron, or a network, per supply voltage."""
        populations: list[Population] = []
        connections: list[Connection] = []
        source, sources = self.inputs, 0
        for number, layer in enumerate(self.layers, 1):
            name = "chip" if number == len(self.layers) else f"layer_{number}"
            population = self._copies(name, layer)
            copy, synapse = np.indices((len(self.vdd), len(layer.codes))).reshape(2, -1)
            ends = copy * sources + layer.i[synapse], copy * layer.neurons + layer.j[synapse]
            codes, width = layer.codes[synapse], self.circuit.t_pulse
            before = populations[-1].name if populations else source.name
            connections += code_pulses(before, name, *ends, codes, width)
            populations.append(population)
            sources = layer.neurons
        sweep = Experiment(
            populations=populations,
            sources=[source],
            connections=connections,
            # Of a network's output the first neuron.
            traces=[Trace("chip", ("v",), self.traced * sources)],
            duration=self.duration,
            dt=self.dt,
            seed=self.seed,
        )
        return {"sweep": sweep}

    def _copies(self, name: str, layer: StoredLayer) -> Population:
        """A layer once for every supply."""
        values = {"vdd": np.repeat(np.asarray(self.vdd), layer.neurons) * volt}
        if layer.scale != 1:
            every = np.ones(len(values["vdd"]))
            own = {"beta": self.circuit.beta / layer.scale, "R_S": self.circuit.R_S * layer.scale}
            values |= {key: value * every for key, value in own.items()}
        return Population(name, self.circuit, len(values["vdd"]), values)

    def measure(self, recordings: Recordings) -> Tables:
        """One row per supply voltage."""
        recording, copies = recordings["sweep"], len(self.vdd)
        spikes = recording.spikes["chip"].counts().reshape(copies, -1).sum(axis=1)
        entries: dict[str, Any] = {}
        for name, fired_by in recording.spikes.items():
            counts, totals = fired_by.counts(), recording.totals[name]
            own = energies(self.circuit, self.costs, totals, counts, self.duration)
            for entry, energy in own.items():
                of_copy = energy.reshape(copies, -1).sum(axis=1)
                entries[entry] = entries[entry] + of_copy if entry in entries else of_copy
        spent, kinds = by_supply(self.circuit, entries), by_references(entries)
        fired = np.where(spikes > 0, spikes, np.nan)
        per_spike = {kind: np.asarray(energy / pjoule) / fired for kind, energy in kinds.items()}
        table = pd.DataFrame(
            {
                "vdd_V": np.asarray(self.vdd / volt),
                "unit_current_nA": np.asarray(self.circuit.unit_current(self.vdd) / nA),
                "gain": gain_of(self.circuit, self.vdd),
                "input_spikes": len(self.inputs.neurons),
                "output_spikes": spikes,
                "rate_MHz": spikes / float(self.duration * Mhertz),
                "energy_core_pJ": np.asarray(spent["core"] / pjoule),
                "energy_synapse_pJ": np.asarray(spent["synapse"] / pjoule),
                "energy_per_spike_pJ": per_spike[self.circuit.references],
                **{f"energy_per_spike_{kind}_pJ": per_spike[kind] for kind in per_spike},
            }
        )
        if self.network:
            table["inputs"] = self.layers[0].inputs
            table["neurons"] = sum(layer.neurons for layer in self.layers)
            table["synapses"] = sum(len(layer.codes) for layer in self.layers)
            table["rms_error_lsb"] = max(layer.rms_error_lsb for layer in self.layers)
        return {"table": table}

    @cached_property
    def layers(self) -> list[StoredLayer]:
        """The network in the file, or a single neuron with the codes given."""
        if self.network:
            return read_network(self.network, self.circuit)
        every = np.arange(len(self.codes))
        return [StoredLayer(len(every), 1, every, 0 * every, np.array(self.codes))]

    @property
    def inputs(self) -> Spikes:
        """The input spikes, the same for all copies."""
        return self.drawn(self.layers[0].inputs)

    def drawn(self, inputs: int) -> Spikes:
        """Spikes of so many inputs."""
        times = self.duration, self.dt
        return circuit_inputs(self.circuit, inputs, self.input_rate, *times, self.seed)

    @property
    def traced(self) -> np.ndarray:
        """Neurons nearest to the supplies of the paper's figure 4."""
        distance = np.abs(np.asarray(self.vdd / volt)[:, None] - np.array(FIGURE_4))
        return np.unique(distance.argmin(axis=0))
