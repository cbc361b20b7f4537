"""What chips do to the XOR gate, and what a supply for each neuron takes back."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import kelvin, mV, volt

import neuromod
from neuromod.chip.xor import Gates, computes, join
from neuromod.models.circuit import CircuitNeuron
from neuromod.protocols.mismatch.protocol import SOURCES, ChipMismatch

SETTINGS = {
    "vdd": [0.91] * volt,
    "trim": [-70, -35, 0, 35, 70] * mV,
    "chips": 31,
    "sizes": np.array([0, 1.3, 5.1]),
    "temperature": [281, 300] * kelvin,
    "supply_noise": [0, 3.1] * mV,
}


@pytest.fixture(scope="module")
def run():
    return neuromod.run(ChipMismatch(**SETTINGS))


def of_design(table, name="paper"):
    return table[table.design == name].reset_index(drop=True)


def test_without_mismatch_every_chip_works(run):
    none = run.table[run.table.size_sigma == 0]
    assert (none.yield_percent == 100).all()
    assert (none.chips == 31).all()


def test_yield_falls_with_the_size_of_the_mismatch(run):
    for design in ("widest", "paper"):
        found = of_design(run.table, design).yield_percent
        assert found[2] < found[1] <= found[0]


def test_retuning_takes_back_some_of_the_yield_and_breaks_nothing(run):
    for table in (run.table, run.tables["sources"]):
        assert (table.retuned_percent >= table.yield_percent).all()
    large = of_design(run.table).iloc[2]
    assert large.retuned_percent > large.yield_percent
    failing = round(31 * (1 - large.yield_percent / 100))
    rescued = round(31 * (large.retuned_percent - large.yield_percent) / 100)
    assert large.rescued_percent == pytest.approx(100 * rescued / failing)


def test_intervals_are_wilson_s(run):
    # Of n successes in n trials the lower end is n/(n + z^2), z = 1.96.
    none = run.table[run.table.size_sigma == 0]
    assert none.yield_low_percent.to_numpy() == pytest.approx(100 * 31 / (31 + 1.959964**2))
    assert none.yield_high_percent.to_numpy() == pytest.approx(100)
    assert none.rescued_percent.isna().all()


def test_every_chip_answers_in_simulation_as_in_closed_form(run):
    protocol = run.protocol
    gates = join([part for made in protocol.gates for part in made[1:]])
    answers = gates.answers(protocol.circuit, protocol.train)
    counts = run.recordings["chips"].spikes["output"].counts().reshape(-1, 4)
    np.testing.assert_array_equal(counts, answers)
    assert 0 < (~computes(counts).all(axis=1)).sum() < len(counts)


def test_each_kind_of_device_varies_alone(run):
    labels, made, _ = run.protocol.gates[0]
    design = Gates.of(run.protocol.designs.iloc[[0]])
    capacitors = (labels.condition == SOURCES["C"]).to_numpy()
    np.testing.assert_allclose(made.codes[capacitors], np.repeat(design.codes, 31, axis=0))
    assert np.std(made.values["C"][capacitors]) > 0
    np.testing.assert_allclose(made.values["v_offset"][capacitors] / mV, 0)
    assert (run.tables["sources"].groupby("source").chips.sum() == 62).all()


def test_typical_transistors_at_300_kelvin_are_the_design(run):
    conditions = run.tables["conditions"]
    for design in ("widest", "paper"):
        rows = of_design(conditions, design).set_index("condition")
        spikes = [f"spikes_{row}" for row in ("00", "01", "10", "11")]
        assert rows.loc["TT", spikes].tolist() == rows.loc["300 K", spikes].tolist()
        assert rows.loc["TT", "right"] == 4
    assert of_design(conditions).spikes_11[0] == 2


def test_thermal_noise_alone_changes_no_answer(run):
    # 0.29 mV on the membrane is a thirtieth of the smaller margin.
    quiet = run.tables["noise"].query("supply_noise_mV == 0")
    assert (quiet.right_percent == 100).all()
    assert (quiet.trials == 31).all()


def test_tuned_supplies_stay_where_synapses_can_run():
    protocol = ChipMismatch(**SETTINGS | {"vdd": [0.97] * volt})
    for _, _, tuned in protocol.gates:
        assert (tuned.values["vdd"] <= 1 * volt).all()
        assert (tuned.values["vdd"] >= 0.5 * volt).all()


def test_another_seed_makes_other_chips():
    one, same, other = (ChipMismatch(**SETTINGS, seed=seed).gates[0][1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.codes, same.codes)
    assert (one.codes != other.codes).any()


def test_the_report_says_what_its_intervals_cover(run):
    text = " ".join(section.text for section in run.protocol.report(run.tables))
    assert "standard deviations themselves are estimates" in text
    assert "0.29 mV" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trim": [-20, 20] * mV}, "trim = .* must contain 0 mV"),
        ({"circuit": CircuitNeuron(leak="symmetric")}, "leak must stay linear"),
        ({"supply_noise": [40] * mV}, "VDD of neuron"),
        ({"vdd": [0.56] * volt}, "No network"),
        ({"chips": 0}, "chips = 0"),
    ],
)
def test_settings_that_no_chip_can_have_are_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        neuromod.run(ChipMismatch(**SETTINGS | settings))
