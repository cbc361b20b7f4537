"""Transistors of one's own take the place of ours."""

from dataclasses import replace

import pytest
from brian2 import kelvin, mV, uA, um, volt

from neuromod.devices.spice.dialects import DIALECTS, NGSPICE
from neuromod.devices.spice.models import read_models
from neuromod.devices.spice.netlist import netlist
from neuromod.devices.spice.ngspice import run, version
from neuromod.devices.spice.wiring import choose
from neuromod.errors import UserError
from neuromod.experiment import Population

needs_ngspice = pytest.mark.skipif(not version(), reason="ngspice is not installed")

# The model's own beta is kp*W/L.
KP, W, L = 0.27e-3, 0.13 * um, 71 * um
BETA = KP * float(W / L) * 1e6 * uA / volt**2

CARDS = f"""\
* Made-up transistors, of a made-up process.
.model nch nmos (level=1 kp={KP} vto=0.35
+ is=1e-25)  $ a comment
.model pch pmos (level = 1 kp={KP} vto=-0.35 is=1e-25)
.model rx r
.subckt Nfet d g s b w=1u l=1u
.model inner nmos (level=1 kp={KP} vto=0.35 is=1e-25)
M1 d g s b inner w={{w}} l={{l}}
.ends
.subckt pfet d g s b params: w=1u l=1u
.model inner pmos (level=1 kp={KP} vto=-0.35 is=1e-25)
M1 d g s b inner w={{w}} l={{l}}
.ends
.subckt diode a c
.ends
"""
CORNERS = """\
.lib TT
.include 'parts/cards.inc'
.endl TT
.lib ff
.model nch nmos (level=1 kp=0.4m vto=0.31)
.model pch.1 pmos (level=1 kp=0.4m vto=-0.31)
.endl
"""
MICRONS = "* Widths and lengths in micrometre.\n.options scale=1u\n.include parts/cards.inc\n"
BSIM4 = """\
* Made-up BSIM4 cards of a thick, long transistor.
.model nb nmos level=54 version=4.5 toxe=1.8n vth0=0.32 u0=0.03 nfactor=1.4 vsat=9e4
.model pb pmos level=54 version=4.5 toxe=1.8n vth0=-0.32 u0=0.012 nfactor=1.4 vsat=9e4
"""
SPECTRE = """\
// Made-up transistors, in Spectre's language.
library process
section typical
model nch mos1 type=n kp=0.3m vto=0.35
model pch mos1 type=p kp=0.3m vto=-0.35
inline subckt nfet (d g s b)
parameters w=1u l=1u
nfet (d g s b) nch w=w l=l
ends nfet
endsection typical
endlibrary process
"""


@pytest.fixture
def kit(tmp_path):
    """A folder with files of models."""
    (tmp_path / "parts").mkdir()
    files = {"corners.lib": CORNERS, "microns.lib": MICRONS, "process.scs": SPECTRE}
    for name, text in files.items() | {("parts/cards.inc", CARDS), ("bsim4.lib", BSIM4)}:
        (tmp_path / name).write_text(text)
    return tmp_path


@needs_ngspice
@pytest.mark.parametrize(
    ("file", "nmos", "pmos", "corner"),
    [
        ("corners.lib", "nch", "PCH", "tt"),
        ("parts/cards.inc", "nfet", "pfet", ""),
        ("microns.lib", "nch", "pch", ""),
    ],
)
@pytest.mark.parametrize("output", ["ideal", "mosfet"])
def test_level_1_models_with_the_models_beta_do_as_the_model(
    file, nmos, pmos, corner, output, kit, chip, experiment, compared
):
    made = experiment(chip(beta=BETA, W=W, L=L, output=output))
    own = replace(NGSPICE, models=read_models(kit / file, nmos, pmos, corner))
    table = compared(made, netlist(made, choose(made, ()), own))
    assert (table.spikes_SPICE > 0).all()
    assert table.agrees.all(), table.to_string()


@needs_ngspice
def test_bsim4_cards_are_run_with_width_and_length(kit, chip, experiment):
    drawn = []
    for length in (20 * um, 410 * um):
        made = experiment(chip(output="mosfet", W=0.2 * um, L=length, references="always"))
        own = replace(NGSPICE, models=read_models(kit / "bsim4.lib", "nb", "pb"))
        found = run(netlist(made, choose(made, ()), own))
        assert found["time"].iloc[-1] == pytest.approx(2.3e-6)
        assert (found["v(chip_0_spike)"] > 0.5).any()
        drawn.append(found["v(chip_0_energy)"].iloc[-1])
    assert drawn[0] > 1.3 * drawn[1] > 0


@pytest.mark.parametrize("name", DIALECTS)
def test_every_language_includes_the_corner_and_writes_width_and_length(
    name, kit, chip, experiment
):
    made = experiment(chip(W=W, L=L))
    own = replace(DIALECTS[name], models=read_models(kit / "corners.lib", "nch", "pch", "tt"))
    lines = netlist(made, choose(made, ()), own).splitlines()
    (include,) = [line for line in lines if "corners.lib" in line]
    assert include.endswith("section=TT" if name == "spectre" else " TT")
    transistors = [line.lower() for line in lines if " nch " in line or " pch " in line]
    assert len(transistors) == 2
    assert all(line[0] == "m" and "w=1.3e-07 l=7.1e-05 m=" in line for line in transistors)


def test_subcircuits_are_instances_and_micrometres_are_read_from_the_file(kit, chip, experiment):
    made = experiment(chip(W=W, L=L))
    own = replace(NGSPICE, models=read_models(kit / "microns.lib", "NFET", "pfet"))
    lines = netlist(made, choose(made, ()), own).splitlines()
    (line,) = [line for line in lines if "Nfet" in line]
    assert line == "Xcopies d g s s Nfet W=0.13 L=71 m={count}"


def test_spectres_language_is_read(kit):
    own = read_models(kit / "process.scs", "nfet", "pch", "Typical")
    assert (own.nmos, own.pmos, own.section) == ("nfet", "pch", "typical")
    assert own.subcircuits == ("nfet",)


def test_a_model_in_bins_goes_by_the_name_before_their_number(kit):
    assert read_models(kit / "corners.lib", "nch", "pch", "FF").pmos == "pch"


@pytest.mark.parametrize(
    ("file", "nmos", "pmos", "corner", "message"),
    [
        ("corners.lib", "nchh", "pch", "tt", "named 'nchh': did you mean nch"),
        (
            "corners.lib",
            "nch",
            "pch",
            "fff",
            r"section of corners\.lib named 'fff': did you mean ff",
        ),
        ("corners.lib", "nch", "pch", "", "has sections, TT and ff: --corner TT takes one"),
        ("corners.lib", "pch", "nch", "ff", "pch in corners.lib is of type pmos, not nmos"),
        ("parts/cards.inc", "inner", "pch", "", "There is no model in cards.inc named 'inner'"),
        ("parts/cards.inc", "rx", "pch", "", "rx in cards.inc is of type r, not nmos"),
        ("parts/cards.inc", "diode", "pch", "", "has nodes a and c: a transistor has a drain"),
        ("parts/cards.inc", "nch", "pch", "tt", "no section of cards.inc named 'tt'"),
        ("nothing.lib", "nch", "pch", "", r"nothing\.lib cannot be read"),
    ],
)
def test_names_that_are_not_there_are_refused(file, nmos, pmos, corner, message, kit, monkeypatch):
    monkeypatch.chdir((kit / file).parent)
    with pytest.raises(UserError, match=message):
        read_models((kit / file).relative_to((kit / file).parent), nmos, pmos, corner)


def test_includes_that_lead_nowhere_or_in_a_circle_are_refused(tmp_path):
    (tmp_path / "gone.lib").write_text(".include away.inc\n")
    with pytest.raises(UserError, match=r"includes away\.inc, which is not there"):
        read_models(tmp_path / "gone.lib", "nch", "pch")
    (tmp_path / "round.lib").write_text(".include round.lib\n")
    with pytest.raises(UserError, match="include each other without end"):
        read_models(tmp_path / "round.lib", "nch", "pch")


def test_what_only_our_transistors_have_is_refused(kit, chip, experiment):
    own = replace(NGSPICE, models=read_models(kit / "parts/cards.inc", "nch", "pch"))
    made = experiment(chip())
    (population,) = made.populations
    spread = replace(population, values={**population.values, "vto": [340, 361] * mV})
    apart = replace(made, populations=(spread,))
    with pytest.raises(UserError, match="vto of single neurons of chip has no place beside models"):
        netlist(apart, choose(apart, ()), own)
    warm = Population("warm", chip(temperature=331 * kelvin), 1)
    mixed = replace(made, populations=(population, warm))
    with pytest.raises(UserError, match="at one temperature, not at 300 K and 331 K"):
        netlist(mixed, choose(mixed, ()), own)


def test_the_command_wants_a_file_and_two_names(neuromod, kit):
    export = ["export", "spice", "vdd-sweep", "--neurons", "0", "--out", "chip.cir"]
    half = neuromod(*export, "--models", str(kit / "bsim4.lib"), "--nmos", "nb")
    assert half.code == 2
    assert half.err.startswith("Models of your own take a file and two names in it: --models FILE")
    whole = neuromod(*export, "--models", str(kit / "bsim4.lib"), "--nmos", "nb", "--pmos", "pb")
    assert whole.code == 0, whole.err
    other = neuromod(*export[:-1], "chip.scs", "--dialect", "spectr")
    assert other.err.startswith("There is no dialect named 'spectr': did you mean spectre")
