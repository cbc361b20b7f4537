"""Brian2's code in GeNN's language: what each statement becomes, and what it computes in C."""

import math
import re
import subprocess

import numpy as np
import pytest
from brian2 import NeuronGroup, Synapses, defaultclock, ms, prefs

from neuromod.devices.genn.translation import FUNCTIONS, Renderer, translate
from neuromod.errors import UserError

CELL = """
dv/dt = (drive - v)/tau : 1 (unless refractory)
drive = I + level : 1
I : 1
high = v > 0.5 : boolean
level : 1 (shared)
n : integer
inSyn : 1
tau : second (shared, constant)
"""


@pytest.fixture
def cells():
    before = prefs.codegen.target
    prefs.codegen.target = "numpy"
    yield NeuronGroup(3, CELL, threshold="v > 1", refractory=2 * ms, method="euler", name="cells")
    prefs.codegen.target = before


def lines(code, group, **options):
    return translate(code, group, np.float64, **options).text.splitlines()


def test_names_get_a_prefix_so_that_none_can_be_the_languages_own(cells):
    assert lines("inSyn = inSyn + n", cells) == ["u_inSyn = u_inSyn + u_n;"]


def test_what_code_defines_for_itself_is_declared_with_its_type(cells):
    found = lines("_a = I > 2\n_b = n + 1\n_c = 2*I\nI = _c", cells)
    assert [line.partition(" ")[0] for line in found] == ["bool", "int64_t", "double", "u_I"]
    single = translate("_c = 2*I\nI = _c", cells, np.float32)
    assert single.text.startswith("float u__c")


def test_what_code_defines_for_itself_may_change(cells):
    found = translate("_more = I*2\n_more = _more + I\nI = _more", cells, np.float64)
    assert len(found.text.splitlines()) == 3
    assert found.written == {"I"}


def test_subexpressions_are_written_out_and_again_once_they_changed(cells):
    assert lines("v = drive\nI = 2\nv = drive", cells, protected=False) == [
        "double u_drive = u_I + u_level;",
        "u_v = u_drive;",
        "u_I = 2;",
        "u_drive = u_I + u_level;",
        "u_v = u_drive;",
    ]


def test_what_is_held_while_a_neuron_is_refractory_is_held_unless_it_is_reset(cells):
    assert lines("v = 0", cells) == ["if (u_not_refractory) { u_v = 0; }"]
    assert lines("v = 0", cells, protected=False) == ["u_v = 0;"]
    assert translate("v = 0", cells, np.float64).arrays.keys() == {"v", "not_refractory"}


def test_code_tells_what_it_reads_and_writes(cells):
    found = translate("n += 2\nI = level*exp(-t/tau)", cells, np.float64)
    assert found.arrays.keys() == {"n", "I", "level", "tau"}
    assert found.written == {"n", "I"}
    assert found.added == set()


def test_units_are_numbers_and_the_clock_is_genns(cells):
    assert lines("I = t/(9.7*ms) + dt/second + i + N", cells) == [
        "u_I = (((1.0*t/(9.7 * (0.001))) + (1.0*dt/(1.0))) + ((int)id)) + ((int)num_neurons);"
    ]


def test_changes_of_any_kind_become_assignments(cells):
    assert lines("I *= n", cells) == ["u_I = u_I * u_n;"]
    assert lines("I -= n + 1", cells) == ["u_I = u_I - (u_n + 1);"]
    assert lines("I **= 3", cells) == ["u_I = pow(u_I, 3);"]


@pytest.fixture
def plastic(cells):
    defaultclock.dt = 0.1 * ms
    made = Synapses(cells, cells, "w : 1\ns = w*2 : 1", on_pre="v_post += s*I_post", name="plastic")
    made.connect(i=[0, 1], j=[1, 2])
    return made


def test_what_a_spike_adds_to_its_target_is_handed_over(plastic):
    found = translate("v_post += s*I_post\nw += 1", plastic, np.float64)
    assert found.text.splitlines() == [
        "double u_s = u_w * 2;",
        "addToPost(u_s * u_I_post);",
        "u_w = u_w + 1;",
    ]
    assert found.added == {"v_post"}
    # It is not read: GeNN would show it as it was before other spikes.
    assert found.arrays.keys() == {"w", "I_post"}
    assert translate("v_post -= w", plastic, np.float64).text == "addToPost(-(u_w));"


def test_a_target_can_be_added_to_but_not_set(plastic):
    with pytest.raises(UserError, match="a spike can only add to v_post"):
        translate("v_post = w", plastic, np.float64)


def test_synapses_know_both_of_their_ends(plastic):
    assert translate("w = i + j", plastic, np.float64).text == (
        "u_w = ((int)id_pre) + ((int)id_post);"
    )


def test_no_function_is_made_up(cells):
    with pytest.raises(UserError, match="GeNN has no function randn"):
        translate("I = randn()", cells, np.float64)


EXPRESSIONS = {
    "7/2": 3.5,
    "1/3": 1 / 3,
    "x**2": 1.69,
    "7 % 3": 1,
    "-x % 3": 1.7,
    "7.5 // 2": 3,
    "-7 // 2": -4,
    "int(3.7)": 3,
    "int(-3.7)": -3,
    "int(x > 1) + int(not x > 1)": 1,
    "clip(x, 0, 1)": 1,
    "clip(-x, -0.5, 1)": -0.5,
    "clip(x, 0, 2)": 1.3,
    "exprel(x)": math.expm1(1.3) / 1.3,
    "exprel(0*x)": 1,
    "sign(-x) + 10*sign(x) + sign(0*x)": 9,
    "abs(-x)": 1.3,
    "arctan(x) + arcsin(x/2) + arccos(x/2)": math.atan(1.3) + math.pi / 2,
    "log10(x) + log1p(x) + expm1(x)": math.log10(1.3) + math.log1p(1.3) + math.expm1(1.3),
    "ceil(x) + 10*floor(x)": 12,
    "timestep(0.3, 0.1)": 3,
    "x > 1 and not (x > 2 or x < 0)": 1,
    "2 - x - 1": -0.3,
    "2/x/2": 1 / 1.3,
}


def test_expressions_compute_in_c_what_they_do_in_python(tmp_path):
    """In C the suffix d of a number that is double in any precision has to go."""
    renderer = Renderer({"x": "x"})
    printed = [f'printf("%.17g\\n", (double)({renderer.render_expr(e)}));' for e in EXPRESSIONS]
    body = re.sub(r"(\de-3)d", r"\1", "\n".join(printed))
    source = tmp_path / "expressions.c"
    source.write_text(
        "#include <math.h>\n#include <stdio.h>\n#include <stdint.h>\n"
        f"int main(void) {{ double x = 1.3; {body} return 0; }}"
    )
    program = tmp_path / "expressions"
    subprocess.run(["cc", "-o", program, source, "-lm"], check=True)
    out = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    np.testing.assert_allclose([float(word) for word in out], [*EXPRESSIONS.values()], rtol=1e-14)


def test_every_function_that_brian2_has_but_chance_is_there():
    from brian2.core.functions import DEFAULT_FUNCTIONS

    chance = {"rand", "randn", "poisson", "binomial"}
    assert DEFAULT_FUNCTIONS.keys() - chance <= FUNCTIONS.keys()


def test_the_value_of_a_constant_keeps_all_of_its_digits(cells):
    cells.namespace["k"] = 0.1 + 0.2
    assert lines("I = k", cells) == ["u_I = (0.30000000000000004);"]
