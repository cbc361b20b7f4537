"""Verilog-A that OpenVAF compiles, and whose equations, integrated here, do as the model.

OpenVAF's own interpreter evaluates what it compiled: currents and charges at nodes, and their
slopes. Test benches of a neuron and its synapses are integrated with them by Euler's implicit rule.
"""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Mohm, mV, nsecond, nsiemens, volt
from brian2.units.allunits import fcoulomb

from neuromod.devices.simulation import simulate
from neuromod.devices.spice.verilog_a import verilog_a
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.models.gain_lif import GainLIF

VDD = 0.81
CODES = {0: 7, 1: -4}
RISE = 1e-11
LONGEST, SHORTEST = 1e-9, 1e-15

CIRCUITS = {
    "clocked": {},
    "continuous": {"comparator": "continuous", "leak": "symmetric"},
    "ekv": {"law": "ekv", "output": "mosfet", "leak": "one_sided", "references": "always"},
    "square": {"output": "mosfet", "R_leak": 132 * Mohm, "v_th": 343 * mV},
    "conductance": {"synapse": "conductance", "G_unit": 21 * nsiemens},
}


@pytest.fixture
def modules(tmp_path):
    """Compile modules and give them by name."""
    openvaf = pytest.importorskip("openvaf_py", reason="openvaf-py is not installed")

    def compile_text(text, whole=True):
        file = tmp_path / "modules.va"
        # The interpreter, though not the compiler, takes every whole number for 0.
        file.write_text(text if whole else text.replace("parameter integer", "parameter real"))
        return {module.name: module for module in openvaf.compile_va(str(file))}

    return compile_text


class Part:
    """An instance of a module in a test bench."""

    def __init__(self, module, values, nodes):
        self.module, described = module, module.get_osdi_descriptor()
        names = [node["name"] for node in described["nodes"]]
        inner = {node["name"] for node in described["nodes"] if node["is_internal"]}
        self.nodes = [nodes[n] if n not in inner else (id(self), n) for n in names]
        self.at = dict(zip(names, self.nodes, strict=True))
        self.values = dict.fromkeys((*module.param_names, *module.init_param_names), 0.0)
        self.values |= {k: v for k, v in module.get_param_defaults().items() if k in self.values}
        spelled = {p["name"].lower(): p["name"] for p in described["params"]}
        self.values |= {spelled[k]: v for k, v in module.get_param_defaults().items()}
        self.values |= values | {"mfactor": 1.0}
        self.voltages = {
            name: name[2:-1].split(",")
            for name, kind in zip(module.param_names, module.param_kinds, strict=True)
            if kind == "voltage"
        }

    def at_voltages(self, potential):
        """Currents and charges at nodes, and slopes, at their potentials."""
        for name, ends in self.voltages.items():
            high, *low = [potential[self.at[end]] for end in ends]
            self.values[name] = high - (low[0] if low else 0.0)
        return self.module.run_init_eval(self.values)


class Bench:
    """Parts at nodes, some of which are held at voltages that depend on time."""

    def __init__(self, parts, held):
        self.parts, self.held = parts, held
        nodes = dict.fromkeys(node for part in parts for node in part.nodes)
        self.free = {node: i for i, node in enumerate(n for n in nodes if n not in held)}

    def evaluated(self, x, t):
        n = len(self.free)
        current, charge, G, C = np.zeros(n), np.zeros(n), np.zeros((n, n)), np.zeros((n, n))
        known = {node: x[i] for node, i in self.free.items()}
        known |= {node: voltage(t) for node, voltage in self.held.items()}
        for part in self.parts:
            residuals, slopes = part.at_voltages(known)
            index = [self.free.get(node) for node in part.nodes]
            for i, (resistive, reactive) in zip(index, residuals, strict=True):
                if i is not None:
                    current[i] += resistive
                    charge[i] += reactive
            for row, column, resistive, reactive in slopes:
                i, j = index[row], index[column]
                if i is not None and j is not None:
                    G[i, j] += resistive
                    C[i, j] += reactive
        return current, charge, G, C

    def run(self, start, duration, edges):
        """Times and potentials of the free nodes, from those at the start."""
        x = np.array(
            [start.get(node if isinstance(node, str) else node[1], 0.0) for node in self.free]
        )
        t, step, times, states = 0.0, RISE, [0.0], [x]
        latches = [i for node, i in self.free.items() if node[1] in ("held", "ramp", "latch")]
        charge = self.evaluated(x, 0.0)[1]
        while t < duration * (1 - 1e-12):
            ahead = [edge - t for edge in edges if edge > t * (1 + 1e-12) + 1e-18]
            step = min(step, LONGEST, duration - t, *(a for a in ahead[:1]))
            found = self.solved(x, charge, t + step, step)
            # As much as a flip-flop's nodes may move at once: theirs is not the only solution.
            if found is None or np.abs(found - x)[latches].max() > 0.2:
                step /= 4
                assert step > SHORTEST, t
                continue
            x, t = found, t + step
            charge = self.evaluated(x, t)[1]
            times.append(t)
            states.append(x)
            step *= 1.5
        return np.array(times), np.array(states)

    def solved(self, x, charge, t, step):
        """Potentials after a step, by Newton's rule; None where that does not settle."""
        for _ in range(30):
            current, now, G, C = self.evaluated(x, t)
            moved = np.linalg.solve(G + C / step, -(current + (now - charge) / step))
            x = x + np.clip(moved, -0.3, 0.3)
            if np.abs(moved).max() < 1e-9:
                return x
        return None


def one(circuit):
    """A neuron with a synapse that pushes and one that pulls; pulses are those of `edges`."""
    from neuromod.chip.pulses import code_pulses
    from neuromod.experiment import Spikes

    at, who = np.array([(40, 0), (305, 0), (340, 1), (610, 0), (713, 0)]).T
    codes = np.array(list(CODES.values()))
    return Experiment(
        populations=[Population("chip", circuit, 1, {"vdd": VDD * volt})],
        sources=(Spikes("inputs", 2, who, at * nsecond),),
        connections=code_pulses(
            "inputs", "chip", np.array([0, 1]), np.array([0, 0]), codes, 100 * nsecond
        ),
        duration=1000 * nsecond,
        dt=1 * nsecond,
        traces=(Trace("chip", ("v",), np.array([0])),),
    )


def pulse(times):
    """A voltage of 1 V for 100 ns from the step after each spike, in ramps of 10 ps."""
    ends = np.array([[t, t + RISE, t + 1e-7, t + 1e-7 + RISE] for t in times]).ravel()
    levels = np.tile([0.0, 1.0, 1.0, 0.0], len(times))
    return lambda t: float(np.interp(t, ends, levels)), ends


@pytest.mark.parametrize("name", CIRCUITS)
def test_compiled_by_openvaf_the_modules_do_as_the_model(name, chip, modules):
    made = one(chip(**CIRCUITS[name]))
    assert list(modules(verilog_a(made))) == ["chip_neuron", "chip_synapse"]
    built = modules(verilog_a(made), whole=False)
    ours = simulate(made)
    starts = {n: [(t + 1) * 1e-9 for t in times] for n, times in arrivals(made).items()}
    inputs = {n: pulse(times) for n, times in starts.items()}
    ground = {"gnd": lambda _: 0.0, "vdd": lambda _: VDD}
    held = ground | {f"pulse{n}": voltage for n, (voltage, _) in inputs.items()}
    neuron = Part(built["chip_neuron"], {}, {n: n for n in ("membrane", "busy", "spike", "gnd")})
    parts = [neuron]
    for n, code in CODES.items():
        shared = {node: node for node in ("membrane", "busy", "gnd", "vdd")}
        parts.append(Part(built["chip_synapse"], {"code": code}, shared | {"pulse": f"pulse{n}"}))
    bench = Bench(parts, held)
    edges = np.unique(np.concatenate([ends for _, ends in inputs.values()]))
    at, states = bench.run({"membrane": 0.25, "gate": 0.4}, 1e-6, edges)
    v, spike = (states[:, bench.free[node]] for node in ("membrane", "spike"))
    rises = at[1:][(spike[1:] > 0.5) & (spike[:-1] <= 0.5)] * 1e9
    falls = at[1:][(spike[1:] <= 0.5) & (spike[:-1] > 0.5)] * 1e9
    expected = np.asarray(ours.spikes["chip"].times / nsecond)
    assert len(expected) > 0
    np.testing.assert_allclose(rises, expected, atol=2)
    np.testing.assert_allclose(falls, (rises + 100)[: len(falls)], atol=0.5)
    steps = np.arange(1000.0)
    off = np.interp(steps * 1e-9, at, v) * 1e3 - np.asarray(ours.trace("chip", "v", 0) / mV)
    during = ((steps[:, None] - expected >= 0) & (steps[:, None] - expected <= 101)).any(axis=1)
    assert np.sqrt(np.mean(off[~during] ** 2)) < 1


def arrivals(made):
    (source,) = made.sources
    times = np.asarray(source.times / nsecond)
    return {n: times[source.neurons == n] for n in CODES}


def test_parameters_have_the_circuits_values_with_meanings_and_units(chip, modules):
    circuit = chip(R_leak=377 * Mohm, comparator="continuous", slope_factor=1.37, output="mosfet")
    built = modules(verilog_a(one(circuit)))
    described = {
        name: {p["name"]: (p["description"], p["units"]) for p in m.get_osdi_descriptor()["params"]}
        for name, m in built.items()
    }
    assert described["chip_neuron"]["R_leak"] == ("leak resistance at zero bias", "Ohm")
    assert described["chip_synapse"]["beta_n"][1] == "A/V^2"
    assert all(meaning for found in described.values() for meaning, _ in found.values())
    values = built["chip_neuron"].get_param_defaults()
    assert values["r_leak"] == pytest.approx(377e6)
    assert values["v_slope"] == pytest.approx(1.37 * 1.380649e-23 * 300 / 1.602176634e-19)
    assert values["comparator"] == 1
    assert built["chip_synapse"].get_param_defaults()["output_stage"] == 1


def test_what_the_modules_leave_out_is_refused(chip):
    with pytest.raises(UserError, match=r"R_supply = 1\. Mohm, which .* add it in your test bench"):
        verilog_a(one(chip(R_supply=1 * Mohm)))
    with pytest.raises(UserError, match=r"Q_reset = .* leave out: set it to 0"):
        verilog_a(one(chip(Q_reset=0.1 * fcoulomb)))
    cells = Population("cell", GainLIF(), 1)
    bare = replace(one(chip()), populations=(cells,), connections=(), traces=())
    with pytest.raises(UserError, match="There are no circuit neurons to write: cell"):
        verilog_a(bare)


def test_the_command_writes_modules_once(neuromod, tmp_path):
    export = ["export", "verilog-a", "vdd-sweep", "--set", "vdd=0.8*volt", "--out", "neuron.va"]
    outcome = neuromod(*export)
    assert outcome.code == 0, outcome.err
    assert "module chip_neuron(membrane, busy, spike, gnd);" in (tmp_path / "neuron.va").read_text()
    again = neuromod(*export)
    assert (again.code, again.err) == (2, "neuron.va exists: name another file with --out.\n")
