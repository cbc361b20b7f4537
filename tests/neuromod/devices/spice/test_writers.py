"""Circuits of other kinds do as their transistors in ngspice, within what the models leave out.

``python tests/neuromod/devices/spice/test_writers.py`` prints the figures of
docs/explanation/circuit-neurons.md.
"""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import amp, farad, ms, nA, nsecond, pA, second, uA, usecond, volt
from brian2.units.allunits import ffarad

from neuromod.devices.spice.dialects import NGSPICE, PlainNgspice
from neuromod.devices.spice.netlist import netlist, saved
from neuromod.devices.spice.ngspice import run, simulate_in_spice, version
from neuromod.devices.spice.validation import promise, validate
from neuromod.devices.spice.wiring import choose
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.models.axon_hillock import AxonHillock
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.dpi_neuron import DPINeuron

needs_ngspice = pytest.mark.skipif(not version(), reason="ngspice is not installed")


def dpi(model=None, **values):
    values = {"I_dc": [23, 104] * pA} | values
    size = max(np.size(value) for value in values.values())
    cells = Population("cells", model or DPINeuron(), size, values)
    return Experiment(populations=[cells], duration=0.17 * second, dt=20 * usecond)


def hillock(model=None, **values):
    values = {"up": [1.3, 4.7], "mirrors": 1.0} | values
    size = max(np.size(value) for value in values.values())
    cells = Population("cells", model or AxonHillock(), size, values)
    return Experiment(populations=[cells], duration=43 * usecond, dt=20 * nsecond)


def pulsed(experiment, weights, count, apart, width):
    """The same with a train onto every neuron."""
    (cells,) = experiment.populations
    train = Spikes("train", 1, np.zeros(count, int), np.arange(1, count + 1) * apart)
    ends = {"i": np.zeros(cells.size, int), "j": np.arange(cells.size), "width": width}
    wires = [Connection("train", "cells", n, **ends, weight=w) for n, w in weights.items()]
    return replace(experiment, sources=[train], connections=wires)


def compared(experiment):
    return validate(experiment, choose(experiment, ()))


@needs_ngspice
def test_the_dpi_neuron_spikes_as_its_transistors_do():
    table = compared(dpi())
    assert (table.spikes_SPICE >= 2).all()
    assert table.agrees.all(), table.to_string()


@needs_ngspice
def test_what_parts_the_dpi_neuron_from_its_transistors_is_weak_inversion():
    # Sixteen times the specific current, a quarter of the root that weak inversion leaves out.
    off = [
        compared(dpi(replace(DPINeuron(), I_spec=I_spec), I_dc=[104] * pA)).interval_off_percent[0]
        for I_spec in (200 * nA, 3200 * nA)
    ]
    assert off[1] < 0.5 * off[0]


@needs_ngspice
def test_a_train_of_pulses_reaches_the_dpi_synapse_with_its_gain():
    experiment = dpi(gain=[0.6, 1.9], I_dc=1 * pA)
    table = compared(pulsed(experiment, {"I_w": 0.7 * nA}, 25, 6.1 * ms, 1 * ms))
    assert table.spikes_SPICE[1] > table.spikes_SPICE[0] > 0
    assert table.agrees.all(), table.to_string()


@needs_ngspice
def test_the_axon_hillock_spikes_as_its_transistors_do():
    table = compared(hillock())
    assert (table.spikes_SPICE >= 3).all()
    assert table.agrees.all(), table.to_string()


@needs_ngspice
def test_what_parts_the_axon_hillock_from_its_transistors_is_the_inverters_load():
    # An inverter that is driven by a ramp is late by the root of its load.
    off = [
        compared(hillock(AxonHillock(C_load=load * farad), up=[4.7])).interval_off_percent[0]
        for load in (4e-16, 1e-16)
    ]
    assert off[1] == pytest.approx(off[0] / 2, rel=0.3)


@needs_ngspice
def test_pulses_and_mirrors_of_neurons_of_their_own_reach_the_axon_hillock():
    own = {
        "vdd": [0.66, 0.9] * volt,
        "beta": [0.5, 0.43] * uA / volt**2,
        "up": [0, 1.1],
        "mirrors": [0, 1.0],
    }
    driven = pulsed(hillock(**own), {"up": 7.0, "mirrors": 1.0}, 30, 1.3 * usecond, 100 * nsecond)
    table = compared(driven)
    assert (table.spikes_SPICE > 0).all()
    assert table.agrees.all(), table.to_string()


@needs_ngspice
def test_spikes_of_one_neuron_reach_another():
    experiment = hillock(up=[4.7, 0.9])
    ends = {"i": np.array([0]), "j": np.array([1]), "width": 300 * nsecond}
    wires = [
        Connection("cells", "cells", n, **ends, weight=w)
        for n, w in (("up", 5.0), ("mirrors", 1.0))
    ]
    alone, driven = (
        simulate_in_spice(e, choose(e, ())).spikes["cells"].counts()
        for e in (experiment, replace(experiment, connections=wires))
    )
    assert driven[0] == alone[0]
    assert driven[1] > alone[1]


@needs_ngspice
@pytest.mark.parametrize(
    "experiment",
    [
        pytest.param(replace(dpi(I_dc=[104] * pA), duration=60 * ms), id="dpi"),
        pytest.param(replace(hillock(up=[4.7]), duration=20 * usecond), id="hillock"),
    ],
)
def test_without_a_simulator_s_own_parts_the_circuits_do_the_same(experiment):
    held = choose(experiment, ())
    found = [run(netlist(experiment, held, language)) for language in (NGSPICE, PlainNgspice())]
    (_, spike, energy) = saved(held)["cells", 0]
    native, plain = (np.flatnonzero(np.diff(v[spike] > 0.5)) for v in found)
    assert len(native) == len(plain) > 2
    at = [v["time"].to_numpy()[edges] for v, edges in zip(found, (native, plain), strict=True)]
    np.testing.assert_allclose(at[1], at[0], rtol=0.005)
    assert found[1][energy].iloc[-1] == pytest.approx(found[0][energy].iloc[-1], rel=0.005)


@pytest.mark.parametrize("make", [dpi, hillock])
def test_the_netlist_has_transistors_and_the_targets_are_told(make):
    experiment = make()
    text = netlist(experiment, choose(experiment, ()))
    assert ".subckt cells_n d g s b" in text
    assert text.count("\nXcells_") >= 2
    assert "interval off percent 3" in promise(experiment, choose(experiment, ()))


def mixed():
    cells = Population("cells", DPINeuron(), 1)
    chip = Population("chip", CircuitNeuron(), 1)
    return Experiment(populations=[cells, chip], duration=1 * ms, dt=20 * nsecond)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dpi(energy=[0, 0] * amp * volt * second), "energy of single neurons of cells"),
        (lambda: hillock(vto_inverter=[0.4, 0.41] * volt), "vto_inverter of single neurons"),
        (mixed, "chip and cells are different circuits"),
        (
            lambda: pulsed(dpi(), {"v": 0.01 * volt}, 3, 1 * ms, 1 * ms),
            "Connections onto v of cells.*only pulses onto I_w can",
        ),
        (
            lambda: pulsed(hillock(), {"up": 7.0}, 3, 1 * usecond, 100 * nsecond),
            "7 units and 0 references",
        ),
    ],
)
def test_what_no_netlist_can_stand_for_is_refused(make, message):
    experiment = make()
    with pytest.raises(UserError, match=message):
        netlist(experiment, choose(experiment, ()))


def at_gains():
    experiment = dpi(gain=[0.6, 1, 1.9], I_dc=1 * pA)
    return pulsed(experiment, {"I_w": 0.7 * nA}, 25, 6.1 * ms, 1 * ms)


def at_supplies():
    experiment = hillock(vdd=[0.6, 0.75, 0.93] * volt, up=0, mirrors=0)
    return pulsed(experiment, {"up": 7.0, "mirrors": 1.0}, 30, 1.3 * usecond, 100 * nsecond)


SHOWN = {
    "axon-hillock, 5 to 81 nA held": lambda: hillock(up=[0.5, 1.3, 4.7, 8.1]),
    "axon-hillock, pulses at 0.6, 0.75 and 0.93 V": at_supplies,
    "DPI neuron, 13 to 104 pA": lambda: dpi(I_dc=[13, 23, 52, 104] * pA),
    "DPI neuron, pulses at gains of 0.6, 1 and 1.9": at_gains,
}
PARTS = {
    f"loads of {load} fF": lambda load=load: hillock(AxonHillock(C_load=load * ffarad), up=[1.0])
    for load in (4, 1, 0.25)
}
PARTS |= {
    f"inverters of {beta} uA/V^2": lambda beta=beta: hillock(
        AxonHillock(beta_inverter=beta * uA / volt**2), up=[1.0]
    )
    for beta in (50, 200, 800)
}
PARTS |= {
    f"specific currents of {I_spec} nA": lambda I_spec=I_spec: dpi(
        replace(DPINeuron(), I_spec=I_spec * nA), I_dc=[104] * pA
    )
    for I_spec in (50, 200, 3200)
}


def row(name, table):
    """Ranges of a table's columns, in Markdown."""
    columns = ["spikes", "interval_off_percent", "rmse_mV", "rmse_percent", "energy_off_percent"]
    ends = ((table[column].min(), table[column].max()) for column in columns)
    return f"| {name} | {' | '.join(f'{low:.2g} to {high:.2g}' for low, high in ends)} |"


if __name__ == "__main__":
    print(
        "| circuit and input | spikes | interval, % | membrane, mV | of its range, % | energy, % |"
    )
    print("|---|---|---|---|---|---|")
    for name, make in SHOWN.items():
        print(row(name, compared(make())), flush=True)
    for name, make in PARTS.items():
        print(f"{name}: interval {compared(make()).interval_off_percent[0]:.2g} %", flush=True)
