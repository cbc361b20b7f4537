"""What gain the activation of a receptor amounts to, measured under the input that it acts on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, second, umolar

from neuromod.analysis.excitability import equivalent_gain
from neuromod.analysis.spike_trains import between
from neuromod.analysis.thresholds import SETTLING, whole_steps
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes
from neuromod.inputs.events import Entrance
from neuromod.inputs.modulators import bath
from neuromod.models.receptive import Receptive
from neuromod.models.receptors import Receptor
from neuromod.support.text import say

# Concentrations among which baths are looked for, and the lowest of them over the highest; chosen
# here: fine enough to come within a hundredth of any activation.
BATHS, WEAKEST = 4000, 1e-6
NOTHING = 1e-6
"""A difference of activations that is none."""


@dataclass(frozen=True, eq=False)
class Drive:
    """Random input under which a neuron fires.

    Attributes
    ----------
    inputs : Spikes
        Several trains of as many inputs each, one train after the other.
    weights : Quantity or ndarray, shape (inputs of a train,)
    entrance : Entrance
        Where it arrives.
    duration, dt : Quantity
        Of the input, and time step, seconds; the first 0.4 s are not measured.
    """

    inputs: Spikes
    weights: Any
    entrance: Entrance
    duration: Quantity
    dt: Quantity

    @property
    def trains(self) -> int:
        """Number of trains."""
        return self.inputs.size // len(self.weights)


def gain_by_activation(
    neuron: Receptive, wanted: np.ndarray, highest: Quantity, drive: Drive, gains: np.ndarray
) -> pd.DataFrame:
    """Equivalent gain of a neuron at activations of what acts on it, in steady baths.

    A neuron in the bath and one without modulator, whose input is multiplied by a gain, get the
    same spikes. The gain at which both fire as fast is that of the activation; see
    `equivalent_gain`. Receptors do not desensitise here, so that a bath can hold any activation
    that they pass through.

    Parameters
    ----------
    neuron : Receptive
        With one ligand, and one receptor or messenger that acts on it.
    wanted : ndarray, shape (n,)
        Activations.
    highest : Quantity
        Concentration of the strongest bath, mol/m^3.
    drive : Drive
    gains : ndarray, shape (m,)
        Of neurons without modulator, in ascending order.

    Returns
    -------
    DataFrame
        ``activation``, ``conc_uM``, ``rate_Hz`` and ``gain``, in the order of `wanted`. Activations
        are those of the baths, within a hundredth of the range of `wanted`; without modulator the
        gain is 1.

    Raises
    ------
    UserError
        When a bath cannot hold an activation, or the neuron fires as fast as in a bath at none of
        the gains.
    """
    (ligand,), steady = neuron.ligands, _without_desensitisation(neuron)
    baths = _baths(steady, wanted, highest)
    conc = baths.conc_uM.to_numpy()
    rates = _rates(
        steady,
        {ligand: np.concatenate([conc, 0 * gains]) * umolar},
        np.concatenate([np.ones(len(conc)), gains]),
        drive,
    )
    own, curve = rates[: len(conc)], _rising(gains, rates[len(conc) :])
    gain = equivalent_gain(np.ones(len(conc)), own * Hz, curve[0], curve[1] * Hz)
    gain[conc == 0] = 1.0
    if np.any(missing := np.isnan(gain)):
        first = int(np.flatnonzero(missing)[0])
        raise UserError(
            f"At an activation of {say(baths.activation[first], digits=3)} of "
            f"{neuron.acting[0].name} this neuron fires at {say(own[first], 'Hz', 3)}, which "
            f"without modulator it does at no gain on its input from {say(gains[0], digits=3)} to "
            f"{say(gains[-1], digits=3)}: change the receptor's effect, conc, or the input."
        )
    return baths.assign(rate_Hz=own, gain=gain)


def _baths(neuron: Receptive, wanted: np.ndarray, highest: Quantity) -> pd.DataFrame:
    """Activations that steady baths hold, the nearest to those wanted, and concentrations."""
    (ligand,), (part,) = neuron.ligands, neuron.acting
    levels = np.concatenate([[0], np.geomspace(WEAKEST, 1, BATHS)]) * highest
    held = neuron.activations({ligand: levels})[part.name]
    nearest = np.abs(held - wanted[:, np.newaxis]).argmin(axis=1)
    off = np.abs(held[nearest] - wanted)
    if np.any(off > 0.01 * np.ptp(wanted) + NOTHING):
        raise UserError(
            f"No steady bath up to {say(highest)} of {ligand} holds the activation "
            f"{say(wanted[off.argmax()], digits=3)} of {part.name}, at which the gain is to be "
            "measured: use receptors that act in one direction."
        )
    conc = np.asarray(levels[nearest] / umolar)
    return pd.DataFrame({"activation": held[nearest], "conc_uM": conc})


def _without_desensitisation(neuron: Receptive) -> Receptive:
    """The neuron with receptors that stay available."""
    # Every neuron has receptors, as a field of its own class.
    made: Any = neuron
    receptors = tuple(
        replace(part, k_desensitise=0 / second) if isinstance(part, Receptor) else part
        for part in neuron.receptors
    )
    steady: Receptive = replace(made, receptors=receptors)
    return steady


def _rising(gains: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve up to its highest point without the dips that counting spikes leaves in it.

    By isotonic regression (Barlow et al. 1972, Statistical Inference under Order Restrictions);
    gains of one rate are averaged.
    """
    # Imported here because scikit-learn takes its time.
    from sklearn.isotonic import isotonic_regression

    top = int(np.argmax(rates)) + 1
    levels, of = np.unique(isotonic_regression(rates[:top]), return_inverse=True)
    return np.bincount(of, gains[:top]) / np.bincount(of), levels


def _rates(
    neuron: Receptive, conc: dict[str, Quantity], scale: np.ndarray, drive: Drive
) -> np.ndarray:
    """Mean rates over trains, in hertz, of neurons in baths with scaled inputs, shape (n,)."""
    trains, inputs = drive.trains, len(drive.weights)
    size = len(scale) * trains
    baths = {name: np.repeat(level / umolar, trains) * umolar for name, level in conc.items()}
    cells = Population("cells", neuron, size)
    j, k = (side.ravel() for side in np.indices((size, inputs)))
    # Neurons of one bath lie beside each other, one for each train.
    weight = drive.weights[k] * np.repeat(scale, trains)[j]
    arriving = drive.entrance.input(cells, drive.inputs, j % trains * inputs + k, j, weight)
    run = Experiment(populations=[cells], duration=drive.duration, dt=drive.dt)
    spikes = simulate(run.add(bath(cells, baths), arriving)).spikes["cells"]
    start = whole_steps(SETTLING, drive.dt)
    late = between(spikes, start, drive.duration, drive.dt)
    seconds = float((drive.duration - start) / second)
    return np.asarray(late.counts().reshape(-1, trains).mean(axis=1) / seconds)
