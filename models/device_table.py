"""A mirror that is a table: the current of one unit as somebody's own transistors give it.

Between its points the current is a monotone cubic of the supply (Fritsch & Butland 1984, SIAM J.
Sci. Stat. Comput. 5:300-304, as SciPy's PCHIP), not of the current itself but of its logarithm, in
which a transistor below threshold is a straight line. Where some supplies of a table give no
current at all, ``arcsinh(I/(2*f))`` takes its place, f being the least current above 0: a logarithm
far above f, and linear below. In the voltage across the transistor the current is a monotone cubic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from brian2 import Quantity, amp, nA, volt

from neuromod.errors import UserError
from neuromod.parameters import Parameters, parameter, refuse_where

FEWEST, MOST, MOST_DROPS = 4, 10_000, 41
"""Supplies of a table, and voltages across its transistor, each of which makes an equation."""
# Of the largest current at a supply: what a simulator's gmin lets through at no voltage.
NOTHING = 1e-3
ROUNDING = 1e-9
# Share of a current by which a saturated one may fall with v, as simulators' last digits do.
FLAT = 1e-6
# Halvings of a range of supplies after which none is left.
HALVINGS = 64
FACTORS = {"I_from": 0, "I_slope": 1, "I_bend": 2, "I_twist": 3}
"""Factors of a table's cubics, and the power of 1/volt of each."""
SIDES = {"push": "V_drop", "pull": "v"}
"""Voltages across the transistors that push and that pull."""
GIVEN = "measured or simulated by the user"


@dataclass(frozen=True, eq=False)
class DeviceTable(Parameters):
    """Current of one unit of a mirror by its supply, and by the voltage across its transistor.

    The voltage is the membrane's for what pulls; what pushes is the mirror image, across which the
    supply less the membrane stands, as for the other laws of `CircuitNeuron`. A table of one such
    voltage stands for an ideal current source.
    """

    name: str = parameter("device", "name of the device", "chosen here")
    at_vdd: Quantity = parameter(
        np.array([0.5, 0.65, 0.8, 1.0]) * volt, "supplies, rising", GIVEN, low=0 * volt
    )
    at_drop: Quantity = parameter(
        np.zeros(1) * volt,
        "voltages across the output transistor, rising from 0; a single one where the current "
        "does not depend on it",
        GIVEN,
        low=0 * volt,
    )
    unit_current: Quantity = parameter(
        np.array([2.5, 6.7, 11.7, 18.8]) * nA,
        "currents, those of the first supply first",
        GIVEN,
        low=0 * nA,
    )
    source: str = parameter("", "where it comes from", "the file and its SHA-256")

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse a table that does not rise, or whose parts do not go together."""
        del own
        vdd, drop, current = self._vdd, self._drop, self._current
        if not FEWEST <= len(vdd) <= MOST:
            raise UserError(
                f"A table of a mirror needs {FEWEST} to {MOST} supplies, and {self.name} has "
                f"{len(vdd)}."
            )
        if len(drop) > MOST_DROPS:
            raise UserError(
                f"A table of a mirror takes {MOST_DROPS} voltages v at most, closest where the "
                f"current bends, and {self.name} has {len(drop)}."
            )
        for values, what in ((vdd, "vdd"), (drop, "v")):
            if len(falls := np.flatnonzero(np.diff(values) <= 0)):
                before, after = values[falls[0] : falls[0] + 2]
                raise UserError(
                    f"{what} of {self.name} must rise, and goes from {before:.6g} to {after:.6g} V."
                )
        if current.size != len(vdd) * len(drop):
            raise UserError(
                f"{self.name} has {current.size} currents, and needs {len(vdd)} x {len(drop)}, one "
                "for each supply and v."
            )
        self._check_rise()

    def _check_rise(self) -> None:
        """Refuse currents that do not rise with the supply, or that fall with v."""
        grid = self._grid
        if self.drops:
            if self._drop[0] > 0:
                raise UserError(f"v of {self.name} must begin at 0 V, not {self._drop[0]:.6g} V.")
            if len(leaks := np.flatnonzero(grid[:, 0] > NOTHING * grid[:, -1])):
                raise UserError(
                    f"At v = 0 nothing flows through a transistor, but {self.name} has "
                    f"{say_current(grid[leaks[0], 0])} there at vdd = {self._vdd[leaks[0]]:.6g} V."
                )
        # Supplies below threshold, at which a square law gives no current, come first if at all.
        levels = grid[:, 1:] if self.drops else grid
        stuck = (np.diff(levels, axis=0) <= 0) & ~((levels[1:] == 0) & (levels[:-1] == 0))
        self._refuse(stuck, axis=0)
        if not np.all(levels[-1] > 0):
            raise UserError(f"{self.name} gives no current at its highest supply.")
        if self.drops:
            self._refuse(np.diff(grid[:, 1:], axis=1) < -FLAT * grid[:, 1:-1], axis=1)

    def _refuse(self, wrong: np.ndarray, axis: int) -> None:
        """Refuse the first place where the current does not rise along an axis of the table."""
        if not wrong.any():
            return
        vdd, drop = (int(index) for index in np.argwhere(wrong)[0])
        # The first v, at which nothing flows, is not looked at.
        drop += self.drops
        nxt = (vdd + 1, drop) if axis == 0 else (vdd, drop + 1)
        before, after = (say_current(self._grid[place]) for place in ((vdd, drop), nxt))
        place = f"vdd = {self._vdd[vdd]:.6g} V"
        if self.drops:
            place += f", v = {self._drop[drop]:.6g} V"
        until = f"{self._vdd[nxt[0]]:.6g} V" if axis == 0 else f"v = {self._drop[nxt[1]]:.6g} V"
        raise UserError(
            f"The current of {self.name} must rise, and goes from {before} to {after} between "
            f"{place} and {until}: smooth it, or take a law that is fitted to it (fit_mirror)."
        )

    @property
    def drops(self) -> bool:
        """Whether the current depends on the voltage across the transistor."""
        return len(self._drop) > 1

    @property
    def supplies(self) -> Quantity:
        """Lowest and highest supply, volt."""
        return self.at_vdd[[0, -1]]

    def levels(self, vdd: Any) -> np.ndarray:
        """Currents at the voltages across the transistor that the table has.

        Parameters
        ----------
        vdd : ndarray, shape () or (n,)
            Supplies within the table, V.

        Returns
        -------
        ndarray, shape (m,) or (n, m)
            In ampere.
        """
        size = self._log(self._within(vdd))
        return np.where(self._floor > 0, 2 * self._floor * np.sinh(size), np.exp(size))

    def current(self, vdd: Any, drop: Any = 0.0) -> Any:
        """Current of a unit, A.

        Parameters
        ----------
        vdd, drop : ndarray, shape () or (n,)
            Supplies, and voltages across the transistor, within the table, V.
        """
        levels = self.levels(vdd)
        if not self.drops:
            return levels[..., 0]
        knots, pieces = self.pieces(vdd)
        drop = np.asarray(drop, dtype=float)
        refuse_where(
            (drop < 0) | (drop > knots[-1]),
            f"v = {{}} is outside the table {self.name}, which has 0 V to {knots[-1]:.6g} V",
            drop * volt,
        )
        total = 0.0
        for k, (_, slope, bend, twist) in enumerate(pieces):
            part = np.clip(drop, knots[k], knots[k + 1]) - knots[k]
            total = total + part * (slope + part * (bend + part * twist))
        return total

    def pieces(self, vdd: Any) -> tuple[np.ndarray, list[tuple[np.ndarray, ...]]]:
        """The current as a cubic of what each stretch of the voltage across the transistor adds.

        Parameters
        ----------
        vdd : ndarray, shape () or (n,)
            Supplies, V.

        Returns
        -------
        tuple
            Ends of the stretches, shape (m,), V; and for each the current at its start, A, and the
            factors of the voltage in it, of its square and of its cube, A/V, A/V^2, A/V^3, each of
            the shape of `vdd`.
        """
        from scipy.interpolate import PchipInterpolator

        cubic = PchipInterpolator(self._drop, self.levels(vdd), axis=-1).c
        return self._drop, [tuple(one[::-1]) for one in np.moveaxis(cubic, 1, 0)]

    def slope(self, vdd: Any, drop: float = 0.0) -> Any:
        """How the current rises with the supply, S, over a millionth of the table's range."""
        low, high = self._vdd[[0, -1]]
        width = 1e-6 * (high - low)
        below = np.clip(np.asarray(vdd) - width, low, high)
        above = np.clip(np.asarray(vdd) + width, low, high)
        return (self.current(above, drop) - self.current(below, drop)) / (above - below)

    def vdd_for(self, current: Any, drop: float = 0.0) -> Any:
        """Supply at which a unit conducts a current: the inverse of `current`, V.

        Parameters
        ----------
        current : ndarray, shape () or (n,)
            In ampere, within the table.
        drop : float
            Voltage across the transistor, V.

        Raises
        ------
        UserError
            When the table has no such current.
        """
        current = np.asarray(current, dtype=float)
        least, most = (float(self.current(end, drop)) for end in self._vdd[[0, -1]])
        outside = (current < least * (1 - ROUNDING)) | (current > most * (1 + ROUNDING))
        refuse_where(
            outside,
            f"A unit current of {{}} is outside the table {self.name}, which has "
            f"{say_current(least)} to {say_current(most)}",
            current * amp,
        )
        low, high = (np.full(current.shape, end) for end in self._vdd[[0, -1]])
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            enough = self.current(middle, drop) > current
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        # The ends themselves, where rounding leaves a current just outside.
        found = np.where(current >= most, self._vdd[-1], low)
        return np.where((current <= least) & (least > 0), self._vdd[0], found)[()]

    def _within(self, vdd: Any) -> np.ndarray:
        vdd = np.asarray(vdd, dtype=float)
        low, high = float(self._vdd[0]), float(self._vdd[-1])
        outside = (vdd < low - ROUNDING) | (vdd > high + ROUNDING)
        refuse_where(
            outside,
            f"A supply of {{}} is outside the table {self.name}, which has {low:.6g} to "
            f"{high:.6g} V",
            vdd * volt,
        )
        inside: np.ndarray = np.clip(vdd, low, high)
        return inside

    @cached_property
    def _vdd(self) -> np.ndarray:
        return np.asarray(self.at_vdd / volt)

    @cached_property
    def _drop(self) -> np.ndarray:
        return np.asarray(self.at_drop / volt)

    @cached_property
    def _current(self) -> np.ndarray:
        return np.asarray(self.unit_current / amp)

    @cached_property
    def _grid(self) -> np.ndarray:
        """Currents by supply and voltage across the transistor, A."""
        return self._current.reshape(len(self._vdd), len(self._drop))

    @cached_property
    def _floor(self) -> np.ndarray:
        """The f of each column, A; 0 where the logarithm will do."""
        least = np.where(self._clean > 0, self._clean, np.inf).min(axis=0)
        silent = ~np.all(self._clean > 0, axis=0)
        return np.where(np.isinf(least), 1.0, np.where(silent, least, 0.0))

    @cached_property
    def _clean(self) -> np.ndarray:
        """The currents, with none where no voltage drives any."""
        grid = self._grid.copy()
        if self.drops:
            grid[:, 0] = 0
        return grid

    @cached_property
    def _log(self) -> Any:
        from scipy.interpolate import PchipInterpolator

        with np.errstate(divide="ignore", invalid="ignore"):
            soft = np.arcsinh(self._clean / (2 * self._floor))
            size = np.where(self._floor > 0, soft, np.log(self._clean))
        return PchipInterpolator(self._vdd, size, axis=0)

    def knots(self) -> tuple[np.ndarray, np.ndarray, float]:
        """What a netlist needs to interpolate alike, of a table that depends on the supply alone.

        Returns
        -------
        tuple
            Supplies, shape (n,), V; factors of the cube to the constant of every stretch's cubic,
            shape (4, n - 1); and f, A: the current is ``exp`` of the cubic where it is 0, else
            ``2*f*sinh`` of it.
        """
        return self._vdd, self._log.c[:, :, 0], float(self._floor[0])


def say_current(value: float) -> str:
    """A current in nA, such as ``10 nA``."""
    return f"{1e9 * value:.6g} nA"


DRAWN = "\n".join(
    [
        "I_up = up*I_push : amp",
        "I_down = down*I_pull : amp",
        "V_drop = vdd - v : volt",
        *(
            f"I_{side} = I_from_{side} + ({drop} - V_from_{side})*(I_slope_{side} "
            f"+ ({drop} - V_from_{side})*(I_bend_{side} + ({drop} - V_from_{side})"
            f"*I_twist_{side})) : amp\n"
            f"V_from_{side} : volt  # Start of the stretch of the table in which the voltage is\n"
            f"I_from_{side} : amp\n"
            f"I_slope_{side} : amp/volt\n"
            f"I_bend_{side} : amp/volt**2\n"
            f"I_twist_{side} : amp/volt**3"
            for side, drop in SIDES.items()
        ),
    ]
)
"""Lines of `CircuitNeuron` for the transistors of a table that has voltages across them."""


def factors(stretches: int) -> dict[str, int]:
    """States that hold a table's cubics at a neuron's supply, and the power of 1/volt of each.

    They hold how each stretch differs from the one before, so that the cubic of a stretch is a sum
    over those that were passed.
    """
    return {f"{name}_{k}": power for k in range(stretches) for name, power in FACTORS.items()}


def looked_up(knots: np.ndarray) -> list[str]:
    """Code that finds the cubic of the stretch in which a membrane is at the start of a time step.

    Within the step the membrane may pass a knot, at which cubics join in value and slope.

    Parameters
    ----------
    knots : ndarray, shape (m,)
        Voltages across the transistor, V.
    """
    code = []
    for side, drop in (("push", "(vdd - v)"), ("pull", "v")):
        inner = [float(knot) for knot in knots[1:-1]]
        code += [f"_past_{k} = 1.0*int({drop} > {knot!r}*volt)" for k, knot in enumerate(inner, 1)]
        places = range(1, len(inner) + 1)
        rises = np.diff(np.asarray(knots[:-1], dtype=float))
        jumps = [f"_past_{k}*{float(rises[k - 1])!r}*volt" for k in places]
        code.append(f"V_from_{side} = {' + '.join(['0.0*volt', *jumps])}")
        for name in FACTORS:
            parts = [f"_past_{k}*{name}_{k}" for k in places]
            code.append(f"{name}_{side} = {' + '.join([f'1.0*{name}_0', *parts])}")
    return code
