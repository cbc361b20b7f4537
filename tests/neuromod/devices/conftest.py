"""Names of programs, without compiling them."""

from collections.abc import Callable

import pytest

from neuromod.devices import builds
from neuromod.devices.simulation import simulate
from neuromod.experiment import Experiment


class NotCompiledError(Exception):
    """Raised where a program would be compiled."""


@pytest.fixture
def key(monkeypatch, tmp_path) -> Callable[..., str]:
    """The name under which an experiment's program would be kept."""
    found = []

    def note(*arguments):
        found.append(builds_key(*arguments))
        raise NotCompiledError

    builds_key = builds._key
    monkeypatch.setattr(builds, "_key", note)
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))

    def of(experiment: Experiment, precision: str = "double") -> str:
        with pytest.raises(NotCompiledError):
            simulate(experiment, "cpp", precision)
        return found[-1]

    return of
