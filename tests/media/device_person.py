"""A person with real devices, in a process of their own: `python -m tests.media.device_person` with JSON on standard input.

Prints a line of JSON for every change of devices or microphone; goes when standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

import msgspec

from greenroom.engine.client import Client
from greenroom.media.audio_session import AudioSession
from greenroom.policies.audio_config import broadcaster, custom
from greenroom.state.engine import ClientState

UNTREATED = custom(
    broadcaster(), echo_cancellation=False, noise_suppression="off", gain_control=False, dtx=False
)


class Orders(msgspec.Struct, frozen=True):
    """Who to be and where; `speaks` opens the microphone and makes the room.

    Only echo is treated, if `cancels_echo`: what these people say is tones, which are noise to any suppression.
    """

    server: str
    token: str
    cid: str
    input: str
    output: str
    speaks: bool
    cancels_echo: bool = False


class Seen(msgspec.Struct, frozen=True):
    """What the person's state says."""

    microphone: str = ""
    microphone_reason: str = ""
    speaker: str = ""
    speaker_reason: str = ""
    open: bool = False
    closed_because: str = ""
    media: str = ""
    measured: dict[str, float] = {}


def seen(state: ClientState, session: AudioSession) -> Seen:
    devices = session.state.value
    call = next(iter(state.calls.values()), None)
    return Seen(
        microphone=devices.microphone.phase,
        microphone_reason=devices.microphone.reason,
        speaker=devices.speaker.phase,
        speaker_reason=devices.speaker.reason,
        open=call is not None and call.microphone.open,
        closed_because="" if call is None else call.microphone.reason,
        media="" if call is None else call.media,
        measured=session.measured(),
    )


async def main() -> None:
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    with AudioSession(input=orders.input, output=orders.output) as session:
        async with Client(orders.server, token=orders.token, devices=session) as client:
            sound = custom(UNTREATED, echo_cancellation=orders.cancels_echo)
            call = await client.join(
                orders.cid, create=orders.speaks, microphone=orders.speaks, audio_configuration=sound
            )
            if orders.speaks:
                await call.go_live()
            before: Any = None

            def tell(state: ClientState) -> None:
                nonlocal before
                now = seen(state, session)
                key = msgspec.structs.replace(now, measured={})
                if key != before:
                    before = key
                    print(msgspec.json.encode(now).decode(), flush=True)

            with client.state.subscribe(tell):
                reading = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
                before = None
                tell(client.state.value)


if __name__ == "__main__":
    asyncio.run(main())
