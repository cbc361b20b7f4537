"""Gains that a synapse's supply can reach, and how finely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, linspace, nA, nsecond, second, siemens, volt

from neuromod.chip.conversion import (
    VDD_HIGH,
    VDD_LOW,
    VDD_REFERENCE,
    gain_of,
    reachable_gains,
    vdd_of,
)
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace, code_pulses
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.mirror import LAWS
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, ORANGE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {"square": (BLUE, "o-"), "ekv": (ORANGE, "^--")}
MOST_BITS = 16


@dataclass(frozen=True, eq=False)
class GainToVdd(Protocol):
    """Gain against supply voltage: range, inverse, sensitivity, and the bits that it needs.

    The gain of a circuit neuron's synapses is the ratio of their current to that at 0.75 V. One
    pulse moves a membrane at every supply, and at the nearest supplies of n bits to every wanted
    gain; its steps are laid over the mirror's closed form, for transistors of both laws.
    """

    shown = ("ranges", "bits")

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", source="see its own")
    vdd: Quantity = parameter(
        linspace(0.5, 1.0, 51) * volt,
        "synapse supplies",
        source="Barton et al. 2022, section 5.2.1: 0.5 to 1 V",
        low=0.5 * volt,
        high=1.0 * volt,
    )
    bits: tuple[int, ...] = parameter(
        (2, 3, 4, 5, 6, 7, 8, 9, 10),
        "resolutions of a supply between 0.5 and 1 V",
        source="chosen here",
        low=1,
        high=MOST_BITS,
    )
    precision: np.ndarray = parameter(
        np.array([0.2, 0.1, 0.05, 0.02, 0.01, 0.005]),
        "largest relative errors of a gain for which bits are sought",
        source="chosen here",
        low=0,
        low_excluded=True,
    )
    targets: int = parameter(
        101, "wanted gains, spread evenly over the reachable ones", source="chosen here", low=2
    )
    code: int = parameter(
        1, "code of the synapse", source="chosen here: one least significant bit", low=1
    )
    dt: Quantity = parameter(
        10 * nsecond,
        "time step",
        source="chosen here: a tenth of a pulse",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("circuit", self.circuit, ["law"], "both laws are run")
        refuse_changed("circuit", self.circuit, ["vdd"], "set vdd, which is swept")
        refuse_changed(
            "circuit", self.circuit, ["synapse", "domains"], "mirrors of one supply are measured"
        )
        self.circuit.check_codes((self.code,))
        self.circuit.check_step(self.dt)
        if len(self.vdd) < 3 or np.any(np.diff(self.vdd) <= 0 * volt):
            raise UserError("vdd must rise, in at least three values.")

    def experiments(self) -> dict[str, Experiment]:
        """One pulse to a neuron at each supply, for transistors of both laws."""
        once = Spikes("inputs", 1, np.array([0]), [0] * second)
        populations, traces = [], []
        synapses: list[Connection] = []
        for law in LAWS:
            supplies = self._supplies(law)
            everyone = np.arange(len(supplies))
            populations.append(Population(law, self._chip(law), len(supplies), {"vdd": supplies}))
            synapses += code_pulses("inputs", law, np.zeros_like(everyone), everyone, self.code,
                                    self.circuit.t_pulse)  # fmt: skip
            traces.append(Trace(law, ("v",), everyone))
        length = self.circuit.t_pulse + 3 * self.dt
        return {
            "pulse": Experiment(populations=tuple(populations), sources=(once,), connections=tuple(synapses), traces=tuple(traces), duration=length,
                                dt=self.dt, seed=self.seed)
        }  # fmt: skip

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Gains by supply, errors of wanted gains by bits, bits by precision, and ranges."""
        measured = {law: self._measured(law, recordings["pulse"]) for law in LAWS}
        swept = slice(0, len(self.vdd))
        quantised = pd.concat([self._quantised(law, measured[law]) for law in LAWS])
        return {
            "table": pd.concat([self._curve(law, measured[law][swept]) for law in LAWS],
                               ignore_index=True),
            "quantised": quantised.reset_index(drop=True),
            "bits": pd.DataFrame([self._bits(law, p) for law in LAWS for p in self.precision]),
            "ranges": pd.DataFrame([self._range(law) for law in LAWS]),
        }  # fmt: skip

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Gain and sensitivity against the supply, error against bits, bits against precision."""
        del recordings
        figure, axes = panels([["gain", "sensitivity"], ["error", "bits"]])
        for law, (color, look) in LOOKS.items():
            own, steps, bits = (
                tables[name][tables[name].law == law] for name in ("table", "quantised", "bits")
            )
            line = look[1:]
            axes["gain"].plot(own.vdd_V, own.gain, line, color=color)
            axes["gain"].plot(own.vdd_V[::5], own.gain_measured[::5], look[0], color=color, ms=4,
                              fillstyle="none", label=f"{law}, simulated")  # fmt: skip
            axes["sensitivity"].plot(own.vdd_V, own.relative_percent_per_mV, line, color=color)
            axes["error"].plot(steps.bits, steps.worst_percent, line, color=color)
            axes["error"].plot(steps.bits, steps.worst_measured_percent, look[0], color=color,
                               ms=4, fillstyle="none")  # fmt: skip
            axes["bits"].plot(bits.precision_percent, bits.bits, look, color=color, ms=4,
                              fillstyle="none")  # fmt: skip
        axes["gain"].axhline(1, color=BLACK, lw=0.6)
        axes["gain"].legend()
        axes["gain"].set(xlabel="synapse supply VDD (V)", ylabel="gain", ylim=(0, None),
                         title="a  Gain: closed form (lines)")  # fmt: skip
        axes["sensitivity"].set(xlabel="synapse supply VDD (V)", ylim=(0, None),
                                ylabel="change of gain (% per mV)",
                                title="b  Relative sensitivity")  # fmt: skip
        axes["error"].set(xlabel="bits of the supply", ylabel="largest error of a gain (%)",
                          yscale="log", title="c  Nearest supply: worst case (lines)")  # fmt: skip
        axes["bits"].set(xlabel="wanted precision of gains (%)", ylabel="bits of the supply",
                         xscale="log", title="d  Bits that it takes")  # fmt: skip
        for axis in (axes["error"].yaxis, axes["bits"].xaxis):
            axis.set_major_formatter("{x:g}")
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Which gains can be had, how exactly, and with how many bits."""
        table = tables["table"]
        square, ekv = (row for row in tables["ranges"].itertuples())
        off = np.max(np.abs(table.gain_measured / table.gain - 1))
        round_trip = np.max(np.abs(table.vdd_back_V - table.vdd_V))
        own = table[table.law == "square"]
        first, last = own.iloc[0], own.iloc[-1]
        return [
            Section(
                "Which gains can be had",
                f"Supplies from 0.5 to 1 V give gains from {square.gain_low:.3g} to "
                f"{square.gain_high:.3g} with square-law transistors, {ekv.gain_low:.3g} to "
                f"{ekv.gain_high:.3g} with EKV, which conduct below threshold too. The steps of "
                f"simulated membranes differ from these gains by {100 * off:.1g} % at most. Back "
                f"from a gain to its supply the inverse misses by {1e9 * round_trip:.1g} nV. "
                "The range follows from values that are calibrated here, not from the paper.",
                "ranges",
            ),
            Section(
                "How exactly a supply must be set",
                f"A millivolt changes the gain by {first.relative_percent_per_mV:.3g} % at "
                f"{first.vdd_V:.3g} V and by {last.relative_percent_per_mV:.3g} % at "
                f"{last.vdd_V:.3g} V: the lower end needs the better supply. Bits are counted for "
                "evenly spaced supplies, of which the nearest is taken, in the worst case over "
                "the range.",
                "bits",
            ),
            Section("Errors of wanted gains", _say_errors(tables["quantised"]), "quantised"),
        ]

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
        return {"law": law, "gain_low": low, "gain_high": high, "ratio": high / low,
                "current_at_gain_1_nA": float(one / nA)}  # fmt: skip


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


def _say_errors(quantised: pd.DataFrame) -> str:
    own = quantised[quantised.law == "square"]
    coarse, fine = own.iloc[0], own.iloc[-1]
    return (
        f"With {coarse.bits} bits, {coarse.step_mV:.3g} mV apart, a wanted gain is missed by up to "
        f"{coarse.worst_percent:.3g} %, with {fine.bits} bits by up to {fine.worst_percent:.2g} %; "
        f"gains of simulated membranes by up to {coarse.worst_measured_percent:.3g} and "
        f"{fine.worst_measured_percent:.2g} %. Each bit more halves the error."
    )
