"""What plasticity costs: a training step of a plastic network against one without plasticity.

Both have the same size and the same episodes; they take turns in the same run. Run with
``pytest tests/benchmarks``.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neuromod.plasticity.network import NETWORKS, PlasticNetwork, Shape  # noqa: E402
from neuromod.plasticity.tasks import CueAssociation, Difficulty, Episodes  # noqa: E402

TASK, DIFFICULTY = CueAssociation(), Difficulty(20.0, 0.15)
BATCH, DT_S = 32, 5e-3
ROUNDS = 7
PLASTIC = [(network, "direct") for network in list(NETWORKS)[1:]] + [
    ("modulated-oja", "eligibility")
]


def seconds(network: PlasticNetwork, optimizer: torch.optim.Adam, episodes: Episodes) -> float:
    """CPU time, in one thread, of one step: forward, backward, and Adam."""
    started = time.process_time()
    optimizer.zero_grad()
    answer = network(episodes.spikes)[:, -episodes.response :].mean(1)
    torch.nn.functional.cross_entropy(answer, episodes.labels).backward()
    optimizer.step()
    return time.process_time() - started


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [20, 80])
@pytest.mark.parametrize(("network", "gate"), PLASTIC)
def test_cost_of_plasticity_to_a_training_step(benchmark, network, gate, hidden):
    episodes = TASK.draw(np.random.default_rng(1), BATCH, DIFFICULTY, DT_S)
    compared = [
        PlasticNetwork(Shape(TASK.inputs, hidden, TASK.outputs, name, gate), seed=1)
        for name in (network, "none")
    ]
    optimizers = [torch.optim.Adam(net.parameters()) for net in compared]
    taken: list[list[float]] = []

    def both() -> None:
        pairs = zip(compared, optimizers, strict=True)
        taken.append([seconds(net, optimizer, episodes) for net, optimizer in pairs])

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        benchmark.pedantic(both, rounds=ROUNDS, warmup_rounds=1)
    finally:
        torch.set_num_threads(threads)
    plastic, fixed = np.min(taken[1:], axis=0)
    benchmark.extra_info.update(plastic_s=plastic, fixed_s=fixed, ratio=plastic / fixed)
    print(
        f"\n{network} ({gate}), {hidden} neurons, {episodes.spikes.shape[1]} steps: "
        f"{1e3 * plastic:.1f} ms against {1e3 * fixed:.1f} ms, ratio {plastic / fixed:.2f}"
    )
