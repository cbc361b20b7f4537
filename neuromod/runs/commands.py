"""What repeats a run: a command for a shell and a call in Python, exact to the last bit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import brian2
import numpy as np
from brian2 import Quantity

from neuromod.errors import UserError
from neuromod.parameters import unit_of
from neuromod.protocol import Study, Training
from neuromod.runs.registry import find, name_of
from neuromod.settings import change, flatten, format_value, parse_value, read
from neuromod.support.text import NAMES, handy

LONGEST = 20_000
"""Characters of a command; shells take some more, people do not."""
SPACED, SPACED_FROM = ("linspace", "geomspace"), 5
"""Series of values by the functions that make them, and the least number of values."""
PATH = re.compile(r".*[/\\].+|.*\.(csv|tsv|txt|toml|json|nix|nwb|nir|abf|mat|h5|safetensors|pt)")


def changed(study: Study) -> dict[str, str]:
    """Settings that differ from a protocol's defaults, as text that gives exactly them back.

    Raises
    ------
    UserError
        When the protocol is not known by a name, or its settings cannot be given as text.
    """
    name = name_of(study)
    default = find("protocol", name)()
    if type(default) is not type(study):
        raise UserError(f"{name} is another protocol.")
    values, wanted, before = flatten(study), _texts(study), _texts(default)
    # Models come first: they bring settings of their own.
    models = {n: t for n, t in wanted.items() if before.get(n) != t and _is_model(n, wanted)}
    base = _given(default, models)
    texts = {
        name: _short(values[name], text)
        for name, text in wanted.items()
        if name in models or (base or before).get(name) != text
    }
    if _given(default, texts) != wanted:
        raise UserError(f"The settings of this {name} cannot be given as text.")
    # A new model is made with the settings of its own alone, of which some may be left out.
    for setting in [] if base else list(texts):
        fewer = {n: text for n, text in texts.items() if n != setting}
        texts = fewer if _given(default, fewer) == wanted else texts
    return texts


def shell(study: Study, texts: Mapping[str, str], info: Mapping[str, Any]) -> str:
    """Command that repeats a run.

    Parameters
    ----------
    study : Study
    texts : mapping of str to str
        What `changed` gives for it.
    info : mapping
        What ``run.json`` holds.

    Raises
    ------
    UserError
        Where a text was made empty, which a shell cannot be told.
    """
    words = ["neuromod", "run", name_of(study)]
    for name, text in texts.items():
        if not text:
            raise UserError(f"An empty {name} cannot be given to a shell.")
        words += ["--set", f"{name}={text}"] if name != "seed" else []
    words += ["--seed", str(study.seed)]
    if not isinstance(study, Training):
        words += ["--device", info["device"], "--precision", info["precision"]]
        words += ["--format", info["format"]] if info.get("format", "nix") != "nix" else []
    return shlex.join(words)


def python(study: Study, texts: Mapping[str, str], info: Mapping[str, Any]) -> str:
    """Call that repeats a run, after ``from brian2 import *``; for arguments see `shell`."""
    values = flatten(study)
    given = {name: _literal(values[name], text) for name, text in texts.items()}
    given["seed"] = str(study.seed)
    words = [repr(name_of(study))]
    if not isinstance(study, Training):
        words += [f"{name}={info[name]!r}" for name in ("device", "precision")]
    words += [f"{name}={text}" for name, text in given.items() if name.isidentifier()]
    dotted = [f"{name!r}: {text}" for name, text in given.items() if not name.isidentifier()]
    words += [f"**{{{', '.join(dotted)}}}"] if dotted else []
    return f"neuromod.run({', '.join(words)})"


def files(study: Study) -> list[str]:
    """Settings that name files, which a page does not hold."""
    texts = (
        (name, item)
        for name, value in flatten(study).items()
        for item in (value if isinstance(value, tuple) else (value,))
    )
    return [f"{n}={text}" for n, text in texts if isinstance(text, str) and PATH.fullmatch(text)]


def _texts(study: Study) -> dict[str, str]:
    return {name: format_value(value) for name, value in flatten(study).items()}


def _is_model(name: str, names: Iterable[str]) -> bool:
    """Whether a setting is a model, or a list of them, whose settings stand under its name."""
    return any(other.startswith(f"{name}.") for other in names)


def _given(default: Study, texts: Mapping[str, str]) -> dict[str, str]:
    """All settings, as text, where some are changed; none where these do not fit."""
    try:
        return _texts(change(default, read(default, texts)))
    except UserError:
        return {}


def _short(value: Any, exact: str) -> str:
    """A setting as people type it, such as ``15*ms``, where that is the same to the last bit."""
    if not isinstance(value, Quantity | np.ndarray) or value.ndim > 1 or value.dtype.kind != "f":
        return exact
    plain, symbol = handy(value)
    unit = NAMES.get(symbol) or symbol.replace("µ", "u").replace("Ω", "ohm")
    if unit and not hasattr(brian2, unit):
        return exact
    behind = f"*{unit}" if unit else ""
    numbers = [f"{item:.12g}" for item in np.atleast_1d(plain)]
    if not value.ndim:
        texts = [numbers[0]]
    else:
        texts = [f"[{', '.join(numbers)}]"]
        if len(numbers) >= SPACED_FROM:
            ends = f"({numbers[0]}, {numbers[-1]}, {len(numbers)})"
            texts = [*(f"{space}{ends}" for space in SPACED), *texts]
    return next((text + behind for text in texts if _gives(text + behind, exact)), exact)


def _gives(text: str, exact: str) -> bool:
    try:
        return format_value(parse_value(text)) == exact
    except UserError:
        # A geometric series does not reach 0.
        return False


def _literal(value: Any, text: str) -> str:
    """A setting as Python reads it."""
    if isinstance(value, str | tuple):
        return repr(value)
    is_plain = isinstance(value, np.ndarray) and unit_of(value) == "1"
    if text.startswith(SPACED):
        return text
    return f"array({np.asarray(value).tolist()!r})" if is_plain and value.ndim else text
