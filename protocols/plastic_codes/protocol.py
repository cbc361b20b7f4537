"""What a circuit's synapse keeps of a learned plasticity rule: codes, and a supply as gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from brian2 import Quantity, ms, second, umolar, volt

from neuromod.checks import check_distinct, steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.coded_synapse import CodedSynapse
from neuromod.parameters import not_negative, parameter
from neuromod.plasticity.export import PLASTIC, readout, to_experiment
from neuromod.plasticity.learning import learn_all
from neuromod.plasticity.network import NETWORKS, OWN_GATES, PlasticNetwork
from neuromod.plasticity.rules import BOUND
from neuromod.plasticity.tasks import Difficulty, Episodes, PatternRecall
from neuromod.protocol import Protocol, Recordings, Tables
from neuromod.protocols.families.chips import check_supplies, circuit_setting, keep, supply
from neuromod.protocols.families.five_networks.study import LEARNED_SHARES, FiveNetworks
from neuromod.protocols.plastic_codes import page
from neuromod.support.log import stage
from neuromod.support.text import say

TASK = PatternRecall()
# Source of the third factor: the network's modulator, a supply that follows it, or its mean.
MODULATIONS = ("ideal", "supply", "held")
# Bits that stand for no rounding, and cells whose supply is drawn.
FINE, SHOWN = 20, 3


@dataclass(frozen=True, eq=False)
class Calibration:
    """Plastic weights and third factor of a network in episodes that are not of the test.

    Attributes
    ----------
    full : ndarray, shape (hidden,)
        Largest plastic weight onto every cell.
    modulation : ndarray, shape (batch, steps, hidden)
        Third factor.
    mean, sign, highest : ndarray, shape (hidden,)
        Mean of every cell's third factor, its sign, and the largest size that has this sign.
    """

    full: np.ndarray
    modulation: np.ndarray
    mean: np.ndarray
    sign: np.ndarray
    highest: np.ndarray

    def supplied(self, reach: float) -> np.ndarray:
        """Size of the third factor through a supply that reaches down to a share of the highest."""
        wanted, low = self.sign * self.modulation, self.highest * reach
        return np.where(wanted > low / 2, np.clip(wanted, low, self.highest), 0)


@dataclass(frozen=True, eq=False)
class PlasticCodes(Protocol):
    """Task success of a learned, modulated rule against the bits of its plastic weights.

    What is left of a learned plasticity rule when weights have few bits and a supply is the gate?

    Networks learn to recall patterns that they were shown once, by a modulated plasticity rule with
    learned parameters. Their plastic weights are rounded to the signed codes of a circuit's
    synapse, with one scale for each cell. Their third factor becomes a supply: the mirror's current
    at a VDD in its range, or 0 when it is off, sets how fast plastic traces change. All
    variants run in Brian2 on the same new episodes.
    """

    shown: ClassVar[tuple[str, ...]] = ("summary",)
    small: ClassVar[Mapping[str, Any]] = {
        "seeds": 1,
        "hidden": 7,
        "steps": 20,
        "episodes": 5,
        "calibration": 5,
        "bits": (3,),
        "delay": 0 * ms,
    }

    network: str = parameter(
        "modulated-oja",
        "rule",
        "chosen here; Schmidgall et al. 2021 have both",
        choices=tuple(name for name, (_, modulated) in NETWORKS.items() if modulated),
    )
    gate: str = parameter(
        "direct",
        "what the modulator gates",
        "chosen here: the change of a code, which an eligibility trace is not",
        choices=OWN_GATES,
    )
    seeds: int = parameter(3, "networks", "chosen here", low=1)
    hidden: int = parameter(20, "cells", "chosen here: as in pattern-recall", low=1)
    steps: int = parameter(200, "steps of learning", "chosen here: as in pattern-recall", low=1)
    bits: tuple[int, ...] = not_negative(
        (0, 1, 2, 3, 4, 5),
        "bits of a code besides its sign; 0: no plastic part",
        "chosen here; 3 in Barton et al. 2022",
        high=16,
    )
    noise: float = not_negative(1 / 6, "share of a pattern exchanged", "chosen here", high=1)
    delay: Quantity = not_negative(50 * ms, "delay before the question", "chosen here")
    episodes: int = parameter(100, "test episodes", "chosen here", low=1)
    calibration: int = parameter(50, "episodes that set the scales", "chosen here", low=1)
    circuit: CircuitNeuron = circuit_setting("circuit whose mirror gates changes")
    supplies: Quantity = supply([0.5, 1] * volt, "lowest and highest supply")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self.circuit, "set bits", bits=3)
        check_supplies(self, self.circuit)
        if len(self.supplies) != 2 or self.supplies[1] <= self.supplies[0]:
            raise UserError(
                f"supplies must be the lowest and the highest, not {say(self.supplies)}."
            )
        check_distinct("bits", self.bits)
        if self.circuit.unit_current(self.supplies[0]) <= 0:
            raise UserError(
                f"supplies must begin where the mirror conducts, above "
                f"{say(float(self.circuit.mirror().vto), 'V')}."
            )
        steps_in("delay", self.delay, self._learning.dt)

    def experiments(self) -> dict[str, Experiment]:
        """All variants of every network side by side, each on the same episodes."""
        return {f"network-{number}": self._variants(number) for number in range(self.seeds)}

    def measure(self, recordings: Recordings) -> Tables:
        """Success of every variant, loss by the supply, codes, and VDD in an episode."""
        table = pd.concat([self._success(number, recordings) for number in range(self.seeds)])
        found = table.groupby(["modulation", "bits"], sort=False)
        success = found.success
        summary = {
            "success_mean": success.mean(),
            "success_sd": success.std(ddof=0),
            "torch_mean": found.success_in_torch.mean(),
        }
        return {
            "table": table,
            "summary": pd.DataFrame(summary).reset_index(),
            "supply": pd.DataFrame([self._cut(number) for number in range(self.seeds)]),
            "codes": self._codes(recordings),
            "course": self._course(),
        }

    @property
    def _learning(self) -> FiveNetworks:
        """How the networks learn: as in `PatternRecall` at its defaults."""
        own = {name: getattr(self, name) for name in ("seed", "gate", "seeds", "hidden", "steps")}
        kinds = (self.network,)
        return FiveNetworks(task=TASK, learned_noise=LEARNED_SHARES, networks=kinds, **own)

    @cached_property
    def _networks(self) -> list[PlasticNetwork]:
        with stage("learning"):
            return [one.network.double() for one in learn_all(self._learning.recipes())]

    def _alpha(self, number: int) -> np.ndarray:
        """Coefficients of all synapses, shape (hidden, inputs)."""
        plasticity = self._networks[number].plasticity
        assert plasticity is not None
        return np.asarray(plasticity.alpha.detach())

    def _drawn(self, number: int, part: int, episodes: int) -> Episodes:
        """Episodes of the test (part 0) or for calibration (1)."""
        rng = np.random.default_rng([self.seed + number, 7, part])
        difficulty = Difficulty(self.noise, float(self.delay / second))
        drawn = TASK.draw(rng, episodes, difficulty, self._networks[number].shape.dt_s)
        return drawn._replace(spikes=drawn.spikes.double())

    @cached_property
    def _calibrations(self) -> list[Calibration]:
        return [self._calibrated(number) for number in range(self.seeds)]

    def _calibrated(self, number: int) -> Calibration:
        network, alpha = self._networks[number], self._alpha(number)
        full, modulation = np.full(self.hidden, 1e-9), []
        with torch.no_grad():
            for state in network.steps(self._drawn(number, 1, self.calibration).spikes):
                assert state.traces is not None
                assert state.modulator is not None
                weights = np.abs(alpha * state.traces.plastic.numpy())
                full = np.maximum(full, weights.max(axis=(0, 2)))
                modulation.append(network.modulation(state.modulator.concentration))
        found = torch.stack(modulation, 1).numpy()
        mean = found.mean(axis=(0, 1))
        sign = np.where(mean < 0, -1.0, 1.0)
        highest = np.maximum((sign * found).max(axis=(0, 1)), 1e-9)
        return Calibration(full, found, mean, sign, highest)

    @property
    def _every(self) -> list[tuple[str, int]]:
        """Modulation and bits of every variant."""
        return list(product(MODULATIONS, (*self.bits, FINE)))

    @property
    def _reach(self) -> float:
        """Current at the lowest supply over that at the highest."""
        low, high = self.circuit.unit_current(self.supplies)
        return float(low / high)

    def _variants(self, number: int) -> Experiment:
        network, found = self._networks[number], self._calibrations[number]
        spikes = self._drawn(number, 0, self.episodes).spikes
        base = to_experiment(network, spikes.repeat(len(self._every), 1, 1))
        (synapses,), (cells, *others) = base.plastic, base.populations
        coded = replace(
            synapses,
            model=CodedSynapse(**vars(synapses.model)),
            values={**synapses.values, **self._values(found, synapses.j, synapses.values["alpha"])},
        )
        # A third factor that is held does not hear the modulator.
        modulation, cell, _ = self._places(np.arange(cells.size))
        tonic, sensitivity = cells.values["tonic"], cells.values["sensitivity"] * umolar
        held = {
            "tonic": np.where(modulation == "held", found.mean[cell], tonic),
            "sensitivity": np.where(modulation == "held", 0, sensitivity) / umolar,
        }
        populations = (replace(cells, values={**cells.values, **held}), *others)
        return replace(base, populations=populations, plastic=(coded,), seed=self.seed)

    def _places(self, neuron: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Modulation of some neurons' variants, their places in the network, and bits."""
        modulation, bits = (np.array(part) for part in zip(*self._every, strict=True))
        variant = neuron // (self.hidden * self.episodes)
        return modulation[variant], neuron % self.hidden, bits[variant]

    def _values(self, found: Calibration, j: np.ndarray, alpha: np.ndarray) -> dict[str, Any]:
        """Scale and bound of every synapse's code, sign and range of its gate."""
        modulation, cell, bits = self._places(j)
        supplied, full, highest = modulation == "supply", found.full[cell], found.highest[cell]
        # With 0 bits no step is ever taken; a trace never exceeds its largest code.
        lsb = np.where(bits == 0, 1e6, full / np.maximum(2.0**bits - 1, 1))
        largest = np.minimum(BOUND, full / np.maximum(np.abs(alpha), 1e-12))
        return {
            "lsb": lsb,
            "bound": np.where((bits == 0) | (bits == FINE), BOUND, largest),
            "polarity": np.where(supplied, found.sign[cell], 1.0),
            "M_low": np.where(supplied, highest * self._reach, -1e9),
            "M_high": np.where(supplied, highest, 1e9),
        }

    def _success(self, number: int, recordings: Recordings) -> pd.DataFrame:
        network, drawn = self._networks[number], self._drawn(number, 0, self.episodes)
        labels = drawn.labels.numpy()
        answers = drawn.scores(readout(network, recordings[f"network-{number}"])).argmax(1)
        right = answers.reshape(len(self._every), -1) == labels
        with torch.no_grad():
            in_torch = drawn.scores(network(drawn.spikes)).argmax(1).numpy() == labels
        rows = {
            "network": number,
            "modulation": [kind for kind, _ in self._every],
            # Without rounding there is no number of bits.
            "bits": [np.inf if bits == FINE else bits for _, bits in self._every],
            "success": right.mean(axis=1),
            "success_in_torch": in_torch.mean(),
        }
        return pd.DataFrame(rows)

    def _cut(self, number: int) -> dict[str, Any]:
        """Loss of the third factor by the supply, as shares of its integral."""
        found = self._calibrations[number]
        wanted = found.sign * found.modulation
        total = np.abs(wanted).sum()
        return {
            "network": number,
            "reach": self._reach,
            "against_sign": np.abs(np.minimum(wanted, 0)).sum() / total,
            "changed": np.abs(found.supplied(self._reach) - wanted)[wanted > 0].sum() / total,
            "cells_reversed": int((found.sign < 0).sum()),
        }

    def _codes(self, recordings: Recordings) -> pd.DataFrame:
        """Frequency of each code at the end of an episode, for the number of bits nearest to 3."""
        bits = min((b for b in self.bits if b), key=lambda b: abs(b - 3), default=0)
        levels = np.arange(-(2**bits) + 1, 2**bits)
        counts = np.zeros(len(levels))
        for number, found in enumerate(self._calibrations):
            traces = np.asarray(recordings[f"network-{number}"].totals[PLASTIC]["E"])
            traces = traces.reshape(len(self._every), -1, TASK.inputs, self.hidden)
            kept = traces[self._every.index(("supply", bits))]
            lsb = found.full / max(2**bits - 1, 1)
            code = np.floor(self._alpha(number).T * kept / lsb + 0.5).astype(int)
            counts += np.bincount((code - levels[0]).ravel(), minlength=len(levels))
        return pd.DataFrame({"bits": bits, "code": levels, "share": counts / counts.sum()})

    def _course(self) -> pd.DataFrame:
        """Third factor wanted and given, and VDD, in an episode of the first network."""
        found = self._calibrations[0]
        given = found.supplied(self._reach)[0]
        current = self.circuit.unit_current(self.supplies[1]) * given / found.highest
        vdd = np.asarray(self.circuit.vdd_for(current) / volt)
        times = (np.arange(len(given)) + 1) * self._networks[0].shape.dt_s * 1e3
        moving = np.argsort(-np.ptp(given, axis=0), kind="stable")[:SHOWN]
        # One cell after another.
        columns = {
            "cell": np.repeat(moving, len(given)),
            "time_ms": np.tile(times, len(moving)),
            "wanted": found.modulation[0][:, moving].T.ravel(),
            "given": (found.sign * given)[:, moving].T.ravel(),
            "vdd_V": np.where(given > 0, vdd, 0.0)[:, moving].T.ravel(),
        }
        return pd.DataFrame(columns)
