"""What a modulator did to a neuron, told from its f-I curves alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, ms, mV, nA, second
from scipy.stats import binom, poisson

from neuromod.analysis.fi_files import read_curves
from neuromod.analysis.identification import (
    ADDITIVE,
    CONFIDENCE,
    DECISIVE_RATES,
    EFFECTS,
    INPUT,
    NONE,
    OTHER,
    OUTPUT,
    SHIFT,
    UNDECIDED,
    Curve,
    Fit,
    Hypothesis,
    Identification,
    identify,
    lif_check,
)
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, panels
from neuromod.support.log import note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = {
    NONE.name: BLACK,
    INPUT.name: BLUE,
    OUTPUT.name: ORANGE,
    ADDITIVE.name: GREEN,
    SHIFT.name: PURPLE,
}
SHOWN = 10


@dataclass(frozen=True, eq=False)
class GainIdentification(Protocol):
    """Whether a modulator multiplied, shifted or added, told from f-I curves alone.

    A modulator can multiply a neuron's input, f(g I), as a gain on its synapses does; multiply
    its output, g f(I); add to its output, f(I) + b; or shift its threshold, f(I - dI). The first
    two are both called multiplicative (Chance, Abbott & Reyes 2002, Neuron 35:773-782; Silver
    2010, Nat. Rev. Neurosci. 11:474-489; Ferguson & Cardin 2020, Nat. Rev. Neurosci. 21:80-92)
    and are kept apart here. Nothing is assumed of the control curve f but that it never falls:
    it is fitted to control and modulated rates together, once for each hypothesis.

    With a file of f-I curves in `data` these are identified. Without one, neurons with known
    modulation are simulated, and the table shows the truth beside what was found.
    """

    shown = ("verdicts",)

    data: str = parameter(
        "", "file of f-I curves, .csv or .nwb; empty: simulated", source="chosen here"
    )
    control: str = parameter("control", "name of the control condition", source="chosen here")
    spike_level: Quantity = parameter(
        0 * mV, "potential whose upward crossing is a spike, NWB only", source="Elephant's default"
    )
    margin: float = parameter(
        0.1,
        "relative change of the input gain that counts as none",
        source="chosen here",
        low=0,
        low_excluded=True,
    )
    neuron: GainLIF = parameter(GainLIF(modulated=False), "the neuron", source="see its own")
    I: Quantity = parameter(  # noqa: E741
        linspace(0.2, 1.4, 16) * nA, "injected currents", source="chosen here: around rheobase"
    )
    trials: int = parameter(4, "trials of each current", source="chosen here", low=1)
    noise: Quantity = parameter(
        1.2 * mV,
        "standard deviation of the resting potential between trials",
        source="chosen here",
        low=0 * mV,
    )
    input_gain: float = parameter(
        1.4, "gain of the input", source="chosen here", low=0, low_excluded=True
    )
    output_gain: float = parameter(
        0.6, "share of spikes that get through", source="chosen here", low=0, high=1
    )
    added_rate: Quantity = parameter(
        12 * Hz, "rate of spikes from elsewhere", source="chosen here", low=0 * Hz
    )
    shift: Quantity = parameter(
        0.15 * nA, "current taken from the input", source="chosen here: a third of rheobase"
    )
    duration: Quantity = parameter(
        1 * second,
        "length of a step",
        source="chosen here: usual in slices",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        0.1 * ms, "time step", source="chosen here", low=0 * second, low_excluded=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data:
            simulated = ["neuron", "I", "trials", "noise", "input_gain", "output_gain",
                         "added_rate", "shift", "duration", "dt"]  # fmt: skip
            refuse_changed("gain-identification", self, simulated, "the rates come from a file")
            return
        refuse_changed("gain-identification", self, ["control", "spike_level"],
                       "they are for a file, given as data")  # fmt: skip
        if len(np.unique(self.I / nA)) < len(self.I):
            raise UserError(f"I must be different currents, not {self.I}.")
        refuse_changed("neuron", self.neuron, ["I_ext", "trained_gain"], "set I and input_gain")
        if self.neuron.modulated:
            raise UserError("neuron.modulated must be false: modulation is given by input_gain.")

    def experiments(self) -> dict[str, Experiment]:
        """One network with a neuron for each condition, current and trial; none with a file."""
        if self.data:
            # Read now, so that a file that will not do is refused before the work.
            self._from_file  # noqa: B018
            return {}
        grid = self._grid
        gain = np.where(grid.condition == INPUT.name, self.input_gain, 1.0)
        shift = np.where(grid.condition == SHIFT.name, 1, 0) * self.shift
        values = {
            "I_ext": np.asarray(grid.current_nA) * nA - shift,
            "trained_gain": gain,
            "v_rest": self.neuron.v_rest + np.asarray(grid.rest) * self.noise,
        }
        population = Population("neurons", self.neuron, len(grid), values)
        return {
            "steps": Experiment(
                populations=(population,), duration=self.duration, dt=self.dt, seed=self.seed
            )
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Rates, fits of every hypothesis with their intervals and weights, and verdicts."""
        curves = self._from_file if self.data else self._simulated(recordings["steps"])
        control = _curve(curves, self.control)
        rows: list[dict[str, Any]] = []
        verdicts, fits = [], []
        for condition in dict.fromkeys(curves.condition):
            if condition == self.control:
                continue
            try:
                found = identify(control, _curve(curves, condition), self.margin)
            except UserError as error:
                # One silent condition leaves the others to be identified.
                verdicts.append({"condition": condition, "verdict": UNDECIDED, "why": str(error)})
                continue
            verdicts.append({"condition": condition} | _verdict(found))
            rows += [{"condition": condition} | row for row in self._rows(condition, found)]
            fits.append(_drawn(condition, found, curves.current_nA))
        if not fits:
            raise UserError(f"No condition can be identified: {verdicts[0]['why']}")
        table = pd.DataFrame(rows)
        tables = {"table": table, "verdicts": pd.DataFrame(verdicts), "curves": curves}
        return tables | {"fits": pd.concat(fits, ignore_index=True)}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Data with the fits, intervals of the parameters, and weights."""
        del recordings
        # Concentrations that name conditions come back from a file as numbers.
        curves, fits, table, verdicts = (
            tables[name].assign(condition=tables[name].condition.astype(str))
            for name in ("curves", "fits", "table", "verdicts")
        )
        conditions = list(dict.fromkeys(table.condition))[:SHOWN]
        shown = table[table.condition.isin(conditions)]
        found = verdicts.set_index("condition").verdict
        figure, axes = _panels(len(conditions))
        for number, condition in enumerate(conditions):
            axis = axes[f"curve {number}"]
            measured = curves[curves.condition.isin([self.control, condition])]
            _plot_curves(axis, measured, fits[fits.condition == condition], self.control)
            axis.set_title(f"{chr(97 + number)}  {condition}\n    found: {found[condition]}")
        axes["curve 0"].set_ylabel("firing rate (Hz)")
        handles, labels = axes["curve 0"].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        for number, effect in enumerate(EFFECTS, len(conditions)):
            rows = shown[shown.hypothesis == effect.name]
            _plot_intervals(axes[effect.name], rows, effect, chr(97 + number))
        _plot_weights(axes["weights"], shown, conditions, chr(97 + len(conditions) + len(EFFECTS)))
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """The verdict on every condition, and what it rests on."""
        table = tables["table"]
        sentences = [_sentence(row, table) for row in tables["verdicts"].itertuples()]
        source = f"the file {self.data}" if self.data else "simulated neurons with known modulation"
        return [
            Section(
                "Verdicts",
                f"From the f-I curves of {source}.\n\n" + "\n\n".join(sentences),
                "verdicts",
            ),
            Section("Every hypothesis", _explained(self.margin), "table"),
            Section("Where the simulated rates come from", _origin(self), "curves")
            if not self.data
            else Section("Rates", "What was read from the file, one row per trial.", "curves"),
        ]

    @cached_property
    def _from_file(self) -> pd.DataFrame:
        path = Path(self.data).absolute()
        curves = read_curves(path, self.control, self.spike_level)
        note("data", str(path))
        note("data sha256", hashlib.sha256(path.read_bytes()).hexdigest())
        return curves

    @cached_property
    def _grid(self) -> pd.DataFrame:
        """Condition, current and trial of every neuron, and all that is left to chance."""
        conditions = [self.control, *(effect.name for effect in EFFECTS), NONE.name]
        trials = range(1, self.trials + 1)
        levels = [conditions, np.asarray(self.I / nA), trials]
        index = pd.MultiIndex.from_product(levels, names=["condition", "current_nA", "trial"])
        generator = np.random.default_rng(self.seed)
        drawn = {
            "rest": generator.standard_normal(len(index)),
            "luck": generator.uniform(size=len(index)),
        }
        return pd.DataFrame(drawn, index).reset_index()

    @property
    def _truth(self) -> dict[str, float]:
        """What was done, by condition, in the hypotheses' units."""
        return {
            INPUT.name: self.input_gain,
            OUTPUT.name: self.output_gain,
            ADDITIVE.name: float(self.added_rate / Hz),
            SHIFT.name: float(self.shift / nA),
        }

    def _simulated(self, recording: Recording) -> pd.DataFrame:
        """Rates of the neurons; what no LIF neuron does is done to its spikes."""
        grid = self._grid
        counts = recording.spikes["neurons"].counts()
        elsewhere = poisson.ppf(grid.luck, float(self.added_rate * self.duration))
        counts = np.where(grid.condition == ADDITIVE.name, counts + elsewhere, counts)
        through = binom.ppf(grid.luck, counts, self.output_gain)
        counts = np.where(grid.condition == OUTPUT.name, through, counts)
        rate = counts / float(self.duration / second)
        return grid[["condition", "current_nA", "trial"]].assign(rate_Hz=rate)

    def _rows(self, condition: str, found: Identification) -> list[dict[str, Any]]:
        """One row for each hypothesis; for simulated neurons with the truth."""
        rows = []
        for fit in found.fits:
            name = fit.hypothesis.name
            by_lif, lif_rmse = lif_check(fit)
            row = {"condition": condition, "hypothesis": name} | _parameter(fit) | {
                "weight": found.weights[name],
                "rmse_Hz": fit.rmse,
                "misfit_p": fit.misfit(),
                "lif_estimate": by_lif if fit.hypothesis.unit else np.nan,
                "lif_rmse_Hz": lif_rmse,
            }  # fmt: skip
            if not self.data:
                row["truth"] = self._truth.get(name, np.nan) if name == condition else np.nan
            rows.append(row)
        return rows


def _curve(curves: pd.DataFrame, condition: str) -> Curve:
    rows = curves[curves.condition == condition]
    return Curve(rows.current_nA.to_numpy(float), rows.rate_Hz.to_numpy(float))


def _verdict(found: Identification) -> dict[str, Any]:
    """The verdict, and the parameter of the hypothesis that it names or else of the likeliest."""
    name = found.verdict if found.verdict in found.weights else found.candidates[0]
    fit = next(fit for fit in found.fits if fit.hypothesis.name == name)
    return {"verdict": found.verdict} | _parameter(fit) | {
        "weight": found.weights[name],
        "candidates": " or ".join(found.candidates),
    }  # fmt: skip


def _parameter(fit: Fit) -> dict[str, Any]:
    if not fit.hypothesis.unit:
        return {"estimate": np.nan, "low": np.nan, "high": np.nan, "unit": None}
    low, high = fit.interval()
    return {"estimate": fit.value, "low": low, "high": high, "unit": fit.hypothesis.unit}


def _drawn(condition: str, found: Identification, current: pd.Series) -> pd.DataFrame:
    """Fitted curves on a fine grid."""
    fine = np.linspace(current.min(), current.max(), 200)
    parts = []
    for fit in found.fits:
        control, modulated = fit.rates(fine, fine)
        columns = {"current_nA": fine, "control_Hz": control, "modulated_Hz": modulated}
        parts.append(pd.DataFrame({"condition": condition, "hypothesis": fit.hypothesis.name}
                                  | columns))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _sentence(row: Any, table: pd.DataFrame) -> str:
    """A verdict in words."""
    rows = table[table.condition == row.condition].set_index("hypothesis")
    if not len(rows):
        return f"{row.condition}: undecided. {row.why}"
    if row.verdict == NONE.name:
        gain = rows.loc[INPUT.name]
        return (
            f"{row.condition}: no modulation. A gain of the input would lie between "
            f"{gain.low:.3g} and {gain.high:.3g} with 95 % confidence."
        )
    likeliest = row.candidates.partition(" or ")[0]
    if row.verdict == OTHER:
        return (
            f"{row.condition}: none of the hypotheses. Curves of their own fit the two conditions "
            f"better than {likeliest} does (p = {rows.misfit_p[likeliest]:.1g})."
        )
    if row.verdict == UNDECIDED:
        return (
            f"{row.condition}: undecided; possible: {row.candidates}. A wider range of currents, "
            f"above all around rheobase, or more trials would tell. At least {DECISIVE_RATES} "
            "rates above rheobase, of both conditions together, are needed for an effect."
        )
    unit = {"Hz": " Hz", "nA": " nA"}.get(row.unit, "")
    return (
        f"{row.condition}: {row.verdict}, {row.estimate:.3g}{unit} (95 % interval {row.low:.3g} to "
        f"{row.high:.3g}), at a weight of {100 * row.weight:.3g} %."
    )


def _explained(margin: float) -> str:
    formulas = "; ".join(f"{h.name}, {h.formula}" for h in (NONE, *EFFECTS))
    return (
        f"The hypotheses are {formulas}. f is the control curve, a monotone spline fitted to both "
        "conditions at once. Gain on the input stretches the curve along the current axis and "
        "moves rheobase; gain on the output stretches it along the rate axis and leaves rheobase "
        "where it is. The input counts from the current of 0 in the data.\n\n"
        "Intervals cover 95 %, from a variance that allows rates to scatter differently at "
        "different currents; a dash means that the data do not bound the parameter. Weights are "
        "Akaike weights with the small-sample correction; an effect is named when its weight "
        f"reaches {100 * CONFIDENCE:.0f} %. No modulation is named when it is among the candidates "
        f"and the interval of the input gain lies between {1 / (1 + margin):.3g} and "
        f"{1 + margin:.3g}.\n\n"
        "As a check that does not share the spline, lif_estimate is the parameter under the closed "
        "form of a leaky integrate-and-fire neuron with free rheobase and time constants. Where "
        "its residuals (lif_rmse_Hz) are much larger than the spline's, the neuron is no LIF and "
        "the check says little. misfit_p is the probability of residuals as large by chance, "
        "against curves that the two conditions do not share."
    )


def _origin(protocol: GainIdentification) -> str:
    return (
        f"Each trial is a neuron of its own, whose resting potential is off by {protocol.noise} "
        "(standard deviation), drawn beforehand; spikes are counted over the step. Input gain is "
        f"the trained gain, {protocol.input_gain:g}, and threshold shift an injected current less "
        f"by {protocol.shift}. A single LIF neuron neither adds to its output nor scales it: for "
        f"the additive condition, Poisson spikes from elsewhere at {protocol.added_rate} are added "
        "to those counted, as from an ectopic site that does not reset the soma; for output gain "
        f"each spike gets through with a probability of {protocol.output_gain:g}, as past a branch "
        "point where spikes fail."
    )


def _panels(conditions: int) -> tuple[Figure, Any]:
    """Panels for the curves, at most five in a row, over those for parameters and weights."""
    across = min(conditions, 5)
    names = [f"curve {n}" for n in range(conditions)] + ["."] * (-conditions % across)
    upper = [names[n : n + across] for n in range(0, len(names), across)]
    lower = [*(effect.name for effect in EFFECTS), "weights"]
    return panels([[upper], [[lower]]], width=12, height=3.2 * (len(upper) + 1))


def _plot_curves(axis: Any, measured: pd.DataFrame, fits: pd.DataFrame, control: str) -> None:
    is_control = measured.condition == control
    for rows, color, label in (
        (measured[is_control], "0.6", "control"),
        (measured[~is_control], RED, "modulated"),
    ):
        axis.plot(rows.current_nA, rows.rate_Hz, "o", color=color, ms=3.5, alpha=0.7, mew=0,
                  label=label)  # fmt: skip
    for name, rows in fits.groupby("hypothesis", sort=False):
        axis.plot(rows.current_nA, rows.modulated_Hz, color=COLORS[name], lw=1.2, label=name)
    axis.set(xlabel="current (nA)", ylim=(0, None))


def _plot_intervals(axis: Any, rows: pd.DataFrame, effect: Hypothesis, letter: str) -> None:
    at = np.arange(len(rows))
    reach = [rows.estimate - rows.low, rows.high - rows.estimate]
    axis.errorbar(rows.estimate, at, xerr=reach, fmt="o", color=COLORS[effect.name], ms=4)
    if "truth" in rows:
        axis.plot(rows.truth, at, "|", color=RED, ms=16, mew=2, label="truth")
        axis.legend(loc="lower right")
    axis.axvline(effect.neutral, color=BLACK, lw=0.8, ls=":")
    unit = "" if effect.unit == "1" else f" ({effect.unit})"
    axis.set(title=f"{letter}  {effect.formula}", xlabel=f"{effect.name}{unit}",
             ylim=(len(rows) - 0.5, -0.5))  # fmt: skip
    first = effect is EFFECTS[0]
    axis.set_yticks(at, rows.condition if first else [""] * len(rows))


def _plot_weights(axis: Any, table: pd.DataFrame, conditions: list[str], letter: str) -> None:
    left = np.zeros(len(conditions))
    for name, color in COLORS.items():
        weight = table[table.hypothesis == name].set_index("condition").weight[conditions]
        axis.barh(np.arange(len(conditions)), weight, left=left, color=color, height=0.6)
        left += weight.to_numpy()
    axis.axvline(CONFIDENCE, color=BLACK, lw=0.8, ls=":")
    axis.set(title=f"{letter}  Weights", xlabel="Akaike weight", xlim=(0, 1),
             ylim=(len(conditions) - 0.5, -0.5))  # fmt: skip
    axis.set_yticks(np.arange(len(conditions)), [""] * len(conditions))
