"""Dose-response curves under a competitive antagonist, and the Schild plot of their shifts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, molar, ms, nA, second, umolar

from neuromod.analysis.dose_response import (
    HillFit,
    fit_hill,
    for_log_axis,
    has_closed_form,
    schild,
    settled_rates,
)
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = (BLACK, SKY, BLUE, GREEN, ORANGE, RED, PURPLE)
SCHILD = ("slope", "slope_low", "slope_high", "pA2", "pA2_low", "pA2_high",
          "exact_pA2")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Antagonist(Protocol):
    """Shift of the dose-response curve by a competitive antagonist, and its Schild plot.

    An antagonist that competes for the binding site shifts the curve of a response against the
    agonist's concentration to the right by the dose ratio 1 + [B]/K_B (Gaddum 1937). The
    response here is a firing rate, as an experimenter would take it: equal responses mean equal
    occupancies, whatever lies between the receptor and the spikes. Schild's regression of
    log(dose ratio - 1) on log [B] then has slope 1 and gives K_B.
    """

    shown: ClassVar[tuple[str, ...]] = ("curves", "schild")

    neuron: GainLIF = parameter(
        GainLIF(receptors=(Receptor(antagonist="antagonist"),)),
        "the neuron, with one receptor that has an antagonist",
        source="see its own",
    )
    conc: Quantity = parameter(
        [0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000] * umolar,
        "concentrations of the agonist",
        source="chosen here: both ends of every curve, the most shifted one included",
        low=0 * umolar,
    )
    antagonist: Quantity = parameter(
        [0.1, 0.3, 1, 3, 10] * umolar,
        "concentrations of the antagonist, besides none",
        source="chosen here: 1 to 100 times a K_B of 0.1 uM",
        low=0 * umolar,
        low_excluded=True,
    )
    I: Quantity = parameter(  # noqa: E741
        linspace(0.9, 1.5, 5) * nA,
        "injected currents; the response is the mean rate of the cells, one at each",
        source="chosen here: above rheobase at gain 1; several, because time steps round intervals",
        low=0 * nA,
        low_excluded=True,
    )
    duration: Quantity = parameter(
        1 * second,
        "length of the run; rates are those of its second half",
        source="chosen here: an after-spike current of 200 ms has settled by half of it",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        0.05 * ms,
        "time step",
        source="chosen here: intervals are off by half a step on average",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("conc", 5), ("antagonist", 3), ("I", 1)):
            values = getattr(self, name)
            if len(values) < least or np.any(np.diff(values) <= 0 * values[0]):
                raise UserError(f"{name} must be at least {least} values in ascending order.")
        refuse_changed("neuron", self.neuron, ["I_ext"], "set I")
        refuse_changed("neuron", self.neuron, ["conc"], "set conc and antagonist, which are swept")
        refuse_changed("neuron", self.neuron, ["delivery"], "the bath is constant")
        refuse_changed("neuron", self.neuron, ["modulated"], "the receptor is what is measured")

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron per antagonist, agonist and current."""
        # Not when made: settings change one at a time, and need to fit only when all have.
        self._check_receptor()
        self._check_doses()
        self._check_effect()
        antagonist, conc, current = self._grid()
        values = {"I_ext": current} | self.neuron.steady(self._bath(conc, antagonist))
        population = Population("neurons", self.neuron, len(conc), values)
        return {
            "bath": Experiment(
                populations=(population,), duration=self.duration, dt=self.dt, seed=self.seed
            ),
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Every cell, the mean rates, their curves, and the regression."""
        antagonist, conc, current = self._grid()
        rate = settled_rates(recordings["bath"].spikes["neurons"], self.duration)
        table = pd.DataFrame(
            {
                "antagonist_uM": np.asarray(antagonist / umolar),
                "conc_uM": np.asarray(conc / umolar),
                "current_nA": np.asarray(current / nA),
                "rate_Hz": np.asarray(rate / Hz),
                "closed_form_Hz": self._rate(conc, antagonist, current),
            }
        )
        groups = table.groupby(["antagonist_uM", "conc_uM"], as_index=False)
        responses = groups[["rate_Hz", "closed_form_Hz"]].mean()
        number = np.searchsorted(self._baths, responses.antagonist_uM)
        fit = fit_hill(responses.conc_uM.to_numpy(), responses.rate_Hz.to_numpy(), number)
        return {
            "table": table,
            "responses": responses,
            "curves": self._curves(fit),
            "schild": self._schild(fit),
        }

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Curves with their common fit, and the Schild plot."""
        del recordings
        figure, axes = panels([["curves", "schild"]], width=11, height=4.2)
        self._plot_curves(axes["curves"], tables["responses"], tables["curves"])
        self._plot_schild(axes["schild"], tables["curves"].iloc[1:], tables["schild"].iloc[0])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Dose ratios and regression against the receptor's K_B."""
        curves, found = tables["curves"], tables["schild"].iloc[0]
        worst = (curves.dose_ratio / curves.exact_dose_ratio - 1).abs().max()
        return [
            Section(
                "Dose ratios",
                "Hill functions that share both ends and the slope are fitted to all curves at "
                "once; the dose ratio is the EC50 of a curve over that without antagonist. "
                f"Dose ratios are off by at most {100 * worst:.2g} % from 1 + [B]/K_B. Intervals "
                "are 95 % Student's t intervals from the covariance of the fit on a logarithmic "
                "scale; what no Hill function can follow counts as noise there, so that they are "
                "rather too wide. The EC50 is that of the rate, not of the receptor.",
                "curves",
            ),
            Section(
                "Schild regression",
                f"The slope is {found.slope:.3f} ({found.slope_low:.3f} to "
                f"{found.slope_high:.3f}; 1 for simple competition), and pA2 is {found.pA2:.3f} "
                f"({found.pA2_low:.3f} to {found.pA2_high:.3f}), where the receptor's K_B of "
                f"{self._k_b / umolar:.3g} µM makes {found.exact_pA2:.3f}. pA2 is -log10 of "
                "the antagonist's concentration in mol/l at which twice the agonist is needed. "
                "The regression weighs dose ratios by their errors, and takes into account that "
                "all share the error of the curve without antagonist.",
                "schild",
            ),
            Section("Responses", "Mean rates of the cells in every bath.", "responses"),
        ]

    @property
    def _receptor(self) -> Receptor:
        return self.neuron.receptors[0]

    @property
    def _k_b(self) -> Quantity:
        """The antagonist's dissociation constant."""
        return self._receptor.k_off_antagonist / self._receptor.k_on_antagonist

    @property
    def _baths(self) -> np.ndarray:
        """The antagonist's concentrations in uM, none first."""
        return np.concatenate([[0], np.asarray(self.antagonist / umolar)])

    def _grid(self) -> tuple[Quantity, Quantity, Quantity]:
        """Antagonist, agonist and current of every neuron."""
        antagonist, conc, current = np.meshgrid(
            self._baths, np.asarray(self.conc / umolar), np.asarray(self.I / nA), indexing="ij"
        )
        return antagonist.ravel() * umolar, conc.ravel() * umolar, current.ravel() * nA

    def _bath(self, conc: Quantity, antagonist: Quantity) -> dict[str, Quantity]:
        return {self._receptor.ligand: conc, self._receptor.antagonist: antagonist}

    def _rate(self, conc: Quantity, antagonist: Quantity, current: Quantity) -> np.ndarray:
        """Closed form of the rates in Hz, nan where there is none."""
        if not has_closed_form(self.neuron):
            return np.full(len(conc), np.nan)
        gain = self.neuron.steady_gain(self._bath(conc, antagonist))
        return np.asarray(self.neuron.rate(current, gain) / Hz)

    def _check_receptor(self) -> None:
        if len(self.neuron.receptors) > 1 or not self._receptor.antagonist:
            raise UserError(
                "The neuron must have one receptor, and that an antagonist: set "
                f"receptors.{self._receptor.name}.antagonist to a name."
            )

    def _check_doses(self) -> None:
        """Refuse concentrations that do not show every curve and its shift."""
        least = 0.1 * self._k_b
        if self.antagonist[0] < least:
            raise UserError(
                f"antagonist = {self.antagonist[0]} is too little to shift a curve visibly: at "
                f"least {least}, a tenth of K_B, was expected."
            )
        first = self._receptor.ec50
        last = first * (1 + self.antagonist[-1] / self._k_b)
        if self.conc[self.conc > 0 * umolar][0] > first or self.conc[-1] < last:
            raise UserError(
                f"conc must reach from below {first} to above {last}, the EC50 without and with "
                "the most antagonist."
            )

    def _check_effect(self) -> None:
        """Refuse cells that no dose affects, as far as the closed form tells."""
        rates = self._rate(self.conc, 0 * self.conc, self.I[-1])
        if np.ptp(rates) == 0:
            raise UserError(
                f"{self._receptor.ligand} does not change the rate of any cell: set a gain_max "
                "other than 1, and currents I above rheobase."
            )

    def _curves(self, fit: HillFit) -> pd.DataFrame:
        """One row for each concentration of the antagonist."""
        ratios = np.array([(1, np.nan, np.nan), *map(astuple, fit.dose_ratios)])
        return pd.DataFrame(
            {
                "antagonist_uM": self._baths,
                "ec50_uM": fit.ec50.value * ratios[:, 0],
                "dose_ratio": ratios[:, 0],
                "dose_ratio_low": ratios[:, 1],
                "dose_ratio_high": ratios[:, 2],
                "exact_dose_ratio": 1 + self._baths * umolar / self._k_b,
                "hill_slope": fit.hill_slope.value,
                "bottom_Hz": fit.bottom,
                "top_Hz": fit.top,
            }
        )

    def _schild(self, fit: HillFit) -> pd.DataFrame:
        found = schild(self.antagonist, fit)
        values = (*astuple(found.slope), *astuple(found.pA2), -np.log10(self._k_b / molar))
        return pd.DataFrame([dict(zip(SCHILD, values, strict=True))])

    def _plot_curves(self, axes: Any, responses: pd.DataFrame, curves: pd.DataFrame) -> None:
        shown = for_log_axis(self.conc / umolar)
        fine = np.geomspace(self.conc[self.conc > 0 * umolar][0] / umolar, shown.max(), 300)
        for number, row in enumerate(curves.itertuples()):
            color = COLORS[number % len(COLORS)]
            rates = responses.rate_Hz[responses.antagonist_uM == row.antagonist_uM]
            effect = 1 / (1 + (row.ec50_uM / fine) ** row.hill_slope)
            axes.plot(fine, row.bottom_Hz + (row.top_Hz - row.bottom_Hz) * effect, color=color,
                      lw=1)  # fmt: skip
            axes.plot(shown, rates, "o", color=color, ms=3.5, label=f"{row.antagonist_uM:.3g} µM")
        axes.set(xscale="log", ylim=(0, None), ylabel="mean firing rate (Hz)",
                 xlabel=f"{self._receptor.ligand} (µM; none at the left end)",
                 title="a  Simulated (dots), parallel Hill fits (lines)")  # fmt: skip
        axes.legend(title=self._receptor.antagonist, loc="center left", bbox_to_anchor=(1, 0.5))

    def _plot_schild(self, axes: Any, curves: pd.DataFrame, found: pd.Series) -> None:
        x = np.log10(np.asarray(self.antagonist / molar))
        shifts = curves[["dose_ratio", "dose_ratio_low", "dose_ratio_high"]] - 1
        # A dose ratio that may be 1 has no lower end on this scale.
        y, low, high = np.log10(shifts.clip(lower=1e-3)).to_numpy().T
        ends = np.array([min(x.min(), -found.exact_pA2) - 0.2, x.max() + 0.2])
        axes.axhline(0, color=BLACK, lw=0.8, ls=":")
        axes.plot(ends, ends + found.exact_pA2, color=BLACK, lw=1, label="closed form, slope 1")
        axes.plot(ends, found.slope * (ends + found.pA2), "--", color=RED, lw=1.3,
                  label=f"regression, slope {found.slope:.3f}")  # fmt: skip
        axes.errorbar(x, y, [y - low, high - y], fmt="o", color=BLUE, ms=4.5,
                      label="dose ratios, 95 % interval")  # fmt: skip
        axes.set(xlabel=f"log10 of {self._receptor.antagonist} (mol/l)",
                 ylabel="log10(dose ratio − 1)",
                 title=f"b  Schild plot: pA2 = {found.pA2:.2f}")  # fmt: skip
        axes.legend()
