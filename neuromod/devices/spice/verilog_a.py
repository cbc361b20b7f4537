"""The circuit neuron and its synapse in Verilog-A, for a designer's own test bench.

There are no events in it: its flip-flop is made of capacitors, as in netlists for Xyce, HSPICE and
Spectre, so that compilers of compact models, which know of none, take it too. Equations are the
model's; its values are those at the circuit's temperature and corner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from string import Template
from typing import Any

from neuromod.devices.spice.circuits import SPENT
from neuromod.devices.spice.dialects import number
from neuromod.errors import UserError, listed
from neuromod.experiment import Experiment
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.circuit_equations import LEAK

HEAD = """\
// Circuit neurons: $names
// Written by neuromod, in SI units. A neuron is driven by its synapses: connect their membrane,
// busy and gnd to the neuron's. A pulse is a voltage of 0 or 1 V, and so is a spike, through 1 ohm.
`include "disciplines.vams"
"""
STEP = """\
  // 1 where x is above 0, else 0: a smooth step.
  analog function real level;
    input x, steep;
    real x, steep;
    level = 0.5*(1.0 + tanh(steep*x));
  endfunction
"""
NEURON = """
module ${name}_neuron(membrane, busy, spike, gnd);
  inout membrane, busy, spike, gnd;
  electrical membrane, busy, spike, gnd;
  // What a flip-flop holds, a ramp that lasts as long as a spike, and whether there is one.
  electrical held, ramp, latch;
$parameters
  real v, leaks, reached, none, clock, data, high, spiking, ended, kept, lasting;

$step
  analog begin
    v = V(membrane, gnd) - v_rest;
    if (leak == 0)
      leaks = v/R_leak;
    else if (leak == 1)
      leaks = v_slope/R_leak*(exp(v/v_slope) - 1.0);
    else
      leaks = v_slope/R_leak*sinh(v/v_slope);

    // The comparator, and the NOR of all pulses and of the spike.
    reached = level(V(membrane, gnd) - v_th - v_offset, 1e5);
    none = 1.0 - level(V(busy, gnd) - 0.5, 40.0);
    clock = comparator == 0 ? none : reached;
    data = comparator == 0 ? reached : 1.0;

    // A flip-flop that takes up its data as its clock rises, and resets itself.
    high = level(clock - 0.5, 40.0);
    spiking = level(V(latch, gnd) - 0.75, 40.0);
    lasting = level(V(latch, gnd) - 0.25, 40.0);
    ended = level(V(ramp, gnd) - 1.0, 1000.0);
    kept = level(V(latch, gnd) + high*level(V(held, gnd) - 0.5, 40.0) - ended - 0.5, 40.0);
    I(held, gnd) <+ ddt(1e-14*V(held, gnd)) + 1e-3*high*spiking*V(held, gnd)
      - 1e-3*(1.0 - high)*(level(data - 0.5, 40.0)*(1.0 - spiking) - V(held, gnd));
    I(ramp, gnd) <+ ddt(1e-12*V(ramp, gnd)) - spiking*1e-12/(t_spike - $spent)
      + 1e-2*(1.0 - lasting)*V(ramp, gnd);
    I(latch, gnd) <+ ddt(1e-13*V(latch, gnd)) + 1e-3*(V(latch, gnd) - kept);

    // A spike holds the membrane at rest through 1 kohm.
    I(membrane, gnd) <+ ddt(C*V(membrane, gnd)) + leaks + 1e-3*spiking*v;
    I(busy, gnd) <+ 1e-6*(V(busy, gnd) - spiking);
    I(spike, gnd) <+ V(spike, gnd) - spiking;
  end
endmodule
"""
SYNAPSE = """
module ${name}_synapse(pulse, vdd, membrane, busy, gnd);
  inout pulse, vdd, membrane, busy, gnd;
  electrical pulse, vdd, membrane, busy, gnd;
  electrical gate;
  (*desc="signed code: units that push, or pull below 0"*)
  parameter integer code = 1 from [-$most:$most];
$parameters
  real on, active, push, pull, from_supply, to_ground;

$step
  // A unit's transistor: what it would conduct in saturation, less what flows back.
  analog function real unit;
    input v_on, v_ds, factor;
    real v_on, v_ds, factor, back, forth;
    begin
      if (law == 0) begin
        forth = v_on > 0.0 ? v_on*v_on : 0.0;
        back = v_on - v_ds > 0.0 ? (v_on - v_ds)*(v_on - v_ds) : 0.0;
      end else begin
        forth = 2.0*v_slope*ln(1.0 + exp(0.5*v_on/v_slope));
        back = 2.0*v_slope*ln(1.0 + exp(0.5*(v_on - slope_factor*v_ds)/v_slope));
        forth = forth*forth;
        back = back*back;
      end
      unit = 0.5*factor*(forth - back)*(1.0 + channel_modulation*abs(v_ds));
    end
  endfunction

  analog begin
    on = level(V(pulse, gnd) - 0.5, 40.0);
    active = references == 0 ? 1.0 : on;
    // From the supply into the membrane, out of it to ground, and into and out of the gate.
    push = 0.0;
    pull = 0.0;
    from_supply = 0.0;
    to_ground = 0.0;
    if (synapse == 1) begin
      if (code > 0)
        push = on*code*G_unit*V(vdd, membrane);
      else
        pull = -on*code*G_unit*V(membrane, gnd);
    end else if (code > 0) begin
      from_supply = unit(V(vdd, gate) - vto, V(vdd, gate), beta);
      to_ground = active*V(gate, gnd)/R_S;
      if (output_stage == 0)
        push = on*code*from_supply;
      else
        push = on*code*unit(V(vdd, gate) - vto, V(vdd, membrane), beta);
    end else if (code < 0) begin
      from_supply = active*V(vdd, gate)/R_S;
      to_ground = unit(V(gate, gnd) - vto_n, V(gate, gnd), beta_n);
      if (output_stage == 0)
        pull = -on*code*to_ground;
      else
        pull = -on*code*unit(V(gate, gnd) - vto_n, V(membrane, gnd), beta_n);
    end
    I(vdd, membrane) <+ push;
    I(membrane, gnd) <+ pull;
    I(vdd, gate) <+ from_supply;
    // Where nothing conducts, a gate still has a voltage.
    I(gate, gnd) <+ to_ground + 1e-15*V(gate, gnd);
    I(gnd, busy) <+ 1e-6*on;
  end
endmodule
"""
UNITS = {
    "C": "F",
    "v_rest": "V",
    "v_th": "V",
    "v_offset": "V",
    "t_spike": "s",
    "R_leak": "Ohm",
    "v_slope": "V",
    "slope_factor": "",
    "beta": "A/V^2",
    "beta_n": "A/V^2",
    "vto": "V",
    "vto_n": "V",
    "R_S": "Ohm",
    "G_unit": "S",
    "channel_modulation": "1/V",
}
ANY_SIGN = ("v_rest", "v_th", "v_offset", "vto", "vto_n")
OF_NEURON = ("C", "v_rest", "v_th", "v_offset", "t_spike", "R_leak", "v_slope")
OF_SYNAPSE = (
    "beta",
    "vto",
    "beta_n",
    "vto_n",
    "R_S",
    "channel_modulation",
    "v_slope",
    "slope_factor",
    "G_unit",
)
CHOICES = {
    "leak": tuple(LEAK),
    "comparator": ("clocked", "continuous"),
    "law": ("square", "ekv"),
    "synapse": ("mirror", "conductance"),
    # Spectre and Verilog have a word of their own for output.
    "output": ("ideal", "mosfet"),
    "references": ("always", "pulsed"),
}
OUTSIDE = ("R_supply", "R_domain", "C_domain")
"""What stands between a supply and the synapses, which a test bench has."""
ABSENT = ("C_gate", "t_comparator", "Q_kick", "Q_reset")
MEANINGS = {
    "v_offset": "offset of the comparator, added to its threshold",
    "v_slope": "slope factor times thermal voltage",
    "beta": "transconductance factor of the p-type transistors, which push",
    "vto": "threshold of the p-type transistors",
    "beta_n": "transconductance factor of the n-type transistors, which pull",
    "vto_n": "threshold of the n-type transistors",
}


def verilog_a(experiment: Experiment) -> str:
    """Modules of a neuron and of a synapse for each population of circuit neurons.

    Parameters
    ----------
    experiment : Experiment
        Its circuits' values are the defaults of the modules' parameters.

    Returns
    -------
    str
        For ``POPULATION``, the modules ``POPULATION_neuron`` and ``POPULATION_synapse``.

    Raises
    ------
    UserError
        When there are no circuit neurons, or they have what the modules leave out.
    """
    circuits: dict[str, Any] = {
        population.name: population.model
        for population in experiment.populations
        if isinstance(population.model, CircuitNeuron)
    }
    if not circuits:
        names = listed(population.name for population in experiment.populations)
        raise UserError(f"There are no circuit neurons to write: {names} have other models.")
    text = Template(HEAD).substitute(names=", ".join(circuits))
    return text + "".join(_modules(name, circuit) for name, circuit in circuits.items())


def _modules(name: str, circuit: Any) -> str:
    """A neuron's module and its synapse's."""
    _check(name, circuit)
    values = _values(circuit)
    neuron = [*_numbers(OF_NEURON, values), *_choices(("leak", "comparator"), circuit)]
    chosen = ("synapse", "law", "output", "references")
    synapse = [*_numbers(OF_SYNAPSE, values), *_choices(chosen, circuit)]
    return Template(NEURON).substitute(
        name=name, parameters="\n".join(neuron), step=STEP, spent=number(SPENT)
    ) + Template(SYNAPSE).substitute(
        name=name, parameters="\n".join(synapse), step=STEP, most=circuit.code_max
    )


def _check(name: str, circuit: Any) -> None:
    """Refuse what the modules leave out."""
    if circuit.law not in CHOICES["law"]:
        raise UserError(
            f"The mirrors of {name} are of law={circuit.law}, which the modules leave out: "
            f"{listed(CHOICES['law'], 'or')} would work."
        )
    for each in (*OUTSIDE, *ABSENT):
        if getattr(circuit, each):
            instead = "add it in your test bench" if each in OUTSIDE else "see export spice for it"
            raise UserError(
                f"{name} has {each} = {getattr(circuit, each)}, which its modules leave out: set "
                f"it to 0, and {instead}."
            )


def _values(circuit: Any) -> dict[str, float]:
    """Values of parameters at the circuit's temperature and corner, in SI units."""
    known: Mapping[str, Any] = vars(circuit)
    pushing, pulling = circuit.mirror(), circuit.mirror(pushes=False)
    return {name: float(known[name]) for name in UNITS if name in known} | {
        "R_leak": float(circuit.leak_resistance),
        "v_slope": pushing.v_ekv / 2,
        "v_offset": 0.0,
        "beta": float(pushing.beta),
        "vto": float(pushing.vto),
        "beta_n": float(pulling.beta),
        "vto_n": float(pulling.vto),
        "channel_modulation": pushing.modulation,
    }


def _numbers(names: tuple[str, ...], values: Mapping[str, float]) -> Iterator[str]:
    """Declarations of parameters that are numbers, with their meanings and units."""
    about = _meanings()
    for name in names:
        low = "[0" if name in ("channel_modulation",) else "(0"
        reach = "" if name in ANY_SIGN else f" from {low}:inf)"
        unit = f', units="{UNITS[name]}"' if UNITS[name] else ""
        value = number(values[name])
        yield f'  (*desc="{about[name]}"{unit}*)\n  parameter real {name} = {value}{reach};'


def _choices(names: tuple[str, ...], circuit: Any) -> Iterator[str]:
    """Declarations of parameters that choose, as whole numbers."""
    about = _meanings()
    for name in names:
        given = CHOICES[name]
        at = given.index(getattr(circuit, name))
        numbered = ", ".join(f"{n} {choice}" for n, choice in enumerate(given))
        declared = "output_stage" if name == "output" else name
        line = f"parameter integer {declared} = {at} from [0:{len(given) - 1}];"
        yield f'  (*desc="{about[name]} ({numbered})"*)\n  {line}'


def _meanings() -> dict[str, str]:
    """What parameters are, in the model's own words where it has them."""
    about = {f.name: f.metadata["about"].meaning for f in fields(CircuitNeuron) if f.metadata}
    return {**about, **MEANINGS}
