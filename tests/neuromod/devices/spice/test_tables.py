"""A table in a netlist is the same interpolation as the model's, says ngspice."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import amp, nsecond, usecond, volt

from neuromod.devices.spice.netlist import netlist
from neuromod.devices.spice.ngspice import version
from neuromod.devices.spice.validation import validate
from neuromod.devices.spice.wiring import choose, pick
from neuromod.errors import UserError
from neuromod.experiment import Population
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.device_table import DeviceTable
from neuromod.models.mirror import Mirror
from neuromod.protocols.vdd_sweep import VddSweep

needs_ngspice = pytest.mark.skipif(not version(), reason="ngspice is not installed")

VDD = np.linspace(0.47, 1.04, 14)
DROPS = np.linspace(0, 1, 9) ** 1.6
EKV = Mirror("ekv", 0.63e-6, 0.37, 17e6, 2 * 1.43 * 0.025852, 0.11)
SQUARE = Mirror("square", 0.63e-6, 0.55, 11e6, 1.0)


def alone(mirror):
    return DeviceTable(at_vdd=VDD * volt, unit_current=mirror.current(mirror.overdrive(VDD)) * amp)


def both():
    current = EKV.output(EKV.overdrive(VDD)[:, None], DROPS, 1.43).ravel()
    return DeviceTable(at_vdd=VDD * volt, at_drop=DROPS * volt, unit_current=current * amp)


CHIPS = {
    "standing": CircuitNeuron(law="table", table=alone(EKV)),
    "below threshold": CircuitNeuron(law="table", table=alone(SQUARE), leak="symmetric"),
    "pulsed": CircuitNeuron(law="table", table=alone(EKV), references="pulsed"),
    "by v": CircuitNeuron(law="table", table=both(), output="mosfet"),
    "by v, pulsed": CircuitNeuron(law="table", table=both(), output="mosfet", references="pulsed"),
}
THOROUGH = ("below threshold", "pulsed", "by v, pulsed")


def sweep(chip):
    vdd = np.array([0.53, 0.71, 0.94]) * volt
    protocol = VddSweep(circuit=chip, vdd=vdd, duration=9 * usecond, dt=1 * nsecond)
    return pick(protocol.experiments(), None)


@needs_ngspice
@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["standing", "by v", *(pytest.param(kind, marks=pytest.mark.thorough) for kind in THOROUGH)],
)
def test_ngspice_finds_the_same_spikes_and_charge(kind):
    run = sweep(CHIPS[kind])
    table = validate(run, choose(run, ()))
    assert table.agrees.all()
    assert table.rmse_mV.max() < 0.02
    assert table.charge_off_percent.max() < 0.01


def test_a_netlist_of_power_domains_has_no_table_by_v():
    chip = CHIPS["by v"]
    run = sweep(chip)
    apart = Population("chip", chip, 3, {"vdd_soma": 0.6 * volt, "vdd_tuft": 0.9 * volt})
    with pytest.raises(UserError, match="2 power domains and a table with currents by v"):
        netlist(replace(run, populations=(apart,), connections=(), traces=()), {"chip": [0]})
