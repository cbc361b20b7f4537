"""An experiment's circuit neurons as a netlist for ngspice.

Where the model stands for transistors the netlist has them: square-law mirrors are level-1
MOSFETs, EKV's are sources that follow its law, and the mirror's equation is left to SPICE to
solve. Comparator, NOR, self-resetting flip-flop and the switches of pulses and reset are ideal
parts, as in the model. Names end in the numbers that neurons have in the experiment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
from brian2 import Quantity, nsecond, second

from neuromod.devices.spice.wiring import Neurons, changes, synapses
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.models.circuit import TRANSISTOR, suffix
from neuromod.parameters import namespace
from neuromod.support.cache import written_whole
from neuromod.support.paths import shown

MOST_NEURONS, MOST_SYNAPSES = 100, 1000
MAX_STEP = 1 * nsecond
# A comparator that decides at any time does so at the end of the step of its crossing.
CROSSING_STEP = 0.1 * nsecond
RAMP = 10e-12
ZERO_CELSIUS = 273.15
# What may differ between the neurons of a population: of the neuron itself, and around it.
OWN = ("C", "v_rest", "v_th", "v_offset", "R_leak", "t_spike", "v_slope")
AROUND = ("R_supply", "G_unit", "v")

HEADER = """\
* $title
* Written by neuromod: seconds, volts, amperes; energies on capacitors of 1 pF, so 1 V is 1 pJ.
.options method=gear reltol=1e-5 abstol=1e-15 vntol=1e-8 chgtol=1e-20 gmin=1e-15
.model switch sw(vt=0.5 ron=1 roff=1e16)
.model reset sw(vt=0.5 ron=1k roff=1e16)
.model high d_pullup
.model low d_pulldown
.model above adc_bridge(in_low=0 in_high=0 rise_delay=1p fall_delay=1p)
.model on adc_bridge(in_low=0.5 in_high=0.5 rise_delay=1p fall_delay=1p)
.model level dac_bridge(out_low=0 out_high=1 t_rise=10p t_fall=10p)
.model not d_inverter(rise_delay=1p fall_delay=1p)
.model flipflop d_dff(clk_delay=1p set_delay=1p reset_delay=1p rise_delay=1p fall_delay=1p)

* A pulse, some time after a spike.
.subckt pulse spike out start=1n width=100n
Aspike [spike] [begun] on
Astart begun clock wait
Ahigh one high
Alow zero low
Aflipflop one clock zero ended q nq flipflop
Awidth q ended last
Aout [q] [out] level
.model wait d_buffer(rise_delay={start} fall_delay={start})
.model last d_buffer(rise_delay={width} fall_delay=1p)
.ends
"""

NEURON = """
* $name: membrane, leak, comparator, and a flip-flop that resets itself after a spike's width.
.subckt ${name}_neuron out inputs spike $own
C out 0 {C}
Vrest rest 0 {v_rest}
$leak
Sreset out rest spike 0 reset
Gspike 0 inputs spike 0 1
Rinputs inputs 0 1
Ethreshold over 0 vol='V(out) - {v_th + v_offset}'
Aabove [over] [above] above
Abusy [inputs] [busy] on
Anor busy nor not
Ahigh one high
Alow zero low
Aflipflop $decision zero ended q nq flipflop
Awidth q ended last
Aspike [q] [spike] level
.model last d_buffer(rise_delay={t_spike} fall_delay=1p)
.ends
"""
LEAK = {
    "linear": "Rleak out rest {R_leak}",
    "one_sided": "Dleak out rest diode temp=$celsius\n"
    ".model diode d(is={v_slope/R_leak} n={v_slope/$U_T} tnom=$celsius)",
    "symmetric": "Dleak out rest diode temp=$celsius\nDback rest out diode temp=$celsius\n"
    ".model diode d(is={v_slope/R_leak/2} n={v_slope/$U_T} tnom=$celsius)",
}
DECISION = {"clocked": "above nor", "continuous": "one above"}

TRANSISTORS = {
    "square": """
.model ${name}_nmos nmos(level=1 kp=$beta vto=$vto lambda=$modulation is=1e-25)
.model ${name}_pmos pmos(level=1 kp=$beta vto=-$vto lambda=$modulation is=1e-25)
.subckt ${name}_n d g s m=1
M d g s s ${name}_nmos w=1u l=1u m={m}
.ends
.subckt ${name}_p d g s m=1
M d g s s ${name}_pmos w=1u l=1u m={m}
.ends
""",
    "ekv": """
.subckt ${name}_n d g s m=1
B d s I={m}*$I_spec*(1 + $modulation*abs(V(d,s)))*
+ (ln(1 + exp((V(g,s) - $vto)/$v_ekv))^2
+ - ln(1 + exp((V(g,s) - $vto - $slope_factor*V(d,s))/$v_ekv))^2)
.ends
.subckt ${name}_p d g s m=1
B s d I={m}*$I_spec*(1 + $modulation*abs(V(s,d)))*
+ (ln(1 + exp((V(s,g) - $vto)/$v_ekv))^2
+ - ln(1 + exp((V(s,g) - $vto - $slope_factor*V(s,d))/$v_ekv))^2)
.ends
""",
}
MIRROR = """
* $name: a reference behind its load, and its copies; both conduct while the pulse is on.
.subckt ${name}_push pulse vdd out units=1 references=1
Xreference gate gate vdd ${name}_p m={references}
Vreference gate load 0
Rload load foot {$R_S/references}
Sreference foot 0 pulse 0 switch
$push
.ends
.subckt ${name}_pull pulse vdd out units=1 references=1
Sreference vdd head pulse 0 switch
Rload head load {$R_S/references}
Vreference load gate 0
Xreference gate gate 0 ${name}_n m={references}
$pull
.ends
"""
OUTPUT = {
    "ideal": {
        "push": "Fcopies vdd out Vreference {units/references}",
        "pull": "Fcopies out 0 Vreference {units/references}",
    },
    "mosfet": {
        "push": "Xcopies drain gate vdd ${name}_p m={units}\nSout drain out pulse 0 switch",
        "pull": "Xcopies drain gate 0 ${name}_n m={units}\nSout out drain pulse 0 switch",
    },
}
CONDUCTANCE = """
* $name: conductances to the supply and to ground.
.subckt ${name}_push pulse vdd out units=1 G_unit=$G_unit
Runits vdd end {1/(units*G_unit)}
Sunits end out pulse 0 switch
.ends
.subckt ${name}_pull pulse vdd out units=1 G_unit=$G_unit
Runits out end {1/(units*G_unit)}
Sunits end 0 pulse 0 switch
.ends
"""


def netlist(experiment: Experiment, neurons: Neurons) -> str:
    """Netlist of some neurons of an experiment, with the experiment's inputs.

    Parameters
    ----------
    experiment : Experiment
    neurons : mapping of str to sequence of int
        Closed against spikes from others, as `wiring.choose` gives them.

    Returns
    -------
    str
        To be run by ``ngspice -b -r FILE.raw FILE.cir``; see `saved` for what it saves.

    Raises
    ------
    UserError
        When there are too many neurons or synapses, or a netlist cannot stand for them.
    """
    wired, count = synapses(experiment, neurons), sum(map(len, neurons.values()))
    if count > MOST_NEURONS or len(wired) > MOST_SYNAPSES:
        raise UserError(
            f"{count} neurons with {len(wired)} synapses are too many for SPICE, which takes at "
            f"most {MOST_NEURONS} with {MOST_SYNAPSES}; --neurons 0,3 picks some, with those that "
            "drive them."
        )
    chosen = {p.name: p for p in experiment.populations if p.name in neurons}
    title = ", ".join(f"{name} {_listed(numbers)}" for name, numbers in neurons.items())
    parts = [Template(HEADER).substitute(title=f"Circuit neurons: {title}")]
    for name, population in chosen.items():
        _check_values(population)
        parts += _subcircuits(population, neurons[name])
    # A pulse's timing in picoseconds tells those of one source apart.
    wired["pulse"] = [
        f"pulse_{s.source}_{s.i}_{round(s.start * 1e12)}_{round(s.width * 1e12)}"
        for s in wired.itertuples()
    ]
    parts += _pulses(experiment, wired)
    changed = changes(experiment, neurons)
    for name, population in chosen.items():
        for neuron in neurons[name]:
            parts += _neuron(population, neuron, changed)
    for synapse in wired.itertuples():
        parts += _synapse(synapse, chosen[synapse.target])
    circuits: list[Any] = [population.model for population in chosen.values()]
    continuous = any(circuit.comparator == "continuous" for circuit in circuits)
    step = min(experiment.dt, CROSSING_STEP if continuous else MAX_STEP)
    parts += [
        ".save " + "\n+ ".join(name for column in saved(neurons).values() for name in column),
        f".tran {_number(step)} {_number(experiment.duration)} 0 {_number(step)}",
        ".end",
    ]
    return "\n".join(parts) + "\n"


def save(text: str, path: Path) -> None:
    """Write a netlist to a file of its own; one that is there stays."""
    if os.path.lexists(path):
        raise UserError(f"{shown(path)} exists: name another file with --out.")
    with written_whole(path, len(text)) as temporary:
        temporary.write_text(text)


def saved(neurons: Neurons) -> dict[tuple[str, int], tuple[str, str, str]]:
    """Vectors that a netlist saves: membrane, spike (0 or 1 V) and energy (1 V is 1 pJ)."""
    return {
        (name, n): (f"v({name}_{n})", f"v({name}_{n}_spike)", f"v({name}_{n}_energy)")
        for name, numbers in neurons.items()
        for n in numbers
    }


def _check_values(population: Population) -> None:
    """Refuse values of single neurons that a netlist has no place for."""
    circuit: Any = population.model
    known = {*OWN, *AROUND, *TRANSISTOR} | {f"vdd{suffix(domain)}" for domain in circuit.domains}
    for name in population.values.keys() - known:
        raise UserError(
            f"{name} of single neurons of {population.name} has no place in a netlist; "
            f"{', '.join((*OWN, *AROUND, *TRANSISTOR, 'vdd'))} have one."
        )


def _subcircuits(population: Population, neurons: Sequence[int]) -> Iterator[str]:
    """A population's neuron, and its synapses: those of all, or each neuron's own."""
    circuit: Any = population.model
    values = {
        "name": population.name,
        "own": " ".join(f"{key}={_number(_shared(circuit)[key])}" for key in OWN),
        "decision": DECISION[circuit.comparator],
        "celsius": _number(float(circuit.temperature) - ZERO_CELSIUS),
        "U_T": _number(circuit.mirror().v_ekv / 2 / circuit.slope_factor),
    }
    leak = Template(LEAK[circuit.leak]).substitute(values)
    yield Template(NEURON).substitute(values, leak=leak)
    for name, neuron in {_family(population, n): n for n in neurons}.items():
        yield _transistors(population, name, neuron)


def _family(population: Population, neuron: int) -> str:
    """First part of the names of a neuron's synapses: the population's, or its own."""
    alike = population.values.keys().isdisjoint(TRANSISTOR)
    return population.name if alike else f"{population.name}_{neuron}"


def _transistors(population: Population, name: str, neuron: int) -> str:
    """Synapses as subcircuits, with the transistors of one neuron."""
    circuit: Any = population.model
    # As given, at the nominal temperature.
    own = {key: np.broadcast_to(population.own(key), population.size) for key in TRANSISTOR}
    dims = {key: getattr(circuit, key).dim for key in TRANSISTOR}
    mirror = circuit.mirror(**{key: Quantity(own[key][neuron], dim=dims[key]) for key in own})
    numbers = {
        "beta": mirror.beta,
        "vto": mirror.vto,
        "R_S": mirror.R_S,
        "G_unit": circuit.G_unit,
        "slope_factor": circuit.slope_factor,
        "modulation": mirror.modulation,
        "v_ekv": mirror.v_ekv,
        "I_spec": mirror.specific_current,
    }
    values = {"name": name} | {key: _number(value) for key, value in numbers.items()}
    if circuit.synapse == "conductance":
        return Template(CONDUCTANCE).substitute(values)
    outputs = {k: Template(v).substitute(values) for k, v in OUTPUT[circuit.output].items()}
    return Template(TRANSISTORS[circuit.law] + MIRROR).substitute(values, **outputs)


def _pulses(experiment: Experiment, wired: pd.DataFrame) -> Iterator[str]:
    """Every pulse that reaches a synapse, as a voltage of 0 or 1 V."""
    sources = {source.name: source for source in experiment.sources}
    yield "\n* Pulses."
    for pulse in wired.drop_duplicates("pulse").itertuples():
        node = pulse.pulse
        if pulse.source not in sources:
            times = f"start={_number(pulse.start)} width={_number(pulse.width)}"
            yield f"X{node} {pulse.source}_{pulse.i}_spike {node} pulse {times}"
            continue
        spikes = sources[pulse.source]
        at = np.asarray(spikes.times / second)[spikes.neurons == pulse.i] + pulse.start
        edges = np.column_stack([at, at + pulse.width]).ravel()
        # Pulses that touch are one.
        touch = np.flatnonzero(np.diff(edges) < RAMP)
        edges = np.delete(edges, [*touch, *touch + 1])
        yield _steps(f"V{node} {node} 0", 0.0, pd.Series(np.resize([1, -1], len(edges)), edges))


def _neuron(
    population: Population, neuron: int, changed: dict[tuple[str, int, str, str], pd.Series]
) -> Iterator[str]:
    """A neuron, its supplies and the energy that they give, and what kicks it."""
    circuit: Any = population.model
    name = f"{population.name}_{neuron}"
    own = [key for key in OWN if key in population.values]
    values = " ".join(f"{key}={_number(_value(population, key, neuron))}" for key in own)
    yield f"\nX{name} {name} {name}_inputs {name}_spike {population.name}_neuron {values}".rstrip()
    powers = []
    for domain in circuit.domains:
        mark = suffix(domain)
        supply = f"{name}_vdd{mark}"
        start = _value(population, f"vdd{mark}", neuron)
        steps = changed.get((population.name, neuron, "vdd", domain), pd.Series(dtype=float))
        end = supply
        if float(circuit.R_supply):
            end = f"{name}_source{mark}"
            yield f"R{supply} {end} {supply} {_number(_value(population, 'R_supply', neuron))}"
        yield _steps(f"V{supply} {end} 0", start, steps)
        powers.append(f"V({end})*I(V{supply})")
    yield f"B{name}_power 0 {name}_energy I=-({' + '.join(powers)})"
    yield f"C{name}_energy {name}_energy 0 1p"
    kicks = changed.get((population.name, neuron, "v", circuit.domains[0]))
    if kicks is not None:
        yield _kicks(f"I{name}_kicks 0 {name}", kicks * _value(population, "C", neuron))
    yield f".ic v({name})={_number(_value(population, 'v', neuron))} v({name}_energy)=0"


def _synapse(synapse: Any, population: Population) -> Iterator[str]:
    """A synapse's mirrors or conductances, and its line to the NOR."""
    circuit: Any = population.model
    target, pulse = f"{synapse.target}_{synapse.j}", synapse.pulse
    name = f"{target}_{pulse}{suffix(synapse.domain)}"
    supply = f"{target}_vdd{suffix(synapse.domain)}"
    units = {"push": synapse.up, "pull": synapse.down}
    total = sum(units.values())
    if circuit.synapse == "mirror" and bool(total) != bool(synapse.mirrors):
        raise UserError(
            f"A synapse onto neuron {synapse.j} of {synapse.target} has {total:g} units and "
            f"{synapse.mirrors:g} references: a mirror needs both."
        )
    for kind in (kind for kind in units if units[kind]):
        if circuit.synapse == "mirror":
            # References of a bundle, which may push and pull, are shared out by its units.
            own = f"references={_number(synapse.mirrors * units[kind] / total)}"
        else:
            own = f"G_unit={_number(_value(population, 'G_unit', synapse.j))}"
        nodes = f"{pulse} {supply} {target} {_family(population, synapse.j)}_{kind}"
        yield f"X{kind}_{name} {nodes} units={_number(units[kind])} {own}"
    if synapse.active:
        yield f"G{name} 0 {target}_inputs {pulse} 0 1"


def _shared(circuit: Any) -> dict[str, Any]:
    """Values that hold for all neurons that have none of their own."""
    return {
        **namespace(circuit),
        "R_leak": circuit.leak_resistance,
        **circuit.start,
        "v_slope": circuit.mirror().v_ekv / 2,
        "v_offset": 0.0,
    }


def _value(population: Population, name: str, neuron: int) -> float:
    """A parameter's or state's value of one neuron, in SI units."""
    known = {**_shared(population.model), **population.values, **population.completed}
    held = np.asarray(known[name])
    return float(held if held.ndim == 0 else held[neuron])


def _steps(line: str, start: float, changes: pd.Series) -> str:
    """A voltage source that steps."""
    if changes.empty:
        return f"{line} {_number(start)}"
    at = changes.index.to_numpy(dtype=float)
    levels = np.concatenate([[start], start + changes.cumsum().to_numpy()])
    return _piecewise(line, np.column_stack([at, at + RAMP]), np.repeat(levels, 2)[1:-1], start)


def _kicks(line: str, charges: pd.Series) -> str:
    """A current source that gives charges, coulomb, each as a triangle of one ramp's width."""
    at = np.add.outer(charges.index.to_numpy(dtype=float), np.array([-1, 0, 1]) * RAMP)
    return _piecewise(line, at, np.outer(charges.to_numpy() / RAMP, [0, 1, 0]))


def _piecewise(line: str, times: np.ndarray, values: np.ndarray, start: float = 0) -> str:
    """A source that goes in straight lines from a value at 0 through others at their times."""
    points = zip(times.ravel(), values.ravel(), strict=True)
    pairs = [f"{_number(time)} {_number(value)}" for time, value in points]
    return f"{line} PWL(0 {_number(start)}\n+ " + "\n+ ".join(pairs) + ")"


def _number(value: Any) -> str:
    """In SI units; SPICE reads no unit."""
    return f"{float(np.asarray(value)):.15g}"


def _listed(numbers: Any) -> str:
    shown = [str(n) for n in numbers]
    return ", ".join(shown if len(shown) < 10 else [*shown[:9], f"... {shown[-1]}"])
