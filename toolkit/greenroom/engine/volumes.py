"""How loud people are for us, by who they are: the same in every call, and after a new start where there is a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from greenroom.media.volume_memory import Known, recall, remember
from greenroom.protocol.ids import UserId
from greenroom.state.volumes import Volume

_SETTLED_SECONDS = 0.5
_CLOSE_SECONDS = 2.0


class Volumes:
    """Lives on the engine's loop. `file` None remembers until the end of the program only.

    `changed` is called after every change, `complain` once with words for a person when the file
    cannot be read, and once when it cannot be written.
    """

    def __init__(
        self,
        server: str = "",
        file: Path | None = None,
        changed: Callable[[], None] = lambda: None,
        complain: Callable[[str], None] = lambda _words: None,
    ) -> None:
        self._server = urlsplit(server).hostname or server  # another port is the same place started anew
        self._file = file
        self._changed = changed
        self._complain = complain
        self._complained: set[str] = set()
        self._people: dict[UserId, Volume] = {}
        self._unwritten: dict[UserId, Volume] = {}
        self._writing: asyncio.Task[None] | None = None

    @property
    def people(self) -> Mapping[UserId, Volume]:
        """Everybody who is not as loud as they are sent."""
        return self._people

    def of(self, user: UserId) -> Volume:
        """Return how loud `user` is."""
        return self._people.get(user, Volume())

    async def load(self) -> None:
        """Take what the file says of people of this server; what was set already stays."""
        if self._file is None:
            return
        known, problem = await asyncio.to_thread(recall, self._file)
        if problem:
            self._tell("read", f"the volumes of people were not remembered: {problem}; they begin anew")
        found = {one.user: one.volume for one in known if one.server == self._server}
        self._people = {**found, **self._people}
        if found:
            self._changed()

    def set(self, user: UserId, volume: Volume) -> None:
        """Make `user` as loud as `volume` says, in every call."""
        if volume == self.of(user):
            return
        self._people = {known: one for known, one in self._people.items() if known != user}
        if volume != Volume():
            self._people[user] = volume
        self._unwritten[user] = volume
        self._changed()
        if self._file is not None and (self._writing is None or self._writing.done()):
            self._writing = asyncio.get_running_loop().create_task(self._write(_SETTLED_SECONDS))

    async def close(self) -> None:
        """Write what was not written yet."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        if self._unwritten and self._file is not None:
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._write(0.0)
            except TimeoutError:
                pass  # a disk that does not answer keeps nobody from going

    async def _write(self, after_seconds: float) -> None:
        assert self._file is not None
        while self._unwritten:
            await asyncio.sleep(after_seconds)  # a key that is held down changes it many times
            unwritten, self._unwritten = self._unwritten, {}
            known = [Known(self._server, user, one.gain, one.muted) for user, one in unwritten.items()]
            try:
                problem = await asyncio.shield(asyncio.to_thread(remember, self._file, known))
            except asyncio.CancelledError:
                self._unwritten = {**unwritten, **self._unwritten}
                raise
            if problem:
                self._tell("write", f"the volumes of people cannot be remembered: {problem}")

    def _tell(self, about: str, words: str) -> None:
        if about not in self._complained:
            self._complained.add(about)
            self._complain(words)
