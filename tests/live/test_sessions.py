"""Sessions on a real server: lines of video that stay silent, what is not available, a token for one room."""

from __future__ import annotations

import secrets

import pytest

from greenroom.backends.sfu import SfuBackend
from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.errors import Refused
from greenroom.media.connection import MediaConnection
from greenroom.media.sources import Tone
from greenroom.protocol.requests import SetCamera, SetRecording
from greenroom.state.call_settings import CallSettings
from tests.backends.places import Server, client
from tests.live.listening import hears

pytestmark = pytest.mark.live


@pytest.fixture
def talk() -> str:
    """Return a room of a type that allows video."""
    return f"default:{secrets.token_hex(6)}"


def lines(call: Call) -> tuple[list[str], list[str]]:
    """Return the kind and direction of each media line, as offered and as answered."""
    media = call._membership._media.current
    assert isinstance(media, MediaConnection)
    peer = media._peer
    assert peer is not None
    return _lines(peer.localDescription.sdp), _lines(peer.remoteDescription.sdp)


def _lines(sdp: str) -> list[str]:
    directions = ("sendrecv", "sendonly", "recvonly", "inactive")
    return [
        f"{section.split(' ')[0]} {next(word for word in directions if f'a={word}' in section)}"
        for section in sdp.split("\nm=")[1:]
    ]


async def test_where_video_is_allowed_its_lines_are_offered_and_answered_inactive_and_sound_flows(
    server: Server, talk: str
) -> None:
    async with client(server, "ann", source=Tone(440.0, -20.0)) as ann, client(server, "ben") as ben:
        await ann.join(talk, create=True, microphone=True)
        listening = await ben.join(talk)
        await hears(listening, server.ann)
        offered, answered = lines(listening)
        assert offered == ["audio sendonly", *["audio recvonly"] * 3, *["video inactive"] * 2]
        assert answered == ["audio recvonly", *["audio sendonly"] * 3, *["video inactive"] * 2]
        with pytest.raises(Refused) as refusal:
            await listening.perform(SetCamera(True))
        assert refusal.value.reason == "not_available"
        with pytest.raises(Refused) as refusal:
            await listening.perform(SetRecording(True))
        assert refusal.value.reason == "not_available"
        await listening.leave()
        again = await ben.start_session(talk, CallSettings(audio_only=True))
        await again.sound_connected()
        assert not any(line.startswith("video") for line in lines(again)[0])


async def test_a_token_for_one_room_is_oneself_there_and_nowhere_else(server: Server, talk: str) -> None:
    async with client(server, "ann") as ann:
        await ann.join(talk, create=True)
        token = await ann.call_token(talk, seconds=60.0)
        assert token.token not in repr(token)
        elsewhere = f"default:{secrets.token_hex(6)}"
        await ann.create(elsewhere)
        with pytest.raises(Refused):
            await ann.call_token(talk, seconds=1e9)
    async with Client(backend=SfuBackend(server.process.url, token=token.token)) as device:
        call = await device.join(talk)
        assert call.state.value.me == server.ann
        with pytest.raises(Refused):
            await device.join(elsewhere)
        with pytest.raises(Refused) as refusal:
            await device.call_token(talk)
        assert refusal.value.reason == "unauthorized"
