"""The edge of the protocol: what goes in comes out, and anything else is refused there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.errors import Malformed
from greenroom.protocol import wire
from greenroom.protocol.ids import Cid, OpId
from greenroom.protocol.requests import Request, StartRing
from tests.protocol.strategies import requests


@given(requests)
def test_every_request_survives_the_wire(request: Request) -> None:
    message = wire.Do(OpId("1"), Cid("audio_room:standup"), request)
    assert wire.decode_from_client(wire.encode(message)) == message


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b'{"type":"unknown"}', id="an unknown type"),
        pytest.param(b'{"type":"ping","at":1,"x":2}', id="an unknown field"),
        pytest.param(b'{"type":"ping","at":NaN}', id="not a number"),
        pytest.param(b'{"type":"ping","at":1,"at":2}', id="a key twice"),
        pytest.param(b'{"type":"ping","at":"now"}', id="the wrong type"),
        pytest.param(
            b'{"type":"do","op":"1","cid":"a:b","request":{"do":"join","as":"host"}}', id="a field too many"
        ),
        pytest.param(b'{"type":"ping","at":' + b"[" * 40 + b"]" * 40 + b"}", id="too deep"),
        pytest.param(b'{"type":"ping","at":1' + b" " * wire.MAX_MESSAGE_BYTES + b"}", id="too big"),
        pytest.param("\ud800", id="a lone surrogate"),
    ],
)
def test_anything_else_is_refused(raw: bytes | str) -> None:
    with pytest.raises(Malformed):
        wire.decode_from_client(raw)


@given(requests)
def test_what_a_client_may_send_a_server_reads(request: Request) -> None:
    message = wire.Do(OpId("1"), Cid("audio_room:standup"), request)
    assert wire.encode_from_client(message) == wire.encode(message)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(StartRing(metadata={"a": {"b": 1}}), id="metadata that nests"),  # type: ignore[dict-item]  # is the point
        pytest.param(StartRing(metadata={"a": object()}), id="what is no JSON"),  # type: ignore[dict-item]  # is the point
        pytest.param(StartRing(title=5), id="a title that is a number"),  # type: ignore[arg-type]  # is the point
        pytest.param(StartRing(title="t" * wire.MAX_MESSAGE_BYTES), id="a title that is too long"),
    ],
)
def test_what_a_server_would_not_read_is_not_sent(request_: Request) -> None:
    with pytest.raises(Malformed):
        wire.encode_from_client(wire.Do(OpId("1"), Cid("audio_room:standup"), request_))


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_noise_is_refused_and_never_raises_anything_else(noise: bytes | str) -> None:
    for decode in (wire.decode_from_client, wire.decode_from_server):
        try:
            decode(noise)
        except Malformed:
            pass


def test_brackets_in_what_people_write_are_not_depth() -> None:
    text = "[{" * 200 + '"' + "\\"
    raw = json.dumps({"type": "do", "op": "1", "cid": "a:b", "request": {"do": "post_message", "text": text}})
    message = wire.decode_from_client(raw)
    assert isinstance(message, wire.Do)


@pytest.mark.parametrize(
    "message",
    [
        wire.Authenticate(1, "SECRET"),
        wire.Resume(1, "SECRET"),
        wire.Token("SECRET", 1.0),
        wire.Attach(OpId("1"), Cid("a:b"), "SECRET"),
        wire.Attached(OpId("1"), Cid("a:b"), "SECRET"),
        wire.Answer(OpId("1"), wire.Token("SECRET", 1.0)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_no_secret_shows_in_a_representation(message: object) -> None:
    assert "SECRET" not in repr(message)
