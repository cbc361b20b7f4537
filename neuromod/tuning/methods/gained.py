"""Gains of a layer, for the methods that train them: where they start, how they are shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from neuromod.errors import UserError, unknown
from neuromod.models.layer_kinds import kind_of
from neuromod.models.modulated_layer import Fused

STARTS = ("identity", "uniform")


class GainedLayer(Fused):
    """A layer with gains, at places that the methods choose.

    Places can `share` gains: a place of domain ``d`` then has the gain ``a[d]``.

    Parameters
    ----------
    start : str
        ``"identity"``: all gains 1, so that nothing changes before training. ``"uniform"``: drawn
        "according to a random uniform distribution" (section 3.2 of the paper), here from 0 to 1,
        since the paper names no range.
    """

    adds: ClassVar[tuple[str, ...]] = ("gain", "domain")

    domain: Tensor | None
    blend: Any = None
    """What makes gains of those of several adapters, if several are in use."""

    def __init__(self, base: nn.Module, start: str = "identity") -> None:
        if start not in STARTS:
            raise unknown("start of gains", start, STARTS)
        super().__init__(base)
        # Drawn on the CPU, so that a seed gives the same on all devices.
        gain = torch.ones(self.n_gains) if start == "identity" else torch.rand(self.n_gains)
        self.gain = nn.Parameter(gain.to(self.stored_weight))
        self.register_buffer("domain", None)

    @property
    def n_gains(self) -> int:
        """Number of places that have a gain."""
        return self.n_neurons

    @property
    def takes_samples(self) -> bool:
        """Whether every sample can have gains of its own."""
        return self.fuses

    @property
    def gain_in_use(self) -> Tensor:
        """The trained gains, or what a blend of adapters makes of them."""
        return self.gain if self.blend is None else cast(Tensor, self.blend.gain(self))

    @property
    def gain_parts(self) -> list[nn.Parameter]:
        """The parameters that `gain_in_use` is made of."""
        if self.blend is None:
            return [self.gain]
        return cast(list[nn.Parameter], self.blend.parts(self))

    @property
    def gains(self) -> Tensor:
        """Gain of every place, shape (places,): inputs before neurons if both have gains.

        Where every sample has gains of its own, the shape is (samples, places).
        """
        gain = self.gain_in_use
        return gain if self.domain is None else gain[..., self.domain]

    def share(self, gain: nn.Parameter, domain: Tensor) -> None:
        """Give every place the gain of its domain, from a parameter that other layers may share."""
        refuse_blend(self)
        self.gain = gain
        self.domain = domain

    def times(self, values: Tensor, gains: Tensor) -> Tensor:
        """Inputs or outputs times the gains of their places, in the precision of the former."""
        if gains.dim() == 2:
            between = values.dim() - 2 - self.kind.dims
            if between < 0 or len(values) != len(gains):
                raise UserError(
                    f"{len(gains)} samples have gains of their own, and a layer takes inputs of "
                    f"shape {tuple(values.shape)}: each sample must be one row of the first axis."
                )
            gains = gains.reshape(len(gains), *[1] * between, gains.shape[1])
        return (values * self.kind.spread(gains)).to(values.dtype)

    def tuned_weight(self, weight: Tensor) -> Tensor:
        places = len(self.gain if self.domain is None else self.domain)
        if places != self.n_gains:
            raise UserError(
                f"A layer with {places} gains has places for {self.n_gains} now: resize a model, "
                "such as its vocabulary, before attach, or leave that layer out."
            )
        return super().tuned_weight(weight)

    def of_all_samples(self, gains: Tensor) -> Tensor:
        """Gains that all samples have, for a weight or bias that they share."""
        if gains.dim() == 2:
            raise UserError(
                "A weight has no value where every sample has gains of its own: merge, save or "
                "read it with one adapter in use, and leave layers out whose weights others read."
            )
        return gains

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.blend is not None:
            gain = self.of_all_samples(self.gain_in_use)
            destination[f"{prefix}gain"] = gain if keep_vars else gain.detach()

    def _load_from_state_dict(self, *given: Any) -> None:
        refuse_blend(self)
        super()._load_from_state_dict(*given)


def refuse_blend(layer: GainedLayer) -> None:
    """Refuse to change a layer's gains where they are made of those of several adapters."""
    if layer.blend is not None:
        raise UserError("Several adapters are in use at once: use one by name before they change.")


def refuse_without_bias(base: nn.Module, what: str, instead: str) -> None:
    """Refuse a layer without a bias for a method that does something to it."""
    kind = kind_of(type(base))
    own = kind is not None and (
        base._parameters.get(kind.bias) is not None or is_parametrized(base, kind.bias)
    )
    if not own:
        raise UserError(f"{what}, and this one has none: use {instead}.")


def gained_layers(model: nn.Module) -> list[GainedLayer]:
    """Return a model's layers with gains, first layer first."""
    return [module for module in model.modules() if isinstance(module, GainedLayer)]


def share_gains(
    model: nn.Module, domain: npt.NDArray[Any], start: npt.ArrayLike | None = None
) -> None:
    """Give all neurons of a power domain one gain, trained as one number.

    Parameters
    ----------
    model : nn.Module
        With layers tuned by one of the methods with gains.
    domain : array of int, shape (places,)
        Domain of each place that has a gain, first layer first; from 0, none left out.
    start : array of float, shape (domains,), optional
        Each domain's gain at the start; 1 by default.

    Raises
    ------
    UserError
        If the numbers of gains differ, or a domain has no place or no start.
    """
    layers = gained_layers(model)
    if any("adapters" in vars(layer) for layer in layers):
        raise UserError(
            "All adapters have the same power domains: share gains before any is added."
        )
    ends = np.cumsum([layer.n_gains for layer in layers])
    places = int(ends[-1]) if layers else 0
    if places != len(domain):
        raise UserError(
            f"Gains are shared by {len(domain)} neurons, and the model has {places} with a gain."
        )
    n_domains = len(np.unique(domain))
    values = np.ones(n_domains) if start is None else np.asarray(start)
    if domain.min() != 0 or domain.max() != n_domains - 1 or len(values) != n_domains:
        raise UserError(
            f"Power domains must be numbered from 0 with none left out, with one gain each: there "
            f"are {n_domains} from {domain.min()} to {domain.max()}, and {len(values)} gains."
        )
    gain = nn.Parameter(torch.as_tensor(values).to(layers[0].gain))
    for layer, own in zip(layers, np.split(domain, ends[:-1]), strict=True):
        layer.share(gain, torch.from_numpy(own).long().to(gain.device))


@torch.no_grad()
def keep_within(model: nn.Module, low: float | None, high: float | None) -> None:
    """Clip gains to bounds, such as a receptor or a supply voltage can reach; None leaves one open.

    Call it after every step of training. Gains of all adapters are clipped, but no mix of them.
    """
    if low is not None or high is not None:
        for layer in gained_layers(model):
            refuse_blend(layer)
            kept = vars(layer).get("adapters", {}).values()
            for gain in (layer.gain, *(tensors["gain"] for tensors in kept if tensors)):
                gain.clamp_(low, high)


def gain_penalty(layers: Sequence[nn.Module]) -> Tensor:
    """Return the sum of the gains' absolute values (L1), which drives gains to 0.

    A neuron whose gain is 0 can be pruned: Lee et al. (J. Nanosci. Nanotechnol. 20(11), 6603, 2020)
    pruned connections in this way while they trained.

    Parameters
    ----------
    layers : sequence of nn.Module
        Whose gains count: a network's hidden layers, or one model.

    Returns
    -------
    Tensor
        One number, to scale and add to the loss.
    """
    gains = [layer.gains for module in layers for layer in gained_layers(module)]
    if not gains:
        raise UserError("An L1 penalty shrinks gains, and none of these layers has any.")
    return torch.cat(gains, -1).abs().sum()
