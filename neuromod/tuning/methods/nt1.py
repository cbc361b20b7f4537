"""``nt1``: one gain per neuron, the paper's additional bias neuron (section 3.2)."""

from __future__ import annotations

from torch import Tensor

from neuromod.models.modulated_layer import LayerParameters, in_double
from neuromod.tuning.methods.gained import GainedLayer


class NT1(GainedLayer):
    """``v = a (W x + b)``; trains the gains ``a``, 1 at the start, one for each neuron."""

    def membrane(self, projection: Tensor) -> Tensor:
        return self.spread(self.gains[-self.n_neurons :]) * super().membrane(projection)

    def folded(self) -> LayerParameters:
        return super().folded()._replace(gain=in_double(self.gains[-self.n_neurons :]))
