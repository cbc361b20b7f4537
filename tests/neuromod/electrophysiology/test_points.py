"""Measured points are read in their units, or refused by column and row."""

from __future__ import annotations

import hashlib

import pandas as pd
import pytest

from neuromod.electrophysiology.points import read_points
from neuromod.errors import UserError


@pytest.fixture
def read(tmp_path):
    def through_file(text, name="points.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read_points(path)

    return through_file


def test_doses_and_gains_are_read_in_micromolar_and_rows_without_a_response_are_counted(read):
    text = "dose (nM),gain,remark\n0,1.02,\n30,,lost\n700,1.9,\n"
    found = read(text)
    assert found.values.to_dict("list") == {
        "conc_uM": [0.0, pytest.approx(0.7)],
        "response": [1.02, 1.9],
    }
    assert found.is_gain
    assert found.left_out == 1
    assert found.how == "commas, UTF-8, decimal point; dose (nM), gain"
    assert found.digest == hashlib.sha256(text.encode()).hexdigest()


def test_times_widths_and_errors_stand_in_seconds_beside_a_response_of_any_unit(read):
    found = read("Time [ms];conc_mM;Puff width (ms);Current (pA);SEM (pA)\n250;0,03;90;-12,5;1,5\n")
    assert found.values.to_dict("records") == [
        {"time_s": 0.25, "conc_uM": 30.0, "width_s": 0.09, "response": -12.5, "error": 1.5}
    ]
    assert not found.is_gain
    assert found.header == "Current (pA)"


@pytest.mark.parametrize("header", ["conc_M", "concentration (mol)", "conc"])
def test_a_concentration_needs_a_unit_that_is_one(read, header):
    text = f"{header},gain\n0.0000021,1.4\n"
    if header == "conc_M":
        assert read(text).values.conc_uM[0] == pytest.approx(2.1)
        return
    with pytest.raises(UserError, match="must end in its unit, as in conc_uM"):
        read(text)


def test_excel_is_read_too(tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "points.xlsx"
    pd.DataFrame({"antagonist_nM": [0, 70], "conc_uM": [0.3, 2.1], "rate_Hz": [11, 17]}).to_excel(
        path, index=False
    )
    assert read_points(path).values.antagonist_uM.tolist() == pytest.approx([0, 0.07])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conc_uM,remark\n1,x\n", "needs one column of responses"),
        ("conc_uM,gain,rate_Hz\n1,1.2,30\n", "needs one column of responses"),
        ("conc_uM,dose_nM,gain\n1,1000,1.2\n", "needs one column of conc"),
        ("conc_uM,gain\n1,\n", "has no row with a response"),
        ("conc_uM,gain\n,1.2\n", "conc_uM is missing in row 1"),
        ("conc_uM,gain\n0.1,1.2\n-3,1.3\n", "conc_uM in row 2 must be not below 0"),
        ("conc_uM,gain,sem\n0.1,1.2,0\n", "sem in row 1 must be above 0"),
        ("conc_uM,gain\n0.1,n.d.\n", "not a finite number"),
    ],
)
def test_what_is_no_table_of_points_is_refused_and_says_where(read, text, message):
    with pytest.raises(UserError, match=message):
        read(text)


def test_a_file_that_is_no_table_or_not_there_is_refused(tmp_path):
    (tmp_path / "points.pdf").write_text("%PDF")
    with pytest.raises(UserError, match="must be a table"):
        read_points(tmp_path / "points.pdf")
    with pytest.raises(UserError, match="There is no file"):
        read_points(tmp_path / "absent.csv")
