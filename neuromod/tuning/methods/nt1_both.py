"""``nt1_both``: gains on a layer's inputs and neurons, as many numbers as LoRA of rank 1."""

from neuromod.tuning.methods.nt1 import NT1
from neuromod.tuning.methods.nt1_inputs import NT1Inputs


class NT1Both(NT1, NT1Inputs):
    """``v = a_out (W (a_in x) + b)``; trains both gains, all 1 at the start, ``a_in`` first."""

    @property
    def n_gains(self) -> int:
        return self.n_inputs + self.n_neurons
