"""Neuromodulatory tuning: images to features to gains. It needs torch (``brian2-neuromod[train]``).

Nothing here is imported by ``import neuromod``.
"""

from neuromod.tuning.attachment import (
    attach,
    detach,
    disabled,
    load_trained,
    load_trained_state_dict,
    merge,
    save_trained,
    trained_parameters,
    trained_state_dict,
    unmerge,
)
from neuromod.tuning.methods.gained import gain_penalty, keep_within, share_gains

__all__ = [
    "attach",
    "detach",
    "disabled",
    "gain_penalty",
    "keep_within",
    "load_trained",
    "load_trained_state_dict",
    "merge",
    "save_trained",
    "share_gains",
    "trained_parameters",
    "trained_state_dict",
    "unmerge",
]
