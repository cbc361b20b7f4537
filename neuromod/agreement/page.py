"""The page of what was found of a device: a figure of its speed, tables, and words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.agreement.suite import AGREES, FED_BACK, FEEDFORWARD, TRACE
from neuromod.protocol import Section
from neuromod.runs.picture import Picture
from neuromod.runs.report import document
from neuromod.support.figures import BLACK, BLUE, ORANGE, label, legend, panels, style
from neuromod.support.text import percent, say, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from neuromod.agreement.agree import Agreed
    from neuromod.agreement.repetition import Repeated

LOOKS: dict[str, dict[str, Any]] = {"double": {"color": BLUE}, "single": {"color": ORANGE}}
KINDS: dict[str, dict[str, Any]] = {
    "without synapses": {"marker": "o", "ls": "--", "mfc": "none"},
    "with synapses": {"marker": "o", "ls": "-"},
}


def page(found: Agreed) -> str:
    """Self-contained HTML page."""
    tables = tables_of(found)
    versions = ", ".join(f"{name} {text}" for name, text in found.machine["versions"].items())
    with style():
        picture = Picture(plot(tables["speed"]))
    return document(
        f"Device {found.device} against Brian2",
        f"{found.started}, {found.wall_s:.0f} s. {versions}.",
        _verdict(found),
        _sections(found, tables),
        tables,
        picture,
    )


def tables_of(found: Agreed) -> dict[str, pd.DataFrame]:
    """What was compared by protocol, what was not, and what was timed."""
    return {
        "agreement": _by_protocol(found),
        "others": _why(found.compared, "protocol", "experiment", "precision", "outcome"),
        "speed": _speed(found),
        "not_timed": _why(found.timed, "device", "precision", "neurons", "synapses"),
        "machine": pd.DataFrame(
            [
                {"part": part, "is": _plain(value)}
                for part, value in found.machine.items()
                if part != "versions"
            ]
        ),
    }


def _why(rows: Iterable[Any], *columns: str) -> pd.DataFrame:
    """What was not done, and why."""
    told = [row for row in rows if row.why]
    return pd.DataFrame([{name: getattr(row, name) for name in (*columns, "why")} for row in told])


def plot(speed: pd.DataFrame) -> Figure:
    """Speed relative to C++ standalone, and time for a second of the network."""
    figure, axes = panels([["faster", "program_s"]], width=9, height=3.6)
    for name, title, y in (
        ("faster", "a  Speed against cpp", "times as fast as cpp, double"),
        ("program_s", "b  Time of the program", "seconds for 1 s of the network"),
    ):
        label(axes[name], title, "neurons", y, log="xy" if len(speed) else "")
        _draw(axes[name], speed, name)
    axes["faster"].axhline(1, color=BLACK, lw=0.5)
    looks = {name: look | {"marker": "o"} for name, look in LOOKS.items()}
    legend(axes["program_s"], also=looks | {n: k | {"color": BLACK} for n, k in KINDS.items()})
    return figure


def _draw(axes: Axes, speed: pd.DataFrame, name: str) -> None:
    if not len(speed):
        axes.text(0.5, 0.5, "nothing was timed", ha="center", transform=axes.transAxes)
        return
    for precision, look in LOOKS.items():
        own = speed[speed.precision == precision]
        kinds = own[own.synapses == 0], own[own.synapses > 0]
        for rows, line in zip(kinds, KINDS.values(), strict=True):
            axes.plot(rows.neurons, rows[name], ms=4, **look, **line)


def _by_protocol(found: Agreed) -> pd.DataFrame:
    rows = []
    for protocol in dict.fromkeys(row.protocol for row in found.compared):
        for precision in LOOKS:
            some = [
                row
                for row in found.compared
                if (row.protocol, row.precision) == (protocol, precision) and not row.why
            ]
            if some:
                rows.append(
                    {
                        "protocol": protocol,
                        "precision": precision,
                        "spikes": sum(row.spikes for row in some),
                        "moved": sum(row.moved for row in some),
                        "missing": sum(row.missing for row in some),
                        "extra": sum(row.extra for row in some),
                        "largest deviation of a trace": max(row.trace for row in some),
                        "agrees": all(row.outcome == AGREES for row in some),
                    }
                )
    return pd.DataFrame(rows)


def _speed(found: Agreed) -> pd.DataFrame:
    """Times of the device beside those of C++ standalone."""
    cpp = {
        (row.neurons, row.synapses): row
        for row in found.timed
        if (row.device, row.precision) == ("cpp", "double")
    }
    rows = []
    for row in found.timed:
        other = cpp[row.neurons, row.synapses]
        if row.device == found.device and row.program_s:
            rows.append(
                {
                    "neurons": row.neurons,
                    "synapses": row.synapses,
                    "precision": row.precision,
                    "program_s": row.program_s,
                    "cpp_s": other.program_s or np.nan,
                    "faster": (other.program_s or np.nan) / row.program_s,
                    "build_s": row.build_s,
                    "cpp_build_s": other.build_s,
                    "compiled": row.compiled,
                }
            )
    return pd.DataFrame(rows)


def _verdict(found: Agreed) -> str:
    counts = len([row for row in found.compared if row.outcome == AGREES])
    if found.problems:
        return f"The device does not agree. {' '.join(found.problems)}"
    return f"The device agrees with Brian2's runtime in all of {counts} comparisons."


def _sections(found: Agreed, tables: dict[str, pd.DataFrame]) -> list[Section]:
    double = (
        "the same spikes are expected"
        if found.same_spikes_expected
        else f"{_shares()} of the spikes may differ, because a GPU adds up in an order that varies"
    )
    comparing = (
        "Experiments of every protocol at a small size, against Brian2's runtime in double "
        f"precision. In double precision {double}; in single precision {_shares()} may. Until "
        f"spikes differ, a trace may deviate by {TRACE['double']:g} of its range in double "
        f"precision and by {TRACE['single']:g} in single."
    )
    sections = [Section("Agreement", comparing, "agreement" if len(tables["agreement"]) else "")]
    if len(tables["others"]):
        sections.append(Section("Not compared", "", "others"))
    sections.append(Section("Repetition", "\n\n".join(map(_repeated, found.repeated))))
    timing = (
        "Wall time of the program for 1 s of modulated cells with a constant current, without "
        "synapses and with 1000 synaptic events per second each, the best of three or of one that "
        "took long; and of everything before it, compiling included where it was compiled."
    )
    sections.append(Section("Speed", timing, "speed" if len(tables["speed"]) else ""))
    if len(tables["not_timed"]):
        sections.append(Section("Not timed", "", "not_timed"))
    again = f"In a shell: {found.command}"
    return [*sections, Section("Machine", "", "machine"), Section("Repeat this comparison", again)]


def _shares() -> str:
    return (
        f"{percent(FEEDFORWARD)} (of networks that feed back on themselves or learn "
        f"{percent(FED_BACK)})"
    )


def _repeated(run: Repeated) -> str:
    """What the repetition of a network showed."""
    trains = "the same spikes" if run.distinct == 1 else f"{run.distinct} different sets of spikes"
    parted = "" if run.runs_part_at is None else f", parting from step {run.runs_part_at} on"
    first = (
        "They are those of Brian2's runtime"
        if run.reference_parts_at is None
        else f"The first leaves Brian2's runtime in step {run.reference_parts_at}"
    )
    return (
        f"In {run.precision} precision {run.runs} runs of a recurrent network of "
        f"{say(run.neurons)} neurons and {say(run.synapses)} synapses over {say(run.steps)} time "
        f"steps gave {trains}{parted}. "
        f"{first}. Rates were {span(run.rates_Hz, 'Hz')}, and {say(run.reference_Hz, 'Hz')} on "
        "Brian2's runtime. Copies there that differ by the start of one neuron have "
        f"{span(run.copies_Hz, 'Hz')}, so that {span([run.lowest_Hz, run.highest_Hz], 'Hz')} are "
        "allowed."
    )


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_plain(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, text in value.items())
    return str(value) or "none"
