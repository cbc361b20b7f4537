"""Plastic networks: steps by hand, gradients by differences, and no state between episodes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neuromod.errors import UserError  # noqa: E402
from neuromod.plasticity.network import NETWORKS, PlasticNetwork, Shape, Spike  # noqa: E402

KINDS = [(network, "direct") for network in NETWORKS] + [
    ("modulated-oja", "eligibility"),
    ("modulated-bcm", "eligibility"),
]
each_kind = pytest.mark.parametrize(("network", "gate"), KINDS)


def small(network: str, gate: str = "direct", seed: int = 5, **sizes: int) -> PlasticNetwork:
    chosen = {"inputs": 3, "hidden": 4, "outputs": 2, "modulators": 2, **sizes}
    shape = Shape(**chosen, network=network, gate=gate)
    made = PlasticNetwork(shape, seed).double()
    if made.plasticity is not None:
        with torch.no_grad():
            # Plasticity strong enough to matter within a few steps.
            made.plasticity.alpha += 0.9
            made.plasticity.log_eta_Hz += 1.7
            if made.shape.modulated:
                made.modulator_weight += 0.5
    return made


def spikes(batch: int, steps: int, inputs: int = 3, rate: float = 0.6, seed: int = 1):
    draw = np.random.default_rng(seed)
    return torch.from_numpy((draw.random((batch, steps, inputs)) < rate).astype(float))


def by_hand(net: PlasticNetwork, inputs: np.ndarray):
    """One sample's spikes, plastic traces and readout by loops over neurons and synapses."""
    p = {n: t.detach().numpy() for n, t in net.state_dict().items()}
    size, dt = net.shape, net.shape.dt_s
    bcm, eligible = size.network.endswith("bcm"), size.gate == "eligibility"
    value = {n.split("log_")[1]: np.exp(t) for n, t in p.items() if "log_" in n}
    v, x, y = np.zeros(size.hidden), np.zeros(size.inputs), np.zeros(size.hidden)
    E, e = np.zeros((size.hidden, size.inputs)), np.zeros((size.hidden, size.inputs))
    theta = np.full(size.hidden, value.get("target", 0.0))
    vm, c, r = np.zeros(size.modulators), 0.0, np.zeros(size.outputs)
    sent, fired, released = np.zeros(size.inputs), np.zeros(size.hidden), np.zeros(size.modulators)
    for sent_next in inputs:
        new, trail = E.copy(), e.copy()
        for j in range(size.hidden):
            M = p["tonic"][j] + p["sensitivity"][j] * c if size.modulated else 1.0
            for i in range(size.inputs):
                oja = y[j] * (x[i] - y[j] * E[j, i])
                D = x[i] * y[j] * (y[j] - theta[j]) if bcm else oja
                if size.modulated and eligible:
                    new[j, i] += dt * value["eta_Hz"] * M * e[j, i]
                    trail[j, i] = e[j, i] * np.exp(-dt / value["tau_e_s"]) + dt * D
                else:
                    new[j, i] += dt * value["eta_Hz"] * M * D
            if bcm:
                kept = np.exp(-dt / value["tau_theta_s"])
                theta[j] = kept * theta[j] + (1 - kept) * y[j] ** 2 / value["target"]
        E, e = np.clip(new, -2, 2), trail
        x, y = x * np.exp(-dt / value["tau_pre_s"]), y * np.exp(-dt / value["tau_post_s"])
        v += (p["weight"] + p["plasticity.alpha"] * E) @ sent + p["recurrent"] @ fired
        v, r = (
            v * np.exp(-dt / size.tau_m_s),
            (r + p["output"] @ fired) * np.exp(-dt / size.tau_out_s),
        )
        x += sent
        if size.modulated:
            vm += p["modulator_weight"] @ sent + p["modulator_recurrent"] @ fired
            vm *= np.exp(-dt / size.tau_m_s)
            c = (c + released.mean()) * np.exp(-dt / value["tau_c_s"])
            released = vm > 1
            vm[released] = 0
        fired = v > 1
        v[fired] = 0
        y, sent = y + fired, sent_next
        yield fired, E, r, c


@pytest.mark.parametrize(("network", "gate"), KINDS[1:])
def test_every_step_is_as_by_hand(network, gate):
    net, inputs = small(network, gate), spikes(1, 60)
    with torch.no_grad():
        states = list(net.steps(inputs))
    fired_at_all, highest = 0, 0.0
    for state, (fired, E, r, c) in zip(states, by_hand(net, inputs[0].numpy()), strict=True):
        assert state.spikes[0].tolist() == fired.tolist()
        assert np.allclose(state.traces.plastic[0], E, rtol=1e-12, atol=1e-14)
        assert np.allclose(state.readout[0], r, rtol=1e-12)
        if net.shape.modulated:
            assert state.modulator.concentration.item() == pytest.approx(c, rel=1e-12)
        fired_at_all, highest = fired_at_all + fired.sum(), max(highest, c)
    assert fired_at_all > 20
    assert np.abs(E).max() > 0.1
    assert highest > 0.5 or not net.shape.modulated


@each_kind
def test_gradients_are_those_of_finite_differences_where_spikes_are_smooth(network, gate):
    net = small(network, gate, inputs=2, hidden=2, outputs=1, modulators=1)
    net.smooth = True
    inputs = spikes(2, 7, inputs=2)
    names = [name for name, _ in net.named_parameters()]

    def readout(*values):
        return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (inputs,))

    parameters = tuple(p.detach().clone().requires_grad_() for p in net.parameters())
    assert torch.autograd.gradcheck(readout, parameters)
    (readout(*parameters).square().sum()).backward()
    silent = [n for n, p in zip(names, parameters, strict=True) if not p.grad.abs().max() > 0]
    assert silent == []


def test_the_surrogate_is_the_derivative_of_the_smooth_spike():
    v = torch.linspace(-1.03, 3.01, 37, dtype=torch.double).requires_grad_()
    (smooth,) = torch.autograd.grad(Spike.apply(v, 3.7, True).sum(), v)
    (hard,) = torch.autograd.grad(Spike.apply(v, 3.7, False).sum(), v)
    assert torch.equal(smooth, hard)
    assert smooth.max() <= 3.7 / 2
    assert torch.equal(Spike.apply(v, 3.7, False), (v > 1).double())


def test_the_readout_follows_from_the_spikes_alone():
    net = small("oja")
    with torch.no_grad():
        states = list(net.steps(spikes(2, 40)))
        fired = torch.stack([state.spikes for state in states], 1)
        assert fired.sum() > 20
        assert torch.equal(net.read(fired), torch.stack([state.readout for state in states], 1))


@each_kind
def test_no_episode_knows_of_another(network, gate):
    net, first, second = small(network, gate), spikes(3, 30, seed=1), spikes(3, 30, seed=2)
    held = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        alone = net(second)
        net(first)
        assert torch.equal(net(second), alone)
        together = net(torch.cat([first, second]))
    assert torch.allclose(together[3:], alone, rtol=1e-12)
    assert list(net.buffers()) == []
    assert all(torch.equal(held[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("network", ["oja", "bcm"])
def test_without_coefficients_plasticity_changes_nothing(network):
    plain, plastic = small("none"), small(network)
    with torch.no_grad():
        plastic.plasticity.alpha.zero_()
        inputs = spikes(2, 40)
        assert torch.equal(plain(inputs), plastic(inputs))


@pytest.mark.parametrize("rule", ["oja", "bcm"])
def test_a_network_whose_modulation_is_one_is_its_unmodulated_kin(rule):
    plain, modulated = small(rule), small(f"modulated-{rule}")
    with torch.no_grad():
        modulated.sensitivity.zero_()
        inputs = spikes(2, 40)
        assert torch.allclose(plain(inputs), modulated(inputs), rtol=1e-12)


def test_one_concentration_reaches_all_neurons_with_a_sign_of_their_own():
    net = small("modulated-oja")
    with torch.no_grad():
        net.sensitivity.copy_(torch.tensor([0.7, -0.3, 0.0, 1.1]))
        states = list(net.steps(spikes(1, 40)))
    c = max(state.modulator.concentration.item() for state in states)
    assert c > 0.5
    heard = net.modulation(torch.tensor([[c]]))[0].tolist()
    assert heard == pytest.approx([1 + 0.7 * c, 1 - 0.3 * c, 1, 1 + 1.1 * c])


def test_networks_of_one_seed_start_with_the_same_fixed_weights():
    made = [small(network, seed=8) for network in NETWORKS]
    for other in made[1:]:
        for name in ("weight", "recurrent", "output"):
            assert torch.equal(getattr(made[0], name), getattr(other, name))
    assert not torch.equal(made[0].weight, small("none", seed=9).weight)


def test_learned_values_are_told_with_their_units():
    values = small("modulated-bcm", "eligibility").rule_values()
    assert values["tau_pre_s"] == pytest.approx(0.04)
    assert values["tau_theta_s"] == pytest.approx(0.2)
    assert values.keys() >= {"eta_Hz", "tau_post_s", "target", "tau_e_s", "tau_c_s", "alpha_rms"}
    assert small("none").rule_values() == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "ojo"}, "did you mean oja"),
        ({"gate": "none"}, "no gate of plasticity named 'none'"),
        ({"hidden": 0}, "hidden is 0, but must be greater than 0"),
        ({"tau_m_s": -0.02}, "tau_m_s is -0.02"),
    ],
)
def test_shapes_that_cannot_be_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        Shape(**{"inputs": 3, "hidden": 4, "outputs": 2, "network": "oja", **change})


def test_spikes_of_the_wrong_number_of_inputs_are_refused():
    with pytest.raises(UserError, match=r"shape \(2, 9, 4\), and this network takes .* 3\)"):
        small("oja")(spikes(2, 9, inputs=4))
