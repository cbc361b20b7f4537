from .adaptive_plasticity import AdaptiveSynapse as AdaptiveSynapse, DiehlCookCell as DiehlCookCell
from .adex import AdEx as AdEx
from .axon_hillock import AxonHillock as AxonHillock
from .brunel_wang import (
    BrunelWangCell as BrunelWangCell,
    BrunelWangInterneuron as BrunelWangInterneuron,
    SaturatingNMDA as SaturatingNMDA,
)
from .circuit import CircuitNeuron as CircuitNeuron
from .classifier import (
    Classifier as Classifier,
    LIFClassifier as LIFClassifier,
    RateClassifier as RateClassifier,
    SpikingClassifier as SpikingClassifier,
)
from .coba_lif import CobaLIF as CobaLIF
from .coded_synapse import CodedSynapse as CodedSynapse
from .conductances import Conductances as Conductances, with_conductances as with_conductances
from .digital_synapse import DigitalSynapse as DigitalSynapse, TaughtLIF as TaughtLIF
from .dpi_neuron import DPINeuron as DPINeuron
from .effects import (
    scaled_by as scaled_by,
    shifted_by as shifted_by,
    suppressed_by as suppressed_by,
)
from .gain_lif import GainLIF as GainLIF
from .hodgkin_huxley import HodgkinHuxley as HodgkinHuxley
from .izhikevich import Izhikevich as Izhikevich
from .messenger import Messenger as Messenger
from .mirror import Mirror as Mirror
from .modulated_layer import ModulatedLayer as ModulatedLayer
from .modulation import (
    Modulated as Modulated,
    ModulatedSynapse as ModulatedSynapse,
    modulate as modulate,
    modulate_synapse as modulate_synapse,
)
from .optocoupler import Optocoupler as Optocoupler
from .pospischil import BurstingHH as BurstingHH, CorticalHH as CorticalHH
from .postsynaptic import Postsynaptic as Postsynaptic, with_plasticity as with_plasticity
from .process import circuits as circuits, read_circuits as read_circuits
from .receptor_library import library as library, read_receptors as read_receptors
from .receptors import Receptor as Receptor
from .sensor import Sensor as Sensor
from .sensor_library import sensors as sensors
from .short_term_plasticity import TsodyksMarkram as TsodyksMarkram
from .structural import StructuralPlasticity as StructuralPlasticity
from .three_factor import PlasticLIF as PlasticLIF, ThreeFactor as ThreeFactor
