import numpy as np
import pandas as pd
import pytest
from brian2 import (
    Hz,
    Mohm,
    cmetre,
    kelvin,
    mM,
    ms,
    mV,
    nA,
    nM,
    pA,
    second,
    siemens,
    uF,
    uM,
    um,
    usecond,
    volt,
)
from brian2.units.allunits import ffarad, nsecond, pjoule, uamp

from neuromod.errors import UserError
from neuromod.settings import parse_value
from neuromod.support.text import (
    column_label,
    handy,
    listed,
    number,
    percent,
    plain_sections,
    say,
    signed,
    span,
    typed,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (100 * ms, "100 ms"),
        (0.1 * second, "100 ms"),
        (0.2 * ms, "0.2 ms"),
        (99.99996 * usecond, "0.1 ms"),
        (100 * nsecond, "100 ns"),
        (999.99996 * ms, "1 s"),
        (0.0106 * mM, "10.6 µM"),
        (10 * uM, "10 µM"),
        (300 * nM, "0.3 µM"),
        (30 * nM, "30 nM"),
        (700 * pA, "0.7 nA"),
        (20 * Mohm, "20 MΩ"),
        (50 * ffarad, "50 fF"),
        (1.08 * pjoule, "1.08 pJ"),
        (-70 * mV, "-70 mV"),
        (1 * volt, "1 V"),
        (2 / ms, "2 kHz"),
        (3.3e6 * Hz, "3.3 MHz"),
        (300 * kelvin, "300 K"),
        (598 * um**2, "598 µm²"),
        (0.5 * uamp / volt**2, "0.5 µA/V²"),
        (0.05 / uM / second, "0.05/(µM s)"),
        (0.9 * mV / kelvin, "0.9 mV/K"),
        (2.3 * mV * um, "2.3 mV µm"),
        (0.04 / (mV * ms), "0.04/(mV ms)"),
        (1.9 * ffarad / um**2, "1.9 fF/µm²"),
        (0.7 * uF / cmetre**2, "0.7 µF/cm²"),
        (6 * siemens / siemens, "6"),
    ],
)
def test_quantities_are_written_in_the_unit_of_the_field(value, text):
    assert say(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (173.0, "173"),
        (3, "3"),
        (np.int64(20000), "20 000"),
        (123652866, "123 652 866"),
        (0.1 + 0.2, "0.3"),
        (12345.678, "12 346"),
        (1 / 3, "0.3333"),
        (np.float32(0.1), "0.1"),
        (99999.6, "100 000"),
        (1.5e-7, "1.5e-7"),
        (2.5e12, "2.5e12"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.00012, "0.00012"),
        (-12345, "-12 345"),
        (np.nan, "nan"),
        (np.inf, "inf"),
    ],
)
def test_numbers_have_no_digits_that_say_nothing(value, text):
    assert say(value) == text
    assert number(value) == text


@pytest.mark.parametrize("value", [0 * uM, 0 * ms, 0 * volt, np.nan * mV, np.inf * ms, [] * nA])
def test_values_without_a_size_have_a_unit_all_the_same(value):
    assert "." not in say(value)
    assert handy(value)[1] in {"µM", "ms", "V", "nA"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, 3, 10] * uM, "1, 3 and 10 µM"),
        ([0.5, 0.75, 1] * volt, "0.5, 0.75 and 1 V"),
        ([10 * ms], "10 ms"),
        ([1 * ms, 2 * ms], "1 and 2 ms"),
        (np.linspace(0, 1.5, 16) * nA, "0 to 1.5 nA, 16 values"),
        (np.arange(6).reshape(2, 3) * mV, "0 to 5 mV, 6 values"),
        ((1.5, 2.0), "1.5 and 2"),
        (("a", "b", "c"), "a, b and c"),
        ((1 * ms, "soon"), "1 ms and soon"),
        ((1 * ms, 2 * mV), "1 ms and 2 mV"),
        ((), "none"),
        ((True, 2), "true and 2"),
        ([1 * nM, 1000 * uM], "0.001 and 1000 µM"),
    ],
)
def test_lists_are_written_out_or_by_their_ends(value, text):
    assert say(value) == text


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (1 / ms, "1/ms"),
        (1 / second, "1/s"),
        (uM, "µM"),
        (mV, "mV"),
        (Mohm, "MΩ"),
        (uF / cmetre**2, "µF/cm²"),
        (1 / (uM * second), "1/(µM s)"),
        (uM**-1 * second**-1, "1/(µM s)"),
    ],
)
def test_a_unit_alone_is_its_symbol(unit, text):
    assert say(unit) == text


def test_a_change_that_rounds_to_nothing_has_no_sign():
    assert [signed(change) for change in (3.4, -0.3, 0.2, -2.6)] == ["+3", "0", "0", "-3"]
    assert signed(-0.04, 1) == "0"
    assert signed(-0.36, 1) == "-0.4"


def test_a_unit_may_be_asked_for():
    assert say(0.75 * volt, volt) == "0.75 V"
    assert say(2 / ms, 1 / ms) == "2/ms"
    assert say(11.8041, "µM") == "11.8 µM"
    assert say(0.30000001 * ms, digits=8) == "0.30000001 ms"


def test_a_unit_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="100 ms cannot be written in mV"):
        say(100 * ms, mV)
    with pytest.raises(UserError, match="100 ms has a unit"):
        say(100 * ms, "s")


@pytest.mark.parametrize(
    "value",
    [30 * usecond, 0.75 * volt, 20 * Mohm, 0.7 * nA, 50 * ffarad, 10 * uM, 300 * kelvin, 2.5],
)
def test_a_value_can_be_typed_back(value):
    assert parse_value(typed(value)) == value


def test_words_and_truths_are_themselves():
    assert [say(value) for value in ("nt1", True, np.bool_(False), None)] == [
        "nt1",
        "true",
        "false",
        "none",
    ]


def test_a_span_is_one_value_where_both_ends_read_alike():
    assert span([0.3, 1.2, 0.7] * second) == "0.3 to 1.2 s"
    assert span([1, 1.00001]) == "1"
    assert span([2, np.nan, 7], "Hz") == "2 to 7 Hz"
    assert span([np.nan]) == "no value"


def test_shares_are_in_percent():
    assert (percent(0.12345), percent(1)) == ("12.3 %", "100 %")


def test_a_list_in_a_sentence():
    assert listed(["a", "b", "c"], "or") == "a, b or c"
    assert listed([]) == "none"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("peak_conc_uM", "peak conc (µM)"),
        ("gain", "gain"),
        ("slope_per_V", "slope (1/V)"),
        ("relative_percent_per_mV", "relative (%/mV)"),
        ("exact_pA2", "exact pA2"),
        ("s", "s"),
        ("energy_per_image_pJ_sd", "energy per image sd (pJ)"),
        ("ec50_low_uM", "ec50 low (µM)"),
        ("R_zero_Mohm", "R zero (MΩ)"),
        ("yield_percent", "yield (%)"),
        ("train_mean", "train mean"),
    ],
)
def test_a_column_becomes_a_label(name, label):
    assert column_label(name) == label


def test_plain_sections_say_how_far_the_numbers_reach():
    table = pd.DataFrame({"design": ["a", "b"], "rate_Hz": [1.5, 20.0], "spikes": [3, np.nan]})
    assert plain_sections({"table": table, "agreement_ms": table[:0]}) == [
        ("Results", "2 rows: rate 1.5 to 20 Hz; spikes 3.", "table"),
        ("Agreement (ms)", "0 rows.", "agreement_ms"),
    ]
