"""Fluorescent sensors by name, with the source of every number."""

from __future__ import annotations

from pathlib import Path

from brian2 import second, umolar

from neuromod.models.sensor import Sensor
from neuromod.models.shelf import (
    AFFINITY,
    Entry,
    Shelf,
    check_keys,
    cited,
    field_of,
    read_shelf,
    sourced,
    text,
)
from neuromod.parameters import About

TABLE = Path(__file__).with_suffix(".toml")
UNITS = {"tau_light": second, "dF_max": 1.0}
NEEDED = ("about", "ligand", "K_D", "tau_off", *UNITS)


def _sensor(name: str, entry: Entry) -> Sensor:
    check_keys(name, entry, NEEDED, ())
    K_D, source_of_K_D = sourced(name, entry, "K_D", umolar, AFFINITY)
    decay = About("decay", "", low=0 * second, low_excluded=True)
    tau_off, source_of_tau = sourced(name, entry, "tau_off", second, decay)
    given = {
        key: sourced(name, entry, key, unit, field_of(Sensor, key)) for key, unit in UNITS.items()
    }
    about, ligand = (text(name, entry, key) for key in ("about", "ligand"))
    values = {
        "name": (name, "that of its makers"),
        "ligand": (ligand, "its transmitter"),
        "k_on": (1 / tau_off / K_D, f"k_off over K_D = {entry['K_D'][0]:g} µM: {source_of_K_D}"),
        "k_off": (1 / tau_off, f"decay in {entry['tau_off'][0]:g} s: {source_of_tau}"),
    }
    return cited(Sensor, name, about, values | given)


sensors: Shelf[Sensor] = Shelf("sensor", Sensor, read_shelf(TABLE, _sensor))
"""Fluorescent sensors by name."""
