import pytest

from neuromod.errors import UserError
from neuromod.support import machine
from neuromod.support.machine import (
    check_memory,
    check_steps,
    check_time,
    forced,
    memory,
    within_means,
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 3.21e9)


def test_what_fits_is_not_refused():
    check_memory("Thinking", 3.2e9)
    check_time("Thinking", 6.9 * 24 * 3600)


def test_what_does_not_fit_is_refused_with_what_there_is():
    with pytest.raises(
        UserError, match=r"Thinking needs 17\.3 GB .* gives 3\.21 GB: shorten .*force"
    ):
        check_memory("Thinking", 17.3e9)
    with pytest.raises(UserError, match=r"Thinking takes 8\.5 days at the least: .*--force"):
        check_time("Thinking", 8.5 * 24 * 3600)


def test_a_run_has_no_more_steps_than_the_fastest_device_takes_in_a_week():
    check_steps(6 * 10**12)
    with pytest.raises(UserError, match=r"A simulation of 7\.1e.12 time steps takes 8\.22 days"):
        check_steps(71 * 10**11)


def test_a_number_too_large_is_told_in_words_alone():
    with pytest.raises(UserError, match=r"too large \(.*out of range\)"), within_means():
        1e300**2.5  # noqa: B018
    with pytest.raises(UserError, match=r"too large \(overflow\)"), within_means():
        raise OverflowError


def test_force_goes_on_and_ends_with_its_context():
    with forced():
        check_memory("Thinking", 17.3e9)
        check_time("Thinking", 8.5 * 24 * 3600)
    with forced(False), pytest.raises(UserError):
        check_memory("Thinking", 17.3e9)
    with pytest.raises(UserError):
        check_time("Thinking", 8.5 * 24 * 3600)


def test_this_machine_has_some_memory():
    assert 1e8 < memory() < 1e15


LIMITED = [
    ("0::/pod/job\n", "pod/job/memory.max"),
    ("0::/pod/job\n", "pod/memory.max"),
    # In a container that sees its own group as the whole tree.
    ("0::/../job\n", "memory.max"),
    ("0::/\n3:cpu:/other\n9:memory:/pod/job\n", "memory/pod/job/memory.limit_in_bytes"),
    ("9:memory:/pod/job\n", "memory/memory.limit_in_bytes"),
]


@pytest.mark.parametrize(("groups", "limit"), LIMITED)
def test_memory_is_what_the_control_groups_of_either_version_leave(
    groups, limit, monkeypatch, tmp_path
):
    (tmp_path / "cgroup").write_text(groups)
    monkeypatch.setattr(machine, "MEMBERSHIPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "CONTROL_GROUPS", tmp_path / "tree")
    unlimited = {
        "memory.max": "max\n",
        "memory/pod/memory.limit_in_bytes": "9223372036854771712\n",
        "other/memory.max": "1000\n",
        "cpu/other/memory.limit_in_bytes": "1000\n",
    }
    for name, text in {**unlimited, limit: "73400320\n"}.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    assert memory() == 73400320
    (tmp_path / "tree" / limit).unlink()
    assert memory() > 1e8


def test_memory_is_what_the_limit_of_the_process_leaves(python):
    ended = python(
        "from resource import *; from neuromod.support.machine import memory\n"
        "setrlimit(RLIMIT_AS, (2718281828, getrlimit(RLIMIT_AS)[1])); print(memory())"
    )
    assert ended.out == "2718281828.0\n", ended.err


@pytest.mark.parametrize(
    ("work", "message"),
    [(lambda: bytearray(2**62), "Memory does not"), (lambda: int(1e300 * 1e300), "too large")],
)
def test_numbers_too_many_or_too_large_are_told_in_a_sentence(work, message):
    with pytest.raises(UserError, match=message), within_means():
        work()
