"""Synthetic notes to tell apart by their timbre. No instrument was recorded.

A note is a sum of partials under an envelope, with random pitch, loudness, onset and brightness, in
noise. The small sound transformer is pre-trained on `SOURCE_TIMBRES`; the target task has others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neuromod.errors import UserError, unknown
from neuromod.support.cache import digest
from neuromod.tuning.datasets.images import SPLIT_SEED, ImageData, stratified_split

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SoundRecipe:
    """What determines the notes, all chosen here.

    Attributes
    ----------
    rate : int
        Samples a second.
    duration : float
        Of a recording, in s.
    pitch : tuple of float
        Lowest and highest fundamental, in Hz; pitches are uniform in their logarithm.
    loudness : tuple of float
        Lowest and highest level of a note, in dB, uniform.
    noise : tuple of float
        Lowest and highest level of white noise under the note, in dB, uniform.
    latest : float
        Latest onset, in s; onsets are uniform from 0.
    per_class : int
        Recordings of each timbre.
    seed : int
        Recording i of a timbre is the same in whatever task that has it.
    version : int
        Increased with every change of the code that changes the notes.
    """

    rate: int = 8000
    duration: float = 0.5
    pitch: tuple[float, float] = (110.0, 660.0)
    loudness: tuple[float, float] = (-20.0, 0.0)
    noise: tuple[float, float] = (-25.0, -5.0)
    latest: float = 0.15
    per_class: int = 300
    seed: int = 20224
    version: int = 1


@dataclass(frozen=True)
class Note:
    """One note before its envelope: when it sounds, and what is random about it.

    Attributes
    ----------
    time : array of float, shape (samples,)
        Since the onset, in s; negative before it.
    pitch : float
        In Hz.
    bright : float
        0 to 1: how strong high partials are.
    fast : float
        0 to 1: how fast everything changes.
    """

    time: FloatArray
    pitch: float
    bright: float
    fast: float
    rate: int

    def partials(
        self,
        ratios: Sequence[float],
        falls: float,
        damped: float = 0.0,
        bend: FloatArray | float = 0.0,
    ) -> FloatArray:
        """Sum partials at multiples of the pitch, those below half the sampling rate.

        Partial r has the amplitude ``r ** -falls`` and decays by ``damped * r`` a second; ``bend``
        is added to the fundamental's phase, in cycles.
        """
        heard = np.array([r for r in ratios if 1.1 * r * self.pitch < self.rate / 2], float)
        since = np.maximum(self.time, 0)
        phase = 2 * np.pi * np.outer(heard, self.pitch * self.time + bend)
        level = heard[:, None] ** -falls * np.exp(-damped * np.outer(heard, since))
        return np.asarray((level * np.sin(phase)).sum(0))

    def rise(self, slowest: float) -> FloatArray:
        """Envelope of an attack that takes up to ``slowest`` s."""
        attack = slowest * (1 - 0.7 * self.fast)
        return np.clip(self.time / attack, 0, 1)

    def decay(self, slowest: float) -> FloatArray:
        """Envelope that falls from 1 at the onset, with a time constant of up to ``slowest`` s."""
        constant = slowest * (1 - 0.7 * self.fast)
        return np.where(self.time < 0, 0, np.exp(-np.maximum(self.time, 0) / constant))


ALL, ODD = tuple(range(1, 31)), tuple(range(1, 31, 2))


def _flute(note: Note, _: np.random.Generator) -> FloatArray:
    return note.rise(0.1) * note.partials(ALL, 3.0 - note.bright)


def _clarinet(note: Note, _: np.random.Generator) -> FloatArray:
    return note.rise(0.06) * note.partials(ODD, 1.5 - 0.7 * note.bright)


def _violin(note: Note, _: np.random.Generator) -> FloatArray:
    return note.rise(0.1) * note.partials(ALL, 1.5 - 0.7 * note.bright)


def _bell(note: Note, _: np.random.Generator) -> FloatArray:
    # Ratios of a minor-third bell: hum, prime, tierce, quint, nominal.
    return note.decay(0.3) * note.partials((0.5, 1, 1.2, 1.5, 2, 2.6, 4.1), 0.8 - 0.5 * note.bright)


def _drum(note: Note, drawn: np.random.Generator) -> FloatArray:
    hiss = drawn.standard_normal(len(note.time))
    return note.decay(0.15) * (hiss + 2 * note.partials((1,), 1))


def _organ(note: Note, _: np.random.Generator) -> FloatArray:
    return note.rise(0.02) * note.partials((1, 2, 4, 8, 16), 1.0 - 0.7 * note.bright)


def _plucked(note: Note, _: np.random.Generator) -> FloatArray:
    damped = 3 + 6 * note.fast
    return note.rise(0.004) * note.partials(ALL, 1.2 - 0.7 * note.bright, damped)


def _struck(note: Note, _: np.random.Generator) -> FloatArray:
    return note.decay(0.5) * note.partials(ODD, 2.0 - note.bright, 2 + 3 * note.fast)


def _brass(note: Note, _: np.random.Generator) -> FloatArray:
    level = note.rise(0.25)
    dull, bright = note.partials(ALL, 3.0), note.partials(ALL, 1.2 - 0.7 * note.bright)
    return level * ((1 - level) * dull + level * bright)


def _wavering(note: Note, _: np.random.Generator) -> FloatArray:
    rate = 5 + 4 * note.fast
    bend = 0.03 * note.pitch * np.sin(2 * np.pi * rate * note.time) / (2 * np.pi * rate)
    return note.rise(0.1) * note.partials(ALL, 1.5 - 0.7 * note.bright, bend=bend)


def _trembling(note: Note, _: np.random.Generator) -> FloatArray:
    beat = 1 + 0.7 * np.sin(2 * np.pi * (5 + 4 * note.fast) * note.time)
    return note.rise(0.1) * beat * note.partials(ALL, 1.5 - 0.7 * note.bright)


TIMBRES: dict[str, Callable[[Note, np.random.Generator], FloatArray]] = {
    "flute": _flute,
    "clarinet": _clarinet,
    "violin": _violin,
    "bell": _bell,
    "drum": _drum,
    "organ": _organ,
    "plucked": _plucked,
    "struck": _struck,
    "brass": _brass,
    "wavering": _wavering,
    "trembling": _trembling,
}
"""Timbres by what they sound a little like; "wavering" has vibrato, "trembling" tremolo."""

SOURCE_TIMBRES = ("flute", "clarinet", "violin", "bell", "drum", "organ")
TARGET_TIMBRES = ("plucked", "struck", "brass", "wavering", "trembling")


@dataclass(frozen=True)
class FrameSpec:
    """The format of a sound transformer's input: frames of a log-mel spectrogram.

    All values are chosen here.

    Attributes
    ----------
    rate : int
        Samples a second of the sounds.
    window, hop : int
        Samples that a frame spans (Hann), and from one frame to the next.
    bands : int
        Mel bands, triangles evenly spaced in mel (O'Shaughnessy's 2595 log10(1 + f/700)).
    low, high : float
        Lowest and highest edge of the bands, in Hz.
    floor : float
        Power below which everything is equal.
    length : int
        Frames of a sound.
    """

    kind: ClassVar[str] = "sounds"

    rate: int = 8000
    window: int = 256
    hop: int = 128
    bands: int = 32
    low: float = 60.0
    high: float = 4000.0
    floor: float = 1e-6
    length: int = 32

    @cached_property
    def _filters(self) -> Tensor:
        """Triangles, shape (bands, frequencies)."""
        low, high = (2595 * np.log10(1 + edge / 700) for edge in (self.low, self.high))
        edges = 700 * (10 ** (np.linspace(low, high, self.bands + 2) / 2595) - 1)
        f = np.fft.rfftfreq(self.window, 1 / self.rate)
        left, top, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
        triangles = np.minimum((f - left) / (top - left), (right - f) / (right - top))
        return torch.from_numpy(np.clip(triangles, 0, None)).float()

    def prepare(self, sound: Tensor) -> Tensor:
        """Turn a sound of shape (samples,) into a log-mel spectrogram of shape (length, bands).

        Each has zero mean and unit standard deviation, so that loudness tells nothing.

        Raises
        ------
        UserError
            If the sample is no sound, or not as long as the frames.
        """
        if not sound.is_floating_point() or sound.dim() != 1:
            raise UserError(
                f"A sound backbone hears sounds, and not samples of shape {tuple(sound.shape)} and "
                f"type {sound.dtype}."
            )
        if len(sound) // self.hop + 1 != self.length:
            raise UserError(
                f"A sound of {len(sound)} samples has {len(sound) // self.hop + 1} frames of "
                f"{self.hop}, and the sound backbone hears {self.length}."
            )
        hann = torch.hann_window(self.window)
        spectrum = torch.stft(sound, self.window, self.hop, window=hann, return_complex=True)
        power = spectrum.abs().square() / self.window
        frames = (self._filters @ power + self.floor).log().T
        return (frames - frames.mean()) / frames.std()


def load_timbres(
    timbres: Sequence[str] = TARGET_TIMBRES,
    split_seed: int = SPLIT_SEED,
    recipe: SoundRecipe | None = None,
) -> ImageData:
    """Load synthetic notes of some of `TIMBRES`.

    Returns
    -------
    ImageData
        Its samples are sounds, float32 of shape (samples,), where images have pixels. They are
        made when they are asked for. Label i is ``timbres[i]``.

    Raises
    ------
    UserError
        If a timbre is unknown.
    """
    for timbre in timbres:
        if timbre not in TIMBRES:
            raise unknown("timbre", timbre, TIMBRES)
    recipe = recipe or SoundRecipe()
    labels = np.repeat(np.arange(len(timbres)), recipe.per_class).astype(np.int64)
    return ImageData(
        name="timbres " + ", ".join(timbres),
        classes=tuple(timbres),
        image=lambda index: _sound(timbres[labels[index]], index % recipe.per_class, recipe),
        labels=labels,
        split=stratified_split(labels, split_seed),
        identity=digest([asdict(recipe), timbres]),
        kind=FrameSpec.kind,
    )


def _sound(timbre: str, number: int, recipe: SoundRecipe) -> Tensor:
    drawn = np.random.default_rng([recipe.seed, list(TIMBRES).index(timbre), number])
    onset, bright, fast = drawn.uniform(0, (recipe.latest, 1, 1))
    pitch = np.exp(drawn.uniform(*np.log(recipe.pitch)))
    loudness, noise = (
        10 ** (drawn.uniform(*level) / 20) for level in (recipe.loudness, recipe.noise)
    )
    time = np.arange(round(recipe.rate * recipe.duration)) / recipe.rate - onset
    sound = TIMBRES[timbre](Note(time, float(pitch), bright, fast, recipe.rate), drawn)
    sound = sound / np.sqrt(np.square(sound).mean())
    heard = loudness * (sound + noise * drawn.standard_normal(len(sound)))
    return torch.from_numpy(heard.astype(np.float32))
