"""What one time step computes is the same for every target that the code is written for."""

from __future__ import annotations

import re

import pytest
from brian2 import Mohm, NeuronGroup, nsiemens, volt

from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor
from neuromod.parameters import Parameters
from neuromod.runs import registry


def shared(code: str) -> list[str]:
    """Statements that give a variable another's array, of which one is changed later.

    NumPy changes arrays in place, and would change both; which does not matter for a name of the
    step's own (``_v``) that is not read again.
    """
    statements = [re.split(r" [-+*/]?= ", line, maxsplit=1) for line in code.splitlines() if line]
    found = []
    for at, (target, value) in enumerate(statements):
        changed = {name for name, _ in statements[at + 1 :]}
        read = " ".join(text for _, text in statements[at + 1 :])
        matters = not value.startswith("_") or re.search(rf"\b{re.escape(value)}\b", read)
        if value.isidentifier() and matters and {target, value} & changed:
            found.append(f"{target} = {value}")
    return found


def step(model) -> str:
    """Abstract code of one step."""
    inputs = {name: given.default for name, given in model.inputs.items()}
    group = NeuronGroup(
        2,
        model.equations,
        threshold=model.threshold,
        reset=model.reset,
        refractory=model.refractory,
        method=model.method,
        namespace=inputs | dict(model.constants),
    )
    group.state_updater.update_abstract_code(run_namespace={})
    return str(group.state_updater.abstract_code)


def test_a_shared_array_is_found():
    assert shared("a = b\na = a - 1") == ["a = b"]
    assert shared("a = b\nb += 1") == ["a = b"]
    assert shared("a = b\nc = a - 1\n") == []
    assert shared("a = -b\na = a - 1") == []
    assert shared("a = _a\na = a - 1") == []
    assert shared("a = _a\na = a - 1\nc = _a") == ["a = _a"]


SAGGING = {"R_supply": 3 * Mohm}
MODELS = {
    "clocked": CircuitNeuron(),
    "continuous": CircuitNeuron(comparator="continuous"),
    "two_domains": CircuitNeuron(leak="symmetric").given({"vdd_soma": 1, "vdd_tuft": 1}),
    "sagging": CircuitNeuron(**SAGGING),
    "sagging_transistors": CircuitNeuron(**SAGGING, output="mosfet"),
    "sagging_ekv": CircuitNeuron(**SAGGING, output="mosfet", law="ekv", vto=0.47 * volt),
    "conducting": CircuitNeuron(synapse="conductance", G_unit=23 * nsiemens),
    "cell": GainLIF(),
    "unmodulated": GainLIF(receptors=()),
    "two_receptors": GainLIF(receptors=(Receptor(name="D1"), Receptor(name="D2"))),
}


@pytest.mark.parametrize("name", MODELS)
def test_no_step_changes_a_variable_through_another(name):
    code = step(MODELS[name])
    assert "v = " in code
    assert shared(code) == []


@pytest.mark.parametrize(
    ("name", "method"),
    [("clocked", "exponential_euler"), ("conducting", "rk4"), ("two_domains", "rk4")],
)
def test_a_clocked_method_names_that_of_the_membrane_as_brian2_does(name, method):
    assert str(MODELS[name].method) == f"{method}, and the comparator's clock"


@pytest.mark.parametrize("name", registry.names("model"))
def test_no_reset_or_synapse_changes_a_variable_through_another(name):
    if registry.missing("model", name):
        pytest.skip("needs torch")
    model = registry.find("model", name)
    if not issubclass(model, Parameters):
        pytest.skip("no model of Brian2")
    for code in ("reset", "on_pre", "on_post"):
        assert shared(getattr(model(), code, "")) == []
