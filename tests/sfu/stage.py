"""A forwarding unit and light clients in one thread on loopback, stepped until something holds."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TypeVar

from greenroom.lab.light_client import Credentials, LightClient
from greenroom.sfu.control import WorkerEvent
from greenroom.sfu.unit import REBUILD_AFTER_SECONDS, ForwardingUnit, Refusal

FRAME_SECONDS = 0.02
FRAME_UNITS = 960
CREDENTIALS = Credentials()
Event = TypeVar("Event")


class Stage:
    """`with Stage() as stage`: everything is closed at the end."""

    def __init__(self, consent_seconds: float = 6.0) -> None:
        self.events: list[WorkerEvent] = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setblocking(False)
        self.udp.bind(("127.0.0.1", 0))
        self.unit = ForwardingUnit(self.udp, "127.0.0.1", self.events.append, consent_seconds=consent_seconds)
        self.clients: dict[str, LightClient] = {}
        self.clock = 0

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients.values():
            client.close()
        self.udp.close()

    def invite(self, name: str, number: int, client: LightClient, *, may_speak: bool = True) -> LightClient:
        """Answer a client's offer without waiting for it."""
        answer = self.unit.connect(name, "room", number, client.offer(), may_speak, time.monotonic())
        assert not isinstance(answer, Refusal), answer
        client.accept(answer)
        self.clients[name] = client
        return client

    def join(
        self,
        name: str,
        number: int,
        *,
        slots: int = 3,
        speaks: bool = True,
        may_speak: bool = True,
        red: bool = False,
        declares_source: bool = True,
        opus_type: int = 111,
        credentials: Credentials = CREDENTIALS,
    ) -> LightClient:
        """Connect a client and wait until it receives."""
        client = LightClient(
            slots=slots,
            speaks=speaks,
            red=red,
            decrypts=True,
            declares_source=declares_source,
            opus_type=opus_type,
            credentials=credentials,
        )
        self.invite(name, number, client, may_speak=may_speak)
        self.until(lambda: client.connected and self.unit.peers[name].connected)
        self.settle()
        return client

    def step(self) -> None:
        """Let everyone take what has arrived."""
        self.unit.read()
        self.unit.work_handshakes()
        self.unit.tick(time.monotonic())
        for client in self.clients.values():
            client.turn(time.monotonic())

    def until(self, condition: Callable[[], bool], timeout_seconds: float = 5.0) -> None:
        """Step until `condition` holds; fails after the timeout."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            self.step()

    def settle(self) -> None:
        """Step until changed batches are in use."""
        end = time.monotonic() + REBUILD_AFTER_SECONDS + 0.01
        while time.monotonic() < end:
            self.step()

    def hears(self, client: LightClient) -> list[bytes]:
        """Return the payloads a client has received and decrypted."""
        return [heard.packet.payload for heard in client.heard]

    def told(self, kind: type[Event]) -> list[Event]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def speak(self, client: LightClient, payload: bytes, *, level_dbov: int = -30) -> None:
        """Say one frame and let it through: loopback has delivered it when `sendto` returns."""
        self.clock += FRAME_UNITS
        client.say(payload, self.clock, level_dbov=level_dbov)
        self.step()
        self.step()
