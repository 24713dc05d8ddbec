"""Listeners by id: one each, told in order, harmless when they fail."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.engine.listeners import MOST, Listeners
from greenroom.errors import Misuse
from greenroom.protocol.ids import Cid, UserId
from greenroom.state.session_events import (
    SessionEvent,
    SessionJoined,
    SessionLeft,
    UserJoined,
    UserUnmuted,
)

HERE, THERE = Cid("audio_room:here"), Cid("audio_room:there")
JOINED = SessionJoined(HERE, 1.0)


def listeners() -> tuple[Listeners, list[str]]:
    said: list[str] = []
    return Listeners(lambda words, cid: said.append(f"{cid}: {words}")), said


def test_the_same_id_again_replaces_the_listener() -> None:
    told, _ = listeners()
    first: list[SessionEvent] = []
    second: list[SessionEvent] = []
    told.add("screen", first.append)
    told.add("screen", second.append)
    told.tell([JOINED])
    assert (first, second, told.ids) == ([], [JOINED], ("screen",))


def test_registering_a_thousand_times_leaves_one() -> None:
    told, _ = listeners()
    for _ in range(5_000):
        told.add("screen", lambda event: None)
    assert told.ids == ("screen",)


def test_ids_of_their_own_without_end_are_refused_in_words() -> None:
    told, _ = listeners()
    for number in range(MOST):
        told.add(f"screen {number}", lambda event: None)
    with pytest.raises(Misuse, match="remove"):
        told.add("one more", lambda event: None)
    told.add("screen 0", lambda event: None)


def test_a_removed_listener_hears_nothing_and_removing_again_is_quiet() -> None:
    told, _ = listeners()
    heard: list[SessionEvent] = []
    told.add("screen", heard.append)
    assert told.remove("screen")
    assert not told.remove("screen")
    told.tell([JOINED])
    assert heard == []


def test_what_an_old_registration_returned_does_not_remove_a_new_one() -> None:
    told, _ = listeners()
    stop = told.add("screen", lambda event: None)
    told.add("screen", lambda event: None)
    stop()
    assert told.ids == ("screen",)


def test_one_that_raises_is_said_once_and_harms_nobody() -> None:
    told, said = listeners()
    heard: list[SessionEvent] = []

    def raise_(_event: SessionEvent) -> None:
        raise RuntimeError("mine alone")

    told.add("broken", raise_)
    told.add("screen", heard.append)
    told.tell([JOINED, JOINED])
    told.tell([JOINED])
    assert heard == [JOINED] * 3
    assert said == [f"{HERE}: listener 'broken' raised RuntimeError; this is said once"]
    told.add("broken", raise_)
    told.tell([JOINED])
    assert len(said) == 2, "a new registration is a new listener"


def test_a_listener_may_remove_another_while_it_is_told() -> None:
    told, said = listeners()
    heard: list[SessionEvent] = []

    def remove(_event: SessionEvent) -> None:
        told.remove("screen")

    told.add("first", remove)
    told.add("screen", heard.append)
    told.tell([JOINED])
    assert (heard, said) == ([], [])


def test_a_listener_hears_the_kinds_and_the_room_it_asked_for() -> None:
    told, _ = listeners()
    heard: list[SessionEvent] = []
    told.add("people", heard.append, (UserJoined, UserUnmuted), HERE)
    joined = UserJoined(HERE, 1.0, UserId("bo"), "Bo")
    told.tell([JOINED, joined, UserJoined(THERE, 1.0, UserId("bo"), "Bo"), SessionLeft(HERE, 2.0)])
    assert heard == [joined]


async def _later(_event: SessionEvent) -> None:
    """Would never be awaited."""


@pytest.mark.parametrize(
    ("listener_id", "listener"),
    [("", print), (None, print), ("screen", None), ("screen", _later)],
    ids=["no id", "nothing for an id", "nothing to call", "a coroutine"],
)
def test_what_cannot_listen_is_refused(listener_id: Any, listener: Any) -> None:
    told, _ = listeners()
    with pytest.raises(Misuse):
        told.add(listener_id, listener)


def test_what_is_no_kind_of_event_is_refused_when_it_is_named_and_not_when_one_happens() -> None:
    told, _ = listeners()
    kind: Any = "UserJoined"
    with pytest.raises(Misuse):
        told.add("screen", print, (kind,))
    assert told.ids == ()
