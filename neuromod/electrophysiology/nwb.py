"""Current-clamp recordings in NWB files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuromod.electrophysiology.clocks import Trace, on_one_clock
from neuromod.electrophysiology.icephys_tables import Window, rows, text
from neuromod.electrophysiology.sweeps import Sweep
from neuromod.errors import UserError

# What pynwb writes where a text was left out.
UNSAID = ("no description", "N/A")


def read_sweeps(path: Path) -> list[Sweep]:
    """Sweeps of an NWB file.

    A row of the table intracellular_recordings joins a response to its stimulus, each with a
    window; without the table, equal sweep_number and electrode do.

    Parameters
    ----------
    path : Path
        A file with CurrentClampSeries and the CurrentClampStimulusSeries that drove them.

    Returns
    -------
    list of Sweep
        Their labels are columns condition of the intracellular tables, the response's
        description and its stimulus_description. Those that cannot be used say why.

    Raises
    ------
    UserError
        When the file is damaged or holds no sweep.
    """
    try:
        from pynwb import NWBHDF5IO
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path} needs pynwb: pip install 'brian2-neuromod[recordings]' brings it."
        ) from error
    try:
        with warnings.catch_warnings(), NWBHDF5IO(str(path), "r") as file:
            # hdmf calls pandas by names that newer releases deprecate.
            warnings.simplefilter("ignore")
            sweeps = list(_sweeps(file.read()))
    except Exception as error:
        # Damaged files make pynwb, hdmf and h5py raise anything.
        raise UserError(f"{path} cannot be read as an NWB file: {error}") from error
    if not sweeps:
        raise UserError(
            f"{path} holds no CurrentClampSeries with the CurrentClampStimulusSeries that drove "
            "it: join them in the table intracellular_recordings or by equal sweep_number."
        )
    return sweeps


@dataclass(frozen=True, eq=False)
class _Pair:
    """A response and the stimulus that drove it, or why there is none."""

    response: Window
    stimulus: Window | None
    template: bool = False
    conditions: tuple[str, ...] = ()
    kind: str = ""
    problem: str = ""


def _sweeps(file: Any) -> Iterator[Sweep]:
    pairs = list(_of_rows(file)) if file.intracellular_recordings else list(_of_numbers(file))
    kinds = max((len(pair.conditions) for pair in pairs), default=0)
    for pair in pairs:
        users = [p.response for p in pairs if _same(p, pair)] if pair.template else []
        yield _sweep(pair, kinds, users)


def _same(one: _Pair, other: _Pair) -> bool:
    """Whether two pairs have one stimulus."""
    return bool(one.stimulus and other.stimulus and one.stimulus.series is other.stimulus.series)


def _of_rows(file: Any) -> Iterator[_Pair]:
    """Pairs of the table intracellular_recordings, and the responses that it leaves out."""
    table = list(rows(file))
    drove: dict[Any, set[Any]] = {}
    for row in table:
        stimulus = row.stimulus and (row.stimulus.key, row.template)
        drove.setdefault(row.response and row.response.key, set()).add(stimulus)
    seen = set()
    for row in table:
        if row.response is None:
            continue
        problem = row.problem
        if len(drove[row.response.key]) > 1:
            problem = "several rows of intracellular_recordings name it with different stimuli"
        elif row.response.key in seen:
            problem = "an earlier row of intracellular_recordings names it"
        seen.add(row.response.key)
        template = row.template
        yield _Pair(row.response, row.stimulus, template, row.conditions, row.kind, problem)
    named = {id(row.response.series) for row in table if row.response}
    for series in _responses(file):
        if id(series) not in named:
            reason = "no row of intracellular_recordings names it"
            yield _Pair(Window(series), None, problem=reason)


def _of_numbers(file: Any) -> Iterator[_Pair]:
    """Pairs of equal sweep_number and electrode."""
    responses = _responses(file)
    stimuli = [
        ("stimulus", list(file.stimulus.values())),
        ("acquisition", list(file.acquisition.values())),
        ("template", list(file.stimulus_template.values())),
    ]
    for response in responses:
        if response.sweep_number is None:
            reason = "it has no sweep_number, and no table joins it to a stimulus"
            yield _Pair(Window(response), None, problem=reason)
            continue
        place, found = next(
            ((place, same) for place, group in stimuli if (same := _drove(group, response))),
            ("", []),
        )
        rivals = [other for other in responses if _key(other) == _key(response)]
        if len(rivals) > 1 or len(found) > 1:
            # Numbers that start anew are told apart by time.
            rivals = [r for r in rivals if _together(r, response)]
            found = [s for s in found if _together(s, response)]
        problem = "" if len(found) == 1 else "no stimulus has its sweep_number and electrode"
        if len(rivals) > 1 or len(found) > 1:
            problem = "its sweep_number and electrode are those of several series"
        stimulus = None if problem else Window(found[0])
        yield _Pair(Window(response), stimulus, place == "template", problem=problem)
    answered = {_key(response) for response in responses}
    for stimulus in _commands(stimuli[0][1]):
        if _key(stimulus) not in answered:
            yield _Pair(Window(stimulus), None)


def _responses(file: Any) -> list[Any]:
    """Patch-clamp recordings in a file's order of sweeps; processed copies stand back."""
    from pynwb.icephys import CurrentClampSeries, VoltageClampSeries

    kinds = CurrentClampSeries, VoltageClampSeries
    found = [s for s in file.acquisition.values() if isinstance(s, kinds)]
    known = {_key(series) for series in found}
    for module in file.processing.values():
        copies = [s for s in module.data_interfaces.values() if isinstance(s, kinds)]
        found += [s for s in copies if _key(s) not in known]
    return sorted(found, key=lambda series: (series.sweep_number is None, series.sweep_number or 0))


def _key(series: Any) -> tuple[Any, int]:
    return series.sweep_number, id(series.electrode)


def _drove(group: list[Any], response: Any) -> list[Any]:
    return [stimulus for stimulus in _commands(group) if _key(stimulus) == _key(response)]


def _commands(group: list[Any]) -> list[Any]:
    from pynwb.icephys import CurrentClampStimulusSeries

    return [series for series in group if isinstance(series, CurrentClampStimulusSeries)]


def _together(one: Any, other: Any) -> bool:
    return abs(_start(one) - _start(other)) < 1e-3


def _start(series: Any) -> float:
    if series.timestamps is not None:
        return float(series.timestamps[0])
    return float(series.starting_time or 0)


def _sweep(pair: _Pair, kinds: int, users: list[Window]) -> Sweep:
    """Command and potential of a pair, or why there are none."""
    response, stimulus = pair.response.series, pair.stimulus and pair.stimulus.series
    conditions = pair.conditions + ("",) * (kinds - len(pair.conditions))
    texts = (_said(response.description), _said(response.stimulus_description))
    nothing = np.array([])
    command, potential, sampling, start = nothing, nothing, np.nan, np.nan
    try:
        if not (problem := _unfit(pair)):
            trace = _trace(pair.response, 1e3)
            drive = _trace(pair.stimulus, 1e9)
            drive = _placed(drive, trace, _start(stimulus), users) if pair.template else drive
            if not drive.overlaps(trace):
                raise UserError("lies at other times than its stimulus")
            sampling = trace.sampling
            whole = pair.response.whole
            command, potential, start = on_one_clock(trace, drive, beyond=whole)
    except UserError as error:
        problem = f"it {error}"
    return Sweep(
        name=pair.response.name,
        cell=text(getattr(response.electrode, "cell_id", "")),
        electrode=response.electrode.name,
        labels=conditions + texts,
        stimulus=pair.kind or _named(stimulus),
        command=command,
        potential=potential,
        sampling=sampling,
        start=start,
        problem=problem,
    )


def _unfit(pair: _Pair) -> str:
    """Why a pair is no current clamp of one electrode, empty if it is."""
    from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries, IZeroClampSeries

    response, stimulus = pair.response.series, pair.stimulus and pair.stimulus.series
    if isinstance(response, CurrentClampStimulusSeries):
        return "no response has its sweep_number and electrode"
    if isinstance(response, IZeroClampSeries):
        return "it was recorded without a command (IZeroClampSeries)"
    if not isinstance(response, CurrentClampSeries):
        return f"it is no current clamp ({type(response).__name__})"
    if pair.problem or stimulus is None:
        return pair.problem or "no stimulus is named for it"
    if not isinstance(stimulus, CurrentClampStimulusSeries):
        return f"its stimulus is no CurrentClampStimulusSeries ({type(stimulus).__name__})"
    if stimulus.electrode is not response.electrode:
        return f"its stimulus is that of another electrode, {stimulus.electrode.name}"
    return ""


def _trace(window: Window | None, factor: float) -> Trace:
    """Values of a window in the unit wanted, and their times."""
    assert window is not None
    series, part = window.series, window.part
    data = np.asarray(series.data[part])
    data = data[:, 0] if data.ndim == 2 and data.shape[1] == 1 else data
    if data.ndim != 1 or not np.issubdtype(data.dtype, np.number):
        raise UserError("is no series of single numbers")
    values = (data.astype(float) * series.conversion + (getattr(series, "offset", 0) or 0)) * factor
    if series.timestamps is not None:
        return Trace(values, np.asarray(series.timestamps[part], float))
    rate = float(series.rate or 0)
    if not (np.isfinite(rate) and rate > 0):
        raise UserError(f"has a rate of {rate:g} Hz")
    return Trace(
        values, float(series.starting_time or 0) + (part.start + np.arange(len(data))) / rate
    )


def _placed(drive: Trace, response: Trace, start: float, users: list[Window]) -> Trace:
    """A template on the file's clock; it may have been written on a clock of its own.

    It was when it starts at 0 or with one of its responses, but lies at the time of some only.
    """
    if drive.starts_with(response):
        return drive
    spans = [_span(window) for window in users]
    together = [first < drive.end and drive.times[0] < last for first, last in spans]
    if all(together) and len(users) > 1:
        return drive
    own = start == 0 or min(abs(start - first) for first, _ in spans) < 1e-3
    if all(together) or not own:
        raise UserError("starts at another time than its stimulus template")
    return drive.moved(float(response.times[0]))


def _span(window: Window) -> tuple[float, float]:
    """First and last time of a window."""
    series, first = window.series, window.start
    last = first + window.key[2] - 1
    if series.timestamps is not None:
        return float(series.timestamps[first]), float(series.timestamps[last])
    return _start(series) + first / series.rate, _start(series) + last / series.rate


def _said(words: Any) -> str:
    return "" if words in UNSAID else text(words)


def _named(stimulus: Any) -> str:
    """Kind of a stimulus in the words of its series."""
    if stimulus is None:
        return ""
    known = _said(getattr(stimulus, "stimulus_description", "")) or _said(stimulus.description)
    return known or str(stimulus.name)
