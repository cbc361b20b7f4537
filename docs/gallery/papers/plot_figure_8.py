"""
Figure 8: energy per spike over the synapse supply
==================================================

The paper's figure 8 says that energy per spike falls as VDD rises, because the same input makes
more output spikes. With four synapses this model says so as well. With sixty-four, it holds for
references that conduct only while a pulse lasts, and turns round for references that stay on,
which draw current between pulses too. Behind loads of 20 MΩ a gate does not settle within a pulse
of 100 ns, so references have to stay on. The dotted line is 1.08 pJ, the least energy that the
paper states; the core's energies are calibrated to it, so that only the shape of the curves is a
result. Steps in it are whole spikes of a run of 40 µs.
"""

import matplotlib.pyplot as plt
from brian2 import kHz, linspace, nsecond, prefs, volt

import neuromod

prefs.codegen.target = "numpy"  # compiles nothing
vdd = linspace(0.5, 1, 26) * volt
settings = {
    "4 synapses at 300 kHz": {},
    "64 synapses at 18.75 kHz": {"codes": (4, 3, 2, -2) * 16, "input_rate": 18.75 * kHz},
}

fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for ax, (name, chosen) in zip(axes, settings.items(), strict=True):
    table = neuromod.run("vdd-sweep", vdd=vdd, dt=20 * nsecond, **chosen).table
    for kind, title, color in (
        ("always", "references stay on", "C3"),
        ("pulsed", "references conduct in pulses", "C0"),
    ):
        ax.plot(
            table.vdd_V, table[f"energy_per_spike_{kind}_pJ"], "o-", ms=3, color=color, label=title
        )
    ax.axhline(1.08, color="0.5", ls=":", lw=1)
    ax.text(0.5, 1.0, "1.08 pJ: the paper's least, table 9", color="0.4", fontsize=8, va="top")
    ax.set(xlabel="synapse supply VDD (V)", title=name)
    few = table.loc[table.energy_per_spike_always_pJ.idxmin()]
    least = f"{few.energy_per_spike_always_pJ:.2f} pJ at {few.vdd_V:.2f} V"
    print(f"{name}: with references that stay on, least {least}")
axes[0].set(ylabel="energy per output spike (pJ)", ylim=(0, 6))
axes[0].legend(frameon=False)
plt.show()
