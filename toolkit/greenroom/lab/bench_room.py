"""A server, one speaker and some listeners behind bad networks, for measuring what arrives."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.hosting import start_server_async
from greenroom.lab.netsim import RelayedBackend
from greenroom.lab.own_folder import own_folder
from greenroom.lab.weather import CLEAR, Weather
from greenroom.media.sinks import AudioSink
from greenroom.media.sources import AudioSource
from greenroom.policies.audio_config import AudioConfiguration

CID = "audio_room:bench"
SOUND_SECONDS = 15.0


class Ear:
    """One listener: their call, and the network between them and the server."""

    def __init__(self, call: Call, backend: RelayedBackend) -> None:
        self.call = call
        self._backend = backend

    @property
    def network(self) -> RelayedBackend:
        """The way in, whose `relay` is the network of the present connection."""
        return self._backend


@asynccontextmanager
async def listening(
    source: AudioSource,
    sinks: Sequence[AudioSink],
    *,
    down: Weather = CLEAR,
    audio: AudioConfiguration | None = None,
) -> AsyncIterator[tuple[Call, list[Ear]]]:
    """Yield the speaker's call and the listeners', one for each sink, when sound flows; nothing is left behind.

    What is lost is decided by another seed for each listener, from 1.
    """
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(own_folder("bench"))
        server = await start_server_async(data_dir=folder)
        stack.callback(server.close)
        speaker = Client(server.url, token=server.mint("speaker", "Speaker"), source=source)
        await stack.enter_async_context(speaker)
        speaking = await speaker.join(CID, create=True, microphone=False, audio_configuration=audio)
        await speaking.go_live()
        ears: list[Ear] = []
        for seed, sink in enumerate(sinks, start=1):
            name = f"listener-{seed}"
            backend = RelayedBackend(server.url, token=server.mint(name, name), down=down, seed=seed)
            client = await stack.enter_async_context(Client(backend=backend, sink=sink))
            ears.append(Ear(await client.join(CID), backend))
        for call in (speaking, *(ear.call for ear in ears)):
            await call.sound_connected(SOUND_SECONDS)
        yield speaking, ears
