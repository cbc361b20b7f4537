"""The reference has a place for every public name, and its examples give what they show."""

from __future__ import annotations

import ast
import doctest
from pathlib import Path

import pytest

import neuromod
from neuromod.models.entry_points import entry_points

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"


def public(stub: str) -> list[str]:
    """Names that a package's stub file exports."""
    parts = ast.parse((ROOT / stub).read_text(encoding="utf-8")).body
    imports = [part for part in parts if isinstance(part, ast.ImportFrom)]
    return [alias.asname for part in imports for alias in part.names if alias.asname]


NEUROMOD = public("neuromod/__init__.pyi")
MODELS = public("models/__init__.pyi")
PROTOCOLS = public("protocols/__init__.pyi")
# What has no use that a few lines would show.
WITHOUT_EXAMPLE = {"agree", "load_sweep"}
SHOWN_WITH_EXAMPLES = [
    *("GainLIF", "AdEx", "Izhikevich", "HodgkinHuxley", "CircuitNeuron", "Receptor", "Messenger"),
    *("Sensor", "TsodyksMarkram", "with_conductances", "with_plasticity"),
    *("DPINeuron", "AxonHillock"),
]
EXAMPLES = {
    **{f"neuromod.{name}": getattr(neuromod, name) for name in NEUROMOD},
    **{f"neuromod.models.{name}": getattr(neuromod.models, name) for name in SHOWN_WITH_EXAMPLES},
}


def directives() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in (REFERENCE / "api").glob("*.md"))


def classes_with_pages(group: str) -> set[str]:
    return {entry.value.partition("[")[0].strip() for entry in entry_points(group).values()}


@pytest.mark.parametrize(
    ("package", "names", "group"),
    [
        ("neuromod", NEUROMOD, ""),
        ("neuromod.models", MODELS, "neuromod.models"),
        ("neuromod.protocols", PROTOCOLS, "neuromod.protocols"),
    ],
)
def test_every_public_name_is_in_the_reference_under_its_public_path(package, names, group):
    own_pages = {place.partition(":")[2] for place in classes_with_pages(group)} if group else set()
    text = directives()
    missing = [
        name
        for name in names
        if name not in own_pages and not any(f":: {package}.{name}{end}" in text for end in "\n`")
    ]
    assert not missing


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_docstrings_give_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = EXAMPLES[name]
    tests = doctest.DocTestFinder(recurse=False).find(found, name, globs={})
    assert bool(tests and tests[0].examples) is (name.rpartition(".")[2] not in WITHOUT_EXAMPLE)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    for test in tests:
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
