"""What reaches a population, for a group in a Brian2 script of one's own."""

from __future__ import annotations

from typing import Any

from brian2 import Group, NeuronGroup, SpikeGeneratorGroup

from neuromod.devices.bundles import bundled
from neuromod.devices.objects import synapses
from neuromod.errors import UserError, listed
from neuromod.experiment import Input


def deliver(given: Input, group: NeuronGroup, releasing: Group | None = None) -> list[Any]:
    """Lay what was made for a population on a group with the same neurons.

    Parameters
    ----------
    given : Input
        From `bath`, `wash`, `puffs`, `volume`, `trace` or a stimulus, for a population.
    group : NeuronGroup
        Made from the equations of ``population.given(given)``, with its constants as namespace.
    releasing : Group, optional
        Whose spikes release, for `volume`.

    Returns
    -------
    list of Brian2 objects
        Sources and synapses to add to the network; values are set at once.

    Raises
    ------
    UserError
        When the group lacks a variable, or it is not known what releases.
    """
    held = {name: value for name, value in given.values.items() if name in group.variables}
    if lacking := sorted(given.values.keys() - held.keys() - (group.namespace or {}).keys()):
        raise UserError(
            f"{group.name} has no variable {listed(lacking)}: make it from the equations of "
            "population.given(...) with this input."
        )
    sources: dict[str, Any] = {}
    for source in given.sources:
        name = f"{group.name}_{source.name}"
        sources[source.name] = SpikeGeneratorGroup(
            source.size, source.neurons, source.times, name=name
        )
    for wire in given.connections:
        if wire.source not in sources and releasing is None:
            raise UserError(
                f"{wire.source} releases onto {group.name}: give its group of Brian2's, as in "
                "deliver(..., releasing=group)."
            )
    for name, value in held.items():
        setattr(group, name, value)
    made = [
        synapses(
            bundle,
            sources.get(bundle.source, releasing),
            group,
            f"{group.name}_{bundle.source}_{number}",
        )
        for number, bundle in enumerate(bundled(given.connections))
    ]
    return [*sources.values(), *made]
