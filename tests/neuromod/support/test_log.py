import pytest

from neuromod.support.log import journal, note, stage


def test_stages_of_one_name_add_up():
    with journal() as kept:
        with stage("a"):
            pass
        first = kept.wall_s["a"]
        with stage("a"), stage("b"):
            pass
    assert kept.wall_s["a"] > first > 0
    assert list(kept.wall_s) == ["a", "b"]


def test_notes_are_kept_by_the_innermost_journal():
    with journal() as outer:
        note("x", 1)
        with journal() as inner:
            note("x", 2)
        note("y", 3)
    assert (outer.notes, inner.notes) == ({"x": 1, "y": 3}, {"x": 2})


def test_without_a_journal_nothing_is_kept():
    with stage("a"):
        note("x", 1)


def test_a_stage_that_fails_is_not_reported_as_done():
    with journal() as kept, pytest.raises(RuntimeError), stage("a"):
        raise RuntimeError
    assert not kept.wall_s
