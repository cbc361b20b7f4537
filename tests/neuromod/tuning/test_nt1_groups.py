import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import attach, merge, share_gains  # noqa: E402
from neuromod.tuning.methods import nt1_groups  # noqa: E402


def tuned(groups: int, inputs: int = 5, neurons: int = 3) -> nn.Sequential:
    """A linear layer with gains drawn from 0.4 to 1.9, in double precision."""
    generator = torch.Generator().manual_seed(7)
    linear = nn.Linear(inputs, neurons).double()
    for parameter in linear.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.double)
    model = nn.Sequential(linear)
    attach(model, "nt1_groups", groups=groups)
    gain = model[0].gain
    gain.data = 0.4 + 1.5 * torch.rand(gain.shape, generator=generator, dtype=torch.double)
    return model


def by_hand(layer: nn.Linear, x: torch.Tensor, groups: int) -> torch.Tensor:
    """``sum over g of a_g (W_g x + b_g)``, synapse by synapse."""
    table = torch.cat([layer.stored_weight, layer.stored_bias[:, None]], 1)
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    gains = layer.gain.view(len(table), 2, groups)
    v = torch.zeros(len(x), len(table), dtype=x.dtype)
    for neuron, weights in enumerate(table):
        for source, weight in enumerate(weights):
            gain = gains[neuron, int(weight < 0), source % groups]
            v[:, neuron] += gain * weight * x[:, source]
    return v


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_every_synapse_has_the_gain_of_its_sign_and_its_source(groups: int) -> None:
    model = tuned(groups)
    x = torch.randn(6, 5, dtype=torch.double)
    expected = by_hand(model[0], x, groups)
    torch.testing.assert_close(model(x), expected, rtol=1e-12, atol=1e-12)
    merge(model)
    torch.testing.assert_close(model(x), expected, rtol=1e-12, atol=1e-12)


def test_one_gain_for_all_groups_is_one_gain_per_neuron() -> None:
    model, x = tuned(2), torch.randn(6, 5, dtype=torch.double)
    model[0].gain.data = torch.tensor([0.7, 1.3, 1.9], dtype=torch.double).repeat_interleave(4)
    plain = x @ model[0].stored_weight.T + model[0].stored_bias
    torch.testing.assert_close(model(x), plain * model[0].gain[::4])


def test_zero_groups_give_every_synapse_a_gain() -> None:
    model = tuned(0)
    assert model[0].gain.numel() == 3 * 2 * 6
    model(torch.randn(6, 5, dtype=torch.double)).sum().backward()
    # Of each pair of places, for either sign, a synapse has one.
    assert int((model[0].gain.grad != 0).sum()) == 3 * 6


@pytest.mark.parametrize("at_once", [1, 7, 2**20])
def test_gradients_are_right_however_few_neurons_are_done_at_a_time(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nt1_groups, "AT_ONCE", at_once)
    model = tuned(2)
    gain, x = model[0].gain.detach().clone().requires_grad_(), torch.randn(4, 5).double()

    def run(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, {"0.gain": gain}, (x,))

    assert torch.autograd.gradcheck(run, (x.requires_grad_(), gain), fast_mode=True)


def test_inputs_may_have_any_axes_before_the_last() -> None:
    model, x = tuned(2), torch.randn(2, 3, 5, dtype=torch.double)
    torch.testing.assert_close(model(x)[1], model(x[1]))
    torch.testing.assert_close(model(x)[1, 2], model(x[1, 2]))


def test_supplies_compute_what_the_layer_does() -> None:
    layer = tuned(2)[0]
    supply, gain = layer.supplies()
    table = torch.cat([layer.stored_weight, layer.stored_bias[:, None]], 1).numpy()
    scaled = table * np.take_along_axis(gain, supply, axis=1)
    np.testing.assert_allclose(scaled[:, :-1], layer.weight.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(scaled[:, -1], layer.bias.detach().numpy(), rtol=1e-12)
    assert supply.shape == (3, 6)
    assert gain.shape[1] <= 4


def test_groups_of_a_neuron_that_share_a_gain_share_a_supply() -> None:
    model = tuned(2)
    domain = np.array([0, 0, 1, 1, 2, 2, 2, 2, 0, 1, 0, 1])
    share_gains(model, domain, [0.53, 1.21, 1.77])
    supply, gain = model[0].supplies()
    assert [len(set(row)) for row in supply] == [2, 1, 2]
    of_synapse = np.take_along_axis(gain, supply, axis=1)
    assert set(of_synapse[1]) == {1.77}
    negative = model[0].stored_weight[0].numpy() < 0
    np.testing.assert_allclose(of_synapse[0, :-1], np.where(negative, 1.21, 0.53))


def test_bfloat16_starts_at_the_very_output_of_before() -> None:
    linear, x = nn.Linear(9, 4).bfloat16(), torch.randn(5, 9).bfloat16()
    before = linear(x)
    attach(model := nn.Sequential(linear), "nt1_groups", groups=3)
    torch.testing.assert_close(model(x), before, rtol=2**-7, atol=2**-7)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16


@pytest.mark.parametrize("groups", [-1, 7])
def test_more_groups_than_sources_are_refused(groups: int) -> None:
    with pytest.raises(UserError, match="from 6 sources, the bias among them"):
        attach(nn.Sequential(nn.Linear(5, 3)), "nt1_groups", groups=groups)
