"""``nt1_inputs``: one gain per input of a layer, the configuration of the paper's table 3."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from neuromod.models.modulated_layer import LayerParameters, in_double
from neuromod.tuning.methods.gained import GainedLayer


class NT1Inputs(GainedLayer):
    """``v = W (a x) + b``; trains the gains ``a``, 1 at the start, one for each input."""

    keeps_projection: ClassVar[bool] = False

    @property
    def n_gains(self) -> int:
        return self.n_inputs

    def project(self, x: Tensor) -> Tensor:
        return super().project(x * self.spread(self.gains[: self.n_inputs]))

    def folded(self) -> LayerParameters:
        frozen = super().folded()
        # A grouped convolution's neurons see only the inputs of their own group.
        groups = self.base.groups if isinstance(self.base, nn.Conv2d) else 1
        seen = in_double(self.gains[: self.n_inputs]).view(groups, -1)
        seen = seen.repeat_interleave(self.n_neurons // groups, 0)
        scale = seen[:, :, None, None] if isinstance(self.base, nn.Conv2d) else seen
        return frozen._replace(weight=frozen.weight * scale)
