"""What a client does with its devices, with a call or without: choose them, see their levels, try them."""

from __future__ import annotations

from greenroom.engine.client_core import ClientCore
from greenroom.engine.thread import Blocking, EngineThread, on_engine, twin
from greenroom.errors import Misuse
from greenroom.observable import Observable
from greenroom.state.meters import Meters


class ClientSound:
    """The part of a `Client` that is about microphone and loudspeaker."""

    _core: ClientCore

    @property
    def engine(self) -> EngineThread:
        """The thread this client lives on."""
        raise NotImplementedError

    @property
    def meters(self) -> Observable[Meters]:
        """The levels of microphone and loudspeaker, ten times a second while connected."""
        return self._core.sound.meters

    def choose_devices(self, *, input: str | None = None, output: str | None = None) -> None:
        """Use another microphone or loudspeaker: an index, a name or a part of one, "" for the system's default.

        What becomes of it is told in `state.devices`. Raises `Misuse` for a client made without `devices`.
        """
        if self._core.sound.devices is None:
            raise Misuse(
                "this client was made without devices; give it some: Client(…, devices=AudioSession())"
            )
        self._core.sound.devices.choose(input=input, output=output)

    @on_engine
    async def try_microphone(self, on: bool = True) -> None:
        """Listen to the microphone for its level in `meters`; without a call it is open only while somebody tries it."""
        await self._core.connect(None)
        self._core.sound.microphone.try_it(on)

    @on_engine
    async def play_chime(self) -> None:
        """Play a soft tone of 0.6 s on the loudspeaker, beside whatever is heard."""
        await self._core.connect(None)
        self._core.sound.chime()


class BlockingSound(Blocking):
    """`ClientSound` without `await`."""

    try_microphone = twin(ClientSound.try_microphone)
    play_chime = twin(ClientSound.play_chime)
