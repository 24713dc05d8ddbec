"""A session in words: that it is about to end, that it runs, which buttons it has."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.protocol.ids import Cid, UserId
from greenroom.state.call import CallPhase, CallState
from greenroom.state.call_settings import Buttons, CallSettings, IdleTimeout, IdleWhen
from greenroom.state.engine import ClientState
from greenroom.state.idle import Idle, IdlePhase
from greenroom.state.services import Service, ServiceKind
from greenroom.views.actions import BY_ID
from greenroom.views.idle import expired_words, idle_words
from greenroom.views.services import service_rows
from greenroom.views.session import has_button

CID = Cid("default:talk")
CALL = CallState(CID, UserId("ann"), CallPhase.JOINED)
ASKED = Idle(IdlePhase.PROMPTING, 0.0, 120.0, 180.0)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (IdleWhen.ALONE, "nobody else is here: leaving in 48 s unless you stay"),
        (IdleWhen.INACTIVE, "nothing happens here: leaving in 48 s unless you stay"),
    ],
)
def test_somebody_asked_is_told_why_and_how_long(when: IdleWhen, words: str) -> None:
    settings = CallSettings(idle_timeout=IdleTimeout(when=when))
    assert idle_words(replace(CALL, settings=settings, idle=ASKED), now=132.0) == words


def test_nobody_is_told_before_they_are_asked() -> None:
    assert idle_words(replace(CALL, idle=Idle(IdlePhase.ARMED, 0.0, 120.0, 180.0)), now=60.0) == ""
    assert "leaving in 0 s" in idle_words(replace(CALL, idle=ASKED), now=500.0)


def test_a_session_that_ended_by_itself_says_after_how_long() -> None:
    assert expired_words(IdleTimeout(when=IdleWhen.ALONE)) == "you were alone for 3 min"
    assert expired_words(IdleTimeout(30.0, 10.0)) == "nothing happened for 40 s"


@pytest.mark.parametrize(
    ("buttons", "shown"),
    [
        (Buttons(), {"leave", "end", "microphone"}),
        (Buttons(end=False), {"microphone"}),
        (Buttons(mute=False), {"leave", "end"}),
    ],
)
def test_a_session_shows_the_buttons_it_was_given(buttons: Buttons, shown: set[str]) -> None:
    call = replace(CALL, settings=CallSettings(buttons=buttons))
    assert {name for name in ("leave", "end", "microphone") if has_button(BY_ID[name], call)} == shown
    assert has_button(BY_ID["hand"], call)


def test_no_face_has_a_button_for_what_is_not_available() -> None:
    words = " ".join(f"{action.id} {action.label} {action.help}".lower() for action in BY_ID.values())
    assert not any(word in words for word in ("camera", "video", "screen share", "record"))


def test_what_runs_in_the_background_is_shown_with_how_it_is() -> None:
    state = ClientState(
        calls={CID: CALL},
        services=(Service(ServiceKind.CALL, CID, 0.0), Service(ServiceKind.SCREEN_SHARE, CID, 0.0)),
    )
    call, screen = service_rows(state, now=65.0)
    assert (call.title, call.words) == (
        "In a call: default:talk",
        "microphone closed: switched off · since 1 min",
    )
    assert (screen.title, screen.words) == ("Sharing a screen: default:talk", "since 1 min")
    assert service_rows(replace(state, calls={}), now=0.2)[0].words == "just begun"
