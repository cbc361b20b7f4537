"""Where input spikes arrive in a neuron of any kind: its synaptic current, or its injected one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity, get_dimensions
from brian2.units.fundamentalunits import Dimension

from neuromod.experiment import Connection, Input, Population, Spikes
from neuromod.models.own_equations import read_equations
from neuromod.models.receptive import Receptive
from neuromod.parameters import unit_of

SYNAPTIC = "I_syn"


@dataclass(frozen=True, eq=False)
class Entrance:
    """What an input spike changes in a neuron, and for how long.

    Attributes
    ----------
    variable : str
    width : Quantity or None
        Of the rectangular pulse that a spike is there, seconds; none where the variable decays by
        equations of its own.
    dim : Dimension
        Brian2's, of the variable.
    declared : str
        Equation that makes an input of the model a variable; empty where it is one.
    """

    variable: str
    width: Quantity | None
    dim: Dimension
    declared: str = ""

    @classmethod
    def of(cls, neuron: Receptive, width: Quantity) -> Entrance:
        """Entrance of a neuron: its `I_syn`, or its injected current where it has none.

        Parameters
        ----------
        neuron : Receptive
        width : Quantity
            Of a pulse of what does not decay by itself, seconds.
        """
        own = read_equations(neuron.equations)
        if SYNAPTIC in own.diff_eq_names:
            return cls(SYNAPTIC, None, own[SYNAPTIC].dim)
        name = SYNAPTIC if SYNAPTIC in own.parameter_names else neuron.current
        if name in own.parameter_names:
            return cls(name, width, own[name].dim)
        default = neuron.inputs[name].default
        return cls(name, width, get_dimensions(default), f"{name} : {unit_of(default)}")

    def input(
        self, population: Population, source: Spikes, i: np.ndarray, j: np.ndarray, weight: Any
    ) -> Input:
        """Synapses from a source onto a population of the neuron.

        Parameters
        ----------
        population : Population
        source : Spikes
        i, j : ndarray of int, shape (synapses,)
            Source and target neuron of each.
        weight : Quantity or ndarray, shape (synapses,)
            In the unit of the variable.
        """
        ends = source.name, population.name, self.variable
        synapses = Connection(*ends, i=i, j=j, weight=weight, width=self.width)
        return Input(
            population.name, equations=self.declared, sources=(source,), connections=(synapses,)
        )
