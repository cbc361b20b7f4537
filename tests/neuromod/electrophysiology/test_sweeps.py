"""A generated cell is read to its true curve, or what is not is left out and said."""

import numpy as np
import pytest
from brian2 import mV
from hypothesis import given, settings, strategies as st

from neuromod.electrophysiology.sweeps import READ, Sweep, measure
from neuromod.errors import UserError

SAMPLING = 5000.0
GAINS = {"control": 1.0, "drug": 1.4}
CURRENTS = range(0, 401, 100)


def rate(pa, condition):
    """The cell's true curve, hertz."""
    return max(0.0, 0.25 * (GAINS[condition] * pa - 60))


def command(*parts, sampling=SAMPLING):
    """Pieces of a length in second and a level in picoampere, in nanoampere."""
    return np.concatenate([np.full(round(length * sampling), pa * 1e-3) for length, pa in parts])


def potential(driven, pa, condition, sampling=SAMPLING, rest=-71.3):
    """Spikes at the cell's rate for as long as the command is at a level off the holding."""
    trace = np.full(len(driven), rest)
    hertz = rate(pa, condition)
    at = np.flatnonzero(driven)
    if hertz and len(at):
        times = np.arange(0.5 / hertz, len(at) / sampling, 1 / hertz)
        spikes = at[0] + np.round(times * sampling).astype(int)
        trace[np.clip(spikes, 0, len(trace) - 1)] = 31.7
    return trace


def step(pa, condition="control", before=0.1, length=0.5, after=0.1, holding=0.0, **changes):
    """A sweep of one step."""
    sampling = changes.get("sampling", SAMPLING)
    parts = (before, 0), (length, 1), (after, 0)
    driven = command(*parts, sampling=sampling) > 0
    fields = {
        "name": f"{condition} {pa}",
        "cell": "",
        "electrode": "pipette",
        "labels": (condition,),
        "stimulus": "steps",
        "command": (driven * pa + holding) * 1e-3,
        "potential": potential(driven, pa, condition, sampling),
        "sampling": sampling,
    }
    return Sweep(**(fields | changes))


def cell(*more, **changes):
    """All steps under both conditions."""
    return [step(pa, name, **changes) for name in GAINS for pa in CURRENTS] + list(more)


def read(sweeps, level=0 * mV):
    return measure(sweeps, "control", level)


def assert_true(found, currents=CURRENTS, off=0.0):
    """Every current of both conditions is there with its rate, and nothing else."""
    used = found[found.used]
    for condition in GAINS:
        rows = used[used.condition == condition].sort_values("current_nA")
        assert rows.current_nA.tolist() == pytest.approx([pa / 1e3 for pa in currents], abs=off)
        true = np.array([rate(pa, condition) for pa in currents])
        assert np.all(np.abs(rows.rate_Hz - true) * rows.step_s <= 1.001), rows
    assert len(used) == 2 * len(currents)


def left_out(found, name):
    row = found[found.sweep == name].iloc[0]
    assert not row.used
    return row.why


def test_steps_are_read_with_their_currents_spikes_and_rates():
    found = read(cell())
    assert list(found.columns) == READ
    assert_true(found)
    row = found[(found.condition == "drug") & (found.sweep == "drug 300")].iloc[0]
    assert (row.start_s, row.step_s, row.baseline_nA, row.current_nA) == (0.1, 0.5, 0, 0.3)
    assert (row.spikes, row.rate_Hz, row.why) == (45, 90.0, "")


@pytest.mark.parametrize(
    ("before", "after"),
    [(0.1, 0.3), (0.0, 0.2), (0.2, 0.0), (0.004, 0.004)],
    ids=["inside", "at the first sample", "to the last sample", "nearly all"],
)
def test_a_step_may_begin_or_end_with_the_sweep(before, after):
    assert_true(read(cell(before=before, after=after)))


@pytest.mark.parametrize("holding", [-37.0, 22.5])
def test_steps_count_from_the_holding_current_which_may_differ_between_conditions(holding):
    sweeps = [step(pa, "control") for pa in CURRENTS]
    sweeps += [step(pa, "drug", holding=holding) for pa in CURRENTS]
    found = read(sweeps)
    assert_true(found, off=1e-9)
    assert set(found.baseline_nA[found.condition == "drug"]) == {holding / 1e3}


def test_a_holding_current_may_drift_from_sweep_to_sweep():
    """A test pulse of the step's level, and a step to the end, tell no baseline by themselves."""
    generator, sweeps = np.random.default_rng(17), []
    for name in GAINS:
        for pa in (50, 100, 200, 300, 400):
            wave = command((0.03, 100), (0.2, 0), (0.5, pa)) + generator.normal(0, 4e-3)
            fires = potential(command((0.03, 0), (0.2, 0), (0.5, 1)) > 0, pa, name)
            sweeps.append(step(pa, name, command=wave, potential=fires))
    assert_true(read(sweeps), (50, 100, 200, 300, 400), off=1e-6)


def pulsed(pa, condition, pulse, at_start, length=0.02):
    """A sweep with a test pulse at its first sample or before the step."""
    first = [] if at_start else [(0.03, 0)]
    parts = [*first, (length, pulse), (0.1, 0), (0.5, pa), (0.1, 0)]
    driven = command(*[(length, float(i == len(parts) - 2)) for i, (length, _) in enumerate(parts)])
    trace = potential(driven > 0, pa, condition)
    return step(pa, condition, command=command(*parts), potential=trace)


@pytest.mark.parametrize("at_start", [True, False])
@pytest.mark.parametrize("pulse", [-20, 100])
def test_test_pulses_do_not_count(at_start, pulse):
    sweeps = [pulsed(pa, name, pulse, at_start) for name in GAINS for pa in CURRENTS]
    assert_true(read(sweeps))


@pytest.mark.parametrize("length", [0.3, 0.8])
def test_a_pulse_that_every_sweep_has_is_a_test_pulse_however_long(length):
    sweeps = [pulsed(pa, name, -50, False, length) for name in GAINS for pa in CURRENTS]
    assert_true(read(sweeps))
    # One that only some of them have makes two pulses.
    found = read([*sweeps, step(300, "control", before=0.6)])
    assert "pulses, not one step" in left_out(found, "control 200")


def test_a_step_that_every_sweep_has_is_no_test_pulse():
    found = read([step(200, name) for name in GAINS for _ in range(3)])
    assert found.used.all()
    assert found.current_nA.tolist() == [0.2] * 6


def test_a_pulse_that_no_step_has_is_no_step_of_0():
    pulse = command((0.1, 0), (0.003, 800), (0.597, 0))
    assert "a pulse of 3 ms" in left_out(
        read(cell(step(7, command=pulse, potential=potential(pulse > 0, 7, "control")))),
        "control 7",
    )


SECONDS = np.arange(round(0.7 * SAMPLING)) / SAMPLING
STIMULATED = (SECONDS >= 0.1) & (SECONDS < 0.6)
OTHERS = {
    "ramp": (np.where(STIMULATED, 0.4 * (SECONDS - 0.1), 0), "a ramp"),
    "sinusoid": (np.where(STIMULATED, 0.2 * np.sin(2 * np.pi * 7 * SECONDS), 0), "changes all"),
    "fast sinusoid": (0.1 * np.sin(2 * np.pi * 130 * SECONDS), "fluctuates more"),
    "noise": (
        np.where(STIMULATED, np.random.default_rng(3).normal(0.2, 0.05, len(SECONDS)), 0),
        "changes all",
    ),
    "train": (command((0.1, 0), *[(0.06, 300), (0.04, 0)] * 5, (0.1, 0)), "5 pulses"),
    "short pulses": (command((0.1, 0), *[(0.002, 300), (0.048, 0)] * 9, (0.15, 0)), "9 pulses"),
    "many pulses": (command((0.1, 0), *[(0.002, 300), (0.008, 0)] * 50, (0.1, 0)), "50 pulses"),
    "staircase": (command((0.1, 0), (0.2, 100), (0.2, 200), (0.1, 0)), "several levels"),
    "biphasic": (command((0.1, 0), (0.25, 100), (0.25, -100), (0.1, 0)), "several levels"),
    "unknown": (np.full(len(SECONDS), np.nan), "not known"),
    "all the time": (command((0.7, 150)), "stays at 0.15 nA"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_constant_step_is_left_out_and_said(kind):
    wave, reason = OTHERS[kind]
    fires = potential(wave > 0, 400, "control")
    found = read(cell(step(1, name=kind, command=wave, potential=fires)))
    assert reason in left_out(found, kind)
    assert_true(found)


def test_commands_recorded_with_noise_keep_the_trials_of_a_current_together():
    generator = np.random.default_rng(11)
    sweeps = []
    for _ in range(3):
        for one in cell():
            noisy = one.command + generator.normal(0, 4e-3, len(one.command))
            hum = 2e-3 * np.sin(2 * np.pi * 50 * np.arange(len(noisy)) / SAMPLING)
            sweeps.append(step(1, one.labels[0], command=noisy + hum, potential=one.potential))
    found = read(sweeps)
    assert found.used.all()
    assert found.groupby("condition").current_nA.nunique().tolist() == [5, 5]
    assert np.allclose(sorted(found.current_nA.unique()), np.array(CURRENTS) / 1e3, atol=1e-3)


def test_small_steps_are_not_joined_where_the_command_has_no_noise():
    sweeps = [step(pa, name) for name in GAINS for pa in (0, 1, 2, 5, 10, 50, 400)]
    assert read(sweeps).current_nA.nunique() == 7


def test_edges_of_a_filtered_command_are_no_further_levels():
    kernel = np.exp(-np.arange(60) / 5)
    sweeps = [
        step(pa, name, command=np.convolve(step(pa).command, kernel / kernel.sum())[:3500])
        for name in GAINS
        for pa in CURRENTS
    ]
    sweeps = [
        step(1, s.labels[0], command=s.command, potential=whole.potential)
        for s, whole in zip(sweeps, cell(), strict=True)
    ]
    assert_true(read(sweeps), off=1e-6)


@pytest.mark.parametrize("fill", [0.0, np.nan, -3.7])
@pytest.mark.parametrize("share", [0.6, 0.3])
def test_only_the_recorded_part_of_a_step_counts(fill, share):
    sweeps = cell()
    for number in (4, 9):
        trace = sweeps[number].potential + np.random.default_rng(1).normal(0, 0.1, 3500)
        trace[round((0.1 + share * 0.5) * SAMPLING) :] = fill
        name = sweeps[number].labels[0]
        sweeps[number] = step(400, name, potential=trace)
    found = read(sweeps)
    if share == 0.3:
        assert "only 0.15 s of its step of 0.5 s were recorded" in left_out(found, "control 400")
    else:
        assert_true(found)
        assert found.why[4] == "0.3 s of its step of 0.5 s were recorded and used"
        assert found.step_s[4] == 0.3


def test_a_silent_simulated_cell_that_keeps_its_potential_is_recorded():
    sweeps = cell()
    depolarised = np.where(sweeps[1].command > 0, -62.5, -71.3)
    sweeps[0] = step(0, potential=np.full(3500, -71.3))
    sweeps[1] = step(100, potential=depolarised[:3000], command=sweeps[1].command[:3000])
    found = read(sweeps)
    assert found.rate_Hz[:2].tolist() == [0, 0]
    assert found.why[:2].tolist() == ["", ""]


def test_a_potential_above_the_level_at_the_start_has_not_crossed_it():
    sweeps = cell()
    high = sweeps[4].potential.copy()
    high[400:510] = 12.3
    sweeps[4] = step(400, potential=high)
    assert_true(read(sweeps))


def test_spikes_across_a_gap_are_not_made_up():
    sweeps = cell()
    gap = sweeps[4].potential.copy()
    gap[1000:1100] = np.nan
    gap[1100:1103] = 20.0
    sweeps[4] = step(400, potential=gap)
    assert_true(read(sweeps))
    assert "0.48 s of its step of 0.5 s" in read(sweeps).why[4]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"command": 1e9}, "the largest step is 4e.08 nA: is it in pA"),
        ({"command": 1e3}, "the largest step is 400 nA"),
        ({"command": 1e-3}, "the largest step is 0.4 pA: is it in nA"),
        ({"potential": 1e3}, "its potential of 7.13e.04 mV is impossible"),
        ({"potential": 1e-3}, "its potential stays below 0.071 mV"),
        ({"sampling": 1e-3}, "5 Hz is too slow for spikes"),
        ({"potential": 0}, "its potential was not recorded"),
    ],
)
def test_values_in_other_units_than_said_are_left_out_and_say_which(changes, reason):
    def wrong(sweep):
        changed = {name: getattr(sweep, name) * factor for name, factor in changes.items()}
        return Sweep(**(vars(sweep) | changed))

    found = read([wrong(sweep) for sweep in cell()])
    assert not found.used.any()
    assert found.why[3:5].str.contains(reason).all(), found.why


def test_problems_of_reading_and_missing_conditions_are_passed_on():
    empty = np.array([])
    broken = step(1, name="broken", command=empty, potential=empty, problem="no stimulus")
    unnamed = step(100, name="unnamed", labels=("",))
    found = read(cell(broken, unnamed))
    assert left_out(found, "broken") == "no stimulus"
    assert left_out(found, "unnamed") == "names no condition"
    assert_true(found)


def test_the_first_kind_of_label_that_names_the_control_tells_the_condition():
    sweeps = [
        step(pa, name, labels=("", f"cell of {name}", name)) for name in GAINS for pa in CURRENTS
    ]
    assert_true(read(sweeps))
    with pytest.raises(UserError, match="no condition named 'ACSF'; there are"):
        measure(sweeps, "ACSF", 0 * mV)
    with pytest.raises(UserError, match="No sweep says in which condition"):
        measure([step(0, labels=("",))], "control", 0 * mV)


def test_electrodes_are_read_apart():
    """The other electrode's baseline, steps and pulses tell nothing of this one's."""
    other = [
        step(pa, name, electrode="other", before=0.3, length=0.3, holding=50)
        for name in GAINS
        for pa in CURRENTS
    ]
    found = read(cell(*other))
    for electrode in ("pipette", "other"):
        assert_true(found[found.electrode == electrode], off=1e-9)


def test_a_cell_that_never_crosses_the_level_says_how_high_it_came():
    found = read(cell(), 40 * mV)
    assert (found.rate_Hz == 0).all()
    assert found.why.str.contains("no spike in any sweep: the potential stays below 31.7 mV").all()


def test_peaks_that_just_miss_the_level_are_said():
    found = read(cell(), 40 * mV)
    assert found.why[4].startswith("42 more peaks come within 15 mV of the spike level; no spike")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_generated_cell_is_read_to_its_true_curve(data):
    draw = data.draw
    sampling = draw(st.sampled_from([1000.0, 2500.0, 4999.7, 10000.0, 20000.0]))
    length = draw(st.floats(0.3, 1.2))
    before, after = draw(st.sampled_from([(0.1, 0.1), (0, 0.15), (0.15, 0), (0.37, 0.02)]))
    noise = draw(st.sampled_from([0.0, 0.0, 0.5, 3.0, 10.0]))
    spacing = draw(st.sampled_from([50, 100]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    currents = np.arange(-spacing, 401, spacing)
    sweeps = []
    for name in GAINS:
        holding = draw(st.sampled_from([0.0, -41.3, 15.0]))
        for pa in currents:
            one = step(pa, name, before, length, after, holding, sampling=sampling)
            driven = one.command + generator.normal(0, noise * 1e-3, len(one.command))
            trace = one.potential + generator.normal(0, generator.choice([0, 0.3]), len(driven))
            if generator.integers(5) == 0:
                stop = round((before + generator.uniform() * length) * sampling)
                trace[stop:] = generator.choice([0.0, np.nan])
            fields = vars(one) | {"command": driven, "potential": trace}
            sweeps.append(Sweep(**fields))
    order = generator.permutation(len(sweeps))
    found = read([sweeps[i] for i in order])
    used = found[found.used]
    assert len(used) >= len(sweeps) / 3
    for row in used.itertuples():
        pa = int(row.sweep.split()[-1])
        assert row.current_nA == pytest.approx(pa / 1e3, abs=1e-6 + noise * 5e-4)
        assert abs(row.rate_Hz - rate(pa, row.condition)) * row.step_s <= 1.01
    assert used.current_nA.nunique() <= len(currents)
    assert found.why[~found.used].str.contains("recorded").all()
