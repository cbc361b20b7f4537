"""What each copy of the network is under in each study, and what became of its memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, kHz, second, umolar

if TYPE_CHECKING:
    from neuromod.protocols.working_memory.protocol import WorkingMemory

STUDIES = ("drive", "concerted", "differential", "puff")
# Receptors that a puff reaches, by the name of the condition.
REACHED: dict[str, tuple[str, ...]] = {
    "none": (),
    "D1": ("D1",),
    "D2": ("D2",),
    "D1 and D2": ("D1", "D2"),
}


@dataclass(frozen=True)
class Course:
    """Times of a task, in seconds from its start; a window is a start and an end.

    Attributes
    ----------
    spontaneous, cue, delay : tuple of float
        Windows before, during and well after the cue.
    distractors : tuple of tuple of float
        Windows of the distractors; a copy has one at most.
    after : tuple of tuple of float
        Windows well after each of them.
    puff : float
        Onset of the puff, if there is one.
    end : float
    """

    spontaneous: tuple[float, float]
    cue: tuple[float, float]
    delay: tuple[float, float]
    distractors: tuple[tuple[float, float], ...]
    after: tuple[tuple[float, float], ...]
    puff: float
    end: float


def course(protocol: WorkingMemory, study: str) -> Course:
    """Times of a study's task."""
    cue, settling, window = (
        float(getattr(protocol, name) / second) for name in ("stimulus", "settling", "window")
    )
    start = settling + window
    quiet = start + cue + settling
    delay = (quiet, quiet + window)
    if study == "puff":
        onsets = delay[1] + np.asarray(protocol.distractor_after / second)
    else:
        onsets = np.array([delay[1]] if study == "concerted" else [])
    distractors = tuple((on, on + cue) for on in onsets)
    after = tuple((off + settling, off + settling + window) for _, off in distractors)
    return Course(
        (settling, start),
        (start, start + cue),
        delay,
        distractors,
        after,
        delay[1],
        max([delay[1], *(end for _, end in after)]),
    )


def conditions(protocol: WorkingMemory, study: str) -> pd.DataFrame:
    """One row for each copy: drive, dopamine, cue, distractor and its number, receptors reached."""
    base: dict[str, Any] = {
        "drive_kHz": float(protocol.drive / kHz),
        "conc_uM": 0.0,
        "cue_Hz": float(protocol.cue / Hz),
        "distractor_Hz": 0.0,
        "distractor": -1,
        "receptors": "D1",
    }
    rows: list[dict[str, Any]] = []
    if study == "drive":
        rows = [{"drive_kHz": drive} for drive in np.asarray(protocol.drives / kHz)]
    elif study == "concerted":
        levels, strengths = protocol.conc / umolar, protocol.strengths / Hz
        rows = [
            {"conc_uM": level, "cue_Hz": strength, "distractor_Hz": strength, "distractor": 0}
            for level, strength in product(np.asarray(levels), np.asarray(strengths))
        ]
    elif study == "differential":
        rows = [{"conc_uM": level} for level in np.asarray(protocol.conc_differential / umolar)]
    else:
        strength = float(protocol.puff_distractor / Hz)
        rows = [
            {"receptors": name, "distractor_Hz": strength, "distractor": number}
            for name, number in product(REACHED, range(len(protocol.distractor_after)))
        ]
    return pd.DataFrame([base | row for row in rows])


def in_mind(groups: np.ndarray, active: float) -> np.ndarray:
    """Which objects are in mind.

    Parameters
    ----------
    groups : ndarray, shape (n, groups)
        Rates of the groups, hertz.
    active : float
        From which rate a group may be active; it is if it also fires twice as much as the quieter
        groups, of which there is a quarter at least.

    Returns
    -------
    ndarray of bool, shape (n, groups)
    """
    quiet = np.quantile(groups, 0.25, axis=1, method="lower", keepdims=True)
    return np.asarray((groups >= active) & (groups >= 2 * quiet))


def outcomes(groups: np.ndarray, active: float) -> np.ndarray:
    """What became of the first object: ``held``, ``distracted``, ``both`` or ``lost``.

    The second object is the distractor; for `groups` and `active` see `in_mind`.
    """
    first, second_one = in_mind(groups, active)[:, :2].T.astype(int)
    return np.asarray(np.array([["lost", "distracted"], ["held", "both"]])[first, second_one])


def factors(receptor: Any, most: float, conc: Quantity, K: Any = None) -> np.ndarray:
    """Steady factor on a conductance: up to `most` at full activation of a receptor.

    Parameters
    ----------
    receptor : Receptor
    most : float
    conc : Quantity, shape (n,)
        Of its ligand, mol/m^3.
    K : float, optional
        Messenger of half activation, in place of the receptor's.
    """
    level = receptor.steady(conc)[f"messenger_{receptor.name}"]
    half = receptor.K if K is None else K
    return np.asarray(1 + (most - 1) * level**receptor.n / (level**receptor.n + half**receptor.n))
