"""A tuned model is checked before it is trained: what does nothing is named, nothing changes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import attach, check, merge  # noqa: E402
from neuromod.tuning.hardware import seeded  # noqa: E402


class Branched(nn.Module):
    """One of whose layers is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(5, 4), nn.Linear(5, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.head(self.used(x).relu())}


class Rounded(nn.Linear):
    """A forward of its own, in which a gain and a weight that holds it are not the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = 0.1 * x.new_ones(()) if "NT1" in type(self).__name__ else 0.0
        return super().forward(x) + change


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.randn(7, 5, generator=torch.Generator().manual_seed(3))


def perceptron() -> nn.Sequential:
    with seeded(8):
        return nn.Sequential(
            nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Dropout(0.4), nn.ReLU(), nn.Linear(6, 3)
        )


@pytest.mark.parametrize("method", ["nt1", "nt1_both", "lora", "tft", "nt2"])
def test_nothing_is_found_where_all_is_well(method, batch):
    model = perceptron().eval()
    attach(model, method)
    findings = check(model, batch)
    assert not findings, findings
    assert str(findings) == "All is well."


def test_layers_without_gradient_are_named(batch):
    with seeded(4):
        model = Branched()
    attach(model, "nt1")
    findings = check(model, {"x": batch})
    assert findings.without_gradient == ("unused",)
    assert str(findings) == "unused get no gradient."


def test_batch_normalisation_in_training_mode_is_named_and_stays_as_it_was(batch):
    model = perceptron().train()
    attach(model, "nt1")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    findings = check(model, (batch,))
    assert findings.in_training_mode == ("1",)
    assert not findings.without_gradient
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_layer_that_merging_would_change_is_named(batch):
    with seeded(4):
        model = nn.Sequential(nn.Linear(5, 4), Rounded(4, 3)).eval()
    attach(model, "nt1")
    assert check(model, batch).not_merged_alike == ("1",)


def test_what_cannot_be_checked_is_told(batch):
    with pytest.raises(UserError, match="has no tuned layers: attach a method first"):
        check(perceptron(), batch)
    model = perceptron().eval()
    attach(model, "nt1")
    merge(model)
    with pytest.raises(UserError, match="are merged: unmerge it first"):
        check(model, batch)
