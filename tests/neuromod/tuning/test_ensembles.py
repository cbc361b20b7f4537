"""Members of an ensemble as adapters of one model, in one batch, against one after another."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import adapter_in_use, adapter_names, attach, use_adapter  # noqa: E402
from neuromod.tuning.ensembles import add_members, outputs_of_members  # noqa: E402
from neuromod.tuning.methods.gained import gained_layers  # noqa: E402


def network():
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 13), nn.ReLU(), nn.Linear(13, 3)
    )
    attach(model, "nt1")
    return model


def sets(members):
    return np.random.default_rng(5).normal(1, 1, (members, 4 + 13 + 3))


def test_all_members_in_one_batch_put_out_what_each_does_alone():
    model, images = network(), torch.randn(7, 1, 6, 6)
    names = add_members(model, sets(5))
    together = outputs_of_members(model, names, images)
    assert together.shape == (5, 7, 3)
    for found, gains in zip(together, sets(5), strict=True):
        alone = network()
        with torch.no_grad():
            for layer, own in zip(
                gained_layers(alone), np.split(gains, np.cumsum([4, 13])), strict=True
            ):
                layer.gain.copy_(torch.from_numpy(own))
            torch.testing.assert_close(found, alone(images), atol=1e-6, rtol=1e-6)


def test_the_model_goes_on_with_the_adapter_that_it_used():
    model, images = network(), torch.randn(7, 1, 6, 6)
    before = model(images)
    names = add_members(model, sets(3))
    outputs_of_members(model, names, images)
    assert adapter_names(model) == ["default", "member 1", "member 2", "member 3"]
    assert adapter_in_use(model) == "default"
    assert torch.equal(model(images), before)
    use_adapter(model, "member 2")
    assert not torch.allclose(model(images), before)


def test_a_set_of_another_size_is_refused_before_any_is_added():
    model = network()
    with pytest.raises(UserError, match=r"Member 2 has gains of shape \(19,\), .* has 20 gains"):
        add_members(model, [np.ones(20), np.ones(19)])
    assert adapter_names(model) == ["default"]
