"""``nt1``: one gain per neuron, the paper's additional bias neuron (section 3.2)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from neuromod.models.modulated_layer import LayerParameters
from neuromod.tuning.methods.gained import GainedLayer


class NT1(GainedLayer):
    """``v = a (W x + b)``; trains the gains ``a``, 1 at the start, one for each neuron."""

    @property
    def of_neurons(self) -> Tensor:
        """Gains of the neurons, shape (neurons,), or (samples, neurons)."""
        return self.gains[..., -self.n_neurons :]

    def respond(self, x: Tensor, **options: Any) -> Tensor:
        return self.times(super().respond(x, **options), self.of_neurons)

    def membrane(self, projection: Tensor) -> Tensor:
        bias = super().tuned_bias(self.stored_bias)
        v = projection if bias is None else projection + self.kind.spread(bias)
        return self.times(v, self.of_neurons)

    def tuned_weight(self, weight: Tensor) -> Tensor:
        gains = self.of_all_samples(self.of_neurons).to(weight)
        return super().tuned_weight(weight) * self.kind.by_neuron(self, gains)

    def tuned_bias(self, bias: Tensor | None) -> Tensor | None:
        bias = super().tuned_bias(bias)
        return None if bias is None else bias * self.of_all_samples(self.of_neurons).to(bias)

    def parted(self, weight: Tensor, bias: Tensor | None) -> LayerParameters:
        gain = self.of_all_samples(self.of_neurons).to(weight)
        weight, bias = super().tuned_weight(weight), super().tuned_bias(bias)
        return LayerParameters(weight, 0 * gain.detach() if bias is None else bias, gain)
