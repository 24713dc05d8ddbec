"""A scene on a server of its own, by the clock: to watch, or to be told step by step in a plain terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from greenroom.backends.base import Backend
from greenroom.backends.sfu import SfuBackend
from greenroom.engine.client import Client
from greenroom.hosting import ServerProcess, start_server
from greenroom.lab.own_folder import own_folder
from greenroom.lab.scene import Scene
from greenroom.lab.scene_play import ScenePlayer
from greenroom.media.sources import AudioSource
from greenroom.media.voices import Voice, voice_named, voices
from greenroom.protocol.ids import ADMIN

_TOKEN_SECONDS = 24 * 3600.0
DIRECTOR = "scene-director"
PAUSE_SECONDS = (0.4, 1.5)


class SceneDemo:
    """A server for one scene, while it is entered. Nothing is left behind."""

    def __init__(self, scene: Scene, *, seed: int = 1) -> None:
        self.scene = scene
        self.seed = seed
        self._stack = contextlib.ExitStack()
        self._server: ServerProcess | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(own_folder("scene"))
            self._server = stack.enter_context(start_server(data_dir=folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def server(self) -> ServerProcess:
        """The server, which ends with us."""
        assert self._server is not None, "enter the demo first"
        return self._server

    def token(self, who: str) -> str:
        """Return a token for one of the scene's people."""
        plan = self.scene.people[who]
        return self.server.mint(who, plan.name or who.title(), seconds=_TOKEN_SECONDS)

    def player(self, *, talking: bool = False, clients: Mapping[str, Client] | None = None) -> ScenePlayer:
        """Return what plays the scene here. People send tones that can be measured, or are `talking` with voices."""
        backends: dict[str, Callable[[], Backend]] = {
            who: self._backend(who) for who in self.scene.people if who not in (clients or {})
        }
        director = SfuBackend(
            self.server.url, token=self.server.mint(DIRECTOR, "The director", ADMIN, seconds=_TOKEN_SECONDS)
        )
        sources = self._voices() if talking else {}
        return ScenePlayer(self.scene, backends, sources=sources, clients=clients, director=director)

    def _backend(self, who: str) -> Callable[[], Backend]:
        return lambda: SfuBackend(self.server.url, token=self.token(who))

    def _voices(self) -> dict[str, AudioSource]:
        known = [voice.name for voice in voices()]
        found: dict[str, AudioSource] = {}
        for number, (who, plan) in enumerate(self.scene.people.items()):
            name = plan.voice or (who if who in known else known[number % len(known)])
            voice = Voice(voice_named(name), seed=self.seed + number, pause_seconds=PAUSE_SECONDS)
            self._stack.callback(voice.close)
            found[who] = voice
        return found
