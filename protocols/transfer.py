"""The paper's tables of transfer learning, and what gains reach at equal numbers of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuromod.errors import UserError, unknown
from neuromod.experiment import Experiment
from neuromod.parameters import parameter
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels
from neuromod.support.log import note, stage
from neuromod.support.progress import task
from neuromod.tuning.backbone import RANDOM, Backbone, is_small, load_backbone
from neuromod.tuning.datasets import PAPER_PER_CLASS, ImageData, balanced, load_data
from neuromod.tuning.features import Features, extract_features, projections
from neuromod.tuning.grid import Outcome, tune_all
from neuromod.tuning.hardware import Hardware, processes
from neuromod.tuning.methods import METHODS
from neuromod.tuning.published import (
    DATA,
    TABLE_8,
    TRAINED_8,
    Cell,
    cells_on,
    published_cells,
    recipe_of,
)
from neuromod.tuning.recipe import TuningRecipe, build_classifier
from neuromod.tuning.training import training_memory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLES = ("1", "2", "3", "4", "5", "6", "7")
EQUAL = "equal"
# Method, and of how many layers from the output. A gain on every input and output of a layer is as
# many numbers as a change of rank 1 of its weights.
CONTENDERS = (
    ("nt1", 2), ("nt1", 0), ("nt2", 2), ("nt2", 0), ("additive", 0), ("probe", 0), ("lora", 1),
    ("lora", 2), ("lora", 0), ("nt1_inputs", 0), ("nt1_both", 2), ("nt1_both", 0), ("tft", 0),
)  # fmt: skip
STYLES = {
    "nt1": (BLUE, "o"), "nt1_both": (SKY, "s"), "nt1_inputs": (BLACK, "v"), "nt2": (ORANGE, "^"),
    "additive": (ORANGE, "x"), "probe": (GREEN, "D"), "lora": (PURPLE, "P"), "tft": (RED, "*"),
    "nt1_bias": (RED, "1"), "none": (BLACK, "."),
}  # fmt: skip
PRETRAINED = "pre-trained"
MEANINGLESS = f"Weights are {RANDOM}. "


@dataclass(frozen=True, eq=False)
class Task:
    """A target task.

    Attributes
    ----------
    name : str
        As in the settings.
    images : ImageData
    features : Features
    projected : Features or None
        The first layer's products, where it is worth keeping them.
    """

    name: str
    images: ImageData
    features: Features
    projected: Features | None


@dataclass(frozen=True, eq=False)
class Transfer(Protocol):
    """Transfer learning by gains: the paper's tables 1 to 8, and methods at equal numbers.

    A pre-trained network's classifier is tuned on another task: by gains, by biases, by everything,
    by its output layer alone, by changes of its weights of rank 1. The trainings are those of
    tables 1 to 7 of Barton et al. 2022 (table 8 is the best of table 7), with the paper's numbers
    beside them; and a comparison that the paper leaves open: at equal numbers of trained
    parameters, what do gains reach against the others? There every method's learning rate is
    chosen on validation images.

    The paper's data sets must be on this disk, as must VGG-19's weights. The digits are always
    there: a small network that knows the digits 0 to 4 learns them with noise, rotated or inverted,
    or learns the digits 5 to 9. Trainings that are finished are kept, and not done again.
    """

    shown = ("tasks", "paper", "best", "equal")
    simulates = False
    together = True

    data: tuple[str, ...] = parameter(
        ("digits-noise", "digits-rotated", "digits-inverted", "digits"),
        "target tasks: digits, stl10, food11, bccd, or folders of images",
        source="Barton et al. 2022 used the three; the digits come with scikit-learn",
    )
    folder: str = parameter(
        "",
        "folder that stl10, food11 and bccd were unpacked in, each by its name",
        source="the cache folder where empty",
    )
    backbone: str = parameter(
        "digits-vgg",
        "'digits-vgg' (pre-trained on digits 0 to 4), or a VGG of torchvision",
        source="Barton et al. 2022 used VGG-19",
    )
    weights: str = parameter(
        "",
        "file with the weights of a torchvision VGG, or 'random' for timing alone",
        source="torchvision's cache where empty",
    )
    tables: tuple[str, ...] = parameter(
        (*TABLES, EQUAL),
        "tables of the paper to train, and 'equal' for the comparison",
        source="Barton et al. 2022",
        choices=(*TABLES, EQUAL),
    )
    methods: tuple[str, ...] = parameter(
        tuple(METHODS), "ways of tuning, of those in the tables", source="Barton et al. 2022"
    )
    learning_rates: np.ndarray = parameter(
        np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5]),
        "learning rates, of those in the tables",
        source="Barton et al. 2022, tables 3 and 7",
        low=0,
        low_excluded=True,
    )
    candidates: np.ndarray = parameter(
        np.array([1, 0.3, 0.1, 0.03, 0.01]),
        "learning rates that the comparison chooses from",
        source="chosen here, so that few methods are best at an end",
        low=0,
        low_excluded=True,
    )
    epochs: int = parameter(
        30, "epochs in the comparison", source="chosen here: where curves are flat", low=1
    )
    runs: int = parameter(
        3, "networks tuned in each way", source="chosen here; the paper has five, or ten", low=1
    )
    compute: str = parameter(
        "cpu", "torch's device: cpu, cuda, cuda:1, mps", source="chosen here: always there"
    )
    mixed: bool = parameter(
        False, "products from bfloat16", source="chosen here: not every CPU has it"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for method in self.methods:
            if method not in METHODS:
                raise unknown("tuning method", method, METHODS)
        for name in ("data", "tables", "methods"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise UserError(f"{name} names one twice: {', '.join(values)}.")
        self._hardware  # noqa: B018

    def experiments(self) -> dict[str, Experiment]:
        """None: networks are tuned in torch."""
        self._images  # noqa: B018
        return {}

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Tasks, the tables' cells, those as printed, table 8, the comparison, learning curves."""
        del recordings
        with processes():
            with stage("tuning"):
                cells = {target.name: self._train_cells(target) for target in self._tasks}
                equal = {target.name: self._compare(target) for target in self._tasks}
            tasks = self._tasks_table()
        table = self._cells_table(cells)
        tables = {
            "tasks": tasks,
            "table": table,
            "paper": _as_printed(table),
            "best": _best(table),
            "equal": _equal_table(equal),
            "curves": _curves(equal),
        }
        return {name: found.assign(weights=self._weights) for name, found in tables.items()}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """For each task, accuracy against trained parameters, learning curves, learning rates."""
        del recordings
        names = list(dict.fromkeys(tables["tasks"].data))[:4]
        drawn = {name: draw for name, draw in PANELS.items() if len(tables[name])}
        figure, axes = panels(
            [[f"{table} of {name}" for name in names] for table in drawn],
            width=max(2.7 * len(names), 6),
            height=3 * len(drawn) + 0.5,
        )
        letters = iter("abcdefghijkl")
        for table, draw in drawn.items():
            for name in names:
                rows = tables[table]
                ax = axes[f"{table} of {name}"]
                draw(ax, rows[rows.data == name])
                ax.set_title(f"{next(letters)}  {Path(name).name}")
        legend = {
            label: handle
            for ax in axes.values()
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=5)
        if not self._pretrained(tables):
            figure.suptitle(MEANINGLESS.strip())
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Tasks, the comparison in words, the paper's tables, and what was not measured."""
        warning = "" if self._pretrained(tables) else MEANINGLESS
        sections = [
            Section("The tasks", warning + _on_tasks(tables["tasks"]), "tasks"),
            Section(
                "The paper's tables 1 to 7",
                warning + _on_table(tables["table"]),
                "paper",
            ),
            Section(
                "Table 8: the best of table 7",
                warning + "Best mean over the learning rates, on validation images as in the "
                "paper, and trained numbers. The paper's 0.0356 for tft on Food-11 fits nothing "
                "in its table 7, whose best there is 0.1168.",
                "best",
            ),
        ]
        if len(tables["equal"]):
            sections.insert(
                1, Section("At equal numbers", warning + _on_equal(tables["equal"]), "equal")
            )
        return sections

    @staticmethod
    def _pretrained(tables: dict[str, pd.DataFrame]) -> bool:
        return bool((tables["tasks"].weights == PRETRAINED).all())

    @cached_property
    def _hardware(self) -> Hardware:
        return Hardware(self.compute, self.mixed)

    @cached_property
    def _images(self) -> dict[str, ImageData]:
        """All data sets: one that is missing ends the run before any work."""
        with stage("data"):
            found = {}
            for name in self.data:
                inside = Path(self.folder, name) if self.folder and name in DATA else None
                found[name] = load_data(name, inside)
            return {
                name: balanced(data, PAPER_PER_CLASS[name], self.seed) if name in DATA else data
                for name, data in found.items()
            }

    @cached_property
    def _backbone(self) -> Backbone:
        with stage("backbone"):
            backbone = load_backbone(
                self.backbone, self.weights or None, task("pre-training the backbone"), self.seed
            )
        note("backbone", f"{backbone.name}, weights {backbone.weight_hash[:12]}")
        return backbone

    @property
    def _weights(self) -> str:
        return PRETRAINED if self._backbone.trained else RANDOM

    @cached_property
    def _tasks(self) -> list[Task]:
        """Every task with its features."""
        images, backbone = self._images, self._backbone
        small = is_small(backbone.network.get_submodule("classifier"))
        tasks = []
        for name, data in images.items():
            with stage("features"):
                features = extract_features(backbone, data, progress=task(f"features of {name}"))
                projected = None
                if not small:
                    progress = task(f"first products of {name}")
                    projected = projections(features, backbone.linears[0], progress)
            tasks.append(Task(name, data, features, projected))
        return tasks

    @cached_property
    def _memory(self) -> int:
        """Bytes that the largest training takes."""
        method = "tft" if "tft" in self.methods else "nt1"
        recipe = TuningRecipe(method, "rate", "cross_entropy", 0.1, 1)
        n_classes = max(len(data.classes) for data in self._images.values())
        classifier = build_classifier(self._backbone, recipe, n_classes)
        needed = training_memory(classifier, recipe.batch_size, self._hardware)
        note("memory of the largest training, GB", needed / 1e9)
        return needed

    def _tune(self, target: Task, recipes: Sequence[TuningRecipe], what: str) -> list[Outcome]:
        memory = self._memory / 1e9
        progress = task(f"{what} on {target.name}: {len(recipes)} trainings, {memory:.2g} GB")
        return tune_all(
            target.features, self._backbone, recipes, target.projected, self._hardware, progress
        )

    def _train_cells(self, target: Task) -> dict[Cell, list[Outcome]]:
        """Every cell of the tables that is wanted, with its runs."""
        cells = [cell for cell in cells_on(target.name) if self._wanted(cell)]
        n_outputs = self._backbone.linears[-1].out_features
        recipes = {
            cell: [recipe_of(cell, self.seed + run, n_outputs) for run in range(self.runs)]
            for cell in cells
        }
        every = list(dict.fromkeys(recipe for own in recipes.values() for recipe in own))
        outcomes = dict(zip(every, self._tune(target, every, "tables"), strict=True))
        return {cell: [outcomes[recipe] for recipe in own] for cell, own in recipes.items()}

    def _wanted(self, cell: Cell) -> bool:
        return (
            str(cell.table) in self.tables
            and cell.method in self.methods
            and bool(np.isclose(cell.lr, self.learning_rates, rtol=1e-6).any())
        )

    def _compare(self, target: Task) -> list[list[Outcome]]:
        """Runs of every contender, with the learning rate that was best on validation images."""
        if EQUAL not in self.tables:
            return []
        recipes = [
            TuningRecipe(method, "rate", "cross_entropy", float(lr), self.epochs,
                         seed=self.seed + run, layers=layers)
            for method, layers in CONTENDERS
            if method in self.methods
            for lr in self.candidates
            for run in range(self.runs)
        ]  # fmt: skip
        outcomes = self._tune(target, recipes, "comparison")
        runs = [outcomes[i : i + self.runs] for i in range(0, len(outcomes), self.runs)]
        rates = len(self.candidates)
        return [max(runs[i : i + rates], key=_validation) for i in range(0, len(runs), rates)]

    def _tasks_table(self) -> pd.DataFrame:
        """What each task is, and how far: what the network makes of it untuned."""
        rows = []
        for target in self._tasks:
            split, classes = target.features.split, len(target.features.classes)
            recipe = TuningRecipe("none", "rate", "cross_entropy", 0.1, 1, seed=self.seed)
            (untuned,) = self._tune(target, [recipe], "untuned")
            rows.append(
                {
                    "data": target.name,
                    "classes": classes,
                    "train_images": len(split.train),
                    "validation_images": len(split.validation),
                    "test_images": len(split.test),
                    "untuned_test_accuracy": untuned.accuracy["test"],
                    "chance": 1 / classes,
                    "backbone": self._backbone.name,
                    "source_test_accuracy": self._backbone.source_accuracy,
                }
            )
        return pd.DataFrame(rows)

    def _cells_table(self, cells: Mapping[str, Mapping[Cell, list[Outcome]]]) -> pd.DataFrame:
        """Cells of the tables wanted, measured or not: the paper's data first."""
        unmeasured = [
            cell for cell in published_cells() if cell.data not in cells and self._wanted(cell)
        ]
        measured = [pair for own in cells.values() for pair in own.items()]
        rows = [_row(cell, outcomes) for cell, outcomes in measured]
        rows += [_row(cell, []) for cell in unmeasured]
        table = pd.DataFrame(rows, columns=COLUMNS)
        return table.sort_values("table", kind="stable", ignore_index=True)


COLUMNS = [
    "table", "data", "kind", "method", "layers", "learning_rate", "batch_size", "epochs",
    "paper_accuracy", "measured", "runs", "trained_parameters", "validation_accuracy_mean",
    "validation_accuracy_sd", "test_accuracy_mean", "test_accuracy_sd",
]  # fmt: skip


def _row(cell: Cell, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The paper's number for a cell, and what was measured of it here."""
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


def _statistics(outcomes: Sequence[Outcome]) -> dict[str, Any]:
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
    """Tables 1 to 7 with a column for each learning rate, what was measured here first.

    Every cell has the paper's accuracy and the one measured here, in percent.
    """
    text = [
        f"{_percent(row.paper_accuracy)} / {_percent(row.validation_accuracy_mean)}"
        + (f" ± {_percent(row.validation_accuracy_sd)}" if row.runs > 1 else "")
        for row in table.itertuples()
    ]
    rows = ["table", "data", "kind", "method", "layers", "batch_size"]
    order = table.assign(
        cell=text, data=pd.Categorical(table.data, dict.fromkeys(table.data), ordered=True)
    )
    wide = order.pivot(index=rows, columns="learning_rate", values="cell")
    wide = wide.sort_index(axis="columns", ascending=False).fillna("").reset_index()
    names = [name if isinstance(name, str) else f"at {name:g}" for name in wide.columns]
    return wide.set_axis(names, axis="columns").astype({"data": str})


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f}"


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """Table 8 for every data set: best mean over learning rates, and trained parameters."""
    rows = []
    spiking = table[(table.table == 7) & (table.method != "none")]
    for (data, method), cells in spiking.groupby(["data", "method"], sort=False):
        best = cells.validation_accuracy_mean.max()
        at = cells[cells.validation_accuracy_mean == best]
        rows.append(
            {
                "data": data,
                "method": method,
                "paper_accuracy": TABLE_8.get(data, {}).get(method, np.nan),
                "paper_trained_parameters": TRAINED_8.get(data, {}).get(method, np.nan),
                "measured": cells.measured.iloc[0],
                "validation_accuracy_mean": best,
                "learning_rate": at.learning_rate.iloc[0] if len(at) else np.nan,
                "trained_parameters": cells.trained_parameters.iloc[0],
            }
        )
    return pd.DataFrame(rows)


def _equal_table(equal: Mapping[str, list[list[Outcome]]]) -> pd.DataFrame:
    """The comparison: one row for every task and contender, fewest trained parameters first."""
    rows = [
        {
            "data": data,
            "method": runs[0].recipe.method,
            "layers": runs[0].recipe.layers,
            "learning_rate": runs[0].recipe.lr,
            **_statistics(runs),
        }
        for data, contenders in equal.items()
        for runs in sorted(contenders, key=lambda runs: runs[0].n_trained)
    ]
    return pd.DataFrame(rows)


def _curves(equal: Mapping[str, list[list[Outcome]]]) -> pd.DataFrame:
    """Learning curves of the comparison, means over runs."""
    found = []
    for data, contenders in equal.items():
        for runs in contenders:
            mean = sum(run.history for run in runs) / len(runs)
            recipe = runs[0].recipe
            found.append(mean.assign(data=data, method=recipe.method, layers=recipe.layers))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _on_tasks(tasks: pd.DataFrame) -> str:
    untuned = ", ".join(
        f"{row.data} {100 * row.untuned_test_accuracy:.0f} %" for row in tasks.itertuples()
    )
    return (
        f"The network is {tasks.backbone[0]}. How far a task is from what it was trained on shows "
        f"in what it gets right untuned: {untuned}. Where a task has another number of classes "
        "than the network, a new output layer is trained too."
    )


def _on_table(table: pd.DataFrame) -> str:
    here = table[table.measured == "here"]
    there = sorted(set(table.data[table.measured != "here"]))
    text = (
        "Adam with a constant learning rate, no choice of any kind. A cell has the paper's "
        "accuracy on validation images / the one measured here, in percent, with the standard "
        "deviation over the runs; a dash is for what there is not. Test images and trained numbers "
        "are in table.csv. "
    )
    if there:
        text += f"Not measured here: {', '.join(there)}. "
    if len(here):
        text += f"Measured here: {', '.join(dict.fromkeys(here.data))}. "
    return text + "Until table 5 the paper has gains on the inputs of all layers, then on two."


def _on_equal(equal: pd.DataFrame) -> str:
    """What beats what, by more than both standard deviations together."""
    lines = []
    for data, rows in equal.groupby("data", sort=False):
        said = [
            f"with {count} numbers {gains.method} ({100 * gains.test_accuracy_mean:.0f} %) "
            + ", ".join(_verdict(gains, other) for other in others)
            for count, own in rows.groupby("trained_parameters")
            for gains, others in _matched(own)
        ]
        alone = [
            f"{row.method} has {row.trained_parameters} numbers and "
            f"{100 * row.test_accuracy_mean:.0f} %"
            for row in rows[rows.method.isin(["probe", "nt1_inputs", "tft"])].itertuples()
        ]
        lines.append(f"On {data}: {'; '.join([*said, *alone])}.")
    return (
        "Test images classified right, means over the runs; learning rates are those with "
        "the best mean on validation images. To beat, or to lose to, means by more than the two "
        "standard deviations together. A gain on every input and output of a layer (nt1_both) is "
        "as many numbers as a change of its weights of rank 1 (lora).\n\n" + "\n\n".join(lines)
    )


def _matched(rows: pd.DataFrame) -> Iterator[tuple[Any, list[Any]]]:
    """Gains, and the other methods with as many trained numbers, where there are any."""
    every = list(rows.itertuples())
    others = [row for row in every if not row.method.startswith("nt1")]
    for row in every:
        if row.method.startswith("nt1") and others:
            yield row, others


def _verdict(gains: Any, other: Any) -> str:
    ahead = gains.test_accuracy_mean - other.test_accuracy_mean
    margin = np.nansum([gains.test_accuracy_sd, other.test_accuracy_sd])
    word = "is level with" if abs(ahead) <= margin else "beats" if ahead > 0 else "loses to"
    return f"{word} {other.method} ({100 * other.test_accuracy_mean:.0f} %)"


def _plot_equal(axes: Any, rows: pd.DataFrame) -> None:
    for method, own in rows.groupby("method", sort=False):
        color, marker = STYLES[method]
        axes.errorbar(
            own.trained_parameters, 100 * own.test_accuracy_mean,
            100 * own.test_accuracy_sd.fillna(0), color=color, marker=marker, ms=5, lw=1,
            capsize=2, label=method,
        )  # fmt: skip
    axes.set(xscale="log", xlabel="trained parameters", ylim=(0, 103),
             ylabel="test images right (%)")  # fmt: skip


def _plot_curves(axes: Any, rows: pd.DataFrame) -> None:
    """Of what is tuned in all layers."""
    for method, own in rows[rows.layers == 0].groupby("method", sort=False):
        color, _ = STYLES[method]
        axes.plot(own.epoch, 100 * own.validation_accuracy, color=color, lw=1.2)
    axes.set(xlabel="epoch", ylim=(0, 103), ylabel="validation images right (%)")


def _plot_rates(axes: Any, cells: pd.DataFrame) -> None:
    """Rate networks of tables 2 and 3 against the learning rate; the paper's numbers dashed."""
    rows = cells[cells.table.isin([2, 3])].drop_duplicates(["method", "learning_rate"])
    for method, own in rows.sort_values("learning_rate").groupby("method", sort=False):
        color, marker = STYLES[method]
        axes.plot(own.learning_rate, 100 * own.validation_accuracy_mean, color=color,
                  marker=marker, ms=4, label=method)  # fmt: skip
        axes.plot(own.learning_rate, 100 * own.paper_accuracy, "--", color=color, lw=0.8)
    axes.set(xscale="log", xlabel="learning rate (tables 2 and 3)", ylim=(0, 103),
             ylabel="validation images right (%)")  # fmt: skip


PANELS = {"equal": _plot_equal, "curves": _plot_curves, "table": _plot_rates}
