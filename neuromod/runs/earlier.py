"""Settings that version 0.1 stored with its runs, for the models of today.

What reaches a neuron, such as a current or a supply, was a parameter of its model in version 0.1.
Where it was left at a value without effect, nothing is lost by leaving it out.
"""

from __future__ import annotations

from collections.abc import Mapping

from neuromod.errors import UserError

# As version 0.1 wrote them. Protocols set the delivery themselves and refused any other.
WITHOUT_EFFECT = {
    "I_ext": ("0.0 * amp",),
    "trained_gain": ("1.0",),
    "conc": ("0.0 * mmolar",),
    "tau_clear": ("1.0 * second",),
    "delivery": ("constant", "exchange"),
    "modulated": ("True", "False"),
    "vdd": ("0.75 * volt",),
    "domains": (",",),
}


def current_settings(stored: Mapping[str, str], known: Mapping[str, object]) -> dict[str, str]:
    """Stored settings without those that are now inputs of a population.

    Parameters
    ----------
    stored : mapping of str to str
        Texts by name, as a run keeps them.
    known : mapping of str to value
        The settings that the protocol has today.

    Raises
    ------
    UserError
        For one that had an effect.
    """
    gone = {n: t for n, t in stored.items() if "." in n and _is_input(n) and n not in known}
    for name, text in gone.items():
        if text not in WITHOUT_EFFECT[name.rpartition(".")[2]]:
            raise UserError(
                f"{name} = {text} is an input of its population now; pass it to the population."
            )
    kept = {name: text for name, text in stored.items() if name not in gone}
    for name, text in gone.items():
        if name.endswith(".modulated") and text == "False":
            receptors = f"{name.removesuffix('modulated')}receptors"
            kept = {n: t for n, t in kept.items() if not f"{n}.".startswith(f"{receptors}.")}
            kept[receptors] = "none"
    return kept


def _is_input(name: str) -> bool:
    return name.rpartition(".")[2] in WITHOUT_EFFECT
