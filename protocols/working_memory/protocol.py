"""A cortical network that holds an object in mind, under dopamine (Brunel & Wang 2001)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, kHz, ms, second, umolar

from neuromod.analysis.attractor_mean_field import BRANCHES, AttractorMeanField
from neuromod.analysis.spike_trains import between
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Model, PlasticConnection, Population, Trace
from neuromod.inputs.bombardment import bombard
from neuromod.inputs.modulators import bath, puffs
from neuromod.models.brunel_wang import (
    BRUNEL_WANG,
    BrunelWangCell,
    BrunelWangInterneuron,
    SaturatingNMDA,
)
from neuromod.models.effects import scaled_by
from neuromod.models.modulation import modulate
from neuromod.models.receptor_library import library
from neuromod.models.receptors import Receptor
from neuromod.parameters import not_negative, parameter, positive
from neuromod.protocol import Protocol, Recordings, Tables
from neuromod.protocols.families.cells import check_ascending
from neuromod.protocols.families.timing import time, time_step
from neuromod.protocols.working_memory import page
from neuromod.protocols.working_memory.conditions import (
    REACHED,
    STUDIES,
    Course,
    conditions,
    course,
    factors,
    in_mind,
    outcomes,
)
from neuromod.protocols.working_memory.network import CELLS, PAPERS, Network
from neuromod.recording import Recording
from neuromod.support.text import say

MULY = "Muly et al. 1998, as modelled by Brunel & Wang 2001, figure 10"
# Chosen here: points of the mean-field curves.
POINTS = 41
RATES = ("spontaneous", "inhibitory", "delay", "persistent")
MEASURED = (*(f"{name}{end}_Hz" for name in RATES for end in ("", "_sd")), "loaded", "trials")


@dataclass(frozen=True, eq=False)
class WorkingMemory(Protocol):
    """Persistent activity of a cortical network that holds an object in mind, under dopamine.

    How does dopamine change what a cortical network holds in mind, its rates and its resistance to
    distractors?

    A cue excites a group of pyramidal cells, which then keep each other firing (Brunel & Wang
    2001). Four studies: `drive`, over the background from outside; `concerted`, D1 receptors that
    raise NMDA and GABA_A conductances of all cells together, with distractors of several strengths;
    `differential`, D1 receptors that raise NMDA conductances of pyramidal cells at lower
    concentrations than those of interneurons; and `puff`, dopamine that comes during the delay, on
    D1 receptors as in `concerted`, on D2 receptors that reduce inhibition, or on both. Mean-field
    theory predicts the first three.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "thresholds", "puff")
    text_columns: ClassVar[tuple[str, ...]] = ("study", "receptors", "outcome")
    small: ClassVar[Mapping[str, Any]] = {
        "trials": 1,
        "n_excitatory": 40,
        "n_inhibitory": 10,
        "drives": [1.7, 2.4] * kHz,
        "conc": [0, 1.3] * umolar,
        "conc_differential": [0, 1.3] * umolar,
        "strengths": [170] * Hz,
        "stimulus": 30 * ms,
        "settling": 20 * ms,
        "window": 20 * ms,
        "distractor_after": [11] * ms,
        "puff_width": 10 * ms,
    }

    studies: tuple[str, ...] = parameter(STUDIES, "studies to make", "chosen here", choices=STUDIES)
    trials: int = parameter(
        3, "networks in every condition, with input of their own", "chosen here", low=1
    )
    pyramidal: BrunelWangCell = parameter(BrunelWangCell(), "pyramidal cell", "see its own")
    interneuron: BrunelWangCell = parameter(
        BrunelWangInterneuron(), "interneuron", "see its own", kinds=(BrunelWangCell,)
    )
    synapse: SaturatingNMDA = parameter(SaturatingNMDA(), "NMDA synapse", "see its own")
    n_excitatory: int = parameter(
        400,
        "pyramidal cells of a network",
        f"chosen here: half of the 800 in {BRUNEL_WANG}, figures 2, 6 and 8 to 10; 2000 in 4, 5, 7",
        low=20,
    )
    n_inhibitory: int = parameter(
        100, "interneurons", f"{BRUNEL_WANG}: a quarter as many, 200 or 500", low=5
    )
    groups: int = parameter(5, "objects, each with a group of cells", BRUNEL_WANG, low=2)
    coding: float = positive(0.1, "share of the pyramidal cells in a group", BRUNEL_WANG, high=0.5)
    w_plus: float = parameter(2.1, "strength within a group", BRUNEL_WANG, low=1)
    delay: Quantity = time(0.5 * ms, "delay of every synapse", f"{BRUNEL_WANG}: latency")
    drive: Quantity = positive(
        2.4 * kHz, "spikes from outside onto every cell", f"{BRUNEL_WANG}: 800 synapses at 3 Hz"
    )
    cue: Quantity = positive(
        300 * Hz,
        "spikes that a cue adds to those, where it is not varied",
        f"chosen here: loaded wherever memory exists; some tens of Hz in {BRUNEL_WANG}",
    )
    drives: Quantity = positive(
        [1.4, 1.7, 2, 2.4, 2.8, 3.2, 3.6] * kHz,
        "drives of the study `drive`",
        "chosen here: beyond both ends of persistent activity",
    )
    d1: Receptor = parameter(
        library["D1"], "receptor that raises", "see its own", named=library, kinds=(Receptor,)
    )
    d2: Receptor = parameter(
        library["D2"], "receptor that lowers", "see its own", named=library, kinds=(Receptor,)
    )
    concerted_max: float = positive(
        1.2,
        "factor on NMDA and GABA_A at full activation of D1",
        f"chosen here: up to 18 % in the bath; up to 10 % in {BRUNEL_WANG}, figures 8 and 9",
    )
    conc: Quantity = not_negative(
        [0, 0.4, 0.8, 4] * umolar,
        "dopamine of the study `concerted`",
        "chosen here: factors of 1 to 1.17; without dopamine conductances are the paper's",
    )
    strengths: Quantity = positive(
        [40, 70, 110, 170, 260] * Hz,
        "strengths of cue and distractor in it",
        f"chosen here: about the 40 to 120 Hz of {BRUNEL_WANG}, figure 9, and beyond",
    )
    differential_max: float = positive(
        1.25, "factor on NMDA at full activation of D1 in `differential`", f"1.2 in {MULY}"
    )
    K_pyramidal: float = positive(
        0.15,
        "messenger of half activation in pyramidal cells in `differential`",
        f"chosen here, so that persistent activity peaks near 1 µM; lower than below: {MULY}",
    )
    K_interneuron: float = positive(
        0.6, "messenger of half activation in interneurons in `differential`", "see K_pyramidal"
    )
    reference: Quantity = positive(
        0.6 * umolar,
        "dopamine at which conductances in `differential` are the paper's",
        f"chosen here; the normal level of {MULY}",
    )
    conc_differential: Quantity = not_negative(
        [0, 0.3, 0.6, 1, 2, 5, 20] * umolar, "dopamine of the study `differential`", "chosen here"
    )
    d2_gaba: float = positive(
        0.93,
        "factor on GABA_A at full activation of D2",
        "chosen here: inhibition falls, as in Seamans et al. 2001, J. Neurosci. 21:3628-3638; a "
        "tenth less would end the spontaneous state",
        high=1,
    )
    puff_conc: Quantity = positive(
        30 * umolar, "what an endless puff would add to the tissue", "chosen here"
    )
    puff_width: Quantity = time(0.5 * second, "length of the puff", "as a cue")
    tau_clear: Quantity = time(
        0.5 * second, "clearance of dopamine", "of the order of uptake in prefrontal cortex"
    )
    puff_distractor: Quantity = positive(
        110 * Hz,
        "strength of the distractor in `puff`",
        "chosen here: overturns most memories without dopamine, and hardly any at 0.8 µM",
    )
    distractor_after: Quantity = time(
        [0.5, 2, 4] * second,
        "from the puff to the distractor, one in every copy",
        "chosen here: before D1 has acted, while it does, and as it ceases",
    )
    stimulus: Quantity = time(0.5 * second, "length of cue and distractor", BRUNEL_WANG)
    settling: Quantity = time(0.5 * second, "time before rates are measured", "five tau_nmda")
    window: Quantity = time(
        0.6 * second, "time in which rates are measured", "24 spikes of a group"
    )
    active: Quantity = positive(
        10 * Hz,
        "rate of a group from which its object is in mind",
        "chosen here: between 3 Hz at rest and 20 Hz and more",
    )
    dt: Quantity = time_step(0.1 * ms, f"{BRUNEL_WANG}: a shorter one changed nothing")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        members = self.coding * self.n_excitatory
        if abs(members - round(members)) > 1e-9 or round(members) < 2:
            raise UserError(
                f"coding*n_excitatory = {members:g} must be a whole number of cells, at least 2."
            )
        if self.groups * round(members) >= self.n_excitatory:
            raise UserError(
                f"{self.groups} groups of {round(members)} leave none of {self.n_excitatory} "
                "pyramidal cells without a group: take fewer groups or a smaller coding."
            )
        for kind in ("pyramidal", "interneuron"):
            if getattr(self, kind).tau_nmda != self.synapse.tau_gate:
                raise UserError(
                    f"synapse.tau_gate = {say(self.synapse.tau_gate)} must be {kind}.tau_nmda = "
                    f"{say(getattr(self, kind).tau_nmda)}: cells keep the sum of their gates."
                )
        if self.w_plus * self.coding > 1:
            raise UserError(
                f"w_plus = {self.w_plus:g} would make synapses between groups negative: at most "
                f"{say(1 / self.coding)} goes with a coding of {self.coding:g}."
            )
        if len(set(self.studies)) < len(self.studies) or not self.studies:
            raise UserError(f"studies must name each study once, not {', '.join(self.studies)}.")
        if self.d1.ligand != self.d2.ligand or self.d1.name == self.d2.name:
            raise UserError(
                f"{self.d1.name} and {self.d2.name} must be two receptors of one ligand."
            )
        check_ascending(
            self, drives=2, conc=2, strengths=1, conc_differential=2, distractor_after=1
        )
        for name in ("delay", "stimulus", "settling", "window", "puff_width", "distractor_after"):
            for value in np.atleast_1d(getattr(self, name)):
                steps_in(name, value, self.dt)

    def experiments(self) -> dict[str, Experiment]:
        """Every study's copies side by side, once in every trial."""
        made = {}
        for study in self.studies:
            rows, network = self._conditions[study], self._networks[study]
            synapses = network.synapses()
            for trial in range(self.trials):
                draw = np.random.default_rng([self.seed, STUDIES.index(study), trial])
                made[f"{study} {trial + 1}"] = self._experiment(
                    study, rows, network, synapses, draw
                )
        return made

    def measure(self, recordings: Recordings) -> Tables:
        """Rates and outcomes in every trial, by condition, and by theory."""
        trials = pd.concat(
            self._measured(study, trial, recordings[f"{study} {trial + 1}"])
            for study in self.studies
            for trial in range(self.trials)
        ).reset_index(drop=True)
        tables = {"table": self._table(trials), "trials": trials, "theory": self._theory()}
        if "concerted" in self.studies:
            tables["resistance"] = _shares(trials[trials.study == "concerted"], "conc_uM", "cue_Hz")
            tables["thresholds"] = _thresholds(trials[trials.study == "concerted"])
        if "puff" in self.studies:
            tables["puff"] = self._puffed(trials[trials.study == "puff"])
        return tables

    def network(self, copies: int) -> Network:
        """So many copies of the network."""
        return Network(
            (self.pyramidal, self.interneuron),
            self.synapse,
            (self.n_excitatory, self.n_inhibitory),
            self.groups,
            round(self.coding * self.n_excitatory),
            self.w_plus,
            self.delay,
            copies,
        )

    def copies(self, study: str) -> int:
        """Copies of the network in a study."""
        return len(conditions(self, study))

    @cached_property
    def mean_field(self) -> AttractorMeanField:
        """Theory of the network, whatever its size."""
        cells = (self.pyramidal, self.interneuron)
        return AttractorMeanField(
            cells, self.synapse, PAPERS, self.groups, self.coding, self.w_plus
        )

    def course(self, study: str) -> Course:
        """Times of a study's task."""
        return course(self, study)

    def modulation(self, study: str, conc: Quantity) -> tuple[Any, Any]:
        """Steady factors on conductances in baths.

        Parameters
        ----------
        study : str
        conc : Quantity, shape (n,)
            Dopamine, mol/m^3.

        Returns
        -------
        tuple
            On NMDA and on GABA_A, each of pyramidal cells and of interneurons, shape (n,).
        """
        none = np.ones(np.shape(conc))
        if study == "differential":
            one, other = (
                factors(self.d1, self.differential_max, conc, K)
                / factors(self.d1, self.differential_max, self.reference, K)
                for K in (self.K_pyramidal, self.K_interneuron)
            )
            return (one, other), (none, none)
        both = factors(self.d1, self.concerted_max, conc) if study == "concerted" else none
        return (both, both), (both, both)

    @cached_property
    def _conditions(self) -> dict[str, pd.DataFrame]:
        return {study: conditions(self, study) for study in self.studies}

    @cached_property
    def _networks(self) -> dict[str, Network]:
        return {study: self.network(len(rows)) for study, rows in self._conditions.items()}

    def _experiment(
        self,
        study: str,
        rows: pd.DataFrame,
        network: Network,
        synapses: tuple[tuple[Connection, ...], PlasticConnection],
        draw: np.random.Generator,
    ) -> Experiment:
        """One trial of a study."""
        times = self.course(study)
        connections, plastic = synapses
        cells = self._cells(study, rows, network, draw.uniform(0, 1, network.size))
        every, second_group = np.arange(network.size), network.group(1)
        drive, end = rows.drive_kHz.to_numpy() * kHz, times.end * second
        parts = network.nested(drive, 0 * second, end, every)
        cue = rows.cue_Hz.to_numpy() * Hz
        start, stop = (at * second for at in times.cue)
        parts += network.nested(cue, start, stop, network.group(0))
        for number, window in enumerate(times.distractors):
            strength = np.where(rows.distractor == number, rows.distractor_Hz, 0) * Hz
            start, stop = (at * second for at in window)
            parts += network.nested(strength, start, stop, second_group)
        source, arriving = bombard("outside", CELLS, "s_outside", parts, self.dt, draw)
        run = Experiment(
            populations=[cells],
            sources=[source],
            connections=[arriving, *connections],
            plastic=[plastic],
            traces=self._traces(study),
            duration=end,
            dt=self.dt,
            seed=self.seed,
        )
        if study != "puff":
            return run
        delivered = puffs(
            self.d1.ligand,
            cells,
            self.puff_conc,
            times.puff * second,
            self.puff_width,
            self.tau_clear,
            self.dt,
        )
        return run.add(delivered)

    def _cells(
        self, study: str, rows: pd.DataFrame, network: Network, rise: np.ndarray
    ) -> Population:
        """Cells of all copies, settled in their baths."""
        model, values = self._model(study), self._values(study, rows, network)
        cells = network.population(model, values, rise)
        if study == "drive":
            return cells
        conc = {self.d1.ligand: network.every(rows.conc_uM.to_numpy()) * umolar}
        return network.population(model, {**values, **bath(cells, conc).values}, rise)

    def _model(self, study: str) -> Model:
        """Cell with the receptors of a study."""
        d1, d2 = self.d1.name, self.d2.name
        if study == "drive":
            return self.pyramidal
        if study == "differential":
            effect = scaled_by(d1, self.differential_max)
            return modulate(self.pyramidal, {d1: self.d1}, on={"g_nmda": effect})
        up = scaled_by(d1, self.concerted_max)
        if study == "concerted":
            return modulate(self.pyramidal, {d1: self.d1}, on={"g_nmda": up, "g_gaba": up})
        down = scaled_by(d2, self.d2_gaba)
        receptors = {d1: self.d1, d2: self.d2}
        return modulate(self.pyramidal, receptors, on={"g_nmda": up, "g_gaba": [up, down]})

    def _values(self, study: str, rows: pd.DataFrame, network: Network) -> dict[str, Any]:
        """What a study's receptors do in the cells of every copy."""
        d1, d2 = self.d1.name, self.d2.name
        if study == "differential":
            halves = (self.K_pyramidal, self.K_interneuron)
            base = [
                cell.g_nmda / factors(self.d1, self.differential_max, self.reference, K)
                for cell, K in zip((self.pyramidal, self.interneuron), halves, strict=True)
            ]
            unit = Quantity(1, dim=self.pyramidal.g_nmda.dim)
            return {
                f"K_{d1}": network.per_kind(*halves),
                "g_nmda": network.per_kind(*(np.asarray(g) for g in base)) * unit,
            }
        if study != "puff":
            return {}
        reached = [REACHED[name] for name in rows.receptors]
        with_d1 = network.every(["D1" in names for names in reached])
        with_d2 = network.every(["D2" in names for names in reached])
        raised = np.where(with_d1, self.concerted_max, 1.0)
        return {
            f"factor_g_nmda_{d1}": raised,
            f"factor_g_gaba_{d1}": raised,
            f"factor_g_gaba_{d2}": np.where(with_d2, self.d2_gaba, 1.0),
        }

    def _traces(self, study: str) -> list[Trace]:
        """Activation of the receptors in one cell; those of all cells are alike."""
        if study != "puff":
            return []
        names = [f"activation_{receptor.name}" for receptor in (self.d1, self.d2)]
        return [Trace(CELLS, [f"conc_{self.d1.ligand}", *names], np.arange(1), 10 * ms)]

    def _measured(self, study: str, trial: int, recording: Recording) -> pd.DataFrame:
        """Rates and outcomes of every copy in one trial."""
        rows, network, times = self._conditions[study], self._networks[study], self.course(study)
        copies, active = np.arange(len(rows)), float(self.active / Hz)

        def rates(window: tuple[float, float]) -> dict[str, np.ndarray]:
            start, stop = (round(at / float(self.dt)) * self.dt for at in window)
            spikes = between(recording.spikes[CELLS], start, stop, self.dt)
            return network.rates(spikes.counts(), window[1] - window[0])

        before, cued, kept = (rates(w) for w in (times.spontaneous, times.cue, times.delay))
        own, others = kept["groups"][:, 0], kept["groups"][:, 1:]
        found = rows.assign(
            trial=trial + 1,
            spontaneous_Hz=before["groups"].mean(axis=1),
            inhibitory_Hz=before["inhibitory"],
            cue_response_Hz=cued["groups"][:, 0],
            delay_Hz=own,
            others_Hz=others.mean(axis=1),
            delay_inhibitory_Hz=kept["inhibitory"],
            loaded=_alone(kept["groups"], active),
        )
        found.insert(0, "study", study)
        if times.distractors:
            since = [(on - times.delay[1] + times.delay[0], on) for on, _ in times.distractors]
            shown, after = (
                np.stack([rates(window)["groups"] for window in windows])[rows.distractor, copies]
                for windows in (since, times.after)
            )
            found["before_Hz"] = shown[:, 0]
            found["loaded"] = _alone(shown, active)
            found["after_Hz"], found["distractor_after_Hz"] = after[:, 0], after[:, 1]
            found["outcome"] = outcomes(after, active)
        return found

    def _table(self, trials: pd.DataFrame) -> pd.DataFrame:
        """Rates by condition, over trials, and by theory."""
        keys = ["study", "drive_kHz", "conc_uM"]
        bathed = trials[trials.study != "puff"]
        # Copies of one trial that differ in the strength of stimuli share all else.
        loaded = bathed.assign(persistent_Hz=bathed.delay_Hz.where(bathed.loaded))
        one = loaded.groupby([*keys, "trial"], sort=False)[
            [*(f"{name}_Hz" for name in RATES), "loaded"]
        ].mean()
        rows = []
        for key, group in one.groupby(keys, sort=False):
            row: dict[str, Any] = dict(zip(keys, key, strict=True))
            for name in RATES:
                row[f"{name}_Hz"] = group[f"{name}_Hz"].mean()
                row[f"{name}_sd_Hz"] = group[f"{name}_Hz"].std()
            rows.append(row | {"loaded": group.loaded.mean(), "trials": len(group)})
        table = pd.DataFrame(rows, columns=[*keys, *MEASURED])
        return table.merge(self._branches(table[keys]), on=keys, how="left")

    def _branches(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Mean-field rates under conditions."""
        if rows.empty:
            named = [f"mean_field_{name}_Hz" for name in (*BRANCHES, "inhibitory")]
            return rows.reindex(columns=[*rows.columns, "nmda", "nmda_inhibitory", *named])
        parts = []
        for study, some in rows.groupby("study", sort=False):
            conc = some.conc_uM.to_numpy() * umolar
            nmda, gaba = self.modulation(str(study), conc)
            found = self.mean_field.branches(some.drive_kHz.to_numpy() * kHz, nmda, gaba)
            columns = {f"mean_field_{name}_Hz": rate / Hz for name, rate in found.items()}
            parts.append(some.assign(nmda=nmda[0], nmda_inhibitory=nmda[1], **columns))
        return pd.concat(parts)

    def _theory(self) -> pd.DataFrame:
        """Mean-field rates along the axes of the studies."""
        parts, drive = [], float(self.drive / kHz)
        for study in self.studies:
            if study == "puff":
                continue
            if study == "drive":
                first, *_, last = np.asarray(self.drives / kHz)
                axes = {"drive_kHz": np.linspace(first, last, POINTS), "conc_uM": 0.0}
            else:
                values = self.conc if study == "concerted" else self.conc_differential
                axes = {"drive_kHz": drive, "conc_uM": _fine(np.asarray(values / umolar))}
            parts.append(pd.DataFrame({"study": study, **axes}))
        none = pd.DataFrame(columns=["study", "drive_kHz", "conc_uM"])
        return self._branches(pd.concat(parts) if parts else none)

    def _puffed(self, trials: pd.DataFrame) -> pd.DataFrame:
        """What became of memories, by receptors and by time from puff to distractor."""
        shares = _shares(trials, "receptors", "distractor")
        after = np.asarray(self.distractor_after / second)
        shares.insert(2, "distractor_after_s", after[shares.distractor])
        return shares.drop(columns="distractor")


def _alone(groups: np.ndarray, active: float) -> np.ndarray:
    """Whether the first object, and no other, is in mind."""
    found = in_mind(groups, active)
    return found[:, 0] & ~found[:, 1:].any(axis=1)


def _fine(levels: np.ndarray) -> np.ndarray:
    """More concentrations between given ones, in steps of equal ratio."""
    above = levels[levels > 0]
    return np.concatenate([levels[levels == 0], np.geomspace(above[0] / 4, above[-1], POINTS)])


def _shares(trials: pd.DataFrame, *by: str) -> pd.DataFrame:
    """Shares of trials in which the cue was loaded, then held, distracted or lost."""

    def rows() -> Iterator[dict[str, Any]]:
        for key, group in trials.groupby(list(by), sort=False):
            loaded = group[group.loaded]
            ends = {
                name: (loaded.outcome == name).mean() if len(loaded) else np.nan
                for name in ("held", "distracted", "both", "lost")
            }
            yield dict(zip(by, key, strict=True)) | {
                "trials": len(group),
                "loaded": group.loaded.mean(),
                "kept": ends["held"] + ends["both"],
                "remembered": (group.loaded & group.outcome.isin(["held", "both"])).mean(),
                **ends,
                "before_Hz": loaded.before_Hz.mean(),
                "before_sd_Hz": loaded.before_Hz.std(),
                "after_Hz": loaded.after_Hz.mean(),
                "after_sd_Hz": loaded.after_Hz.std(),
            }

    return pd.DataFrame(rows())


def _thresholds(trials: pd.DataFrame) -> pd.DataFrame:
    """Weakest cue that is loaded, and weakest distractor that then takes its place.

    The strength in each trial; the median, the lowest and the highest over trials, inf where none
    of the strengths did.
    """
    rows = []
    for conc, group in trials.groupby("conc_uM"):
        found: dict[str, list[float]] = {"load": [], "overturn": []}
        for _, trial in group.groupby("trial"):
            overturned = trial[trial.loaded & trial.outcome.isin(["distracted", "lost"])]
            found["load"].append(trial.cue_Hz[trial.loaded].min())
            found["overturn"].append(overturned.cue_Hz.min())
        row: dict[str, Any] = {"conc_uM": conc}
        for name, values in found.items():
            known = np.where(np.isnan(values), np.inf, values)
            row[f"{name}_Hz"] = np.median(known)
            row[f"{name}_lowest_Hz"], row[f"{name}_highest_Hz"] = known.min(), known.max()
        rows.append(row)
    return pd.DataFrame(rows)
