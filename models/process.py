"""Circuit neurons of several processes by name, with the source of every number.

A transistor's `beta` is the process's transconductance parameter times W over L. As in the square
law it is that of ``I = beta/2*(V_G - vto)**2``: EKV's own, divided by the slope factor. Of both
types of transistors the n-type's values are taken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brian2 import Mohm, kelvin, mV, uA, um, volt
from brian2.units.allunits import ffarad

from neuromod.errors import UserError, short
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.shelf import (
    Entry,
    Shelf,
    check_keys,
    cited,
    field_of,
    read_shelf,
    sourced,
    text,
)
from neuromod.parameters import About, check

TABLE = Path(__file__).with_name("process_library.toml")
PER_SQUARE = uA / volt**2
KP = About("transconductance parameter", "", low=0 * PER_SQUARE, low_excluded=True)
UNITS = {
    "W": um,
    "L": um,
    "vto": volt,
    "slope_factor": 1.0,
    "R_S": Mohm,
    "V_core": volt,
    "vdd_low": volt,
    "vdd_reference": volt,
    "vdd_high": volt,
    "A_vt": mV * um,
    "A_beta": um,
    "corner_vto": mV,
    "corner_beta": 1.0,
    "C_ox": ffarad / um**2,
    "channel_modulation": 1 / volt,
    "vto_drift": mV / kelvin,
    "mobility_exponent": 1.0,
}
NEEDED = ("about", "law", "KP", *UNITS)


def read_circuits(path: str | Path) -> dict[str, CircuitNeuron]:
    """Circuit neurons of one's own by name, from a file like this package's.

    ``process_library.toml`` has the keys and their units; all are needed, each with its source, as
    in ``vto = [0.42, "fitted to a sweep"]``.

    Parameters
    ----------
    path : path
        TOML, with one table for each.

    Raises
    ------
    UserError
        For a file that cannot be read, a key that is missing or unknown, a number without a source
        or out of its physical range, and numbers that do not go together.
    """
    # Run records name it so, and find it again.
    return read_shelf(path, lambda name, entry: _circuit(f"{path}:{name}", name, entry))


def _circuit(full_name: str, name: str, entry: Entry) -> CircuitNeuron:
    check_keys(name, entry, NEEDED, ())
    given = {
        key: sourced(name, entry, key, unit, field_of(CircuitNeuron, key))
        for key, unit in UNITS.items()
    }
    parameter, source = sourced(name, entry, "KP", PER_SQUARE, KP)
    width, length = given["W"][0], given["L"][0]
    beta = parameter * width / length, f"KP*W/L, KP = {entry['KP'][0]:g} uA/V^2: {source}"
    words = text(name, entry, "about")
    return cited(CircuitNeuron, full_name, words, {"law": _law(name, entry), "beta": beta} | given)


def _law(name: str, entry: Entry) -> tuple[Any, str]:
    """The law of a table's transistors, and where it comes from."""
    found = entry["law"]
    if not isinstance(found, list) or len(found) != 2 or not all(isinstance(f, str) for f in found):
        raise UserError(
            f'law of {name} must be a law and its source, such as ["ekv", "moderate inversion"], '
            f"not {short(found)}."
        )
    about = field_of(CircuitNeuron, "law")
    return check(f"law of {name}", found[0], "square", about), found[1]


def _own() -> dict[str, CircuitNeuron]:
    return read_shelf(TABLE, lambda name, entry: _circuit(name, name, entry))


circuits: Shelf[CircuitNeuron] = Shelf(
    "circuit", CircuitNeuron, {"calibrated": CircuitNeuron()} | _own(), read_circuits
)
"""Circuit neurons by the name of their process; ``calibrated`` is the default."""
