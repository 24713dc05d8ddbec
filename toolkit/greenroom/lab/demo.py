"""A whole evening in one step: a server, a room, and people who talk in it, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import msgspec

from greenroom.errors import MediaFailed, Refused, Unreachable
from greenroom.hosting import ServerProcess, start_server
from greenroom.lab.own_folder import own_folder
from greenroom.lab.simulate import Cast, CastReport, Person
from greenroom.media.voices import voices
from greenroom.protocol.ids import SPEAKER, Cid, UserId

DEMO_CID = Cid("audio_room:demo")
DEMO_TITLE = "The green room"
LISTENERS = ("dora", "emil", "fay", "gus", "hedy", "ivo", "jun", "kira", "leo", "mona", "nils", "olga")
MOST_PEOPLE = len(LISTENERS) + 3
_READY_SECONDS = 60.0
_REPORT_SECONDS = 20.0
_TOKEN_SECONDS = 24 * 3600.0


class Demo:
    """A demo that runs while it is entered. `url`: the server; `host_token`: for the person who hosts the room.

    Nothing is left behind: its database lives in a temporary folder.
    """

    def __init__(
        self, *, people: int = 8, seed: int = 1, host: str = "you", host_grants: bool = False
    ) -> None:
        self.people = min(max(people, len(voices())), MOST_PEOPLE)
        self.seed = seed
        self.host = host
        self._host_grants = host_grants
        self._stack = contextlib.ExitStack()
        self._server: ServerProcess | None = None
        self._cast: _CastProcess | None = None
        self.host_token = ""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(own_folder("demo"))
            server = self._server = stack.enter_context(start_server(data_dir=folder))
            self.host_token = server.mint("host", self.host, seconds=_TOKEN_SECONDS)
            self._open_room(server)
            self._cast = stack.enter_context(_CastProcess(self._people(server)))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The server's address."""
        assert self._server is not None, "enter the demo first"
        return self._server.url

    @property
    def link(self) -> str:
        """The room's page, for a browser on this machine."""
        return f"{self.url}/r/{DEMO_CID}"

    def wait_ready(self) -> None:
        """Return when everybody is in the room and hears. Raises `MediaFailed` with their words when they cannot."""
        assert self._cast is not None, "enter the demo first"
        self._cast.wait_ready()

    def finish(self) -> CastReport:
        """Send the simulated people home and return what they heard."""
        assert self._cast is not None, "enter the demo first"
        return self._cast.finish()

    def _open_room(self, server: ServerProcess) -> None:
        members = [{"user": voice.name, "name": voice.name.title(), "role": SPEAKER} for voice in voices()]
        wanted = {"cid": DEMO_CID, "title": DEMO_TITLE, "members": members, "backstage": False}
        request = Request(
            f"{server.url}/api/rooms",
            json.dumps(wanted).encode(),
            {"Authorization": f"Bearer {self.host_token}", "Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=5.0):
                pass
        except HTTPError as error:
            with error:
                raise Refused(
                    f"the demo room could not be opened: {error.read()[:200].decode('utf-8', 'replace')}"
                ) from None
        except (URLError, OSError):
            raise Unreachable(f"the server at {server.url} does not answer") from None

    def _people(self, server: ServerProcess) -> Cast:
        speaking = [voice.name for voice in voices()]
        people = []
        for number, name in enumerate([*speaking, *LISTENERS][: self.people]):
            token = server.mint(name, name.title(), seconds=_TOKEN_SECONDS)
            voice = speaking[number % len(speaking)]
            people.append(Person(UserId(name), name.title(), token, voice, on_stage=number < len(speaking)))
        if self._host_grants:
            people.append(Person(UserId("host"), self.host, self.host_token, speaking[0]))
        host = UserId("host") if self._host_grants else None
        return Cast(server.url, DEMO_CID, self.seed, tuple(people), host)


class _CastProcess:
    """The simulated people as our child; tokens reach it through its standard input alone."""

    def __init__(self, cast: Cast) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  a pipe would have to be read all the while
        self._process = subprocess.Popen(
            [sys.executable, "-m", "greenroom.lab.simulate"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(cast) + b"\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send_home()
        try:
            self._process.wait(_REPORT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def wait_ready(self) -> None:
        self._line(_READY_SECONDS)

    def finish(self) -> CastReport:
        self._send_home()
        return msgspec.json.decode(self._line(_REPORT_SECONDS), type=CastReport)

    def _send_home(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def _line(self, timeout_seconds: float) -> bytes:
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], timeout_seconds)[0]:
            line = self._process.stdout.readline()
            if line:
                return line
        self._errors.seek(0)
        words = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        why = (
            words[-1].removeprefix("greenroom: ") if words else f"no word from them for {timeout_seconds:g} s"
        )
        raise MediaFailed(f"the demo's people did not play: {why}")
