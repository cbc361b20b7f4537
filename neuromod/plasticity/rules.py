"""Synaptic plasticity whose rule is learned by gradient descent, and its neuromodulated variants.

The effective weight of a synapse from neuron ``i`` to neuron ``j`` is ``W_ji + alpha_ji E_ji``: a
fixed weight and a learned coefficient times a plastic trace (Miconi, Clune & Stanley, ICML 2018).
The trace starts at 0 in every episode and follows

    dE_ji/dt = eta M_j D_ji        D_ji = p_j x_i - d_j E_ji

with traces ``x`` and ``y`` of the spikes before and after the synapse, which grow by 1 with every
spike, and ``p`` and ``d`` by the rule:

- Oja (J. Math. Biol. 15:267, 1982): ``p = y``, ``d = y**2``.
- BCM (Bienenstock, Cooper & Munro, J. Neurosci. 2:32, 1982): ``p = y (y - theta)``, ``d = 0``, with
  a threshold that slides as in Intrator & Cooper (Neural Netw. 5:3, 1992),
  ``dtheta/dt = (y**2/y0 - theta)/tau_theta``.

The modulation ``M`` is 1, or gates the change directly, or gates an eligibility trace
``de/dt = -e/tau_e + D`` that takes the place of ``D``: credit may then come late (Miconi, Rawal,
Clune & Stanley, ICLR 2019, call it retroactive).
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuromod.errors import unknown

BOUND = 2.0
"""Plastic traces are kept within plus and minus this (chosen here: it leaves room beyond the unit
norm of Oja's fixed point, and keeps learning finite where a negative modulation inverts a rule)."""

START = {
    "eta_Hz": 1.0,
    "tau_pre_s": 0.04,
    "tau_post_s": 0.04,
    "tau_theta_s": 0.2,
    "target": 1.0,
    "tau_e_s": 0.2,
}
"""Where the rules' parameters start before they are learned (chosen here: one cue of 100 ms then
changes a trace by a few tenths)."""

GATES = ("none", "direct", "eligibility")


class Terms(NamedTuple):
    """What a rule makes of a neuron's activity, shape (batch, post) each: see the module."""

    potentiation: Tensor
    decay: Tensor | None


class Traces(NamedTuple):
    """State of a layer's plastic synapses.

    Attributes
    ----------
    pre : Tensor, shape (batch, pre)
        ``x``.
    post : Tensor, shape (batch, post)
        ``y``.
    threshold : Tensor, shape (batch, post)
        ``theta``; 0 for Oja's rule, which has none.
    plastic : Tensor, shape (batch, post, pre)
        ``E``.
    eligibility : Tensor or None, shape (batch, post, pre)
        ``e``, if the rule is gated through it.
    """

    pre: Tensor
    post: Tensor
    threshold: Tensor
    plastic: Tensor
    eligibility: Tensor | None


class Oja(nn.Module):
    """``D = y (x - y E)``: Hebbian growth that a decay holds at unit norm."""

    def start(self, post: Tensor) -> Tensor:
        """Threshold at the beginning of an episode, shape of ``post``."""
        return torch.zeros_like(post)

    def slide(self, threshold: Tensor, post: Tensor, dt: float) -> Tensor:  # noqa: ARG002
        """Threshold a step later."""
        return threshold

    def terms(self, post: Tensor, threshold: Tensor) -> Terms:  # noqa: ARG002
        return Terms(post, post.square())


class BCM(nn.Module):
    """``D = x y (y - theta)``: growth above a threshold that slides with activity, decay below."""

    def __init__(self) -> None:
        super().__init__()
        self.log_target = _logarithm("target")
        self.log_tau_theta_s = _logarithm("tau_theta_s")

    def start(self, post: Tensor) -> Tensor:
        """Threshold at the beginning of an episode: its fixed point ``y0``."""
        return self.log_target.exp() * torch.ones_like(post)

    def slide(self, threshold: Tensor, post: Tensor, dt: float) -> Tensor:
        """Threshold a step later: exact while ``post`` stays the same."""
        aim = post.square() / self.log_target.exp()
        return aim + (threshold - aim) * _kept(self.log_tau_theta_s, dt)

    def terms(self, post: Tensor, threshold: Tensor) -> Terms:
        return Terms(post * (post - threshold), None)


RULES: dict[str, type[Oja] | type[BCM]] = {"oja": Oja, "bcm": BCM}


class Plasticity(nn.Module):
    """Learned plasticity of all synapses between two layers.

    Its parameters are those of the rule, all learned: one coefficient per synapse, and one of all
    others per layer. Positive ones are held as logarithms. No state lives here: `start` gives that
    of a new episode, and every other method gives a new state.

    Parameters
    ----------
    coefficient : Tensor, shape (post, pre)
        ``alpha`` at the start.
    rule : str
        ``"oja"`` or ``"bcm"``.
    gate : str
        What modulation acts on: ``"none"``, ``"direct"`` (the change) or ``"eligibility"``.
    dt : float
        Time step in s.
    """

    def __init__(self, coefficient: Tensor, rule: str, gate: str, dt: float) -> None:
        super().__init__()
        if rule not in RULES:
            raise unknown("plasticity rule", rule, RULES)
        if gate not in GATES:
            raise unknown("gate of plasticity", gate, GATES)
        self.gate = gate
        self.dt = dt
        self.alpha = nn.Parameter(coefficient.clone())
        self.rule = RULES[rule]()
        self.log_eta_Hz = _logarithm("eta_Hz")
        self.log_tau_pre_s = _logarithm("tau_pre_s")
        self.log_tau_post_s = _logarithm("tau_post_s")
        if gate == "eligibility":
            self.log_tau_e_s = _logarithm("tau_e_s")

    def start(self, batch: int) -> Traces:
        """State of a new episode of every sample in a batch."""
        post, pre = self.alpha.shape
        active = self.alpha.new_zeros(batch, post)
        plastic = self.alpha.new_zeros(batch, post, pre)
        return Traces(
            self.alpha.new_zeros(batch, pre), active, self.rule.start(active), plastic,
            plastic if self.gate == "eligibility" else None,
        )  # fmt: skip

    def evolve(self, traces: Traces, modulation: Tensor | None) -> Traces:
        """State a time step later but for spikes; all follows from the step's beginning.

        Parameters
        ----------
        traces : Traces
        modulation : Tensor or None, shape (batch, post)
            ``M``; None stands for 1.

        Returns
        -------
        Traces
        """
        terms = self.rule.terms(traces.post, traces.threshold)
        rate = self.log_eta_Hz.exp() * self.dt
        if modulation is not None:
            rate = rate * modulation
        eligibility = traces.eligibility
        if eligibility is None:
            plastic = _changed(traces.plastic, traces.pre, terms, rate)
        else:
            plastic = torch.addcmul(traces.plastic, rate.unsqueeze(-1), eligibility)
            change = _changed(traces.plastic, traces.pre, terms, self.dt) - traces.plastic
            eligibility = eligibility * _kept(self.log_tau_e_s, self.dt) + change
        return Traces(
            traces.pre * _kept(self.log_tau_pre_s, self.dt),
            traces.post * _kept(self.log_tau_post_s, self.dt),
            self.rule.slide(traces.threshold, traces.post, self.dt),
            plastic.clamp(-BOUND, BOUND),
            eligibility,
        )

    def drive(self, traces: Traces, spikes: Tensor) -> Tensor:
        """What spikes before the synapses bring by way of plastic traces, shape (batch, post)."""
        weights = self.alpha * traces.plastic
        return (weights @ spikes.unsqueeze(-1)).squeeze(-1)

    def receive(self, traces: Traces, pre: Tensor, post: Tensor) -> Traces:
        """State after spikes that arrive, (batch, pre), and that are fired, (batch, post)."""
        return traces._replace(pre=traces.pre + pre, post=traces.post + post)

    def values(self) -> dict[str, float]:
        """Learned parameters of the rule by name and unit, but for the coefficients."""
        found = {
            name.rpartition(".")[2].removeprefix("log_"): float(value.detach().exp())
            for name, value in self.named_parameters()
            if "log_" in name
        }
        return dict(sorted(found.items()))


def _changed(plastic: Tensor, pre: Tensor, terms: Terms, rate: Tensor | float) -> Tensor:
    """Plastic traces after ``rate * D``."""
    kept = plastic if terms.decay is None else plastic * (1 - rate * terms.decay).unsqueeze(-1)
    return torch.addcmul(kept, (rate * terms.potentiation).unsqueeze(-1), pre.unsqueeze(-2))


def _logarithm(name: str) -> nn.Parameter:
    return nn.Parameter(torch.tensor(log(START[name])))


def _kept(log_tau: Tensor, dt: float) -> Tensor:
    """Share of a decaying quantity that is left after a time step."""
    return torch.exp(-dt / log_tau.exp())
