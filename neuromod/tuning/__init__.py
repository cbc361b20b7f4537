"""Neuromodulatory tuning: images to features to gains. It needs torch (``brian2-neuromod[train]``).

``import neuromod`` imports nothing of this.
"""

from neuromod.tuning.attachment import attach, detach, disabled, merge, merge_and_unload, unmerge
from neuromod.tuning.checking import check
from neuromod.tuning.ia3 import load_ia3, save_ia3
from neuromod.tuning.methods.gained import gain_penalty, keep_within, share_gains
from neuromod.tuning.trained import (
    load_trained,
    load_trained_state_dict,
    save_trained,
    trained_parameters,
    trained_state_dict,
)

__all__ = [
    "attach",
    "check",
    "detach",
    "disabled",
    "gain_penalty",
    "keep_within",
    "load_ia3",
    "load_trained",
    "load_trained_state_dict",
    "merge",
    "merge_and_unload",
    "save_ia3",
    "save_trained",
    "share_gains",
    "trained_parameters",
    "trained_state_dict",
    "unmerge",
]
