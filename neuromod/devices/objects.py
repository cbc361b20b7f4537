"""Brian2 objects of the parts of an experiment."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from itertools import starmap
from typing import Any

import numpy as np
from brian2 import NeuronGroup, Quantity, SpikeGeneratorGroup, Synapses, second
from brian2.equations.equations import SingleEquation
from brian2.utils.stringtools import word_substitute

from neuromod.devices.bundles import Bundle
from neuromod.devices.vectors import held, reading
from neuromod.errors import UserError, listed
from neuromod.experiment import Experiment, PlasticConnection, Population, Spikes
from neuromod.models.integration import HeldCascade
from neuromod.models.own_equations import read_equations
from neuromod.parameters import unit_of


def neurons(population: Population, holding: Iterable[SingleEquation] = ()) -> NeuronGroup:
    """Neurons, every constant of whose model is a parameter: shared, or one for each neuron.

    `holding` is what they compute for their synapses; see `neuromod.devices.vectors`.
    """
    model = population.model
    functions = {name: value for name, value in population.constants.items() if callable(value)}
    numbers = {n: value for n, value in population.constants.items() if n not in functions}
    group = NeuronGroup(
        population.size,
        "\n".join([population.equations, *map(str, holding), *starmap(declared, numbers.items())]),
        threshold=model.threshold,
        reset=model.reset,
        refractory=model.refractory,
        method=_method(population),
        namespace=functions,
        name=f"neurons_{population.name}",
    )
    for name, value in {**model.start, **numbers, **population.completed}.items():
        setattr(group, name, value)
    return group


def _method(population: Population) -> Any:
    """The model's method; an exact one holds what reaches the neurons and moves over a step."""
    model = population.model
    moving = read_equations("\n".join(population.added)).diff_eq_names
    if model.method == "exact" and moving:
        return HeldCascade.under(read_equations(model.equations))
    return model.method


def declared(name: str, value: Any) -> str:
    """Declaration of a constant in Brian2's language, one for all or one for each."""
    flags = "constant" if np.ndim(value) else "shared, constant"
    return f"{name} : {unit_of(value)} ({flags})"


def spike_source(source: Spikes, duration: Quantity, dt: Quantity) -> SpikeGeneratorGroup:
    """Input spikes, and such as never come up to a power of 2: their number stands in the text."""
    count = len(source.neurons)
    beyond = np.arange((1 << max(count, 1).bit_length()) - count)
    steps = beyond // source.size
    last = max([float(duration / second), *np.asarray(source.times / second)])
    never = last * second + (steps + 1) * dt
    return SpikeGeneratorGroup(
        source.size,
        np.append(source.neurons, beyond % source.size),
        Quantity(np.append(source.times / second, never / second), dim=second.dim),
        name=f"neurons_{source.name}",
    )


def synapses(bundle: Bundle, source: Any, target: NeuronGroup, name: str) -> Synapses:
    """Synapses that add weights after a delay, from one group of Brian2's to another.

    A weight is called ``w_`` and the variable that it is added to. Pulses end in a second pathway.
    """
    own = apart([f"w_{variable}" for variable in bundle.weights], target.variables)
    weights = dict(zip(own.values(), bundle.weights.values(), strict=True))
    on_pre, delays = {}, dict(zip(("pre", "pre_end"), bundle.delays, strict=False))
    for pathway, sign in zip(delays, "+-", strict=False):
        adding = zip(bundle.weights, weights, strict=True)
        on_pre[pathway] = "\n".join(f"{variable}_post {sign}= {w}" for variable, w in adding)
    made = Synapses(
        source,
        target,
        "\n".join(starmap(declared, weights.items())),
        on_pre=on_pre,
        delay=delays,
        name=name,
    )
    made.connect(i=bundle.i, j=bundle.j)
    for w, value in weights.items():
        setattr(made, w, value)
    return made


def plastic_synapses(
    changing: PlasticConnection,
    source: Any,
    target: Any,
    name: str,
    names: Mapping[str, str],
    vectors: bool = False,
) -> Synapses:
    """Synapses with equations of their own, whose variables have these names in Brian2.

    With `vectors` they are written as `neuromod.devices.vectors` has it, and their target holds
    what it computes for them.
    """
    model = changing.model
    equations = reading(changing, held(changing)) if vectors else model.equations
    constants = {key: changing.values.get(key, value) for key, value in model.constants.items()}
    text = "\n".join([equations, *starmap(declared, constants.items())])
    method = model.method
    if vectors and hasattr(method, "clipping"):
        method = method.clipping()
    if hasattr(method, "renamed"):
        method = method.renamed(names)
    made = Synapses(
        source,
        target,
        word_substitute(text, names),
        on_pre=word_substitute(model.on_pre, names),
        on_post=word_substitute(model.on_post, names) or None,
        delay=changing.delay,
        method=method,
        name=name,
    )
    # Synapses that change at spikes alone have nothing to step.
    if made.state_updater is not None:
        # GeNN's order, whatever Brian2's is.
        made.state_updater.when, made.state_updater.order = "synapses", -2
    if model.on_post:
        made.post.order = 1
    made.connect(i=changing.i, j=changing.j)
    # A synapse with receptors does not start from 0.
    start = getattr(model, "start", {})
    for key, value in {**start, **constants, **changing.values}.items():
        setattr(made, names.get(key, key), value)
    return made


def apart(own: Iterable[str], taken: Container[str]) -> dict[str, str]:
    """A name for each variable of synapses that their target, whose names are taken, has not."""
    names: dict[str, str] = {}
    for name in own:
        names[name] = name
        while names[name] in taken:
            names[name] += "_syn"
    return names


def own_names(experiment: Experiment) -> dict[str, dict[str, str]]:
    """Names in Brian2 of the variables of plastic connections that their target has too."""
    targets = {population.name: population for population in experiment.populations}
    found = {}
    for changing in experiment.plastic:
        target, model = targets[changing.target], changing.model
        taken = read_equations(target.equations).names | target.constants.keys()
        clashing = (read_equations(model.equations).names | model.constants.keys()) & taken
        # A method of one's own may name variables.
        if clashing and not (isinstance(model.method, str) or hasattr(model.method, "renamed")):
            raise UserError(
                f"{listed(sorted(clashing))} would be a variable of {changing.name} and of "
                f"{target.name}: the neuron needs another name for it."
            )
        names = apart(sorted(clashing), taken)
        # Equations name what they define with d and /dt around it.
        found[changing.name] = names | {f"d{name}": f"d{own}" for name, own in names.items()}
    return found
