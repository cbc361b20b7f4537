"""What Brian2GeNN and PyGeNN cannot run, and what either can."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from brian2 import TimedArray, check_units, ms

from neuromod.devices.genn.limits import RESERVED, obstacles, refuse
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.adaptive_plasticity import AdaptiveSynapse, DiehlCookCell
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF

DT = 0.1 * ms


@dataclass(frozen=True)
class Cell:
    """A model as a third party would write it, as plain as can be."""

    equations: str = "dv/dt = (I - v)/(9.7*ms) : 1\nI : 1"
    threshold: str = "v > 1"
    reset: str = "v = 0"
    refractory: Any = False
    method: str = "euler"
    constants: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Synapse:
    """A synapse as a third party would write it."""

    on_pre: str = "v_post += w\nu += 1"
    on_post: str = ""
    equations: str = "du/dt = -u/tau : 1 (clock-driven)"
    method: str = "euler"
    constants: dict[str, Any] = field(default_factory=lambda: {"w": 0.11, "tau": 31 * ms})
    totals: tuple[str, ...] = ("u",)


def drawn(drive):
    return f"dv/dt = ({drive} - v)/(9.7*ms) : 1\nI : 1\nd = 1 : 1"


def alone(model, traced=()):
    cells = Population("cells", model, 2, {"I": 1.7})
    traces = [Trace("cells", traced, np.arange(2))] if traced else []
    return Experiment(populations=[cells], traces=traces, duration=3 * ms, dt=DT)


def wired(model, cell=None, fed="v", delay=0 * ms):
    """Synapses from cells to cells, to one variable of which other spikes add, too."""
    cell = cell or Cell("dv/dt = (g - v)/(9.7*ms) : 1\ng = 2*x : 1\nx : 1\ny : 1")
    pairs = {"i": np.array([0]), "j": np.array([1])}
    return Experiment(
        populations=[Population("cells", cell, 2)],
        sources=[Spikes("inputs", 1, np.array([0]), np.array([3]) * DT)],
        connections=[
            Connection("inputs", "cells", fed, i=np.array([0]), j=np.array([0]), weight=0.3)
        ],
        plastic=[PlasticConnection("synapses", "cells", "cells", model, **pairs, delay=delay)],
        duration=3 * ms,
        dt=DT,
    )


@check_units(x=1, result=1)
def double(x):
    return 2 * x


REFUSED = {
    "rand": (Cell(threshold="v > 1 + 0.1*rand()"), "draw numbers beforehand"),
    "poisson": (Cell(reset="v = 0\nI = poisson(3.7)"), "draw numbers beforehand"),
    "xi": (Cell("dv/dt = (I - v)/(9.7*ms) + 0.1*xi_1*ms**-0.5 : 1\nI : 1"), "xi_1 is noise"),
    "array over time": (
        Cell(drawn("I*f(t)"), constants={"f": TimedArray([1.3, 0.2], dt=10 * ms)}),
        "f is a function or an array over time; write it as a closed form of t",
    ),
    "function": (Cell(drawn("double(I)"), constants={"double": double}), "double is a function"),
    "GSL": (Cell(method="gsl_rkf45"), "choose rk4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_pygenn_lacks_is_refused_with_what_to_do(name):
    model, instead = REFUSED[name]
    with pytest.raises(UserError, match="GeNN cannot run the population cells: ") as told:
        refuse(alone(model), "pygenn")
    assert told.match(instead)
    assert "\n" not in str(told.value)


RUN = {
    "int of a number": (Cell(drawn("int(I*3.3)")), ()),
    "clip and others": (Cell(drawn("clip(I, 0, 2) + expm1(I) + log1p(I) + exprel(I)")), ()),
    "held for a step": (Cell(drawn("I") + "\nh = 2*I : 1 (constant over dt)"), ()),
    "shared": (Cell(drawn("I") + "\ns : 1 (shared)"), ("s",)),
    "time": (Cell(drawn("I") + "\nr = s + 1 : 1\ns = sin(t/ms) : 1"), ("r",)),
    "computed at the start": (Cell(start={"v": "0.1*i"}), ()),
    **{name: (Cell(f"{drawn('I')}\n{name} : 1"), (name,)) for name in sorted(RESERVED)},
}


@pytest.mark.parametrize("name", RUN)
def test_what_pygenn_can_is_refused_on_brian2genn_alone(name):
    model, traced = RUN[name]
    refuse(alone(model, traced), "pygenn")
    with pytest.raises(UserError, match="GeNN cannot run the population cells"):
        refuse(alone(model, traced))


@pytest.mark.parametrize(
    ("experiment", "reason"),
    [
        (wired(Synapse("v_post += w\nx_post += u")), "only add to one variable of the target, not"),
        (wired(Synapse("v_post = w")), "a spike can only add to v of the target"),
        (wired(Synapse("v_post += w*v_post")), "a spike can only add to v of the target"),
        (wired(Synapse(on_post="y_post += u")), "a spike of the target cannot change its own y"),
        (
            wired(Synapse("v_post += w\nu += v_post")),
            "a spike cannot read v of the target, to which",
        ),
        (
            wired(Synapse(on_post="u += g_post"), fed="x"),
            "a spike of the target cannot read g of the target, to which spikes add",
        ),
        (wired(Synapse("v_post += w*v_pre"), delay=0.2 * ms), "cannot read v_pre of the source"),
        (
            wired(Synapse("u += h_post"), Cell(drawn("I") + "\nh = 2*v : 1 (constant over dt)")),
            r"cannot read h of the target, which is \(constant over dt\)",
        ),
    ],
)
def test_what_pygenns_synapses_cannot_do_is_refused(experiment, reason):
    with pytest.raises(UserError, match="GeNN cannot run the plastic connection synapses") as told:
        refuse(experiment, "pygenn")
    assert told.match(reason)


RUN_BY_SYNAPSES = {
    "subexpression": Synapse(
        "v_post += w*s", equations="du/dt = -u/tau : 1 (clock-driven)\ns = 1 + u : 1"
    ),
    "source": Synapse("v_post += w*v_pre"),
    "function": Synapse("v_post += w*y_post\nu += clip(x_post, 0, 1)"),
    "spike of the target": Synapse(on_post="u += x_post"),
}


@pytest.mark.parametrize("name", RUN_BY_SYNAPSES)
def test_what_they_can_is_refused_on_brian2genn_alone(name):
    experiment = wired(RUN_BY_SYNAPSES[name])
    refuse(experiment, "pygenn")
    with pytest.raises(UserError, match="GeNN cannot run the plastic connection synapses"):
        refuse(experiment)


def test_synapses_may_take_from_their_target_and_read_what_comes_after_them():
    refuse(wired(Synapse("v_post -= w")), "pygenn")
    refuse(wired(Synapse("v_post += w\nu += g_post"), fed="x"), "pygenn")


@pytest.mark.parametrize("rule", ["stdp", "leak", "asp", "modulated"])
def test_adaptive_synapses_run_unless_spikes_add_to_what_their_changes_read(rule):
    refuse(wired(AdaptiveSynapse(rule=rule), DiehlCookCell(), fed="g_exc"), "pygenn")
    with pytest.raises(UserError, match="a spike of the target cannot read plastic"):
        refuse(wired(AdaptiveSynapse(rule=rule), DiehlCookCell(), fed="plastic"), "pygenn")


BY_BRIAN2GENN = {
    "rand": (Cell(threshold="v > 1 + 0.1*rand()"), "draw numbers beforehand"),
    "randn": (Cell(reset="v = 0.1*randn()"), "draw numbers beforehand"),
    "poisson": (Cell(reset="v = 0\nI = poisson(3.7)"), "draw numbers beforehand"),
    "xi": (Cell("dv/dt = (I - v)/(9.7*ms) + 0.1*xi*ms**-0.5 : 1\nI : 1"), "noise drawn on"),
    "xi of two": (Cell("dv/dt = (I - v)/(9.7*ms) + 0.1*xi_1*ms**-0.5 : 1\nI : 1"), "xi_1 is noise"),
    "int of a number": (Cell(drawn("int(I*3.3)")), r"write floor\(I \* 3.3\)"),
    "int of a sum": (Cell(reset="v = int((v > 1) + (I > 2))"), "would be 0 or 1"),
    "clip": (Cell(drawn("clip(I, 0, 2)")), "single precision"),
    "expm1": (Cell(drawn("expm1(I)")), r"write exp\(x\) - 1"),
    "exprel": (Cell(threshold="v > exprel(I)"), "exprel"),
    "held for a step": (
        Cell("dv/dt = (d - v)/(9.7*ms) : 1\nI : 1\nd = 2*I : 1 (constant over dt)"),
        "leave the flag out",
    ),
    "array over time": (
        Cell(drawn("I*f(t)"), constants={"f": TimedArray([1.3, 0.2], dt=10 * ms)}),
        "closed form of t",
    ),
    "function": (Cell(drawn("double(I)"), constants={"double": double}), "double is a function"),
    "GSL": (Cell(method="gsl_rkf45"), "choose rk4"),
    "refractory": (Cell(refractory="v > 0.1*rand()"), "draw numbers beforehand"),
}


@pytest.mark.parametrize("name", BY_BRIAN2GENN)
def test_what_genn_lacks_or_does_otherwise_is_refused_with_what_to_do(name):
    model, instead = BY_BRIAN2GENN[name]
    cells = Experiment(
        populations=(Population("cells", model, 2, {"I": 1.7}),), duration=3 * ms, dt=DT, seed=1
    )
    with pytest.raises(UserError, match="GeNN cannot run the population cells: ") as told:
        refuse(cells)
    assert told.match(instead)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_names_that_genn_uses_itself_are_refused_as_variables_and_as_constants(name):
    for model in (
        Cell(f"dv/dt = (I + {name} - v)/(9.7*ms) : 1\nI : 1\n{name} : 1"),
        Cell(f"dv/dt = (I + {name} - v)/(9.7*ms) : 1\nI : 1", constants={name: 0.3}),
    ):
        assert next(obstacles(model)) == f"the name {name} is GeNN's own; choose another one"


@pytest.mark.parametrize(
    "model",
    [
        Cell(drawn("I*int(v > 0.5 and not (t < 3*ms))")),
        Cell("dv/dt = (I*int(high) - v)/(9.7*ms) : 1\nI : 1\nhigh = v > 0.5 : boolean"),
        Cell(
            "dv/dt = (I - v)/(9.7*ms) : 1 (unless refractory)\nI : 1",
            refractory=2 * ms,
            reset="v = 0.1*int(not_refractory)",
        ),
        Cell(drawn("I*sqrt(1 + tanh(v)**2)*(1 + floor(3*v) % 2)")),
        GainLIF(),
        GainLIF(site="threshold", synapse="pulse"),
        GainLIF(receptors=()),
        *(CircuitNeuron(leak=leak) for leak in ("linear", "one_sided", "symmetric")),
    ],
)
def test_what_genn_runs_as_brian2_does_is_not_refused(model):
    assert not list(obstacles(model))


@pytest.mark.parametrize(
    ("equations", "traced", "reason"),
    [
        ("dv/dt = (I*g - v)/(9.7*ms) : 1\nI : 1\ng : 1 (shared)", "g", "shared by all neurons"),
        (drawn("I") + "\nr = s + 1 : 1\ns = sin(t/ms) : 1", "r", "r depends on time"),
        (drawn("I") + "\nr = dt/ms : 1", "r", "r depends on time"),
    ],
)
def test_what_genn_cannot_trace_is_refused_only_if_it_is_traced(equations, traced, reason):
    cells = (Population("cells", Cell(equations), 2, {"I": 1.7}),)
    one = np.array([1])
    refuse(
        Experiment(
            populations=cells, traces=(Trace("cells", ("v",), one),), duration=3 * ms, dt=DT, seed=1
        )
    )
    with pytest.raises(UserError, match=reason):
        refuse(
            Experiment(
                populations=cells,
                traces=(Trace("cells", (traced,), one),),
                duration=3 * ms,
                dt=DT,
                seed=1,
            )
        )


def test_values_computed_on_the_device_are_refused():
    cells = Population("cells", Cell(start={"v": "0.1*rand()"}), 2)
    with pytest.raises(UserError, match="give numbers"):
        refuse(Experiment(populations=(cells,), duration=3 * ms, dt=DT, seed=1))
