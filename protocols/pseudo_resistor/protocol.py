"""Leaks of the circuit neuron: their current, resistance and symmetry, and the membrane's decay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Mohm, Quantity, kelvin, linspace, mV, nsecond, pA, usecond, volt

from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, positive
from neuromod.protocol import Protocol, Recordings, Tables
from neuromod.protocols.families.chips import keep
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.pseudo_resistor import page
from neuromod.recording import Recording

# Leak, and its resistance at zero bias over R_leak.
DEVICES = {
    "resistor": ("linear", 1.0),
    "one_sided": ("one_sided", 1.0),
    "symmetric": ("symmetric", 1.0),
    "pair": ("symmetric", 0.5),
}
SIGNS = {"up": 1, "down": -1}


@dataclass(frozen=True, eq=False)
class PseudoResistor(Protocol):
    """Current, resistance, symmetry and decay of the membrane's leak elements.

    Membranes are released from every potential of their swing, and what they lose is the current
    of their leak, as in figure 6 of Barton et al. 2022: a resistor, one transdiode element, and
    two elements in opposition. The paper says both that 400 Mohm are reached and that the second
    element halves the resistance; the pair is measured in both readings, as 400 Mohm altogether
    and as two elements of 400 Mohm.
    """

    shown: ClassVar[tuple[str, ...]] = ("summary",)

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", "see its own")
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
            "release": self._released(self.v, 3 * self.dt),
            "decay": self._released(ends, self.duration),
        }

    def measure(self, recordings: Recordings) -> Tables:
        """One row per device, condition and potential; and one per device and condition."""
        table = pd.concat(
            [self._curves(device, recordings["release"]) for device in DEVICES], ignore_index=True
        )
        decays = [self._decays(device, recordings["decay"]) for device in DEVICES]
        keys = ["device", "slope_factor", "temperature_K"]
        groups = table.groupby(keys, sort=False)
        shapes = pd.DataFrame([_shape(group) for _, group in groups])
        summary = pd.concat([groups[["R_zero_Mohm"]].first().reset_index(), shapes], axis=1)
        return {"table": table, "summary": summary.merge(pd.concat(decays), on=keys)}

    def conditions(self) -> tuple[np.ndarray, Quantity]:
        """Slope factor and temperature of every condition, the circuit's own among them."""
        slopes = np.union1d(self.slope_factors, self.circuit.slope_factor)
        kelvins = np.union1d(self.temperatures / kelvin, float(self.circuit.temperature / kelvin))
        slope, temperature = (side.ravel() for side in np.meshgrid(slopes, kelvins, indexing="ij"))
        return slope, temperature * kelvin

    def _model(self, device: str) -> CircuitNeuron:
        leak, share = DEVICES[device]
        return replace(self.circuit, leak=leak, R_leak=share * self.circuit.R_leak)

    def _v_slope(self) -> Quantity:
        """Slope factor times thermal voltage of every condition."""
        bent = replace(self.circuit, leak="symmetric")
        conditions = zip(*self.conditions(), strict=True)
        found = [
            replace(bent, slope_factor=n, temperature=t).constants["v_slope"] for n, t in conditions
        ]
        return Quantity(found)

    def _released(self, bias: Quantity, duration: Quantity) -> Experiment:
        """Neurons of every device and condition, each released from every potential."""
        slopes = self._v_slope()
        size = len(slopes) * len(bias)
        start = self.circuit.v_rest + np.tile(bias, len(slopes))
        populations = []
        for device in DEVICES:
            model = self._model(device)
            bends = "v_slope" in model.constants
            own = {"v_slope": np.repeat(slopes, len(bias))} if bends else {}
            populations.append(Population(device, model, size, {"v": start, **own}))
        return Experiment(
            populations=populations,
            traces=[Trace(device, ("v",), np.arange(size)) for device in DEVICES],
            duration=duration,
            dt=self.dt,
            seed=self.seed,
        )

    def traces(self, device: str, recording: Recording) -> Quantity:
        """Membranes from rest, shape (conditions, potentials, samples)."""
        v = recording.signals[device]["v"].values - self.circuit.v_rest
        return v.reshape(len(self._v_slope()), -1, v.shape[-1])

    def _curves(self, device: str, recording: Recording) -> pd.DataFrame:
        """Current and resistances of a device, one row per condition and potential."""
        v, model = self.traces(device, recording), self._model(device)
        # The slope at the first of three samples, to second order.
        fall = (3 * v[..., 0] - 4 * v[..., 1] + v[..., 2]) / (2 * self.dt)
        current = np.asarray(model.C * fall / pA)
        exact = np.asarray(self._exact_current(model) / pA)
        bias = np.asarray(self.v / mV)
        slopes = np.gradient(current, bias, axis=1, edge_order=2)
        off = bias != 0
        chord = np.divide(bias, current, out=np.full(current.shape, np.nan), where=off)
        up, down = np.abs(current), np.abs(current[:, ::-1])
        skew = np.sign(bias) * np.divide(up - down, up + down, out=np.zeros_like(up), where=off)
        slope_factor, temperature = self.conditions()
        columns = {
            "slope_factor": slope_factor[:, None],
            "temperature_K": np.asarray(temperature / kelvin)[:, None],
            "R_zero_Mohm": float(model.R_leak / Mohm),
            "v_mV": bias,
            "current_pA": current,
            "closed_form_pA": exact,
            # mV/pA are Gohm.
            "chord_Mohm": 1e3 * chord,
            "slope_Mohm": 1e3 / slopes,
            "asymmetry": skew,
        }
        rows = {name: np.broadcast_to(value, up.shape).ravel() for name, value in columns.items()}
        return pd.DataFrame({"device": device, **rows})

    def _exact_current(self, model: CircuitNeuron) -> Quantity:
        """Closed form, shape (conditions, potentials)."""
        slopes = self._v_slope()[:, None]
        x = np.asarray(self.v / slopes)
        shape = {"linear": x, "one_sided": np.expm1(x), "symmetric": np.sinh(x)}[model.leak]
        return slopes / model.R_leak * shape

    def _decays(self, device: str, recording: Recording) -> pd.DataFrame:
        """Times to 1/e of both ends of the swing, one row per condition."""
        v, model = self.traces(device, recording), self._model(device)
        slope_factor, temperature = self.conditions()
        table = {
            "device": device,
            "slope_factor": slope_factor,
            "temperature_K": np.asarray(temperature / kelvin),
        }
        x = np.asarray(self.v[-1] / self._v_slope())
        for end, (name, sign) in enumerate(sorted(SIGNS.items())):
            table[f"decay_{name}_us"] = [
                _time_to_fall(np.asarray(trace / volt), recording.times / usecond)
                for trace in v[:, end]
            ]
            exact = model.R_leak * model.C * np.log(_left(model.leak, sign * x))
            table[f"decay_{name}_closed_form_us"] = np.asarray(exact / usecond)
        return pd.DataFrame(table)

    def own(self, table: pd.DataFrame, device: str) -> pd.DataFrame:
        """Rows of a device at the circuit's own slope factor and temperature."""
        kelvins = float(self.circuit.temperature / kelvin)
        own = (table.slope_factor == self.circuit.slope_factor) & (table.temperature_K == kelvins)
        return table[own & (table.device == device)]


def _shape(curve: pd.DataFrame) -> dict[str, float]:
    """What one curve comes to over the swing."""
    low, high = curve.iloc[0], curve.iloc[-1]
    return {
        "asymmetry": high.asymmetry,
        "asymmetry_mean": curve.asymmetry[curve.v_mV > 0].mean(),
        "chord_up_Mohm": high.chord_Mohm,
        "chord_down_Mohm": low.chord_Mohm,
        "slope_up_Mohm": high.slope_Mohm,
        "slope_down_Mohm": low.slope_Mohm,
    }


def _time_to_fall(trace: np.ndarray, times: Any) -> float:
    """When a decay has fallen to 1/e, between samples as an exponential; nan if it has not."""
    left = np.abs(trace / trace[0])
    after = int(np.argmax(left <= 1 / np.e))
    if not after:
        return float("nan")
    near = slice(after - 1, after + 1)
    return float(np.interp(1, -np.log(left[near]), np.asarray(times[near])))


def _left(leak: str, x: np.ndarray) -> np.ndarray:
    """Of what decays as exp(-t/tau): its value at x over that at x/e."""
    both = np.array([x, x / np.e])
    decaying = {"linear": both, "one_sided": np.expm1(-both), "symmetric": np.tanh(both / 2)}[leak]
    return np.asarray(decaying[0] / decaying[1])
