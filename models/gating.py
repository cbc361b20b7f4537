"""Voltage-dependent gates: their rates in Hodgkin and Huxley's three forms, and how they step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Equations, Quantity, exponential_euler, mV
from brian2.stateupdaters.base import StateUpdateMethod

NUDGE = 2e-6
"""By how many scales a rate steps aside where its form would be 0/0, and twice from how near."""


@dataclass(frozen=True)
class Rate:
    """A rate of opening or closing over the potential: ``rate*form((v - midpoint)/scale)``.

    Attributes
    ----------
    form : str
        ``"exponential"``, exp(x); ``"sigmoid"``, 1/(1 + exp(-x)); or ``"linear"``, x/(1 - exp(-x)),
        which is 1 at the midpoint.
    rate : float
        Per ms.
    midpoint, scale : float
        mV; the scale is negative where the rate falls with the potential.
    above : str
        Name of the potential from which the midpoint counts; 0 mV if empty.
    """

    form: str
    rate: float
    midpoint: float
    scale: float
    above: str = ""

    def equations(self, name: str) -> str:
        """Equations in Brian2's language of this rate by a name, of the potential `v`."""
        zero = f" - {self.above}" if self.above else ""
        sign = "-" if self.midpoint > 0 else "+"
        x = f"(v{zero} {sign} {abs(self.midpoint):g}*mV)/({self.scale:g}*mV)"
        form = {"exponential": f"exp({x})", "sigmoid": f"1/(1 + exp(-{x}))"}.get(self.form)
        if form:
            return f"{name} = {self.rate:g}/ms*{form} : Hz"
        # Where 0/0 would stand, x moves aside, and never onto 0.
        aside = f"x_{name} = y_{name} + {NUDGE:g}*int(y_{name}**2 < {(NUDGE / 2) ** 2:g}) : 1"
        form = f"x_{name}/(1 - exp(-x_{name}))"
        return f"y_{name} = {x} : 1\n{aside}\n{name} = {self.rate:g}/ms*{form} : Hz"

    def at(self, v: Any, zero: Any = 0.0) -> Any:
        """The rate per ms at potentials in mV, of which `zero` is the zero of the axis."""
        x = (np.asarray(v, dtype=float) - zero - self.midpoint) / self.scale
        if self.form == "exponential":
            return self.rate * np.exp(x)
        if self.form == "sigmoid":
            return self.rate / (1 + np.exp(-x))
        safe = np.where(x**2 < (NUDGE / 2) ** 2, x + NUDGE, x)
        return self.rate * safe / (1 - np.exp(-safe))


class Staggered(StateUpdateMethod):  # type: ignore[misc]
    """Exponential steps, of the potential `v` first and then of all that depends on it.

    Potential and gates thus see each other half a step apart: second order, and stable for any step
    (Hines 1984, Int. J. Biomed. Comput. 15:69-76). Exponential Euler, which steps all at once, is
    of first order.
    """

    def __call__(
        self, equations: Equations, variables: Any = None, method_options: Any = None
    ) -> str:
        """Abstract code of one step, for Brian2; there are no options."""
        del method_options
        lines = exponential_euler(equations, variables).split("\n")
        named = {line.partition(" = ")[0]: line for line in lines}
        names = sorted(equations.diff_eq_names, key=lambda name: (name != "v", name))
        steps = (named.get(part) for x in names for part in (f"_BA_{x}", f"_{x}", x))
        return "\n".join(line for line in steps if line)

    def __str__(self) -> str:
        return "exponential steps, the membrane first"


def equations_of(rates: Mapping[str, Rate]) -> str:
    """Equations of rates by name."""
    return "\n".join(rate.equations(name) for name, rate in rates.items())


def steady_state(opening: Rate, closing: Rate, v: Any, zero: Any = 0.0) -> Any:
    """Share of open gates at potentials in mV, once settled."""
    alpha, beta = opening.at(v, zero), closing.at(v, zero)
    return alpha / (alpha + beta)


def lowest_rest(outward: Callable[[Any], Any]) -> Quantity:
    """Lowest potential at which a settled outward current, of potentials in mV, rises through 0."""
    grid = np.linspace(-150, 100, 2501)
    first = int(np.argmax(outward(grid) > 0))
    low, high = grid[first - 1], grid[first]
    while high - low > 1e-12 * abs(low):
        middle = (low + high) / 2
        low, high = (low, middle) if outward(middle) > 0 else (middle, high)
    return (low + high) / 2 * mV
