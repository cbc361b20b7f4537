import copy

import pytest

from neuromod.errors import UserError
from neuromod.models import GainLIF, Receptor, library

GUEST = """
from brian2 import second
from neuromod.models import Receptor
Guest = Receptor(name={name!r}, ligand="histamine", k_off=0.37/second)
"""


def test_names_are_attributes_where_python_allows_it():
    assert library.D1 is library["D1"]
    assert {"D1", "GABAB", "A2A"} <= set(dir(library))
    assert "5HT1A" not in dir(library)
    assert library["5HT1A"].ligand == "serotonin"


def test_an_unknown_name_brings_the_nearest():
    with pytest.raises(KeyError) as item:
        library["D7"]
    assert str(item.value) == "There is no receptor named 'D7': did you mean D4, D2 or D1?"
    assert isinstance(item.value, UserError)
    with pytest.raises(AttributeError, match="no receptor named 'mglur5': did you mean mGluR5"):
        library.mglur5  # noqa: B018
    assert "D7" not in library
    assert library.get("D7") is None
    assert not hasattr(library, "D7")


def test_a_shelf_is_copied_and_extended_and_stays_what_it_was():
    assert copy.deepcopy(library)["D1"] == library["D1"]
    more = library | {"mine": Receptor(name="mine")}
    assert more.mine.name == "mine"
    assert "mine" not in library


def test_a_receptor_of_an_installed_package_is_found_by_name(guest):
    guest("H3", GUEST.format(name="H3"), kind="receptor")
    assert library.H3.ligand == "histamine"
    assert "H3" in library
    assert "H3" in dir(library)
    assert GainLIF(receptors=("H3",)).receptors[0] == library.H3


def test_a_guest_does_not_take_the_place_of_an_own_receptor(guest):
    before = library.D1
    guest("D1", GUEST.format(name="D1"), kind="receptor")
    assert library.D1 is before


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (GUEST.format(name="H4"), "its own name is 'H4'"),
        ("Guest = 4", "it is no Receptor but 4"),
        ("raise OSError('no licence')", "OSError: no licence"),
    ],
)
def test_a_broken_guest_is_refused_in_one_sentence_and_the_others_stay(source, reason, guest):
    guest("H3", source, kind="receptor")
    with pytest.raises(UserError, match=r"^The receptor 'H3' cannot be used, .*\.$") as refusal:
        library["H3"]
    assert reason in str(refusal.value)
    assert len({**library}) == len(library)
