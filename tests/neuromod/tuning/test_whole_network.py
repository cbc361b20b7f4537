"""What each way of tuning a whole network trains, and the head that it gets."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.whole_network import (  # noqa: E402
    CONTENDERS,
    WAYS,
    WholeRecipe,
    check_outputs,
    for_classes,
    whole_network,
    why_not,
)


def mobile(outputs: int = 7) -> nn.Module:
    """An inverted bottleneck, as EfficientNet's: widen 3 to 6, depthwise, narrow to 4."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(4, outputs),
    )
    return network.eval().requires_grad_(False)


def trained(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


HEAD = 4 * 3 + 3


@pytest.mark.parametrize(
    ("method", "rank", "count"),
    [
        # A gain per channel of the three convolutions.
        ("nt1", 1, 6 + 6 + 4),
        # They have no biases: BatchNorm's are what BitFit trains.
        ("biases", 1, 6 + 6 + 4),
        ("norm", 1, 2 * (6 + 6 + 4)),
        # The inputs of the one layer that narrows.
        ("ia3", 1, 6),
        # Inputs and channels of the pointwise convolutions, for each rank.
        ("lora", 1, (3 + 6) + (6 + 4)),
        ("lora", 4, 4 * ((3 + 6) + (6 + 4))),
        ("probe", 1, 0),
        ("tft", 1, 3 * 6 + 6 * 9 + 6 * 4 + 2 * (6 + 6 + 4)),
    ],
)
def test_a_method_trains_its_numbers_and_the_new_head(method, rank, count):
    headed = whole_network(mobile(), WholeRecipe(method, 0.013, 1, rank=rank), 3)
    assert headed.n_head == HEAD
    assert headed.n_trained == trained(headed.network) == count + HEAD
    assert not any(module.training for module in headed.network.modules())


def test_all_methods_of_a_seed_start_from_the_same_outputs():
    x = torch.rand(5, 3, 6, 7, generator=torch.Generator().manual_seed(2))
    starts = [
        whole_network(mobile(), WholeRecipe(c.method, 0.013, 1, seed=4, rank=c.rank), 3).network(x)
        for c in CONTENDERS
    ]
    for start in starts:
        torch.testing.assert_close(start, starts[0])
    other = whole_network(mobile(), WholeRecipe("nt1", 0.013, 1, seed=5), 3).network(x)
    assert not torch.allclose(other, starts[0])


def test_the_network_that_is_given_stays_as_it_was():
    network = mobile()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for method in WAYS:
        whole_network(network, WholeRecipe(method, 0.013, 1), 3)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert type(network[0]) is nn.Conv2d
    assert trained(network) == 0


def test_a_head_that_fits_stays_and_is_tuned_as_any_layer():
    network = mobile(outputs=3)
    headed = whole_network(network, WholeRecipe("nt1", 0.013, 1), 3)
    assert headed.n_head == 0
    assert headed.n_trained == 6 + 6 + 4 + 3
    assert torch.equal(headed.network[11].weight, network[11].weight)
    probe = whole_network(network, WholeRecipe("probe", 0.013, 1), 3)
    assert probe.n_trained == HEAD


def test_an_appended_head_reads_the_outputs_and_never_fewer_than_classes():
    headed = for_classes(mobile(), 3, "append")
    assert headed.n_head == 7 * 3 + 3
    assert whole_network(mobile(), WholeRecipe("nt1", 0.1, 1, head="append"), 3).n_trained == (
        6 + 6 + 4 + 7 + headed.n_head
    )
    with pytest.raises(UserError, match="8 classes behind 7 outputs is a bottleneck"):
        for_classes(mobile(), 8, "append")


def test_a_way_that_has_nothing_to_tune_says_why():
    network = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.Flatten(), nn.Linear(5, 5, False))
    for method, reason in {"norm": "normalisation", "biases": "no biases", "ia3": "keys"}.items():
        assert reason in why_not(network, method)
        with pytest.raises(UserError, match=f"{method} does not fit Sequential"):
            whole_network(network, WholeRecipe(method, 0.013, 1), 5)
    assert not why_not(network, "nt1")


def test_ia3_puts_gains_on_a_transformer_s_keys_values_and_narrowing_layers():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
            self.up, self.down, self.out = nn.Linear(8, 20), nn.Linear(20, 8), nn.Linear(8, 9)

    headed = whole_network(Block(), WholeRecipe("ia3", 0.013, 1), 9)
    assert headed.n_trained == 8 + 8 + 20


def test_a_network_whose_last_linear_layer_gives_no_outputs_is_refused():
    gate = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Unflatten(1, (2, 3)))
    with pytest.raises(UserError, match="gate has outputs that its last linear layer"):
        check_outputs(gate, torch.rand(3, 2, 2), "gate")
    scaled = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Softmax(1))
    with pytest.raises(UserError, match="scaled has outputs that its last linear layer"):
        check_outputs(scaled, torch.rand(3, 2, 2), "scaled")
    with pytest.raises(UserError, match="no linear layer that could be its head"):
        for_classes(nn.Conv2d(3, 2, 1), 2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"method": "nt7"}, "no way of tuning a whole network named 'nt7'"),
        ({"head": "prepend"}, "no head named 'prepend'"),
        ({"lr": 0.0}, "lr is 0.0, but must be greater than 0"),
        ({"epochs": 0}, "epochs is 0, but must be greater than 0"),
        ({"rank": 2}, "rank is of lora, and nt1 has none"),
    ],
)
def test_recipes_that_cannot_be_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        WholeRecipe(**{"method": "nt1", "lr": 0.013, "epochs": 2} | settings)
