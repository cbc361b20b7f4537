"""Pages of the reference that are written from the code: protocols, models, receptors, sensors."""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import typesetting
from brian2 import Quantity
from generated import table, write
from sphinx.application import Sphinx

from neuromod import models
from neuromod.parameters import About, Parameters, holds_models, parameters
from neuromod.protocol import Protocol, Study
from neuromod.runs import registry
from neuromod.runs.report import row_of
from neuromod.support.text import handy, say

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
FIGURES = REFERENCE / "figures"
GENERATED = "_generated", "reference", "auto_gallery"
"""Folders whose pages are left out when related pages are looked for."""

PROTOCOLS = {
    "Cells under a modulator": "gain-curve dose-response antagonist two-receptors puff wash volume "
    "gain-identification",
    "Networks under a modulator": "network-gain working-memory",
    "Plasticity and memory": "engram learning-to-forget reward-learning cue-association "
    "pattern-recall locomotion",
    "Tuning networks by gains": "demo transfer ensemble",
    "Neurons and synapses on the chip": "vdd-sweep gain-to-vdd bio-vs-circuit gain-trace "
    "synapse-families circuit-neurons pseudo-resistor power-budget neuron-table",
    "Networks on the chip": "xor mismatch chip-network supply-groups plastic-bits plastic-codes",
}
MODELS = {
    "Neurons": "gain-lif adex izhikevich hodgkin-huxley cortical-hh bursting-hh coba-lif "
    "brunel-wang brunel-wang-interneuron diehl-cook-cell plastic-neuron taught-neuron",
    "Receptors, messengers and sensors": "receptor messenger sensor",
    "Synapses": "conductances tsodyks-markram saturating-nmda three-factor adaptive-synapse "
    "coded-synapse digital-synapse structural-plasticity",
    "Circuits": "circuit dpi-neuron axon-hillock mirror optocoupler",
    "Layers and networks in torch": "modulated-layer rate-classifier spiking-classifier "
    "lif-classifier",
}
RULES = ("reset", "on_pre", "on_post")
HOUSEHOLD = {"equations", "threshold", "method", "constants", "check_values", "inputs", *RULES}
"""Members of a model that its page shows otherwise."""


def write_pages(app: Sphinx) -> None:  # noqa: ARG001
    """Write a page for every protocol and model, and the tables of receptors and sensors."""
    for kind, groups, page in (("protocol", PROTOCOLS, protocol), ("model", MODELS, model)):
        _refuse_strays(kind, groups)
        folder = REFERENCE / f"{kind}s"
        pages = {f"{name}.md": page(name) for name in registry.names(kind)}
        pages["index.md"] = index(kind, groups)
        for name, text in pages.items():
            write(name, text, folder)
        for old in set(folder.glob("*.md")) - {folder / name for name in pages}:
            old.unlink()
    for shelf, name in ((models.library, "receptors.md"), (models.sensors, "sensors.md")):
        write(name, "\n".join(f"### {key}\n\n{about(ready)}" for key, ready in shelf.items()))


def _refuse_strays(kind: str, groups: Mapping[str, str]) -> None:
    grouped = {name for names in groups.values() for name in names.split()}
    if grouped != set(registry.names(kind)):
        raise ValueError(f"{kind}s in no group, or unknown: {grouped ^ set(registry.names(kind))}")


def index(kind: str, groups: Mapping[str, str]) -> str:
    """Page that lists all of a kind by group, with the question or title of each."""
    parts = [f"# {kind.capitalize()}s", INTRODUCTIONS[kind]]
    for group, names in groups.items():
        head = ("protocol", "asks") if kind == "protocol" else ("model", "is")
        rows = [
            dict(zip(head, (f"[{_title(kind, n)}]({n}.md)", _summary(kind, n)), strict=True))
            for n in names.split()
        ]
        parts += [f"## {group}", table(rows)]
    listed = "\n".join(name for names in groups.values() for name in names.split())
    return "\n\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{listed}\n```\n"])


INTRODUCTIONS = {
    "protocol": "A protocol is an experiment with its settings, measures, figure and report. "
    "`neuromod run NAME` runs it, [`neuromod.run`](../api/neuromod.md) does so in Python, and "
    "`neuromod describe NAME` prints its settings. [Adding a protocol](../../how-to/extend.md) "
    "shows how to write one.",
    "model": "What populations and connections are made of. Each has its page with equations, "
    "parameters and the source of every number; `neuromod describe NAME` prints the same. All are "
    "imported from `neuromod.models`.",
}


def _title(kind: str, name: str) -> str:
    return f"`{name}`" if kind == "protocol" else registry.find(kind, name).__name__


def _summary(kind: str, name: str) -> str:
    if kind == "protocol":
        return question(registry.find(kind, name))
    return registry.title(kind, name)


def question(study: type[Study]) -> str:
    """What a protocol asks: the paragraph after the title in its docstring."""
    told = (inspect.getdoc(study) or "").split("\n\n")
    asked = " ".join(told[1].split()) if len(told) > 1 else ""
    if not asked.endswith("?"):
        raise ValueError(f"{study.__name__}'s docstring lacks its question after the title.")
    return asked


def protocol(name: str) -> str:
    """Page of a protocol."""
    found = registry.find("protocol", name)
    study = found()
    title, asked, *rest = inspect.getdoc(found).split("\n\n")
    parts = [
        f"# {name}",
        f"**{' '.join(asked.split())}**",
        _restructured("neuromod.protocols", "\n\n".join([title, *rest])),
        f"## How to run it\n\n{_commands(name, found)}",
        f"## Default run\n\n{_figure(name, found)}",
        _equations_of_settings(study),
        f"## Settings\n\n{_settings(study)}",
    ]
    return "\n\n".join(filter(None, [*parts, _related(name)])) + "\n"


def _commands(name: str, study: type[Study]) -> str:
    command = registry.how_to_get("protocol", name)
    needs = f"It needs an extra: `{command}`.\n\n" if command else ""
    shown = listed_code(study.shown)
    small = ""
    if issubclass(study, Protocol) and study.small:
        small = (
            f"\n\n`neuromod.run({name!r}, **neuromod.protocols.{study.__name__}.small)` runs it at "
            "a small size, at which devices are compared and results mean little."
        )
    return (
        f"{needs}```bash\nneuromod run {name} --out {name}\n```\n\n"
        f'```python\nimport neuromod\n\nrun = neuromod.run("{name}", out="{name}")\n'
        f'print(run.tables["{study.shown[0]}"])\n```\n\n'
        f"The command line prints of its tables {shown}, where a run has them; the run's folder "
        f"holds all of them as CSV files.{small}\n\n"
        f"```{{eval-rst}}\n.. py:class:: neuromod.protocols.{study.__name__}(**settings)\n"
        f"   :canonical: {study.__module__}.{study.__name__}\n\n"
        f"   {_base(study)} with the settings below.\n```"
    )


def _base(study: type[Study]) -> str:
    kind = "Protocol" if issubclass(study, Protocol) else "Training"
    return f"A :class:`neuromod.{kind}`"


def listed_code(names: tuple[str, ...]) -> str:
    """Names as code, in a sentence."""
    *first, last = [f"`{name}`" for name in names]
    return f"{', '.join(first)} and {last}" if first else last


def _figure(name: str, study: type[Study]) -> str:
    made = f"`python docs/default_runs.py {name}`"
    notes = FIGURES / f"{name}.json"
    if not notes.exists():
        return f"With its defaults this run takes long. {made} makes its figure for this page."
    told = json.loads(notes.read_text(encoding="utf-8"))
    # Only titles of methods' docstrings, which are one sentence.
    seen = " ".join((inspect.getdoc(study.plot) or "").partition("\n\n")[0].split())
    return (
        f"```{{figure}} ../figures/{name}.png\n:alt: {seen}\n:target: ../figures/{name}.png\n\n"
        f"{seen} {made} made this figure with neuromod {told['version']} and seed {told['seed']}; "
        f"the run took {_duration(told['seconds'])}.\n```"
    )


def _duration(seconds: float) -> str:
    for length, unit in ((3600, "hours"), (60, "minutes")):
        if seconds > 1.5 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} seconds"


def _equations_of_settings(study: Study) -> str:
    parts = []
    for setting, _, _ in parameters(type(study)):
        value = getattr(study, setting)
        if isinstance(getattr(value, "equations", None), str):
            parts.append(f"### {setting}: {link_to(value)}\n\n{dynamics(value)}")
    return "\n\n".join([f"## Equations\n\n{READING}", *parts]) if parts else ""


READING = (
    "As Brian2 integrates them at the default settings. Square brackets around a condition are 1 "
    "where it holds, 0 elsewhere."
)


def link_to(value: Any) -> str:
    """Name of a model's class, with a link to its page where it has one."""
    pages = {registry.find("model", name): name for name in registry.names("model")}
    name = pages.get(type(value))
    shown = f"`{type(value).__name__}`"
    return f"[{shown}](../models/{name}.md)" if name else shown


def model(name: str) -> str:
    """Page of a model."""
    found = registry.find("model", name)
    public = f"neuromod.models.{found.__name__}"
    if not issubclass(found, Parameters):
        body = [_directive(f"autoclass:: {public}", members="")]
    else:
        ready = found()
        described = [f"## Equations\n\n{READING}\n\n{dynamics(ready)}"] if has_rules(ready) else []
        body = [
            _directive(f"autoclass:: {public}(**parameters)"),
            *described,
            *_inputs(ready),
            f"## Parameters\n\n{_settings(ready)}",
            *_members(found, public),
        ]
    command = registry.how_to_get("model", name)
    needs = f" It needs an extra: `{command}`." if command else ""
    shown = f"`neuromod describe {name}` prints this page's equations and parameters.{needs}"
    related, examples = _related(found.__name__), _directive(f"minigallery:: {public}")
    parts = [f"# {found.__name__}", shown, *body, related, examples]
    return "\n\n".join(filter(None, parts)) + "\n"


def has_rules(ready: Parameters) -> bool:
    """Whether a model has equations or statements."""
    texts = (getattr(ready, name, "") for name in ("equations", *RULES))
    return any(isinstance(text, str) and text for text in texts)


def dynamics(ready: Any) -> str:
    """Equations, threshold, what spikes do, and the way of integration, typeset; and the source."""
    text = getattr(ready, "equations", "")
    text = text.strip() if isinstance(text, str) else ""
    lines = list(typesetting.equations(text)) if text else []
    parts = [_display(lines)]
    free = typesetting.free_variables(text) if text else []
    parts.append(_set_elsewhere(free))
    if getattr(ready, "threshold", ""):
        parts.append(f"A spike is where ${typesetting.expression(ready.threshold)}$.")
    said = {
        "reset": "What a spike does:",
        "on_pre": "What a spike of the source does:",
        "on_post": "What a spike of the target does:",
    }
    for rule, words in said.items():
        if getattr(ready, rule, ""):
            parts += [words, _display(list(typesetting.statements(getattr(ready, rule))))]
    if getattr(ready, "refractory", False) is not False:
        parts.append(f"The refractory period is {_refractory(ready.refractory)}.")
    if getattr(ready, "method", ""):
        parts.append(f"Integration: {ready.method}.")
    if text:
        parts.append(f"````{{dropdown}} In Brian2's language\n```text\n{text}\n```\n````")
    return "\n\n".join(filter(None, parts))


def _set_elsewhere(variables: list[tuple[str, str, str]]) -> str:
    """Variables without an equation: in a sentence, or in a table if they have meanings."""
    words = "Inputs, synapses or a clock set"
    if any(meaning for *_, meaning in variables):
        rows = [
            {"variable": f"`{name}`", "unit": unit, "meaning": meaning}
            for name, unit, meaning in variables
        ]
        return f"{words} these variables:\n\n{table(rows)}"
    listed = [f"`{name}`{f' (in {unit})' if unit else ''}" for name, unit, _ in variables]
    return f"{words} {', '.join(listed)}." if listed else ""


def _refractory(period: Any) -> str:
    return f"`{period}`" if isinstance(period, str) else say(period)


def _display(lines: list[str]) -> str:
    shown = "\n\n".join(f"$$\n{line}\n$$" for line in lines)
    return f"::::{{div}} equations\n{shown}\n::::" if lines else ""


def _inputs(ready: Any) -> list[str]:
    inputs = getattr(ready, "inputs", {})
    if not inputs:
        return []
    rows = [row(name, given.default, given.about) for name, given in inputs.items()]
    return [f"## Inputs\n\nWhat a population is given, cell by cell if need be.\n\n{_wide(rows)}"]


def _members(found: type, public: str) -> list[str]:
    """Methods and properties beyond those that the page shows already."""
    own = [kind for kind in found.__mro__ if kind not in Parameters.__mro__]
    members = {name: value for kind in reversed(own) for name, value in vars(kind).items()}
    shown = []
    for name, value in members.items():
        documented = isinstance(value, FunctionType | property | classmethod) and value.__doc__
        if documented and not name.startswith("_") and name not in HOUSEHOLD:
            kind = "autoproperty" if isinstance(value, property) else "automethod"
            shown.append(_directive(f"{kind}:: {public}.{name}"))
    return ["## Methods and properties", *shown] if shown else []


def about(ready: Parameters) -> str:
    """What a receptor or sensor says of itself, and its parameters."""
    return f"{inspect.getdoc(ready)}\n\n{_wide(rows_of(ready)[''])}"


def _settings(settings: Parameters) -> str:
    """Tables of parameters, those of models inside a setting under a heading of their own."""
    parts = []
    for group, rows in rows_of(settings).items():
        parts += [f"### {group}"] if group else []
        parts.append(_wide(rows))
    return "\n\n".join(parts)


def _wide(rows: list[dict[str, str]]) -> str:
    """Table of parameters, whose columns of words keep a width that can be read."""
    return f"::::{{div}} parameters\n{table(rows)}::::"


def rows_of(settings: Parameters) -> dict[str, list[dict[str, str]]]:
    """Rows on all parameters, by the model inside that has them; its own are under ``""``."""
    found: dict[str, list[dict[str, str]]] = {}
    for group, name, value, described in _walk(settings, ""):
        found.setdefault(group, []).append(row(name, value, described))
    return dict(sorted(found.items(), key=lambda item: bool(item[0])))


def _walk(settings: Parameters, group: str) -> Iterator[tuple[str, str, Any, About]]:
    for name, _, described in parameters(type(settings)):
        value, path = getattr(settings, name), f"{group}.{name}".lstrip(".")
        if isinstance(value, Parameters):
            yield from _walk(value, path)
        elif holds_models(value):
            for member in value:
                yield from _walk(member, f"{path}.{member.name}")
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield group, f"{name}.{key}", item, described
        else:
            yield group, name, value, described


def row(name: str, value: Any, described: About) -> dict[str, str]:
    """A parameter: its default as a number beside its unit, meaning, range and source."""
    told = row_of(name, value, described)
    shown, unit = told["value"], ""
    if isinstance(value, Quantity) and handy(value)[1]:
        plain, unit = handy(value)
        shown, unit = say(plain), "1/s" if unit == "Hz" and "/s" in shown else unit
    return {
        "name": f"`{name}`",
        "default": _cell(shown or "empty"),
        "unit": unit,
        "meaning": _cell(told["meaning"]),
        "range": _cell(told["range"]),
        "source": _cell(told["source"]),
    }


def _cell(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\|*_<\[\]$])", r"\\\1", text)


def _related(name: str) -> str:
    links = [*related_examples(name), *related_pages(name)]
    return "## Related pages\n\n" + "\n".join(f"- {link}" for link in links) if links else ""


def related_examples(name: str) -> Iterator[str]:
    """Link to the example of the gallery that bears a protocol's name."""
    for path in (DOCS / "gallery").rglob(f"plot_{name.replace('-', '_')}.py"):
        place = path.relative_to(DOCS / "gallery").with_suffix("").as_posix()
        yield f"{{doc}}`/auto_gallery/{place}` (example)"


def related_pages(name: str) -> Iterator[str]:
    """Links to the pages, written by hand, that speak of a protocol or model by its name."""
    word = re.compile(rf"`{re.escape(name)}`|\brun {re.escape(name)}\b|\b{re.escape(name)}\(")
    for path in sorted(DOCS.rglob("*.md")):
        folder = path.relative_to(DOCS).parts[0]
        if folder in (*GENERATED, "_build", "project") or path.name == "index.md":
            continue
        text = path.read_text(encoding="utf-8")
        title = re.search(r"^# (.+)$", text, re.MULTILINE)
        if title and word.search(text):
            yield f"[{title[1]}](../../{path.relative_to(DOCS).as_posix()})"


def _restructured(module: str, text: str) -> str:
    """Text of a docstring, in which names of the module become links."""
    return f"```{{eval-rst}}\n.. py:currentmodule:: {module}\n\n{text}\n```"


def _directive(head: str, **options: str) -> str:
    lines = "".join(f"   :{key}: {value}".rstrip() + "\n" for key, value in options.items())
    return f"```{{eval-rst}}\n.. {head}\n{lines}```"


def link_public(app: Sphinx, env: Any, node: Any, shown: Any) -> Any:
    """Link a name that its own module does not know to what the package shows under it."""
    name = node.get("reftarget", "")
    known = env.domains["py"].objects
    for module in ("neuromod", "neuromod.models", "neuromod.protocols"):
        if node.get("refdomain") == "py" and f"{module}.{name}" in known:
            found = (node["refdoc"], app.builder, "obj", f"{module}.{name}", node, shown)
            return env.domains["py"].resolve_xref(env, *found)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("missing-reference", link_public)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
