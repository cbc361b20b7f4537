"""``nt1_inputs``: one gain per input of a layer, the configuration of the paper's table 3."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from neuromod.tuning.methods.gained import GainedLayer


class NT1Inputs(GainedLayer):
    """``v = W (a x) + b``; trains the gains ``a``, 1 at the start, one for each input."""

    keeps_projection: ClassVar[bool] = False

    @property
    def n_gains(self) -> int:
        return self.n_inputs

    @property
    def of_inputs(self) -> Tensor:
        """Gains of the inputs, shape (inputs,), or (samples, inputs)."""
        return self.gains[..., : self.n_inputs]

    def respond(self, x: Tensor, **options: Any) -> Tensor:
        return super().respond(self.times(x, self.of_inputs), **options)

    def project(self, x: Tensor) -> Tensor:
        return super().project(self.times(x, self.of_inputs))

    def tuned_weight(self, weight: Tensor) -> Tensor:
        gains = self.of_all_samples(self.of_inputs).to(weight)
        return super().tuned_weight(weight) * self.kind.by_input(self, gains)
