"""ABF files give the sweeps that were recorded, with the current that drove them."""

import struct

import numpy as np
import pytest
from brian2 import mV
from neo.rawio import axonrawio

from neuromod.electrophysiology.axon import read_sweeps
from neuromod.electrophysiology.sweeps import measure
from neuromod.errors import UserError

SAMPLING = 5000.0
SAMPLES = 4480
HOLD = SAMPLES // 64
BEFORE, STEP = 430, 2500
CURRENTS = np.arange(0, 401, 50)


def rate(pa, gain=1.0):
    """The cell's true curve, hertz."""
    return max(0.0, 0.25 * (gain * pa - 60))


def potential(pa, gain=1.0):
    """In millivolt."""
    trace, hertz = np.full(SAMPLES, -71.3), rate(pa, gain)
    if hertz:
        times = np.arange(0.5 / hertz, STEP / SAMPLING, 1 / hertz)
        trace[HOLD + BEFORE + np.round(times * SAMPLING).astype(int)] = 31.7
    return trace


def command(pa):
    """In picoampere."""
    wave = np.zeros(SAMPLES)
    wave[HOLD + BEFORE : HOLD + BEFORE + STEP] = pa
    return wave


def packed(fields, **values):
    """A record of the format, zero where nothing is given."""
    record = b""
    for name, code in fields:
        value = values.get(name, b"" if code[-1] in "sc" else 0)
        count = (
            struct.calcsize(code)
            if code[-1] in "sc"
            else len(struct.unpack(code, bytes(struct.calcsize(code))))
        )
        if code[-1] in "sc":
            record += struct.pack(f"{count}s", value)
        else:
            record += struct.pack(code, *([value] * count))
    return record


def abf2(path, channels, epochs=(), output=None, protocol=None, user_list=0, units=b"pA"):
    """An ABF2 file of 16-bit data; channels are name, unit and values of every episode."""
    words = [b"Clampex", b"C:\\protocols\\IC steps.pro", b"Cmd 0", units]
    words += [word for name, unit, _ in channels for word in (name.encode(), unit.encode())]
    factors = {"mV": 0.01, "pA": 0.0005, "V": 0.5}
    inputs = [
        packed(
            axonrawio.ADCInfoDescription,
            nADCNum=number,
            fADCProgrammableGain=1.0,
            fInstrumentScaleFactor=factors[unit],
            fSignalGain=1.0,
            lADCChannelNameIndex=5 + 2 * number,
            lADCUnitsIndex=6 + 2 * number,
        ).ljust(128, b"\0")
        for number, (_, unit, _) in enumerate(channels)
    ]
    names = {"lDACChannelNameIndex": 3, "lDACChannelUnitsIndex": 4}
    drive = {"nWaveformEnable": 1, "nWaveformSource": 1} | names | (output or {})
    steps = [
        packed(
            axonrawio.EpochInfoPerDACDescription, nEpochNum=number, **({"nEpochType": 1} | epoch)
        )
        for number, epoch in enumerate(epochs)
    ]
    episodes = len(channels[0][2])
    settings = {
        "nOperationMode": 5,
        "fADCSequenceInterval": 1e6 / SAMPLING,
        "lNumSamplesPerEpisode": SAMPLES * len(channels),
        "lEpisodesPerRun": episodes,
        "fADCRange": 10.0,
        "lADCResolution": 32768,
    } | (protocol or {})
    counts = [
        np.stack(
            [np.round(np.asarray(v[k]) * factors[unit] * 3276.8) for _, unit, v in channels], axis=1
        )
        for k in range(episodes)
    ]
    data = np.concatenate(counts).astype("<i2")
    size = SAMPLES * len(channels)
    synchrony = np.array([(k * size, size) for k in range(episodes)], "<i4")
    strings = b"\0\0" + b"\0".join(words) + b"\0"
    parts = {
        "ProtocolSection": (packed(axonrawio.protocolInfoDescription, **settings), 512, 1),
        "ADCSection": (b"".join(inputs), 128, len(inputs)),
        "DACSection": (packed(axonrawio.DACInfoDescription, **drive), 256, 1),
        "EpochPerDACSection": (b"".join(steps), 48, len(steps)),
        "UserListSection": (b"", 64, user_list),
        "StringsSection": (strings, len(strings), len(words)),
        "DataSection": (data.tobytes(), 2, data.size),
        "SynchArraySection": (synchrony.tobytes(), 8, episodes),
    }
    header = {"fFileSignature": b"ABF2", "lActualEpisodes": episodes, "uProtocolPathIndex": 2}
    start = bytearray(512 * 2)
    for name, place, code in axonrawio.headerDescriptionV2:
        start[place : place + struct.calcsize(code)] = packed([(name, code)], **header)
    start[4:8] = bytes([0, 0, 6, 2])
    body = b""
    for number, name in enumerate(axonrawio.sectionNames):
        content, each, count = parts.get(name, (b"", 0, 0))
        place = struct.pack("IIl", 2 + len(body) // 512, each, count)
        start[76 + 16 * number : 92 + 16 * number] = place
        body += content + bytes(-len(content) % 512)
    path.write_bytes(bytes(start) + body)
    return path


def stepping(first=0.0, increment=50.0, **changes):
    """Epochs of a step that grows from episode to episode."""
    return [
        {"lEpochInitDuration": BEFORE},
        {"lEpochInitDuration": STEP, "fEpochInitLevel": first, "fEpochLevelInc": increment}
        | changes,
        {"lEpochInitDuration": 900},
    ]


VOLTAGE = ("IN 0", "mV", [potential(pa) for pa in CURRENTS])
CURRENT = ("IN 1", "pA", [command(pa) for pa in CURRENTS])


def read(path, level=0 * mV):
    return measure(read_sweeps(path), path.stem, level)


def assert_true(found, gain=1.0):
    assert found.used.all(), found.why
    assert np.allclose(found.current_nA, CURRENTS / 1e3, atol=1e-3)
    off = np.abs(found.rate_Hz - [rate(pa, gain) for pa in CURRENTS]) * found.step_s
    assert (off <= 1.001).all()


def test_sweeps_carry_the_files_name_the_channel_and_the_protocol(tmp_path):
    sweeps = read_sweeps(abf2(tmp_path / "5-HT.abf", [VOLTAGE], stepping()))
    assert [sweep.name for sweep in sweeps] == [str(n) for n in range(1, 10)]
    sweep = sweeps[3]
    assert (sweep.cell, sweep.electrode, sweep.labels) == ("", "IN 0", ("5-HT",))
    assert (sweep.stimulus, sweep.sampling, sweep.problem) == ("IC steps", SAMPLING, "")
    assert sweep.start == pytest.approx(3 * SAMPLES / SAMPLING)
    assert np.allclose(sweep.command, command(150) / 1e3)
    assert np.allclose(sweep.potential, potential(150), atol=0.02)


@pytest.mark.parametrize("channels", [[VOLTAGE], [VOLTAGE, CURRENT], [CURRENT, VOLTAGE]])
def test_the_epochs_of_the_protocol_are_the_command(tmp_path, channels):
    assert_true(read(abf2(tmp_path / "control.abf", channels, stepping())))


def test_a_recorded_command_serves_where_the_protocol_does_not_tell_it(tmp_path):
    noise = np.random.default_rng(5).normal(0, 2, (len(CURRENTS), SAMPLES))
    noisy = ("IN 1", "pA", [wave + more for wave, more in zip(CURRENT[2], noise, strict=True)])
    off = {"nWaveformEnable": 0}
    still = stepping(increment=0.0)
    for change in (
        {"output": off},
        {"epochs": still},
        {"user_list": 1},
        {"epochs": stepping(nEpochType=2)},
    ):
        assert_true(read(abf2(tmp_path / "control.abf", [VOLTAGE, noisy], **change)))


def test_epochs_that_are_switched_off_take_no_time(tmp_path):
    epochs = [{"lEpochInitDuration": 700, "nEpochType": 0, "fEpochInitLevel": 90.0}, *stepping()]
    assert_true(read(abf2(tmp_path / "control.abf", [VOLTAGE], epochs)))


def test_holding_and_units_of_the_output_are_its_own(tmp_path):
    epochs = stepping(first=-0.03, increment=0.05)
    epochs[0]["fEpochInitLevel"] = epochs[2]["fEpochInitLevel"] = -0.03
    path = tmp_path / "control.abf"
    found = read(abf2(path, [VOLTAGE], epochs, {"fDACHoldingLevel": -0.03}, units=b"nA"))
    assert_true(found)
    assert np.allclose(found.baseline_nA, -0.03)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epochs": stepping(nEpochType=2)}, "ramps, trains or open ends"),
        ({"epochs": stepping(nEpochType=3)}, "ramps, trains or open ends"),
        ({"epochs": stepping()[:2], "output": {"nInterEpisodeLevel": 1}}, "open ends"),
        ({"epochs": stepping(), "output": {"nWaveformSource": 2}}, "more than its epochs tell"),
        ({"epochs": stepping(), "output": {"nConditEnable": 1}}, "more than its epochs tell"),
        ({"epochs": stepping(), "user_list": 1}, "more than its epochs tell"),
        ({"epochs": stepping(), "protocol": {"lEpisodesPerRun": 3}}, "more than its epochs tell"),
        ({"epochs": stepping(), "protocol": {"nOperationMode": 3}}, "no protocol drove it"),
        ({"epochs": stepping(), "output": {"nWaveformEnable": 0}}, "no protocol drove it"),
        ({"epochs": stepping(), "units": b"mV"}, "it is a voltage clamp"),
    ],
)
def test_protocols_that_are_no_steps_are_not_guessed(tmp_path, change, reason):
    found = read(abf2(tmp_path / "control.abf", [VOLTAGE], **change))
    assert not found.used.any()
    assert found.why.str.contains(reason).all(), found.why


def test_a_recorded_current_that_is_not_the_protocols_is_left_out(tmp_path):
    scaled = ("IN 1", "pA", [command(pa) * 2 for pa in CURRENTS])
    found = read(abf2(tmp_path / "control.abf", [VOLTAGE, scaled], stepping()))
    assert list(found.why[1:].unique()) == ["the current recorded with it is not its protocol's"]
    late = ("IN 1", "pA", [np.roll(command(pa), 900) for pa in CURRENTS])
    found = read(abf2(tmp_path / "control.abf", [VOLTAGE, late], stepping()))
    assert not found.used.any()


def test_each_of_several_potentials_needs_its_own_current(tmp_path):
    other = ("IN 2", "mV", [potential(pa, 1.4) for pa in CURRENTS])
    path = tmp_path / "control.abf"
    found = read(abf2(path, [VOLTAGE, other], stepping()))
    assert found.why.str.contains("2 potentials and 1 commanded currents").all()
    second = ("IN 3", "pA", CURRENT[2])
    found = read(abf2(path, [VOLTAGE, CURRENT, other, second]))
    for electrode, gain in (("IN 0", 1.0), ("IN 2", 1.4)):
        assert_true(found[found.electrode == electrode], gain)


def test_damaged_files_and_files_without_a_potential_are_refused(tmp_path):
    path = tmp_path / "control.abf"
    path.write_bytes(b"no ABF at all")
    with pytest.raises(UserError, match=r"control\.abf cannot be read as an ABF file"):
        read_sweeps(path)
    whole = abf2(path, [VOLTAGE], stepping()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"control\.abf cannot be read as an ABF file"):
        read_sweeps(path)
    with pytest.raises(UserError, match=r"control\.abf holds no potential: its channels are in pA"):
        read_sweeps(abf2(path, [CURRENT], stepping()))
