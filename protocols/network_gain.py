"""Response gain of a recurrent network whose cells have their gain set by a modulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, amp, ms, pA, second, umolar
from scipy.stats import linregress

from neuromod.analysis.dose_response import has_closed_form
from neuromod.analysis.mean_field import network_rates
from neuromod.analysis.spike_trains import between, count_correlation, interval_cvs
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population
from neuromod.inputs.spikes import fixed_indegree, staircase
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BRUNEL = "Brunel 2000, J. Comput. Neurosci. 8:183-208"
COLORS = (BLACK, BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
RASTER = 0.3 * second
# Chosen here: ten times what the default network has while it is asynchronous.
SYNCHRONOUS = 0.1


@dataclass(frozen=True, eq=False)
class NetworkGain(Protocol):
    """Response gain of a recurrent network under a modulator.

    Excitatory and inhibitory cells are connected at random, every cell with as many synapses,
    inhibition the stronger, so that they fire asynchronously and irregularly (Brunel 2000). A
    modulator in the bath sets the gain of all cells, or of the excitatory or the inhibitory ones
    alone. The network's response gain is the slope of its rate against the rate of the neurons
    outside that drive it; recurrent inhibition decides how much of a cell's gain is left in it.
    Simulated rates are laid over mean-field theory.
    """

    shown: ClassVar[tuple[str, ...]] = ("response",)

    neuron: GainLIF = parameter(GainLIF(), "every neuron", source="see its own")
    target: str = parameter(
        "all",
        "cells that have the receptors",
        source="chosen here",
        choices=("all", "excitatory", "inhibitory"),
    )
    conc: Quantity = parameter(
        [0, 0.3, 1] * umolar,
        "concentrations of the modulator in the bath",
        source="chosen here: gains of 1, 1.35 and 2 with the generic receptor",
        low=0 * umolar,
    )
    drive: Quantity = parameter(
        [6, 8, 10, 12, 14] * Hz,
        "rates of every neuron outside, one after another",
        source="chosen here: about 1 to 2.2 times what alone brings the mean to threshold",
        low=0 * Hz,
        low_excluded=True,
    )
    n_excitatory: int = parameter(
        8000,
        "excitatory neurons; there are as many outside",
        source="chosen here: 10 000 neurons in all",
        low=2,
    )
    n_inhibitory: int = parameter(
        2000, "inhibitory neurons", source=f"{BRUNEL}: a quarter as many", low=2
    )
    indegree: int = parameter(
        400,
        "excitatory synapses onto every neuron, as many from outside, and inhibitory ones in the "
        "proportion of the populations",
        source=f"chosen here: sparse, 5 % of the possible ones; 10 % in {BRUNEL}",
        low=1,
    )
    weight: Quantity = parameter(
        100 * pA,
        "step of the synaptic current after an excitatory spike",
        source="chosen here: its charge would lift the membrane by 0.4 mV, enough for irregular "
        f"firing with these synapses; 0.1 mV with 1000 in {BRUNEL}",
        low=0 * amp,
        low_excluded=True,
    )
    g: float = parameter(
        6.0,
        "inhibitory over excitatory weight",
        source=f"{BRUNEL}, figure 8B; inhibition prevails above 4",
        low=0,
    )
    delay: Quantity = parameter(1.5 * ms, "delay of every synapse", source=BRUNEL, low=0 * second)
    dwell: Quantity = parameter(
        1.5 * second, "measured time at each drive", source="chosen here", low=0 * second,
        low_excluded=True,
    )  # fmt: skip
    transient: Quantity = parameter(
        0.2 * second,
        "time at each drive before that",
        source="chosen here: ten membrane time constants",
        low=0 * second,
    )
    sample: int = parameter(
        100,
        "neurons of each population whose trains are compared",
        source="chosen here: 4950 pairs",
        low=2,
    )
    bin: Quantity = parameter(
        20 * ms,
        "width in which spikes are counted for correlations",
        source="chosen here: the membrane time constant",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        0.1 * ms,
        "time step",
        source="chosen here: a twentieth of tau_syn",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("conc", 1), ("drive", 2)):
            values = getattr(self, name)
            if len(values) < least or np.any(np.diff(values) <= 0 * values[0]):
                raise UserError(f"{name} must be at least {least} values in ascending order.")
        refuse_changed("neuron", self.neuron, ["conc"], "set conc")
        refuse_changed("neuron", self.neuron, ["I_ext"], "set drive")
        refuse_changed("neuron", self.neuron, ["delivery"], "the bath is constant")
        refuse_changed("neuron", self.neuron, ["modulated"], "receptors are what is measured")
        refuse_changed("neuron", self.neuron, ["synapse"], "synapses are exponential")

    def experiments(self) -> dict[str, Experiment]:
        """The same network and input in every bath, the drives one after another."""
        # Not when made: settings change one at a time, and need to fit only when all have.
        self._check()
        generator = np.random.default_rng(self.seed)
        connections = self._connections(generator)
        stair = self.transient + self.dwell
        duration = len(self.drive) * stair
        outside = staircase("outside", self.n_excitatory, self.drive, stair, self.dt, generator)
        rise = generator.uniform(0, 1, self._size) * (self.neuron.v_th - self.neuron.v_rest)
        start = {"v": self.neuron.v_rest + rise}
        experiments = {}
        for conc in self.conc:
            bathed = self.neuron.steady(self._bath(conc, self.n_excitatory, self.n_inhibitory))
            cells = Population("cells", self.neuron, self._size, bathed | start)
            experiments[_name(conc)] = Experiment(
                populations=(cells,),
                sources=(outside,),
                connections=connections,
                duration=duration,
                dt=self.dt,
                seed=self.seed,
            )
        return experiments

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Rates, irregularity and correlations, and the slopes of the rates."""
        rows = [
            row
            for conc in self.conc
            for number in range(len(self.drive))
            for row in self._rows(conc, number, recordings[_name(conc)])
        ]
        table = pd.DataFrame(rows)
        return {"table": table, "response": self._response(table)}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Some trains without and with the modulator; rates, irregularity, correlations."""
        layout = [["least"] * 3 + ["most"] * 3, ["rate"] * 2 + ["cv"] * 2 + ["correlation"] * 2]
        figure, axes = panels(layout, width=10, height=7)
        for name, letter, conc in (("least", "a", self.conc[0]), ("most", "b", self.conc[-1])):
            self._plot_raster(axes[name], recordings[_name(conc)])
            axes[name].set_title(f"{letter}  {_micro(conc):.3g} µM at the strongest drive")
        for number, (conc, rows) in enumerate(tables["table"].groupby("conc_uM")):
            _plot_measures(axes, rows, COLORS[number % len(COLORS)], f"{conc:.3g} µM")
        for name, title, label in (
            ("rate", "c  Rates; mean field (lines)", "rate (Hz)"),
            ("cv", "d  Irregularity", "CV of inter-spike intervals"),
            (
                "correlation",
                "e  Synchrony",
                f"correlation of counts in {float(self.bin / ms):g} ms",
            ),
        ):
            axes[name].set(xlabel="drive (Hz)", ylabel=label, title=title)
        axes["rate"].set_ylim(0, None)
        axes["cv"].set_ylim(0, None)
        axes["correlation"].axhline(0, color=BLACK, lw=0.5)
        axes["rate"].legend()
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """How much of the cells' gain is left in the network's, and what theory says."""
        table, response = tables["table"], tables["response"]
        last = response[response.conc_uM == response.conc_uM.max()]
        found = "; ".join(
            f"{row.population} cells have a gain of {row.gain:.3g} and a response gain of "
            f"{row.response_gain:.3g} ± {row.response_gain_se:.2g}, "
            f"{row.over_control:.3g} times that at the lowest concentration"
            for row in last.itertuples()
        )
        return [
            Section(
                "Response gain",
                "Slope of a straight line through the rates against the rate of the neurons "
                "outside, with its standard error, and the drive at which that line begins. At "
                f"the highest concentration {found}.\n\n{self._on_balance}",
                "response",
            ),
            Section("Mean field", self._on_theory(table), "table"),
        ]

    @property
    def _size(self) -> int:
        return self.n_excitatory + self.n_inhibitory

    @property
    def _populations(self) -> dict[str, np.ndarray]:
        """Neurons by population: the excitatory ones come first."""
        return {
            "excitatory": np.arange(self.n_excitatory),
            "inhibitory": np.arange(self.n_excitatory, self._size),
        }

    @property
    def _indegrees(self) -> np.ndarray:
        """Synapses onto every neuron from excitatory and inhibitory ones, and from outside."""
        inhibitory = self.indegree * self.n_inhibitory // self.n_excitatory
        return np.array([self.indegree, inhibitory, self.indegree])

    @property
    def _weights(self) -> Quantity:
        return np.array([1, -self.g, 1]) * self.weight

    def _check(self) -> None:
        if self.indegree * self.n_inhibitory % self.n_excitatory:
            raise UserError(
                f"indegree = {self.indegree} must be such that indegree*n_inhibitory/n_excitatory "
                "inhibitory synapses are a whole number."
            )
        for name in ("dwell", "transient", "delay"):
            steps_in(name, getattr(self, name), self.dt)
        if self.dwell < 2 * self.bin:
            raise UserError(f"dwell = {self.dwell} must be at least two bins of {self.bin}.")

    def _connections(self, generator: np.random.Generator) -> tuple[Connection, ...]:
        """Random synapses from within and from outside; none from a neuron to itself."""
        cells = np.arange(self._size)
        kinds = [("cells", neurons, True) for neurons in self._populations.values()]
        kinds.append(("outside", np.arange(self.n_excitatory), False))
        return tuple(
            Connection(
                source,
                "cells",
                "I_syn",
                *fixed_indegree(neurons, cells, indegree, generator, recurrent),
                weight,
                self.delay,
            )
            for (source, neurons, recurrent), indegree, weight in zip(
                kinds, self._indegrees, self._weights, strict=True
            )
        )

    def _bath(self, conc: Quantity, *sizes: int) -> dict[str, Quantity]:
        """What reaches so many excitatory and inhibitory cells of what the first receptor binds."""
        reached = [self.target in ("all", population) for population in self._populations]
        return {self.neuron.ligands[0]: np.repeat(reached, sizes) * conc}

    def _gains(self, conc: Quantity) -> np.ndarray:
        """Of an excitatory and of an inhibitory cell."""
        return self.neuron.steady_gain(self._bath(conc, 1, 1))

    def _rows(self, conc: Quantity, number: int, recording: Recording) -> list[dict[str, Any]]:
        """Measures of both populations at one drive."""
        end = (number + 1) * (self.transient + self.dwell)
        spikes = between(recording.spikes["cells"], end - self.dwell, end, self.dt)
        counts, drive = spikes.counts(), self.drive[number]
        by_theory = self._mean_field(conc, drive)
        rows = []
        for k, (population, neurons) in enumerate(self._populations.items()):
            some = neurons[: self.sample]
            cvs = interval_cvs(spikes, some)
            rows.append(
                {
                    "conc_uM": _micro(conc),
                    "drive_Hz": float(drive / Hz),
                    "population": population,
                    "gain": self._gains(conc)[k],
                    "rate_Hz": float(counts[neurons].mean() / self.dwell / Hz),
                    "mean_field_Hz": by_theory[k],
                    "cv": cvs[np.isfinite(cvs)].mean() if np.isfinite(cvs).any() else np.nan,
                    "correlation": count_correlation(spikes, some, self.bin, self.dwell),
                }
            )
        return rows

    def _mean_field(self, conc: Quantity, drive: Quantity) -> np.ndarray:
        """Rates in Hz by theory; nan where it does not hold."""
        gains = self._gains(conc)
        if not has_closed_form(self.neuron):
            return np.full(len(gains), np.nan)
        rates = network_rates(self.neuron, gains, self._indegrees, self._weights, drive)
        return np.asarray(rates / Hz)

    def _response(self, table: pd.DataFrame) -> pd.DataFrame:
        """Straight lines through the rates against the drive."""
        rows = []
        for (conc, population), curve in table.groupby(["conc_uM", "population"], sort=False):
            line = linregress(curve.drive_Hz, curve.rate_Hz)
            rows.append(
                {
                    "conc_uM": conc,
                    "population": population,
                    "gain": curve.gain.iloc[0],
                    "response_gain": line.slope,
                    "response_gain_se": line.stderr if len(curve) > 2 else np.nan,
                    "mean_field_gain": linregress(curve.drive_Hz, curve.mean_field_Hz).slope,
                    "onset_Hz": -line.intercept / line.slope if line.slope > 0 else np.nan,
                }
            )
        response = pd.DataFrame(rows)
        control = response.groupby("population").response_gain.transform("first")
        # A silent population has no slope to compare with.
        over = response.response_gain / control.where(control > 0)
        return response.assign(over_control=over)

    @property
    def _on_balance(self) -> str:
        """What the balance of excitation and inhibition makes of the cells' gain."""
        excitatory, inhibitory, _ = self._indegrees
        feedback = self.g * inhibitory / excitatory - 1
        if self.target != "all" or feedback <= 0:
            return (
                "A cell's gain multiplies all of its input, recurrent input too; cells without "
                "receptors change their rate because the others do."
            )
        return (
            "A cell's gain multiplies all of its input, recurrent inhibition too. With very many "
            "synapses inhibition balances excitation, whatever the gain, and the slope is "
            f"1/(g*K_I/K_E - 1) = {1 / feedback:.3g} (van Vreeswijk & Sompolinsky 1996, Science "
            "274:1724-1726): a gain of all cells does not multiply the network's response, it "
            "lets it begin at a weaker drive."
        )

    def _on_theory(self, table: pd.DataFrame) -> str:
        if table.mean_field_Hz.isna().all():
            return (
                "Mean-field theory holds without after-spike current and K+ conductance, so that "
                "there is none to compare with here."
            )
        off = table.rate_Hz - table.mean_field_Hz
        return (
            "Mean-field theory replaces each cell's input by noise of the same mean and variance "
            "(Brunel 2000; Fourcaud & Brunel 2002, for exponential synapses). Simulated rates "
            f"differ from it by {off.abs().mean():.2g} Hz on average and {off.abs().max():.2g} Hz "
            "at most. It is meant for many weak synapses and independent trains: correlations of "
            f"{table.correlation.min():.2g} to {table.correlation.max():.2g} and CVs of "
            f"{table.cv.min():.2g} to {table.cv.max():.2g}, over {self.sample} neurons of each "
            f"population, say how near the network is to that.{_on_synchrony(table)}"
        )

    def _plot_raster(self, axes: Any, recording: Recording) -> None:
        """The end of the last stair, a sample of both populations, inhibitory on top."""
        end = recording.duration
        shown = min(self.dwell, RASTER)
        spikes = between(recording.spikes["cells"], end - shown, end, self.dt)
        times = np.asarray(spikes.times / ms)
        first, middles = 0, []
        for color, neurons in zip((BLUE, RED), self._populations.values(), strict=True):
            some = neurons[: self.sample]
            inside = np.isin(spikes.neurons, some)
            row = spikes.neurons[inside] - some[0] + first
            axes.plot(times[inside], row, ".", color=color, ms=1.5)
            middles.append(first + len(some) / 2)
            first += len(some)
        axes.set_yticks(middles, self._populations, rotation=90, va="center")
        axes.set(xlabel="time (ms)", ylim=(-1, first), xlim=(0, shown / ms))


def _micro(conc: Quantity) -> float:
    return float(conc / umolar)


def _name(conc: Quantity) -> str:
    return f"bath of {_micro(conc):g} uM"


def _on_synchrony(table: pd.DataFrame) -> str:
    together = (table.correlation > SYNCHRONOUS).sum()
    if not together:
        return ""
    return (
        f" In {together} of {len(table)} rows the correlation is above {SYNCHRONOUS}: these cells "
        "fire in synchrony, where the theory does not hold."
    )


def _plot_measures(axes: Any, rows: pd.DataFrame, color: str, label: str) -> None:
    """Measures of both populations in one bath against the drive."""
    looks = {"excitatory": ("o", "-"), "inhibitory": ("s", "--")}
    for population, curve in rows.groupby("population"):
        marker, line = looks[population]
        look = {"color": color, "mfc": color if marker == "o" else "none", "ms": 4}
        axes["rate"].plot(curve.drive_Hz, curve.mean_field_Hz, line, color=color, lw=1)
        axes["rate"].plot(curve.drive_Hz, curve.rate_Hz, marker, **look,
                          label=f"{label}, {population}")  # fmt: skip
        for name in ("cv", "correlation"):
            axes[name].plot(curve.drive_Hz, curve[name], f"{marker}{line}", lw=0.8, **look)
