"""Run protocols with their default settings and keep the figures that the reference shows.

`python docs/default_runs.py` runs all of them, which takes hours; `python docs/default_runs.py xor
puff` runs two. Each leaves `reference/figures/NAME.png`, and `NAME.json` with version, seed and
seconds.
"""

import json
import sys
import tempfile
from pathlib import Path

from PIL import Image

import neuromod
from neuromod.runs import registry

FIGURES = Path(__file__).parent / "reference" / "figures"
WIDTH = 1200
"""Pixels."""


def keep(protocol: str) -> None:
    """Run one protocol and keep its figure."""
    with tempfile.TemporaryDirectory() as folder:
        neuromod.run(protocol, out=Path(folder) / "run")
        made = Path(folder) / "run"
        told = json.loads((made / "run.json").read_text(encoding="utf-8"))
        FIGURES.mkdir(exist_ok=True)
        with Image.open(made / "figure.png") as figure:
            figure.thumbnail((WIDTH, 4 * WIDTH))
            figure.convert("RGB").quantize(128).save(FIGURES / f"{protocol}.png", optimize=True)
    kept = {
        "version": neuromod.__version__,
        "seed": told["seed"],
        "seconds": round(sum(told["wall_s"].values()), 1),
    }
    text = json.dumps(kept, indent=1)
    (FIGURES / f"{protocol}.json").write_text(text + "\n", encoding="utf-8")


for protocol in sys.argv[1:] or registry.names("protocol"):
    print(protocol, flush=True)
    keep(protocol)
