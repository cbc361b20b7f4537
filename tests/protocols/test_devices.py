"""Every protocol agrees on all devices, at the small size that it names itself.

``python tests/protocols/test_devices.py`` prints the table of agreements in docs/how-to/devices.md.
"""

from __future__ import annotations

import pytest

import neuromod
from neuromod.agreement.suite import AGREES, REFUSED, Compared, compare
from neuromod.devices.simulation import check_request
from neuromod.errors import UserError
from neuromod.protocol import Training
from neuromod.runs.registry import find, missing, names

# They work with torch alone.
TRAININGS = ("cue-association", "locomotion", "pattern-recall", "transfer")
PROTOCOLS = sorted(set(names("protocol")) - set(TRAININGS))
SILENT = ("gain-to-vdd", "pseudo-resistor")
# Changes at spikes of the target read what other spikes add to in the same time step.
REFUSED_BY_GENN = ("learning-to-forget",)


def compared(name: str, device: str, precision: str) -> list[Compared]:
    """Experiments of a protocol on a device against Brian2's runtime."""
    if lacking := missing("protocol", name):
        pytest.skip(f"{name} needs {', '.join(lacking)}")
    rows = list(compare(name, device, [precision]))
    assert rows
    return rows


def on_genn(name: str, device: str, precision: str) -> list[Compared]:
    """The same on GeNN; skips with the reason where there is no GeNN."""
    try:
        check_request(device, precision)
    except UserError as error:
        pytest.skip(str(error))
    rows = compared(name, device, precision)
    if name in REFUSED_BY_GENN:
        assert {row.outcome for row in rows} == {REFUSED}
        pytest.skip(rows[0].why)
    return rows


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_has_a_small_size(name):
    if lacking := missing("protocol", name):
        pytest.skip(f"{name} needs {', '.join(lacking)}")
    found = find("protocol", name)
    assert found.small
    # It is accepted.
    found(**found.small)


@pytest.mark.parametrize("name", TRAININGS)
def test_trainings_run_on_no_device(name):
    pytest.importorskip("torch")
    if name == "locomotion":
        pytest.importorskip("mujoco", reason="needs brian2-neuromod[locomotion]")
    assert issubclass(find("protocol", name), Training)
    with pytest.raises(UserError, match=f"{name} works with torch alone"):
        neuromod.run(name, device="cpp")


# All others, which would take the suite a quarter of an hour of compiling, run with
# `pytest -m thorough`.
USUAL = ("gain-curve",)
NAMES = [
    pytest.param(name, marks=() if name in USUAL else pytest.mark.thorough) for name in PROTOCOLS
]


@pytest.mark.thorough
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", PROTOCOLS)
def test_cython_and_cpp_agree_spike_by_spike_and_sample_by_sample(name):
    rows = compared(name, "cpp", "double")
    assert any(row.spikes for row in rows) == (name not in SILENT)
    for row in rows:
        assert (row.outcome, row.why, row.differing) == (AGREES, "", 0)
        assert row.trace <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("device", ["genn-cpu", "genn"])
@pytest.mark.parametrize("name", NAMES)
def test_genn_agrees_with_brian2_in_double_precision(name, device):
    rows = on_genn(name, device, "double")
    assert any(row.spikes for row in rows) == (name not in SILENT)
    assert {(row.outcome, row.why) for row in rows} == {(AGREES, "")}


@pytest.mark.slow
@pytest.mark.parametrize("device", ["genn-cpu", "genn"])
@pytest.mark.parametrize("name", NAMES)
def test_genn_stays_near_brian2_in_single_precision(name, device):
    rows = on_genn(name, device, "single")
    assert {(row.outcome, row.why) for row in rows} == {(AGREES, "")}


def table(devices: list[tuple[str, str]]) -> str:
    """Agreements of every protocol with Brian2's runtime, in Markdown."""
    heads = [f"{device}, {precision}" for device, precision in devices]
    lines = ["| protocol | spikes | " + " | ".join(heads) + " |", "|---" * (len(heads) + 2) + "|"]
    for name in PROTOCOLS:
        cells, spikes = [], 0
        for device, precision in devices:
            rows = list(compare(name, device, [precision]))
            spikes = max(spikes, sum(row.spikes for row in rows))
            moved, trace = max(row.differing for row in rows), max(row.trace for row in rows)
            outcomes = {row.outcome for row in rows} - {AGREES}
            cells.append(", ".join([f"{100 * moved:.2g} % moved, {trace:.0e}", *sorted(outcomes)]))
        lines.append(f"| `{name}` | {spikes} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


if __name__ == "__main__":
    print(table([("cpp", "double"), ("genn-cpu", "double"), ("genn-cpu", "single")]))
