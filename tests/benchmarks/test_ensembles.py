"""What members of an ensemble cost as adapters in one batch, against one after another.

Run with ``pytest tests/benchmarks/test_ensembles.py -s``. Times are in one process, by turns, the
least of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from neuromod.tuning import attach, use_adapter
from neuromod.tuning.ensembles import add_members, outputs_of_members
from neuromod.tuning.hardware import threads_for

MEMBERS, ROUNDS = 8, 30
WIDTHS = {"the demo's classifier": (384, 96, 72, 5), "sixteen times as wide": (384, 1536, 1152, 5)}


def least(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize("images", [1, 32, 269])
def test_one_batch_of_members_against_one_after_another(name: str, images: int) -> None:
    first, second, third, classes = WIDTHS[name]
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(first, second), nn.ReLU(), nn.Linear(second, third), nn.ReLU(),
        nn.Linear(third, classes),
    )  # fmt: skip
    attach(model, "nt1")
    gains = np.random.default_rng(1).normal(1, 1, (MEMBERS, second + third + classes))
    members, x = add_members(model, gains), torch.rand(images, first)

    @torch.no_grad()
    def in_turn() -> torch.Tensor:
        found = []
        for member in members:
            use_adapter(model, member)
            found.append(model(x))
        return torch.stack(found)

    def together() -> torch.Tensor:
        return outputs_of_members(model, members, x)

    with threads_for(model):
        torch.testing.assert_close(together(), in_turn(), atol=1e-4, rtol=1e-4)
        ratio = least(together) / least(in_turn)
    print(
        f"\n{name}, {images} images: {MEMBERS} members in one batch take {ratio:.2f} times as long"
    )
