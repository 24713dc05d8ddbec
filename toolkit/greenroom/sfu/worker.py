"""A media worker: a process with one UDP port, one loop, and no other Python thread."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import resource
import selectors
import signal
import socket
import sys
import time

import msgspec

from greenroom.sfu.control import (
    Answered,
    CloseRoom,
    Command,
    Configure,
    Connect,
    Disconnect,
    Done,
    Failed,
    FrameReader,
    FromWorker,
    GetStatistics,
    Levels,
    Loss,
    Measured,
    Ready,
    SetForwarding,
    SetRelay,
    WorkerStatistics,
    frame,
    read_to_worker,
)
from greenroom.sfu.relay import Relay
from greenroom.sfu.unit import ForwardingUnit, Refusal

TICK_SECONDS = 0.02
IDLE_SECONDS = 1.0
MAX_WAITING_BYTES = 1 << 20
SOCKET_BUFFER_BYTES = 4 << 20

log = logging.getLogger(__name__)


class ControlGone(Exception):
    """The control process closed the socket or does not speak our language: we end."""


class ControlSocket:
    """Frames to and from the control process. When it does not read, levels and losses are left out."""

    def __init__(self, stream: socket.socket) -> None:
        self.socket = stream
        self._reader = FrameReader()
        self._waiting = bytearray()
        stream.setblocking(False)

    def read(self) -> list[bytes]:
        """Return the frames that have arrived; raises `ControlGone`."""
        try:
            chunk = self.socket.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            raise ControlGone from None
        if not chunk:
            raise ControlGone
        try:
            return self._reader.feed(chunk)
        except ValueError:
            raise ControlGone from None

    def send(self, message: FromWorker) -> None:
        """Send `message`, or keep it until the socket takes it."""
        if len(self._waiting) > MAX_WAITING_BYTES and isinstance(message, Levels | Loss):
            return
        self._waiting += frame(message)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._waiting:
            try:
                sent = self.socket.send(self._waiting)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                return  # the next read tells
            del self._waiting[:sent]


class Worker:
    """Runs a forwarding unit for the control process at the other end of `control`."""

    def __init__(self, control: ControlSocket, configuration: Configure) -> None:
        self._control = control
        self._index = configuration.index
        self._udp = _open_port(configuration.host, configuration.udp_port)
        self._relay = Relay(configuration.relay_directory, configuration.index)
        self._unit = ForwardingUnit(
            self._udp, configuration.announce, control.send, self._relay, configuration.consent_seconds
        )
        self._ending = False

    def run(self) -> None:
        """Work until the control process is gone or asks us to end."""
        unit, control, udp, relay = self._unit, self._control, self._udp, self._relay.socket
        signal.signal(signal.SIGTERM, self._end)
        control.send(Ready(udp.getsockname()[1], os.getpid()))
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # the hot path makes no cycles; keep the collector out of it
        selector = selectors.DefaultSelector()
        for source in (udp, relay, control.socket):
            selector.register(source, selectors.EVENT_READ)
        next_tick = 0.0
        while not self._ending:
            now = time.monotonic()
            if now >= next_tick:
                unit.tick(now)
                control.flush()
                next_tick = max(next_tick + TICK_SECONDS, now + TICK_SECONDS / 2)
            longest = IDLE_SECONDS if unit.idle else max(0.0, next_tick - time.monotonic())
            for key, _ in selector.select(0.0 if unit.busy else longest):
                if key.fileobj is udp:
                    unit.read()
                elif key.fileobj is relay:
                    unit.take_relayed()
                else:
                    for body in control.read():
                        self._obey(body)
            if unit.busy:
                unit.work_handshakes()

    def close(self) -> None:
        """Release the port and the relay."""
        self._udp.close()
        self._relay.close()

    def _end(self, *_: object) -> None:
        self._ending = True

    def _obey(self, body: bytes) -> None:
        try:
            command = read_to_worker(body)
        except msgspec.DecodeError:
            raise ControlGone from None
        if isinstance(command, Configure):
            return
        try:
            reply = self._answer(command, time.monotonic())
        except Exception as error:  # one peer's offer must not end everyone's sound
            log.warning("a command failed inside: %s", type(error).__name__)
            reply = Failed(command.request, "it could not be done; the media worker's log says more")
        self._control.send(reply)

    def _answer(self, command: Command, now: float) -> FromWorker:
        unit = self._unit
        match command:
            case Connect(request, peer, room, number, offer, may_speak):
                answer = unit.connect(peer, room, number, offer, may_speak, now)
                if isinstance(answer, Refusal):
                    return Failed(request, answer.reason)
                return Answered(request, answer)
            case SetForwarding(request, peer, allowed):
                unit.set_forwarding(peer, allowed, now)
            case Disconnect(request, peer):
                unit.disconnect(peer, now)
            case CloseRoom(request, room):
                unit.close_room(room, now)
            case SetRelay(request, room, workers):
                unit.set_relay(room, workers)
            case GetStatistics(request):
                return Measured(request, self._statistics())
        return Done(request)

    def _statistics(self) -> WorkerStatistics:
        unit = self._unit
        return WorkerStatistics(
            index=self._index,
            process=os.getpid(),
            udp_port=self._udp.getsockname()[1],
            cpu_seconds=time.process_time(),
            rss_bytes=_resident_bytes(),
            packets_in=unit.counters.received,
            packets_out=unit.outlet.sent,
            packets_dropped=unit.counters.refused + unit.outlet.dropped,
            packets_denied=unit.counters.denied,
            peers=len(unit.peers),
            connected=sum(peer.connected for peer in unit.peers.values()),
        )


def main() -> int:
    """Run a worker on the inherited control socket; return the exit code."""
    parser = argparse.ArgumentParser(prog="greenroom.sfu.worker", description=__doc__)
    parser.add_argument("--control", type=int, required=True, help="descriptor of the control socket")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="media worker: %(message)s", stream=sys.stderr)
    control = ControlSocket(socket.socket(fileno=arguments.control))
    try:
        worker = Worker(control, _read_configuration(control))
    except ControlGone:
        return 0
    except OSError as error:
        control.send(Failed(0, f"the media port could not be opened: {error.strerror}"))
        return 1
    try:
        worker.run()
    except ControlGone:
        return 0
    except Exception as error:  # we are replaced; a traceback could show addresses
        log.error("ended by %s", type(error).__name__)
        return 1
    finally:
        worker.close()
    return 0


def _read_configuration(control: ControlSocket) -> Configure:
    control.socket.setblocking(True)
    bodies: list[bytes] = []
    while not bodies:
        bodies = control.read()
    control.socket.setblocking(False)
    try:
        configuration = read_to_worker(bodies[0])
    except msgspec.DecodeError:
        raise ControlGone from None
    if not isinstance(configuration, Configure):
        raise ControlGone
    return configuration


def _open_port(host: str, port: int) -> socket.socket:
    udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        udp.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
    udp.bind((host, port))
    return udp


def _resident_bytes() -> int:
    """Return what the process holds in memory now; where /proc is missing, the most it ever held."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
