"""What a neuron takes on a chip, added up by hand."""

from __future__ import annotations

import pytest
from brian2 import Mohm, kohm, um
from brian2.units.allunits import ffarad

from neuromod.chip.area import Layout, area_ledger, largest_load
from neuromod.models.circuit import CircuitNeuron

LAYOUT = Layout(
    core=91 * um**2,
    capacitance=1.7 * ffarad / um**2,
    sheet=1.3 * kohm,
    strip=0.4 * um,
    strip_space=0.3 * um,
    space=0.2 * um,
    bit=1.5 * um**2,
)
CHIP = CircuitNeuron(bits=4, C=68 * ffarad, R_S=0.52 * Mohm, W=0.3 * um, L=1.8 * um)


def areas(circuit, layout, synapses):
    return area_ledger(circuit, layout, synapses).set_index("entry").area_um2


def test_every_entry_is_what_its_devices_take():
    table = area_ledger(CHIP, LAYOUT, 2).set_index("entry")
    expected = {
        "core": 91,
        "membrane capacitor": 40,
        # Two codes of four bits and a sign.
        "memory": 15,
        # A reference and 1 + 2 + 4 + 8 sources in each of four mirrors, 0.5 um by 2 um.
        "mirrors' transistors": 64,
        # 400 squares of 0.4 um by 0.7 um.
        "mirrors' loads": 4 * 112,
    }
    assert table.area_um2.drop("total").to_dict() == pytest.approx(expected, rel=1e-12)
    assert table.area_um2["total"] == pytest.approx(658, rel=1e-12)
    assert table.percent["mirrors' loads"] == pytest.approx(100 * 448 / 658, rel=1e-12)
    assert (table.source != "").all()


def test_the_papers_core_with_its_capacitor_is_that_of_its_table():
    table = areas(CircuitNeuron(), Layout(), 3)
    assert table["core"] + table["membrane capacitor"] == pytest.approx(132, rel=1e-12)


def test_a_load_of_20_mohm_is_larger_than_the_papers_neuron():
    # 10 000 squares of 0.35 um, 0.48 um apart: 3.5 mm of a strip, and 1225 um^2 without any space.
    assert float(Layout().resistor(20 * Mohm) / um**2) == pytest.approx(3500 * 0.83, rel=1e-12)
    bare = Layout(strip_space=0 * um)
    assert float(bare.resistor(20 * Mohm) / um**2) == pytest.approx(1225, rel=1e-12)


def test_the_largest_load_fills_the_papers_neuron():
    load = largest_load(CHIP, LAYOUT, 2)
    assert float(load / Mohm) == pytest.approx((598 - 210) / 4 / (0.4 * 0.7) * 1.3e-3, rel=1e-12)
    filled = CircuitNeuron(bits=4, C=68 * ffarad, R_S=load, W=0.3 * um, L=1.8 * um)
    assert areas(filled, LAYOUT, 2)["total"] == pytest.approx(598, rel=1e-12)


def test_no_load_fits_where_all_else_takes_more_than_there_is():
    assert float(largest_load(CHIP, LAYOUT, 31)) == 0


def test_conductances_have_no_mirrors():
    table = areas(CircuitNeuron(synapse="conductance"), LAYOUT, 2)
    assert set(table.index) == {"core", "membrane capacitor", "memory", "total"}
