"""Gains that a synapse's supply can reach, and how finely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, linspace, nA, volt

from neuromod.chip.conversion import gain_of, nearest, reachable_gains, vdd_of
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import ONE_PULSE, ChipProtocol, check_settled, keep, supply
from neuromod.protocols.gain_to_vdd import page
from neuromod.recording import Recording

MOST_BITS = 16
LAWS = ("square", "ekv")


@dataclass(frozen=True, eq=False)
class GainToVdd(ChipProtocol):
    """Gain against supply voltage: range, inverse, sensitivity, and the bits that it needs.

    Which gains can a supply reach, and how many bits does a gain need?

    The gain of a circuit neuron's synapses is the ratio of their current to that at the reference
    supply. One pulse moves a membrane at every supply, and at the nearest supplies of n bits to
    every wanted gain; its steps are laid over the mirror's closed form, for transistors of the
    circuit's law and of the other.
    """

    shown: ClassVar[tuple[str, ...]] = ("ranges", "bits")
    small: ClassVar[Mapping[str, Any]] = {
        "vdd": np.linspace(0.5, 1, 7) * volt,
        "bits": (3,),
        "targets": 5,
    }

    vdd: Quantity = supply(linspace(0.5, 1.0, 51) * volt, "synapse supplies, one neuron each")
    bits: tuple[int, ...] = parameter(
        (2, 3, 4, 5, 6, 7, 8, 9, 10),
        "resolutions of a supply over its range",
        "chosen here",
        low=1,
        high=MOST_BITS,
    )
    precision: np.ndarray = positive(
        np.array([0.2, 0.1, 0.05, 0.02, 0.01, 0.005]),
        "largest relative errors of a gain for which bits are sought",
        "chosen here",
    )
    targets: int = parameter(
        101, "wanted gains, spread evenly over the reachable ones", "chosen here", low=2
    )
    code: int = parameter(1, "code of the synapse", "chosen here: one least significant bit", low=1)

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self.circuit, "the gain of mirrors is measured", synapse="mirror")
        check_settled(self.circuit)
        self.circuit.check_codes((self.code,))
        if len(self.vdd) < 3 or np.any(np.diff(self.vdd) <= 0 * volt):
            raise UserError("vdd must rise, in at least three values.")

    def experiments(self) -> dict[str, Experiment]:
        """One pulse to a neuron at each supply, for transistors of every law."""
        driven = []
        for law in self.laws:
            chip = replace(self.circuit, law=law)
            # Those swept, then the nearest to every wanted gain by bits, last that of gain 1.
            ideal = vdd_of(chip, self._wanted(chip))
            nearest = [np.asarray(_nearest(chip, ideal, bits) / volt) for bits in self.bits]
            one = float(chip.vdd_reference / volt)
            vdd = np.concatenate([self.vdd / volt, *nearest, [one]]) * volt
            driven.append((Population(law, chip, len(vdd), {"vdd": vdd}), self.code))
        return {"pulse": self.pulsed(driven, ONE_PULSE, self.circuit.t_pulse + 3 * self.dt)}

    def measure(self, recordings: Recordings) -> Tables:
        """Gains by supply, errors of wanted gains by bits, bits by precision, and ranges."""
        each = [self._tables(law, recordings["pulse"]) for law in self.laws]
        return {
            name: pd.concat([tables[name] for tables in each], ignore_index=True)
            for name in each[0]
        }

    @property
    def laws(self) -> list[str]:
        """The circuit's own law, then the others; a table has no others."""
        if self.circuit.law == "table":
            return ["table"]
        return list(dict.fromkeys((self.circuit.law, *LAWS)))

    def _wanted(self, chip: CircuitNeuron) -> np.ndarray:
        return np.linspace(*reachable_gains(chip), self.targets)

    def _tables(self, law: str, recording: Recording) -> Tables:
        """Tables of the transistors of one law."""
        chip = replace(self.circuit, law=law)
        # An input acts in the step after its own; samples show the start of a step.
        end = 1 + round(float(chip.t_pulse / self.dt))
        step = recording.signals[law]["v"].values[:, end] - chip.v_rest
        measured = np.asarray(step / step[-1])
        swept, nearest = np.split(measured[:-1], [len(self.vdd)])
        vdd, gain = np.asarray(self.vdd / volt), gain_of(chip, self.vdd)
        unit, (low, high) = chip.unit_current(chip.vdd_reference), reachable_gains(chip)
        slope = np.asarray(chip.transconductance(self.vdd) / unit)
        off = np.abs(nearest.reshape(len(self.bits), -1) / self._wanted(chip) - 1)
        worst = [worst_error(chip, bits) for bits in range(1, MOST_BITS + 1)]
        fewest = [
            next((bits for bits, error in enumerate(worst, 1) if error <= precision), np.nan)
            for precision in self.precision
        ]
        columns: dict[str, dict[str, Any]] = {
            "table": {
                "vdd_V": vdd,
                "gain": gain,
                "gain_measured": swept,
                "vdd_back_V": np.asarray(vdd_of(chip, gain) / volt),
                "slope_per_V": slope,
                "slope_measured_per_V": np.gradient(swept, vdd, edge_order=2),
                "relative_percent_per_mV": slope / gain / 10,
            },
            "quantised": {
                "bits": self.bits,
                "step_mV": 1e3 * _spacing(chip, self.bits),
                "worst_percent": [100 * worst[bits - 1] for bits in self.bits],
                "worst_measured_percent": 100 * off.max(axis=1),
                "mean_measured_percent": 100 * off.mean(axis=1),
            },
            "bits": {
                "precision_percent": 100 * self.precision,
                "bits": fewest,
                "step_mV": 1e3 * _spacing(chip, fewest),
            },
            "ranges": {
                "gain_low": [low],
                "gain_high": high,
                "ratio": high / low,
                "current_at_gain_1_nA": float(unit / nA),
            },
        }
        return {name: pd.DataFrame({"law": law, **of}) for name, of in columns.items()}


def worst_error(circuit: CircuitNeuron, bits: int) -> float:
    """Largest relative error of any gain when the nearest of 2^bits even supplies is taken.

    It is made half-way between two supplies, of gains next to the middle of either side.
    """
    levels = _levels(circuit, bits)
    gain = gain_of(circuit, levels)
    middle = gain_of(circuit, (levels[1:] + levels[:-1]) / 2)
    return float(np.max([np.abs(gain[1:] / middle - 1), np.abs(gain[:-1] / middle - 1)]))


def _spacing(circuit: CircuitNeuron, bits: Any) -> Any:
    """Distance of evenly spaced supplies, V."""
    return float((circuit.vdd_high - circuit.vdd_low) / volt) / (2 ** np.asarray(bits) - 1)


def _levels(circuit: CircuitNeuron, bits: int) -> Quantity:
    return np.linspace(float(circuit.vdd_low), float(circuit.vdd_high), 2**bits) * volt


def _nearest(circuit: CircuitNeuron, vdd: Quantity, bits: int) -> Quantity:
    above = np.asarray((vdd - circuit.vdd_low) / volt)
    return _levels(circuit, bits)[nearest(above / _spacing(circuit, bits)).astype(int)]
