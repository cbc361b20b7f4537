"""Receptors by name, with the source of every number, from the table beside this module."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from brian2 import second, umolar

from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor
from neuromod.parameters import parameter

TABLE = Path(__file__).with_suffix(".toml")
RATE_OF_ANTAGONISTS = 10 * PER_UMOLAR_SECOND


def _receptor(name: str, entry: dict[str, Any]) -> Receptor:
    """A receptor of a class whose defaults are its own, each with its source."""
    K_D, source_of_K_D = entry["K_D"]
    K_B, source_of_K_B = entry["K_B"]
    k_off, source_of_k_off = entry["k_off"]
    tau_messenger, source_of_tau = entry["tau_messenger"]
    cited = {
        "name": (name, entry["full_name"]),
        "ligand": (entry["ligand"], "its transmitter"),
        "k_on": (k_off / second / (K_D * umolar), f"k_off over K_D = {K_D:g} µM: {source_of_K_D}"),
        "k_off": (k_off / second, source_of_k_off),
        "k_on_antagonist": (
            RATE_OF_ANTAGONISTS,
            "estimate: order of binding rates of small molecules",
        ),
        "k_off_antagonist": (
            RATE_OF_ANTAGONISTS * (K_B * umolar),
            f"K_B of {entry['antagonist']} = {1000 * K_B:g} nM: {source_of_K_B}",
        ),
        "tau_messenger": (tau_messenger * second, source_of_tau),
    }
    cited |= {number: entry[number] for number in ("n", "K", "gain_max")}
    fields = []
    for field in dataclasses.fields(Receptor):
        if field.name in cited:
            default, source = cited[field.name]
            about = dataclasses.replace(field.metadata["about"], source=source)
            fields.append((field.name, field.type, parameter(default, **vars(about))))
    said = {"__doc__": entry["about"], "__module__": __name__}
    made = dataclasses.make_dataclass(
        name, fields, bases=(Receptor,), frozen=True, eq=False, namespace=said
    )
    receptor: Receptor = made()
    return receptor


_table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
library: Mapping[str, Receptor] = MappingProxyType(
    {"generic": Receptor()} | {name: _receptor(name, entry) for name, entry in _table.items()}
)
"""Receptors by name. Effects beyond the gain are off in all of them, and so are antagonists."""
