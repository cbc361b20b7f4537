"""Tables are read by what all of their numbers say together, or refused by the row's number."""

import sys

import numpy as np
import pandas as pd
import pytest

from neuromod.electrophysiology.tables import read_table
from neuromod.errors import UserError

CURRENTS_PA = [0, 110, 230, 310, 470]
RATES = [0, 3.1, 7.7, 12.95, 19.7]
HEADER = "condition,current_pA,rate_Hz"


@pytest.fixture
def read(tmp_path):
    """A table of text, bytes, or frames by sheet, by way of a file."""

    def through_file(content, name="cell.csv", encoding="utf-8"):
        path = tmp_path / name
        if isinstance(content, dict):
            with pd.ExcelWriter(path) as writer:
                for sheet, frame in content.items():
                    frame.to_excel(writer, sheet_name=sheet, index=False)
        else:
            path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return read_table(path)

    return through_file


def lines(header=HEADER, separator=",", mark=".", rates=RATES, condition="ACSF"):
    numbers = [f"{rate}".replace(".", mark) for rate in rates]
    rows = [[condition, f"{i}", r] for i, r in zip(CURRENTS_PA, numbers, strict=True)]
    return "\n".join([header.replace(",", separator), *map(separator.join, rows)]) + "\n"


def frame(**changes):
    columns = {"condition": "ACSF", "current (pA)": CURRENTS_PA, "rate (Hz)": RATES} | changes
    return pd.DataFrame(columns)


def as_written(table):
    return np.allclose(table.rates.current_nA * 1000, CURRENTS_PA) and (
        table.rates.rate_Hz.tolist() == RATES
    )


@pytest.mark.parametrize(
    ("separator", "mark", "said"),
    [
        (",", ".", "commas, UTF-8, decimal point; current_pA, rate_Hz"),
        (";", ".", "semicolons, UTF-8, decimal point"),
        (";", ",", "semicolons, UTF-8, decimal comma"),
        ("\t", ",", "tabs, UTF-8, decimal comma"),
        ("\t", ".", "tabs, UTF-8, decimal point"),
    ],
)
def test_separator_and_decimal_mark_are_found_and_said(read, separator, mark, said):
    table = read(lines(separator=separator, mark=mark))
    assert as_written(table)
    assert table.how.startswith(said)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("latin-1", "Windows-1252"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_encodings_are_found_and_said(read, encoding, said):
    table = read(lines(condition="Atropin 3 µM für 5 min"), encoding=encoding)
    assert set(table.rates.condition) == {"Atropin 3 µM für 5 min"}
    assert f", {said}, " in table.how


@pytest.mark.parametrize(
    "header",
    [
        "condition,current (pA),rate (Hz)",
        "Condition,Current_pA,Firing rate (Hz)",
        "CONDITION,CURRENT [PA],firing_rate_Hz",
        "condition,I (pA),rate [1/s]",
        "condition,injected current pA,rate (spikes/s)",
        " condition , current_pa , RATE_HZ ",
    ],
)
def test_columns_are_known_in_every_way_of_writing_them(read, header):
    assert as_written(read(lines(header)))


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("A", 1e-12), ("mA", 1e-9), ("uA", 1e-6), ("\u00b5A", 1e-6), ("\u03bcA", 1e-6), ("nA", 1e-3)],
)
@pytest.mark.parametrize("form", ["current_{}", "current ({})", "Current [{}]"])
def test_currents_carry_their_unit_and_both_micro_signs_are_one(read, unit, factor, form):
    rows = [f"ACSF,{i * factor!r},{r}" for i, r in zip(CURRENTS_PA, RATES, strict=True)]
    assert as_written(read("\n".join([f"condition,{form.format(unit)},rate_Hz", *rows])))


@pytest.mark.parametrize(("name", "factor"), [("duration_s", 1), ("duration (ms)", 1000)])
def test_rates_are_spikes_over_the_duration(read, name, factor):
    rows = [f"ACSF,{i},{n},{0.8 * factor}" for n, i in enumerate(CURRENTS_PA)]
    table = read("\n".join([f"condition,current_pA,spikes,{name}", *rows]))
    assert np.allclose(table.rates.rate_Hz, np.arange(5) / 0.8)


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "NaN", "N/A", "0", "1e3", "True"])
@pytest.mark.parametrize("excel", [False, True])
def test_any_word_is_a_condition_s_name(read, name, excel):
    content = {"steps": frame(condition=name)} if excel else lines(condition=name)
    table = read(content, "cell.xlsx" if excel else "cell.csv")
    assert set(table.rates.condition) == {name}
    assert as_written(table)


@pytest.mark.parametrize("name", ["cell", "Neuron", "cell_id", "Cell ID"])
def test_cells_and_trials_are_names(read, name):
    rows = [f"007,ACSF,{i},2,{r}" for i, r in zip(CURRENTS_PA, RATES, strict=True)]
    table = read("\n".join([f"{name},condition,current_pA,trial,rate_Hz", *rows]))
    assert set(table.rates.cell) == {"007"}
    assert set(table.rates.trial) == {"2"}


def test_other_columns_empty_rows_and_trailing_separators_are_ignored(read):
    text = lines().replace("\n", ",,\n").replace("rate_Hz,,", "rate_Hz,holding (pA),current step")
    text = text.replace("ACSF,230", "\n,,,,\nACSF,230")
    assert as_written(read(text))


# 1,234 pA could be one and a bit or more than a thousand.
@pytest.mark.parametrize(
    ("current", "others", "separator", "value"),
    [
        ("1,234", ["12.5", "20"], "\t", 1234),
        ("1.234", ["12,5", "20"], ";", 1234),
        ("1,234", ["12,5", "20"], ";", 1.234),
        ("1.234", ["0.5", "20"], ";", 1.234),
        ("1.234", ["20", "30"], ",", 1.234),
        ("1.234,5", ["20", "30"], ";", 1234.5),
        ("12.345,5", ["20", "30"], "\t", 12345.5),
        # No neuron fires at 12 345 Hz.
        ("1.234", ["12.345", "20"], ";", 1.234),
        ("−17.5", ["20", "30"], "\t", -17.5),
    ],
)
def test_a_mark_that_could_be_of_thousands_is_settled_by_the_other_numbers(
    read, current, others, separator, value
):
    rows = [["condition", "current_pA", "rate_Hz"], ["ACSF", current, others[0]]]
    rows.append(["ACSF", "300", others[1]])
    table = read("\n".join(map(separator.join, rows)))
    assert table.rates.current_nA[0] * 1000 == pytest.approx(value)
    assert ("for thousands" in table.how) == (value > 1000)


@pytest.mark.parametrize(
    ("current", "separator"), [("1,234", ";"), ("1.234", "\t"), ('"1,234"', ",")]
)
def test_a_number_that_can_be_read_in_two_ways_is_refused(read, current, separator):
    rows = [["condition", "current_pA", "rate_Hz"], ["ACSF", "300", "20"], ["ACSF", current, "21"]]
    with pytest.raises(UserError, match=r"current_pA in row 2 is .* may be 1.234 or 1234"):
        read("\n".join(map(separator.join, rows)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("\0\0\0", "is no text"),
        (HEADER, "has no row below its header"),
        ("a,b\n1,2", "needs a column condition; it has a, b"),
        ("condition,rate_Hz\nA,1", "needs a column of currents .* it has condition, rate_Hz"),
        ("condition,current_pA\nA,1", "needs a column rate_Hz, or spikes with"),
        ("condition,current_pA,spikes\nA,1,2", "needs a column rate_Hz, or spikes with"),
        ("condition,current_mV,rate_Hz\nA,1,2", "current_mV must end in a unit of current, one of"),
        ("condition,current,rate_Hz\nA,1,2", "current must end in a unit of current, .* µA, mA, A"),
        ("condition,current_pA,rate\nA,1,2", "rate must end in a unit of rate, one of Hz"),
        ("condition,current_pA,current_nA,rate_Hz\nA,1,2,3", "has current_pA and current_nA"),
        ("condition,Condition,current_pA,rate_Hz\nA,B,2,3", "has condition and Condition"),
        ("cell,neuron,condition,current_pA,rate_Hz\nA,B,C,2,3", "has cell and neuron"),
        (f"{HEADER}\nA,1,2\nA,,3", "current_pA is missing in row 2"),
        (f"{HEADER}\nA,1,2\n\nA,3,", "rate_Hz is missing in row 3"),
        (f"{HEADER}\nA,1,2\n,3,4", "condition is missing in row 2"),
        (f"cell,{HEADER}\nc,A,1,2\n,A,3,4", "cell is missing in row 2"),
        (f"{HEADER}\nA,100 pA,2", "row 1 is '100 pA', .* its unit belongs into the column's name"),
        (f"{HEADER}\nA,1,many", "rate_Hz in row 1 is 'many', not a finite number"),
        (f"{HEADER}\nA,1,inf", "rate_Hz in row 1 is 'inf', not a finite number"),
        (f"{HEADER}\nA,1,NA", "rate_Hz in row 1 is 'NA', not a finite number"),
        (f"{HEADER}\nA,1,-3.7", "rate_Hz in row 1 is -3.7 and must be not below 0"),
        (f"{HEADER}\nA,1,2500", "the rate in row 1 is 2500 Hz, faster than any neuron"),
        (f"{HEADER}\nA,3e11,2", "current_pA in row 1 is 3e.11 and must be at most 100 nA"),
        (f"{HEADER}\nA,1,5\nA,1,2,5", "row 2 has 4 cells and the header 3. A decimal comma"),
        ("condition;current_pA;rate_Hz\nA;1,5;2\nA;2.5;3", "2.5.*1,5.*the same decimal mark"),
        ("condition,current_pA,spikes,duration_s\nA,1,2.5,1", "spikes in row 1 is 2.5 .* whole"),
        ("condition,current_pA,spikes,duration_s\nA,1,2,0", "duration_s in row 1 is 0 .* above 0"),
        ("condition,current_pA,spikes,duration_s,duration_ms\nA,1,2,1,1", "has duration_s and"),
    ],
)
def test_what_cannot_be_read_is_refused_by_column_and_row(read, text, message):
    with pytest.raises(UserError, match=rf"cell\.csv.*{message}"):
        read(text)


def test_excel_is_read_from_the_sheet_with_the_table(read):
    others = {"notes": pd.DataFrame({"notes": ["kept on ice"]}), "Sheet2": pd.DataFrame()}
    table = read(others | {"steps": frame()}, "cell.xlsx")
    assert as_written(table)
    assert table.how.startswith("sheet steps; current (pA), rate (Hz)")


def test_several_sheets_with_tables_are_refused_by_name(read):
    with pytest.raises(UserError, match="a table in each of the sheets day 1 and day 2"):
        read({"day 1": frame(), "day 2": frame()}, "cell.xlsx")


def test_numbers_that_excel_holds_as_text_are_read_like_those_of_other_tables(read):
    texts = [str(rate).replace(".", ",") for rate in RATES]
    table = read({"steps": frame(**{"rate (Hz)": texts})}, "cell.xlsx")
    assert as_written(table)
    assert "decimal comma" in table.how


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate (Hz)": [*RATES[:-1], None]}, r"rate \(Hz\) is missing in row 5"),
        ({"rate (Hz)": [*RATES[:-1], pd.Timestamp("2024-05-01")]}, "row 5 is 2024-05-01.* not a"),
        ({"rate (Hz)": [*RATES[:-1], True]}, "row 5 is True, not a finite number"),
        ({"rate (Hz)": [*RATES[:-1], "#N/A"]}, "row 5"),
        ({"current (pA)": "100 pA"}, r"current \(pA\) in row 1 is '100 pA'"),
    ],
)
def test_cells_of_excel_that_are_no_numbers_are_refused(read, changes, message):
    with pytest.raises(UserError, match=message):
        read({"steps": frame(**changes)}, "cell.xlsx")


def test_a_damaged_excel_file_is_refused(read):
    with pytest.raises(UserError, match="cannot be read as an Excel file"):
        read("condition,current_pA", "cell.xlsx")


def test_without_openpyxl_the_message_says_how_to_get_it(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    path = "cell.xlsx"
    with pytest.raises(UserError, match=r"pip install 'brian2-neuromod\[recordings\]'"):
        read(b"PK", path)
