"""Tables of parameters for the pages of the reference: default, meaning, range, source."""

from inspect import getdoc

from generated import table, write
from sphinx.application import Sphinx

from neuromod.models import library, sensors
from neuromod.parameters import Parameters
from neuromod.runs import registry
from neuromod.runs.report import describe


def write_tables(app: Sphinx) -> None:  # noqa: ARG001
    """Write the parameters of all models and protocols, of receptors and of sensors."""
    parts = [
        f"## {name}\n\n{table(describe(found()))}"
        for kind in ("model", "protocol")
        for name in registry.names(kind)
        if issubclass(found := registry.find(kind, name), Parameters)
    ]
    write("parameters.md", "\n".join(parts))
    for page, shelf in (("receptors.md", library), ("sensors.md", sensors)):
        parts = [
            f"### {name}\n\n{getdoc(ready)}\n\n{table(describe(ready))}"
            for name, ready in shelf.items()
        ]
        write(page, "\n".join(parts))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
