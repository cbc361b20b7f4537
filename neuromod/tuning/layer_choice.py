"""The layers of a model that can be tuned, and those that a name or pattern means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils.parametrize import is_parametrized

from neuromod.errors import MAX_LISTED, UserError
from neuromod.models.modulated_layer import ModulatedLayer


def candidates(model: nn.Module) -> dict[str, nn.Module]:
    """Return all layers that can be tuned or are tuned, under each of their names."""
    return {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if name and (isinstance(module, ModulatedLayer) or _can_be_tuned(module))
    }


def _can_be_tuned(module: nn.Module) -> bool:
    # A subclass with a forward of its own is no linear layer. Torch's attention never calls its
    # output layer, but reads the weights.
    return (
        isinstance(module, nn.Linear | nn.Conv2d)
        and type(module).forward in (nn.Linear.forward, nn.Conv2d.forward)
        and not isinstance(module, NonDynamicallyQuantizableLinear)
        and not is_parametrized(module)
        and module.weight.is_floating_point()
    )


def choose(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Return one name for every layer that a pattern matches, in the model's order.

    Parameters
    ----------
    model : nn.Module
    patterns : sequence of str
        Names, last parts of names, or patterns with wildcards.

    Raises
    ------
    UserError
        If a pattern matches no layer.
    """
    layers = candidates(model)
    chosen = set()
    for pattern in patterns:
        names = [n for n in layers if fnmatchcase(n, pattern) or f".{n}".endswith(f".{pattern}")]
        if not names:
            raise no_match(model, pattern, layers)
        chosen.update(names)
    if not chosen:
        raise UserError("No layers are named: name at least one to tune.")
    by_layer = {layers[name]: name for name in reversed(layers) if name in chosen}
    return [name for name in layers if name in by_layer.values()]


def no_match(model: nn.Module, pattern: str, layers: Iterable[str]) -> UserError:
    """Return the error for a name that no layer has, with the names that there are."""
    kind, names = type(model).__name__, list(layers)
    if not names:
        return UserError(f"{kind} has no Linear or Conv2d layers inside that could be tuned.")
    more = len(names) - MAX_LISTED
    listed = ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
    return UserError(f"No Linear or Conv2d layer of {kind} matches {pattern!r}: it has {listed}.")
