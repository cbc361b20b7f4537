import json
import time

import hypothesis
import numpy as np
import pytest
from brian2 import Quantity, ms, mV, nA, nS, ohm, pA, pF, second, uM, volt
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from neuromod.errors import UserError
from neuromod.models import (
    AdEx,
    CircuitNeuron,
    GainLIF,
    HodgkinHuxley,
    Izhikevich,
    Messenger,
    Optocoupler,
    Receptor,
    library,
    modulate,
    scaled_by,
    shifted_by,
)
from neuromod.parameters import Parameters, unit_of
from neuromod.protocols.puff import Puff
from neuromod.protocols.vdd_sweep import VddSweep
from neuromod.protocols.volume import Volume
from neuromod.protocols.wash import Wash
from neuromod.runs import registry
from neuromod.settings import (
    UNITS,
    change,
    flatten,
    format_value,
    parse_value,
    read,
    split_assignments,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SIMPLE_UNITS = st.sampled_from([unit for unit in UNITS.values() if not unit.is_dimensionless])


def same(a, b):
    return (
        type(a) is type(b)
        and getattr(a, "dim", None) == getattr(b, "dim", None)
        and np.shape(a) == np.shape(b)
        and bool(np.all(np.asarray(a) == np.asarray(b)))
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("15*ms", 15 * ms),
        ("-70.5 * mV", -70.5 * mV),
        ("2*nA/volt**2", 2 * nA / volt**2),
        ("50*fF", 50e-15 * UNITS["farad"]),
        ("[0.5, 0.75]*volt", [0.5, 0.75] * volt),
        ("[250*mV, 0.75*volt]", [0.25, 0.75] * volt),
        ("linspace(0.5, 1, 3)*volt", [0.5, 0.75, 1] * volt),
        ("geomspace(0.2, 5, 3)*uM", [0.2, 1, 5] * uM),
        ("geomspace(-0.2*nA, -5*nA, 3)", [-0.2, -1, -5] * nA),
        ("logspace(-1, 1, 3)*uM", [0.1, 1, 10] * uM),
        ("arange(1, 1.3, 0.1)*ms", [1, 1.1, 1.2] * ms),
        ("arange(3*mV, 1*mV, -0.75*mV)", [3, 2.25, 1.5] * mV),
        ("5.5*µM", 5.5 * uM),
        ("3*MΩ", 3e6 * ohm),
        ("0.55*V", 0.55 * volt),
        ("1, 2", (1, 2)),
        ("1.5,", (1.5,)),
        ("none, nt1", ("none", "nt1")),
        ("bio-vs-circuit", "bio-vs-circuit"),
        ("clocked", "clocked"),
        ("True", True),
        ("3", 3),
        ("1e3", 1000.0),
    ],
)
def test_values_are_read(text, value):
    parsed = parse_value(text)
    if isinstance(value, Quantity):
        assert parsed.dim == value.dim
        np.testing.assert_allclose(np.asarray(parsed), np.asarray(value), rtol=1e-15)
    else:
        assert type(parsed) is type(value)
        assert parsed == value


def test_none_is_a_name_where_the_setting_has_one_of_that_name():
    pytest.importorskip("torch")
    study = registry.find("protocol", "cue-association")()
    assert read(study, {"networks": "none"}) == {"networks": ("none",)}


@given(FINITE, SIMPLE_UNITS)
def test_quantities_come_back_exactly(number, unit):
    value = Quantity(number, dim=unit.dim)
    assert same(parse_value(format_value(value)), value)


@given(hnp.arrays(float, st.integers(1, 9), elements=FINITE), SIMPLE_UNITS)
def test_arrays_of_quantities_come_back_exactly(numbers, unit):
    value = Quantity(numbers, dim=unit.dim)
    assert same(parse_value(format_value(value)), value)


@given(hnp.arrays(float, st.integers(1, 9), elements=FINITE))
def test_arrays_come_back_exactly(numbers):
    assert same(parse_value(format_value(numbers)), numbers)


@given(st.lists(FINITE | st.integers(-(10**12), 10**12), min_size=1, max_size=7).map(tuple))
def test_tuples_come_back_exactly(numbers):
    parsed = parse_value(format_value(numbers))
    assert parsed == numbers
    assert [type(item) for item in parsed] == [type(item) for item in numbers]


@given(st.integers(-(2**63), 2**63) | FINITE | st.booleans())
def test_plain_values_come_back_exactly(value):
    parsed = parse_value(format_value(value))
    assert type(parsed) is type(value)
    assert parsed == value


@given(
    st.text()
    | st.text("0123456789.*/+-()[], emsVAvoltinspace_'\"=:{}", max_size=30)
    | st.lists(st.sampled_from(["(", ")", "[", "]", "1", "*", "**", "ms", ",", "-", "/0"])).map(
        "".join
    )
)
def test_arbitrary_text_is_a_value_or_a_user_error(text):
    try:
        value = parse_value(text)
    except UserError:
        return
    assert isinstance(value, int | float | bool | str | tuple | np.ndarray)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch evaluated')",
        "(lambda: 1)()",
        "volt.__class__",
        "linspace.__globals__",
        "[x for x in [1]]",
        "1 if 1 else 2",
        "open('setup.cfg')",
        "1 + 2*ms",
        "linspace(0, 1, 3, 4)",
        "linspace(0, 1, num=3)",
        "f'{1}'",
    ],
)
def test_code_is_refused_and_never_run(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        parse_value(text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9",
        "(" * 20 + "9" + ")**6" * 20,
        "9" * 400,
        "*".join(["99999"] * 99),
        "9**9999999",
        "((9**6)**6)**6**6",
        "linspace(0, 1, 10**12)",
        "linspace(0,1,-1)",
        "1e308**6*ms",
    ],
)
def test_what_would_take_for_ever_is_refused_at_once(text):
    started = time.perf_counter()
    with pytest.raises(UserError):
        parse_value(text)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("15*mz", "no unit named 'mz'"),
        ("15*milisecond", "did you mean msecond"),
        ("1/0", "cannot be computed"),
        ("[1*ms, 2*mV]", "same unit"),
        ("[]", "at least one value"),
        ("linspace(1*ms, 2*mV, 3)", "same unit"),
        ("linspace(0, 1, 2.5)", "whole number"),
        ("1uM", r"write 1\*uM"),
        ("0.25 nA", r"write 0.25\*nA"),
        ("[1, 2.5]ms", r"write \[1, 2.5\]\*ms"),
        ("1e-3mM", r"write 1e-3\*mM"),
        ("geomspace(-1, 1, 3)", "same sign"),
        ("geomspace(1*ms, 2*mV, 3)", "same unit"),
        ("logspace(1*ms, 2, 3)", "powers of ten"),
        ("logspace(0, 400, 2)", "cannot be computed"),
        ("linspace(-1.7e308, 1.7e308, 3)", "cannot be computed"),
        ("arange(0, 1, -0.1)", "towards its end"),
        ("[ms, [1, 2]]", "single numbers"),
        ("(1, 2)*ms", "arithmetic"),
        ("ms**0.5", "whole number"),
    ],
)
def test_a_text_that_is_no_value_is_explained(text, message):
    with pytest.raises(UserError, match=message):
        parse_value(text)


def test_changing_a_setting_leaves_the_original(tiny):
    before = tiny()
    after = change(before, {"seed": 7, "tau_m": 15.3 * ms})
    assert (before.seed, after.seed) == (1, 7)
    assert before.neuron.tau_m == 20 * ms
    assert after.neuron.tau_m == 15.3 * ms


def test_inner_settings_have_long_and_short_names(tiny):
    cell, k_off = tiny(neuron=GainLIF()), 0.37 / UNITS["second"]
    short = change(cell, {"k_off": k_off})
    long = change(cell, {"neuron.receptors.generic.k_off": k_off})
    end = change(cell, {"receptors.generic.k_off": k_off})
    assert short == long == end != cell


def test_an_ambiguous_name_is_refused():
    from neuromod.protocols.bio_vs_circuit import BioVsCircuit

    with pytest.raises(UserError, match=r"could mean .*v_rest or .*v_rest"):
        change(BioVsCircuit(), {"v_rest": 0.2 * volt})


@pytest.mark.parametrize(
    ("model", "assignment", "message"),
    [
        (Optocoupler(), {"gamma": -0.3}, "expected above 0, at most 1.5"),
        (Optocoupler(), {"gamma": 1.6}, "at most 1.5"),
        (CircuitNeuron(), {"v_th": 3 * ms}, "a value in volt was expected"),
        (CircuitNeuron(), {"C": 0 * UNITS["farad"]}, "above 0"),
        (CircuitNeuron(), {"C": -50 * UNITS["fF"]}, "above 0"),
        (CircuitNeuron(), {"slope_factor": 1e300}, r"a size of 0 to 1e\+60 was expected"),
        (Volume(), {"cells": 2**40}, "cells = .* expected 2 to 1 000 000"),
        (GainLIF(), {"t_ref": -0.1 * ms}, "expected at least 0 ms"),
        (GainLIF(), {"tau_m": 15}, "a value in second was expected"),
        (GainLIF(), {"tua_m": 15 * ms}, "did you mean tau_m"),
        (GainLIF(), {"site": "inptu"}, "did you mean input"),
        (GainLIF(), {"v_rest": -40 * mV}, "must lie below v_th"),
    ],
)
def test_a_value_that_does_not_fit_is_explained(model, assignment, message):
    with pytest.raises(UserError, match=message):
        change(model, assignment)


def test_texts_are_read_as_the_kind_of_their_setting(tiny):
    texts = {"note": "15*ms", "mode": "fancy", "repeats": "3", "tau_m": "15*ms", "broken": "true"}
    assert read(tiny(), texts) == {
        "note": "15*ms",
        "mode": "fancy",
        "repeats": 3,
        "tau_m": 15 * ms,
        "broken": True,
    }


def test_a_protocol_comes_back_from_its_texts(tiny):
    original = tiny(
        seed=12,
        neuron=GainLIF(tau_m=17.123456789 * ms, site="threshold"),
        current=[0.1, 0.2, 0.7] * nA / 3,
        weights=(0.1,),
        note="true",
    )
    texts = {name: format_value(value) for name, value in flatten(original).items()}
    assert change(tiny(), read(tiny(), texts)) == original


@pytest.mark.parametrize("text", ["vdd", "=3", "vdd=", " = ", ""])
def test_an_assignment_without_name_or_value_is_refused(text):
    with pytest.raises(UserError, match="name=value"):
        split_assignments([text])


def test_a_value_may_hold_an_equals_sign():
    assert split_assignments(["note=a=b", " x = 1 "]) == {"note": "a=b", "x": "1"}


def read_into(settings, *assignments):
    return change(settings, read(settings, split_assignments(assignments)))


def test_models_of_a_list_are_chosen_by_name_and_then_have_settings_of_their_own(tiny):
    changed = read_into(tiny(), "receptors=D1, alpha2", "D1.gain_max=2.3", "alpha2.n=1")
    assert [r.name for r in changed.neuron.receptors] == ["D1", "alpha2"]
    assert changed.neuron.receptors[0].gain_max == 2.3
    assert changed.neuron.receptors[1].n == 1
    assert changed.neuron.receptors[0].k_on == library["D1"].k_on


def test_a_new_name_in_a_list_of_models_needs_a_value_of_its_own():
    assert read_into(GainLIF(), "receptors=mine", "mine.K=0.31").receptors[0] == Receptor(
        name="mine", K=0.31
    )
    with pytest.raises(UserError, match="There is no receptor named 'D11': did you mean D1"):
        read_into(GainLIF(), "receptors=D11")
    with pytest.raises(UserError, match=r"There is no setting named 'D1.k_on'"):
        read_into(GainLIF(), "D1.k_on=3/umolar/second")


def test_a_short_name_that_two_models_of_a_list_share_is_ambiguous():
    with pytest.raises(UserError, match=r"receptors.D1.K or receptors.D2.K"):
        read_into(GainLIF(), "receptors=D1, D2", "K=0.3")


def test_settings_with_a_list_of_models_survive_being_written_as_text():
    odd = Receptor(name="5X", ligand="some", antagonist="other", K=1 / 3, g_K=-0.1 * nS)
    neuron = GainLIF(receptors=(odd, library["D2"], Receptor(n=1.7)), tau_m=17.3 * ms)
    texts = {name: format_value(value) for name, value in flatten(neuron).items()}
    back = change(GainLIF(), read(GainLIF(), texts))
    assert flatten(back) == flatten(neuron)


def test_settings_that_fit_only_together_may_be_changed_in_any_order():
    later = {"onset": 50.3 * second, "offset": 91.7 * second, "duration": 140 * second}
    for order in (later, dict(reversed(later.items()))):
        changed = change(Wash(), order)
        assert (changed.onset, changed.offset) == (50.3 * second, 91.7 * second)
    with pytest.raises(UserError, match=r"wash-in|offset"):
        change(Wash(), {"onset": 50.3 * second})


def every_setting():
    """Name of the protocol or model, itself and the name of a setting, for all there are."""
    for kind in ("protocol", "model", "receptor"):
        for name in registry.names(kind):
            found = registry.find(kind, name)
            base = found() if isinstance(found, type) and issubclass(found, Parameters) else found
            if isinstance(base, Parameters):
                # Those of models inside a protocol are the models' own.
                own = [n for n in flatten(base) if "." not in n]
                yield from (pytest.param(base, n, id=f"{name}-{n}") for n in own)


EXTREME_NUMBERS = ["0", "-0.0", "1", "-3", "1/3", "1e308", "-1e308", "5e-324", "1e300", "1e59"]
EXTREME_NUMBERS += ["9007199254740993", "9223372036854775807", "9223372036854775808", "1e-59"]
EXTREME_TEXTS = ["true", "false", "none", "none,", "true, false", "nan", "1e999", "[true]", "[]"]
EXTREME_TEXTS += ["1,", "2, 1", "1, 1.5", "1e300,", "a-b", "'a'", "a,b", "\0", " ", "1*volt", "()"]
EXTREME_TEXTS += ["-".join("a" * 1500), "-" * 3000 + "1", "linspace(0, 1, 10000001)", "é", "[[1]]"]
EXTREME_VALUES = [True, np.True_, np.float32(0.1), np.int8(3), np.array(3), np.array([2, 1])]
EXTREME_VALUES += [np.array([True]), np.array([1j]), np.array(["a"]), np.zeros(0), 10**400, None]
EXTREME_VALUES += [np.zeros((2, 2)), [None], [[1]], ("a,b",), (" a",), ("none",), "", {}, 1j, ()]
EXTREME_VALUES += [np.longdouble("0.1"), np.array([2**53 + 1]), [10**400], np.array([None]), {3}]


def extremes(held):
    """Extreme texts and values for a setting that holds a value."""
    one = held[0] if isinstance(held, tuple) and held else held
    unit = "" if not isinstance(one, Quantity) else f"*{unit_of(one)}"
    numbers = [f"{n}{unit}" for n in EXTREME_NUMBERS]
    numbers += [f"[{n}, 1]{unit}" for n in EXTREME_NUMBERS]
    return [*numbers, *EXTREME_TEXTS, *EXTREME_VALUES]


def bits(value):
    if isinstance(value, tuple):
        return tuple(map(bits, value))
    if isinstance(value, float | np.ndarray):
        plain = np.asarray(value)
        return type(value), getattr(value, "dim", None), plain.dtype, plain.shape, plain.tobytes()
    return type(value), value


def comes_back(base, name, value):
    """Whether a setting takes a value; then it is the same, to the bit, when it is read again."""
    try:
        given = read(base, {name: value})[name] if isinstance(value, str) else value
        changed = change(base, {name: given})
    except UserError:
        return False
    written = {n: format_value(v) for n, v in flatten(changed).items()}
    again = change(base, read(base, json.loads(json.dumps(written))))
    assert {n: bits(v) for n, v in flatten(again).items()} == {
        n: bits(v) for n, v in flatten(changed).items()
    }
    return True


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("base", "name"), list(every_setting()))
def test_extreme_values_of_every_setting_are_refused_or_read_again(base, name):
    for value in extremes(flatten(base)[name]):
        started = time.process_time()
        comes_back(base, name, value)
        assert time.process_time() - started < 10, value


def numeric_settings():
    """Those settings that hold numbers."""
    for case in every_setting():
        base, name = case.values
        if np.asarray(flatten(base)[name]).dtype.kind in "iuf":
            yield case


@pytest.mark.thorough
@pytest.mark.parametrize(("base", "name"), list(numeric_settings()))
@given(factor=st.floats(0.5, 2), index=st.integers(0, 9))
@hypothesis.settings(deadline=None, max_examples=10)
def test_what_a_setting_takes_is_read_again_to_the_bit(base, name, factor, index):
    held = flatten(base)[name]
    changed = np.array(held, dtype=float, ndmin=1)
    changed[index % len(changed)] *= factor
    changed = changed if np.ndim(held) else changed[0]
    comes_back(base, name, Quantity(changed, dim=held.dim) if hasattr(held, "dim") else changed)


@pytest.mark.parametrize(
    ("base", "name", "value", "taken"),
    [
        (VddSweep(), "seed", "1e300", False),
        (VddSweep(), "seed", "9223372036854775807", True),
        (VddSweep(), "seed", 10**400, False),
        (VddSweep(), "vdd", "true", False),
        (VddSweep(), "vdd", "[0.5, 0.7]*volt", True),
        (VddSweep(), "codes", "true", False),
        (VddSweep(), "codes", "1*volt", False),
        (VddSweep(), "codes", np.array([1, -2]), True),
        (VddSweep(), "dt", "1e-320*second", False),
        (CircuitNeuron(), "slope_factor", np.float32(1.7), True),
        (CircuitNeuron(), "slope_factor", np.array(1.7), True),
        (GainLIF(), "receptors", "none", True),
        (Receptor(), "ligand", "none", True),
    ],
)
def test_extreme_values_are_refused_or_read_again(base, name, value, taken):
    assert comes_back(base, name, value) is taken


@pytest.mark.parametrize("text", ["-".join("a" * 1500), "-" * 5000 + "1", "[" * 5000, "1" * 9999])
def test_messages_about_long_texts_are_short(text):
    with pytest.raises(UserError) as caught:
        change(VddSweep(), read(VddSweep(), {"dt": text}))
    assert len(str(caught.value)) < 300


OWN = """
dv/dt = (g_L*(E_L - v) - w + I)/C_m : volt (unless refractory)
dw/dt = (a*(v - E_L) - w)/tau_w : amp
I : amp
"""
RECEPTORS = [
    Receptor(name="R1", ligand="glue", n=1.7, gain_max=1.31),
    Receptor(name="R2", ligand="paste", antagonist="solvent", k_off=0.37 / second),
]
OWN_NEURON = modulate(
    OWN,
    RECEPTORS,
    on={
        "I": ["R1", shifted_by("R2", 71 * pA)],
        "b": scaled_by("R2", 0.1),
        "tau_w": "tau_w*(2 - exp(-3.7*activation_R1)) + 0.3*ms",
    },
    threshold="v > -47.3*mV and w < 1*nA",
    reset="v = -61*mV; w += b",
    refractory=1.9 * ms,
    method="rk2",
    namespace={
        "g_L": 17 * nS,
        "E_L": -69.3 * mV,
        "C_m": 210 * pF,
        "a": 3.7 * nS,
        "tau_w": 83 * ms,
        "b": 61 * pA,
    },
    start={"v": -66.3 * mV},
    current="I",
    around=["paste", "thinner"],
)
SHARED = Messenger(
    name="IP3", raised_by=("R1",), lowered_by=("R2",), basal=0.17, n=2.3, tau_messenger=91 * ms
)
CAMP = Messenger(lowered_by=("D2",), gain_max=0.7)
NEURONS = {
    "own": OWN_NEURON,
    "messenger": modulate(OWN_NEURON.own, [*RECEPTORS, SHARED], on={"a": "IP3", "I": "IP3"}),
    "modulated-shelf": modulate(HodgkinHuxley(), RECEPTORS[:1], on={"g_Kd": "R1"}),
    "shelf": AdEx(b=17 * pA, receptors=(*RECEPTORS, SHARED)),
    "library": Izhikevich(receptors=(library.D1, library.D2, CAMP)),
    "renamed": AdEx(receptors=(RECEPTORS[0], Messenger(name="cGMP", raised_by=("R1",)))),
}


@pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)
def test_any_neuron_in_a_protocol_comes_back_from_its_settings_as_text(neuron):
    protocol = Puff(neuron=neuron)
    texts = {name: format_value(value) for name, value in flatten(protocol).items()}
    found = change(Puff(), read(Puff(), texts))
    assert found == protocol
    assert found.neuron.equations == neuron.equations
    assert found.neuron.constants == neuron.constants


def test_a_neuron_of_the_shelf_is_chosen_by_its_name_and_then_has_settings_of_its_own():
    given = {"neuron": "adex", "receptors": "D1, IP3", "b": "17*pA", "IP3.raised_by": "D1,"}
    found = change(Puff(), read(Puff(), given)).neuron
    shared = Messenger(name="IP3", raised_by=("D1",))
    assert found == AdEx(b=17 * pA, receptors=(library.D1, shared))
    named = change(Puff(), read(Puff(), {"neuron": "izhikevich", "receptors": "D1, cAMP"})).neuron
    assert named == Izhikevich(receptors=(library.D1, Messenger()))


def test_values_of_a_neuron_of_one_s_own_are_changed_by_name():
    protocol = Puff(neuron=OWN_NEURON)
    texts = {"neuron.own.values.tau_w": "91*ms", "neuron.amounts.shift_I_R2": "13*pA"}
    found = change(protocol, read(protocol, texts)).neuron
    assert found.constants["tau_w"] == 91 * ms
    assert found.constants["shift_I_R2"] == 13 * pA
    assert found.constants["b"] == 61 * pA
    assert OWN_NEURON.constants["tau_w"] == 83 * ms
    with pytest.raises(UserError, match="wrong unit"):
        change(protocol, read(protocol, {"neuron.own.values.tau_w": "91*mV"}))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"neuron": "adx"}, "no neuron named 'adx': did you mean adex"),
        ({"neuron": "circuit-neuron"}, "no neuron named 'circuit-neuron'; there are adex,"),
        ({"neuron": "adex", "receptors": "D1, M4x"}, "named 'M4x'"),
        ({"neuron": "adex", "receptors": "cAMP,"}, "no receptor for cAMP named 'D1'"),
        ({"neuron": "modulated"}, "needs a receptor"),
    ],
)
def test_a_neuron_that_is_not_known_is_refused(given, words):
    with pytest.raises(UserError, match=words):
        change(Puff(), read(Puff(), given))
