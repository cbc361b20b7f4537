"""Sweeps of a mirror are read to their true value, or refused with the place."""

import os
import subprocess

import numpy as np
import pandas as pd
import pytest
from brian2 import nA, volt

from neuromod.chip.mirror_data import MirrorData, read_mirror
from neuromod.devices.spice.ngspice import version
from neuromod.errors import UserError
from neuromod.protocols.vdd_sweep import VddSweep
from neuromod.settings import change, flatten, format_value, read

needs_ngspice = pytest.mark.skipif(not version(), reason="ngspice is not installed")

VDD = [0.51, 0.63, 0.74, 0.88, 0.97]
CURRENT = [2.61, 5.93, 9.74, 14.1, 17.7]
DECK = """\
* unit mirror
.model nm nmos(level=1 kp=0.53u vto=0.34 lambda=0.07)
Vdd vdd 0 0.75
Rs vdd g 19meg
M1 g g 0 0 nm w=1u l=1u
M2 out g 0 0 nm w=1u l=1u
Vout out 0 0.25
.options gmin=1e-15 {options}
.dc {sweep}
.save v(vdd) v(out) i(vout) i(vdd)
.end
"""


def written(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding)
    return path


def table(path, vdd=VDD, current=CURRENT, names=("vdd_V", "current_nA")):
    rows = "".join(f"{a!r},{b!r}\n" for a, b in zip(vdd, current, strict=True))
    return written(path, f"{','.join(names)}\n{rows}")


def spice(folder, sweep, environment=None):
    deck = written(folder / "deck.cir", DECK.format(sweep=sweep, options=""))
    raw = folder / "deck.raw"
    subprocess.run(
        ["ngspice", "-b", "-r", raw, deck],
        check=True,
        capture_output=True,
        env={**os.environ, **(environment or {})},
    )
    return raw


def raw_text(path, rows, names, head="", points=None):
    """A raw file as text, in the format that SPICE3 set."""
    kinds = ["current" if name.lower().startswith("i") else "voltage" for name in names]
    listed = "".join(f"\t{k}\t{n}\t{kind}\n" for k, (n, kind) in enumerate(zip(names, kinds)))  # noqa: B905
    body = "".join(
        f"{k}\t{row[0]:.15e}\n" + "".join(f"\t{x:.15e}\n" for x in row[1:])
        for k, row in enumerate(rows)
    )
    return written(
        path,
        f"Title: * mine\nDate: Mon Nov 30 2026\nPlotname: DC transfer characteristic\n"
        f"Flags: real\nNo. Variables: {len(names)}\nNo. Points: {points or len(rows)}\n{head}"
        f"Variables:\n{listed}Values:\n{body}",
    )


@pytest.mark.parametrize(
    ("names", "factor"),
    [
        (("vdd_V", "current_nA"), (1, 1)),
        (("VDD (mV)", "Unit current (pA)"), (1e3, 1e3)),
        (("supply_V", "I [A]"), (1, 1e-9)),
        (("vdd_V", "current (µA)"), (1, 1e-3)),
    ],
)
def test_units_in_the_names_of_columns_are_read_to_their_value(tmp_path, names, factor):
    path = table(
        tmp_path / "m.csv",
        [float(f"{x * factor[0]:.9g}") for x in VDD],
        [float(f"{x * factor[1]:.9g}") for x in CURRENT],
        names,
    )
    read = read_mirror(path)
    np.testing.assert_allclose(read.points.vdd_V, VDD, rtol=1e-12)
    np.testing.assert_allclose(read.points.current_nA, CURRENT, rtol=1e-9)
    assert all(name in read.how for name in names)
    assert read.source.startswith("m.csv, SHA-256 ")
    np.testing.assert_allclose(read.table.current(np.array(VDD)), np.array(CURRENT) * 1e-9)


def test_semicolons_and_decimal_commas_are_read_too(tmp_path):
    rows = "".join(f"{a};{b}\n" for a, b in zip(VDD, CURRENT, strict=True)).replace(".", ",")
    read = read_mirror(written(tmp_path / "m.csv", f"vdd_V;current_nA\n{rows}"))
    np.testing.assert_allclose(read.points.current_nA, CURRENT)
    assert "decimal comma" in read.how


@pytest.mark.parametrize(
    ("vdd", "current", "names", "said"),
    [
        (VDD, CURRENT, ("vdd", "current_nA"), "vdd must end in its unit, as in vdd_V"),
        (VDD, CURRENT, ("vdd_V", "current_foo"), r"needs a column current_nA|must end in its unit"),
        (VDD, CURRENT, ("time_s", "current_nA"), "needs a column vdd_V, .* it has time_s"),
        ([0.5, 0.6, 0.6, 0.7], CURRENT[:4], ("vdd_V", "current_nA"), "0.6 V in row 2 to 0.6 V in"),
        ([0.5, 0.7, 0.6, 0.8], CURRENT[:4], ("vdd_V", "current_nA"), "0.7 V in row 2 to 0.6 V in"),
        (VDD[:3], CURRENT[:3], ("vdd_V", "current_nA"), "has 3 points: at least 4"),
        (VDD, [-x for x in CURRENT], ("vdd_V", "current_nA"), "-17.7 nA at 0.97 V .* with a minus"),
        (VDD, [1, 2, "nan", 3, 4], ("vdd_V", "current_nA"), "row 3"),
        (VDD, [1, 2, "5 uA", 3, 4], ("vdd_V", "current_nA"), "5 uA"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused_with_the_place(
    tmp_path, vdd, current, names, said
):
    with pytest.raises(UserError, match=said):
        read_mirror(table(tmp_path / "m.csv", vdd, current, names))


def test_a_current_that_falls_is_read_but_makes_no_table(tmp_path):
    read = read_mirror(table(tmp_path / "m.csv", VDD, [1.0, 2.0, 1.9, 3.0, 4.0]))
    with pytest.raises(UserError, match=r"of m must rise, .* 2 nA to 1\.9 nA .* vdd = 0\.63 V"):
        read.table  # noqa: B018


def test_a_pair_of_voltages_that_is_missing_is_named():
    rows = [(vdd, v, 1 + 10 * vdd + v) for v in (0.0, 0.3) for vdd in VDD]
    points = pd.DataFrame(rows, columns=["vdd_V", "v_V", "current_nA"])
    points.loc[points.v_V == 0, "current_nA"] = 0.0
    assert MirrorData("m", points).table.drops
    with pytest.raises(UserError, match=r"none at vdd = 0\.74 V with v = 0\.3 V"):
        MirrorData("m", points.drop(index=7)).table  # noqa: B018


def test_other_files_and_names_of_vectors_for_tables_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"must be a table .* or a SPICE raw file"):
        read_mirror(written(tmp_path / "m.json", "{}"))
    with pytest.raises(UserError, match="There is no file"):
        read_mirror(tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"i\(vout\) names a vector of a raw file"):
        read_mirror(table(tmp_path / "m.csv"), current="i(vout)")


@needs_ngspice
@pytest.mark.parametrize("form", ["binary", "ascii"])
def test_ngspice_s_sweep_is_read_in_both_of_its_forms(tmp_path, form):
    pytest.importorskip("spicelib")
    environment = {"SPICE_ASCIIRAWFILE": "1"} if form == "ascii" else {}
    path = spice(tmp_path, "vdd 0.5 1 0.01", environment)
    assert (b"\nValues:" in path.read_bytes()) == (form == "ascii")
    with pytest.raises(
        UserError, match=r"name the vector that is current, .* i\(vout\) and i\(vdd"
    ):
        read_mirror(path)
    with pytest.raises(UserError, match=r"with a minus, such as -i\(vout\)"):
        read_mirror(path, current="i(vout)")
    with pytest.raises(UserError, match=r"v\(out\) is a voltage, and current must be a current"):
        read_mirror(path, current="v(out)")
    read = read_mirror(path, current="-I(Vout)")
    assert "current = -i(vout), vdd = v(vdd)" in read.how
    assert len(read.points) == 51
    # At 0.75 V: the square law's closed form but for the modulation of both transistors.
    vdd, R, beta, vto = 0.75, 19e6, 0.53e-6, 0.34
    U = vdd - vto
    exact = (1 + beta * R * U - np.sqrt(1 + 2 * beta * R * U)) / (beta * R**2)
    assert read.table.current(0.75) == pytest.approx(exact, rel=0.03)


@needs_ngspice
def test_a_sweep_of_both_voltages_is_a_table_of_both(tmp_path):
    pytest.importorskip("spicelib")
    path = spice(tmp_path, "vdd 0.5 1 0.05 vout 0 1 0.1")
    with pytest.raises(UserError, match=r"0\.5 V in point 12\. A second sweep goes into v"):
        read_mirror(path, current="-i(vout)")
    found = read_mirror(path, current="-i(vout)", v="v(out)").table
    assert (len(found.at_vdd), len(found.at_drop)) == (11, 11)
    # In saturation the current rises by lambda.
    ratio = found.current(0.8, 0.9) / found.current(0.8, 0.5)
    assert ratio == pytest.approx((1 + 0.07 * 0.9) / (1 + 0.07 * 0.5), rel=1e-4)


def test_raw_files_of_xyce_and_of_ltspice_are_read(tmp_path):
    spicelib = pytest.importorskip("spicelib")
    rows = [(vdd, 1e-9 * current) for vdd, current in zip(VDD, CURRENT, strict=True)]
    xyce = raw_text(tmp_path / "x.raw", rows, ("sweep", "I(VOUT)"), "Version: 7.9\n")
    np.testing.assert_allclose(read_mirror(xyce).points.current_nA, CURRENT, rtol=1e-12)
    writer = spicelib.RawWrite(plot_name="DC transfer characteristic", fastacces=False)
    for name, values in (("vdd", VDD), ("I(Rs)", 1e-9 * np.array(CURRENT))):
        kind = "current" if name[0] == "I" else "voltage"
        writer.add_trace(
            spicelib.Trace(
                name,
                np.array(values),
                whattype=kind,
                numerical_type="double" if name == "vdd" else "real",
            )
        )
    writer.save(str(tmp_path / "lt.raw"))
    read = read_mirror(tmp_path / "lt.raw")
    assert "ltspice" in read.how
    # Of single precision, but for the voltage that is swept.
    np.testing.assert_allclose(read.points.current_nA, CURRENT, rtol=1e-6)
    np.testing.assert_allclose(read.points.vdd_V, VDD, rtol=1e-12)


def test_damaged_and_other_raw_files_are_refused_in_one_sentence(tmp_path):
    pytest.importorskip("spicelib")
    rows = [(vdd, 1e-9 * current) for vdd, current in zip(VDD, CURRENT, strict=True)]
    names = ("sweep", "i(vout)")
    cut = raw_text(tmp_path / "cut.raw", rows, names, points=9)
    with pytest.raises(UserError, match="cannot be read as a SPICE raw file"):
        read_mirror(cut)
    with pytest.raises(UserError, match=r"must hold one \.dc sweep, and holds none"):
        read_mirror(written(tmp_path / "no.raw", "hello"))
    good = raw_text(tmp_path / "m.raw", rows, names)
    other = good.read_text().replace("DC transfer characteristic", "Transient Analysis")
    with pytest.raises(UserError, match=r"must hold one \.dc sweep, and holds Transient Analysis"):
        read_mirror(written(tmp_path / "tran.raw", other))
    with pytest.raises(UserError, match=r"no vector i\(x\): it has sweep and i\(vout\)"):
        read_mirror(good, current="i(x)")
    broken = raw_text(tmp_path / "nan.raw", [*rows[:2], (0.7, np.nan), *rows[3:]], names)
    with pytest.raises(UserError, match="current_nA in point 3 is no finite number"):
        read_mirror(broken)


def test_formulas_in_a_file_are_never_evaluated(tmp_path):
    pytest.importorskip("spicelib")
    rows = [(vdd, 1e-9 * current) for vdd, current in zip(VDD, CURRENT, strict=True)]
    trap = tmp_path / "trap"
    alias = f".alias I(evil) (__import__('pathlib').Path('{trap}').touch())\n"
    path = raw_text(tmp_path / "m.raw", rows, ("sweep", "i(vout)"), alias)
    with pytest.raises(UserError, match=r"no vector I\(evil\)|cannot be read"):
        read_mirror(path, current="I(evil)")
    assert not trap.exists()


def test_a_frame_without_a_file_is_a_table_too():
    points = pd.DataFrame({"vdd_V": VDD, "current_nA": CURRENT})
    found = MirrorData("mine", points).table
    assert found.name == "mine"
    np.testing.assert_allclose(found.at_vdd / volt, VDD)
    np.testing.assert_allclose(found.unit_current / nA, CURRENT)


def test_a_file_is_a_setting_and_the_record_repeats_it_without_the_file(tmp_path):
    path = table(tmp_path / "my nmos.csv", np.linspace(0.5, 1, 5).tolist())
    given = {"circuit.law": "table", "circuit.table": str(path)}
    protocol = change(VddSweep(), read(VddSweep(), given))
    (found,) = protocol.circuit.table
    assert (found.name, found.source) == ("my_nmos", read_mirror(path).source)
    texts = {name: format_value(value) for name, value in flatten(protocol).items()}
    path.unlink()
    again = change(VddSweep(), read(VddSweep(), texts))
    assert again == protocol
    with pytest.raises(UserError, match=r"There is no file .*nmos\.csv"):
        read(VddSweep(), given)
