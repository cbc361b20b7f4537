"""Train whole networks on samples of a new task. Finished trainings are kept on disk."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from neuromod.errors import UserError
from neuromod.support.cache import digest, spared, to_keep, where_kept
from neuromod.support.machine import GB, memory
from neuromod.tuning.backbone import Backbone
from neuromod.tuning.datasets.images import ImageData, IntArray
from neuromod.tuning.grid import read_content, write_content
from neuromod.tuning.hardware import CPU, Hardware, is_small, threads_for
from neuromod.tuning.row_file import Progress
from neuromod.tuning.whole_network import (
    CONTENDERS,
    WAYS,
    Contender,
    WholeRecipe,
    check_bottleneck,
    check_outputs,
    head_of,
    whole_network,
    why_not,
)

log = logging.getLogger(__name__)

VERSION = 1
"""Increased with every change of the code that changes the result of a training."""

HELD = 2 * GB
"""Bytes of prepared samples that are held; more are prepared again in every epoch (chosen)."""

EVALUATED_AT_ONCE = 64
"""Samples in memory at a time while an accuracy is measured (chosen)."""


FINALISTS = 2
"""Learning rates of a way that are tried with all seeds (chosen)."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Prepared samples of a task, such as images, and how a network takes them.

    Attributes
    ----------
    held : Tensor or None
        All samples of the split in the order of its rows, if they are few enough.
    """

    data: ImageData
    backbone: Backbone
    held: Tensor | None

    def load(self, indices: IntArray) -> Tensor:
        """Samples with these indices, as the network takes them."""
        if self.held is None:
            return torch.stack([self._prepare(int(i)) for i in indices])
        return self.held[torch.from_numpy(np.searchsorted(self.data.split.rows, indices))]

    def labels(self, indices: IntArray) -> Tensor:
        """Their labels."""
        return torch.from_numpy(self.data.labels[indices])

    def _prepare(self, index: int) -> Tensor:
        return self.backbone.image.prepare(self.data.image(index))

    @cached_property
    def identity(self) -> str:
        """Hash of all that the samples, their labels and their split depend on."""
        parts = [part.tolist() for part in vars(self.data.split).values()]
        labels = self.data.labels.tolist()
        return digest([self.data.identity, asdict(self.backbone.image), labels, parts])


def prepare_samples(
    backbone: Backbone, data: ImageData, batch_size: int = 32, progress: Progress | None = None
) -> Samples:
    """Prepare a task's samples once for all trainings, if they are few enough to be held.

    Parameters
    ----------
    batch_size : int
        Of the trainings to come: what they need of memory is refused if it is not there.
    progress : callable, optional
        Called with samples done and in all.

    Raises
    ------
    UserError
        If memory does not suffice, the last linear layer is not the network's head, or the samples
        are of another kind than the network takes.
    """
    backbone.check(data)
    rows = data.split.rows
    first = backbone.image.prepare(data.image(int(rows[0])))
    check_outputs(backbone.network, first, backbone.name)
    size = len(rows) * first.numel() * first.element_size()
    held = size <= HELD
    needed = whole_memory(backbone.network, first, batch_size) + (size if held else 0)
    if needed > memory():
        raise UserError(
            f"Tuning all of {backbone.name} on {data.name} needs {needed / GB:.3g} GB of memory, "
            f"and this machine gives {memory() / GB:.3g} GB: take samples of fewer pixels or a "
            "smaller network."
        )
    if not held:
        return Samples(data, backbone, None)
    tensors = torch.empty(len(rows), *first.shape, dtype=first.dtype)
    for place, row in enumerate(rows):
        tensors[place] = backbone.image.prepare(data.image(int(row)))
        if progress:
            progress(place + 1, len(rows))
    return Samples(data, backbone, tensors)


def whole_memory(network: nn.Module, sample: Tensor, batch_size: int) -> int:
    """Return the bytes that tuning a whole network takes at least, without those of torch.

    They hold every number five times (itself, its start, its gradient and Adam's two moments), as
    full tuning needs, and what every layer gives for a batch, twice: gains keep a layer's product
    and what they make of it.
    """
    given = 0

    def count(_: nn.Module, __: Any, output: Any) -> None:
        nonlocal given
        given += output.numel() * output.element_size() if isinstance(output, Tensor) else 0

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(count) for module in leaves]
    try:
        with torch.no_grad():
            network(sample[None])
    finally:
        for hook in hooks:
            hook.remove()
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    return 5 * weights + 2 * batch_size * given


@dataclass(frozen=True, eq=False)
class WholeOutcome:
    """How a whole network's training went.

    Attributes
    ----------
    n_trained : int
        Number of trained parameters, those of a fresh head included.
    n_head : int
        Number of parameters of a fresh head, which every method trains; 0 if the head stayed.
    accuracy : dict
        Fraction of the "validation" and "test" samples classified right.
    losses : list of float
        Mean over the batches of each epoch.
    seconds : float
        That the training took when it was done.
    network : nn.Module or None
        Tuned, in evaluation mode; None if the outcome was kept.
    """

    recipe: WholeRecipe
    n_trained: int
    n_head: int
    accuracy: dict[str, float]
    losses: list[float]
    seconds: float
    network: nn.Module | None = None


def tune_whole(
    samples: Samples,
    recipe: WholeRecipe,
    hardware: Hardware = CPU,
    progress: Progress | None = None,
    embedded: Samples | None = None,
) -> WholeOutcome:
    """Tune a whole network on samples of a new task. The last epoch's network is the result.

    Parameters
    ----------
    progress : callable, optional
        Called with epochs done and in all.
    embedded : Samples, optional
        Their head's inputs, from `embed`: where the head alone is trained, they are read instead.

    Returns
    -------
    WholeOutcome
        Always the same on one machine for the same recipe, backbone and samples.
    """
    began = perf_counter()
    headed = whole_network(samples.backbone.network, recipe, len(samples.data.classes))
    network = headed.network
    alone = recipe.method == "probe" and (recipe.head == "replace" or not headed.fresh)
    if alone and embedded is not None:
        network, samples = network.get_submodule(headed.head), embedded
    with threads_for(headed.network):
        network = _placed(network, hardware)
        losses = _fit(network, samples, recipe, hardware, progress)
        split = samples.data.split
        parts = {"validation": split.validation, "test": split.test}
        accuracy = {name: _right(network, samples, own, hardware) for name, own in parts.items()}
    seconds = perf_counter() - began
    found = headed.n_trained, headed.n_head, accuracy, losses, seconds
    return WholeOutcome(recipe, *found, headed.network.cpu())


def embed(samples: Samples, hardware: Hardware = CPU) -> Samples:
    """Compute what a backbone's head reads of all samples, which stays if the head alone learns."""
    network = deepcopy(samples.backbone.network)
    read: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        read.append(inputs[0].flatten(1).cpu())

    with threads_for(network), torch.no_grad():
        network.get_submodule(head_of(network)).register_forward_pre_hook(keep)
        placed = _placed(network, hardware)
        for batch in _batches(samples.data.split.rows, EVALUATED_AT_ONCE):
            placed(_on(samples.load(batch), network, hardware))
    return replace(samples, held=torch.cat(read))


def _placed(network: nn.Module, hardware: Hardware) -> nn.Module:
    """A network on the device, with channels last if it is large, which is faster (measured)."""
    network = network.to(hardware.device)
    return network if is_small(network) else network.to(memory_format=torch.channels_last)


def _on(x: Tensor, network: nn.Module, hardware: Hardware) -> Tensor:
    x = x.to(hardware.device)
    last = x.dim() == 4 and not is_small(network)
    return x.contiguous(memory_format=torch.channels_last) if last else x


def _batches(indices: IntArray, size: int) -> Iterator[IntArray]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _fit(
    network: nn.Module,
    samples: Samples,
    recipe: WholeRecipe,
    hardware: Hardware,
    progress: Progress | None,
) -> list[float]:
    """Train what needs a gradient. Returns the loss of each epoch, fewer if training diverged."""
    trained = [p for p in network.parameters() if p.requires_grad]
    train = samples.data.split.train
    optimizer = torch.optim.Adam(trained, lr=recipe.lr)
    steps = recipe.epochs * math.ceil(len(train) / recipe.batch_size)
    schedule = CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(recipe.seed)
    losses: list[float] = []
    for epoch in range(1, recipe.epochs + 1):
        order = torch.randperm(len(train), generator=generator).numpy()
        batches = list(_batches(train[order], recipe.batch_size))
        total = 0.0
        for batch in batches:
            optimizer.zero_grad()
            with hardware.precision():
                outputs = network(_on(samples.load(batch), network, hardware))
                labels = samples.labels(batch).to(hardware.device)
                loss = nn.functional.cross_entropy(outputs, labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        losses.append(total / len(batches))
        if progress:
            progress(epoch, recipe.epochs)
        if not math.isfinite(total):
            log.warning("%s at learning rate %g diverged.", recipe.method, recipe.lr)
            break
    return losses


@torch.no_grad()
def _right(network: nn.Module, samples: Samples, indices: IntArray, hardware: Hardware) -> float:
    """Fraction of samples classified right; outputs that are no numbers are wrong."""
    right = 0
    for batch in _batches(indices, EVALUATED_AT_ONCE):
        with hardware.precision():
            outputs = network(_on(samples.load(batch), network, hardware)).float().cpu()
        agree = outputs.argmax(1) == samples.labels(batch)
        right += int((agree & outputs.isfinite().all(1)).sum())
    return right / len(indices)


def compare(
    samples: Samples,
    seeds: Sequence[int],
    epochs: int,
    head: str = "replace",
    contenders: Sequence[Contender] = CONTENDERS,
    hardware: Hardware = CPU,
    progress: Progress | None = None,
) -> dict[Contender, list[WholeOutcome]]:
    """Tune a whole network in several ways, each at the learning rate that suits it.

    Each way's learning rate is one of its `WAYS` candidates. They are tried with the first seed,
    from the lowest, until one collapses: it gets less than half as much of the validation samples
    right as the best before it. The two best are tried with the other seeds, because a rate can
    suit one seed and diverge with the next; the one with the better mean on validation samples is
    taken, and of equal ones that with the lower loss. Ways that do not fit the network are left
    out: `why_not` says why.

    Parameters
    ----------
    seeds : sequence of int
    head : str
        As in `WholeRecipe`.
    progress : callable, optional
        Called with epochs done and in all, without those of finished trainings.

    Returns
    -------
    dict of Contender to list of WholeOutcome
        One outcome for each seed. Of finished trainings, kept on disk.
    """
    network, n_classes = samples.backbone.network, len(samples.data.classes)
    if head == "append":
        last = network.get_submodule(head_of(network))
        assert isinstance(last, nn.Linear)
        check_bottleneck(n_classes, last.out_features)
    fitting = [each for each in contenders if not why_not(network, each.method)]
    grid = _Grid(samples, hardware, progress)
    tried = {
        each: [
            WholeRecipe(each.method, lr, epochs, seed=seeds[0], rank=each.rank, head=head)
            for lr in WAYS[each.method].rates
        ]
        for each in fitting
    }
    grid.expect([recipe for own in tried.values() for recipe in own])
    grid.left += epochs * len(fitting) * FINALISTS * (len(seeds) - 1)
    found = {}
    for each, recipes in tried.items():
        first = sorted(_until_collapse(map(grid.tune, recipes)), key=lambda one: _merit([one]))
        runs = [
            [one, *(grid.tune(replace(one.recipe, seed=seed)) for seed in seeds[1:])]
            for one in first[-FINALISTS:]
        ]
        found[each] = max(runs, key=_merit)
    return found


def _until_collapse(outcomes: Iterator[WholeOutcome]) -> Iterator[WholeOutcome]:
    """Outcomes from the lowest rate up to the first that collapses."""
    best = 0.0
    for outcome in outcomes:
        yield outcome
        share = outcome.accuracy["validation"]
        if share < best / 2:
            return
        best = max(best, share)


def _merit(runs: Sequence[WholeOutcome]) -> tuple[float, float]:
    """Mean accuracy on validation samples, and how low the loss is."""
    losses = [run.losses[-1] for run in runs]
    loss = sum(losses) / len(losses)
    share = sum(run.accuracy["validation"] for run in runs) / len(runs)
    return share, -loss if math.isfinite(loss) else -math.inf


class _Grid:
    """Trainings of one task that are done once and kept."""

    def __init__(self, samples: Samples, hardware: Hardware, progress: Progress | None) -> None:
        self.samples, self.hardware, self.progress = samples, hardware, progress
        self.done, self.left = 0, 0
        versions = map(version, ("brian2-neuromod", "torch"))
        backbone = samples.backbone
        given = [hardware.device, hardware.mixed, *versions]
        self.task = ["whole", VERSION, backbone.weight_hash, samples.identity, *given]

    def expect(self, recipes: Sequence[WholeRecipe]) -> None:
        """Count the epochs of trainings that are not kept."""
        self.left = sum(r.epochs for r in recipes if not where_kept(self._name(r)).is_file())

    def tune(self, recipe: WholeRecipe) -> WholeOutcome:
        """The outcome of a recipe, from disk if it is there."""
        name = self._name(recipe)
        if (kept := _read(where_kept(name), recipe)) is not None:
            return kept
        outcome = tune_whole(self.samples, recipe, self.hardware, self._count, self._embedded)
        self.done += recipe.epochs
        with spared():
            fields = ("n_trained", "n_head", "accuracy", "losses", "seconds")
            write_content(to_keep(name), {field: getattr(outcome, field) for field in fields})
        return replace(outcome, network=None)

    def _count(self, epoch: int, _: int) -> None:
        if self.progress:
            self.progress(self.done + epoch, max(self.left, self.done + epoch))

    @cached_property
    def _embedded(self) -> Samples:
        return embed(self.samples, self.hardware)

    def _name(self, recipe: WholeRecipe) -> str:
        return f"tuned-{digest([self.task, asdict(recipe)])[:20]}.json"


def _read(path: Path, recipe: WholeRecipe) -> WholeOutcome | None:
    if not path.is_file():
        return None
    try:
        return WholeOutcome(recipe, **read_content(path))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        log.warning("%s is damaged or not neuromod's: the network is tuned anew.", path)
        return None
