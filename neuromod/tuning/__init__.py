"""Neuromodulatory tuning: images to features to gains. It needs torch (``brian2-neuromod[train]``).

``import neuromod`` imports nothing of this.
"""

from neuromod.tuning.adapters import (
    adapter_in_use,
    adapter_names,
    add_adapter,
    each_sample,
    load_adapter,
    remove_adapter,
    use_adapter,
)
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
    "adapter_in_use",
    "adapter_names",
    "add_adapter",
    "attach",
    "check",
    "detach",
    "disabled",
    "each_sample",
    "gain_penalty",
    "keep_within",
    "load_adapter",
    "load_ia3",
    "load_trained",
    "load_trained_state_dict",
    "merge",
    "merge_and_unload",
    "remove_adapter",
    "save_ia3",
    "save_trained",
    "share_gains",
    "trained_parameters",
    "trained_state_dict",
    "unmerge",
    "use_adapter",
]
