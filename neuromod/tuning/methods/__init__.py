"""The methods of tuning: what each trains in a frozen layer, one file a method.

All leave the network as it is before the first step: gain 1, added bias 0.
"""

from neuromod.models.classifier import ModulatedLayer
from neuromod.tuning.methods.additive import Additive
from neuromod.tuning.methods.none import Untuned
from neuromod.tuning.methods.nt1 import NT1
from neuromod.tuning.methods.nt2 import NT2
from neuromod.tuning.methods.tft import TFT

METHODS: dict[str, type[ModulatedLayer]] = {
    "none": Untuned,
    "additive": Additive,
    "nt1": NT1,
    "nt2": NT2,
    "tft": TFT,
}
