"""Receptors by name, with the source of every number: this package's, others', and from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brian2 import nS, second, umolar

from neuromod.errors import UserError
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor
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

TABLE = Path(__file__).with_suffix(".toml")
RATE_OF_ANTAGONISTS = 10 * PER_UMOLAR_SECOND
UNITS = {
    "k_off": 1 / second,
    "tau_messenger": second,
    "n": 1.0,
    "K": 1.0,
    "gain_max": 1.0,
    "k_desensitise": 1 / second,
    "tau_recover": second,
    "g_K": nS,
    "ahp_max": 1.0,
}
NEEDED = ("about", "full_name", "ligand", "K_D", *list(UNITS)[:5])
OTHER = ("antagonist", "K_B", *list(UNITS)[5:])


def read_receptors(path: str | Path) -> dict[str, Receptor]:
    """Receptors of one's own by name, from a file like this package's ``receptor_library.toml``.

    Every number stands with its source, as in ``K_D = [1.6, "a publication, or chosen here"]``, in
    the units of that file. `antagonist` and `K_B` come together or not at all; `k_desensitise`
    (1/s), `tau_recover` (s), `g_K` (nS) and `ahp_max` may be left out.

    Parameters
    ----------
    path : path
        TOML, with one table for each receptor.

    Raises
    ------
    UserError
        For a file that cannot be read, a key that is missing or unknown, and a number without a
        source or out of its physical range.
    """
    return read_shelf(path, _receptor)


def _receptor(name: str, entry: Entry) -> Receptor:
    check_keys(name, entry, NEEDED, OTHER)
    K_D, source_of_K_D = sourced(name, entry, "K_D", umolar, AFFINITY)
    given = {
        key: sourced(name, entry, key, unit, field_of(Receptor, key))
        for key, unit in UNITS.items()
        if key in entry
    }
    K_D_in_words = f"{entry['K_D'][0]:g} µM"
    values: dict[str, tuple[Any, str]] = {
        "name": (name, text(name, entry, "full_name")),
        "ligand": (text(name, entry, "ligand"), "its transmitter"),
        "k_on": (given["k_off"][0] / K_D, f"k_off over K_D = {K_D_in_words}: {source_of_K_D}"),
    }
    if ("antagonist" in entry) != ("K_B" in entry):
        raise UserError(f"{name} needs both antagonist and K_B, or neither.")
    if "antagonist" in entry:
        K_B, source_of_K_B = sourced(name, entry, "K_B", umolar, AFFINITY)
        rival = text(name, entry, "antagonist")
        values |= {
            "k_on_antagonist": (
                RATE_OF_ANTAGONISTS,
                "estimate: order of binding rates of small molecules",
            ),
            "k_off_antagonist": (
                RATE_OF_ANTAGONISTS * K_B,
                f"K_B of {rival} = {1000 * entry['K_B'][0]:g} nM: {source_of_K_B}",
            ),
        }
    return cited(Receptor, name, text(name, entry, "about"), values | given)


library: Shelf[Receptor] = Shelf(
    "receptor", Receptor, {"generic": Receptor()} | read_receptors(TABLE), read_receptors
)
"""Receptors by name. Effects beyond the gain are off in all of them, and so are antagonists."""
