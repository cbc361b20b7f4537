"""Leaks of the circuit neuron: their current, resistance and symmetry, and the membrane's decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Mohm, Quantity, kelvin, linspace, mV, nsecond, pA, second, usecond, volt

from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Leak, and its resistance at zero bias over R_leak.
DEVICES = {
    "resistor": ("linear", 1.0),
    "one_sided": ("one_sided", 1.0),
    "symmetric": ("symmetric", 1.0),
    "pair": ("symmetric", 0.5),
}
LABELS = {
    "resistor": "resistor",
    "one_sided": "one element",
    "symmetric": "pair, R_leak in all",
    "pair": "pair, R_leak each",
}
LINES = {"resistor": (BLACK, ":"), "one_sided": (ORANGE, "-"), "symmetric": (BLUE, "-"),
         "pair": (GREEN, "--")}  # fmt: skip
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

    shown = ("summary",)

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", source="see its own")
    v: Quantity = parameter(
        linspace(-100, 100, 81) * mV,
        "potentials from which membranes are released, from rest",
        source="Barton et al. 2022, section 5.2.2: a swing of 100 mV, here to both sides",
    )
    slope_factors: np.ndarray = parameter(
        np.array([1.2, 1.8]),
        "slope factors besides the circuit's own",
        source="chosen here: around its own",
        low=1,
    )
    temperatures: Quantity = parameter(
        [233, 398] * kelvin,
        "temperatures besides the circuit's own",
        source="chosen here: -40 and 125 C, the industrial range",
        low=0 * kelvin,
        low_excluded=True,
    )
    duration: Quantity = parameter(
        80 * usecond,
        "length of the decays",
        source="chosen here: four membrane time constants",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        10 * nsecond,
        "time step",
        source="chosen here: 1/2000 of the membrane's time constant",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("circuit", self.circuit, ["leak"], "all leaks are measured")
        refuse_changed(
            "circuit", self.circuit, ["comparator"], "membranes must be free to pass the threshold"
        )
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

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
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

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Currents, resistances and asymmetry over the swing, decays, and temperature."""
        layout = [["current", "resistance", "asymmetry"], ["decay", "decay", "temperature"]]
        figure, axes = panels(layout, width=10)
        for device, (color, line) in LINES.items():
            own = self._own(tables["table"], device)
            look = {"color": color, "ls": line, "label": LABELS[device]}
            axes["current"].plot(own.v_mV, own.current_pA, **look)
            axes["resistance"].plot(own.v_mV, own.chord_Mohm, **look)
            half = own[own.v_mV > 0]
            axes["asymmetry"].plot(half.v_mV, 100 * half.asymmetry, **look)
            self._plot_decays(axes["decay"], recordings["decay"], device, look)
        self._plot_temperature(axes["temperature"], tables["summary"])
        axes["current"].set(xlabel="membrane from rest (mV)", ylabel="leak current (pA)",
                            title="a  Current")  # fmt: skip
        axes["current"].legend(loc="upper left")
        axes["resistance"].set(xlabel="membrane from rest (mV)", ylabel="V/I (Mohm)", yscale="log",
                               title="b  Resistance")  # fmt: skip
        axes["resistance"].yaxis.set_major_formatter("{x:g}")
        axes["asymmetry"].set(xlabel="distance from rest (mV)", ylabel="asymmetry (%)",
                              title="c  More current up than down")  # fmt: skip
        axes["decay"].axhline(0, color=BLACK, lw=0.6)
        axes["decay"].set(xlabel="time (µs)", ylabel="membrane from rest (mV)",
                          xlim=(0, self.duration / usecond),
                          title="d  Decay from both ends of the swing")  # fmt: skip
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """What the leaks do to the membrane, and which resistance the paper may mean."""
        by = {device: self._own(tables["summary"], device).iloc[0] for device in DEVICES}
        one, pair, halves = by["one_sided"], by["symmetric"], by["pair"]
        swing = float(self.v[-1] / mV)
        others = tables["summary"][tables["summary"].device == "symmetric"].chord_up_Mohm
        return [
            Section(
                "Symmetry",
                f"At {swing:.0f} mV above rest one element conducts so much more than as far below "
                "that the difference is "
                f"{100 * one.asymmetry:.1f} % of the sum; the pair's is "
                f"{100 * abs(pair.asymmetry):.4f} %. From {swing:.0f} mV above rest a membrane "
                f"with one element takes {one.decay_up_us:.3g} µs to 1/e, from as far below "
                f"{one.decay_down_us:.3g} µs. With a pair it takes {pair.decay_up_us:.3g} µs both "
                f"ways, less than the {by['resistor'].decay_up_us:.3g} µs of a resistor, because "
                f"the pair's resistance falls from {pair.R_zero_Mohm:.4g} Mohm at rest to "
                f"{pair.chord_up_Mohm:.3g} Mohm (V/I) and {pair.slope_up_Mohm:.3g} Mohm (dV/dI) at "
                "the end of the swing. Currents differ from their closed forms by "
                f"{100 * _worst(tables['table']):.1g} % at most.",
                "summary",
            ),
            Section(
                "Which 400 Mohm",
                "The paper gives 400 Mohm and says that the second element halves the resistance, "
                "not whether 400 Mohm are before or after that. If they are the pair's, each "
                f"element has {2 * pair.R_zero_Mohm:.4g} Mohm at rest and the time constant is "
                f"{self._tau(1):.3g} µs: this is what leak=symmetric takes. If they are one "
                f"element's, the pair has {halves.R_zero_Mohm:.4g} Mohm, its time constant is "
                f"{self._tau(0.5):.3g} µs, and from {swing:.0f} mV it falls to 1/e in "
                f"{halves.decay_up_us:.3g} instead of {pair.decay_up_us:.3g} µs.",
            ),
            Section(
                "Temperature and slope factor",
                "Both enter through the voltage n*kT/q alone: the smaller it is, the more the "
                f"elements bend. At {swing:.0f} mV the pair's V/I is {others.min():.3g} to "
                f"{others.max():.3g} Mohm over the conditions here. The resistance at rest is a "
                "parameter of the model and stays; a transistor's own falls steeply as it warms, "
                "which is left out.",
                "table",
            ),
        ]

    def _conditions(self) -> tuple[np.ndarray, Quantity]:
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
        conditions = zip(*self._conditions(), strict=True)
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
        traces = tuple(Trace(device, ("v",), np.arange(size)) for device in DEVICES)
        return Experiment(
            populations=tuple(populations),
            traces=traces,
            duration=duration,
            dt=self.dt,
            seed=self.seed,
        )

    def _traces(self, device: str, recording: Recording) -> Quantity:
        """Membranes from rest, shape (conditions, potentials, samples)."""
        v = recording.signals[device]["v"].values - self.circuit.v_rest
        return v.reshape(len(self._v_slope()), -1, v.shape[-1])

    def _curves(self, device: str, recording: Recording) -> pd.DataFrame:
        """Current and resistances of a device, one row per condition and potential."""
        v, model = self._traces(device, recording), self._model(device)
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
        slope_factor, temperature = self._conditions()
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
        v, model = self._traces(device, recording), self._model(device)
        slope_factor, temperature = self._conditions()
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

    def _own(self, table: pd.DataFrame, device: str) -> pd.DataFrame:
        """Rows of a device at the circuit's own slope factor and temperature."""
        kelvins = float(self.circuit.temperature / kelvin)
        own = (table.slope_factor == self.circuit.slope_factor) & (table.temperature_K == kelvins)
        return table[own & (table.device == device)]

    def _tau(self, share: float) -> float:
        return float(share * self.circuit.R_leak * self.circuit.C / usecond)

    def _plot_decays(self, axes: Any, recording: Recording, device: str, look: Any) -> None:
        slope_factor, temperature = self._conditions()
        own = (slope_factor == self.circuit.slope_factor) & (
            temperature == self.circuit.temperature
        )
        for trace in self._traces(device, recording)[np.flatnonzero(own)[0]]:
            axes.plot(recording.times / usecond, trace / mV, color=look["color"], ls=look["ls"])

    def _plot_temperature(self, axes: Any, summary: pd.DataFrame) -> None:
        pair = summary[summary.device == "symmetric"]
        for (slope, rows), (line, color) in zip(
            pair.groupby("slope_factor"), _shades(pair.slope_factor.nunique()), strict=True
        ):
            axes.plot(rows.temperature_K, rows.chord_up_Mohm, f"o{line}", color=color, ms=3,
                      label=f"slope factor {slope:g}")  # fmt: skip
        axes.legend()
        axes.set(xlabel="temperature (K)", ylabel="V/I (Mohm)", ylim=(0, None),
                 title=f"e  Pair, R_leak in all, at {float(self.v[-1] / mV):.0f} mV")  # fmt: skip


def _shades(count: int) -> list[tuple[str, Any]]:
    """A line and a blue for each of some curves, the last the darkest."""
    lines = [":", "--", "-", "-."]
    return [
        (lines[k % len(lines)], (0, 0.45 * share, 0.7 * share))
        for k, share in enumerate(np.linspace(1.2, 0.5, count))
    ]


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


def _worst(table: pd.DataFrame) -> float:
    """Largest relative deviation of a current from its closed form."""
    flowing = table[table.v_mV != 0]
    return float(np.max(np.abs(flowing.current_pA / flowing.closed_form_pA - 1)))


def _left(leak: str, x: np.ndarray) -> np.ndarray:
    """Of what decays as exp(-t/tau): its value at x over that at x/e."""
    both = np.array([x, x / np.e])
    decaying = {"linear": both, "one_sided": np.expm1(-both), "symmetric": np.tanh(both / 2)}[leak]
    return np.asarray(decaying[0] / decaying[1])
