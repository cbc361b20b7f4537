import re

import numpy as np
import pytest
from brian2 import nS, second, umolar

from neuromod.errors import UserError
from neuromod.models import GainLIF, Receptor, library, read_receptors
from neuromod.parameters import parameters

OWN = sorted(set(library) - {"generic"})
H3 = """
[H3]
about = "Histamine H3: Gi, presynaptic."
full_name = "histamine H3"
ligand = "histamine"
K_D = [0.043, "a paper"]
k_off = [0.7, "estimate: as others"]
tau_messenger = [0.35, "chosen here"]
n = [1.3, "chosen here"]
K = [0.21, "chosen here"]
gain_max = [0.65, "chosen here"]
"""
RIVAL = 'antagonist = "thioperamide"\nK_B = [0.0041, "another paper"]\n'


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def sources(receptor):
    return {name: about.source for name, _, about in parameters(type(receptor))}


@pytest.mark.parametrize("name", library)
def test_every_receptor_of_the_library_goes_by_its_own_name(name):
    assert library[name].name == name


@pytest.mark.parametrize("name", OWN)
def test_what_a_receptor_does_not_share_with_the_generic_one_has_a_source_of_its_own(name):
    own = sources(library[name])
    for parameter, default, about in parameters(Receptor):
        differs = np.any(np.asarray(getattr(library[name], parameter)) != np.asarray(default))
        assert not differs or own[parameter] != about.source, parameter


@pytest.mark.parametrize("name", OWN)
def test_what_a_receptor_says_of_itself_begins_with_its_ligand(name):
    assert type(library[name]).__doc__.lower().startswith(library[name].ligand.lower())


@pytest.mark.parametrize("name", OWN)
def test_the_ec50_that_the_table_tells_is_that_of_the_cascade(name):
    told = re.search(r"EC50 ([\d.]+) (nM|µM)", sources(library[name])["K"])
    ec50 = float(told[1]) * {"nM": 1e-3, "µM": 1}[told[2]]
    digits = len(told[1].replace(".", "").lstrip("0"))
    assert float(library[name].ec50 / umolar) == pytest.approx(
        ec50, rel=0.15 if digits == 1 else 0.02
    )


def test_there_is_a_receptor_for_every_modulator():
    ligands = {receptor.ligand for receptor in library.values()}
    assert ligands == {
        *("modulator", "dopamine", "noradrenaline", "acetylcholine", "serotonin", "adenosine"),
        *("GABA", "glutamate", "2AG", "enkephalin", "dynorphin"),
    }


def test_gaba_b_is_the_model_that_was_fitted_to_its_k_currents():
    # Destexhe et al. 1998: dR/dt = K1 T (1 - R) - K2 R, dG/dt = K3 R - K4 G, G^4/(G^4 + 100).
    K1, K2, K3, K4 = 0.52e3, 1.3, 98.0, 33.0
    conc = np.array([0.7, 3.1, 11, 470.0])
    bound = K1 * conc * 1e-3 / (K1 * conc * 1e-3 + K2)
    protein = K3 / K4 * bound
    opened = protein**4 / (protein**4 + 100)
    assert library.GABAB.activation(conc * umolar) == pytest.approx(opened, rel=2e-3)
    assert float(library.GABAB.tau_messenger * K4 / second) == pytest.approx(1, rel=1e-3)


def test_effects_beyond_the_gain_and_antagonists_are_off():
    for receptor in library.values():
        assert receptor.antagonist == ""
        assert receptor.ahp_max == 1
        assert receptor.g_K == 0 * receptor.g_K
        assert receptor.k_desensitise == 0 / second


def test_the_library_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        library["D1"] = Receptor()


def test_a_file_of_ones_own_is_read_number_for_number(written):
    (receptor,) = read_receptors(written(H3 + RIVAL)).values()
    assert (receptor.name, receptor.ligand) == ("H3", "histamine")
    assert float(receptor.k_off / receptor.k_on / umolar) == pytest.approx(0.043)
    K_B = receptor.k_off_antagonist / receptor.k_on_antagonist
    assert float(K_B / umolar) == pytest.approx(0.0041)
    assert (receptor.n, receptor.K, receptor.gain_max) == (1.3, 0.21, 0.65)
    assert sources(receptor)["k_on"] == "k_off over K_D = 0.043 µM: a paper"
    assert "thioperamide = 4.1 nM: another paper" in sources(receptor)["k_off_antagonist"]


def test_a_file_may_open_channels_and_desensitise(written):
    more = (
        'g_K = [1.7, "x"]\nahp_max = [0.3, "x"]\nk_desensitise = [0.2, "x"]\ntau_recover = [9, "x"]'
    )
    (receptor,) = read_receptors(written(H3 + more)).values()
    assert receptor.g_K == 1.7 * nS
    assert (receptor.ahp_max, float(receptor.tau_recover / second)) == (0.3, 9)


def test_a_receptor_in_a_file_has_a_name_that_neurons_take(written):
    path = written(H3)
    assert library[f"{path}:H3"].k_on == read_receptors(path)["H3"].k_on
    assert GainLIF(receptors=(f"{path}:H3",)).ligands == ("histamine",)
    with pytest.raises(UserError, match=r"There is no receptor in .*mine.toml named 'H4': did you"):
        library[f"{path}:H4"]


@pytest.mark.parametrize(
    ("before", "after", "refusal"),
    [
        ("K_D = [0.043,", "K_D = [-0.043,", r"K_D of H3 = .* is out of range: expected above 0"),
        ("K = [0.21,", "K = [0,", r"K of H3 = 0 is out of range"),
        ("n = [1.3,", "n = [true,", "n of H3 needs a number, not True"),
        ("n = [1.3,", "n = [nan,", "n of H3 .* must be finite"),
        ('"a paper"]', '""]', "K_D of H3 needs the source of its number, not ''"),
        ('K = [0.21, "chosen here"]', "K = 0.21", r"K of H3 must be a number and its source, such"),
        ('n = [1.3, "chosen here"]\n', "", "H3 lacks n"),
        ("gain_max", "gain_mx", "no number or text of H3 named 'gain_mx': did you mean gain_max"),
        ('"histamine"', "3", "ligand of H3 must be a text, not 3"),
        ('"histamine"', '"hist-amine"', "ligand = 'hist-amine' stands in the names of variables"),
        ("[H3]", '["H 3"]', "name = 'H 3' stands in the names"),
        ("[H3]", "[H3", "cannot be read as TOML"),
        (H3, "", "is empty: a table such as"),
        (H3, "H3 = 4", "H3 must be a table"),
        (H3, H3 + 'antagonist = "x"', "H3 needs both antagonist and K_B, or neither"),
        (H3, H3 + H3, "cannot be read as TOML"),
    ],
)
def test_a_file_that_leaves_something_open_is_refused_in_one_sentence(
    before, after, refusal, written
):
    path = written(H3.replace(before, after))
    with pytest.raises(UserError, match=refusal) as told:
        read_receptors(path)
    assert str(path) in str(told.value)
    assert str(told.value)[-1] in ".?"
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent.toml cannot be read: No such file"):
        read_receptors(tmp_path / "absent.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"bytes.toml cannot be read as TOML"):
        read_receptors(tmp_path / "bytes.toml")
