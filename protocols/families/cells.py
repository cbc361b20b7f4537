"""Settings of protocols on biological neurons: the cell, its current, and the baths it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, ms, mV, nA, second, umolar

from neuromod.analysis.excitability import (
    equivalent_gain,
    frequency_slope,
    rheobase,
    step_responses,
)
from neuromod.analysis.rates import (
    closed_form_rates,
    gain_from_rate,
    has_closed_form,
    settled_rates,
)
from neuromod.analysis.spike_trains import between, steady_rates
from neuromod.analysis.time_course import integrated_activations, integrated_gain
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Input, Population, Spikes, Trace
from neuromod.inputs.currents import steps
from neuromod.inputs.modulators import bath
from neuromod.inputs.sensors import observed
from neuromod.models.gain_lif import GainLIF
from neuromod.models.messenger import Messenger
from neuromod.models.receptive import Cascade, Receptive
from neuromod.models.receptors import Receptor
from neuromod.models.sensor_library import sensors
from neuromod.parameters import Parameters, parameter, positive
from neuromod.protocol import Protocol, Recordings, Section, Tables
from neuromod.protocols.families.neurons import check_current, neuron_setting
from neuromod.protocols.families.timing import sampling, time, time_step
from neuromod.recording import Recording
from neuromod.support.text import percent, say

NO_SENSOR = "none"
# Before and after a step of current, for the membrane to rest; chosen here: ten membrane time
# constants, and twice those of a slow after-hyperpolarisation.
SETTLING, AFTER = 0.4 * second, 0.4 * second
# Points of the f-I curve without modulator, and how far beyond the currents it reaches either way.
CONTROLS, REACH = 240, 3.0
SHAPE = ("latency_ms", "adaptation_index", "ahp_mV")
"""Columns of `excitability` that are of the strongest current."""


@dataclass(frozen=True, eq=False)
class CellProtocol(Protocol):
    """Base of protocols on modulated neurons, which have at least one receptor."""

    neuron: Receptive = neuron_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.neuron.receptors:
            raise UserError("The neuron needs a receptor: set receptors to one, such as D1.")
        check_current(self.neuron)

    @property
    def receptor(self) -> Receptor:
        """The first receptor."""
        return self.neuron.sites[0]

    @property
    def ligand(self) -> str:
        """What the first receptor binds."""
        return self.receptor.ligand

    @property
    def closed(self) -> bool:
        """Whether rates have a closed form."""
        return has_closed_form(self.neuron)

    @property
    def gain_alone(self) -> bool:
        """Whether all that receptors do to the neuron is to scale its input."""
        return self.neuron.gain_alone

    def steady_gain(self, conc: Any) -> np.ndarray:
        """Steady gain at concentrations of `ligand` in uM."""
        return self.neuron.steady_gain({self.ligand: conc * umolar})

    def check_effect(self, conc: Quantity) -> None:
        """Refuse a neuron to which all concentrations of `ligand` do the same."""
        levels = np.array([0, *conc / umolar]) * umolar
        activations = self.neuron.activations({self.ligand: levels})
        if not any(np.ptp(activations[part.name]) > 0 for part in self.neuron.effective):
            raise UserError(
                f"{self.ligand} does nothing to this neuron: set a gain_max other than 1, or "
                "another effect of a receptor."
            )


@dataclass(frozen=True, eq=False)
class DeliveryProtocol(CellProtocol):
    """Base of protocols on cells that fire to one current while a modulator comes and goes."""

    I: Quantity = parameter(0.7 * nA, "injected current", "chosen here: somewhat above rheobase")  # noqa: E741
    dt: Quantity = time_step(1 * ms, "a twentieth of tau_m")
    sensor: str = parameter(
        NO_SENSOR,
        "fluorescent sensor of the modulator, whose dff_SENSOR is traced, as in photometry; none: "
        "no sensor",
        "chosen here",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sensor != NO_SENSOR and sensors[self.sensor].ligand != self.ligand:
            raise UserError(
                f"{self.sensor} is a sensor of {sensors[self.sensor].ligand}, and the first "
                f"receptor binds {self.ligand}."
            )

    def delivery(
        self, cells: Population, delivered: Input, duration: Quantity, *traced: str
    ) -> Experiment:
        """Cells that a modulator reaches; its concentration, their gain and more are traced."""
        names = (f"conc_{self.ligand}", self._traced, *traced)
        if self.sensor != NO_SENSOR:
            cells = cells.given(observed(cells, sensors[self.sensor]))
            names = (*names, f"dff_{self.sensor}")
        trace = Trace(cells.name, names, np.arange(cells.size), self.every)
        return Experiment(
            populations=[cells], traces=[trace], duration=duration, dt=self.dt, seed=self.seed
        ).add(delivered)

    @property
    def every(self) -> Quantity:
        """Interval between samples of traces."""
        return self.dt

    @property
    def effect(self) -> str:
        """What is followed in time: the gain, or the activation behind other effects."""
        changes = self.neuron.has_gain and any(part.gain_max != 1 for part in self._driven)
        return "gain" if changes else "activation"

    def steady_effect(self, conc: Any) -> np.ndarray:
        """The steady gain, or activation, at concentrations of `ligand` in uM."""
        if self.effect == "gain":
            return self.steady_gain(conc)
        activations = self.neuron.activations({self.ligand: conc * umolar})
        return activations[self._driven[0].name]

    def integrated(self, conc: Any, times: Quantity, kinks: Any) -> np.ndarray:
        """The gain, or activation, by an independent integration, shape (n, samples)."""
        if self.effect == "gain":
            return integrated_gain(self.neuron, conc, times, kinks)
        return integrated_activations(self.neuron, conc, times, kinks)[self._driven[0].name]

    def signals(self, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
        """Concentrations in uM and gains, or activations, of all cells, shape (n, samples)."""
        (signals,) = recording.signals.values()
        conc = np.asarray(signals[f"conc_{self.ligand}"].values / umolar)
        return conc, np.asarray(signals[self._traced].values)

    def told(self, tables: Tables) -> Tables:
        """Tables whose columns are named by the effect, where that is not the gain."""
        return _renamed(tables, "gain", self.effect)

    def as_gains(self, tables: Tables) -> Tables:
        """The same tables with columns named as those of gains."""
        return _renamed(tables, self.effect, "gain")

    @property
    def _traced(self) -> str:
        """Variable of the effect."""
        return "gain" if self.effect == "gain" else f"activation_{self._driven[0].name}"

    @property
    def _driven(self) -> tuple[Cascade, ...]:
        """What acts on the neuron and depends on the ligand."""
        bind = {site.name for site in self.neuron.sites if self.ligand in site.ligands}
        return tuple(
            part
            for part in self.neuron.acting
            if part.name in bind or (isinstance(part, Messenger) and bind & set(part.sources))
        )


@dataclass(frozen=True, eq=False)
class BathProtocol(CellProtocol):
    """Base of protocols on cells settled in baths, one for every bath and constant current.

    Where rates have no closed form, currents are steps after the cells have settled, and a finer
    f-I curve of cells without modulator is the measure of what a modulator does.
    """

    I: Quantity = positive(  # noqa: E741
        linspace(0.6, 2.4, 7) * nA,
        "injected currents, one cell each in every bath",
        "chosen here: above rheobase for gains from 0.3",
    )
    duration: Quantity = time(
        1 * second,
        "length of the current; rates are those of its second half",
        "an after-spike current of 200 ms has settled by half of it",
    )
    dt: Quantity = time_step(0.05 * ms, "intervals are off by half a step on average")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, I=1)

    @property
    def doses(self) -> dict[str, Quantity]:
        """Concentrations to combine, by ligand, each of shape (n,)."""
        raise NotImplementedError

    def grid(self) -> tuple[dict[str, Quantity], Quantity]:
        """Concentrations by ligand, and current, of every neuron; the current changes fastest."""
        axes = [*(conc / umolar for conc in self.doses.values()), self.I / nA]
        *levels, injected = (side.ravel() for side in np.meshgrid(*axes, indexing="ij"))
        conc = {name: level * umolar for name, level in zip(self.doses, levels, strict=True)}
        return conc, injected * nA

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron for every bath and current; a second for the control curve."""
        conc, injected = self.grid()
        if not self.closed:
            control = dict.fromkeys(conc, np.zeros(CONTROLS) * umolar)
            return {
                "bath": self._stepped(conc, injected, traced=True),
                "control": self._stepped(control, self._control_currents, traced=False),
            }
        cells = Population("neurons", self.neuron, len(injected), {"I_ext": injected})
        run = Experiment(populations=[cells], duration=self.duration, dt=self.dt, seed=self.seed)
        return {"bath": run.add(bath(cells, conc))}

    @property
    def lif(self) -> GainLIF:
        """The neuron, where rates have a closed form."""
        return cast(GainLIF, self.neuron)

    def rates(self, spikes: Spikes) -> Quantity:
        """Rate of every cell, here in the second half of the run."""
        return settled_rates(spikes, self.duration)

    def by_cell(self, recordings: Recordings) -> pd.DataFrame:
        """Bath and current of every cell, its rate and gain, and the gain recovered from its rate.

        With a closed form beside the rate, and what else was measured where there is none.
        """
        conc, injected = self.grid()
        baths = {f"conc_{name}_uM": np.asarray(level / umolar) for name, level in conc.items()}
        cells = baths | {"current_nA": np.asarray(injected / nA)}
        if self.neuron.has_gain:
            cells["gain"] = self.neuron.steady_gain(conc)
        return pd.DataFrame(
            cells | (self._in_closed_form if self.closed else self._measured)(recordings)
        )

    def excitability(self, cells: pd.DataFrame) -> pd.DataFrame:
        """Rest, rheobase, slope and shape of spike trains in every bath, of `by_cell`'s cells."""
        baths = [name for name in cells if name.startswith("conc_")]
        rows = []
        for bathed, curve in cells.groupby(baths):
            current, rate = curve.current_nA.to_numpy() * nA, curve.rate_Hz.to_numpy() * Hz
            strongest = curve.iloc[-1]
            rows.append(
                dict(zip(baths, np.atleast_1d(bathed), strict=True))
                | {
                    "rest_mV": curve.rest_mV.mean(),
                    "rheobase_nA": float(rheobase(current, curve.latency_ms.notna()) / nA),
                    "slope_Hz_per_nA": float(frequency_slope(current, rate) / (Hz / nA)),
                }
                | {name: strongest[name] for name in SHAPE}
            )
        return pd.DataFrame(rows)

    def about_recovered(self, gains: pd.DataFrame) -> str:
        """How the gain is recovered without a closed form, and how near it comes to what is set."""
        words = (
            "The rate of this neuron has no closed form. Its gain is measured instead: the current "
            "at which a cell without modulator fires as fast, over the current injected. Where "
            "modulation does something else than scale the current, that ratio depends on the "
            "current, and the table has means over currents and their standard errors."
        )
        if gains.recovered_gain.isna().any():
            words += (
                " It is missing where no cell fired, and where the curve without modulator does "
                "not rise to a cell's rate, or falls first; a longer duration makes it smoother."
            )
        if not self.gain_alone:
            return words
        off = (gains.recovered_gain / gains.gain - 1).abs().max()
        return f"{words} It differs from the gain that receptors set by at most {percent(off, 2)}."

    def about_excitability(self, tables: Tables) -> list[Section]:
        """Section on what was measured instead of closed forms; none where there are some."""
        if "excitability" not in tables:
            return []
        words = (
            f"Cells settled in their bath for {say(SETTLING)} before the step of current. Rest is "
            "the mean potential before it, rheobase lies between the strongest current without a "
            "spike and the weakest with one (empty where all currents fire), and the slope is that "
            "of a line through the rates of firing cells. At the strongest current there are the "
            "latency of the first spike, the adaptation index (mean of the difference of "
            "successive intervals over their sum) and how far the membrane falls below rest after "
            "the step."
        )
        return [Section("Excitability", words, "excitability")]

    def check_rheobase(self) -> None:
        """Refuse a weakest current that makes no cell fire, whatever the bath."""
        neuron = self.neuron
        if not has_closed_form(neuron):
            return
        weakest = (neuron.v_th - neuron.v_rest) / neuron.R
        gain = neuron.steady_gain(self.grid()[0]).max()
        if self.I[0] * gain <= weakest:
            raise UserError(
                f"I = {say(self.I[0])} is below rheobase in every bath: use more than "
                f"{say(weakest / gain)}."
            )

    @property
    def _control_currents(self) -> Quantity:
        """From a fraction of the weakest current to beyond the strongest times the gain."""
        most = (
            float(np.max(self.neuron.steady_gain(self.grid()[0]))) if self.neuron.has_gain else 1.0
        )
        ends = self.I[0] / nA / REACH, self.I[-1] / nA * max(1.0, most) * REACH
        return np.geomspace(*ends, CONTROLS) * nA

    def _stepped(self, conc: dict[str, Quantity], injected: Quantity, traced: bool) -> Experiment:
        """Cells that settle in their baths, then receive their current, then rest again."""
        cells = Population("neurons", self.neuron, len(injected))
        kept = np.arange(cells.size if traced else 0)
        run = Experiment(
            populations=[cells],
            traces=[Trace("neurons", self.neuron.potential, kept, self._every)] if traced else [],
            duration=SETTLING + self.duration + AFTER,
            dt=self.dt,
            seed=self.seed,
        )
        ends = np.array([0, float(self.duration / second)]) * second + SETTLING
        current = np.stack([injected / nA, 0 * injected / nA]) * nA
        return run.add(bath(cells, conc), steps(cells, ends, current, self.dt))

    @property
    def _every(self) -> Quantity:
        """Interval between samples of the potential."""
        return sampling(0.5 * ms, self.dt, SETTLING, self.duration)

    def _in_closed_form(self, recordings: Recordings) -> dict[str, Any]:
        """Rates, and what the closed form says about them."""
        conc, injected = self.grid()
        gain, rate = self.neuron.steady_gain(conc), self.rates(recordings["bath"].spikes["neurons"])
        return {
            "recovered_gain": gain_from_rate(self.lif, injected, rate, self.dt),
            "rate_Hz": np.asarray(rate / Hz),
            "closed_form_Hz": closed_form_rates(self.neuron, injected, gain),
        }

    def _measured(self, recordings: Recordings) -> dict[str, Any]:
        """Rates, the gain on a current that does the same, and more of the steps' responses."""
        _, injected = self.grid()
        recording, control = recordings["bath"], recordings["control"]
        ends = SETTLING, SETTLING + self.duration
        potential = recording.signals["neurons"][self.neuron.potential].values
        times = recording.times_of("neurons", self.neuron.potential)
        found = step_responses(potential, times, recording.spikes["neurons"], *ends)
        late = between(control.spikes["neurons"], ends[0] + self.duration / 2, ends[1], self.dt)
        curve = self._control_currents, steady_rates(late)
        if not np.any(found.rate > 0 * Hz):
            raise UserError(
                f"No cell fired at I = {say(self.I[0])} to {say(self.I[-1])}: use stronger "
                "currents."
            )
        # A basal messenger gives cells a gain without any ligand, too.
        basal = float(self.neuron.steady_gain({})) if self.gain_alone else 1.0
        return {
            "recovered_gain": basal * equivalent_gain(injected, found.rate, *curve),
            "rate_Hz": np.asarray(found.rate / Hz),
            "rest_mV": np.asarray(found.rest / mV),
            "latency_ms": np.asarray(found.latency / ms),
            "adaptation_index": found.adaptation,
            "ahp_mV": np.asarray(found.ahp / mV),
        }


def robust_fits() -> Any:
    """Setting of whether fits give outliers less weight."""
    return parameter(
        False,
        "whether outliers have less weight in fits, by Tukey's biweight",
        "chosen here: simulated cells have no outliers",
    )


def about_outliers(fits: pd.DataFrame, points: int) -> str:
    """A sentence on points with less weight, behind a space; nothing for ordinary fits."""
    if "down_weighted" not in fits:
        return ""
    counted = say(int(fits.down_weighted.sum()))
    return (
        f" Outliers have less weight, by Tukey's biweight: {counted} of {say(points)} points have "
        "less than half of the full weight."
    )


def _renamed(tables: Tables, old: str, new: str) -> Tables:
    return {
        name: table.rename(columns=lambda column: column.replace(old, new))
        for name, table in tables.items()
    }


def check_ascending(settings: Parameters, **least: int) -> None:
    """Refuse lists of values, fewer than the least for their name or not in ascending order."""
    for name, fewest in least.items():
        values = getattr(settings, name)
        if len(values) < fewest or np.any(np.diff(values) <= 0 * values[0]):
            number = f"at least {fewest} values" if fewest > 1 else "values"
            raise UserError(f"{name} must be {number} in ascending order, not {say(values)}.")
