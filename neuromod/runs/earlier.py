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
    """Stored texts of settings without those that are now inputs of a population.

    `known` holds the settings that the protocol has today.

    Raises
    ------
    UserError
        For one that had an effect.
    """
    kept = dict(stored)
    for name, text in stored.items():
        model, _, own = name.rpartition(".")
        if not model or own not in WITHOUT_EFFECT or name in known:
            continue
        if text not in WITHOUT_EFFECT[own]:
            raise UserError(
                f"{name} = {text} is an input of its population now; pass it to the population."
            )
        kept.pop(name, None)
        if own == "modulated" and text == "False":
            receptors = f"{model}.receptors"
            kept = {n: t for n, t in kept.items() if not f"{n}.".startswith(f"{receptors}.")}
            kept[receptors] = "none"
    return kept
