import numpy as np
import pytest
from brian2 import second

from neuromod.models import Receptor, library
from neuromod.parameters import parameters


@pytest.mark.parametrize("name", library)
def test_every_receptor_of_the_library_goes_by_its_own_name(name):
    assert library[name].name == name


@pytest.mark.parametrize("name", sorted(set(library) - {"generic"}))
def test_what_a_receptor_does_not_share_with_the_generic_one_has_a_source_of_its_own(name):
    own = {n: about.source for n, _, about in parameters(type(library[name]))}
    for parameter, default, about in parameters(Receptor):
        differs = np.any(np.asarray(getattr(library[name], parameter)) != np.asarray(default))
        assert not differs or own[parameter] != about.source, parameter


def test_effects_beyond_the_gain_and_antagonists_are_off():
    for receptor in library.values():
        assert receptor.antagonist == ""
        assert receptor.ahp_max == 1
        assert receptor.g_K == 0 * receptor.g_K
        assert receptor.k_desensitise == 0 / second


def test_the_library_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        library["D1"] = Receptor()
