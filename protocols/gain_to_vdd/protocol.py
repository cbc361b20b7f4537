"""Gains that a synapse's supply can reach, and how finely."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, linspace, nA, second, siemens, volt

from neuromod.chip.conversion import (
    VDD_HIGH,
    VDD_LOW,
    VDD_REFERENCE,
    gain_of,
    reachable_gains,
    vdd_of,
)
from neuromod.chip.pulses import code_pulses
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.mirror import LAWS
from neuromod.parameters import parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import ChipProtocol, keep, supply
from neuromod.protocols.gain_to_vdd import page
from neuromod.recording import Recording

MOST_BITS = 16


@dataclass(frozen=True, eq=False)
class GainToVdd(ChipProtocol):
    """Gain against supply voltage: range, inverse, sensitivity, and the bits that it needs.

    The gain of a circuit neuron's synapses is the ratio of their current to that at 0.75 V. One
    pulse moves a membrane at every supply, and at the nearest supplies of n bits to every wanted
    gain; its steps are laid over the mirror's closed form, for transistors of both laws.
    """

    shown: ClassVar[tuple[str, ...]] = ("ranges", "bits")

    vdd: Quantity = supply(linspace(0.5, 1.0, 51) * volt, "synapse supplies, one neuron each")
    bits: tuple[int, ...] = parameter(
        (2, 3, 4, 5, 6, 7, 8, 9, 10),
        "resolutions of a supply between 0.5 and 1 V",
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
        keep(self.circuit, "both laws are run", law="square")
        keep(self.circuit, "the gain of mirrors is measured", synapse="mirror")
        self.circuit.check_codes((self.code,))
        if len(self.vdd) < 3 or np.any(np.diff(self.vdd) <= 0 * volt):
            raise UserError("vdd must rise, in at least three values.")

    def experiments(self) -> dict[str, Experiment]:
        """One pulse to a neuron at each supply, for transistors of both laws."""
        supplies = {law: self._supplies(law) for law in LAWS}
        synapses: list[Connection] = []
        for law, vdd in supplies.items():
            neurons = np.arange(len(vdd))
            ends = ("inputs", law, np.zeros_like(neurons), neurons)
            synapses += code_pulses(*ends, self.code, self.circuit.t_pulse)
        pulse = Experiment(
            populations=[
                Population(law, self._chip(law), len(vdd), {"vdd": vdd})
                for law, vdd in supplies.items()
            ],
            sources=(Spikes("inputs", 1, np.array([0]), [0] * second),),
            connections=synapses,
            traces=[Trace(law, ("v",), np.arange(len(vdd))) for law, vdd in supplies.items()],
            duration=self.circuit.t_pulse + 3 * self.dt,
            dt=self.dt,
            seed=self.seed,
        )
        return {"pulse": pulse}

    def measure(self, recordings: Recordings) -> Tables:
        """Gains by supply, errors of wanted gains by bits, bits by precision, and ranges."""
        measured = {law: self._measured(law, recordings["pulse"]) for law in LAWS}
        curves = [self._curve(law, measured[law][: len(self.vdd)]) for law in LAWS]
        quantised = [self._quantised(law, measured[law]) for law in LAWS]
        return {
            "table": pd.concat(curves, ignore_index=True),
            "quantised": pd.concat(quantised, ignore_index=True),
            "bits": pd.DataFrame([self._bits(law, p) for law in LAWS for p in self.precision]),
            "ranges": pd.DataFrame([self._range(law) for law in LAWS]),
        }

    def _chip(self, law: str) -> CircuitNeuron:
        return replace(self.circuit, law=law)

    def _wanted(self, law: str) -> np.ndarray:
        return np.linspace(*reachable_gains(self._chip(law)), self.targets)

    def _supplies(self, law: str) -> Quantity:
        """Those swept, then the nearest to every wanted gain by bits, last that of gain 1."""
        ideal = vdd_of(self._chip(law), self._wanted(law))
        nearest = [np.asarray(_nearest(ideal, bits) / volt) for bits in self.bits]
        reference = float(VDD_REFERENCE / volt)
        return np.concatenate([self.vdd / volt, *nearest, [reference]]) * volt

    def _measured(self, law: str, recording: Recording) -> np.ndarray:
        """Gain of every neuron by its step over that of the last."""
        # An input acts in the step after its own; samples show the start of a step.
        end = 1 + round(float(self.circuit.t_pulse / self.dt))
        step = recording.signals[law]["v"].values[:, end] - self.circuit.v_rest
        return np.asarray(step / step[-1])

    def _curve(self, law: str, measured: np.ndarray) -> pd.DataFrame:
        """One row per supply swept."""
        chip = self._chip(law)
        gain, vdd = gain_of(chip, self.vdd), np.asarray(self.vdd / volt)
        slope = chip.mirror().transconductance(vdd) * siemens / chip.unit_current(VDD_REFERENCE)
        slope = np.asarray(slope * volt)
        return pd.DataFrame(
            {
                "law": law,
                "vdd_V": vdd,
                "gain": gain,
                "gain_measured": measured,
                "vdd_back_V": np.asarray(vdd_of(chip, gain) / volt),
                "slope_per_V": slope,
                "slope_measured_per_V": np.gradient(measured, vdd, edge_order=2),
                "relative_percent_per_mV": slope / gain / 10,
            }
        )

    def _quantised(self, law: str, measured: np.ndarray) -> pd.DataFrame:
        """Largest relative errors of gains by bits: over all gains, and of those simulated."""
        wanted = self._wanted(law)
        reached = measured[len(self.vdd) : -1].reshape(len(self.bits), -1)
        return pd.DataFrame(
            {
                "law": law,
                "bits": self.bits,
                "step_mV": [1e3 * _spacing(bits) for bits in self.bits],
                "worst_percent": [100 * worst_error(self._chip(law), bits) for bits in self.bits],
                "worst_measured_percent": 100 * np.abs(reached / wanted - 1).max(axis=1),
                "mean_measured_percent": 100 * np.abs(reached / wanted - 1).mean(axis=1),
            }
        )

    def _bits(self, law: str, precision: float) -> dict[str, Any]:
        """Fewest bits whose largest error is within a precision."""
        chip = self._chip(law)
        tried = range(1, MOST_BITS + 1)
        bits = next((b for b in tried if worst_error(chip, b) <= precision), np.nan)
        return {
            "law": law,
            "precision_percent": 100 * precision,
            "bits": bits,
            "step_mV": 1e3 * _spacing(bits),
        }

    def _range(self, law: str) -> dict[str, Any]:
        chip = self._chip(law)
        low, high = reachable_gains(chip)
        one = chip.unit_current(VDD_REFERENCE)
        return {
            "law": law,
            "gain_low": low,
            "gain_high": high,
            "ratio": high / low,
            "current_at_gain_1_nA": float(one / nA),
        }


def worst_error(circuit: CircuitNeuron, bits: int) -> float:
    """Largest relative error of a gain when the nearest of evenly spaced supplies is taken.

    Parameters
    ----------
    circuit : CircuitNeuron
    bits : int
        Resolution of supplies between 0.5 and 1 V.

    Returns
    -------
    float
        Over all reachable gains; it is made half-way between two supplies, of gains next to the
        middle of either side.
    """
    levels = _levels(bits)
    gain = gain_of(circuit, levels)
    middle = gain_of(circuit, (levels[1:] + levels[:-1]) / 2)
    return float(np.max([np.abs(gain[1:] / middle - 1), np.abs(gain[:-1] / middle - 1)]))


def _spacing(bits: float) -> float:
    """Distance of evenly spaced supplies, V."""
    return float((VDD_HIGH - VDD_LOW) / volt) / (2**bits - 1)


def _levels(bits: int) -> Quantity:
    return np.linspace(float(VDD_LOW / volt), float(VDD_HIGH / volt), 2**bits) * volt


def _nearest(vdd: Quantity, bits: int) -> Quantity:
    return _levels(bits)[np.round(np.asarray((vdd - VDD_LOW) / volt) / _spacing(bits)).astype(int)]
