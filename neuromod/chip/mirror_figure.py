"""Figure of a mirror fitted to a sweep: currents over the fit and its band, and residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import volt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from neuromod.support.figures import BLACK, BLUE, RED, Family, label, legend, panels, style
from neuromod.support.text import number, with_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from neuromod.chip.mirror_fit import MirrorFit

# Voltages across the transistor that are drawn, at most.
MOST_DRAWN = 6
SWEEP: dict[str, Any] = {"marker": "o", "ls": "", "ms": 4, "mfc": "none", "mew": 0.7}
LEFT_OUT: dict[str, Any] = {"marker": "x", "ls": "", "color": "0.6", "ms": 4}


def draw_mirror_fit(fit: MirrorFit) -> Figure:
    """The unit current against the supply on a logarithmic and a linear axis, and residuals.

    Parameters
    ----------
    fit : MirrorFit
    """
    with style():
        figure, axes = panels([["log", "linear"], ["rest", "text"]], width=9.5, height=6.2)
        for name, title in (("log", "a  Unit current"), ("linear", "b  The same, linear")):
            _draw_currents(axes[name], fit)
            log = "y" if name == "log" else ""
            label(axes[name], title, x="VDD (V)", y="unit current (nA)", log=log)
        ticks = axes["log"].yaxis
        decades = np.log10(fit.points.current_nA.max() / fit.curve.fit_nA.min())
        ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 3 else (1,)))
        ticks.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        ticks.set_minor_formatter(NullFormatter())
        out_drawn = fit.left_out and "v_V" not in fit.curve
        legend(
            axes["linear"],
            also={
                "sweep": {"color": BLACK, **SWEEP},
                **({"left out": LEFT_OUT} if out_drawn else {}),
                f"fit, law={fit.law}": {"color": BLUE},
                "95 % band": {"color": BLUE, "alpha": 0.25, "lw": 6},
            },
        )
        _draw_residuals(axes["rest"], fit)
        _write(axes["text"], fit)
    return figure


def _shown(table: pd.DataFrame) -> list[float]:
    """The voltages across the transistor that are drawn."""
    drops = np.unique(table.v_V[table.v_V > 0])
    places = np.linspace(0, len(drops) - 1, min(len(drops), MOST_DRAWN)).round().astype(int)
    return [float(drops[place]) for place in places]


def _draw_currents(axes: Axes, fit: MirrorFit) -> None:
    points, curve = fit.points, fit.curve
    if "v_V" not in curve:
        axes.fill_between(curve.vdd_V, curve.low_nA, curve.high_nA, color=BLUE, alpha=0.25, lw=0)
        _draw_points(axes, points, BLACK)
        axes.plot(curve.vdd_V, curve.fit_nA, color=BLUE)
        return
    drops = _shown(points)
    family = Family(np.array(drops) * volt, "v")
    for drop, color in zip(drops, family.colors, strict=True):
        own, fitted = points[points.v_V == drop], curve[curve.v_V == drop]
        axes.fill_between(
            fitted.vdd_V, fitted.low_nA, fitted.high_nA, color=color, alpha=0.25, lw=0
        )
        _draw_points(axes, own, color)
        axes.plot(fitted.vdd_V, fitted.fit_nA, color=color, lw=1)
    family.explain(axes)


def _draw_points(axes: Axes, points: pd.DataFrame, color: str) -> None:
    used, out = points[points.used], points[~points.used]
    axes.plot(used.vdd_V, used.current_nA, color=color, **SWEEP)
    axes.plot(out.vdd_V, out.current_nA, **LEFT_OUT)


def _draw_residuals(axes: Axes, fit: MirrorFit) -> None:
    used = fit.points[fit.points.used]
    axes.plot(used.vdd_V, used.residual_percent, "o", color=BLACK, ms=3)
    axes.axhline(0, color=BLACK, lw=0.8)
    for end in (-2, 2):
        axes.axhline(end * fit.rms_percent, color=RED, lw=0.8, ls=":")
    label(axes, "c  Residuals; dotted, twice their size", x="VDD (V)", y="of the current (%)")


def _write(axes: Axes, fit: MirrorFit) -> None:
    """What was found, in words."""
    axes.set_axis_off()
    lines = [
        f"{row.parameter} = {with_unit(number(row.value, 3), row.unit)}"
        f"  ({number(row.low, 3)} to {number(row.high, 3)})"
        + ("" if row.the_sweep == "determined" else " *")
        for row in fit.table.itertuples()
    ]
    lines.append(f"residuals {number(fit.rms_percent, 3)} % (root mean square)")
    if fit.undetermined:
        lines.append("* open, or known but loosely")
    if fit.systematic:
        lines.append("residuals are no scatter: try another law")
    axes.text(0, 1, "\n".join(lines), va="top", linespacing=1.7, transform=axes.transAxes)
    label(axes, "d  Fitted, with 95 % intervals")
