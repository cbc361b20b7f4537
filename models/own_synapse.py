"""A synapse from equations of one's own."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuromod.models.own_equations import OwnEquations
from neuromod.parameters import parameter


@dataclass(frozen=True, eq=False)
class OwnSynapse(OwnEquations):
    """A synapse as its equations say, and what a spike on either side does, in Brian2's language.

    The target's variables end in ``_post``.
    """

    on_pre: str = parameter("", "what a spike of the source does when it arrives", "the user")
    on_post: str = parameter("", "what a spike of the target does", "the user")
    method: str = parameter(
        "exponential_euler",
        "of integration, by its name in Brian2",
        "the user",
        choices=("euler", "exponential_euler", "rk2", "rk4", "heun"),
    )

    @property
    def statements(self) -> tuple[str, ...]:
        """What spikes do."""
        return (self.on_pre, self.on_post)


def own_synapse(
    equations: str,
    *,
    on_pre: str,
    on_post: str = "",
    method: str = "exponential_euler",
    namespace: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
) -> OwnSynapse:
    """A synapse from what one gives to Brian2's `Synapses`.

    Parameters
    ----------
    equations, on_pre, on_post, method, namespace
        As for `Synapses`.
    start : mapping of str to value
        States at the start, where they are not 0.
    """
    return OwnSynapse(
        textwrap.dedent(str(equations)).strip(),
        dict(namespace or {}),
        dict(start or {}),
        on_pre=textwrap.dedent(on_pre).strip(),
        on_post=textwrap.dedent(on_post).strip(),
        method=method,
    )
