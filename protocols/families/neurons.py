"""The neuron of a protocol: which there are, what receptors do to it, and how it gets a current."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.models.modulation import Modulated
from neuromod.models.own_equations import read_equations
from neuromod.models.receptive import Receptive
from neuromod.models.receptors import Receptor
from neuromod.parameters import parameter
from neuromod.runs.registry import find, how_to_get, names


class Neurons(Mapping[str, Receptive]):
    """Neurons with receptors by name, of this package and of others, loaded when asked for.

    Each has the generic receptor, as the neuron of a protocol has by default.
    """

    def __getitem__(self, name: str) -> Receptive:
        if name == "modulated":
            return Modulated()
        if name not in names("model"):
            raise KeyError(name)
        kind = find("model", name)
        if not (isinstance(kind, type) and issubclass(kind, Receptive)):
            raise KeyError(name)
        neuron: Receptive = kind(receptors=(Receptor(),))
        return neuron

    def __iter__(self) -> Iterator[str]:
        yield "modulated"
        for name in names("model"):
            # What needs more packages, as networks need torch, is not loaded to be listed.
            if not how_to_get("model", name) and name in self:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)


NEURONS = Neurons()


def neuron_setting(default: Receptive | None = None, meaning: str = "the neuron") -> Any:
    """Setting of a protocol's neuron: any with receptors, by its name or made in Python."""
    chosen = GainLIF() if default is None else default
    return parameter(chosen, meaning, "see its own", named=NEURONS, kinds=(Receptive,))


def check_current(neuron: Receptive) -> None:
    """Refuse a neuron into which no current can be injected, or that never spikes."""
    declared = {*read_equations(neuron.equations).parameter_names, *neuron.inputs}
    if neuron.current not in declared:
        raise UserError(
            f"This neuron takes no current {neuron.current}: declare it in the equations, as in "
            f"'{neuron.current} : amp', or name another one by current=."
        )
    if not neuron.threshold:
        raise UserError("This neuron never spikes: give it a threshold.")
