"""
Export to ngspice, and both membranes over each other
=====================================================

Any experiment's circuit neurons become a netlist, with their inputs. ``simulate_in_spice`` writes
it, lets ngspice run it and reads the result as a recording like any other, so that the two can be
drawn over each other and compared. ngspice solves transistors, switches and a flip-flop; the
model solves its few equations, and both must agree. Where ngspice is not installed, the example
says so and shows the model alone.
"""

import shutil

import matplotlib.pyplot as plt
import numpy as np
from brian2 import mV, nsecond, prefs, usecond, volt

from neuromod import Experiment, Population, Trace, simulate
from neuromod.chip.pulses import code_pulses
from neuromod.devices.spice.netlist import netlist
from neuromod.devices.spice.ngspice import simulate_in_spice
from neuromod.devices.spice.wiring import choose
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models import CircuitNeuron

prefs.codegen.target = "numpy"  # compiles nothing
circuit, dt, duration = CircuitNeuron(), 2 * nsecond, 8 * usecond
inputs = circuit_inputs(circuit, 3, 700e3 / (1e6 * usecond), duration, dt, seed=5)
connections = []
for source, code in enumerate((5, 3, -3)):
    connections += code_pulses("inputs", "chip", [source], [0], code, circuit.t_pulse)
experiment = Experiment(
    populations=[Population("chip", circuit, 1, {"vdd": 0.75 * volt})],
    sources=[inputs],
    connections=connections,
    traces=[Trace("chip", "v", [0])],
    duration=duration,
    dt=dt,
)
model = simulate(experiment)
neurons = choose(experiment, ["0"])
print("\n".join(netlist(experiment, neurons).splitlines()[:12]), "\n...")

# %%

t, v = model.times / usecond, model.trace("chip", "v", 0) / mV
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.plot(t, v, color="C0", lw=3, alpha=0.5, label="neuromod")
if shutil.which("ngspice"):
    spice = simulate_in_spice(experiment, neurons)
    w = spice.trace("chip", "v", 0) / mV
    ax.plot(t, w, color="k", lw=0.9, label="ngspice")
    late = spice.spikes["chip"].times - model.spikes["chip"].times
    apart = np.quantile(np.abs(v - w), 0.95)  # beyond it, spikes that end between two samples
    print(f"{len(late)} spikes each, {np.abs(late).max() / nsecond:.2f} ns apart at most")
    ax.set_title(f"membranes less than {1e3 * apart:.2g} µV apart in 95 % of the time")
else:
    print("ngspice is not installed here: the model alone is shown.")
ax.axhline(350, color="0.6", lw=0.8, ls="--")
ax.text(0, 352, "threshold", color="0.4", va="bottom")
ax.set(xlabel="time (µs)", ylabel="membrane (mV)")
ax.legend(frameon=False)
plt.show()
