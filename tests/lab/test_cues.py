"""The simulated evening: seeded, in order, and fair."""

from __future__ import annotations

from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from greenroom.lab.cues import Act, Cue, cues

SPEAKERS = {"ann": [2.0, 3.0], "ben": [2.5], "cal": [1.5, 2.0, 4.0]}
LISTENERS = ["dora", "emil"]


def evening(seed: int, length: int = 200) -> list[Cue]:
    return list(islice(cues(seed, SPEAKERS, LISTENERS), length))


@given(st.integers(0, 10_000))
def test_cues_come_in_order_of_time_and_the_same_seed_gives_the_same_evening(seed: int) -> None:
    first = evening(seed)
    assert [cue.at for cue in first] == sorted(cue.at for cue in first)
    assert first == evening(seed)


@given(st.integers(0, 10_000))
def test_everybody_speaks_once_before_anybody_speaks_twice(seed: int) -> None:
    turns = [cue.who for cue in evening(seed) if cue.act is Act.SPEAK]
    for start in range(0, len(turns) - 2, 3):
        assert set(turns[start : start + 3]) == set(SPEAKERS)
    assert all(one != other for one, other in pairwise(turns))


@given(st.integers(0, 10_000))
def test_whoever_leaves_returns_before_doing_anything_else(seed: int) -> None:
    for name in LISTENERS:
        acts = [cue.act for cue in evening(seed) if cue.who == name]
        assert all(then is Act.RETURN for act, then in pairwise(acts) if act is Act.LEAVE)


def test_another_seed_is_another_evening() -> None:
    assert evening(1) != evening(2)


def test_people_sometimes_begin_before_the_other_has_finished() -> None:
    turns = [cue for cue in evening(3, 400) if cue.act is Act.SPEAK]
    overlaps = [then.at < cue.at + SPEAKERS[cue.who][int(cue.words)] for cue, then in pairwise(turns)]
    assert 0.05 < sum(overlaps) / len(overlaps) < 0.5
