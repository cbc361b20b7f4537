"""What a modulator did to a neuron, told from its f-I curves alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, ms, mV, nA, second
from scipy.stats import binom, poisson

from neuromod.analysis.identification import (
    ADDITIVE,
    EFFECTS,
    INPUT,
    NONE,
    OUTPUT,
    SHIFT,
    UNDECIDED,
    Curve,
    Fit,
    Identification,
    identify,
    lif_check,
)
from neuromod.analysis.population import Mean, Population as Cells, over_cells
from neuromod.electrophysiology.files import Choice, Curves, read_curves
from neuromod.errors import UserError, listed
from neuromod.experiment import Experiment, Population
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptive import Receptive
from neuromod.parameters import not_negative, parameter, positive, refuse_changed
from neuromod.protocol import Protocol, Recordings, Tables
from neuromod.protocols.families.neurons import check_current, neuron_setting
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.gain_identification import figure, page
from neuromod.protocols.gain_identification.figure import POPULATION
from neuromod.recording import Recording
from neuromod.support.log import note
from neuromod.support.progress import watched
from neuromod.support.text import say

OF_FILES = {"control", "spike_level", "electrode", "cell", "stimulus", "pooled"}
OF_BOTH = {"data", "margin", "seed"}

RESTING = ("v_rest", "E_L")
"""Names of the potential at which a cell would rest without all but its leak."""


@dataclass(frozen=True, eq=False)
class GainIdentification(Protocol):
    """Whether a modulator multiplied, shifted or added, told from f-I curves alone.

    Was it a gain on the input, a gain on the output, a shift or an offset?

    A modulator can multiply a neuron's input, f(g I), as a gain on its synapses does; multiply
    its output, g f(I); add to its output, f(I) + b; or shift its threshold, f(I - dI). The first
    two are both called multiplicative (Chance, Abbott & Reyes 2002, Neuron 35:773-782; Silver
    2010, Nat. Rev. Neurosci. 11:474-489; Ferguson & Cardin 2020, Nat. Rev. Neurosci. 21:80-92)
    and are kept apart here. Nothing is assumed of the control curve f except that it never falls:
    it is fitted to control and modulated rates together, once for each hypothesis.

    The f-I curves come from the files in `data`, of one cell or of several; each cell has its own
    verdict, and their mean has an interval over cells. Without files, neurons with known modulation
    are simulated, and the table shows the truth beside what was found.
    """

    shown: ClassVar[tuple[str, ...]] = ("read", "left_out", "verdicts")
    text_columns: ClassVar[tuple[str, ...]] = (
        *("file", "cell", "electrode", "sweep", "condition", "stimulus", "why"),
    )
    small: ClassVar[Mapping[str, Any]] = {
        "I": np.linspace(0.4, 1.3, 5) * nA,
        "trials": 2,
        "duration": 0.3 * second,
    }

    data: str = parameter(
        "",
        "tables or recordings, or folders of them, with commas between several; empty: simulated",
        "chosen here",
    )
    control: str = parameter("control", "name of the control condition", "chosen here")
    spike_level: Quantity = parameter(
        0 * mV, "potential whose upward crossing is a spike, recordings only", "Elephant's default"
    )
    electrode: str = parameter("", "electrode to use; empty: all", "chosen here")
    cell: str = parameter("", "cell to use; empty: all", "chosen here")
    stimulus: str = parameter("", "kind of stimulus to use; empty: all steps", "chosen here")
    pooled: bool = parameter(False, "whether all cells count as one", "chosen here: cells differ")
    margin: float = positive(0.1, "change of the input gain that counts as none", "chosen here")
    neuron: Receptive = neuron_setting(GainLIF(receptors=()), "the neuron, without receptors")
    I: Quantity = parameter(  # noqa: E741
        linspace(0.2, 1.4, 16) * nA, "injected currents", "chosen here: around rheobase"
    )
    trials: int = parameter(4, "trials of each current", "chosen here", low=1)
    noise: Quantity = not_negative(
        1.2 * mV, "standard deviation between trials of what the cell rests at", "chosen here"
    )
    input_gain: float = positive(1.4, "gain of the input", "chosen here")
    output_gain: float = parameter(0.6, "share of spikes that pass", "chosen here", low=0, high=1)
    added_rate: Quantity = not_negative(12 * Hz, "rate of spikes from elsewhere", "chosen here")
    shift: Quantity = parameter(
        0.15 * nA, "current taken from the input", "chosen here: a third of rheobase"
    )
    duration: Quantity = time(1 * second, "length of a step", "usual in slices")
    dt: Quantity = time_step(0.1 * ms, "a two-hundredth of tau_m")

    plot = figure.plot
    report = page.report

    def __post_init__(self) -> None:
        if isinstance(self.data, list | tuple):
            object.__setattr__(self, "data", _joined(self.data))
        super().__post_init__()
        if self.data:
            simulated = [name for name in vars(self) if name not in OF_FILES | OF_BOTH]
            refuse_changed("gain-identification", self, simulated, "the rates come from files")
            return
        instead = "they are for files, given as data"
        refuse_changed("gain-identification", self, [*OF_FILES], instead)
        if len(np.unique(self.I / nA)) < len(self.I):
            raise UserError(f"I must be different currents, not {say(self.I)}.")
        if self.neuron.receptors:
            raise UserError(
                "The neuron's receptors would have no effect here: modulation is given by "
                "input_gain, for a neuron with receptors=none."
            )
        check_current(self.neuron)
        if not self._resting and self.noise > 0 * mV:
            raise UserError(
                f"Noise between trials moves {listed(RESTING, 'or')}, which this neuron does not "
                "have: set noise to 0*mV."
            )

    def experiments(self) -> dict[str, Experiment]:
        """One network with a neuron for each condition, current and trial; none with a file."""
        if self.data:
            return {}
        grid = self._grid
        shift = np.where(grid.condition == SHIFT.name, 1, 0) * self.shift
        gain = np.where(grid.condition == INPUT.name, self.input_gain, 1.0)
        values = {self.neuron.current: gain * (np.asarray(grid.current_nA) * nA - shift)}
        for name in self._resting:
            values[name] = self.neuron.constants[name] + np.asarray(grid.rest) * self.noise
        cells = Population("neurons", self.neuron, len(grid), values)
        run = Experiment(populations=[cells], duration=self.duration, dt=self.dt, seed=self.seed)
        return {"steps": run}

    def measure(self, recordings: Recordings) -> Tables:
        """Rates, fits of every hypothesis with their intervals and weights, and verdicts."""
        if not self.data:
            return self._identified(self._simulated(recordings["steps"]))
        chosen = Choice(self.electrode, self.cell, self.stimulus, self.pooled)
        found = read_curves(_paths(self.data), self.control, self.spike_level, chosen)
        for path, digest in found.files.items():
            note(f"SHA-256 of {path}", digest)
        if POPULATION in found.rates.cell.values:
            raise UserError(f"No cell can be called {POPULATION!r}: give it another name.")
        return self._identified(found.rates) | _told(found)

    def _identified(self, curves: pd.DataFrame) -> Tables:
        """Tables of every cell, and of the population where there are several cells."""
        verdicts: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        fits: list[pd.DataFrame] = []
        known: dict[str, dict[str, Identification]] = {}
        for names, control, modulated in watched("fits", [*_pairs(curves, self.control)]):
            try:
                found = identify(control, modulated, self.margin)
            except UserError as error:
                # One silent condition leaves the others to be identified.
                verdicts.append(names | {"verdict": UNDECIDED, "why": str(error)})
                continue
            known.setdefault(names["condition"], {})[names.get("cell", "")] = found
            verdicts.append(names | _verdict(found))
            rows += [self._row(names, fit, found) for fit in found.fits]
            fits += [_drawn(names, fit) for fit in found.fits]
        if not fits:
            raise UserError(f"No condition can be identified: {verdicts[0]['why']}")
        cells = {c: over_cells(own, self.margin) for c, own in known.items() if len(own) > 1}
        # The population first: of many cells the first rows are shown.
        verdicts = [_of_cells(c, found, verdicts) for c, found in cells.items()] + verdicts
        rows = [row for c, found in cells.items() for row in _means(c, found)] + rows
        return {
            "table": pd.DataFrame(rows),
            "verdicts": pd.DataFrame(verdicts),
            "curves": curves,
            "fits": pd.concat(fits, ignore_index=True),
        }

    @property
    def _resting(self) -> list[str]:
        """The parameter that the cell rests at; empty where it has none by the usual names."""
        return [name for name in RESTING if name in self.neuron.constants][:1]

    @cached_property
    def _grid(self) -> pd.DataFrame:
        """Condition, current and trial of every neuron, and all that is left to chance."""
        conditions = [self.control, *(effect.name for effect in EFFECTS), NONE.name]
        trials = range(1, self.trials + 1)
        levels = [conditions, np.asarray(self.I / nA), trials]
        index = pd.MultiIndex.from_product(levels, names=["condition", "current_nA", "trial"])
        generator = np.random.default_rng(self.seed)
        rest, luck = generator.standard_normal(len(index)), generator.uniform(size=len(index))
        return index.to_frame(index=False).assign(rest=rest, luck=luck)

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

    def _row(self, names: dict[str, str], fit: Fit, found: Identification) -> dict[str, Any]:
        """What a hypothesis makes of a condition; for simulated neurons with the truth."""
        name = fit.hypothesis.name
        by_lif, lif_rmse = lif_check(fit)
        row = names | {"hypothesis": name} | _parameter(fit)
        row |= {
            "weight": found.weights[name],
            "rmse_Hz": fit.rmse,
            "misfit_p": fit.misfit(),
            "lif_estimate": by_lif if fit.hypothesis.unit else np.nan,
            "lif_rmse_Hz": lif_rmse,
        }
        if self.data:
            return row
        # In the hypotheses' units and their order.
        done = (self.input_gain, self.output_gain, self.added_rate / Hz, self.shift / nA)
        truth = dict(zip(EFFECTS, map(float, done), strict=True))
        known = name == names["condition"]
        return row | {"truth": truth.get(fit.hypothesis, np.nan) if known else np.nan}


def _joined(paths: Sequence[str | Path]) -> str:
    """Several files and folders as one text."""
    names = [str(path) for path in paths]
    if not names:
        raise UserError("data is an empty list: name files, or leave it out to simulate neurons.")
    for name in names:
        if "," in name and len(names) > 1:
            raise UserError(f"data cannot hold {name!r} beside others: its name has a comma.")
    return ",".join(names)


def _paths(data: str) -> list[Path]:
    """Files and folders; a comma may be part of a name."""
    # Together, the names of many files are longer than a name can be.
    names = [data] if os.path.lexists(data) else data.split(",")
    return [Path(name.strip()).absolute() for name in names if name.strip()]


def _told(found: Curves) -> Tables:
    """What was read, in columns that hold something, and why what was left out was."""
    # In a file what is missing is missing, whatever it was.
    read = found.read.astype({"spikes": float})
    read = read.mask(read == "")
    tables = {"read": read.dropna(axis="columns", how="all")}
    left = read[~found.read.used]
    if len(left):
        counts = left.why.value_counts().rename_axis("why").reset_index(name="rows")
        tables["left_out"] = counts[["rows", "why"]]
    return tables


def _pairs(curves: pd.DataFrame, control: str) -> Iterator[tuple[dict[str, str], Curve, Curve]]:
    """Names, control curve and modulated curve of every cell and condition."""
    cells = curves.groupby("cell", sort=False) if "cell" in curves else [("", curves)]
    for cell, own in cells:
        before = own[own.condition == control]
        for condition in dict.fromkeys(own.condition[own.condition != control]):
            names = {"cell": cell} if "cell" in curves else {}
            after = own[own.condition == condition]
            yield names | {"condition": condition}, _curve(before), _curve(after)


def _curve(rows: pd.DataFrame) -> Curve:
    return Curve(rows.current_nA.to_numpy(float), rows.rate_Hz.to_numpy(float))


def _of_cells(condition: str, found: Cells, verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    """Verdict on the population, and which cells its parameter is the mean of."""
    name = found.verdict if found.verdict in found.weights else found.candidates[0]
    mean = next(mean for mean in found.means if mean.hypothesis.name == name)
    own = [row for row in verdicts if row["condition"] == condition]
    unknown = [row["cell"] for row in own if "why" in row]
    why = [f"{len(own) - len(unknown) - len(mean.unbounded)} of {len(own)} cells"]
    why += [f"not bounded in {listed(mean.unbounded)}"] if mean.unbounded else []
    why += [f"too little data of {listed(unknown)}"] if unknown else []
    # No modulation rests on the means, whatever moved single cells.
    weight = np.nan if found.verdict == NONE.name else found.weights[name]
    verdict = {"cell": POPULATION, "condition": condition, "verdict": found.verdict}
    reason = {"candidates": " or ".join(found.candidates), "why": "; ".join(why)}
    return verdict | _mean(mean) | {"weight": weight} | reason


def _means(condition: str, found: Cells) -> Iterator[dict[str, Any]]:
    """What every hypothesis makes of a condition over cells."""
    for mean in found.means:
        name = mean.hypothesis.name
        names = {"cell": POPULATION, "condition": condition, "hypothesis": name}
        yield names | _mean(mean) | {"weight": found.weights[name]}


def _mean(mean: Mean) -> dict[str, Any]:
    unit = mean.hypothesis.unit or None
    return {"estimate": mean.value, "low": mean.low, "high": mean.high, "unit": unit}


def _verdict(found: Identification) -> dict[str, Any]:
    """The verdict, and the parameter of the hypothesis that it names or else of the likeliest."""
    name = found.verdict if found.verdict in found.weights else found.candidates[0]
    fit = next(fit for fit in found.fits if fit.hypothesis.name == name)
    weight = {"weight": found.weights[name], "candidates": " or ".join(found.candidates)}
    return {"verdict": found.verdict} | _parameter(fit) | weight


def _parameter(fit: Fit) -> dict[str, Any]:
    if not fit.hypothesis.unit:
        return {"estimate": np.nan, "low": np.nan, "high": np.nan, "unit": None}
    low, high = fit.interval()
    return {"estimate": fit.value, "low": low, "high": high, "unit": fit.hypothesis.unit}


def _drawn(names: dict[str, str], fit: Fit) -> pd.DataFrame:
    """Fitted curves on a fine grid."""
    current = np.concatenate([fit.control.current, fit.modulated.current])
    fine = np.linspace(current.min(), current.max(), 200)
    control, modulated = fit.rates(fine, fine)
    rates = {"current_nA": fine, "control_Hz": control, "modulated_Hz": modulated}
    return pd.DataFrame(names | {"hypothesis": fit.hypothesis.name} | rates)
