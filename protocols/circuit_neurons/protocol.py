"""Three circuits of a neuron: rate and energy per spike against their gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, amp, nA, nsecond, pA, second, usecond, volt
from brian2.units.allunits import pjoule

from neuromod.analysis.spike_trains import steady_rates
from neuromod.chip.conversion import Costs, by_supply, energies, vdd_of
from neuromod.experiment import Experiment, Population
from neuromod.models.axon_hillock import AxonHillock
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.dpi_neuron import DPINeuron
from neuromod.parameters import parameter, positive
from neuromod.protocol import Protocol, Recordings, Tables
from neuromod.protocols.circuit_neurons import page
from neuromod.protocols.families.timing import time, time_step

# A comparator with a clock would see no pulse end under a constant input.
CHIP = CircuitNeuron(comparator="continuous")


@dataclass(frozen=True, eq=False)
class CircuitNeurons(Protocol):
    """Rate and energy per spike of three circuits of a neuron against their gain.

    What does a gain do to three circuits: this neuron, the axon-hillock and the DPI neuron?

    The circuit neuron of Barton et al. 2022, Mead's axon-hillock and the DPI neuron each get a
    constant input through a synapse that has one number for its gain: the supply of a mirror, or
    the bias voltage of a differential-pair integrator. Every rate but that of an adapting neuron is
    known in closed form.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "gains": np.array([0.6, 1.3]),
        "duration": 37 * usecond,
        "dpi_duration": 0.13 * second,
    }

    hillock: AxonHillock = parameter(AxonHillock(), "the axon-hillock", "see its own")
    dpi: DPINeuron = parameter(DPINeuron(), "the DPI neuron", "see its own")
    costs: Costs = parameter(Costs(), "energy of the circuit neuron's core", "see its own")
    gains: np.ndarray = parameter(
        np.linspace(0.4, 1.8, 15),
        "gains, one neuron of each circuit for each",
        "chosen here: what supplies from 0.5 to 1 V reach",
        low=0.3,
        high=1.85,
    )
    I_w: Quantity = positive(
        30 * pA, "constant tail current of the DPI synapse", "chosen here: eight times its leak"
    )
    duration: Quantity = time(
        400 * usecond, "length of the run of mirrors' circuits", "tens of spikes of the slowest"
    )
    dt: Quantity = time_step(10 * nsecond, "a tenth of the circuit neuron's spike")
    dpi_duration: Quantity = time(
        1.2 * second, "length of the run of the DPI neuron", "tens of its membrane time constants"
    )
    dpi_dt: Quantity = time_step(20 * usecond, "1/1000 of the DPI neuron's time constant")

    plot = page.plot
    report = page.report

    def experiments(self) -> dict[str, Experiment]:
        """One experiment for each circuit, all of whose neurons differ in their gain alone."""
        mirrored = {"vdd": self.supplies, "up": 1.0, "mirrors": 1.0}
        held = {"gain": self.gains, "I_w": self.I_w, "v_syn": self.dpi.gate(self.synaptic_currents)}
        plain = replace(self.dpi, I_ca=0 * amp)
        return {
            "circuit": self._held([("circuit", CHIP)], mirrored),
            "axon-hillock": self._held([("hillock", self.hillock)], mirrored),
            "dpi": replace(
                self._held([("dpi", self.dpi), ("unadapted", plain)], held),
                duration=self.dpi_duration,
                dt=self.dpi_dt,
            ),
        }

    def measure(self, recordings: Recordings) -> Tables:
        """One row per circuit and gain."""
        unit = CHIP.unit_current(self.supplies)
        own = self.hillock.unit_current(self.supplies)
        syn = self.synaptic_currents
        swing = np.asarray((CHIP.v_th - CHIP.v_rest) / (unit * CHIP.leak_resistance))
        charging = CHIP.leak_resistance * CHIP.C * -np.log1p(-swing)
        totals = recordings["circuit"].totals["circuit"]
        counts = recordings["circuit"].spikes["circuit"].counts()
        spent = by_supply(CHIP, energies(CHIP, self.costs, totals, counts, self.duration))
        unadapted = self.dpi.rate(syn - self.dpi.I_0)
        none = np.full(len(self.gains), np.nan) * Hz
        bias = self.dpi.bias_for(self.gains)
        rows = [
            ("circuit", self.supplies, unit, 1 / (charging + CHIP.t_spike), sum(spent.values())),
            ("hillock", self.supplies, own, self.hillock.rate(own), None),
            ("dpi", bias, syn, none, None),
            ("unadapted", bias, syn, unadapted, None),
        ]
        tables = []
        for name, control, current, rate, energy in rows:
            recording = next(r for r in recordings.values() if name in r.spikes)
            drawn = recording.totals[name]["energy"] if energy is None else energy
            measured = np.asarray(steady_rates(recording.spikes[name]) / Hz)
            power = np.asarray(drawn / recording.duration / (pjoule / second))
            table = pd.DataFrame(
                {
                    "circuit": name,
                    "gain": self.gains,
                    "control_V": np.asarray(control / volt),
                    "input_nA": np.asarray(current / nA),
                    "rate_Hz": measured,
                    "closed_form_Hz": np.asarray(rate / Hz),
                    "energy_per_spike_pJ": power / np.where(measured > 0, measured, np.nan),
                }
            )
            tables.append(table)
        return {"table": pd.concat(tables, ignore_index=True)}

    @cached_property
    def supplies(self) -> Quantity:
        """Supplies that give the gains to mirrors."""
        return vdd_of(CHIP, self.gains)

    @cached_property
    def synaptic_currents(self) -> Quantity:
        """Currents of the DPI synapse in its steady state."""
        return self.dpi.synaptic_current(self.I_w, self.gains)

    def _held(self, kinds: list[tuple[str, Any]], values: Mapping[str, Any]) -> Experiment:
        """Neurons under a constant input."""
        size = len(self.gains)
        return Experiment(
            populations=[Population(name, model, size, dict(values)) for name, model in kinds],
            duration=self.duration,
            dt=self.dt,
            seed=self.seed,
        )
