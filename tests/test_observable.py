"""A value that can be watched, by several, from several threads."""

from __future__ import annotations

import threading

import pytest

from greenroom.observable import Observable


def test_a_subscriber_is_told_the_present_value_and_every_change() -> None:
    told: list[int] = []
    value = Observable(1)
    value.subscribe(told.append)
    value.set(2)
    assert told == [1, 2]


def test_without_replay_only_changes_are_told() -> None:
    told: list[int] = []
    value = Observable(1)
    value.subscribe(told.append, replay=False)
    value.set(1)
    value.set(2)
    assert told == [2]


def test_a_selector_is_told_only_when_what_it_selects_changes() -> None:
    told: list[int] = []
    value = Observable((1, "a"))
    value.subscribe(told.append, lambda pair: pair[0])
    value.set((1, "b"))
    value.set((2, "b"))
    assert told == [1, 2]


def test_a_raising_subscriber_harms_nobody() -> None:
    told: list[int] = []
    value = Observable(1)

    def raise_(_: int) -> None:
        raise RuntimeError("mine alone")

    value.subscribe(raise_)
    value.subscribe(told.append)
    value.set(2)
    assert told == [1, 2]


def test_a_subscription_may_end_itself_from_its_own_callback() -> None:
    told: list[int] = []
    value = Observable(0)

    def once(number: int) -> None:
        told.append(number)
        if number:
            subscription.close()

    subscription = value.subscribe(once)
    value.set(1)
    value.set(2)
    assert told == [0, 1]


def test_nobody_is_told_an_older_value_after_a_newer_one() -> None:
    value = Observable(0)
    seen: list[list[int]] = []

    def write() -> None:
        for number in range(1, 3000):
            value.set(number)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        mine: list[int] = []
        with value.subscribe(mine.append):
            pass
        seen.append(mine)
    writer.join()
    last: list[int] = []
    value.subscribe(last.append)
    assert last == [2999]
    assert all(mine == sorted(mine) for mine in seen)


async def test_until_returns_the_first_value_that_fits_even_from_another_thread() -> None:
    value = Observable(0)
    timer = threading.Timer(0.02, lambda: value.set(7))
    timer.start()
    assert await value.until(lambda number: number > 5, timeout_seconds=5.0) == 7
    timer.join()


async def test_until_gives_up_in_time_and_leaves_no_subscriber() -> None:
    value = Observable(0)
    with pytest.raises(TimeoutError):
        await value.until(lambda number: number > 5, timeout_seconds=0.01)
    assert value._subscriptions == ()


async def test_until_raises_what_its_predicate_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await Observable(0).until(lambda number: bool(1 / number), timeout_seconds=5.0)
