"""Oja's and the BCM rule: steps by hand, fixed points by theory, gradients by differences."""

from __future__ import annotations

import numpy as np
import pytest
from sympy import Symbol, sympify

torch = pytest.importorskip("torch")

from neuromod.errors import UserError  # noqa: E402
from neuromod.models.three_factor import CHANGE  # noqa: E402
from neuromod.plasticity.rules import BOUND, RULES, Plasticity, Traces  # noqa: E402

DT = 3e-3


def tensor(values):
    return torch.tensor(values, dtype=torch.double)


def plasticity(rule: str, gate: str = "none", post: int = 1, pre: int = 1, **values: float):
    """Double precision, with parameters of the rule set to ``values``."""
    made = Plasticity(torch.full((post, pre), 0.7), rule, gate, DT).double()
    parameters = {n.rpartition(".")[2]: p for n, p in made.named_parameters()}
    with torch.no_grad():
        for name, value in values.items():
            parameters[f"log_{name}"].fill_(np.log(value))
    return made


def traces(x, y, E, theta=0.0, e=None) -> Traces:
    """One sample's state from numbers or lists."""
    pre, post = tensor([x]), tensor([y])
    plastic = tensor([E])
    eligibility = None if e is None else tensor([e])
    return Traces(pre, post, torch.full_like(post, theta), plastic, eligibility)


def test_a_step_of_oja_is_as_by_hand():
    rule = plasticity("oja", eta_Hz=7.0, tau_pre_s=0.021, tau_post_s=0.034)
    after = rule.evolve(traces([1.3, 0.4], [0.9], [[0.31, -0.27]]), None)
    expected = [0.31 + DT * 7 * 0.9 * (1.3 - 0.9 * 0.31), -0.27 + DT * 7 * 0.9 * (0.4 + 0.9 * 0.27)]
    assert after.plastic[0, 0].tolist() == pytest.approx(expected, rel=1e-12)
    assert after.pre[0].tolist() == pytest.approx(np.array([1.3, 0.4]) * np.exp(-DT / 0.021))
    assert after.post.item() == pytest.approx(0.9 * np.exp(-DT / 0.034))


def test_a_step_of_bcm_is_as_by_hand():
    rule = plasticity("bcm", eta_Hz=7.0, target=1.7, tau_theta_s=0.11)
    after = rule.evolve(traces([1.3], [0.9], [[0.31]], theta=1.2), None)
    assert after.plastic.item() == pytest.approx(0.31 + DT * 7 * 1.3 * 0.9 * (0.9 - 1.2), rel=1e-12)
    aim = 0.9**2 / 1.7
    assert after.threshold.item() == pytest.approx(aim + (1.2 - aim) * np.exp(-DT / 0.11))


@pytest.mark.parametrize("rule", ["oja", "bcm"])
def test_direct_modulation_scales_the_change_and_may_invert_it(rule):
    before = traces([1.3], [0.9], [[0.31]], theta=0.3)
    plain = plasticity(rule).evolve(before, None).plastic.item() - 0.31
    for M in (0.0, 0.6, -1.4):
        after = plasticity(rule, "direct").evolve(before, tensor([[M]]))
        assert after.plastic.item() - 0.31 == pytest.approx(M * plain, abs=1e-15)


def test_modulation_acts_on_the_synapses_of_its_own_neuron():
    before = traces([1.3], [0.9, 0.8], [[0.31], [0.2]])
    after = plasticity("oja", "direct", post=2).evolve(before, tensor([[0.0, 1.0]]))
    assert after.plastic[0, 0].item() == 0.31
    assert after.plastic[0, 1].item() > 0.2


def test_eligibility_gives_credit_after_the_activity_is_over():
    rule = plasticity("oja", "eligibility", eta_Hz=7.0, tau_e_s=0.13)
    none, full = tensor([[0.0]]), tensor([[1.6]])
    paired = rule.evolve(traces([1.3], [0.9], [[0.0]], e=[[0.0]]), none)
    assert paired.plastic.item() == 0
    assert paired.eligibility.item() == pytest.approx(DT * 1.3 * 0.9)
    state = paired._replace(pre=tensor([[0.0]]), post=tensor([[0.0]]))
    for _ in range(20):
        state = rule.evolve(state, none)
    left = DT * 1.3 * 0.9 * np.exp(-20 * DT / 0.13)
    assert rule.evolve(state, full).plastic.item() == pytest.approx(DT * 7 * 1.6 * left)


def test_spikes_leave_exponential_traces():
    rule = plasticity("oja", pre=2, tau_pre_s=0.021, tau_post_s=0.034)
    state = rule.receive(rule.start(1), torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0]]))
    for _ in range(11):
        state = rule.evolve(state, None)
    assert state.pre[0].tolist() == pytest.approx([np.exp(-11 * DT / 0.021), 0])
    assert state.post.item() == pytest.approx(np.exp(-11 * DT / 0.034))


def test_bcm_starts_at_the_fixed_point_of_its_threshold():
    rule = plasticity("bcm", target=1.7)
    state = rule.start(1)._replace(post=tensor([[1.7]]))
    assert rule.evolve(state, None).threshold.item() == pytest.approx(1.7)


def test_traces_stay_within_bounds():
    high, low = tensor([[3000.0]]), tensor([[-3000.0]])
    rule = plasticity("bcm", "direct")
    before = traces([1.3], [0.9], [[0.31]], theta=0.3)
    assert rule.evolve(before, high).plastic.item() == BOUND
    assert rule.evolve(before, low).plastic.item() == -BOUND


def test_oja_finds_the_unit_vector_along_the_first_principal_component():
    draw = np.random.default_rng(11)
    mixing = np.array([[1.1, 0.3, 0.0], [0.2, 0.5, 0.1], [-0.4, 0.1, 0.45]])
    inputs = torch.from_numpy(draw.standard_normal((6000, 3)) @ mixing.T)
    covariance = np.cov(inputs.numpy().T, bias=True)
    first = np.linalg.eigh(covariance)[1][:, -1]
    rule = plasticity("oja", pre=3, eta_Hz=2.0)
    plastic = tensor([[[0.1, -0.2, 0.3]]])
    late = []
    with torch.no_grad():
        for x in inputs:
            state = Traces(x[None], (plastic[0] @ x)[None], torch.zeros(1, 1), plastic, None)
            plastic = rule.evolve(state, None).plastic
            late.append(plastic[0, 0].numpy())
    mean = np.mean(late[3000:], 0)
    assert np.linalg.norm(mean) == pytest.approx(1, abs=0.02)
    assert abs(mean @ first) / np.linalg.norm(mean) == pytest.approx(1, abs=0.002)


def test_bcm_neurons_come_to_respond_to_one_input_each_as_strongly_as_theory_says():
    # Where y is theta or 0 for every input nothing changes; of such states only those with a
    # single active input of K are stable (Intrator & Cooper 1992). With theta = <y**2>/y0 it is
    # answered by y = K y0.
    draw = np.random.default_rng(12)
    patterns = tensor([[1.2, 0.2, 0.1], [0.3, 1.1, 0.2], [0.1, 0.3, 1.3]])
    rule = plasticity("bcm", post=12, pre=3, target=0.41, tau_theta_s=0.2, eta_Hz=2.0)
    plastic = torch.from_numpy(draw.uniform(0, 0.5, (1, 12, 3)))
    threshold = rule.start(1).threshold
    with torch.no_grad():
        for x in patterns.repeat(3000, 1):
            state = Traces(x[None], (plastic[0] @ x)[None], threshold, plastic, None)
            state = rule.evolve(state, None)
            plastic, threshold = state.plastic, state.threshold
    responses = (plastic[0] @ patterns.T).numpy()
    preferred = responses.argmax(1)
    assert len(set(preferred)) == 3
    assert responses.max(1) == pytest.approx(3 * 0.41, rel=0.12)
    others = responses[np.arange(3) != preferred[:, None]]
    assert np.abs(others).max() < 0.05


@pytest.mark.parametrize("gate", ["none", "direct", "eligibility"])
@pytest.mark.parametrize("rule", ["oja", "bcm"])
def test_gradients_of_a_step_are_those_of_finite_differences(rule, gate):
    made = plasticity(rule, gate, post=2, pre=3)
    draw = torch.Generator().manual_seed(3)

    def random(*size):
        return torch.rand(size, generator=draw, dtype=torch.double).requires_grad_()

    state = (random(2, 3), random(2, 2), random(2, 2), random(2, 2, 3))
    gated = () if gate == "none" else (random(2, 2),)
    eligible = (random(2, 2, 3),) if gate == "eligibility" else ()

    def step(*tensors):
        before = Traces(*tensors[:4], eligible[0] if eligible else None)
        after = made.evolve(before, tensors[4] if gated else None)
        return (after.plastic, made.drive(after, tensors[0]), after.threshold, after.post)

    assert torch.autograd.gradcheck(step, (*state, *gated, *made.parameters()))


@pytest.mark.parametrize("name", RULES)
def test_a_learned_rule_is_that_of_the_synapse_in_brian2(name):
    draw = np.random.default_rng(5)
    x, y, theta, E = draw.uniform(-1, 1, 4)
    after = plasticity(name).rule.changed(
        tensor([[[E]]]), traces([x], [y], [[E]], theta=theta), tensor([[1.0]])
    )
    words = {"x": x, "y_post": y, "theta_post": theta, "E": E}
    expected = E + float(sympify(CHANGE[name], locals={w: Symbol(w) for w in words}).subs(words))
    assert after.item() == pytest.approx(expected, rel=1e-12)


def test_what_is_not_there_is_refused():
    with pytest.raises(UserError, match="did you mean oja"):
        Plasticity(torch.ones(1, 1), "ojas", "none", DT)
    with pytest.raises(UserError, match="no gate of plasticity named 'both'"):
        Plasticity(torch.ones(1, 1), "oja", "both", DT)
