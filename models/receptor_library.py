"""Receptors by name, with the source of every number.

Each receptor lists what differs from the generic one in `neuromod.models.receptors`. Where a source
reads "estimate" or "chosen here", no measurement of that number was found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from brian2 import Quantity, ms, nmolar, second, umolar

from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor
from neuromod.parameters import parameter

HUNGER = "Hunger et al. 2020, J. Neurosci. 40:2868-2881"
GIRK = (2.0, "estimate: GIRK channels bind 4 G protein subunits (Wang et al. 2016, eLife 5:e15751)")
PKA = (
    2.0,
    "two cAMP sites on each PKA subunit (Taylor et al. 1990, Annu. Rev. Biochem. 59:971-1005)",
)
NO_COOPERATIVITY = (1.0, "chosen here: no cooperative step assumed")
RATE_OF_ANTAGONISTS = 10 * PER_UMOLAR_SECOND


def _receptor(
    title: str,
    ligand: str,
    affinity: tuple[Quantity, str],
    antagonist: tuple[str, Quantity, str],
    **cited: tuple[Any, str],
) -> Receptor:
    """A receptor whose defaults are its own, each with its source.

    Parameters
    ----------
    title : str
        One line on the receptor.
    ligand : str
        Its transmitter.
    affinity : tuple of (Quantity, str)
        Dissociation constant K_D of the ligand, mol/m^3, and its source.
    antagonist : tuple of (str, Quantity, str)
        A typical antagonist, its dissociation constant K_B in mol/m^3 and the source. It takes
        part once it is named in the receptor's `antagonist`.
    **cited : tuple of (value, str)
        Value and source of other parameters, `name` and `k_off` among them.

    Returns
    -------
    Receptor
        Of a subclass.
    """
    k_d, source = affinity
    rival, k_b, source_of_rival = antagonist
    cited |= {
        "ligand": (ligand, "its transmitter"),
        "k_on": (cited["k_off"][0] / k_d, f"k_off over K_D = {k_d / umolar:g} µM: {source}"),
        "k_on_antagonist": (
            RATE_OF_ANTAGONISTS,
            "estimate: order of binding rates of small molecules",
        ),
        "k_off_antagonist": (
            RATE_OF_ANTAGONISTS * k_b,
            f"K_B of {rival} = {k_b / nmolar:g} nM: {source_of_rival}",
        ),
    }
    fields = []
    for field in dataclasses.fields(Receptor):
        if field.name in cited:
            default, source = cited[field.name]
            about = dataclasses.replace(field.metadata["about"], source=source)
            fields.append((field.name, field.type, parameter(default, **vars(about))))
    made = dataclasses.make_dataclass(
        cited["name"][0],
        fields,
        bases=(Receptor,),
        frozen=True,
        eq=False,
        namespace={"__doc__": title, "__module__": __name__},
    )
    return cast(Receptor, made())


_RECEPTORS = (
    Receptor(),
    _receptor(
        "Dopamine D1: Gs. Also reduces the after-hyperpolarisation (Thurley et al. 2008).",
        name=("D1", "dopamine D1"),
        ligand="dopamine",
        affinity=(
            1.6 * umolar,
            f"striatal model, mostly low-affinity sites, {HUNGER}; binding there is 960 "
            "times slower",
        ),
        k_off=(
            8 / second,
            "estimate: sensors made from D1 decay in 0.1 s "
            "(Patriarchi et al. 2018, Science 360:eaat4422)",
        ),
        antagonist=(
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
            "chosen here: EC50 0.6 µM; that of cAMP is sub-micromolar "
            "(Yapo et al. 2017, J. Physiol. 595:7451-7475)",
        ),
        gain_max=(
            1.5,
            "chosen here; that it rises: prefrontal cells, "
            "Thurley et al. 2008, J. Neurophysiol. 99:2985-2997",
        ),
    ),
    _receptor(
        "Dopamine D2: Gi, high affinity. Opens K+ channels of midbrain dopamine cells "
        "(Lacey et al. 1987, J. Physiol. 392:397-416).",
        name=("D2", "dopamine D2"),
        ligand="dopamine",
        affinity=(
            0.025 * umolar,
            f"striatal model, mostly high-affinity sites, {HUNGER}; K+ currents need 2 µM and "
            "more (Marcott et al. 2014, Neuron 84:164-176)",
        ),
        k_off=(1 / second, "estimate: D2 currents pass in about a second (Marcott et al. 2014)"),
        antagonist=(
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
    _receptor(
        "Noradrenaline alpha2A as in the locus coeruleus: Gi, opens K+ channels (Williams et "
        "al. 1985, Neuroscience 14:95-101). In prefrontal cells it closes HCN channels and "
        "strengthens inputs instead (Wang et al. 2007, Cell 129:397-410).",
        name=("alpha2", "noradrenaline alpha2A"),
        ligand="noradrenaline",
        affinity=(0.93 * umolar, "sensor made from alpha2A, Feng et al. 2019, Neuron 102:745-761"),
        k_off=(1.5 / second, "estimate: that sensor decays in 0.7 s (Feng et al. 2019)"),
        antagonist=(
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
        K=(0.3, "chosen here: receptor reserve (Hein et al. 2005); EC50 0.4 µM"),
        gain_max=(0.6, "chosen here: inhibitory"),
    ),
    _receptor(
        "Noradrenaline beta1: Gs. Reduces the slow after-hyperpolarisation "
        "(Madison & Nicoll 1982, Nature 299:636-638).",
        name=("beta1", "noradrenaline beta1"),
        ligand="noradrenaline",
        affinity=(2 * umolar, "Isogaya et al. 1999, Mol. Pharmacol. 56:875-885"),
        k_off=(
            10 / second,
            "estimate: FRET of beta1 answers within 0.1 s "
            "(Rochais et al. 2007, J. Clin. Invest. 117:229-235)",
        ),
        antagonist=("CGP20712A", 0.0013 * umolar, "IUPHAR/BPS Guide to Pharmacology"),
        tau_messenger=(5 * second, "estimate: cAMP takes seconds, as for D1"),
        n=PKA,
        K=(0.2, "chosen here: EC50 0.5 µM, where noradrenaline acts on CA1 cells"),
        gain_max=(
            1.3,
            "chosen here; that noradrenaline raises it: prefrontal cells, "
            "Zhang & Arsenault 2005, J. Physiol. 566:379-394",
        ),
    ),
    _receptor(
        "Muscarinic M1: Gq. Blocks the after-hyperpolarisation (Madison et al. 1987) and "
        "closes M channels (Brown & Adams 1980, Nature 283:673-676).",
        name=("M1", "muscarinic M1"),
        ligand="acetylcholine",
        affinity=(10 * umolar, "estimate: order of the low-affinity binding of acetylcholine"),
        k_off=(
            5 / second,
            "estimate: receptor and G protein settle in 0.2 s "
            "(Jensen et al. 2009, J. Gen. Physiol. 133:347-359)",
        ),
        antagonist=(
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
        K=(0.1, "chosen here: receptor reserve; EC50 0.9 µM"),
        gain_max=(
            1.5,
            "chosen here; that cells fire more: CA1, Madison et al. 1987, J. Neurosci. 7:733-741",
        ),
    ),
    _receptor(
        "Serotonin 5-HT1A: Gi. Opens K+ channels of CA1 cells "
        "(Andrade & Nicoll 1987, J. Physiol. 394:99-124).",
        name=("5HT1A", "serotonin 5-HT1A"),
        ligand="serotonin",
        affinity=(
            0.1 * umolar,
            "estimate: between nanomolar binding and micromolar effects in slices",
        ),
        k_off=(
            1 / second,
            "estimate: its inhibitory potentials last seconds "
            "(Pan et al. 1989, J. Neurophysiol. 62:481-486)",
        ),
        antagonist=(
            "WAY100635",
            0.0013 * umolar,
            "Forster et al. 1995, Eur. J. Pharmacol. 281:81-88",
        ),
        tau_messenger=(300 * ms, "estimate: K+ channels, as for alpha2A"),
        n=GIRK,
        K=(0.5, "chosen here: EC50 69 nM, the ambient level"),
        gain_max=(0.6, "chosen here: inhibitory"),
    ),
    _receptor(
        "Serotonin 5-HT2A: Gq. Reduces the after-hyperpolarisation "
        "(Araneda & Andrade 1991, Neuroscience 40:399-412).",
        name=("5HT2A", "serotonin 5-HT2A"),
        ligand="serotonin",
        affinity=(
            0.2 * umolar,
            "at most: IC50 at ketanserin sites, Pierce & Peroutka 1989, J. Neurochem. 52:656-658",
        ),
        k_off=(3 / second, "estimate: as other amine receptors of low affinity here"),
        antagonist=("ketanserin", 0.00069 * umolar, "Schotte et al. 1983, Brain Res. 276:231-235"),
        tau_messenger=(2 * second, "estimate: phospholipase C to channels takes seconds"),
        n=NO_COOPERATIVITY,
        K=(0.5, "chosen here: EC50 67 nM, as 5HT1A, which it opposes"),
        gain_max=(
            1.6,
            "chosen here; that it rises: prefrontal cells, "
            "Zhang & Arsenault 2005, J. Physiol. 566:379-394",
        ),
    ),
    _receptor(
        "Metabotropic glutamate receptor 5: Gq. Closes K+ channels "
        "(Charpak et al. 1990, Nature 347:765-767).",
        name=("mGluR5", "metabotropic glutamate receptor 5"),
        ligand="glutamate",
        affinity=(
            7.5 * umolar,
            "FRET of mGluR1, assumed alike, "
            "Marcaggi et al. 2009, Proc. Natl. Acad. Sci. USA 106:11388-11393",
        ),
        k_off=(20 / second, "deactivation of mGluR1 in 50 ms (Marcaggi et al. 2009)"),
        antagonist=(
            "LY341495",
            8.2 * umolar,
            "at most: Kingston et al. 1998, Neuropharmacology 37:1-12",
        ),
        tau_messenger=(1 * second, "estimate: phospholipase C to channels"),
        n=NO_COOPERATIVITY,
        K=(0.5, "chosen here: EC50 2.5 µM"),
        gain_max=(1.5, "chosen here: excitatory"),
    ),
)
library: Mapping[str, Receptor] = MappingProxyType({found.name: found for found in _RECEPTORS})
"""Receptors by name. Effects beyond the gain are off in all of them, and so are antagonists."""
