"""Leaks of the circuit neuron: their current, resistance and symmetry, and the membrane's decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import e
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Mohm, Quantity, kelvin, linspace, mV, nsecond, pA, usecond, volt

from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, positive
from neuromod.protocol import Protocol, Recordings, Tables
from neuromod.protocols.families.chips import circuit_setting, keep
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.pseudo_resistor import page
from neuromod.recording import Recording

# Leak, and its resistance at zero bias over the circuit's.
DEVICES = {
    "resistor": ("linear", 1.0),
    "one_sided": ("one_sided", 1.0),
    "symmetric": ("symmetric", 1.0),
    "pair": ("symmetric", 0.5),
}

# Steps of a current's measurement within one of a decay: a hot leak moves the membrane in
# nanoseconds.
FINER = 100


@dataclass(frozen=True, eq=False)
class PseudoResistor(Protocol):
    """Current, resistance, symmetry and decay of the membrane's leak elements.

    How symmetric are the leaks of the membrane, and how do they decay?

    Membranes are released from every potential of their swing, and what they lose is the current
    of their leak, as in figure 6 of Barton et al. 2022: a resistor, one transdiode element, and
    two elements in opposition. The paper says both that 400 Mohm are reached and that the second
    element halves the resistance; the pair is measured in both readings, as 400 Mohm altogether
    and as two elements of 400 Mohm.
    """

    shown: ClassVar[tuple[str, ...]] = ("summary",)
    small: ClassVar[Mapping[str, Any]] = {"v": [-90, 0, 90] * mV, "duration": 3 * usecond}

    circuit: CircuitNeuron = circuit_setting()
    v: Quantity = parameter(
        linspace(-100, 100, 81) * mV,
        "potentials from which membranes are released, from rest",
        "Barton et al. 2022, section 5.2.2: a swing of 100 mV, here to both sides",
    )
    slope_factors: np.ndarray = parameter(
        np.array([1.2, 1.8]),
        "slope factors besides the circuit's own",
        "chosen here: around its own",
        low=1,
    )
    temperatures: Quantity = positive(
        [233, 398] * kelvin,
        "temperatures besides the circuit's own",
        "chosen here: -40 and 125 C, the industrial range",
    )
    duration: Quantity = time(80 * usecond, "length of the decays", "four membrane time constants")
    dt: Quantity = time_step(10 * nsecond, "1/2000 of the membrane's time constant")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self.circuit, "all leaks are measured", leak="linear")
        keep(self.circuit, "membranes must pass the threshold freely", comparator="clocked")
        bias = np.asarray(self.v / mV)
        if len(bias) < 3 or np.any(np.diff(bias) <= 0) or not np.allclose(bias, -bias[::-1]):
            raise UserError("v must rise, as far below rest as above, in at least three values.")

    def experiments(self) -> dict[str, Experiment]:
        """Membranes released for three samples, and from both ends of the swing for a decay."""
        ends = np.array([-1, 1]) * self.v[-1]
        return {
            "release": self._released(self.v, 3 * self.dt / FINER, self.dt / FINER),
            "decay": self._released(ends, self.duration, self.dt),
        }

    def measure(self, recordings: Recordings) -> Tables:
        """One row per device, condition and potential; and one per device and condition."""
        parts = [self._measured(device, recordings) for device in DEVICES]
        curves, summaries = zip(*parts, strict=True)
        table, summary = (pd.concat(part, ignore_index=True) for part in (curves, summaries))
        return {"table": table, "summary": summary}

    @cached_property
    def conditions(self) -> pd.DataFrame:
        """Slope factors and temperatures, the circuit's own among them, and what both come to."""
        bent, temperature = replace(self.circuit, leak="symmetric"), self.circuit.temperature
        slopes = np.union1d(self.slope_factors, self.circuit.slope_factor)
        kelvins = np.union1d(self.temperatures / kelvin, float(temperature / kelvin))
        rows = []
        for n, t in product(slopes, kelvins):
            circuit = replace(bent, slope_factor=n, temperature=t * kelvin)
            v_slope, resistance = circuit.constants["v_slope"], circuit.leak_resistance
            rows.append((n, t, float(v_slope / volt), float(resistance / Mohm)))
        columns = ["slope_factor", "temperature_K", "v_slope_V", "R_zero_Mohm"]
        return pd.DataFrame(rows, columns=columns)

    def is_own(self, table: pd.DataFrame) -> pd.Series:
        """Which rows are at the circuit's own slope factor and temperature."""
        kelvins = float(self.circuit.temperature / kelvin)
        return (table.slope_factor == self.circuit.slope_factor) & (table.temperature_K == kelvins)

    def traces(self, device: str, recording: Recording) -> Quantity:
        """Membranes from rest, shape (conditions, potentials, samples)."""
        v = recording.signals[device]["v"].values - self.circuit.v_rest
        return v.reshape(len(self.conditions), -1, v.shape[-1])

    def _model(self, device: str) -> CircuitNeuron:
        leak, share = DEVICES[device]
        return replace(self.circuit, leak=leak, R_leak=share * self.circuit.R_leak)

    def _released(self, bias: Quantity, duration: Quantity, dt: Quantity) -> Experiment:
        """Neurons of every device and condition, each released from every potential."""
        conditions = len(self.conditions)
        size = conditions * len(bias)
        slopes, warmed = (
            np.repeat(self.conditions[name].to_numpy(), len(bias))
            for name in ("v_slope_V", "R_zero_Mohm")
        )
        start = {"v": self.circuit.v_rest + np.tile(bias, conditions)}
        populations = []
        for device in DEVICES:
            model = self._model(device)
            # Given at the nominal temperature, whatever the neuron's own.
            own = {"R_leak": model.R_leak * warmed / float(self.circuit.leak_resistance / Mohm)}
            own |= {"v_slope": slopes * volt} if "v_slope" in model.constants else {}
            populations.append(Population(device, model, size, start | own))
        return Experiment(
            populations=populations,
            traces=[Trace(device, ("v",), np.arange(size)) for device in DEVICES],
            duration=duration,
            dt=dt,
            seed=self.seed,
        )

    def _measured(self, device: str, recordings: Recordings) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A device's rows of both tables."""
        model, v = self._model(device), self.traces(device, recordings["release"])
        # The slope at the first of three samples, to second order.
        fall = (3 * v[..., 0] - 4 * v[..., 1] + v[..., 2]) / (2 * self.dt / FINER)
        current = np.asarray(model.C * fall / pA)
        v_slope = self.conditions.v_slope_V.to_numpy()[:, None] * volt
        at_rest = DEVICES[device][1] * self.conditions.R_zero_Mohm.to_numpy() * Mohm
        x = np.asarray(self.v / v_slope)
        bent = {"linear": x, "one_sided": np.expm1(x), "symmetric": np.sinh(x)}[model.leak]
        bias = np.asarray(self.v / mV)
        off = bias != 0
        # mV/pA are Gohm.
        chord = 1e3 * np.divide(bias, current, out=np.full_like(current, np.nan), where=off)
        slope = 1e3 / np.gradient(current, bias, axis=1, edge_order=2)
        up, down = np.abs(current), np.abs(current[:, ::-1])
        skew = np.sign(bias) * np.divide(up - down, up + down, out=np.zeros_like(up), where=off)
        keys = self.conditions.drop(columns="v_slope_V")
        keys = keys.assign(R_zero_Mohm=at_rest / Mohm)
        keys.insert(0, "device", device)
        table = keys.loc[keys.index.repeat(len(bias))].assign(
            v_mV=np.tile(bias, len(keys)),
            current_pA=current.ravel(),
            closed_form_pA=np.asarray(v_slope / at_rest[:, None] * bent / pA).ravel(),
            chord_Mohm=chord.ravel(),
            slope_Mohm=slope.ravel(),
            asymmetry=skew.ravel(),
        )
        summary = keys.assign(
            asymmetry=skew[:, -1],
            asymmetry_mean=np.ascontiguousarray(skew[:, bias > 0]).mean(axis=1),
            chord_up_Mohm=chord[:, -1],
            chord_down_Mohm=chord[:, 0],
            slope_up_Mohm=slope[:, -1],
            slope_down_Mohm=slope[:, 0],
        )
        decay = recordings["decay"]
        for end, name, far in ((0, "down", x[:, 0]), (1, "up", x[:, -1])):
            summary[f"decay_{name}_us"] = [
                _time_to_fall(np.asarray(trace / volt), decay.times / usecond)
                for trace in self.traces(device, decay)[:, end]
            ]
            exact = at_rest * model.C * np.log(_left(model.leak, far))
            summary[f"decay_{name}_closed_form_us"] = np.asarray(exact / usecond)
        return table, summary


def _time_to_fall(trace: np.ndarray, times: Any) -> float:
    """When a decay has fallen to 1/e, between samples as an exponential; nan if it has not."""
    left = np.abs(trace / trace[0])
    after = int(np.argmax(left <= 1 / e))
    if not after:
        return float("nan")
    near = slice(after - 1, after + 1)
    return float(np.interp(1, -np.log(left[near]), np.asarray(times[near])))


def _left(leak: str, x: np.ndarray) -> np.ndarray:
    """Of what decays as exp(-t/tau): its value at x over that at x/e."""
    both = np.array([x, x / e])
    decaying = {"linear": both, "one_sided": np.expm1(-both), "symmetric": np.tanh(both / 2)}[leak]
    return np.asarray(decaying[0] / decaying[1])
