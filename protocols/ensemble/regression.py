"""Ensembles that regress: how a disease progresses in a year, in scikit-learn's diabetes patients.

A small network is pre-trained on the younger half of the patients, and tuned on the older half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from neuromod.analysis.gaussian_ensembles import ambiguity, coverage, gaussian_nll, mixture, rmse
from neuromod.protocols.ensemble.members import Draw, draws, groups_for, network, numbers_in, widest
from neuromod.tuning.attachment import attach
from neuromod.tuning.hardware import threads_for
from neuromod.tuning.methods.gained import gained_layers, share_gains
from neuromod.tuning.trained import trained_parameters

WIDTHS = (10, 30, 30, 1)
"""Of the network (chosen here): it has as many neurons as a network 10-5-1 has numbers."""

TRAIN, VALIDATION = 0.4, 0.2
"""Shares of the older patients; the rest are the test (chosen here: there are few of them)."""

BATCH = 32
"""Patients at a time (chosen here)."""


@dataclass(frozen=True)
class Fitting:
    """Adam on the squared error, with a learning rate that falls to zero as a cosine."""

    lr: float
    epochs: int


PRETRAINING, GAINS = Fitting(3e-3, 15), Fitting(1e-2, 20)
SMALL, FULL = Fitting(1e-2, 50), Fitting(3e-3, 20)
"""Calibrated here by the error on validation patients."""

SPREAD = 0.3
"""Standard deviation of gains at the start, about 1, where members differ in it (calibrated here by
the same error)."""


@dataclass(frozen=True, eq=False)
class Patients:
    """The patients, standardised by the mean and deviation of the younger half.

    Attributes
    ----------
    inputs : Tensor, shape (patients, 10)
    outputs : Tensor, shape (patients, 1)
    scale : float
        Standard deviation of the younger half's progression, in its own units.
    source, train, validation, test : ndarray of int
        The younger half, and parts of the older half.
    """

    inputs: Tensor
    outputs: Tensor
    scale: float
    source: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @classmethod
    def split(cls, generator: np.random.Generator) -> Patients:
        """Split the older half at random."""
        x, y = load_diabetes(return_X_y=True, scaled=False)
        by_age = np.argsort(x[:, 0], kind="stable")
        source, target = np.split(by_age, 2)
        ends = np.round(np.cumsum([TRAIN, VALIDATION]) * len(target)).astype(int)
        parts = np.split(generator.permutation(target), ends)
        inputs, outputs = (
            torch.from_numpy((v - v[source].mean(axis=0)) / v[source].std(axis=0)).float()
            for v in (x, y[:, None])
        )
        return cls(inputs, outputs, float(y[source].std()), source, *parts)


Predict = Callable[[Tensor], np.ndarray]
"""What all members predict of some patients, standardised, shape (members, patients)."""


@dataclass(frozen=True, eq=False)
class Regression:
    """All that one seed predicts.

    Attributes
    ----------
    seed, members : int
    """

    seed: int
    members: int

    @cached_property
    def patients(self) -> Patients:
        """Who is trained on, and who is predicted."""
        return Patients.split(np.random.default_rng(self.seed))

    @cached_property
    def backbone(self) -> nn.Sequential:
        """The pre-trained network, which is never changed."""
        model = network(WIDTHS, self.seed)
        source = self.patients.source
        fit(
            model,
            self.patients.inputs[source],
            self.patients.outputs[source],
            PRETRAINING,
            self.seed,
        )
        return model

    fresh: ClassVar[tuple[str, ...]] = ("small", "full")
    """Networks that start anew."""

    @property
    def numbers(self) -> int:
        """Gains of a set."""
        return sum(WIDTHS[1:])

    @cached_property
    def draws(self) -> list[Draw]:
        """What is random in each member."""
        return draws(self.seed, self.members, self.numbers, len(self.patients.train))

    def gained(self, way: str) -> Predict:
        """Members that are sets of gains."""
        found = []
        for draw in self.draws:
            model = self._tunable("nt1")
            share_gains(model, np.arange(self.numbers), draw.start(way, SPREAD))
            found.append(
                self._fitted(model, draw.samples(way, self.patients.train), GAINS, draw.seed)
            )
        return partial(_outputs, found)

    def grouped(self, members: int) -> Predict:
        """One network with as many gains as that many sets."""
        model = self._tunable("nt1_groups", groups=groups_for(members))
        return partial(
            _outputs, [self._fitted(model, self.patients.train, GAINS, self.draws[0].seed)]
        )

    def anew(self, way: str) -> Predict:
        """Networks of their own: small ones, with as many numbers as a set, or of full size."""
        widths, how = self._widths(way), FULL if way == "full" else SMALL
        train, seeds = self.patients.train, [draw.seed for draw in self.draws]
        found = [self._fitted(network(widths, seed), train, how, seed) for seed in seeds]
        return partial(_outputs, found)

    def linear(self, inputs: Tensor) -> np.ndarray:
        """Linear regression on the same patients."""
        train = self.patients.train
        found = LinearRegression().fit(self.patients.inputs[train], self.patients.outputs[train])
        return np.asarray(found.predict(inputs), dtype=float).T

    def numbers_of(self, way: str) -> int:
        """Weights and biases of a network that starts anew."""
        return numbers_in(self._widths(way))

    def scores(self, predict: Predict, size: int, level: float) -> dict[str, float]:
        """Scores of the first members, in units of the progression.

        What a member's errors are like, validation patients tell.
        """
        known, test = self._predicted(predict, "validation"), self._predicted(predict, "test")
        errors = np.square(known[0] - known[1])[:size].mean(axis=1)
        means, truth = test[0][:size], test[1]
        found = mixture(means, errors)
        apart = np.sqrt(np.square(means - truth).mean(axis=1))
        return {
            "rmse": rmse(found, truth),
            "nll": gaussian_nll(found, truth),
            "coverage": coverage(found, truth, level),
            "member_rmse": float(apart.mean()),
            "best_member_rmse": float(apart.min()),
            "ambiguity": ambiguity(means),
        }

    def _predicted(self, predict: Predict, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of all members for a part of the patients, and the truth."""
        own, rows = self.patients, getattr(self.patients, part)
        return own.scale * predict(own.inputs[rows]), own.scale * own.outputs[rows, 0].numpy()

    def _widths(self, way: str) -> tuple[int, ...]:
        if way == "linear":
            return WIDTHS[0], 1
        return WIDTHS if way == "full" else (WIDTHS[0], widest(WIDTHS[0], 1, self.numbers), 1)

    def _tunable(self, method: str, **options: Any) -> nn.Sequential:
        model = network(WIDTHS, self.seed)
        model.load_state_dict(self.backbone.state_dict())
        attach(model, method, **options)
        return model

    def _fitted(
        self, model: nn.Sequential, rows: np.ndarray, how: Fitting, seed: int
    ) -> nn.Sequential:
        fit(model, self.patients.inputs[rows], self.patients.outputs[rows], how, seed)
        return model


@torch.no_grad()
def _outputs(models: Sequence[nn.Module], inputs: Tensor) -> np.ndarray:
    return torch.stack([model(inputs).squeeze(1) for model in models]).double().numpy()


def fit(model: nn.Module, x: Tensor, y: Tensor, how: Fitting, seed: int) -> None:
    """Train a model in place, on batches whose order a seed draws."""
    parameters = trained_parameters(model) if gained_layers(model) else list(model.parameters())
    optimizer = torch.optim.Adam(parameters, lr=how.lr)
    schedule = CosineAnnealingLR(optimizer, how.epochs * -(-len(x) // BATCH))
    generator = torch.Generator().manual_seed(seed)
    with threads_for(model):
        for _ in range(how.epochs):
            for batch in torch.randperm(len(x), generator=generator).split(BATCH):
                optimizer.zero_grad()
                nn.functional.mse_loss(model(x[batch]), y[batch]).backward()
                optimizer.step()
                schedule.step()
