from .agreement.agree import agree as agree
from .devices.simulation import simulate as simulate
from .errors import UserError as UserError
from .experiment import (
    Connection as Connection,
    Experiment as Experiment,
    Input as Input,
    PlasticConnection as PlasticConnection,
    Population as Population,
    Spikes as Spikes,
    Trace as Trace,
)
from .protocol import Protocol as Protocol, Section as Section, Training as Training
from .recording import Recording as Recording
from .runs.run import load_run as load_run, run as run
from .sweeps.sweep import load_sweep as load_sweep, sweep as sweep

__version__: str
