"""Limits count honestly and forget in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenroom.sfu.limits import MAX_COUNTED_SOURCES, SourceCounter, TokenBucket


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=300))
def test_a_bucket_never_lets_more_through_than_its_rate_and_burst(gaps: list[float]) -> None:
    bucket = TokenBucket(rate=50, burst=10, now=0.0)
    now, passed = 0.0, 0
    for gap in gaps:
        now += gap
        passed += bucket.take(1, now)
    assert passed <= 10 + 50 * now + 1e-6


def test_what_is_refused_is_not_counted() -> None:
    bucket = TokenBucket(rate=1, burst=1, now=0.0)
    assert bucket.take(1, 0.0)
    assert not bucket.take(1, 0.5)
    assert bucket.take(1, 1.0)


def test_each_source_has_its_own_share_of_each_second() -> None:
    counter = SourceCounter(2)
    assert [counter.allows("a", 0.1), counter.allows("a", 0.2), counter.allows("a", 0.3)] == [
        True,
        True,
        False,
    ]
    assert counter.allows("b", 0.4)
    assert counter.allows("a", 1.0)


def test_many_strangers_neither_fill_memory_nor_keep_newcomers_out() -> None:
    counter = SourceCounter(2)
    for source in range(3 * MAX_COUNTED_SOURCES):
        counter.allows(source, 0.0)
    assert counter.allows("newcomer", 0.0)
    assert len(counter._counts) <= MAX_COUNTED_SOURCES
