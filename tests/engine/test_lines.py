"""How good a line is: the server's word and what is heard here, as one."""

from __future__ import annotations

import pytest

from greenroom.engine.lines import Lines
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.wire import PersonQuality, Quality
from greenroom.state.statistics import CallStatistics, Cause, LineQuality, PersonStatistics

CID, ME, BO, CY = Cid("audio_room:a"), UserId("me"), UserId("bo"), UserId("cy")
PEOPLE = {ME: 1, BO: 2, CY: 3}


def sample(at: float, lost: float = 0.0, rate: float = 50.0, **mine: float) -> CallStatistics:
    """Two seconds in which `lost` of what Bo sends is lost, most of it recovered."""
    bo = PersonStatistics(packets_per_second=rate, lost_fraction=lost, recovered_fraction=0.9 * lost)
    return CallStatistics(at, by_person={BO: bo}, sent_kbps=60.0, **mine)  # type: ignore[arg-type]  # numbers


def after(*samples: CallStatistics) -> LineQuality:
    lines = Lines(ME)
    for one in samples:
        lines.sampled(one)
    return lines.all(PEOPLE)[BO]


def test_loss_of_a_person_shows_from_the_second_sample_with_its_numbers() -> None:
    once = after(sample(0.0, 0.2))
    assert once.quality is Quality.EXCELLENT
    twice = after(sample(0.0, 0.2), sample(2.0, 0.12))
    assert (twice.quality, twice.cause, twice.here) == (Quality.POOR, Cause.SENT_LOSS, True)
    assert twice.sent_lost == 0.12
    assert twice.recovered == pytest.approx(0.108)


def test_while_the_word_stays_its_numbers_do_too() -> None:
    line = after(sample(0.0, 0.2), sample(2.0, 0.2), sample(4.0, 0.0))
    assert (line.quality, line.sent_lost) == (Quality.POOR, 0.2)
    well = after(sample(0.0, 0.2), sample(2.0, 0.2), *(sample(4.0 + place, 0.0) for place in range(3)))
    assert (well.quality, well.cause) == (Quality.EXCELLENT, Cause.NONE)


def test_a_few_packets_in_a_pause_say_nothing() -> None:
    line = after(sample(0.0, 0.2), sample(2.0, 0.2), sample(4.0, 1.0, rate=3.0))
    assert line.quality is Quality.POOR


def test_whoever_was_silent_for_half_a_minute_begins_anew() -> None:
    lines = Lines(ME)
    for place in range(2):
        lines.sampled(sample(2.0 * place, 0.2))
    for place in range(15):
        lines.sampled(CallStatistics(4.0 + 2.0 * place))
    assert BO not in lines.all(PEOPLE)


def test_the_worse_of_both_views_is_shown() -> None:
    lines = Lines(ME)
    lines.told(PersonQuality(CID, BO, Quality.GOOD, received_lost=0.04, rtt_ms=350.0))
    lines.told(PersonQuality(CID, CY, Quality.POOR, sent_lost=0.3))
    assert lines.all(PEOPLE)[BO].cause is Cause.RECEIVED_LOSS
    for place in range(2):
        lines.sampled(sample(2.0 * place, 0.2))
    bo = lines.all(PEOPLE)[BO]
    assert (bo.quality, bo.cause, bo.rtt_ms) == (Quality.POOR, Cause.SENT_LOSS, 350.0)
    assert lines.all(PEOPLE)[CY].quality is Quality.POOR
    assert set(lines.all({ME: 1, BO: 2})) == {ME, BO}, "who is gone has no line"


def test_a_word_of_the_server_without_numbers_is_believed() -> None:
    lines = Lines(ME)
    lines.told(PersonQuality(CID, BO, Quality.POOR))
    assert lines.all(PEOPLE) == {BO: LineQuality(Quality.POOR)}


def two(at: float, bo: float, cy: float) -> CallStatistics:
    """Two people talk, of whom these shares are lost."""
    people = {
        user: PersonStatistics(packets_per_second=50.0, lost_fraction=lost)
        for user, lost in ((BO, bo), (CY, cy))
    }
    return CallStatistics(at, by_person=people, lost_fraction=(bo + cy) / 2, recovered_fraction=(bo + cy) / 4)


def test_what_everybody_loses_is_lost_on_my_own_line() -> None:
    lines = Lines(ME)
    for place in range(2):
        lines.sampled(two(2.0 * place, 0.2, 0.22))
    found = lines.all(PEOPLE)
    assert (found[ME].quality, found[ME].cause) == (Quality.POOR, Cause.RECEIVED_LOSS)
    assert found[ME].received_lost == pytest.approx(0.2)
    assert found[ME].recovered == pytest.approx(0.1)
    assert found[BO].quality is found[CY].quality is Quality.EXCELLENT


def test_what_one_of_two_loses_is_theirs() -> None:
    lines = Lines(ME)
    for place in range(2):
        lines.sampled(two(2.0 * place, 0.2, 0.0))
    found = lines.all(PEOPLE)
    assert found[BO].quality is Quality.POOR
    assert found[ME].quality is Quality.EXCELLENT


def test_of_one_person_alone_the_server_says_whose_loss_it_is() -> None:
    lines = Lines(ME)
    for place in range(2):
        lines.sampled(sample(2.0 * place, 0.2))
    assert lines.all(PEOPLE)[ME].quality is Quality.EXCELLENT
    lines.told(PersonQuality(CID, ME, Quality.POOR, received_lost=0.2))
    for place in range(5):
        lines.sampled(sample(4.0 + 2.0 * place, 0.2))
    found = lines.all(PEOPLE)
    assert (found[ME].cause, found[ME].quality) == (Cause.RECEIVED_LOSS, Quality.POOR)
    assert found[BO].quality is Quality.EXCELLENT


def test_sound_that_is_made_up_though_nothing_was_lost_makes_my_line_worse() -> None:
    lines = Lines(ME)
    for place in range(2):
        lines.sampled(sample(2.0 * place, concealed_fraction=0.2, lost_fraction=0.1, recovered_fraction=0.1))
    mine = lines.all(PEOPLE)[ME]
    assert (mine.quality, mine.cause, mine.late) == (Quality.POOR, Cause.LATE, 0.2)


def test_my_line_has_what_i_send_and_the_round_trip() -> None:
    lines = Lines(ME)
    for place in range(2):
        lines.sampled(sample(2.0 * place, sent_lost_fraction=0.14, rtt_ms=90.0))
    mine = lines.all(PEOPLE)[ME]
    assert (mine.quality, mine.cause) == (Quality.POOR, Cause.SENT_LOSS)
    assert (mine.sent_lost, mine.received_lost, mine.rtt_ms) == (0.14, 0.0, 90.0)
