"""Offers are understood or refused with a reason, and answers say what an ICE-lite side says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.rtp.sdp import Answerer, Offer, OfferUnreadable, build_answer, parse_offer

FINGERPRINT = ":".join(["AB"] * 32)


def line(mid: int, direction: str, *, kind: str = "audio", port: int = 9, opus: int = 111) -> str:
    rows = [
        f"m={kind} {port} UDP/TLS/RTP/SAVPF {opus} 63 0",
        f"a=mid:{mid}",
        f"a={direction}",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        f"a=fingerprint:sha-256 {FINGERPRINT}",
        "a=setup:actpass",
        f"a=rtpmap:{opus} opus/48000/2" if kind == "audio" else f"a=rtpmap:{opus} VP8/90000",
        "a=rtpmap:63 red/48000/2",
        f"a=fmtp:63 {opus}/{opus}",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    ]
    if direction == "sendonly":
        rows.append("a=ssrc:4242 cname:me")
    return "\r\n".join(rows) + "\r\n"


def offer(*lines: str) -> str:
    mids = " ".join(str(mid) for mid in range(len(lines)))
    return f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n" + "".join(lines)


def understood(text: str) -> Offer:
    read = parse_offer(text)
    assert isinstance(read, Offer), read
    return read


def answered(read: Offer) -> list[str]:
    ours = Answerer("127.0.0.1", 5000, "ufrag", "p" * 24, FINGERPRINT, tuple(range(1, 1 + len(read.slots))))
    return build_answer(read, ours).split("\r\n")


def test_the_microphone_and_the_slots_are_found() -> None:
    read = understood(offer(line(0, "sendonly"), line(1, "recvonly"), line(2, "recvonly")))
    assert read.microphone == 0
    assert read.slots == (1, 2)
    assert read.lines[0].sources == (4242,)
    assert read.lines[0].level_extension == 4
    assert (read.opus_type, read.red_type) == (111, 63)


def test_red_that_carries_something_else_is_no_red() -> None:
    read = understood(offer(line(0, "recvonly").replace("a=fmtp:63 111/111", "a=fmtp:63 0/0")))
    assert read.red_type is None


def test_the_answer_mirrors_directions_and_declares_each_slots_source() -> None:
    rows = answered(understood(offer(line(0, "sendonly"), line(1, "recvonly"), line(2, "recvonly"))))
    assert [row for row in rows if row in ("a=recvonly", "a=sendonly")] == [
        "a=recvonly",
        "a=sendonly",
        "a=sendonly",
    ]
    assert "a=ssrc:1 cname:greenroom" in rows
    assert "a=ssrc:2 cname:greenroom" in rows
    assert "a=ice-lite" in rows
    assert "a=group:BUNDLE 0 1 2" in rows


def test_video_stays_inactive_and_data_is_refused() -> None:
    rows = answered(
        understood(
            offer(
                line(0, "recvonly"),
                line(1, "sendrecv", kind="video"),
                line(2, "sendrecv", kind="application"),
            )
        )
    )
    assert "a=inactive" in rows
    assert any(row.startswith("m=video 5000 ") for row in rows)
    assert any(row.startswith("m=application 0 ") for row in rows)
    assert "a=group:BUNDLE 0 1" in rows


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param("", "session description", id="empty"),
        pytest.param("v=0\r\n", "media lines", id="no lines"),
        pytest.param(offer(*[line(i, "recvonly") for i in range(17)]), "media lines", id="too many lines"),
        pytest.param(offer(line(0, "recvonly")).replace("ice-pwd", "x"), "ICE", id="no password"),
        pytest.param(
            offer(line(0, "recvonly")).replace("fingerprint", "x"), "fingerprint", id="no fingerprint"
        ),
        pytest.param(offer(line(0, "recvonly")).replace("actpass", "passive"), "passive", id="both passive"),
        pytest.param(offer(line(0, "recvonly")).replace("opus", "speex"), "Opus", id="no opus"),
        pytest.param(
            offer(line(0, "recvonly"), line(1, "recvonly")).replace("a=group", "a=x"),
            "bundle",
            id="not bundled",
        ),
        pytest.param(
            offer(line(0, "recvonly"), line(0, "recvonly")), "bundle|same name", id="same name twice"
        ),
        pytest.param("v=0\r\n" + "a=x\r\n" * 20000, "too long", id="too long"),
    ],
)
def test_an_offer_that_cannot_be_answered_says_why(text: str, word: str) -> None:
    read = parse_offer(text)
    assert isinstance(read, OfferUnreadable)
    assert any(part in read.reason for part in word.split("|"))


@given(st.text(max_size=300))
def test_any_text_is_an_offer_or_a_reason(text: str) -> None:
    parse_offer("v=0\r\n" + text)


@given(st.data())
def test_a_damaged_offer_never_raises_and_what_is_understood_can_be_answered(data: st.DataObject) -> None:
    text = offer(line(0, "sendonly"), line(1, "recvonly"))
    rows = text.split("\r\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(rows) - 1))
        cut = data.draw(st.integers(0, len(rows[at])))
        rows[at] = rows[at][:cut] + data.draw(st.text(max_size=4))
    read = parse_offer("\r\n".join(rows))
    if isinstance(read, Offer):
        answered(read)
