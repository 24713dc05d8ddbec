"""One contract for every way of being in rooms: in memory, and on a real server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.errors import Refused
from greenroom.hosting import ServerProcess, start_server
from greenroom.media.dsp import level_dbfs
from greenroom.media.sinks import Meter
from greenroom.media.sources import Tone
from greenroom.protocol.call_types import HandPolicy
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Room, may
from greenroom.protocol.wire import CustomSignal
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.path import Way
from tests.backends.places import Memory, Place, Server, client
from tests.media.sound import until

SECONDS = 10.0


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder: Path = tmp_path_factory.mktemp("server")
    with start_server(data_dir=str(folder)) as process:
        yield process


@pytest.fixture(params=["loopback", pytest.param("sfu", marks=pytest.mark.live)])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "loopback":
        return Memory()
    return Server(request.getfixturevalue("process"))


@pytest.fixture
def cid() -> str:
    return f"audio_room:{secrets.token_hex(6)}"


async def test_who_makes_a_room_hosts_it_and_sees_who_comes_and_goes(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann:
        hosting = await ann.join(cid, create=True, title="Standup")
        await hosting.go_live()
        async with client(place, "ben") as ben:
            listening = await ben.join(cid)
            await hosting.state.until(lambda call: place.ben in _room(call).participants, SECONDS)
            assert _room(listening.state.value).title == "Standup"
            assert _room(listening.state.value).participants.keys() == {place.ann, place.ben}
            await listening.leave()
            await hosting.state.until(lambda call: place.ben not in _room(call).participants, SECONDS)
            assert listening.state.value.phase is CallPhase.LEFT
        assert any("came in" in line.text for line in ann.state.value.log)


async def test_a_room_that_is_not_there_is_refused_in_words(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann:
        with pytest.raises(Refused) as refusal:
            await ann.join(cid)
        assert refusal.value.reason == "not_found"
        assert ann.state.value.calls == {}


async def test_a_listener_is_refused_the_microphone_and_may_ask_for_it(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        listening = await ben.join(cid)
        with pytest.raises(Refused) as refusal:
            await listening.set_microphone(True)
        assert (refusal.value.missing, refusal.value.requestable) == ("send-audio", True)
        assert not listening.state.value.microphone.wish

        await listening.raise_hand()
        await hosting.state.until(
            lambda call: [hand.user for hand in _room(call).hands] == [place.ben], SECONDS
        )
        await hosting.grant_hand(place.ben)
        allowed = await listening.state.until(lambda call: "send-audio" in call.capabilities, SECONDS)
        assert any("you may speak" in notice.text for notice in allowed.notices)
        await listening.set_microphone(True)
        await listening.state.until(lambda call: call.microphone.open, SECONDS)

        await hosting.revoke(place.ben)
        revoked = await listening.state.until(lambda call: not call.microphone.open, SECONDS)
        assert not may(_room(revoked), place.ben, Capability.SEND_AUDIO)
        await hosting.grant(place.ben)
        again = await listening.state.until(lambda call: "send-audio" in call.capabilities, SECONDS)
        assert not again.microphone.wish, "nobody is put on the air again without their doing"


async def test_a_mute_ends_the_wish_and_says_by_whom(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        speaking = await ben.join(cid)
        await hosting.grant(place.ben)
        await speaking.state.until(lambda call: "send-audio" in call.capabilities, SECONDS)
        await speaking.set_microphone(True)
        await speaking.state.until(lambda call: call.microphone.open, SECONDS)
        await hosting.mute(place.ben)
        muted = await speaking.state.until(lambda call: not call.microphone.wish, SECONDS)
        assert muted.microphone.reason == "muted by Ann"
        assert any("muted you" in notice.text for notice in muted.notices)
        await speaking.set_microphone(True)
        await speaking.state.until(lambda call: call.microphone.open, SECONDS)


async def test_a_tone_is_heard_by_the_others_and_not_by_its_maker(place: Place, cid: str) -> None:
    async with (
        client(place, "ann", source=Tone(440.0, -20.0)) as ann,
        client(place, "ben", source=Tone(1000.0, -20.0)) as ben,
    ):
        speaking = await ann.join(cid, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(cid)
        await speaking.state.until(lambda call: call.microphone.open, SECONDS)
        await listening.state.until(lambda call: call.levels.get(place.ann, -96.0) > -30.0, SECONDS)
        await listening.state.until(lambda call: place.ann in call.speaking, SECONDS)
        async with asyncio.timeout(SECONDS):
            while level_dbfs(listening.last(place.ann, 0.2)) <= -30.0:  # noqa: ASYNC110  sound tells nobody of itself
                await asyncio.sleep(0.02)
        assert listening.heard_seconds().keys() == {place.ann}
        assert speaking.heard_seconds() == {}
        await listening.state.until(lambda call: call.statistics is not None, SECONDS)
        assert listening.state.value.statistics is not None
        assert listening.state.value.statistics.by_person[place.ann].packets > 0


async def test_two_people_of_a_direct_room_hear_each_other_whichever_way_there_is(place: Place) -> None:
    room = f"direct:{secrets.token_hex(6)}"
    async with (
        client(place, "ann", source=Tone(440.0, -20.0)) as ann,
        client(place, "ben", source=Tone(700.0, -20.0)) as ben,
    ):
        first = await ann.join(room, create=True, microphone=True)
        assert first.state.value.media is MediaPhase.NONE
        second = await ben.join(room, microphone=True)
        for call, other in ((first, place.ben), (second, place.ann)):
            await call.state.until(lambda state: state.path.way is not Way.NONE, SECONDS)
            await call.state.until(lambda state, user=other: user in state.speaking, SECONDS)  # type: ignore[misc]  # the loop's own


async def test_a_suspended_call_is_silent_both_ways_seen_by_the_others_and_heard_again_when_resumed(
    place: Place, cid: str
) -> None:
    ear = Meter()
    async with (
        client(place, "ann", source=Tone(440.0, -20.0)) as ann,
        client(place, "ben", source=Tone(1000.0, -20.0), sink=ear, allow_multiple_active_calls=True) as ben,
    ):
        talking = await ann.join(cid, create=True, microphone=True)
        await talking.go_live()
        theirs = await ben.join(cid)
        await talking.grant(place.ben)
        await theirs.state.until(lambda call: "send-audio" in call.capabilities, SECONDS)
        await theirs.set_microphone(True)
        for seen in (False, True, False):
            if seen:
                await theirs.suspend_audio()
            else:
                await theirs.resume_audio()
            await talking.state.until(
                lambda call, seen=seen: _room(call).participants[place.ben].suspended == seen,  # type: ignore[misc]  # the loop's own
                SECONDS,
            )
            await talking.state.until(
                lambda call, seen=seen: (place.ben in call.speaking) != seen,  # type: ignore[misc]  # the loop's own
                SECONDS,
            )
            await until(lambda seen=seen: (level_dbfs(ear.recent(0.1)) < -60.0) == seen, "it is heard or not")  # type: ignore[misc]  # the loop's own


async def test_a_volume_is_for_us_alone(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        listening = await ben.join(cid)
        listening.set_volume(place.ann, 9.0)
        changed = await listening.state.until(lambda call: bool(call.volumes), SECONDS)
        assert changed.volumes == {place.ann: 4.0}
        assert hosting.state.value.volumes == {}


async def test_chat_reactions_and_custom_signals_reach_everybody(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        listening = await ben.join(cid)
        told: list[CustomSignal] = []
        listening.on_custom(lambda _user, _name, signal: told.append(signal))
        await hosting.post("hello \x1b[31mthere")
        heard = await listening.state.until(lambda call: bool(_room(call).chat), SECONDS)
        message = _room(heard).chat[-1]
        assert "\x1b" not in message.text
        await hosting.edit_message(message.id, "hello")
        await listening.state.until(lambda call: _room(call).chat[-1].text == "hello", SECONDS)
        await hosting.send_custom("slide", number=3)
        await hosting.react("👏")
        shown = await listening.state.until(lambda call: bool(call.reactions), SECONDS)
        assert shown.reactions[-1].emoji == "👏"
        assert told == [CustomSignal("slide", {"number": 3})]
        await hosting.delete_message(message.id)
        await listening.state.until(lambda call: _room(call).chat[-1].deleted_by == place.ann, SECONDS)
        assert (await listening.messages()).messages[-1].text == ""


async def test_who_is_kicked_knows_why_and_may_come_back_but_not_when_blocked(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        listening = await ben.join(cid)
        await hosting.kick(place.ben)
        gone = await listening.state.until(lambda call: call.phase is CallPhase.LEFT, SECONDS)
        assert gone.left_reason == "kicked"
        assert any("sent you out" in notice.text for notice in gone.notices)
        listening = await ben.join(cid)
        assert listening.state.value.phase is CallPhase.JOINED
        await hosting.block(place.ben)
        await listening.state.until(lambda call: call.left_reason == "blocked", SECONDS)
        with pytest.raises(Refused) as refusal:
            await ben.join(cid)
        assert refusal.value.reason == "not_found"
        await hosting.unblock(place.ben)
        assert (await ben.join(cid)).state.value.phase is CallPhase.JOINED


async def test_the_end_of_a_room_is_the_end_for_everybody(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        listening = await ben.join(cid)
        await hosting.end()
        for call in (hosting, listening):
            over = await call.state.until(lambda state: state.phase is CallPhase.LEFT, SECONDS)
            assert over.left_reason == "ended"
            assert over.media is MediaPhase.NONE
            assert any("has ended" in notice.text for notice in over.notices)


async def test_an_invitation_brings_onto_the_stage_or_is_declined(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        listening = await ben.join(cid)
        await hosting.invite(place.ben)
        await listening.state.until(lambda call: call.invited, SECONDS)
        await listening.decline()
        await hosting.state.until(lambda call: not _room(call).invitations, SECONDS)
        await hosting.invite(place.ben)
        await listening.state.until(lambda call: call.invited, SECONDS)
        await listening.accept()
        await listening.state.until(lambda call: "send-audio" in call.capabilities, SECONDS)


async def test_backstage_a_room_cannot_be_found_and_live_it_is_listed(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        hosting = await ann.join(cid, create=True, title="Secret")
        assert cid not in [room.cid for room in await ben.rooms()]
        await ben.watch_rooms()
        await hosting.go_live()
        listed = await ben.state.until(
            lambda state: any(room.cid == cid and room.live for room in state.rooms), SECONDS
        )
        assert next(room for room in listed.rooms if room.cid == cid).title == "Secret"
        listening = await ben.join(cid)
        await hosting.stop_live()
        out = await listening.state.until(lambda call: call.phase is CallPhase.LEFT, SECONDS)
        assert out.left_reason == "backstage"


async def test_next_takes_the_hands_in_order_and_all_can_be_lowered(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann, client(place, "ben") as ben, client(place, "cal") as cal:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        bens, cals = await ben.join(cid), await cal.join(cid)
        await bens.raise_hand()
        await cals.raise_hand()
        await cals.state.until(lambda call: call.hand_position == 2, SECONDS)
        await hosting.next_hand()
        await bens.state.until(lambda call: "send-audio" in call.capabilities, SECONDS)
        await cals.state.until(lambda call: call.hand_position == 1, SECONDS)
        await hosting.update(hand_policy=HandPolicy.LEAST_TALKED)
        await hosting.lower_all_hands()
        lowered = await cals.state.until(lambda call: call.hand_position is None, SECONDS)
        assert any("lowered all hands" in notice.text for notice in lowered.notices)
        page = await hosting.people()
        assert [person.user for person in page.people] == [place.ann, place.ben, place.cal]


async def test_the_same_person_coming_in_again_ends_their_earlier_connection(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        async with client(place, "ben") as earlier, client(place, "ben") as later:
            await earlier.state.until(lambda state: state.connection == "offline", SECONDS)
            assert "somewhere else" in (earlier.state.value.error or "")
            await later.join(cid)
            await hosting.state.until(lambda call: place.ben in _room(call).participants, SECONDS)
            assert len(_room(hosting.state.value).participants) == 2


async def test_joining_another_room_leaves_the_one_before_unless_several_are_allowed(
    place: Place, cid: str
) -> None:
    async with client(place, "ann") as ann:
        first = await ann.join(cid, create=True)
        second = await ann.join(f"{cid}-2", create=True)
        assert first.state.value.left_reason == "replaced"
        assert [call.cid for call in ann.calls] == [second.cid]
    async with client(place, "ben", allow_multiple_active_calls=True) as ben:
        await ben.join(f"{cid}-3", create=True)
        await ben.join(f"{cid}-4", create=True)
        assert [call.cid for call in ben.calls] == [f"{cid}-3", f"{cid}-4"]


async def test_joining_twice_is_the_same_call_and_leaving_twice_is_quiet(place: Place, cid: str) -> None:
    async with client(place, "ann") as ann:
        call = await ann.join(cid, create=True)
        assert await ann.join(cid) is call
        await call.leave()
        await call.leave()
        assert ann.calls == ()
        assert ann.state.value.calls == {}
        again = await ann.join(cid)
        assert again.state.value.phase is CallPhase.JOINED


def _room(call: CallState) -> Room:
    assert call.room is not None
    return call.room
