import copy
import dataclasses
import inspect
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from brian2 import Equations, Quantity, cm, ms, mV, nA, nS, second, uF, um, umolar, volt
from hypothesis import given, strategies as st

from neuromod.errors import UserError
from neuromod.models import CircuitNeuron, GainLIF, Messenger, Receptor
from neuromod.parameters import (
    About,
    Parameters,
    check,
    namespace,
    parameter,
    parameters,
    positive,
    unit_of,
)
from neuromod.protocols import VddSweep
from neuromod.runs import registry


@dataclass(frozen=True, eq=False)
class Inner(Parameters):
    tau: Quantity = parameter(3 * ms, "time", source="chosen here", low=0 * second)


@dataclass(frozen=True, eq=False)
class Outer(Parameters):
    inner: Inner = parameter(Inner(), "model", source="see its own")
    level: float = parameter(0.5, "level", source="chosen here", low=0, low_excluded=True, high=2)
    count: int = parameter(3, "count", source="chosen here", low=1)
    supply: Quantity = parameter(
        [0.5, 1] * volt, "supplies", source="chosen here", low=0.5 * volt, high=1 * volt
    )
    codes: tuple[int, ...] = parameter((1, -2), "codes", source="chosen here", low=-7, high=7)
    kind: str = parameter("hot", "kind", source="chosen here", choices=("hot", "cold"))
    on: bool = parameter(True, "whether", source="chosen here")
    words: tuple[str, ...] = parameter(("a",), "words", source="chosen here")
    step: Quantity = positive(3 * ms, "step", source="chosen here")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"level": 0}, "level = 0 is out of range: expected above 0, at most 2"),
        ({"level": 2.0001}, "level = 2.0001 is out of range: expected above 0, at most 2"),
        ({"level": 1 * volt}, "a number without unit was expected, such as 0.5"),
        ({"level": "high"}, "is not a number"),
        ({"level": [0.5, 0.6]}, "is not a number"),
        ({"level": np.array([0.5, 0.6])}, "takes one value, not 2"),
        ({"level": float("nan")}, "must be finite"),
        ({"count": 2.5}, "must be a whole number"),
        ({"count": float("inf")}, "must be finite"),
        ({"count": float("nan")}, "must be finite"),
        ({"count": np.array([1.0, 2.0])}, "takes one value, not 2"),
        ({"count": 0}, "expected 1 to 1 000 000"),
        ({"supply": 0.49 * volt}, "supply = 0.49 V is out of range"),
        ({"supply": [0.7, 1.3, 0.9] * volt}, "supply = 1.3 V is out of range"),
        ({"supply": [0.7, np.nan] * volt}, "must be finite"),
        ({"supply": 3 * ms}, "a value in volt was expected, such as 1\\*volt"),
        ({"codes": (1, 8)}, "codes = 8 is out of range"),
        ({"codes": (1, 1.5)}, "whole number"),
        ({"kind": "hto"}, "did you mean hot"),
        ({"kind": 3}, "must be text"),
        ({"on": "yes"}, "must be True or False"),
        ({"inner": 3}, "must be a Inner"),
        ({"level": True}, "level = True is not a number"),
        ({"level": np.ma.masked_array([0.7], [True])}, "is not a number"),
        ({"count": 1e300}, "count = an integer of 997 bits is out of range"),
        ({"count": 2**63}, "count = 9223372036854775808 is out of range: at most 92233720368547"),
        ({"supply": [True, False]}, "not a number"),
        ({"supply": np.array([1j])}, "not a number"),
        ({"supply": np.full(1_000_001, 0.7) * volt}, "1 000 000 values at most, not 1 000 001"),
        ({"codes": 1 * volt}, "codes = 1 V has the wrong unit"),
        ({"codes": [1] * 1_000_001}, "takes 1 000 000 values at most"),
        ({"words": ("a,b",)}, "words takes words without commas, brackets or quotes, not 'a,b'"),
        ({"words": ("",)}, "words takes words"),
        ({"inner": Inner}, "must be a Inner"),
    ],
)
def test_a_value_that_does_not_fit_is_explained(values, message):
    with pytest.raises(UserError, match=message):
        Outer(**values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Outer(levle=0.7), "no parameter of Outer named 'levle': did you mean level"),
        (
            lambda: VddSweep(citcuit=3),
            "no parameter of VddSweep named 'citcuit': did you .*circuit",
        ),
        (
            lambda: GainLIF(conc_D1=3),
            "no parameter of GainLIF named 'conc_D1': did you mean conc_mo",
        ),
        (
            lambda: GainLIF(I_ext=0.3 * nA),
            r"I_ext is an input of GainLIF, no parameter: give it to the population, as in "
            r"Population\(\.\.\., values=\{'I_ext': \.\.\.\}\)",
        ),
        (lambda: CircuitNeuron(vdd=0.7 * volt), "vdd is an input of CircuitNeuron"),
        (lambda: dataclasses.replace(GainLIF(), trained_gain=2), "trained_gain is an input"),
    ],
)
def test_a_name_of_no_parameter_is_answered_with_what_there_is(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_parameters_are_copied_and_keep_their_signature():
    made = Outer(Inner(7 * ms), level=0.7)
    for same in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert same == made
    assert dataclasses.replace(made, level=0.3).inner == made.inner
    assert list(inspect.signature(Outer).parameters)[:2] == ["inner", "level"]
    assert inspect.signature(Outer).parameters["level"].default == 0.5


def test_values_are_brought_to_the_kind_of_their_default():
    made = Outer(level=1, count=4.0, supply=0.7 * volt, codes=3)
    assert isinstance(made.level, float)
    assert isinstance(made.count, int)
    assert made.supply.shape == (1,)
    assert made.codes == (3,)


def test_words_and_switches_of_numpy_become_pythons_own():
    made = Outer(words=np.array(["b"]), on=np.False_)
    assert type(made.words[0]) is str
    assert made.on is False


def test_what_no_quotient_would_survive_is_refused():
    with pytest.raises(UserError, match=r"step = 9\.99\d*e-321 second is out of range"):
        Outer(step=1e-320 * second)
    with pytest.raises(UserError, match=r"step = 1e[+]61 second is out of range"):
        Outer(step=1e61 * second)


def test_ends_of_a_range_are_allowed_unless_excluded():
    assert Outer(level=2).level == 2
    assert Outer(supply=[0.5, 1.0] * volt) == Outer()


def test_a_bare_unit_is_a_quantity():
    assert str(Inner(tau=ms).tau) == str(1 * ms)


def test_parameters_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Outer().level = 1.0


def test_equality_is_by_value_and_class():
    assert Outer() == Outer(supply=[500, 1000] * mV)
    assert Outer() != Outer(inner=Inner(tau=4 * ms))
    assert Outer() != Outer(supply=[0.5, 0.9, 1] * volt)
    assert Outer() != Inner()


def test_namespace_holds_numbers_of_inner_models_too():
    assert set(namespace(Outer())) == {"tau", "level", "count", "supply", "step"}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_range_decides(value):
    about = About("level", "chosen here", low=-1.25, high=3.75)
    if -1.25 <= value <= 3.75:
        assert check("level", value, 0.0, about) == value
    else:
        with pytest.raises(UserError, match="out of range"):
            check("level", value, 0.0, about)


@pytest.mark.parametrize(
    ("about", "text"),
    [
        (About("", ""), ""),
        (About("", "", low=0), "at least 0"),
        (About("", "", low=0 * ms, low_excluded=True), "above 0 ms"),
        (About("", "", low=0.5 * volt, high=1 * volt), "0.5 to 1 V"),
        (About("", "", high=7), "at most 7"),
        (About("", "", low=0, high=2, low_excluded=True), "above 0, at most 2"),
        (About("", "", choices=("a", "b")), "a or b"),
    ],
)
def test_a_range_is_told_in_words(about, text):
    assert about.range == text


@pytest.mark.parametrize(
    ("value", "unit"), [(3 * mV, "volt"), ([1, 2] * nA, "amp"), (2.5, "1"), (1 / ms, "hertz")]
)
def test_units_are_written_as_brian_wants_them(value, unit):
    assert unit_of(value) == unit


@pytest.mark.parametrize(
    "value", [2 * um**2, 3 * mV / ms, 1 * uF / cm**2, 1 / (umolar * ms), 1 * nA / um**2]
)
def test_brian_reads_every_unit_back(value):
    assert Equations(f"x : {unit_of(value)}")["x"].dim == value.dim


@pytest.mark.parametrize("name", registry.names("model"))
def test_every_parameter_of_every_model_has_meaning_and_source(name):
    if registry.missing("model", name) or not issubclass(registry.find("model", name), Parameters):
        pytest.skip("has no parameters with sources")
    described = list(parameters(registry.find("model", name)))
    assert described
    assert all(about.meaning and about.source for _, _, about in described)


@dataclass(frozen=True, eq=False)
class Holder(Parameters):
    amounts: Mapping[str, Any] = parameter({}, "numbers", "the user", any_unit=True)
    texts: Mapping[str, Any] = parameter({}, "texts", "the user")
    weight: Any = parameter(3.0, "of any unit", "the user", any_unit=True)
    model: Parameters = parameter(Receptor(), "one of two", "x", kinds=(Receptor, Messenger))
    models: tuple[Any, ...] = parameter((), "a list", "x", kinds=(Receptor, Messenger))


def test_a_mapping_of_numbers_takes_any_unit_and_keeps_its_names():
    amounts = {"a": 3.7 * nS, "b_2": 5, "c": -1 * mV}
    held = Holder(amounts=amounts)
    assert dict(held.amounts) == amounts
    assert held == Holder(amounts=dict(reversed(amounts.items())))
    assert held != Holder(amounts=amounts | {"b_2": 5.1})
    assert held != Holder(amounts={"a": 3.7 * nS})
    assert held != Holder(amounts=amounts | {"c": -1 * nS})
    amounts["a"] = 0 * nS
    assert held.amounts["a"] == 3.7 * nS
    with pytest.raises(TypeError):
        held.amounts["a"] = 1 * nS


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"amounts": {"a": "3"}}, "amounts.a = '3' is not a number"),
        ({"amounts": {"a": float("nan")}}, "amounts.a = nan must be finite"),
        ({"amounts": {"a": [1, 2] * nS}}, "amounts.a takes one value, not 2"),
        ({"amounts": {"a": True}}, "amounts.a = True is not a number"),
        ({"amounts": {"a b": 3}}, "names of letters, digits and underscores, not 'a b'"),
        ({"amounts": {"a.b": 3}}, "names of letters, digits and underscores, not 'a.b'"),
        ({"amounts": {3: 3}}, "names of letters, digits and underscores, not 3"),
        ({"amounts": [3]}, "amounts needs values by name"),
        ({"texts": {"a": 3}}, "texts.a = 3 must be text"),
        ({"weight": "3"}, "weight = '3' is not a number"),
        ({"weight": [1, 2] * mV}, "weight takes one value, not 2"),
        ({"model": GainLIF()}, "model must be a Receptor or Messenger, not GainLIF"),
        ({"models": (GainLIF(),)}, "must be a Receptor or Messenger, not GainLIF"),
    ],
)
def test_what_a_mapping_or_one_of_several_kinds_cannot_hold_is_refused(changed, words):
    with pytest.raises(UserError, match=words):
        Holder(**changed)


def test_a_parameter_takes_any_of_its_kinds_and_a_list_may_mix_them():
    assert isinstance(Holder(model=Messenger()).model, Messenger)
    mixed = Holder(models=[Messenger(), Receptor(name="D1")]).models
    assert [type(model).__name__ for model in mixed] == ["Messenger", "Receptor"]
    assert Holder().models == ()
    assert Holder(weight=3.1 * nS).weight == 3.1 * nS
