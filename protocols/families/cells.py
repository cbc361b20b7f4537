"""Settings of protocols on biological neurons: the cell, its current, and the baths it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, ms, nA, second, umolar

from neuromod.analysis.dose_response import (
    closed_form_rates,
    gain_from_rate,
    has_closed_form,
    settled_rates,
)
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.inputs.modulators import bath
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import Parameters, not_negative, parameter, positive
from neuromod.protocol import Protocol
from neuromod.protocols.families.timing import time, time_step
from neuromod.recording import Recording
from neuromod.support.text import say


def concentrations(default: Quantity, meaning: str, why: str, none: bool = True) -> Any:
    """Setting of one or several concentrations; `none` tells whether they may be 0."""
    setting = not_negative if none else positive
    return setting(default, meaning, f"chosen here: {why}")


def current(
    default: Quantity, why: str, meaning: str = "injected current", above_0: bool = False
) -> Any:
    """Setting of one or several currents; `above_0` tells whether all must be above 0 A."""
    setting = positive if above_0 else parameter
    return setting(default, meaning, f"chosen here: {why}")


@dataclass(frozen=True, eq=False)
class CellProtocol(Protocol):
    """Base of protocols on modulated neurons.

    Raises
    ------
    UserError
        When the neuron has no receptor.
    """

    neuron: GainLIF = parameter(GainLIF(), "the neuron", "see its own")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.neuron.receptors:
            raise UserError("The neuron needs a receptor: set receptors to one, such as D1.")

    @property
    def ligand(self) -> str:
        """What the first receptor binds."""
        return self.neuron.receptors[0].ligand

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
class BathProtocol(CellProtocol):
    """Base of protocols on cells that have settled in baths and fire to constant currents.

    There is one cell for every combination of concentrations and current.
    """

    I: Quantity = current(  # noqa: E741
        linspace(0.6, 2.4, 7) * nA,
        "above rheobase for gains from 0.3",
        "injected currents, one cell each in every bath",
        above_0=True,
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
        experiment = Experiment(
            populations=[cells], duration=self.duration, dt=self.dt, seed=self.seed
        )
        return {"bath": experiment.add(bath(cells, conc))}

    @property
    def closed(self) -> bool:
        """Whether rates have a closed form."""
        return has_closed_form(self.neuron)

    def settled(self, recording: Recording) -> pd.DataFrame:
        """Bath, current and rate of every cell, its gain, and the gain recovered from its rate."""
        conc, injected = self.grid()
        gain = self.neuron.steady_gain(conc)
        rate = settled_rates(recording.spikes["neurons"], self.duration)
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

    def check_rheobase(self) -> None:
        """Refuse a weakest current that makes no cell fire, whatever the bath."""
        rheobase = (self.neuron.v_th - self.neuron.v_rest) / self.neuron.R
        gain = self.neuron.steady_gain(self.grid()[0]).max()
        if self.I[0] * gain <= rheobase:
            raise UserError(
                f"I = {say(self.I[0])} is below rheobase in every bath: use more than "
                f"{say(rheobase / gain)}."
            )


def check_ascending(settings: Parameters, **least: int) -> None:
    """Refuse lists of values that are too short or not in ascending order.

    Parameters
    ----------
    settings : Parameters
    **least : int
        Fewest values, by the name of the setting.
    """
    for name, fewest in least.items():
        values = getattr(settings, name)
        if len(values) < fewest or np.any(np.diff(values) <= 0 * values[0]):
            number = f"at least {fewest} values" if fewest > 1 else "values"
            raise UserError(f"{name} must be {number} in ascending order, not {say(values)}.")
