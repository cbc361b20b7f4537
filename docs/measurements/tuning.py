"""What gains achieve on the digits 5 to 9, where no protocol measures it.

``python docs/measurements/tuning.py`` prints every table of docs/explanation/tuning.md that names
it; with names of parts, such as ``bounds pruning``, it prints those alone. Accuracies are in
percent: means and standard deviations over seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import torch

from neuromod.chip.conversion import reachable_gains
from neuromod.models import CircuitNeuron
from neuromod.protocols.families.memory import UNTUNED
from neuromod.tuning.backbone import load_backbone
from neuromod.tuning.datasets import load_digits
from neuromod.tuning.features import Features, extract_features
from neuromod.tuning.hardware import CPU, Hardware
from neuromod.tuning.pruning import pruning_curve
from neuromod.tuning.recipe import TuningRecipe, calibrated
from neuromod.tuning.training import TuningResult, tune

SEEDS = (1, 2, 3)
NETWORKS = (("rate", "cross_entropy"), ("spiking", "simple"), ("spiking", "membrane"))
RATES = (1, 0.3, 0.1, 0.03, 0.01)
"""Learning rates of the protocol transfer's comparison."""


def features_of(dtype: str = "float32", hardware: Hardware = CPU) -> Features:
    return extract_features(load_backbone(), load_digits(), dtype=dtype, hardware=hardware)


def spread(values: Iterable[float]) -> str:
    """Mean and standard deviation of shares, in percent."""
    found = 100 * pd.Series(list(values))
    return f"{found.mean():.1f} ± {found.std():.1f}"


def runs(
    recipe: TuningRecipe, features: Features | None = None, seeds: Iterable[int] = SEEDS
) -> list[TuningResult]:
    """One network for each seed."""
    found, backbone = features or features_of(), load_backbone()
    return [tune(found, backbone, replace(recipe, seed=seed)) for seed in seeds]


def right(results: list[TuningResult], part: str = "test") -> str:
    return spread(result.accuracy[part] for result in results)


def biases() -> pd.DataFrame:
    """Equation 3 as printed: gains on biases alone."""
    sizes = [linear.bias.abs().max().item() for linear in load_backbone().linears]
    print(f"The largest bias of the pre-trained network is {max(sizes):.4f}.")
    rows = [
        {"network": kind, "loss": loss, "test": right(runs(calibrated("nt1_bias", kind, loss)))}
        for kind, loss in NETWORKS
    ]
    return pd.DataFrame(rows)


def counts() -> pd.DataFrame:
    """Networks whose neurons are updated ten times."""
    methods = ("none", "additive", "nt2", "nt1", "tft")
    found = {method: right(runs(calibrated(method, "lif", "counts"))) for method in methods}
    return pd.DataFrame([found])


def bounds() -> pd.DataFrame:
    """Gains that may be negative, and gains that may not."""
    rows = []
    for kind, loss in NETWORKS:
        free = calibrated("nt1", kind, loss)
        recipes = {
            "free": free,
            "not below 0": replace(free, gain_low=0.0),
            "additive": calibrated("additive", kind, loss),
        }
        found = {name: runs(recipe) for name, recipe in recipes.items()}
        hidden = np.concatenate([result.gains[:-5] for result in found["free"]])
        row = {name: right(results) for name, results in found.items()}
        rows.append(
            {"network": kind, "loss": loss} | row | {"negative": f"{(hidden < 0).mean():.0%}"}
        )
    return pd.DataFrame(rows)


def reach() -> pd.DataFrame:
    """Methods with gains on all layers and exact weights, free and within a supply's reach."""
    low, high = reachable_gains(CircuitNeuron(), UNTUNED)
    print(f"Within reach are gains from {low:.2f} to {high:.2f}.")
    kept = {"free": {}, "within reach": {"gain_low": low, "gain_high": high}}
    methods = [("nt1", 1), *(("nt1_groups", k) for k in (1, 2, 4, 8))]
    methods += [("nt1_inputs", 1), ("nt1_both", 1)]
    rows = []
    for method, groups in methods:
        row: dict[str, object] = {"method": method, "k": groups}
        for name, limits in kept.items():
            tried = [
                runs(TuningRecipe(method, "rate", "cross_entropy", lr, 30, groups=groups, **limits))
                for lr in RATES
            ]
            best = max(tried, key=lambda own: np.mean([run.accuracy["validation"] for run in own]))
            row |= {"trained": best[0].n_trained, name: right(best)}
        rows.append(row)
    return pd.DataFrame(rows)


def pruning() -> pd.DataFrame:
    """Test images right with hidden neurons pruned, smallest gain first."""
    shares, features = (0, 0.25, 0.5, 0.7, 0.8, 0.9), features_of()
    rows = []
    penalties = {NETWORKS[0]: (0.0, 0.001, 0.002, 0.003), NETWORKS[2]: (0.0, 0.0003, 0.001)}
    for network, weights in penalties.items():
        for l1 in weights:
            results = runs(replace(calibrated("nt1", *network), l1=l1))
            curves = [pruning_curve(own, features, shares).test_accuracy for own in results]
            at = {
                f"{share:.0%}": spread(curve[i] for curve in curves)
                for i, share in enumerate(shares)
            }
            rows.append(
                {"network": network[0], "l1": l1, "val.": right(results, "validation")} | at
            )
    return pd.DataFrame(rows)


def precision() -> pd.DataFrame:
    """Features that are kept or computed in fewer bits."""
    exact = features_of()
    kinds = {
        "float32": exact,
        "kept in float16": features_of("float16"),
        "computed in bfloat16": features_of(hardware=Hardware(mixed=True)),
    }
    rows = []
    for name, features in kinds.items():
        values = np.asarray(features.values, dtype=float)
        change = np.linalg.norm(values - exact.values) / np.linalg.norm(exact.values)
        row = {"features": name, "changed by": f"{change:.2%}"}
        for (kind, loss), method in product((NETWORKS[0], NETWORKS[2]), ("nt1", "additive")):
            row[f"{kind} {method}"] = right(runs(calibrated(method, kind, loss), features))
        rows.append(row)
    return pd.DataFrame(rows)


PARTS: dict[str, Callable[[], pd.DataFrame]] = {
    each.__name__: each for each in (biases, counts, bounds, reach, pruning, precision)
}


def main(names: list[str]) -> None:
    print(f"torch {torch.__version__}, seeds {SEEDS}")
    for name in names or PARTS:
        print(f"\n{name}: {PARTS[name].__doc__}")
        print(PARTS[name]().to_string(index=False))


if __name__ == "__main__":
    main(sys.argv[1:])
