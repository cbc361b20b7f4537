"""
Was it a gain, a shift or an offset?
====================================

Modulators change f-I curves in different ways: they multiply the input, let only a share of the
spikes pass, add to the rate, or move the threshold. Cells that were truly modulated in each of
these ways are simulated with noise between trials, and the analysis, which knows only the curves,
compares the hypotheses. Each panel shows the control (grey), what was measured under the
modulator (dots) and the likeliest hypothesis (line), with the verdict above. Where no hypothesis
fits, the verdict is "other". Recordings of your own go through the same analysis, which
:doc:`/explanation/identification` explains.
"""

import matplotlib.pyplot as plt

import neuromod

run = neuromod.run("gain-identification")

curves, fits, verdicts = (run.tables[name] for name in ("curves", "fits", "verdicts"))
control = curves[curves.condition == "control"]
figure, panels = plt.subplots(1, 4, figsize=(9, 3), sharey=True)
for panel, (_, told) in zip(panels, verdicts.iterrows(), strict=False):
    modulated = curves[curves.condition == told.condition]
    likeliest = told.candidates.split(" or ")[0]
    fit = fits[(fits.condition == told.condition) & (fits.hypothesis == likeliest)]
    panel.plot(control.current_nA, control.rate_Hz, ".", color="0.7")
    panel.plot(modulated.current_nA, modulated.rate_Hz, ".")
    panel.plot(fit.current_nA, fit.modulated_Hz)
    panel.set_title(f"done: {told.condition}\nfound: {told.verdict}", fontsize=9)
    panel.set_xlabel("current (nA)")
panels[0].set_ylabel("firing rate (Hz)")
plt.show()

# %%
# Each hypothesis has one parameter, here with its interval.
verdicts[["condition", "verdict", "estimate", "low", "high", "unit"]].round(3)
