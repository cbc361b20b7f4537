import sys

import pytest

import neuromod.models
import neuromod.protocols

DOORS = (neuromod.models, neuromod.protocols)
doors = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


@doors
def test_a_door_shows_its_public_names_and_nothing_else(door):
    assert dir(door) == sorted(door.__all__)


@doors
def test_a_name_that_is_not_there_is_refused(door):
    with pytest.raises(AttributeError, match="attribute GainLI"):
        door.GainLI  # noqa: B018


@pytest.mark.parametrize("name", neuromod.models.__all__)
def test_every_model_comes_through_the_door(name):
    assert getattr(neuromod.models, name) is not None


def test_what_needs_torch_says_how_to_get_it(monkeypatch):
    monkeypatch.delitem(vars(neuromod.models), "ModulatedLayer", raising=False)
    monkeypatch.delitem(sys.modules, "neuromod.models.modulated_layer", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"ModulatedLayer needs torch.*\[train\]"):
        neuromod.models.ModulatedLayer  # noqa: B018


def test_the_door_of_the_models_opens_without_torch_and_brian2(python):
    code = "import neuromod.models, sys; sys.exit(bool({'torch', 'brian2'} & set(sys.modules)))"
    ended = python(code)
    assert ended.code == 0, ended.err
