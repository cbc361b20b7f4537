"""Benchmarks measure what users get, where other tests are made cheap."""

from __future__ import annotations

import gc

import pytest
from brian2 import prefs

OPTIONS = "codegen.cpp.extra_compile_args_gcc"


@pytest.fixture(autouse=True)
def _as_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile with Brian2's own options, and hide nothing from searches for unreachable objects."""
    section, _, name = OPTIONS.rpartition(".")
    monkeypatch.setitem(prefs, OPTIONS, prefs.pref_register[section][0][name].default)
    gc.unfreeze()
