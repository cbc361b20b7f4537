"""The paper's tables of transfer learning, and what gains reach at equal numbers of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from neuromod.checks import check_distinct
from neuromod.errors import UserError
from neuromod.parameters import parameter, positive
from neuromod.protocol import Tables, Training
from neuromod.protocols.families.networks import NetworkStudy, check_methods, prepare_features
from neuromod.protocols.transfer import page
from neuromod.support.log import note, stage
from neuromod.support.progress import task
from neuromod.tuning.backbone import RANDOM, Backbone, takes
from neuromod.tuning.datasets import PAPER_PER_CLASS, ImageData, balanced, load_data
from neuromod.tuning.datasets.images import InputSpec, check_kind
from neuromod.tuning.features import Features, projections
from neuromod.tuning.grid import tune_all
from neuromod.tuning.hardware import Hardware, is_small, processes, rank_and_size
from neuromod.tuning.methods import METHODS
from neuromod.tuning.published import (
    DATA,
    Cell,
    cells_on,
    published_best,
    published_cells,
    recipe_of,
)
from neuromod.tuning.recipe import TuningRecipe, build_classifier
from neuromod.tuning.reference import linear_probe
from neuromod.tuning.training import Outcome, training_memory
from neuromod.tuning.whole_network import HEADS, Contender, check_bottleneck
from neuromod.tuning.whole_training import WholeOutcome, compare, prepare_samples

TABLES = ("1", "2", "3", "4", "5", "6", "7")
EQUAL, WHOLE = "equal", "whole"
# Each method, and the number of layers that it tunes, counted from the output; 0 for all.
CONTENDERS = {
    "nt1": (2, 0),
    "nt2": (2, 0),
    "additive": (0,),
    "probe": (0,),
    "lora": (1, 2, 0),
    "nt1_inputs": (0,),
    "nt1_both": (2, 0),
    "nt1_groups": (2, 0),
    "tft": (0,),
}
# Groups of each sign, for methods that have such.
GROUPS = {"nt1_groups": (1, 4)}


class Task(NamedTuple):
    """A target task, the first layer's products if they are worth keeping, and its reference."""

    name: str
    features: Features
    projected: Features | None
    probe: dict[str, float]


@dataclass(frozen=True, eq=False)
class Transfer(NetworkStudy, Training):
    """Transfer learning by gains: the paper's tables 1 to 8, and methods at equal numbers.

    How do gains compare with biases, an output layer and changes of low rank, at equal numbers of
    trained parameters?

    A pre-trained network's classifier is tuned on another task: by gains, by biases, by everything,
    by its output layer alone, or by changes of its weights of rank 1. The trainings are those of
    tables 1 to 7 of Barton et al. 2022 (table 8 is the best of table 7), beside the paper's
    numbers. A comparison adds what the paper leaves open: how do gains compare at equal numbers of
    trained parameters? There validation images choose every method's learning rate. Another tunes
    the whole network, convolutions too, behind a head of its own. A logistic regression on the very
    features stands beside every accuracy.

    The paper's data sets and VGG-19's weights must be on this disk. The digits always are: a small
    network that knows the digits 0 to 4 learns them with noise, rotated or inverted, or learns the
    digits 5 to 9. Finished trainings are kept and not done again.
    """

    shown = ("tasks", "paper", "best", "equal", "whole")
    shares_work = True

    data: tuple[str, ...] = parameter(
        ("digits-noise", "digits-rotated", "digits-inverted", "digits"),
        "target tasks: digits, pictures, docstrings, timbres, stl10, food11, bccd, or folders of "
        "images",
        "Barton et al. 2022 used three; the first four come with packages or are made",
    )
    folder: str = parameter(
        "",
        "folder that stl10, food11 and bccd were unpacked in, each by its name",
        "the cache folder if empty",
    )
    tables: tuple[str, ...] = parameter(
        (*TABLES, EQUAL),
        "tables of the paper to train, 'equal' for the comparison, 'whole' for whole networks",
        "Barton et al. 2022; whole networks take hours where they are large",
        choices=(*TABLES, EQUAL, WHOLE),
    )
    methods: tuple[str, ...] = parameter(
        tuple(METHODS), "ways of tuning, of those in the tables", "Barton et al. 2022"
    )
    learning_rates: np.ndarray = positive(
        np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5]),
        "learning rates, of those in the tables",
        "Barton et al. 2022, tables 3 and 7",
    )
    candidates: np.ndarray = positive(
        np.array([1, 0.3, 0.1, 0.03, 0.01]),
        "learning rates that the comparison chooses from",
        "chosen here, so that few methods are best at an end",
    )
    epochs: int = parameter(
        30, "epochs in the comparison", "chosen here: where curves are flat", low=1
    )
    whole_epochs: int = parameter(
        10, "epochs of a whole network", "chosen here: curves are nearly flat", low=1
    )
    head: str = parameter(
        "replace",
        "of a whole network where classes and outputs differ in number: a new last layer, or one "
        "behind it",
        "chosen here: fewer outputs than classes are a bottleneck",
        choices=HEADS,
    )
    pixels: int = parameter(
        0,
        "height and width of the network's images; 0: as it was pre-trained",
        "chosen here; fewer take less time",
        low=0,
    )
    per_class: int = parameter(
        0,
        "training images of each class; 0: all, of the paper's data as many as in the paper",
        "chosen here; fewer take less time",
        low=0,
    )
    runs: int = parameter(
        3, "networks tuned in each way", "chosen here; the paper has five, or ten", low=1
    )
    compute: str = parameter(
        "cpu", "torch's device: cpu, cuda, cuda:1, mps", "chosen here: always there"
    )
    mixed: bool = parameter(False, "products from bfloat16", "chosen here: not every CPU has it")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods(self.methods)
        check_distinct("data", self.data)
        check_distinct("tables", self.tables)
        Hardware(self.compute, self.mixed)
        cells = (cell for name in self.data for cell in cells_on(name))
        if not {EQUAL, WHOLE} & set(self.tables) and not any(map(self._wants, cells)):
            raise UserError(
                f"Nothing would be trained: tables {', '.join(self.tables)} have no cell of these "
                "methods at these learning rates."
            )

    @cached_property
    def pretrained(self) -> Backbone:
        """The pre-trained network, for images of the wanted size."""
        backbone = super().pretrained
        return resized(backbone, self.pixels) if self.pixels else backbone

    def train(self) -> Tables:
        """Tasks, the tables' cells, those as printed, table 8, the comparison, learning curves."""
        images = self._images()
        for data in images.values():
            check_kind(self.backbone, takes(self.backbone), data)
        with processes():
            if WHOLE in self.tables and rank_and_size()[1] > 1:
                raise UserError(
                    "One process tunes whole networks: start transfer without torchrun."
                )
            self._check_bottlenecks(images)
            targets = [self._prepared(name, data) for name, data in images.items()]
            if self._tunes_classifiers:
                self._note_memory(max(len(data.classes) for data in images.values()))
            cells = [row for target in targets for row in self._train_cells(target).items()]
            equal = {target.name: self._compare(target) for target in targets}
            whole = {name: self._tune_whole(name, data) for name, data in images.items()}
            tasks = pd.DataFrame([self._described(target) for target in targets])
        cells += [
            (cell, [])
            for cell in published_cells()
            if cell.data not in self.data and self._wants(cell)
        ]
        columns = list(_row(published_cells()[0], []))
        table = pd.DataFrame([_row(*each) for each in cells], columns=columns)
        table = table.sort_values("table", kind="stable", ignore_index=True)
        probes = {target.name: target.probe for target in targets}
        beside = partial(_with_probe, probes=probes)
        tables = {
            "tasks": tasks,
            "table": beside(table, "validation"),
            "paper": _as_printed(beside(table, "validation")),
            "best": beside(_best(table), "validation"),
            "equal": beside(_equal_table(equal), "test"),
            "whole": beside(_whole_table(whole), "test"),
            "curves": beside(_curves(equal), "validation"),
        }
        weights = page.PRETRAINED if self.pretrained.trained else RANDOM
        return {name: found.assign(weights=weights) for name, found in tables.items()}

    def _images(self) -> dict[str, ImageData]:
        """All data sets, before any work: a missing one ends the run."""
        with stage("data"):
            inside = {name: Path(self.folder, name) for name in DATA} if self.folder else {}
            found = {name: load_data(name, inside.get(name)) for name in self.data}
            wanted = {name: self.per_class or PAPER_PER_CLASS.get(name, 0) for name in found}
            return {
                name: balanced(data, wanted[name], self.seed) if wanted[name] else data
                for name, data in found.items()
            }

    def _check_bottlenecks(self, images: Mapping[str, ImageData]) -> None:
        """Refuse layers behind fewer outputs than classes, which would tell of the layer alone."""
        for data in images.values():
            if self._tunes_classifiers or self.head == "append":
                check_bottleneck(len(data.classes), self.pretrained.linears[-1].out_features)

    def _prepared(self, name: str, data: ImageData) -> Task:
        backbone = self.pretrained
        features = prepare_features(backbone, data)
        with stage("linear probe"):
            probe = linear_probe(features)
        if not self._tunes_classifiers or is_small(backbone.classifier):
            return Task(name, features, None, probe)
        progress = task(f"first products of {name}")
        products = projections(features, backbone.linears[0], progress)
        return Task(name, features, products, probe)

    @property
    def _tunes_classifiers(self) -> bool:
        return set(self.tables) != {WHOLE}

    def _tune_whole(self, name: str, data: ImageData) -> dict[Contender, list[WholeOutcome]]:
        """Runs of every contender on the whole network."""
        if WHOLE not in self.tables:
            return {}
        samples = prepare_samples(self.pretrained, data, progress=task(f"images of {name}"))
        seeds = range(self.seed, self.seed + self.runs)
        hardware = Hardware(self.compute, self.mixed)
        progress = task(f"whole networks on {name}")
        return compare(
            samples, seeds, self.whole_epochs, self.head, hardware=hardware, progress=progress
        )

    def _note_memory(self, n_classes: int) -> None:
        method = "tft" if "tft" in self.methods else "nt1"
        recipe = TuningRecipe(method, "rate", "cross_entropy", 0.1, 1)
        classifier = build_classifier(self.pretrained, recipe, n_classes)
        needed = training_memory(classifier, recipe.batch_size, Hardware(self.compute, self.mixed))
        note("memory of the largest training, GB", needed / 1e9)

    def _tune(self, target: Task, recipes: Sequence[TuningRecipe], what: str) -> list[Outcome]:
        hardware = Hardware(self.compute, self.mixed)
        progress = task(f"{what} on {target.name}: {len(recipes)} trainings")
        return tune_all(
            target.features, self.pretrained, recipes, target.projected, hardware, progress
        )

    def _train_cells(self, target: Task) -> dict[Cell, list[Outcome]]:
        """Runs of every wanted cell of the tables."""
        n_outputs = self.pretrained.linears[-1].out_features
        seeds = range(self.seed, self.seed + self.runs)
        recipes = {
            cell: [recipe_of(cell, seed, n_outputs) for seed in seeds]
            for cell in cells_on(target.name)
            if self._wants(cell)
        }
        every = list(dict.fromkeys(recipe for own in recipes.values() for recipe in own))
        outcomes = dict(zip(every, self._tune(target, every, "tables"), strict=True))
        return {cell: [outcomes[recipe] for recipe in own] for cell, own in recipes.items()}

    def _wants(self, cell: Cell) -> bool:
        return (
            str(cell.table) in self.tables
            and cell.method in self.methods
            and bool(np.isclose(cell.lr, self.learning_rates, rtol=1e-6).any())
        )

    def _compare(self, target: Task) -> list[list[Outcome]]:
        """Runs of every contender at the learning rate that is best on validation images."""
        if EQUAL not in self.tables:
            return []
        contenders: list[dict[str, Any]] = [
            {"method": method, "layers": layers, "groups": groups}
            for method, numbers in CONTENDERS.items()
            if method in self.methods
            for groups in GROUPS.get(method, (1,))
            for layers in numbers
        ]
        each: dict[str, Any] = {"kind": "rate", "loss": "cross_entropy", "epochs": self.epochs}
        recipes = [
            TuningRecipe(**contender, **each, lr=lr, seed=seed)
            for contender in contenders
            for lr in self.candidates.tolist()
            for seed in range(self.seed, self.seed + self.runs)
        ]
        outcomes = self._tune(target, recipes, "comparison")
        runs = [outcomes[i : i + self.runs] for i in range(0, len(outcomes), self.runs)]
        rates = len(self.candidates)
        return [max(runs[i : i + rates], key=_validation) for i in range(0, len(runs), rates)]

    def _described(self, target: Task) -> dict[str, Any]:
        """What a task is, and how far: the accuracy of the untuned network."""
        split, classes = target.features.split, len(target.features.classes)
        kept = classes == self.pretrained.linears[-1].out_features
        recipe = TuningRecipe("none", "rate", "cross_entropy", 0.1, 1, seed=self.seed)
        untuned = self._tune(target, [recipe], "untuned")[0].accuracy["test"] if kept else np.nan
        return {
            "data": target.name,
            "classes": classes,
            "train_images": len(split.train),
            "validation_images": len(split.validation),
            "test_images": len(split.test),
            "untuned_test_accuracy": untuned,
            "probe_test_accuracy": target.probe["test"],
            "chance": 1 / classes,
            "backbone": self.pretrained.name,
            "source_test_accuracy": self.pretrained.source_accuracy,
        }


def resized(backbone: Backbone, pixels: int) -> Backbone:
    """Return a backbone that takes images of another size, if it can."""
    image = backbone.image
    if not isinstance(image, InputSpec):
        raise UserError(f"{backbone.name} takes no images that pixels could measure: leave it 0.")
    try:
        backbone.embed(torch.zeros(1, image.channels, pixels, pixels))
    # What a network raises for a size that it does not take is its own.
    except Exception as error:
        raise UserError(
            f"{backbone.name} takes no images of {pixels} x {pixels} pixels: leave it 0, for "
            f"{image.size} x {image.size}."
        ) from error
    return replace(backbone, image=replace(image, size=pixels))


def _with_probe(
    table: pd.DataFrame, part: str, probes: Mapping[str, dict[str, float]]
) -> pd.DataFrame:
    """A table of accuracies with the linear probe's on each task, where it was measured."""
    if "data" not in table:
        return table
    shares = table.data.map({name: probe[part] for name, probe in probes.items()})
    return table.assign(**{f"probe_{part}_accuracy": shares.astype(float)})


def _row(cell: Cell, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """A cell with the paper's number and the one measured here."""
    return {
        "table": cell.table,
        "data": cell.data,
        "kind": cell.kind,
        "method": cell.method,
        "layers": cell.layers,
        "learning_rate": cell.lr,
        "batch_size": cell.batch_size,
        "epochs": cell.epochs,
        "paper_accuracy": np.nan if cell.accuracy is None else cell.accuracy,
        "measured": "here" if outcomes else "not here",
        **_statistics(outcomes),
    }


def _statistics(outcomes: Sequence[Outcome | WholeOutcome]) -> dict[str, Any]:
    """Means and standard deviations over runs; a single run has no deviation."""
    found: dict[str, Any] = {
        "runs": len(outcomes),
        "trained_parameters": outcomes[0].n_trained if outcomes else np.nan,
    }
    for part in ("validation", "test"):
        shares = pd.Series([outcome.accuracy[part] for outcome in outcomes], dtype=float)
        found |= {f"{part}_accuracy_mean": shares.mean(), f"{part}_accuracy_sd": shares.std()}
    return found


def _validation(runs: Sequence[Outcome]) -> float:
    """Mean accuracy on validation images."""
    return float(np.mean([run.accuracy["validation"] for run in runs]))


def _as_printed(table: pd.DataFrame) -> pd.DataFrame:
    """Tables 1 to 7 with a column per learning rate, the tasks measured here first.

    Every cell holds the paper's accuracy and the one measured here, in percent.
    """
    text = [
        f"{_percent(row.paper_accuracy)} / {_percent(row.validation_accuracy_mean)}"
        + (f" ± {_percent(row.validation_accuracy_sd)}" if row.runs > 1 else "")
        for row in table.itertuples()
    ]
    rows = ["table", "data", "kind", "method", "layers", "batch_size"]
    table = table.assign(probe=[_percent(share) for share in table.probe_validation_accuracy])
    rows.append("probe")
    order = pd.Categorical(table.data, dict.fromkeys(table.data), ordered=True)
    wide = table.assign(cell=text, data=order).pivot(
        index=rows, columns="learning_rate", values="cell"
    )
    wide = wide.sort_index(axis="columns", ascending=False).fillna("").reset_index()
    names = [name if isinstance(name, str) else f"at {name:g}" for name in wide.columns]
    return wide.set_axis(names, axis="columns").astype({"data": str})


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f}"


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """Table 8 for every data set: best mean over learning rates, and trained parameters."""
    by = "validation_accuracy_mean"
    spiking = table[(table.table == 7) & (table.method != "none")]
    ranked = spiking.sort_values(by, ascending=False, kind="stable")
    best = ranked.drop_duplicates(["data", "method"]).sort_index().reset_index(drop=True)
    best["learning_rate"] = best.learning_rate.where(best[by].notna())
    printed = published_best().add_prefix("paper_").reset_index()
    measured = best[["data", "method", "measured", by, "learning_rate", "trained_parameters"]]
    columns = [*printed, *measured.columns[2:]]
    return measured.merge(printed, "left", ["data", "method"])[columns]


def _equal_table(equal: Mapping[str, list[list[Outcome]]]) -> pd.DataFrame:
    """The comparison: one row per task and contender, fewest trained parameters first."""
    rows = [
        {
            "data": data,
            "method": _name(runs[0].recipe),
            "layers": runs[0].recipe.layers,
            "learning_rate": runs[0].recipe.lr,
            **_statistics(runs),
        }
        for data, contenders in equal.items()
        for runs in sorted(contenders, key=lambda runs: runs[0].n_trained)
    ]
    return pd.DataFrame(rows)


def _name(recipe: TuningRecipe) -> str:
    """A contender's method, and the groups of each sign if it has such."""
    return f"{recipe.method} k={recipe.groups}" if recipe.method in GROUPS else recipe.method


def _whole_table(whole: Mapping[str, Mapping[Contender, Sequence[WholeOutcome]]]) -> pd.DataFrame:
    """Whole networks: one row per task and contender, fewest trained parameters first."""
    rows = [
        {
            "data": data,
            "method": contender.name,
            "learning_rate": runs[0].recipe.lr,
            **_statistics(runs),
            "of_a_fresh_head": runs[0].n_head,
            "seconds": sum(run.seconds for run in runs) / len(runs),
        }
        for data, contenders in whole.items()
        for contender, runs in sorted(contenders.items(), key=lambda each: each[1][0].n_trained)
    ]
    return pd.DataFrame(rows)


def _curves(equal: Mapping[str, list[list[Outcome]]]) -> pd.DataFrame:
    """Learning curves of the comparison, means over runs."""
    found = []
    for data, contenders in equal.items():
        for runs in contenders:
            mean = sum(run.history for run in runs) / len(runs)
            recipe = runs[0].recipe
            found.append(mean.assign(data=data, method=_name(recipe), layers=recipe.layers))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
