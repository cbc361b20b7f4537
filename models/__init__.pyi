from .circuit import CircuitNeuron as CircuitNeuron
from .classifier import (
    Classifier as Classifier,
    LIFClassifier as LIFClassifier,
    RateClassifier as RateClassifier,
    SpikingClassifier as SpikingClassifier,
)
from .coded_synapse import CodedSynapse as CodedSynapse
from .gain_lif import GainLIF as GainLIF
from .mirror import Mirror as Mirror
from .modulated_layer import ModulatedLayer as ModulatedLayer
from .optocoupler import Optocoupler as Optocoupler
from .receptor_library import library as library
from .receptors import Receptor as Receptor
from .structural import StructuralPlasticity as StructuralPlasticity
from .three_factor import PlasticLIF as PlasticLIF, ThreeFactor as ThreeFactor
