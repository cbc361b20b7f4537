"""Synaptic plasticity whose rule is learned by gradient descent, and its neuromodulated variants.

The effective weight of a synapse from neuron ``i`` to neuron ``j`` is ``W_ji + alpha_ji E_ji``: a
fixed weight, and a learned coefficient times a plastic trace (Miconi, Clune & Stanley 2018, ICML).
The trace starts at 0 in every episode and follows

    dE_ji/dt = eta M_j D_ji        D_ji = p_j x_i - d_j E_ji

with traces ``x`` and ``y`` of the spikes before and after the synapse, which grow by 1 with every
spike. The change ``D`` is Oja's (1982, J. Math. Biol. 15:267) or BCM's (Bienenstock, Cooper & Munro
1982, J. Neurosci. 2:32), as `neuromod.models.three_factor.CHANGE` has them for Brian2. BCM's
threshold slides as in Intrator & Cooper (1992, Neural Netw. 5:3),
``dtheta/dt = (y**2/y0 - theta)/tau_theta``.

The modulation ``M`` is 1, or gates the change directly, or gates an eligibility trace
``de/dt = -e/tau_e + D`` in place of ``D``. Credit may then come late, "retroactively" (Miconi,
Rawal, Clune & Stanley 2019, ICLR).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import log
from typing import Any, NamedTuple

import sympy
import torch
from torch import Tensor, nn

from neuromod.errors import unknown
from neuromod.models.three_factor import CHANGE, GATES

BOUND = 2.0
"""Largest plastic trace of either sign (chosen here: beyond the unit norm of Oja's fixed point, and
finite where a negative modulation inverts a rule)."""

START = {
    "eta_Hz": 1.0,
    "tau_pre_s": 0.04,
    "tau_post_s": 0.04,
    "tau_theta_s": 0.2,
    "target": 1.0,
    "tau_e_s": 0.2,
    "tau_c_s": 0.05,
}
"""Parameters of rules and modulator before learning (chosen here: one cue of 100 ms then changes a
trace by a few tenths, and the modulator is cleared in about the length of a cue)."""

RULES = tuple(rule for rule in CHANGE if rule != "stdp")
"""Rules that can be learned."""


class Traces(NamedTuple):
    """State of a layer's plastic synapses: ``x``, ``y``, ``theta``, ``E`` and ``e``.

    ``x`` has the shape (batch, pre), ``y`` and ``theta`` (batch, post), the others (batch, post,
    pre). The threshold is 0 for Oja's rule, which has none; eligibility is None unless the rule is
    gated through it.
    """

    pre: Tensor
    post: Tensor
    threshold: Tensor
    plastic: Tensor
    eligibility: Tensor | None


class Rule(nn.Module):
    """Oja's or the BCM rule, with BCM's sliding threshold and its learned parameters."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._terms = _terms(name)
        self.slides = "theta" in CHANGE[name]
        if self.slides:
            self.log_target = _logarithm("target")
            self.log_tau_theta_s = _logarithm("tau_theta_s")

    def start(self, post: Tensor) -> Tensor:
        """Threshold at the beginning of an episode, shape of ``post``: BCM's fixed point ``y0``."""
        return self.log_target.exp() * torch.ones_like(post) if self.slides else post * 0

    def slide(self, threshold: Tensor, post: Tensor, dt: float) -> Tensor:
        """Threshold a step later: exact while ``post`` stays the same."""
        if not self.slides:
            return threshold
        aim = post.square() / self.log_target.exp()
        return aim + (threshold - aim) * _kept(self.log_tau_theta_s, dt)

    def changed(self, plastic: Tensor, traces: Traces, rate: Tensor | float) -> Tensor:
        """Plastic traces after a change of ``rate * D``."""
        potentiation, decay = self._terms(traces.post, traces.threshold)
        if isinstance(decay, Tensor):
            plastic = plastic * (1 - rate * decay).unsqueeze(-1)
        grown = (rate * potentiation).unsqueeze(-1)
        return torch.addcmul(plastic, grown, traces.pre.unsqueeze(-2))


class Plasticity(nn.Module):
    """Learned plasticity of all synapses between two layers.

    All of its parameters are learned: one coefficient per synapse, and one of each other parameter
    per layer. Positive ones are held as logarithms. The module holds no state: `start` gives the
    state of a new episode, and the other methods return a new one.

    Parameters
    ----------
    coefficient : Tensor, shape (post, pre)
        ``alpha`` at the start.
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
        self.rule = Rule(rule)
        self.log_eta_Hz = _logarithm("eta_Hz")
        self.log_tau_pre_s = _logarithm("tau_pre_s")
        self.log_tau_post_s = _logarithm("tau_post_s")
        if gate == "eligibility":
            self.log_tau_e_s = _logarithm("tau_e_s")

    def start(self, batch: int) -> Traces:
        """State at the beginning of an episode, for every sample of a batch."""
        post, pre = self.alpha.shape[-2:]
        active = self.alpha.new_zeros(batch, post)
        plastic = self.alpha.new_zeros(batch, post, pre)
        eligibility = plastic if self.gate == "eligibility" else None
        before = self.alpha.new_zeros(batch, pre)
        return Traces(before, active, self.rule.start(active), plastic, eligibility)

    def evolve(self, traces: Traces, modulation: Tensor | None) -> Traces:
        """State a time step later without new spikes; everything follows from the step's beginning.

        The modulation ``M`` has the shape (batch, post); None stands for 1.
        """
        rate = self.log_eta_Hz.exp() * self.dt
        if modulation is not None:
            rate = rate * modulation
        eligibility = traces.eligibility
        if eligibility is None:
            plastic = self.rule.changed(traces.plastic, traces, rate)
        else:
            plastic = torch.addcmul(traces.plastic, rate.unsqueeze(-1), eligibility)
            change = self.rule.changed(traces.plastic, traces, self.dt) - traces.plastic
            kept = _kept(self.log_tau_e_s, self.dt).unsqueeze(-1)
            eligibility = eligibility * kept + change
        return Traces(
            traces.pre * _kept(self.log_tau_pre_s, self.dt),
            traces.post * _kept(self.log_tau_post_s, self.dt),
            self.rule.slide(traces.threshold, traces.post, self.dt),
            plastic.clamp(-BOUND, BOUND),
            eligibility,
        )

    def drive(self, traces: Traces, spikes: Tensor) -> Tensor:
        """Drive by spikes through the plastic part of the synapses, shape (batch, post)."""
        weights = self.alpha * traces.plastic
        return (weights @ spikes.unsqueeze(-1)).squeeze(-1)

    def receive(self, traces: Traces, pre: Tensor, post: Tensor) -> Traces:
        """State after arriving spikes, (batch, pre), and fired ones, (batch, post)."""
        return traces._replace(pre=traces.pre + pre, post=traces.post + post)

    def values(self) -> dict[str, float]:
        """Learned parameters of the rule by name and unit, without the coefficients."""
        found = {
            name.rpartition(".")[2].removeprefix("log_"): float(value.detach().exp())
            for name, value in self.named_parameters()
            if "log_" in name
        }
        return dict(sorted(found.items()))


@cache
def _terms(rule: str) -> Callable[[Tensor, Tensor], Any]:
    """``p`` and ``d`` of a rule as a function of y and theta: its change is linear in x and E."""
    x, plastic, *activity = sympy.symbols("x E y_post theta_post")
    change = sympy.sympify(CHANGE[rule], locals={"E": plastic})
    parts = change.diff(x), -change.diff(plastic)
    terms: Callable[[Tensor, Tensor], Any] = sympy.lambdify(activity, parts, modules=[])
    return terms


def _logarithm(name: str) -> nn.Parameter:
    return nn.Parameter(torch.tensor(log(START[name])))


def _kept(log_tau: Tensor, dt: float) -> Tensor:
    """Share of a decaying quantity left after a time step."""
    return torch.exp(-dt / log_tau.exp())
