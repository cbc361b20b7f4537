"""Current-clamp recordings in Axon Binary Files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from neo.io import AxonIO

from neuromod.electrophysiology.sweeps import Sweep
from neuromod.errors import UserError, listed

MILLIVOLT = {"V": 1e3, "mV": 1.0, "uV": 1e-3}
NANOAMPERE = {"A": 1e9, "uA": 1e3, "nA": 1.0, "pA": 1e-3}
# Of the format: sweeps that a protocol drives, its steps, and its tables of them.
EPISODIC, OFF, STEP, EPOCHS = 5, 0, 1, 1
# Before its first epoch a sweep holds for this share of its length.
HOLDING_SHARE = 64
# Chosen here: what a recorded command may differ from the protocol's, share and nanoampere, in
# how many parts of a sweep they are compared.
NEAR_SHARE, NEAR_NA, BLOCKS = 0.1, 0.005, 200


def read_sweeps(path: Path) -> list[Sweep]:
    """Sweeps of an ABF file, one per episode and electrode.

    The command is the current that was recorded, or that of the protocol's epochs.

    Parameters
    ----------
    path : Path
        An ABF file (version 1 or 2).

    Returns
    -------
    list of Sweep
        Their only label is the file's name without its ending, as the format has no place for a
        condition; their cell is empty.

    Raises
    ------
    UserError
        When the file is damaged or holds no potential.
    """
    try:
        file = AxonIO(str(path))
        segments = file.read_block(signal_group_mode="split-all").segments
        episodes = [[_channel(signal) for signal in segment.analogsignals] for segment in segments]
        protocol = _protocol(file._axon_info, len(segments))
        words = str(file._axon_info.get("sProtocolPath", "")).replace("\\", "/")
    except Exception as error:
        # Damaged files make Neo raise anything.
        raise UserError(f"{path} cannot be read as an ABF file: {error}") from error
    found = []
    for number, channels in enumerate(episodes):
        recorded = [channel for channel in channels if channel.factor == "nA"]
        for place, channel in enumerate(c for c in channels if c.factor == "mV"):
            voltages = sum(c.factor == "mV" for c in channels)
            own = recorded[place].values if len(recorded) == voltages else None
            command, problem = _command(protocol, number, place, voltages, own, channel.values)
            found.append(
                Sweep(
                    name=str(number + 1),
                    cell="",
                    electrode=channel.name,
                    labels=(path.stem,),
                    stimulus=Path(words).stem,
                    command=command,
                    potential=channel.values,
                    sampling=channel.sampling,
                    start=channel.start,
                    problem=problem,
                )
            )
    if not found:
        units = listed(dict.fromkeys(c.unit for channels in episodes for c in channels))
        raise UserError(f"{path} holds no potential: its channels are in {units}.")
    return found


@dataclass(frozen=True, eq=False)
class _Channel:
    """One channel of one episode, in nanoampere or millivolt where it is one of them."""

    name: str
    unit: str
    factor: str
    values: np.ndarray
    sampling: float
    start: float


@dataclass(frozen=True, eq=False)
class _Protocol:
    """Commanded currents of every episode, one for each output in use; or why there are none."""

    commands: Sequence[Sequence[np.ndarray]] = ()
    problem: str = ""


def _channel(signal: Any) -> _Channel:
    unit = signal.dimensionality.string
    factor, kind = 1.0, ""
    for known, name in ((MILLIVOLT, "mV"), (NANOAMPERE, "nA")):
        if unit in known:
            factor, kind = known[unit], name
    values = signal.magnitude[:, 0].astype(float) * factor
    sampling = float(signal.sampling_rate.rescale("Hz"))
    return _Channel(str(signal.name), unit, kind, values, sampling, float(signal.t_start))


def _protocol(info: dict[str, Any], episodes: int) -> _Protocol:
    """Steps of the epochs; what is not made of steps only is not guessed."""
    if info["fFileVersionNumber"] < 2:
        return _Protocol(problem="files of version 1 do not tell it")
    protocol, outputs = info["protocol"], info["listDACInfo"]
    used = [output for output in outputs if output["nWaveformEnable"]]
    units = [output["DACChUnits"].decode(errors="replace").strip() for output in used]
    if protocol["nOperationMode"] != EPISODIC or not used:
        return _Protocol(problem="no protocol drove it")
    if any(unit in MILLIVOLT for unit in units):
        return _Protocol(problem="it is a voltage clamp")
    if any(unit not in NANOAMPERE for unit in units):
        return _Protocol(problem=f"its outputs are in {listed(units)}")
    varied = (
        info["sections"]["UserListSection"]["llNumEntries"],
        protocol["nAlternateDACOutputState"],
        episodes > max(protocol["lEpisodesPerRun"], 1),
        *(output["nWaveformSource"] != EPOCHS or output["nConditEnable"] for output in used),
    )
    if any(varied):
        return _Protocol(problem="its protocol takes more than its epochs tell")
    samples = protocol["lNumSamplesPerEpisode"] // len(info["listADCInfo"])
    commands = []
    for number in range(episodes):
        made = []
        for output, unit in zip(used, units, strict=True):
            epochs = info["dictEpochInfoPerDAC"].get(output["nDACNum"], {})
            wave = _steps(output, [epochs[key] for key in sorted(epochs)], number, samples)
            if wave is None:
                return _Protocol(problem="its protocol has ramps, trains or open ends")
            made.append(wave * NANOAMPERE[unit])
        commands.append(made)
    if all(np.ptp(wave) == 0 for made in commands for wave in made):
        return _Protocol(problem="its protocol commands no change")
    return _Protocol(commands)


def _steps(
    output: dict[str, Any], epochs: Sequence[dict[str, Any]], number: int, samples: int
) -> np.ndarray | None:
    """Command of an output in an episode, None where its epochs are no steps."""
    wave = np.full(samples, float(output["fDACHoldingLevel"]))
    first, level = max(samples // HOLDING_SHARE, 1), wave[0]
    for epoch in epochs:
        length = epoch["lEpochInitDuration"] + number * epoch["lEpochDurationInc"]
        if epoch["nEpochType"] == OFF or length <= 0:
            continue
        if epoch["nEpochType"] != STEP:
            return None
        level = epoch["fEpochInitLevel"] + number * epoch["fEpochLevelInc"]
        wave[first : first + length] = level
        first += length
    # The last level may last to the next episode's first epoch.
    kept = output["nInterEpisodeLevel"] and level != wave[0]
    return None if kept or first > samples else wave


def _command(
    protocol: _Protocol,
    number: int,
    place: int,
    voltages: int,
    recorded: np.ndarray | None,
    potential: np.ndarray,
) -> tuple[np.ndarray, str]:
    """The current that drove a potential, and why it is not known if it is not."""
    nothing = np.full(len(potential), np.nan)
    if "voltage clamp" in protocol.problem:
        return nothing, protocol.problem
    commands = protocol.commands[number] if protocol.commands else ()
    if not commands:
        unknown = f"no current was recorded with it, and {protocol.problem}"
        return (nothing, unknown) if recorded is None else (recorded, "")
    if len(commands) != voltages:
        reason = f"{voltages} potentials and {len(commands)} commanded currents are not told apart"
        return (nothing, reason) if recorded is None else (recorded, "")
    wave = nothing.copy()
    part = commands[place][: len(wave)]
    wave[: len(part)] = part
    if recorded is None or _agree(wave, recorded):
        return wave, ""
    return nothing, "the current recorded with it is not its protocol's"


def _agree(wave: np.ndarray, recorded: np.ndarray) -> bool:
    """Whether a recorded current is a commanded one but for its noise, edges and zero."""
    size = max(len(wave) // BLOCKS, 1)
    stop = np.count_nonzero(np.isfinite(wave)) // size * size
    expected, found = (
        np.median(current[:stop].reshape(-1, size), axis=1) for current in (wave, recorded)
    )
    zero = np.median((found - expected)[expected == expected[0]])
    off = np.abs(found - zero - expected) > NEAR_NA + NEAR_SHARE * np.abs(expected - expected[0])
    return bool(off.mean() < NEAR_SHARE / 2)
