"""A pre-trained network as codes that stay in a chip's memory, on which gains are tuned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from brian2 import Quantity, volt

from neuromod.chip.conversion import Design, Layer, deploy, grouped, reachable_gains, stored
from neuromod.errors import UserError
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.classifier import Classifier
from neuromod.models.modulated_layer import ModulatedLayer
from neuromod.protocols.families.chips import check_alone, check_closed_form, supply
from neuromod.support.text import say
from neuromod.tuning.backbone import Backbone, with_weights
from neuromod.tuning.methods.nt1_groups import NT1Groups
from neuromod.tuning.recipe import TuningRecipe

UNTUNED = 0.6 * volt
"""Supply of a gain of 1 (calibrated here, see the protocol chip-network)."""


def untuned_supply(source: str = "calibrated here: that of the protocol chip-network") -> Any:
    """Setting of the supply of a gain of 1."""
    return supply(UNTUNED, "supply of a gain of 1", source)


def check_mirrors(circuit: CircuitNeuron, untuned: Quantity) -> None:
    """Refuse a circuit whose supplies cannot give gains to be tuned."""
    if circuit.synapse != "mirror":
        raise UserError("circuit.synapse must be 'mirror': mirrors are sized for the network.")
    if circuit.law == "table":
        raise UserError(
            "circuit.law must not be table, whose mirrors cannot be sized for the network: take "
            "the law that neuromod fit-mirror finds."
        )
    check_alone(circuit)
    check_closed_form(circuit)
    if not reachable_gains(circuit, untuned)[0] > 0:
        raise UserError(
            f"A threshold of {say(float(circuit.mirror().vto), 'V')} leaves no current at "
            f"{say(circuit.vdd_low)}, and a gain of 0 cannot be tuned: use a lower circuit.vto."
        )


@dataclass(frozen=True, eq=False)
class Memory:
    """Codes of a pre-trained network, which are never rewritten.

    Attributes
    ----------
    circuit : CircuitNeuron
    untuned : Quantity
        Supply at which the gain is 1, volt.
    theta : float
        Threshold in the units of the weights.
    layers : list of Layer
    backbone : Backbone
        With the weights that the codes stand for: what is tuned on it is what runs.
    """

    circuit: CircuitNeuron
    untuned: Quantity
    theta: float
    layers: list[Layer]
    backbone: Backbone

    @classmethod
    def of(
        cls, circuit: CircuitNeuron, untuned: Quantity, backbone: Backbone, theta: float
    ) -> Memory:
        """Store a network's classifier, with mirrors sized by layer."""
        before = [ModulatedLayer(linear).layer_parameters() for linear in backbone.linears]
        design = Design("layer", untuned)
        layers = [deploy(circuit, *layer, theta, design) for layer in before]
        weights = [stored(circuit, layer, theta, untuned) for layer in layers]
        return cls(circuit, untuned, theta, layers, with_weights(backbone, weights))

    def within_reach(self, recipe: TuningRecipe) -> TuningRecipe:
        """The recipe with gains that a supply can give."""
        low, high = reachable_gains(self.circuit, self.untuned)
        return replace(recipe, gain_low=low, gain_high=high)

    def supplied(self, classifier: Classifier) -> list[Layer]:
        """Layers on the chip of a classifier whose groups of synapses were tuned on the codes.

        An output layer that the network did not have is stored as it was trained.
        """
        found = []
        for number, layer in enumerate(classifier.modulated_layers):
            if isinstance(layer, NT1Groups):
                supplies = layer.supplies()
                found.append(grouped(self.circuit, self.layers[number], *supplies, self.untuned))
            else:
                design = Design("layer", self.untuned)
                trained = layer.layer_parameters()
                found.append(deploy(self.circuit, *trained, self.theta, design))
        return found
