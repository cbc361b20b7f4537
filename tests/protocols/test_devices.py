"""Every protocol gives the same on every device.

``python tests/protocols/test_devices.py`` prints the table of agreements in docs/devices.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from brian2 import Hz, linspace, ms, mV, nA, nsecond, pA, second, umolar, usecond, volt
from brian2.units.allunits import Mhertz

import neuromod
from neuromod.devices.simulation import check_request, simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.protocol import Protocol, Training
from neuromod.protocols import (
    Antagonist,
    BioVsCircuit,
    ChipMismatch,
    DoseResponse,
    Engram,
    GainCurve,
    GainIdentification,
    GainToVdd,
    GainTrace,
    NetworkGain,
    NeuronTable,
    PowerBudget,
    PseudoResistor,
    Puff,
    RewardLearning,
    SynapseFamilies,
    TwoReceptors,
    VddSweep,
    Volume,
    Wash,
    Xor,
)
from neuromod.recording import Recording
from neuromod.runs.registry import find, names


def demo() -> Protocol:
    pytest.importorskip("torch")
    from neuromod.protocols import Demo

    return Demo(methods=("nt1",), seeds=1)


def chip_network() -> Protocol:
    pytest.importorskip("torch")
    from neuromod.protocols import ChipNetwork

    return ChipNetwork(bits=(3,), supplies=(5,), seeds=1, images=3)


def supply_groups() -> Protocol:
    pytest.importorskip("torch")
    from neuromod.protocols import SupplyGroups

    return SupplyGroups(studies=("rails",), rails=(5,), seeds=1, images=3)


def plastic_codes() -> Protocol:
    pytest.importorskip("torch")
    from neuromod.protocols import PlasticCodes

    return PlasticCodes(
        seeds=1, hidden=7, steps=20, episodes=5, calibration=5, bits=(3,), delay=0 * ms
    )


@dataclass(frozen=True)
class Case:
    """A protocol at a small size, and what single precision may change in it.

    Attributes
    ----------
    make : callable
    moved : float
        Largest share of spikes that may come in another time step, be added or missing.
    trace : float
        Largest deviation of a trace before that, as a share of its range.
    spiking : bool
        Whether any neuron spikes.
    """

    make: Callable[[], Protocol]
    moved: float = 0.01
    trace: float = 1e-3
    spiking: bool = True


CURRENTS = linspace(0.4, 1.3, 5) * nA
SHORT = 0.3 * second
PROTOCOLS = {
    "antagonist": Case(
        lambda: Antagonist(
            antagonist=[0.3, 1.1, 4.7] * umolar,
            conc=[0, 0.17, 1.3, 19, 170] * umolar,
            I=[1.3] * nA,
            duration=SHORT,
        )
    ),
    "bio-vs-circuit": Case(
        lambda: BioVsCircuit(gain=np.linspace(0.3, 1.7, 5), duration=31 * usecond)
    ),
    "chip-network": Case(chip_network),
    "demo": Case(demo),
    "dose-response": Case(
        lambda: DoseResponse(
            conc=[0, 0.13, 0.7, 2.9, 31] * umolar, I=[0.7, 1.3] * nA, duration=SHORT
        )
    ),
    "engram": Case(
        lambda: Engram(
            n_excitatory=160,
            n_inhibitory=40,
            n_outside=400,
            indegree=20,
            weight=400 * pA,
            growing=20 * second,
            stimulation=20 * second,
            rest=20 * second,
            forgetting=20 * second,
            cues=np.array([0, 0.5]),
            dwell=0.15 * second,
        ),
        # A recurrent network multiplies the smallest difference.
        moved=0.2,
    ),
    "gain-curve": Case(lambda: GainCurve(conc=[0, 1.7] * umolar, I=CURRENTS, duration=SHORT)),
    "gain-identification": Case(lambda: GainIdentification(I=CURRENTS, trials=1, duration=SHORT)),
    "gain-trace": Case(
        lambda: GainTrace(
            onset=10 * ms, width=31 * ms, duration=90 * ms, bin=30 * ms, bits=(2,), update=2 * ms
        )
    ),
    "mismatch": Case(
        lambda: ChipMismatch(
            vdd=[0.9] * volt,
            trim=[-40, 0, 40] * mV,
            chips=7,
            sizes=np.array([1, 4]),
            supply_noise=[3] * mV,
        )
    ),
    "network-gain": Case(
        lambda: NetworkGain(
            n_excitatory=160,
            n_inhibitory=40,
            indegree=20,
            weight=400 * pA,
            drive=[40, 70] * Hz,
            conc=[0, 1.3] * umolar,
            dwell=0.15 * second,
            transient=0.05 * second,
            sample=20,
        ),
        # A recurrent network multiplies the smallest difference.
        moved=0.2,
    ),
    "plastic-codes": Case(plastic_codes),
    "puff": Case(
        lambda: Puff(
            conc=[3] * umolar,
            width=[100] * ms,
            interval=[0.3] * second,
            puffs=2,
            onset=0.1 * second,
            after=0.3 * second,
        )
    ),
    "pseudo-resistor": Case(
        lambda: PseudoResistor(v=[-90, 0, 90] * mV, duration=3 * usecond), spiking=False
    ),
    "power-budget": Case(
        lambda: PowerBudget(shown_rates=[0.3, 3.3] * Mhertz, duration=31 * usecond)
    ),
    "gain-to-vdd": Case(
        lambda: GainToVdd(vdd=linspace(0.5, 1, 7) * volt, bits=(3,), targets=5), spiking=False
    ),
    "neuron-table": Case(
        lambda: NeuronTable(intervals=[190, 300] * nsecond, duration=11 * usecond)
    ),
    "reward-learning": Case(
        lambda: RewardLearning(
            stimuli=3,
            cells=4,
            duration=13 * second,
            interval=210 * ms,
            lags=[-7, 11] * ms,
            delays=[0.13] * second,
        )
    ),
    "supply-groups": Case(supply_groups),
    "synapse-families": Case(
        lambda: SynapseFamilies(stored=np.array([0, 0.31, 1]), duration=31 * usecond)
    ),
    "two-receptors": Case(
        lambda: TwoReceptors(
            conc_first=[0, 0.7, 3.1] * umolar,
            conc_second=[0, 0.03, 0.7] * umolar,
            I=[0.9, 1.3] * nA,
            duration=SHORT,
        )
    ),
    "volume": Case(
        lambda: Volume(
            cells=23, tau_clear=60 * ms, active=0.3 * second, after=0.1 * second, burst=3
        )
    ),
    "wash": Case(
        lambda: Wash(
            conc=[3] * umolar,
            tau_exchange=[0.03] * second,
            onset=0.1 * second,
            offset=5.2 * second,
            duration=11 * second,
        )
    ),
    "vdd-sweep": Case(lambda: VddSweep(vdd=linspace(0.5, 1, 7) * volt, duration=31 * usecond)),
    "xor": Case(lambda: Xor(vdd=[0.75, 0.9] * volt)),
}


@dataclass(frozen=True)
class Agreement:
    """How far two recordings of one experiment differ.

    Attributes
    ----------
    spikes : int
        Of the first.
    moved : float
        Spikes of either that the other lacks, as a share of all.
    trace : float
        Largest deviation of a trace before the first such spike, as a share of its range.
    """

    spikes: int
    moved: float
    trace: float


def agreement(one: Recording, other: Recording) -> Agreement:
    trains = {name: (trains_of(one, name), trains_of(other, name)) for name in one.spikes}
    total = sum(len(a) + len(b) for a, b in trains.values())
    differing = {name: np.array(sorted(a ^ b), dtype=int) for name, (a, b) in trains.items()}
    steps = [step for spikes in differing.values() for step, _ in spikes]
    end = min(steps, default=len(one.times))
    spikes = sum(len(a) for a, _ in trains.values())
    return Agreement(spikes, len(steps) / max(total, 1), deviation(one, other, end))


def trains_of(recording: Recording, name: str) -> set[tuple[int, int]]:
    """Time step and neuron of every spike."""
    spikes = recording.spikes[name]
    steps = np.round(np.asarray(spikes.times / recording.dt)).astype(int)
    return set(zip(steps.tolist(), spikes.neurons.tolist(), strict=True))


def deviation(one: Recording, other: Recording, end: int) -> float:
    worst = 0.0
    for population, signals in one.signals.items():
        for variable, signal in signals.items():
            a = np.asarray(signal.values)
            b = np.asarray(other.signals[population][variable].values)
            reach = np.ptp(a) or np.abs(a).max() or 1.0
            # The sample after the step of a spike already shows it.
            worst = max(worst, float(np.abs(a - b)[:, : end + 1].max() / reach))
    return worst


def agreements(experiments: dict[str, Experiment], device: str, precision: str) -> Agreement:
    """The worst of a protocol's experiments on a device against Brian2's runtime."""
    found = [
        agreement(simulate(experiment), simulate(experiment, device, precision))
        for experiment in experiments.values()
    ]
    return Agreement(
        sum(a.spikes for a in found), max(a.moved for a in found), max(a.trace for a in found)
    )


def on_genn(name: str, device: str, precision: str) -> Agreement:
    """Agreement of a protocol on GeNN; skips with the reason where there is no GeNN."""
    try:
        check_request(device, precision)
    except UserError as error:
        pytest.skip(str(error))
    return agreements(PROTOCOLS[name].make().experiments(), device, precision)


# They work with torch alone.
TRAININGS = ("cue-association", "pattern-recall", "transfer")


def test_every_protocol_is_compared():
    assert sorted([*PROTOCOLS, *TRAININGS]) == names("protocol")


@pytest.mark.parametrize("name", TRAININGS)
def test_trainings_run_on_no_device(name):
    pytest.importorskip("torch")
    assert issubclass(find("protocol", name), Training)
    with pytest.raises(UserError, match=f"{name} works with torch alone"):
        neuromod.run(name, device="cpp")


# All others, which would take the suite a quarter of an hour of compiling, run with
# `pytest -m thorough`.
USUAL = ("gain-curve",)
NAMES = [
    pytest.param(name, marks=() if name in USUAL else pytest.mark.thorough) for name in PROTOCOLS
]


@pytest.mark.thorough
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", PROTOCOLS)
def test_cython_and_cpp_agree_spike_by_spike_and_sample_by_sample(name):
    found = agreements(PROTOCOLS[name].make().experiments(), "cpp", "double")
    assert (found.spikes > 0) == PROTOCOLS[name].spiking
    assert found.moved == 0
    assert found.trace <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("device", ["genn-cpu", "genn"])
@pytest.mark.parametrize("name", NAMES)
def test_genn_agrees_with_brian2_in_double_precision(name, device):
    found = on_genn(name, device, "double")
    assert (found.spikes > 0) == PROTOCOLS[name].spiking
    assert found.moved == 0
    assert found.trace <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("device", ["genn-cpu", "genn"])
@pytest.mark.parametrize("name", NAMES)
def test_genn_stays_near_brian2_in_single_precision(name, device):
    found = on_genn(name, device, "single")
    assert found.moved <= PROTOCOLS[name].moved
    assert found.trace <= PROTOCOLS[name].trace


def table(devices: list[tuple[str, str]]) -> str:
    """Agreements of every protocol with Brian2's runtime, in Markdown."""
    heads = [f"{device}, {precision}" for device, precision in devices]
    lines = ["| protocol | spikes | " + " | ".join(heads) + " |", "|---" * (len(heads) + 2) + "|"]
    for name, case in PROTOCOLS.items():
        found = [agreements(case.make().experiments(), *device) for device in devices]
        cells = [f"{100 * a.moved:.2g} % moved, {a.trace:.0e}" for a in found]
        lines.append(f"| `{name}` | {found[0].spikes} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


if __name__ == "__main__":
    print(table([("cpp", "double"), ("genn-cpu", "double"), ("genn-cpu", "single")]))
