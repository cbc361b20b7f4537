"""What lets each example of the gallery start as a script of its own would."""

from pathlib import Path
from typing import Any

import matplotlib
from brian2 import defaultclock, device, ms, prefs, set_device

from neuromod.support.figures import STYLE


def reset(_conf: dict[str, Any], _example: Path | str | None) -> None:
    """Brian2's preferences, device and clock as after its import; figures in neuromod's look."""
    prefs.reset_to_defaults()
    set_device("runtime")
    device.reinit()
    defaultclock.dt = 0.1 * ms
    matplotlib.rcParams.update(STYLE | {"figure.constrained_layout.use": True, "savefig.dpi": 120})
