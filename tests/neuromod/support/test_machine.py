import pytest

from neuromod.errors import UserError
from neuromod.support import machine
from neuromod.support.machine import check_memory, check_time, forced, within_means


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 3.21e9)


def test_what_fits_is_not_refused():
    check_memory("Thinking", 3.2e9)
    check_time("Thinking", 6.9 * 24 * 3600)


def test_what_does_not_fit_is_refused_with_what_there_is():
    with pytest.raises(
        UserError, match=r"Thinking needs 17\.3 GB .* has 3\.21 GB: shorten .*force"
    ):
        check_memory("Thinking", 17.3e9)
    with pytest.raises(UserError, match=r"Thinking takes 8\.5 days at the least: .*--force"):
        check_time("Thinking", 8.5 * 24 * 3600)


def test_force_goes_on_and_ends_with_its_context():
    with forced():
        check_memory("Thinking", 17.3e9)
        check_time("Thinking", 8.5 * 24 * 3600)
    with forced(False), pytest.raises(UserError):
        check_memory("Thinking", 17.3e9)
    with pytest.raises(UserError):
        check_time("Thinking", 8.5 * 24 * 3600)


def test_this_machine_has_some_memory():
    assert 1e8 < machine.os.sysconf("SC_PHYS_PAGES") * machine.os.sysconf("SC_PAGE_SIZE") < 1e15


@pytest.mark.parametrize(
    ("work", "message"),
    [(lambda: bytearray(2**62), "Memory does not"), (lambda: int(1e300 * 1e300), "too large")],
)
def test_numbers_too_many_or_too_large_are_told_in_a_sentence(work, message):
    with pytest.raises(UserError, match=message), within_means():
        work()
