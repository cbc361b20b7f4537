from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.datasets import load_data, texts  # noqa: E402
from neuromod.tuning.datasets.texts import (  # noqa: E402
    LONGEST,
    SHORTEST,
    SOURCE_TOPICS,
    TARGET_TOPICS,
    TELLTALE,
    TOPICS,
    TokenSpec,
    as_bytes,
    load_docstrings,
    prose,
    text_of,
    vocabulary_of,
)

# Two topics of few files.
FEW = ("graphs", "signals")
LEAST = 17


@pytest.fixture(scope="module")
def data():
    return load_docstrings(FEW, per_topic=LEAST)


def test_source_and_target_share_no_topic_and_no_folder() -> None:
    assert not set(SOURCE_TOPICS) & set(TARGET_TOPICS)
    assert {*SOURCE_TOPICS, *TARGET_TOPICS} == set(TOPICS)
    folders = [folder for own in TOPICS.values() for folder in own]
    assert not [
        (one, two) for one in folders for two in folders if one != two and f"{one}/" in f"{two}/"
    ]


def test_prose_is_what_is_said_without_code_and_names() -> None:
    docstring = """Filter a signal, as `scipy.signal.lfilter` does with :func:`numpy.array`.

    .. versionadded:: 1.3

    Parameters
    ----------
    x_in : array_like
        The well-known DataFrame's 3 values (see NumPy and B2).

    Examples
    --------
    >>> wrong(words)
    """
    assert prose(docstring) == "filter as does with parameters the well known values see and"


def test_texts_have_no_telltale_word_and_lengths_within_bounds(data) -> None:
    found = [text_of(data.image(i)) for i in range(len(data))]
    assert len(set(found)) == len(found) == 2 * LEAST
    for text in found:
        words = text.split()
        assert SHORTEST <= len(words) <= LONGEST
        assert not [word for word in words if TELLTALE.fullmatch(word) or not word.islower()]


def test_labels_point_into_the_topics_that_were_asked_for(data) -> None:
    backwards = load_docstrings(FEW[::-1], per_topic=LEAST)
    assert backwards.classes == FEW[::-1]
    assert torch.equal(backwards.image(0), data.image(LEAST))
    assert np.bincount(data.labels).tolist() == [LEAST, LEAST]


def test_other_versions_make_another_data_set(data, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_docstrings(FEW, 5, LEAST).identity == data.identity
    monkeypatch.setattr(texts, "version", lambda name: f"{name} 0.0.1")
    assert load_docstrings(FEW, per_topic=LEAST).identity != data.identity


def test_a_word_has_its_number_and_others_share_one() -> None:
    spec = TokenSpec(("spline", "of"), length=5)
    numbers = spec.prepare(as_bytes("of a spline"))
    assert numbers.tolist() == [3, 1, 2, 0, 0]
    assert spec.prepare(as_bytes("of " * 9)).tolist() == [3] * 5
    assert spec.n_numbers == 4


def test_the_vocabulary_is_of_training_texts_and_most_frequent_first(data) -> None:
    words = [w for i in data.split.train for w in text_of(data.image(int(i))).split()]
    found = vocabulary_of(data, 31)
    counts = [words.count(word) for word in found]
    assert len(found) == 31
    assert counts == sorted(counts, reverse=True)
    assert min(counts) >= max(words.count(word) for word in set(words) - set(found))


def test_what_is_no_text_is_refused_in_one_sentence() -> None:
    spec = TokenSpec(("of",))
    with pytest.raises(UserError, match=r"^A text backbone reads texts, .* shape \(3, 7, 7\) and"):
        spec.prepare(torch.rand(3, 7, 7))
    with pytest.raises(UserError, match=r"of shape .* and type torch\.float32"):
        spec.prepare(torch.rand(47))


def test_unknown_topics_and_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no topic of docstrings named 'graph': did you mean"):
        load_docstrings(("graph",))
    texts._of_topic.cache_clear()
    monkeypatch.setattr(texts, "find_spec", lambda name: None if name == "neo" else find_spec(name))
    monkeypatch.setitem(texts.TOPICS, "recordings", ("neo",))
    with pytest.raises(UserError, match=r"^The docstrings of neo are missing: install it\.$"):
        load_docstrings(("recordings",))


@pytest.mark.thorough
def test_the_target_task_has_as_many_texts_of_every_topic() -> None:
    data = load_data("docstrings")
    assert data.classes == TARGET_TOPICS
    assert np.bincount(data.labels).tolist() == [texts.PER_TOPIC] * 5
