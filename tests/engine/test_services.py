"""Background services: one of a kind for a call, stopped by name."""

from __future__ import annotations

import pytest

from greenroom.engine.services import Services
from greenroom.errors import Ambiguous, Malformed, Misuse
from greenroom.protocol.ids import Cid
from greenroom.state.services import ServiceKind

ONE, TWO, ELSEWHERE = Cid("default:one"), Cid("default:two"), Cid("default:elsewhere")
CALL, SCREEN = ServiceKind.CALL, ServiceKind.SCREEN_SHARE


def services() -> Services:
    made = Services(lambda cid: cid in (ONE, TWO))
    made.call_begun(ONE)
    made.call_begun(TWO)
    return made


def shown(made: Services) -> list[tuple[ServiceKind, Cid]]:
    return [(service.kind, service.cid) for service in made.state.value]


def test_each_call_has_one_and_a_screen_share_is_another() -> None:
    made = services()
    handle = made.start("screen_share", ONE)
    assert made.start(SCREEN, ONE).service is handle.service
    assert shown(made) == [(CALL, ONE), (CALL, TWO), (SCREEN, ONE)]
    assert [service.cid for service in made.running(CALL)] == [ONE, TWO]


def test_a_stop_that_could_mean_several_says_which_there_are() -> None:
    made = services()
    with pytest.raises(Ambiguous, match=f"{ONE}.*{TWO}"):
        made.stop(CALL)
    assert len(shown(made)) == 2
    assert made.stop(CALL, ONE)
    assert made.stop(CALL), "now there is only one that can be meant"
    assert not made.stop(CALL)


def test_stopping_one_kind_leaves_the_other() -> None:
    made = services()
    made.start(SCREEN, ONE)
    made.stop(SCREEN, ONE)
    assert (CALL, ONE) in shown(made)


def test_a_call_that_is_over_takes_its_services_along() -> None:
    made = services()
    made.start(SCREEN, ONE)
    made.call_over(ONE)
    assert shown(made) == [(CALL, TWO)]


def test_a_handle_ends_its_own_service_and_no_later_one() -> None:
    made = services()
    with made.start(SCREEN, TWO) as handle:
        assert (SCREEN, TWO) in shown(made)
    assert not handle.running
    later = made.start(SCREEN, TWO)
    handle.stop()
    assert later.running


def test_what_makes_no_sense_is_refused_in_words() -> None:
    made = services()
    with pytest.raises(Misuse, match="not in 'default:elsewhere'"):
        made.start(CALL, ELSEWHERE)
    with pytest.raises(Misuse, match="call, screen_share"):
        made.start("coffee", ONE)
    with pytest.raises(Malformed):
        made.stop(CALL, "no room!")
