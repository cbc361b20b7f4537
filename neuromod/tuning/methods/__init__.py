"""The methods of tuning, one file each: what a method trains in a frozen layer.

Every method starts from the network as it is: gains 1, added biases 0, added weights 0.
"""

from neuromod.models.modulated_layer import ModulatedLayer
from neuromod.tuning.methods.additive import Additive
from neuromod.tuning.methods.lora import LoRA
from neuromod.tuning.methods.none import Untuned
from neuromod.tuning.methods.nt1 import NT1
from neuromod.tuning.methods.nt1_bias import NT1Bias
from neuromod.tuning.methods.nt1_both import NT1Both
from neuromod.tuning.methods.nt1_groups import NT1Groups
from neuromod.tuning.methods.nt1_inputs import NT1Inputs
from neuromod.tuning.methods.nt2 import NT2
from neuromod.tuning.methods.probe import Probe
from neuromod.tuning.methods.tft import TFT

METHODS: dict[str, type[ModulatedLayer]] = {
    "none": Untuned,
    "additive": Additive,
    "nt1": NT1,
    "nt1_inputs": NT1Inputs,
    "nt1_both": NT1Both,
    "nt1_groups": NT1Groups,
    "nt1_bias": NT1Bias,
    "nt2": NT2,
    "probe": Probe,
    "lora": LoRA,
    "tft": TFT,
}
