"""The forwarding unit with real sockets, ICE, DTLS and SRTP, stepped in one thread."""

from __future__ import annotations

import time

import pytest

from greenroom.lab.light_client import Credentials, LightClient
from greenroom.rtp.packets import RtpPacket
from greenroom.rtp.red import RedBlock, pack_red, unpack_red
from greenroom.rtp.rtcp import Goodbye, ReceiverReport, SenderReport, build_compound
from greenroom.sfu.activity import FALL_DB_PER_SECOND
from greenroom.sfu.control import DominantChanged, Levels, Loss, PeerDown, PeerUp, SpeakerLoss, Spoke
from greenroom.sfu.srtp import PREFERRED, SrtpProfile
from tests.sfu.stage import CREDENTIALS, FRAME_UNITS, Stage

pytestmark = pytest.mark.live


def test_what_one_says_the_others_hear_with_the_speakers_number_and_nothing_more() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 7), stage.join("ben", 8)
        stage.speak(ann, b"hello")
        (heard,) = ben.heard
        assert heard.packet.payload == b"hello"
        assert heard.packet.csrcs == (7,)
        assert heard.packet.extensions == ()
        assert stage.hears(ann) == []


@pytest.mark.parametrize("profile", PREFERRED, ids=lambda profile: profile.name.decode())
def test_every_protection_profile_is_served(profile: SrtpProfile) -> None:
    with Stage() as stage:
        ann = stage.join("ann", 1)
        old = stage.join("old", 2, credentials=Credentials([profile]))
        stage.speak(ann, b"hello")
        stage.speak(old, b"back")
        assert stage.hears(old) == [b"hello"]
        assert stage.hears(ann) == [b"back"]


def test_each_listener_gets_the_payload_type_they_negotiated() -> None:
    with Stage() as stage:
        ann, ben, eve = stage.join("ann", 1), stage.join("ben", 2, opus_type=96), stage.join("eve", 3)
        stage.speak(ann, b"hello")
        assert [heard.packet.payload_type for heard in (*ben.heard, *eve.heard)] == [96, 111]


def test_nobody_hears_themselves_and_their_numbers_have_no_gap_for_it() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1, slots=1), stage.join("ben", 2, slots=1)
        eve = stage.join("eve", 3, slots=1)
        for speaker, other in ((ann, b"a"), (ben, b"b"), (ann, b"c"), (ben, b"d")):
            stage.unit.set_forwarding("ann" if speaker is ben else "ben", False, time.monotonic())
            stage.unit.set_forwarding("ben" if speaker is ben else "ann", True, time.monotonic())
            for _ in range(5):
                stage.speak(speaker, other)
        assert stage.hears(ann) == [b"b"] * 5 + [b"d"] * 5
        assert stage.hears(ben) == [b"a"] * 5 + [b"c"] * 5
        assert stage.hears(eve) == [b"a"] * 5 + [b"b"] * 5 + [b"c"] * 5 + [b"d"] * 5
        for listener in (ann, ben, eve):
            assert listener.slots[0].lost == 0
            numbers = [heard.packet.sequence for heard in listener.heard]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_slot_goes_on_across_speakers_in_number_time_and_source() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        eve = stage.join("eve", 3, slots=1)
        for _ in range(3):
            stage.speak(ann, b"ann", level_dbov=-60)
        pause = 30 / FALL_DB_PER_SECOND  # until ann's loudness has fallen
        end = time.monotonic() + pause
        stage.until(lambda: time.monotonic() > end)
        for _ in range(4):
            stage.speak(ben, b"ben", level_dbov=-20)
        packets = [heard.packet for heard in eve.heard]
        assert [packet.csrcs[0] for packet in packets] == [1, 1, 1, 2, 2, 2, 2][: len(packets)]
        assert 2 in [packet.csrcs[0] for packet in packets]
        assert len({packet.ssrc for packet in packets}) == 1
        change = next(i for i, packet in enumerate(packets) if packet.csrcs[0] == 2)
        assert packets[change].marker
        assert packets[change].sequence == packets[change - 1].sequence + 1
        elapsed = eve.heard[change].at - eve.heard[change - 1].at
        advanced = (packets[change].timestamp - packets[change - 1].timestamp) & 0xFFFFFFFF
        assert advanced / 48000 == pytest.approx(elapsed, abs=0.1)


def test_the_three_loudest_of_five_are_heard() -> None:
    with Stage() as stage:
        eve = stage.join("eve", 100, speaks=False)
        speakers = [stage.join(f"s{number}", number) for number in range(1, 6)]
        levels = {1: -70, 2: -65, 3: -20, 4: -25, 5: -30}
        for _ in range(60):
            for number, speaker in enumerate(speakers, 1):
                stage.speak(speaker, b"x", level_dbov=levels[number])
            end = time.monotonic() + 0.01
            stage.until(lambda end=end: time.monotonic() > end)  # type: ignore[misc]  # bound per round
        late = [heard.packet.csrcs[0] for heard in list(eve.heard)[-30:]]
        assert set(late) == {3, 4, 5}


def test_a_listener_with_one_slot_hears_who_is_loudest() -> None:
    with Stage() as stage:
        one = stage.join("one", 100, speaks=False, slots=1)
        three = stage.join("three", 101, speaks=False, slots=3)
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        stage.speak(ann, b"ann", level_dbov=-20)
        stage.speak(ben, b"ben", level_dbov=-50)
        assert stage.hears(one) == [b"ann"]
        assert stage.hears(three) == [b"ann", b"ben"]


def test_a_closed_line_is_silent_at_once_and_opens_again() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1, may_speak=False), stage.join("ben", 2)
        stage.speak(ann, b"not yet")
        stage.unit.set_forwarding("ann", True, time.monotonic())
        stage.speak(ann, b"now")
        stage.unit.set_forwarding("ann", False, time.monotonic())
        stage.speak(ann, b"no more")
        stage.unit.set_forwarding("ann", True, time.monotonic())
        stage.speak(ann, b"again")
        assert stage.hears(ben) == [b"now", b"again"]
        assert ben.slots[0].lost == 0
        assert stage.unit.counters.denied == 2


def test_a_line_that_was_closed_for_a_whole_wrap_of_numbers_still_opens() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1, may_speak=False), stage.join("ben", 2)
        for _ in range(5):  # five leaps of 20,000 numbers: SRTP's roll-over counter moves on
            ann.sequence += 20_000
            ann.sequence &= 0xFFFF
            stage.speak(ann, b"unheard")
        stage.unit.set_forwarding("ann", True, time.monotonic())
        stage.speak(ann, b"heard")
        assert stage.hears(ben) == [b"heard"]


def test_a_source_that_was_not_declared_is_not_forwarded() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        ann.send_packet(RtpPacket(111, 5, 960, ann.source ^ 1, b"theft"))
        ann.send_packet(RtpPacket(111, 6, 960, ben.source, b"theft"))
        stage.speak(ann, b"mine")
        assert stage.hears(ben) == [b"mine"]


def test_who_declares_no_source_gets_their_first_one_and_no_second() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1, declares_source=False), stage.join("ben", 2)
        stage.speak(ann, b"mine")
        ann.send_packet(RtpPacket(111, 5, 960, ann.source ^ 1, b"second"))
        stage.step()
        stage.speak(ann, b"mine")
        assert stage.hears(ben) == [b"mine", b"mine"]


def test_a_payload_type_that_was_not_agreed_is_not_forwarded() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        ann.send_packet(RtpPacket(0, 9, 960, ann.source, b"pcmu"))
        stage.step()
        assert stage.hears(ben) == []


def test_a_replayed_packet_is_heard_once() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        datagram = ann.say(b"once", 960)
        ann.send_datagram(datagram)
        stage.step()
        stage.step()
        assert stage.hears(ben) == [b"once"]


def test_a_flood_is_capped_and_the_others_are_not_hurt() -> None:
    with Stage() as stage:
        ann, ben, eve = stage.join("ann", 1), stage.join("ben", 2), stage.join("eve", 3)
        begun = time.monotonic()
        for round_ in range(50):
            for _ in range(20):
                ann.say(b"flood", round_)
            stage.speak(ben, b"calm")
        seconds = time.monotonic() - begun
        heard = stage.hears(eve)
        assert heard.count(b"flood") <= 55 + 110 * seconds + 1
        assert heard.count(b"calm") == 50
        assert [count.lost for count in eve.slots] == [0, 0, 0]  # what we capped is not their loss


def test_a_line_has_640_kilobits_a_second() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        begun = time.monotonic()
        for _ in range(50):
            stage.speak(ann, bytes(1150))
        allowed = 80_000 * (0.5 + time.monotonic() - begun) / 1150
        assert len(ben.heard) <= allowed + 1
        assert len(ben.heard) >= 30


def test_a_goodbye_ends_nobodys_slot() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        stage.speak(ann, b"one")
        assert ann.outbound is not None
        ann.send_datagram(ann.outbound.protect_rtcp(build_compound([Goodbye((ann.source,))])))
        stage.step()
        stage.speak(ann, b"two")
        assert stage.hears(ben) == [b"one", b"two"]
        assert not any(isinstance(report, Goodbye) for report in ben.reports)


def test_a_fingerprint_that_is_not_the_offers_is_refused() -> None:
    with Stage() as stage:
        wrong = ":".join(["00"] * 32)
        mallory = LightClient(credentials=CREDENTIALS, fingerprint=wrong)
        stage.invite("mallory", 1, mallory)
        stage.until(lambda: bool(stage.told(PeerDown)))
        assert stage.told(PeerDown) == [PeerDown("mallory", "fingerprint mismatch")]
        assert stage.told(PeerUp) == []


def test_who_stops_checking_is_gone_after_three_of_their_intervals() -> None:
    with Stage(consent_seconds=0.4) as stage:
        ann = stage.join("ann", 1)
        peer = stage.unit.peers["ann"]
        peer.check_interval = 0.1
        ann.server = None  # falls silent without a word
        stage.until(lambda: bool(stage.told(PeerDown)))
        assert stage.told(PeerDown) == [PeerDown("ann", "consent expired")]
        assert stage.unit.peers == {}


def test_who_says_goodbye_is_gone_at_once() -> None:
    with Stage() as stage:
        stage.join("ann", 1).close()
        stage.until(lambda: bool(stage.told(PeerDown)), 1.0)
        assert stage.told(PeerDown) == [PeerDown("ann", "closed")]


def test_who_is_disconnected_hears_nothing_more_and_is_told() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        stage.unit.disconnect("ben", time.monotonic())
        stage.unit.disconnect("ben", time.monotonic())
        stage.settle()
        stage.speak(ann, b"secret")
        assert stage.hears(ben) == []
        assert ben.closed
        assert stage.told(PeerDown) == []


def test_a_room_that_is_closed_is_empty_and_forgotten() -> None:
    with Stage() as stage:
        stage.join("ann", 1)
        stage.join("ben", 2)
        stage.unit.close_room("room", time.monotonic())
        assert stage.unit.peers == {}
        assert stage.unit.idle


def test_who_moves_is_followed_after_an_authentic_check() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        peer = stage.unit.peers["ben"]
        peer.heard_at -= 2.0  # the old path has been quiet, and was nominated long ago
        peer._nominated_at -= 10.0
        ben.move()
        ben.check(time.monotonic())
        stage.settle()
        stage.speak(ann, b"hello again")
        assert stage.hears(ben) == [b"hello again"]


def test_joining_again_replaces_the_old_connection() -> None:
    with Stage() as stage:
        ann, old = stage.join("ann", 1), stage.join("ben", 2)
        new = stage.join("ben", 2)
        stage.speak(ann, b"hello")
        assert stage.hears(old) == []
        assert stage.hears(new) == [b"hello"]
        assert stage.told(PeerDown) == []


def test_who_joins_near_a_wrap_starts_in_the_lower_half() -> None:
    with Stage() as stage:
        ann = stage.join("ann", 1)
        group = stage.unit.peers["ann"].room.group_for(3)
        for slot in group.streams:
            slot.highest = 65530
        ben = stage.join("ben", 2)
        for _ in range(12):
            stage.speak(ann, b"x")
        numbers = [heard.packet.sequence for heard in ben.heard]
        assert len(numbers) == 12
        assert max(numbers) < 1 << 15


def red_of(*frames: tuple[int, bytes]) -> bytes:
    return pack_red([RedBlock(111, offset, frame) for offset, frame in frames])


def send_red(stage: Stage, client: LightClient, payload: bytes) -> None:
    client.sequence += 1
    stage.clock += FRAME_UNITS
    client.send_packet(RtpPacket(63, client.sequence, stage.clock, client.source, payload))
    stage.step()
    stage.step()


def test_redundancy_goes_to_who_loses_and_the_primary_alone_to_the_healthy() -> None:
    with Stage() as stage:
        ann = stage.join("ann", 1, red=True)
        healthy, plain = stage.join("healthy", 2, red=True), stage.join("plain", 3)
        lossy = stage.join("lossy", 4, red=True, opus_type=96)
        send_red(stage, ann, red_of((0, b"one")))
        for listener in (lossy, plain):
            listener.report(0.2)
        stage.until(lambda: sum(event.fraction_lost > 0 for event in stage.told(Loss)) == 2)
        stage.settle()
        send_red(stage, ann, red_of((0, b"one")))
        send_red(stage, ann, red_of((960, b"one"), (0, b"two")))
        assert stage.hears(healthy) == stage.hears(plain) == [b"one", b"one", b"two"]
        newest = lossy.heard[-1].packet
        assert newest.payload_type == 63
        assert unpack_red(newest.payload) == (RedBlock(96, 960, b"one"), RedBlock(96, 0, b"two"))
        assert [heard.packet.payload_type for heard in plain.heard] == [111, 111, 111]


def test_redundancy_does_not_cross_a_change_of_speaker() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1, red=True), stage.join("ben", 2, red=True)
        eve = stage.join("eve", 3, slots=1, red=True)
        send_red(stage, ann, red_of((0, b"ann")))
        eve.report(0.2)
        stage.until(lambda: any(event.fraction_lost > 0 for event in stage.told(Loss)))
        stage.settle()
        stage.unit.set_forwarding("ann", False, time.monotonic())
        send_red(stage, ben, red_of((1920, b"old"), (960, b"old"), (0, b"first")))
        send_red(stage, ben, red_of((1920, b"old"), (960, b"first"), (0, b"second")))
        blocks = [unpack_red(heard.packet.payload) for heard in list(eve.heard)[-2:]]
        assert [[block.data for block in found or ()] for found in blocks] == [
            [b"first"],
            [b"first", b"second"],
        ]


def test_red_whose_lengths_lie_is_dropped() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1, red=True), stage.join("ben", 2)
        send_red(stage, ann, bytes([0x80 | 111, 0xFF, 0xFF, 0xFF, 111]))
        assert stage.hears(ben) == []
        assert stage.unit.counters.failures == 0


def test_listeners_are_sent_reports_that_tell_the_slots_time() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2)
        stage.speak(ann, b"hello")
        assert ann.outbound is not None
        now = 5_000_000
        report = SenderReport(ann.source, 1 << 40, now, 1, 5)
        ann.send_datagram(ann.outbound.protect_rtcp(build_compound([report])))
        stage.step()
        stage.speak(ann, b"hello")
        ben.reports.clear()
        stage.until(lambda: any(isinstance(report, SenderReport) for report in ben.reports))
        slot = ben.heard[-1].packet
        told = next(report for report in ben.reports if isinstance(report, SenderReport))
        assert told.ssrc == slot.ssrc
        shift = (slot.timestamp - stage.clock) & 0xFFFFFFFF  # from ann's time to the slot's
        elapsed = (told.rtp_timestamp - now - shift) & 0xFFFFFFFF
        assert elapsed < 48000 * 3


def test_publishers_are_told_how_their_packets_arrive() -> None:
    with Stage() as stage:
        ann = stage.join("ann", 1)
        for _ in range(5):
            ann.sequence += 1  # every other packet is lost
            stage.speak(ann, b"hello")
        stage.until(
            lambda: any(isinstance(report, ReceiverReport) and report.blocks for report in ann.reports)
        )
        block = next(r.blocks[0] for r in ann.reports if isinstance(r, ReceiverReport) and r.blocks)
        assert block.ssrc == ann.source
        assert 0.3 < block.fraction_lost < 0.6


def test_levels_the_dominant_speaker_and_what_was_spoken_are_told() -> None:
    with Stage() as stage:
        ann, ben = stage.join("ann", 1), stage.join("ben", 2, may_speak=False)
        begun = time.monotonic()
        while time.monotonic() < begun + 0.5:
            stage.speak(ann, b"loud and clear", level_dbov=-18)
            stage.speak(ben, b"not allowed", level_dbov=-10)
            end = time.monotonic() + 0.02
            stage.until(lambda end=end: time.monotonic() > end)  # type: ignore[misc]  # bound per round
        stage.until(lambda: bool(stage.told(Spoke)))
        numbers = {speaker.number for event in stage.told(Levels) for speaker in event.speakers}
        assert numbers == {1}
        assert max(s.level_dbov for event in stage.told(Levels) for s in event.speakers) == -18
        assert any(s.voice for event in stage.told(Levels) for s in event.speakers)
        assert len(stage.told(Levels)) <= 10 * (time.monotonic() - begun) + 2
        assert stage.told(DominantChanged)[0] == DominantChanged("room", 1)
        (spoke,) = stage.told(Spoke)
        assert spoke.number == 1
        assert spoke.ended - spoke.started == pytest.approx(0.5, abs=0.4)


def test_speakers_are_told_the_loss_of_those_who_hear_them() -> None:
    with Stage() as stage:
        ann = stage.join("ann", 1, slots=0)
        listeners = [stage.join(f"l{i}", 10 + i, speaks=False) for i in range(3)]
        stage.speak(ann, b"hello")
        listeners[0].report(0.3)

        def told() -> bool:
            stage.speak(ann, b"hello")
            return any(event.p90_fraction > 0 for event in stage.told(SpeakerLoss))

        stage.until(told)
        event = next(event for event in stage.told(SpeakerLoss) if event.p90_fraction > 0)
        assert event.peer == "ann"
        assert event.p90_fraction == pytest.approx(0.3, abs=0.01)


def test_what_a_speaker_loses_on_the_way_here_is_told_as_theirs_and_not_as_their_listeners() -> None:
    with Stage() as stage:
        ann = stage.join("ann", 1, slots=0)
        ben = stage.join("ben", 2, speaks=False)

        def told() -> bool:
            ann.sequence += 1  # every second packet is lost before it reaches us
            stage.speak(ann, b"hello")
            ben.report(0.5)
            theirs = [event for event in stage.told(Loss) if event.sent_fraction_lost > 0.3]
            return {event.peer for event in theirs} == {"ann"} and any(
                event.peer == "ben" for event in stage.told(Loss)
            )

        stage.until(told)
        last = [event for event in stage.told(Loss) if event.peer == "ben"][-1]
        assert last.fraction_lost < 0.1
        assert last.sent_fraction_lost == 0.0


def test_the_last_levels_are_taken_back_when_nobody_is_heard_any_more() -> None:
    with Stage() as stage:
        ann = stage.join("ann", 1, slots=0)

        def heard() -> bool:
            stage.speak(ann, b"hello")
            return bool(stage.told(Levels))

        stage.until(heard)
        stage.unit.set_forwarding("ann", False, time.monotonic())
        stage.until(lambda: not stage.told(Levels)[-1].speakers)
        told = len(stage.told(Levels))
        end = time.monotonic() + 0.3
        stage.until(lambda: time.monotonic() > end)
        assert len(stage.told(Levels)) == told, "and told once"
