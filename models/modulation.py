"""Receptors on any neuron: `modulate` puts them on its equations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

import numpy as np
from brian2 import Equations, NeuronGroup, Quantity, Synapses, umolar
from brian2.utils.stringtools import word_substitute

from neuromod.errors import UserError, listed, unknown
from neuromod.models.effects import (
    Effect,
    combined,
    equations_text,
    modulated_condition,
    modulated_equations,
    modulated_statements,
)
from neuromod.models.integration import HeldCascade
from neuromod.models.own_equations import FUNCTIONS, UNITS, OwnEquations, names_in, read_equations
from neuromod.models.own_neuron import OF_THE_SHELF, OwnNeuron, own_neuron
from neuromod.models.own_synapse import OwnSynapse, own_synapse
from neuromod.models.receptive import Cascade, Receptive, receptor_list
from neuromod.models.receptors import check_word
from neuromod.parameters import parameter, unit_of, used

OneEffect: TypeAlias = str | Effect
Own = TypeVar("Own", bound=OwnEquations)


@dataclass(frozen=True, eq=False)
class Modulation(Receptive):
    """Base of neurons and synapses with receptors on them.

    In all code that reads a term named in `on`, the expression given there takes the term's place.
    It may read ``gain_D1`` and ``activation_D1`` of a receptor D1, and the term itself.
    """

    on: Mapping[str, Any] = parameter({}, "expressions of terms under modulation", "the user")
    amounts: Mapping[str, Any] = parameter(
        {}, "constants that these name", "the user", any_unit=True
    )
    receptors: tuple[Cascade, ...] = receptor_list((), "the user")
    around: tuple[str, ...] = parameter(
        (), "ligands around it beside those that its receptors bind", "the user"
    )

    if TYPE_CHECKING:

        @property
        def own(self) -> OwnEquations:
            """What the receptors are on."""

    def check_values(self, own: Callable[[str], Any]) -> None:
        """Refuse terms that do not exist, names that are taken, and receptors without effect."""
        super().check_values(own)
        for ligand in self.around:
            check_word("around", ligand)
        self._check_names()
        self._check_terms()
        self._check_effects()

    @property
    def ligands(self) -> tuple[str, ...]:
        """All ligands around it, in order."""
        return tuple(dict.fromkeys([*super().ligands, *self.around]))

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the constants that the equations name: a group's namespace."""
        cascades = used(self.cascade_constants, self.cascades)
        return {**self.own.values, **self.amounts, **cascades}

    def steady(self, conc: Mapping[str, Quantity]) -> dict[str, Any]:
        """State in a bath: receptors settled, the rest as it is at the start.

        Parameters
        ----------
        conc : mapping of str to Quantity, shape () or (n,)
            Concentrations by ligand, mol/m^3; 0 where none is given.
        """
        return {**self.own.initial, **self.bound(conc)}

    @property
    def has_gain(self) -> bool:
        """False: what is called ``gain`` is the neuron's own."""
        return False

    @property
    def effective(self) -> tuple[Cascade, ...]:
        """All that acts, since nothing is without effect here."""
        return self.acting

    def settle(self, group: NeuronGroup | Synapses, **conc: Quantity) -> None:
        """Lay a group that was made from these equations into a bath in which it has settled.

        Parameters
        ----------
        group : NeuronGroup or Synapses
        **conc : Quantity, shape () or (n,)
            Concentrations by ligand, mol/m^3; 0 where none is given.

        Raises
        ------
        UserError
            For a ligand that no receptor binds, or a group that lacks a variable.
        """
        # First what may refuse.
        states = self.steady(conc) | self._levels(conc)
        for name in states:
            if name not in group.variables:
                raise UserError(
                    f"{group.name} has no variable {name}: make it from the modulated equations."
                )
        for name, value in states.items():
            setattr(group, name, value)

    def _levels(self, conc: Mapping[str, Quantity]) -> dict[str, Quantity]:
        """Concentrations that a group holds, in a bath."""
        return {f"conc_{ligand}": conc.get(ligand, 0 * umolar) for ligand in self.ligands}

    @property
    def _baths(self) -> list[str]:
        """Declarations of concentrations that have no equation of their own."""
        defined = read_equations(self.own.equations).names
        names = [f"conc_{ligand}" for ligand in self.ligands]
        return [f"{name} : mole/meter**3" for name in names if name not in defined]

    def _check_names(self) -> None:
        """Refuse names that the neuron and the receptors both have."""
        cascades = read_equations(self.cascades).names
        ours = cascades | self.cascade_constants.keys() | self.amounts.keys()
        if taken := sorted(ours & self.own.named):
            name = taken[0].rpartition("_")[2]
            raise UserError(
                f"{listed(taken)} would be a name of the equations and of the receptor {name}: "
                f"give the receptor another one, as in {{'{name}b': ...}}."
            )

    def _check_terms(self) -> None:
        """Refuse terms that nothing reads, and expressions of what is not there."""
        ours = read_equations(self.cascades).names | self.amounts.keys() | FUNCTIONS
        read = self.own.read
        for target, expression in self.on.items():
            if target not in self.own.named:
                raise unknown("term", target, self.own.named)
            if target not in read:
                raise UserError(
                    f"Nothing but its own equation reads {target}: a receptor on it would do "
                    f"nothing; there are {listed(sorted(read - FUNCTIONS))}."
                )
            for name in sorted(names_in(expression) - ours - self.own.named - UNITS.keys()):
                raise unknown(f"name for {target} = {expression}", name, ours | self.own.named)
            without_unit = dict.fromkeys(read_equations(self.cascades).names, 1.0)
            self.own.check_term(target, expression, {**without_unit, **self.amounts})

    def _check_effects(self) -> None:
        """Refuse receptors that act on nothing."""
        read = {name for expression in self.on.values() for name in names_in(expression)}
        for part in self.acting:
            if not {f"gain_{part.name}", f"activation_{part.name}"} & read:
                terms = sorted(
                    self.own.read - FUNCTIONS, key=lambda name: (name[0] not in "Ig", name)
                )
                raise UserError(
                    f"{part.name} acts on nothing: name what it acts on, as in "
                    f"on={{'{(terms or ['I_syn'])[0]}': '{part.name}'}}."
                )


@dataclass(frozen=True, eq=False)
class Modulated(Modulation):
    """A neuron with receptors on it, as `modulate` makes it."""

    own: OwnNeuron = parameter(OwnNeuron(), "the neuron without receptors", "the user")

    @property
    def equations(self) -> str:
        """The neuron's equations under modulation, those of receptors, and concentrations."""
        own = modulated_equations(self.own.equations, self.on)
        return "\n".join(filter(None, [own, self.cascades, *self._baths]))

    @property
    def threshold(self) -> Any:
        """Condition for a spike; None where there are none."""
        return modulated_condition(self.own.threshold, self.on) or None

    @property
    def reset(self) -> str:
        """What a spike does."""
        return modulated_statements(self.own.reset, self.on)

    @property
    def refractory(self) -> Any:
        """How long, or while what, the neuron is refractory."""
        return modulated_condition(self.own.refractory, self.on) or False

    @property
    def method(self) -> Any:
        """The neuron's, for all equations; an exact one holds the receptors over a step."""
        if self.own.method != "exact" or not self.receptors:
            return OF_THE_SHELF.get(self.own.method, self.own.method)
        return HeldCascade.under(read_equations(self.own.equations))

    @property
    def current(self) -> str:
        """Name of the injected current."""
        return self.own.current

    @property
    def potential(self) -> str:
        """Name of the membrane potential."""
        return self.own.potential


@dataclass(frozen=True, eq=False)
class ModulatedSynapse(Modulation):
    """A synapse with receptors of its own, as on a presynaptic terminal; `modulate` makes it.

    Its receptors see the concentration around the target, ``conc_LIGAND`` there, if `at_target`,
    and one of the synapse's own otherwise.
    """

    own: OwnSynapse = parameter(OwnSynapse(), "the synapse without receptors", "the user")
    at_target: bool = parameter(
        False, "whether the concentration is that around the target", "the user"
    )

    totals: ClassVar[tuple[str, ...]] = ()

    @property
    def equations(self) -> str:
        """The synapse's equations under modulation, those of receptors, and concentrations."""
        own = modulated_equations(self.own.equations, self.on)
        cascades = "\n".join(
            f"{line} (clock-driven)" if "/dt" in line else line
            for line in self.cascades.splitlines()
        )
        if not self.at_target:
            return "\n".join(filter(None, [own, cascades, *self._baths]))
        seen = {f"conc_{ligand}": f"conc_{ligand}_post" for ligand in self.ligands}
        return "\n".join(filter(None, [own, str(word_substitute(cascades, seen))]))

    @property
    def on_pre(self) -> str:
        """What a spike of the source does when it arrives."""
        return self._spelt_out(modulated_statements(self.own.on_pre, self.on))

    @property
    def on_post(self) -> str:
        """What a spike of the target does."""
        return self._spelt_out(modulated_statements(self.own.on_post, self.on))

    @property
    def method(self) -> str:
        """Of integration."""
        return self.own.method

    def _levels(self, conc: Mapping[str, Quantity]) -> dict[str, Quantity]:
        return {} if self.at_target else super()._levels(conc)

    def _spelt_out(self, code: str) -> str:
        """Code without subexpressions of the receptors, which GeNN's spikes cannot read."""
        defined = read_equations(self.cascades)
        for part in self.acting:
            for name in (f"gain_{part.name}", f"activation_{part.name}"):
                code = str(word_substitute(code, {name: f"({defined[name].expr.code})"}))
        return code


def modulate(
    neuron: Any,
    receptors: Mapping[str, Cascade] | Iterable[Cascade] = (),
    on: Mapping[str, OneEffect | Iterable[OneEffect]] | None = None,
    *,
    around: Iterable[str] = (),
    **written: Any,
) -> Modulated:
    """Put receptors on a neuron.

    Parameters
    ----------
    neuron : str or Equations or model
        Equations in Brian2's language, or a model without receptors.
    receptors : mapping of str to Receptor or Messenger, or list of them
        By the name that their variables end in; those of a list have their own.
    on : mapping of str to effect, or list of effects
        By the name of a current, conductance, threshold, time constant or other term. An effect is
        the name of a receptor, whose gain multiplies the term; `scaled_by`, `suppressed_by` or
        `shifted_by`; or, alone, an expression in Brian2's language.
    around : iterable of str
        Ligands around the neuron that receptors elsewhere bind, as those of its synapses.
    **written
        What else there is to equations: `threshold`, `reset`, `refractory`, `method`, `namespace`
        with the constants, `start` with the states, `current`, `potential`; see `own_neuron`.

    Returns
    -------
    Modulated
        Its equations and constants make a `NeuronGroup`; it is also a model for a population.

    Raises
    ------
    UserError
        For a term that is not in the equations, a name that is taken, a receptor that acts on
        nothing, or a unit that does not fit.
    """
    own = _own(neuron, OwnNeuron, own_neuron, written)
    return Modulated(**_effects(receptors, on), around=tuple(around), own=own)


def modulate_synapse(
    synapse: Any,
    receptors: Mapping[str, Cascade] | Iterable[Cascade],
    on: Mapping[str, OneEffect | Iterable[OneEffect]],
    *,
    at_target: bool = False,
    **written: Any,
) -> ModulatedSynapse:
    """Put receptors on a synapse, as on a presynaptic terminal.

    Parameters
    ----------
    synapse : str or Equations or model
        Equations in Brian2's language, or a model such as `TsodyksMarkram`.
    receptors, on
        As for `modulate`; a term may be the release probability, a weight or a time constant.
    at_target : bool
        Whether the receptors see the concentration around the target, which must have it.
    **written
        What else there is to equations: `on_pre`, `on_post`, `method`, `namespace`, `start`; see
        `own_synapse`.

    Returns
    -------
    ModulatedSynapse
        Its equations and constants make `Synapses`; it is also a model for a plastic connection.

    Raises
    ------
    UserError
        As `modulate` does.
    """
    own = _own(synapse, OwnSynapse, own_synapse, written)
    return ModulatedSynapse(**_effects(receptors, on), own=own, at_target=at_target)


def _effects(receptors: Any, on: Any) -> dict[str, Any]:
    """Fields of a `Modulation` from what `modulate` was given."""
    cascade = tuple(receptors.values() if isinstance(receptors, Mapping) else receptors)
    for receptor in cascade:
        if not isinstance(receptor, Cascade):
            raise UserError(f"A receptor such as library.D1 was expected, not {receptor!r:.80}.")
    if isinstance(receptors, Mapping):
        cascade = tuple(replace(r, name=name) for name, r in receptors.items())
    named = {receptor.name: receptor for receptor in cascade}
    expressions: dict[str, str] = {}
    amounts: dict[str, Any] = {}
    for target, effects in (on or {}).items():
        expressions[target], constants = _expression(target, effects, named)
        amounts |= constants
    return {"on": expressions, "amounts": amounts, "receptors": cascade}


def _expression(target: str, effects: Any, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Expression of a term under what was given for it, and the constants that it names."""
    if isinstance(effects, str) and effects not in known and not effects.isidentifier():
        return effects, {}
    several = effects if isinstance(effects, list | tuple) else [effects]
    made = [Effect(effect) if isinstance(effect, str) else effect for effect in several]
    for effect in made:
        if not isinstance(effect, Effect):
            raise UserError(
                f"{target} needs the name of a receptor, scaled_by(...), suppressed_by(...) or "
                f"shifted_by(...), not {effect!r:.80}."
            )
        if effect.receptor not in known:
            raise unknown(f"receptor for {target}", effect.receptor, known)
    return combined(target, made)


def _own(part: Any, kind: type[Own], make: Callable[..., Own], written: dict[str, Any]) -> Own:
    """A neuron or synapse as equations of its own."""
    if isinstance(part, str | Equations):
        known = list(inspect.signature(make).parameters)[1:]
        for name in written:
            if name not in known:
                raise unknown("argument of modulate", name, known)
        return make(equations_text(part) if isinstance(part, Equations) else part, **written)
    if isinstance(part, type) or not hasattr(part, "equations"):
        raise UserError(f"Equations, or a model such as AdEx(), were expected, not {part!r:.80}.")
    if written:
        raise UserError(f"{listed(written)} goes with equations; a model has its own.")
    if isinstance(part, kind):
        return part
    if getattr(part, "receptors", ()):
        raise UserError(
            f"{type(part).__name__} has receptors of its own: set receptors=() and put all of them "
            "on by modulate."
        )
    common = {"method": part.method, "namespace": part.constants}
    if kind is OwnSynapse:
        return make(part.equations, on_pre=part.on_pre, on_post=part.on_post, **common)
    # What reaches a model is given to it as to equations, by a parameter.
    inputs = getattr(part, "inputs", {})
    declared = [f"{name} : {unit_of(given.default)}" for name, given in inputs.items()]
    started = {n: given.default for n, given in inputs.items() if np.any(given.default)}
    names = {n: getattr(part, n) for n in ("current", "potential") if hasattr(part, n)}
    return make(
        "\n".join([part.equations, *declared]),
        threshold=part.threshold,
        reset=part.reset,
        refractory=part.refractory,
        start=started | part.start,
        **common,
        **names,
    )
