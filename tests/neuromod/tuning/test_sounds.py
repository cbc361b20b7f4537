from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.datasets import load_data  # noqa: E402
from neuromod.tuning.datasets.sounds import (  # noqa: E402
    ALL,
    ODD,
    SOURCE_TIMBRES,
    TARGET_TIMBRES,
    TIMBRES,
    FrameSpec,
    Note,
    SoundRecipe,
    load_timbres,
)

RATE = 8000


def note(
    pitch: float = 215.0, bright: float = 0.4, fast: float = 0.3, seconds: float = 1.0
) -> Note:
    return Note(np.arange(round(RATE * seconds)) / RATE, pitch, bright, fast, RATE)


def spectrum(sound: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))))


def centroid(sound: np.ndarray) -> float:
    power = spectrum(sound) ** 2
    return float((power * np.arange(len(power))).sum() / power.sum())


def made(timbre: str, **given: float) -> np.ndarray:
    return TIMBRES[timbre](note(**given), np.random.default_rng(11))


def test_source_and_target_share_no_timbre() -> None:
    assert not set(SOURCE_TIMBRES) & set(TARGET_TIMBRES)
    assert {*SOURCE_TIMBRES, *TARGET_TIMBRES} == set(TIMBRES)


def test_a_sound_is_the_same_in_every_order_and_task() -> None:
    target = load_data("timbres")
    alone = load_timbres(("brass",))
    per_class = SoundRecipe().per_class
    place = target.classes.index("brass") * per_class
    last = target.image(place + 37)
    assert torch.equal(alone.image(37), last)
    assert not torch.equal(alone.image(38), last)
    assert last.shape == (4000,)
    assert last.dtype == torch.float32
    assert alone.identity != target.identity
    assert load_timbres(("brass",), 3).identity == alone.identity
    assert load_timbres(("brass",), recipe=SoundRecipe(seed=3)).identity != alone.identity


def test_partials_stand_at_multiples_of_the_pitch_and_never_beyond_half_the_rate() -> None:
    found = spectrum(note(pitch=431.0).partials(ALL, 0.0))
    heard = np.flatnonzero(found > 0.5 * found.max())
    assert set(np.round(heard / 431).astype(int)) == set(range(1, 9))
    assert np.all(np.abs(heard - 431 * np.round(heard / 431)) <= 1)


def test_odd_partials_are_those_of_a_clarinet() -> None:
    clarinet, violin = (spectrum(made(name)) for name in ("clarinet", "violin"))
    assert clarinet[2 * 215] < 1e-2 * clarinet[3 * 215]
    assert violin[2 * 215] > violin[3 * 215]
    assert ODD[:3] == (1, 3, 5)


def test_brass_brightens_and_a_plucked_string_dulls() -> None:
    early, late = slice(400, 900), slice(1500, 2000)
    brass, plucked, violin = (made(name) for name in ("brass", "plucked", "violin"))
    assert centroid(brass[late]) > 1.2 * centroid(brass[early])
    assert centroid(plucked[late]) < 0.9 * centroid(plucked[early])
    assert centroid(violin[late]) == pytest.approx(centroid(violin[early]), rel=0.05)


def test_vibrato_moves_the_pitch_and_tremolo_the_level() -> None:
    level = {
        name: made(name)[1000:].reshape(-1, 250).std(1)
        for name in ("wavering", "trembling", "violin")
    }
    swing = {name: found.std() / found.mean() for name, found in level.items()}
    assert swing["trembling"] > 0.3
    assert max(swing["wavering"], swing["violin"]) < 0.1
    width = {
        name: int((spectrum(made(name))[180:250] > 0.1 * spectrum(made(name)).max()).sum())
        for name in ("wavering", "violin")
    }
    assert width["wavering"] > 3 * width["violin"]


def test_a_tone_lights_the_band_that_has_its_frequency() -> None:
    spec = FrameSpec()
    time = torch.arange(4000) / RATE
    for hertz in (503.0, 1511.0):
        frames = spec.prepare(torch.sin(2 * torch.pi * hertz * time))
        edges = np.linspace(*2595 * np.log10(1 + np.array([spec.low, spec.high]) / 700), 34)
        nearest = np.abs(edges[1:-1] - 2595 * np.log10(1 + hertz / 700)).argmin()
        assert frames.shape == (32, 32)
        assert int(frames.mean(0).argmax()) == nearest


def test_loudness_tells_nothing() -> None:
    sound = torch.randn(4000, generator=torch.Generator().manual_seed(7))
    quiet, loud = FrameSpec().prepare(0.17 * sound), FrameSpec().prepare(1.3 * sound)
    torch.testing.assert_close(quiet, loud, atol=1e-2, rtol=0)
    torch.testing.assert_close(loud.std(), torch.tensor(1.0))


def test_what_is_no_sound_of_its_length_is_refused_in_one_sentence() -> None:
    with pytest.raises(
        UserError, match=r"^A sound backbone hears sounds, .* shape \(1, 8, 8\) and"
    ):
        FrameSpec().prepare(torch.rand(1, 8, 8))
    with pytest.raises(UserError, match=r"type torch\.uint8"):
        FrameSpec().prepare(torch.ones(4000, dtype=torch.uint8))
    with pytest.raises(UserError, match=r"5000 samples has 40 frames of 128, and .* hears 32"):
        FrameSpec().prepare(torch.rand(5000))
    with pytest.raises(UserError, match="no timbre named 'brasss': did you mean brass"):
        load_timbres(("brasss",))
