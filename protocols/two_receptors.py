"""Two modulators at once on a cell with a receptor for each: gains multiply, rates do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, ms, nA, second, umolar
from matplotlib.patheffects import withStroke

from neuromod.analysis.dose_response import gain_from_rate, has_closed_form, settled_rates
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptor_library import library
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FINE = 60


@dataclass(frozen=True, eq=False)
class TwoReceptors(Protocol):
    """Co-application of two modulators: gain and rate over both concentrations.

    Each modulator has a receptor of its own, and the gain is the product of the two that they
    set: their logarithms add, and the interaction index ln(g_ab g_00/(g_a0 g_0b)) is 0. The gain
    of every bath is recovered from simulated rates, by inverting the closed form of the f-I
    curve. Rates are no multiples of the gain, so that the same index, of rates, is not 0.
    """

    shown: ClassVar[tuple[str, ...]] = ("surface",)

    neuron: GainLIF = parameter(
        GainLIF(receptors=(library["D1"], library["alpha2"])),
        "the neuron, with two receptors",
        source="chosen here: a Gs and a Gi receptor of prefrontal pyramidal cells",
    )
    conc_first: Quantity = parameter(
        [0, 0.1, 0.3, 1, 3, 10] * umolar,
        "concentrations of what the first receptor binds, none first",
        source="chosen here: around a K_D of 1 uM",
        low=0 * umolar,
    )
    conc_second: Quantity = parameter(
        [0, 0.01, 0.03, 0.1, 0.3, 1] * umolar,
        "concentrations of what the second receptor binds, none first",
        source="chosen here: around a K_D of 0.06 uM",
        low=0 * umolar,
    )
    I: Quantity = parameter(  # noqa: E741
        linspace(0.75, 1.35, 7) * nA,
        "injected currents, one cell each in every bath",
        source="chosen here: above rheobase for gains from 0.7, and near it, where rates bend",
        low=0 * nA,
        low_excluded=True,
    )
    duration: Quantity = parameter(
        1 * second,
        "length of the run; rates are those of its second half",
        source="chosen here",
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
        for name, least in (("conc_first", 3), ("conc_second", 3), ("I", 1)):
            values = getattr(self, name)
            if len(values) < least or np.any(np.diff(values) <= 0 * values[0]):
                raise UserError(f"{name} must be at least {least} values in ascending order.")
        for name in ("conc_first", "conc_second"):
            if getattr(self, name)[0] > 0 * umolar:
                raise UserError(f"{name} must begin with 0, where the other modulator is alone.")
        refuse_changed("neuron", self.neuron, ["I_ext"], "set I")
        refuse_changed("neuron", self.neuron, ["conc"], "set conc_first and conc_second")
        refuse_changed("neuron", self.neuron, ["delivery"], "the bath is constant")
        refuse_changed("neuron", self.neuron, ["modulated"], "receptors are what is measured")

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron per pair of concentrations and current."""
        # Not when made: settings change one at a time, and need to fit only when all have.
        self._check_receptors()
        self._check_current()
        first, second, current = self._grid()
        values = {"I_ext": current} | self.neuron.steady(self._bath(first, second))
        population = Population("neurons", self.neuron, len(current), values)
        return {
            "bath": Experiment(
                populations=(population,), duration=self.duration, dt=self.dt, seed=self.seed
            ),
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Every cell, and the surface over both concentrations."""
        first, second, current = self._grid()
        rate = settled_rates(recordings["bath"].spikes["neurons"], self.duration)
        gain = self.neuron.steady_gain(self._bath(first, second))
        table = pd.DataFrame(
            {
                self._columns[0]: np.asarray(first / umolar),
                self._columns[1]: np.asarray(second / umolar),
                "current_nA": np.asarray(current / nA),
                "gain": gain,
                "recovered_gain": gain_from_rate(self.neuron, current, rate, self.dt),
                "rate_Hz": np.asarray(rate / Hz),
                "closed_form_Hz": np.asarray(self.neuron.rate(current, gain) / Hz),
            }
        )
        return {"table": table, "surface": self._surface(table)}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Maps of gain and of the rates' interaction, and the gains against their product."""
        del recordings
        surface = tables["surface"]
        figure, axes = panels([["gain", "product", "rates"]], width=13, height=4)
        index = surface.rate_interaction.to_numpy().reshape(self._shape)
        limit = max(np.nanmax(np.abs(index)), 1e-3)
        gain = surface.recovered_gain.to_numpy().reshape(self._shape)
        first, second, exact_gain, exact_index = self._contours()
        maps = (
            ("gain", gain, exact_gain, {"cmap": "cividis"}, "recovered gain"),
            ("rates", index, exact_index, {"cmap": "PuOr", "vmin": -limit, "vmax": limit},
             "interaction index of rates"),
        )  # fmt: skip
        for name, values, exact, look, label in maps:
            image = axes[name].pcolormesh(values.T, edgecolors="white", lw=0.3, **look)
            figure.colorbar(image, ax=axes[name], label=label)
            lines = axes[name].contour(first, second, exact.T, colors=BLACK, linewidths=0.8)
            for text in axes[name].clabel(lines, fontsize=7):
                text.set_path_effects([withStroke(linewidth=2, foreground="white")])
            self._label(axes[name])
        axes["gain"].set_title("a  Gain from rates; closed form (lines)")
        axes["rates"].set_title("c  Rates; closed form (lines)")
        _plot_product(axes["product"], surface)
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Interaction of gains and of rates."""
        surface = tables["surface"]
        off = (surface.recovered_gain / surface.single_gains_product - 1).abs().max()
        rates = surface.rate_interaction
        return [
            Section(
                "Together and alone",
                f"Gains recovered from the rates of cells in both modulators differ by at most "
                f"{100 * off:.2g} % from the product of those in one, which is as much as "
                f"rounding intervals to time steps of {self.dt} leaves; their interaction index, "
                "the natural logarithm of that ratio, is 0 in closed form. The index of the mean "
                f"rates reaches from {rates.min():.2g} to {rates.max():.2g}: a rate that is "
                "half, or twice, what the rates in each modulator alone multiply to has an index "
                "of -0.69, or 0.69. It tells of the f-I curve, not of the receptors.",
                "surface",
            ),
            Section("All cells", "Rates as simulated, in closed form, and their gains.", "table"),
        ]

    @property
    def _ligands(self) -> tuple[str, ...]:
        return tuple(receptor.ligand for receptor in self.neuron.receptors)

    @property
    def _columns(self) -> list[str]:
        return [f"conc_{ligand}_uM" for ligand in self._ligands]

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.conc_first), len(self.conc_second)

    def _grid(self) -> tuple[Quantity, Quantity, Quantity]:
        """Both concentrations and the current of every neuron."""
        first, second, current = np.meshgrid(
            np.asarray(self.conc_first / umolar),
            np.asarray(self.conc_second / umolar),
            np.asarray(self.I / nA),
            indexing="ij",
        )
        return first.ravel() * umolar, second.ravel() * umolar, current.ravel() * nA

    def _bath(self, first: Quantity, second: Quantity) -> dict[str, Quantity]:
        return dict(zip(self._ligands, (first, second), strict=True))

    def _check_receptors(self) -> None:
        if len(self.neuron.receptors) != 2:
            raise UserError(
                f"The neuron must have two receptors, not {len(self.neuron.receptors)}, such as "
                "D1 and alpha2."
            )
        one, other = self.neuron.receptors
        for ligand in one.ligands:
            if ligand in other.ligands:
                raise UserError(
                    f"{ligand} binds to both receptors, {one.name} and {other.name}: two that "
                    "share no ligand were expected."
                )
        if not has_closed_form(self.neuron):
            raise UserError(
                "The gain is recovered by the closed form of the rate, which holds without "
                "after-spike current and K+ conductance: set b and g_K to 0."
            )

    def _check_current(self) -> None:
        first, second, _ = self._grid()
        gain = self.neuron.steady_gain(self._bath(first, second))
        rheobase = (self.neuron.v_th - self.neuron.v_rest) / self.neuron.R
        if self.I[0] * gain.max() <= rheobase:
            raise UserError(
                f"I = {self.I[0]} is below rheobase at every concentration: more than "
                f"{rheobase / gain.max()} was expected."
            )

    def _closed(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gain and mean rate in Hz over concentrations in uM, shape (first, second)."""
        pairs = np.meshgrid(first, second, indexing="ij")
        gain = self.neuron.steady_gain(self._bath(*(side.ravel() * umolar for side in pairs)))
        rates = [self.neuron.rate(current, gain) / Hz for current in self.I]
        shape = pairs[0].shape
        return gain.reshape(shape), np.mean(rates, axis=0).reshape(shape)

    def _surface(self, table: pd.DataFrame) -> pd.DataFrame:
        surface = table.groupby(self._columns, as_index=False).agg(
            gain=("gain", "first"),
            recovered_gain=("recovered_gain", "mean"),
            recovered_gain_se=("recovered_gain", "sem"),
            rate_Hz=("rate_Hz", "mean"),
            closed_form_Hz=("closed_form_Hz", "mean"),
        )
        index = {
            name: _interaction(surface[name].to_numpy().reshape(self._shape)).ravel()
            for name in ("recovered_gain", "rate_Hz", "closed_form_Hz")
        }
        surface["single_gains_product"] = surface.recovered_gain * np.exp(-index["recovered_gain"])
        surface["gain_interaction"] = index["recovered_gain"]
        surface["rate_interaction"] = index["rate_Hz"]
        surface["exact_rate_interaction"] = index["closed_form_Hz"]
        return surface

    def _contours(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Places on the map, and closed forms of gain and of the rates' index at them."""
        at, fine = [], []
        for conc in (self.conc_first, self.conc_second):
            levels = np.log(np.asarray(conc / umolar)[1:])
            places = np.linspace(0, len(levels) - 1, FINE)
            # The middle of a cell of the map; the cells of no concentration come first.
            at.append(places + 1.5)
            between = np.interp(places, np.arange(len(levels)), levels)
            fine.append(np.concatenate([[0], np.exp(between)]))
        gain, rate = self._closed(*fine)
        return at[0], at[1], gain[1:, 1:], _interaction(rate)[1:, 1:]

    def _label(self, axes: Any) -> None:
        concs = (self.conc_first, self.conc_second)
        for conc, ticks in zip(concs, (axes.set_xticks, axes.set_yticks), strict=True):
            ticks(np.arange(len(conc)) + 0.5, [f"{c:.3g}" for c in np.asarray(conc / umolar)])
        axes.set(xlabel=f"{self._ligands[0]} (µM)", ylabel=f"{self._ligands[1]} (µM)")


def _interaction(values: np.ndarray) -> np.ndarray:
    """Logarithm of each value over what the first column's and row's multiply to."""
    with np.errstate(divide="ignore", invalid="ignore"):
        index = np.log(values * values[0, 0] / (values[:, :1] * values[:1, :]))
    return np.where(np.isfinite(index), index, np.nan)


def _plot_product(axes: Any, surface: pd.DataFrame) -> None:
    low, high = surface.gain.min(), surface.gain.max()
    axes.plot([low, high], [low, high], color=BLACK, lw=1, label="equal: log gains add")
    axes.errorbar(surface.single_gains_product, surface.recovered_gain, surface.recovered_gain_se,
                  fmt="o", color=BLUE, ms=4, label="recovered from the rates")  # fmt: skip
    axes.set(xlabel="product of the gains in each alone", ylabel="gain in both",
             title="b  Together against alone")  # fmt: skip
    axes.legend()
