"""The report of `Wash`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from neuromod.protocol import Section
from neuromod.support.text import number, percent

if TYPE_CHECKING:
    from neuromod.protocols.wash.protocol import Wash


def report(protocol: Wash, tables: dict[str, pd.DataFrame]) -> list[Section]:
    """Hysteresis and time constants in words."""
    del protocol
    table, constants = tables["table"], tables["time_constants"]
    exchange = constants.tau_exchange_s
    fastest, slowest = constants[exchange == exchange.min()], constants[exchange == exchange.max()]
    step = (fastest.tau_on_s / fastest.tau_on_step_s - 1).abs().max()
    quasi = (slowest.tau_on_s / slowest.tau_on_quasi_static_s - 1).abs().max()
    return [
        Section(
            "Gain and hysteresis",
            "Hysteresis is the largest difference, at one concentration, between the gain on the "
            "way out and on the way in. It vanishes when exchange is slow compared with binding "
            "and messenger: the gain then follows the steady dose-response curve in both "
            "directions. Gains differ from an independent integration of the cascade by at most "
            f"{number(table.gain_deviation.max(), 1)}.",
            "table",
        ),
        Section(
            "Time constants",
            "Exponentials are fitted to the part of each change from 10 to 90 %, and in the same "
            "way to two limits: the steady gain of the momentary concentration, and the gain after "
            f"a step. Washing in, the slowest exchange is within {percent(quasi, 2)} of the first "
            f"limit and the fastest within {percent(step, 2)} of the second. After a step, "
            "occupancy rises with the time constant 1/(k_on*c + k_off), and falls with 1/k_off "
            "whatever the concentration. The gain falls later from higher concentrations, because "
            "it stays saturated until much has unbound.",
            "time_constants",
        ),
    ]
