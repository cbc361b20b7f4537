"""Metabotropic receptors: binding, second messenger, Hill function, and what they act on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from brian2 import Quantity, ms, nS, second, umolar

from neuromod.errors import UserError
from neuromod.parameters import Parameters, parameter, used

PER_UMOLAR_SECOND = 1 / (umolar * second)


@dataclass(frozen=True, eq=False)
class Receptor(Parameters):
    """A metabotropic receptor and its cascade: binding, second messenger, Hill function, gain.

    Its variables end in its name, as in ``occupancy_D1``, and concentrations in their ligand's,
    as in ``conc_dopamine``. The defaults are those of a generic receptor with an affinity in the
    micromolar range; `LIBRARY` has named ones.
    """

    name: str = parameter("generic", "name, which its variables carry", source="chosen here")
    ligand: str = parameter("modulator", "what it binds", source="chosen here")
    k_on: Quantity = parameter(
        PER_UMOLAR_SECOND,
        "binding rate",
        source="chosen here: with k_off, a time constant of 0.5 s at 1 uM",
        low=0 * PER_UMOLAR_SECOND,
        low_excluded=True,
    )
    k_off: Quantity = parameter(
        1 / second,
        "unbinding rate; K_D = k_off/k_on",
        source="chosen here: K_D = 1 uM, of the order of low-affinity dopamine D1 sites "
        "(Richfield et al. 1989, Neuroscience 30:767-777)",
        low=0 / second,
        low_excluded=True,
    )
    antagonist: str = parameter(
        "", "a ligand that competes for the binding site; none if empty", source="chosen here"
    )
    k_on_antagonist: Quantity = parameter(
        PER_UMOLAR_SECOND,
        "the antagonist's binding rate",
        source="chosen here",
        low=0 * PER_UMOLAR_SECOND,
        low_excluded=True,
    )
    k_off_antagonist: Quantity = parameter(
        0.1 / second,
        "the antagonist's unbinding rate; K_B = k_off_antagonist/k_on_antagonist",
        source="chosen here: K_B = 0.1 uM",
        low=0 / second,
        low_excluded=True,
    )
    k_desensitise: Quantity = parameter(
        0 / second,
        "rate at which bound receptors stop responding; 0: never",
        source="chosen here: off",
        low=0 / second,
    )
    tau_recover: Quantity = parameter(
        100 * second,
        "time constant in which they respond again",
        source="chosen here: resensitisation takes minutes "
        "(Ferguson 2001, Pharmacol. Rev. 53:1-24)",
        low=0 * second,
        low_excluded=True,
    )
    tau_messenger: Quantity = parameter(
        500 * ms,
        "time constant of G protein to second messenger",
        source="chosen here: metabotropic responses take hundreds of milliseconds",
        low=0 * second,
        low_excluded=True,
    )
    n: float = parameter(2.0, "Hill coefficient", source="chosen here", low=0, low_excluded=True)
    K: float = parameter(
        0.5, "messenger level of half activation", source="chosen here", low=0, low_excluded=True
    )
    gain_max: float = parameter(
        3.0,
        "gain at full activation: above 1 Gs-like, below 1 Gi-like",
        source="chosen here",
        low=0,
    )
    g_K: Quantity = parameter(
        0 * nS,
        "K+ conductance opened at full activation (negative: closed), which shifts the resting "
        "potential; 0: none",
        source="chosen here: off",
    )
    ahp_max: float = parameter(
        1.0,
        "factor on the after-spike current at full activation; 1: no effect",
        source="chosen here: off",
        low=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("name", "ligand", "antagonist"):
            text = getattr(self, field)
            if not text.isascii() or not text.isalnum():
                if field == "antagonist" and not text:
                    continue
                raise UserError(
                    f"{field} = {text!r} stands in the names of variables: letters and digits "
                    "were expected, such as D1."
                )
        if self.antagonist == self.ligand:
            raise UserError(f"{self.ligand} cannot compete with itself for {self.name}.")

    @property
    def ligands(self) -> tuple[str, ...]:
        """What binds here: the ligand and, if there is one, the antagonist."""
        return (self.ligand, self.antagonist) if self.antagonist else (self.ligand,)

    @property
    def equations(self) -> str:
        """Equations of the cascade in Brian2's language; concentrations are the neuron's."""
        r, n = self.name, f"{self.n:g}" if self.n == float(f"{self.n:g}") else repr(self.n)
        free = f"1 - occupancy_{r} - blocked_{r}" if self.antagonist else f"1 - occupancy_{r}"
        signal = f"occupancy_{r}*available_{r}" if self._desensitises else f"occupancy_{r}"
        # The exponent is written out: compilers turn whole ones into products, 5 times faster.
        lines = [
            f"gain_{r} = 1 + (gain_max_{r} - 1)*activation_{r} : 1",
            f"activation_{r} = messenger_{r}**{n}/(messenger_{r}**{n} + K_{r}**{n}) : 1",
            f"dmessenger_{r}/dt = ({signal} - messenger_{r})/tau_messenger_{r} : 1",
        ]
        if self._desensitises:
            lines.append(
                f"davailable_{r}/dt = (1 - available_{r})/tau_recover_{r}"
                f" - k_desensitise_{r}*occupancy_{r}*available_{r} : 1"
            )
        lines.append(
            f"doccupancy_{r}/dt = k_on_{r}*conc_{self.ligand}*({free})"
            f" - k_off_{r}*occupancy_{r} : 1"
        )
        if self.antagonist:
            lines.append(
                f"dblocked_{r}/dt = k_on_antagonist_{r}*conc_{self.antagonist}*({free})"
                f" - k_off_antagonist_{r}*blocked_{r} : 1"
            )
        return "\n".join(lines)

    @property
    def constants(self) -> dict[str, Any]:
        """Values of the parameters that the equations, or a neuron with this receptor, name."""
        own = {f"{name}_{self.name}": value for name, value in vars(self).items()}
        beyond = f"{self.equations}\ng_K_{self.name}\nahp_max_{self.name}"
        return used(own, beyond)

    def steady(self, conc: Quantity, antagonist: Quantity = 0 * umolar) -> dict[str, np.ndarray]:
        """State variables in the steady state.

        Parameters
        ----------
        conc, antagonist : Quantity, shape () or (n,)
            Concentrations of the ligand and of the antagonist, mol/m^3.

        Returns
        -------
        dict of str to ndarray
        """
        occupancy, blocked = self._shares(conc, antagonist)
        available = 1 / (1 + self._silencing * occupancy)
        states = {"occupancy": occupancy, "messenger": occupancy * available}
        if self.antagonist:
            states["blocked"] = blocked
        if self._desensitises:
            states["available"] = available
        return {f"{name}_{self.name}": np.asarray(value) for name, value in states.items()}

    def occupancy(self, conc: Quantity, antagonist: Quantity = 0 * umolar) -> np.ndarray:
        """Steady share of receptors that the ligand occupies.

        Parameters
        ----------
        conc, antagonist : Quantity, shape () or (n,)
            Concentrations, mol/m^3.

        Returns
        -------
        ndarray, shape () or (n,)
            ``c/(c + K_D*(1 + c_antagonist/K_B))``; Gaddum 1937, J. Physiol. 89:7P-9P.
        """
        return np.asarray(self._shares(conc, antagonist)[0])

    def activation(self, conc: Quantity, antagonist: Quantity = 0 * umolar) -> np.ndarray:
        """Steady activation, from 0 to below 1, at concentrations in mol/m^3."""
        messenger = self.steady(conc, antagonist)[f"messenger_{self.name}"]
        return np.asarray(messenger**self.n / (messenger**self.n + self.K**self.n))

    def gain(self, conc: Quantity, antagonist: Quantity = 0 * umolar) -> np.ndarray:
        """Steady gain, dimensionless, at concentrations in mol/m^3."""
        return np.asarray(1 + (self.gain_max - 1) * self.activation(conc, antagonist))

    @property
    def ec50(self) -> Quantity:
        """Concentration of half the greatest steady effect, without antagonist, mol/m^3."""
        occupancy = self._half()[1]
        return self.k_off / self.k_on * occupancy / (1 - occupancy)

    @property
    def hill_slope(self) -> float:
        """Slope at EC50 of ``log(effect/(greatest effect - effect))`` against log concentration."""
        activation, occupancy = self._half()
        per_messenger = 2 * self.n * (1 - activation)
        return float(per_messenger * (1 - occupancy) / (1 + self._silencing * occupancy))

    def _half(self) -> tuple[float, float]:
        """Activation and occupancy of half the greatest steady effect."""
        greatest = 1 / (1 + self._silencing)
        half = greatest**self.n / (greatest**self.n + self.K**self.n) / 2
        messenger = self.K * (half / (1 - half)) ** (1 / self.n)
        return half, messenger / (1 - self._silencing * messenger)

    def _shares(self, conc: Quantity, antagonist: Quantity) -> tuple[Any, Any]:
        """Steady shares of receptors that the ligand and the antagonist occupy."""
        bound = conc * self.k_on / self.k_off
        rival = antagonist * self.k_on_antagonist / self.k_off_antagonist if self.antagonist else 0
        return bound / (1 + bound + rival), rival / (1 + bound + rival)

    @property
    def _desensitises(self) -> bool:
        return bool(self.k_desensitise > 0 / second)

    @property
    def _silencing(self) -> float:
        """Desensitisation at full occupancy: silent per responding receptors."""
        return float(self.k_desensitise * self.tau_recover)


def named(title: str, **cited: tuple[Any, str]) -> Receptor:
    """A receptor whose numbers have sources of their own.

    Parameters
    ----------
    title : str
        One line on the receptor.
    **cited : tuple of (value, str)
        Value and source of each parameter that differs from the generic receptor's.

    Returns
    -------
    Receptor
        Of a subclass with these defaults.
    """
    fields = []
    for field in dataclasses.fields(Receptor):
        if field.name in cited:
            default, source = cited[field.name]
            about = dataclasses.replace(field.metadata["about"], source=source)
            fields.append((field.name, field.type, parameter(default, **vars(about))))
    made = dataclasses.make_dataclass(
        cited["name"][0], fields, bases=(Receptor,), frozen=True, eq=False,
        namespace={"__doc__": title, "__module__": __name__},
    )  # fmt: skip
    return cast(Receptor, made())


HUNGER = "Hunger et al. 2020, J. Neurosci. 40:2868-2881"
GIRK = (2.0, "estimate: GIRK channels bind 4 G protein subunits (Wang et al. 2016, eLife 5:e15751)")
PKA = (
    2.0,
    "two cAMP sites on each PKA subunit (Taylor et al. 1990, Annu. Rev. Biochem. 59:971-1005)",
)
NO_COOPERATIVITY = (1.0, "chosen here: no cooperative step assumed")


def _rates(affinity: Quantity, source: str, k_off: Quantity, why: str) -> dict[str, Any]:
    """Binding and unbinding rate of a ligand from its dissociation constant and the latter."""
    return {
        "k_on": (k_off / affinity, f"k_off over K_D = {affinity}: {source}"),
        "k_off": (k_off, why),
    }


def _antagonist(name: str, affinity: Quantity, source: str) -> dict[str, Any]:
    """Rates of a typical antagonist, which takes part once the receptor's `antagonist` names it."""
    k_on = 10 * PER_UMOLAR_SECOND
    return {
        "k_on_antagonist": (k_on, "estimate: order of binding rates of small molecules"),
        "k_off_antagonist": (k_on * affinity, f"K_B of {name} = {affinity}: {source}"),
    }


LIBRARY: dict[str, Receptor] = {
    receptor.name: receptor
    for receptor in (
        Receptor(),
        named(
            "Dopamine D1: Gs. Also reduces the after-hyperpolarisation (Thurley et al. 2008).",
            name=("D1", "dopamine D1"),
            ligand=("dopamine", "its transmitter"),
            **_rates(
                1.6 * umolar,
                f"striatal model, mostly low-affinity sites, {HUNGER}; binding there is 960 "
                "times slower",
                8 / second,
                "estimate: sensors made from D1 decay in 0.1 s "
                "(Patriarchi et al. 2018, Science 360:eaat4422)",
            ),
            **_antagonist(
                "SCH23390",
                0.00076 * umolar,
                "Kanba et al. 1994, J. Psychiatry Neurosci. 19:265-269",
            ),
            tau_messenger=(
                5 * second,
                "estimate: cAMP takes seconds (Castro et al. 2013, J. Physiol. 591:3197-3214)",
            ),
            n=PKA,
            K=(
                0.3,
                "chosen here: EC50 0.6 uM; that of cAMP is sub-micromolar "
                "(Yapo et al. 2017, J. Physiol. 595:7451-7475)",
            ),
            gain_max=(
                1.5,
                "chosen here; that it rises: prefrontal cells, "
                "Thurley et al. 2008, J. Neurophysiol. 99:2985-2997",
            ),
        ),
        named(
            "Dopamine D2: Gi, high affinity. Opens K+ channels of midbrain dopamine cells "
            "(Lacey et al. 1987, J. Physiol. 392:397-416).",
            name=("D2", "dopamine D2"),
            ligand=("dopamine", "its transmitter"),
            **_rates(
                0.025 * umolar,
                f"striatal model, mostly high-affinity sites, {HUNGER}; K+ currents need 2 uM and "
                "more (Marcott et al. 2014, Neuron 84:164-176)",
                1 / second,
                "estimate: D2 currents pass in about a second (Marcott et al. 2014)",
            ),
            **_antagonist(
                "raclopride",
                0.0012 * umolar,
                "Kohler et al. 1985, Biochem. Pharmacol. 34:2251-2259",
            ),
            tau_messenger=(
                200 * ms,
                "estimate: the K+ channel, not dopamine, sets the time course "
                "(Ford et al. 2009, J. Neurosci. 29:13344-13352)",
            ),
            n=GIRK,
            K=(0.5, "chosen here: EC50 17 nM"),
            gain_max=(
                0.5,
                "chosen here; that it falls: striatal cells, "
                "Hernandez-Lopez et al. 2000, J. Neurosci. 20:8987-8995",
            ),
        ),
        named(
            "Noradrenaline alpha2A as in the locus coeruleus: Gi, opens K+ channels (Williams et "
            "al. 1985, Neuroscience 14:95-101). In prefrontal cells it closes HCN channels and "
            "strengthens inputs instead (Wang et al. 2007, Cell 129:397-410).",
            name=("alpha2", "noradrenaline alpha2A"),
            ligand=("noradrenaline", "its transmitter"),
            **_rates(
                0.93 * umolar,
                "sensor made from alpha2A, Feng et al. 2019, Neuron 102:745-761",
                1.5 / second,
                "estimate: that sensor decays in 0.7 s (Feng et al. 2019)",
            ),
            **_antagonist(
                "idazoxan",
                0.0055 * umolar,
                "McLaughlin & Collins 1986, Eur. J. Pharmacol. 121:91-96",
            ),
            tau_messenger=(
                300 * ms,
                "estimate: receptor and G protein in 0.1 s "
                "(Hein et al. 2005, EMBO J. 24:4106-4114), K+ channels slower",
            ),
            n=GIRK,
            K=(0.3, "chosen here: receptor reserve (Hein et al. 2005); EC50 0.4 uM"),
            gain_max=(0.6, "chosen here: inhibitory"),
        ),
        named(
            "Noradrenaline beta1: Gs. Reduces the slow after-hyperpolarisation "
            "(Madison & Nicoll 1982, Nature 299:636-638).",
            name=("beta1", "noradrenaline beta1"),
            ligand=("noradrenaline", "its transmitter"),
            **_rates(
                2 * umolar,
                "Isogaya et al. 1999, Mol. Pharmacol. 56:875-885",
                10 / second,
                "estimate: FRET of beta1 answers within 0.1 s "
                "(Rochais et al. 2007, J. Clin. Invest. 117:229-235)",
            ),
            **_antagonist("CGP20712A", 0.0013 * umolar, "IUPHAR/BPS Guide to Pharmacology"),
            tau_messenger=(5 * second, "estimate: cAMP takes seconds, as for D1"),
            n=PKA,
            K=(0.2, "chosen here: EC50 0.5 uM, where noradrenaline acts on CA1 cells"),
            gain_max=(
                1.3,
                "chosen here; that noradrenaline raises it: prefrontal cells, "
                "Zhang & Arsenault 2005, J. Physiol. 566:379-394",
            ),
        ),
        named(
            "Muscarinic M1: Gq. Blocks the after-hyperpolarisation (Madison et al. 1987) and "
            "closes M channels (Brown & Adams 1980, Nature 283:673-676).",
            name=("M1", "muscarinic M1"),
            ligand=("acetylcholine", "its transmitter"),
            **_rates(
                10 * umolar,
                "estimate: order of the low-affinity binding of acetylcholine",
                5 / second,
                "estimate: receptor and G protein settle in 0.2 s "
                "(Jensen et al. 2009, J. Gen. Physiol. 133:347-359)",
            ),
            **_antagonist(
                "pirenzepine",
                0.01 * umolar,
                "Caulfield & Birdsall 1998, Pharmacol. Rev. 50:279-290",
            ),
            tau_messenger=(
                5 * second,
                "estimate: loss of PIP2 takes seconds "
                "(Falkenburger et al. 2010, J. Gen. Physiol. 135:81-97)",
            ),
            n=NO_COOPERATIVITY,
            K=(0.1, "chosen here: receptor reserve; EC50 0.9 uM"),
            gain_max=(
                1.5,
                "chosen here; that cells fire more: CA1, "
                "Madison et al. 1987, J. Neurosci. 7:733-741",
            ),
        ),
        named(
            "Serotonin 5-HT1A: Gi. Opens K+ channels of CA1 cells "
            "(Andrade & Nicoll 1987, J. Physiol. 394:99-124).",
            name=("5HT1A", "serotonin 5-HT1A"),
            ligand=("serotonin", "its transmitter"),
            **_rates(
                0.1 * umolar,
                "estimate: between nanomolar binding and micromolar effects in slices",
                1 / second,
                "estimate: its inhibitory potentials last seconds "
                "(Pan et al. 1989, J. Neurophysiol. 62:481-486)",
            ),
            **_antagonist(
                "WAY100635", 0.0013 * umolar, "Forster et al. 1995, Eur. J. Pharmacol. 281:81-88"
            ),
            tau_messenger=(300 * ms, "estimate: K+ channels, as for alpha2A"),
            n=GIRK,
            K=(0.5, "chosen here: EC50 69 nM, the ambient level"),
            gain_max=(0.6, "chosen here: inhibitory"),
        ),
        named(
            "Serotonin 5-HT2A: Gq. Reduces the after-hyperpolarisation "
            "(Araneda & Andrade 1991, Neuroscience 40:399-412).",
            name=("5HT2A", "serotonin 5-HT2A"),
            ligand=("serotonin", "its transmitter"),
            **_rates(
                0.2 * umolar,
                "at most: IC50 at ketanserin sites, "
                "Pierce & Peroutka 1989, J. Neurochem. 52:656-658",
                3 / second,
                "estimate: as other amine receptors of low affinity here",
            ),
            **_antagonist(
                "ketanserin", 0.00069 * umolar, "Schotte et al. 1983, Brain Res. 276:231-235"
            ),
            tau_messenger=(2 * second, "estimate: phospholipase C to channels takes seconds"),
            n=NO_COOPERATIVITY,
            K=(0.5, "chosen here: EC50 67 nM, as 5HT1A, which it opposes"),
            gain_max=(
                1.6,
                "chosen here; that it rises: prefrontal cells, "
                "Zhang & Arsenault 2005, J. Physiol. 566:379-394",
            ),
        ),
        named(
            "Metabotropic glutamate receptor 5: Gq. Closes K+ channels "
            "(Charpak et al. 1990, Nature 347:765-767).",
            name=("mGluR5", "metabotropic glutamate receptor 5"),
            ligand=("glutamate", "its transmitter"),
            **_rates(
                7.5 * umolar,
                "FRET of mGluR1, assumed alike, "
                "Marcaggi et al. 2009, Proc. Natl. Acad. Sci. USA 106:11388-11393",
                20 / second,
                "deactivation of mGluR1 in 50 ms (Marcaggi et al. 2009)",
            ),
            **_antagonist(
                "LY341495",
                8.2 * umolar,
                "at most: Kingston et al. 1998, Neuropharmacology 37:1-12",
            ),
            tau_messenger=(1 * second, "estimate: phospholipase C to channels"),
            n=NO_COOPERATIVITY,
            K=(0.5, "chosen here: EC50 2.5 uM"),
            gain_max=(1.5, "chosen here: excitatory"),
        ),
    )
}
"""Receptors by name; effects beyond the gain are off in all of them."""
