"""Events become the frames that they say, or are refused; what the synthetic camera sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import shift

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.models.classifier import LIFClassifier  # noqa: E402
from neuromod.tuning import attach, trained_parameters  # noqa: E402
from neuromod.tuning.datasets.digits import load_digits  # noqa: E402
from neuromod.tuning.datasets.events import CONTRAST, DARK, EVENT, event_frames, moving_digits  # noqa: E402
from neuromod.tuning.hardware import threads_for  # noqa: E402


def recording(*events: tuple[Any, ...], **kinds: Any) -> np.ndarray:
    """Events (x, y, t, p), of tonic's types but for those that are named."""
    return np.array(list(events), [(name, kinds.get(name, EVENT[name])) for name in "xytp"])


def test_each_event_is_counted_in_its_frame_channel_row_and_column() -> None:
    events = recording((4, 0, 0, 1), (4, 0, 29, 1), (0, 2, 30, 0), (4, 0, 31, 1), (1, 1, 89, 0))
    frames = event_frames(events, (3, 5), 3, 90)
    assert (frames.dtype, frames.shape) == (torch.float32, (3, 2, 3, 5))
    assert {tuple(at.tolist()): frames[tuple(at)].item() for at in frames.nonzero()} == {
        (0, 1, 0, 4): 2,
        (1, 0, 2, 0): 1,
        (1, 1, 0, 4): 1,
        (2, 0, 1, 1): 1,
    }


def test_events_at_the_edge_of_two_frames_belong_to_the_later_one() -> None:
    """With times from 0 to 100 in 7 frames, frame k begins at the first whole time from 100 k/7."""
    events = recording(*((0, 0, t, 1) for t in range(100)))
    counts = event_frames(events, (1, 1), 7, 100)[:, 1, 0, 0]
    starts = [-(-100 * k // 7) for k in range(8)]
    assert counts.tolist() == np.diff(starts).tolist()
    seconds = recording((0, 0, 0.125, 1), (0, 0, 0.25, 1), (0, 0, 0.375, 1), t=float)
    assert event_frames(seconds, (1, 1), 4, 0.5)[:, 1, 0, 0].tolist() == [0, 1, 1, 1]


def test_a_recording_without_events_is_frames_of_zeros() -> None:
    frames = event_frames(recording(), (2, 3), 4, 10)
    assert frames.shape == (4, 2, 2, 3)
    assert not frames.any()


@pytest.mark.parametrize("kinds", [{"x": np.uint8}, {"y": float}, {"p": np.int8}, {"t": np.uint32}])
def test_numbers_of_any_real_type_are_read_to_their_values(kinds: dict[str, Any]) -> None:
    events = [(200, 2, 3, 1), (5, 1, 3, 0), (5, 1, 8, 1)]
    read, expected = (event_frames(recording(*events, **k), (3, 201), 5, 9) for k in (kinds, {}))
    assert torch.equal(read, expected)


@pytest.mark.parametrize(
    ("kinds", "event", "told"),
    [
        ({}, (5, 0, 3, 1), "Event 1 has x = 5: whole numbers from 0 to below 5 were expected"),
        ({}, (-1, 0, 3, 1), "Event 1 has x = -1"),
        ({"x": np.uint16}, (65535, 0, 3, 1), "Event 1 has x = 65535"),
        ({}, (0, 3, 3, 1), "Event 1 has y = 3"),
        ({"y": float}, (0, 1.5, 3, 1), "Event 1 has y = 1.5"),
        ({"y": float}, (0, np.nan, 3, 1), "Event 1 has y = nan"),
        ({}, (0, 0, -7, 1), "Event 1 has t = -7: times from 0 to below 9 were expected"),
        ({}, (0, 0, 9, 1), "Event 1 has t = 9"),
        ({"t": float}, (0, 0, np.nan, 1), "Event 1 has t = nan"),
        ({"t": float}, (0, 0, np.inf, 1), "Event 1 has t = inf"),
        ({}, (0, 0, 1, 1), "Event 1 is at t = 1, after one at 2: sort events by time"),
        ({"p": np.int8}, (0, 0, 3, -1), "Event 1 has p = -1: whole numbers from 0 to below 2"),
        ({"t": "m8[us]"}, (0, 0, 3, 1), r"one real number each as t, not timedelta64\[us\]"),
        ({"x": complex}, (0, 0, 3, 1), "one real number each as x, not complex128"),
    ],
)
def test_events_that_cannot_be_are_refused(kinds: Any, event: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        event_frames(recording((0, 0, 2, 1), event, **kinds), (3, 5), 3, 9)


def test_masked_events_are_refused() -> None:
    events = np.ma.array(recording((0, 0, 2, 1), (1, 1, 3, 0)))
    events[1] = np.ma.masked
    with pytest.raises(UserError, match="one real number each as x"):
        event_frames(events, (3, 5), 3, 9)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (np.zeros((4, 4)), "lacks x, y, t and p"),
        (np.zeros(4, [("x", int), ("t", int), ("p", int)]), "lacks y"),
        (np.zeros((4, 1), EVENT), "lacks the one axis"),
        ([(0, 0, 2, 1)], "lacks x, y, t and p"),
    ],
)
def test_what_is_no_recording_is_refused(events: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        event_frames(events, (3, 5), 3, 9)


@pytest.mark.parametrize(
    ("size", "steps", "duration", "told"),
    [
        ((3, 5), 0, 9, r"whole and above 0, not \(3, 5, 0\)"),
        ((3, 5, 2), 3, 9, r"not \(3, 5, 2, 3\)"),
        ((3.0, 5), 3, 9, r"not \(3.0, 5, 3\)"),
        ((3, 5), 3, 0, "not 0"),
        ((3, 5), 3, float("nan"), "not nan"),
        ((3, 5), 3, 2.0**54, "up to 9007199254740992, not"),
    ],
)
def test_frames_that_cannot_be_are_refused(size: Any, steps: int, duration: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        event_frames(recording(), size, steps, duration)


@pytest.fixture(scope="module")
def digits() -> Any:
    return moving_digits((3, 8), seed=2)


def test_moving_digits_are_whole_recordings_of_labelled_digits(digits: Any) -> None:
    assert (digits.name, digits.classes, digits.size) == ("moving digits 38", ("3", "8"), (16, 16))
    assert len(digits) == len(digits.recordings) == 357
    assert sorted(np.concatenate([*vars(digits.split).values()])) == list(range(357))
    frames = digits.frames(digits.split.test[:9], 5)
    assert frames.shape == (9, 5, 2, 16, 16)
    sizes = [len(digits.recordings[index]) for index in digits.split.test[:9]]
    assert frames.sum((1, 2, 3, 4)).tolist() == sizes
    assert min(sizes) > 100


def test_a_seed_gives_the_same_events_again_and_another_seed_others(digits: Any) -> None:
    for seed, same in ((2, True), (3, False)):
        other = moving_digits((3, 8), seed=seed)
        pairs = zip(digits.recordings, other.recordings, strict=True)
        assert all(np.array_equal(*pair) == same for pair in pairs)


def test_events_add_up_to_how_much_brighter_a_pixel_has_become(digits: Any) -> None:
    """Against scipy's images of the digits at both ends of their way, to within one event."""
    data = load_digits((3, 8))
    angles = np.random.default_rng(2).uniform(0, 2 * np.pi, len(data))
    for index in range(0, len(data), 11):
        image = np.pad(data.image(index)[0].numpy(), 4)
        way = 3 * np.array([np.sin(angles[index]), np.cos(angles[index])])
        start, end = (
            np.log(DARK + (1 - DARK) * shift(image, offset, order=1, prefilter=False))
            for offset in (-way, way)
        )
        recorded, change = digits.recordings[index], np.zeros((16, 16))
        signs = np.where(recorded["p"], CONTRAST, -CONTRAST)
        np.add.at(change, (recorded["y"], recorded["x"]), signs)
        assert np.abs(end - start - change).max() < CONTRAST * 1.001
        assert np.abs(change).max() > 3 * CONTRAST


def test_a_convolutional_classifier_learns_from_events(digits: Any) -> None:
    torch.manual_seed(5)
    layers = [
        torch.nn.Conv2d(2, 6, 3),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(294, 2),
    ]
    classifier = LIFClassifier(layers, steps=5, frames=True)
    attach(classifier, "tft")
    frames = digits.frames(digits.split.train, 5)
    labels = torch.from_numpy(digits.labels[digits.split.train])
    optimizer = torch.optim.Adam(trained_parameters(classifier), lr=0.02)
    with threads_for(classifier):
        for _ in range(25):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(classifier(frames).spikes, labels).backward()
            optimizer.step()
    test = digits.split.test
    right = classifier.correct(digits.frames(test, 5), torch.from_numpy(digits.labels[test]))
    assert right.float().mean() > 0.75
