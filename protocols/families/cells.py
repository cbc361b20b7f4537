"""Settings of protocols on biological neurons: the cell, its current, and the baths it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, ms, nA, second, umolar

from neuromod.analysis.rates import (
    closed_form_rates,
    gain_from_rate,
    has_closed_form,
    settled_rates,
)
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Input, Population, Spikes, Trace
from neuromod.inputs.modulators import bath
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor
from neuromod.parameters import Parameters, parameter, positive
from neuromod.protocol import Protocol, Recordings
from neuromod.protocols.families.timing import time, time_step
from neuromod.recording import Recording
from neuromod.support.text import say


@dataclass(frozen=True, eq=False)
class CellProtocol(Protocol):
    """Base of protocols on modulated neurons, which have at least one receptor."""

    neuron: GainLIF = parameter(GainLIF(), "the neuron", "see its own")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.neuron.receptors:
            raise UserError("The neuron needs a receptor: set receptors to one, such as D1.")

    @property
    def receptor(self) -> Receptor:
        """The first receptor."""
        return self.neuron.receptors[0]

    @property
    def ligand(self) -> str:
        """What the first receptor binds."""
        return self.receptor.ligand

    def steady_gain(self, conc: Any) -> np.ndarray:
        """Steady gain at concentrations of `ligand` in uM."""
        return self.neuron.steady_gain({self.ligand: conc * umolar})

    def check_effect(self, conc: Quantity) -> None:
        """Refuse a neuron whose gain is the same at all concentrations of `ligand`."""
        if np.ptp(self.steady_gain(np.array([0, *conc / umolar]))) == 0:
            raise UserError(
                f"{self.ligand} does not change the gain of this neuron: set a gain_max other "
                "than 1."
            )


@dataclass(frozen=True, eq=False)
class DeliveryProtocol(CellProtocol):
    """Base of protocols on cells that fire to one current while a modulator comes and goes."""

    I: Quantity = parameter(0.7 * nA, "injected current", "chosen here: somewhat above rheobase")  # noqa: E741
    dt: Quantity = time_step(1 * ms, "a twentieth of tau_m")

    def delivery(
        self, cells: Population, delivered: Input, duration: Quantity, *traced: str
    ) -> Experiment:
        """Cells that a modulator reaches; its concentration, their gain and more are traced."""
        names = (f"conc_{self.ligand}", "gain", *traced)
        return Experiment(
            populations=[cells],
            traces=[Trace(cells.name, names, np.arange(cells.size))],
            duration=duration,
            dt=self.dt,
            seed=self.seed,
        ).add(delivered)

    def signals(self, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
        """Concentrations in uM and gains of all cells, shape (n, steps)."""
        (signals,) = recording.signals.values()
        conc = np.asarray(signals[f"conc_{self.ligand}"].values / umolar)
        return conc, np.asarray(signals["gain"].values)


@dataclass(frozen=True, eq=False)
class BathProtocol(CellProtocol):
    """Base of protocols on cells settled in baths, one for every bath and constant current."""

    I: Quantity = positive(  # noqa: E741
        linspace(0.6, 2.4, 7) * nA,
        "injected currents, one cell each in every bath",
        "chosen here: above rheobase for gains from 0.3",
    )
    duration: Quantity = time(
        1 * second,
        "length of the run; rates are those of its second half",
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
        """One network, one neuron for every bath and current."""
        conc, injected = self.grid()
        cells = Population("neurons", self.neuron, len(injected), {"I_ext": injected})
        run = Experiment(populations=[cells], duration=self.duration, dt=self.dt, seed=self.seed)
        return {"bath": run.add(bath(cells, conc))}

    @property
    def closed(self) -> bool:
        """Whether rates have a closed form."""
        return has_closed_form(self.neuron)

    def rates(self, spikes: Spikes) -> Quantity:
        """Rate of every cell, here in the second half of the run."""
        return settled_rates(spikes, self.duration)

    def by_cell(self, recordings: Recordings) -> pd.DataFrame:
        """Bath, current and rate of every cell, its gain, and the gain recovered from its rate."""
        conc, injected = self.grid()
        gain, rate = self.neuron.steady_gain(conc), self.rates(recordings["bath"].spikes["neurons"])
        recovered = gain_from_rate(self.neuron, injected, rate, self.dt) if self.closed else np.nan
        baths = {f"conc_{name}_uM": np.asarray(level / umolar) for name, level in conc.items()}
        cells = {
            "current_nA": np.asarray(injected / nA),
            "gain": gain,
            "recovered_gain": recovered,
            "rate_Hz": np.asarray(rate / Hz),
            "closed_form_Hz": closed_form_rates(self.neuron, injected, gain),
        }
        return pd.DataFrame(baths | cells)

    def check_closed(self) -> None:
        """Refuse a neuron from whose rates no gain can be recovered."""
        if not self.closed:
            raise UserError(
                "The gain is recovered by the closed form of the rate, which holds without "
                "after-spike current and K+ conductance: set b and g_K to 0."
            )

    def check_rheobase(self) -> None:
        """Refuse a weakest current that makes no cell fire, whatever the bath."""
        rheobase = (self.neuron.v_th - self.neuron.v_rest) / self.neuron.R
        gain = self.neuron.steady_gain(self.grid()[0]).max()
        if self.I[0] * gain <= rheobase:
            raise UserError(
                f"I = {say(self.I[0])} is below rheobase in every bath: use more than "
                f"{say(rheobase / gain)}."
            )


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


def check_ascending(settings: Parameters, **least: int) -> None:
    """Refuse lists of values, fewer than the least for their name or not in ascending order."""
    for name, fewest in least.items():
        values = getattr(settings, name)
        if len(values) < fewest or np.any(np.diff(values) <= 0 * values[0]):
            number = f"at least {fewest} values" if fewest > 1 else "values"
            raise UserError(f"{name} must be {number} in ascending order, not {say(values)}.")
