"""Simulated people in a process of their own: real clients with real sound, who talk, raise hands, chat, leave and return.

`python -m greenroom.lab.simulate` reads one `Cast` as a line of JSON from standard input, says `{"ready": true}` when
everybody is in and hears, and plays until standard input closes; then it prints one `CastReport` and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping

import msgspec

from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.errors import GreenroomError, Malformed
from greenroom.lab.cues import Act, Cue, cues
from greenroom.media.voices import Voice, voice_named
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import PostMessage, RaiseHand, WithdrawHand
from greenroom.protocol.wire import Reaction

HEARD_SECONDS = 0.3
_JOIN_AT_ONCE = 4
_AFTER_A_GRANT_SECONDS = 1.0


class Person(msgspec.Struct, frozen=True):
    """`voice` is a demo voice's name; somebody with `on_stage` speaks by turns, the others when they are given the stage."""

    user: UserId
    name: str
    token: str
    voice: str
    on_stage: bool = False

    def __repr__(self) -> str:
        return f"Person({self.user!r}, voice={self.voice!r})"


class Cast(msgspec.Struct, frozen=True):
    """Who plays in which room of which server. `host`: who of them answers raised hands."""

    server: str
    cid: Cid
    seed: int
    people: tuple[Person, ...]
    host: UserId | None = None


class CastReport(msgspec.Struct, frozen=True):
    """`heard` lists, for each person, whom they heard for at least 0.3 s above −50 dBFS in what was decoded."""

    people: int
    speakers: tuple[str, ...]
    heard: Mapping[str, tuple[str, ...]]
    concealed_ratio: float


class Player:
    """One simulated person."""

    def __init__(self, person: Person, server: str, cid: Cid, voice: Voice) -> None:
        self.person = person
        self.voice = voice
        self.call: Call | None = None
        self._cid = cid
        self._client = Client(server, token=person.token, name=person.name, source=voice)
        self._heard: dict[UserId, float] = {}
        self._frames = [0, 0]

    async def enter(self) -> None:
        """Come in and wait for sound."""
        self.call = await self._client.join(self._cid, microphone=self.person.on_stage)
        await self.call.sound_connected(timeout_seconds=20.0)

    async def play(self, cue: Cue) -> None:
        """Do what the cue says; what the room refuses just does not happen."""
        call = self.call
        if call is None and cue.act is not Act.RETURN:
            return
        try:
            match cue.act, call:
                case Act.SPEAK, Call():
                    self.voice.say(self.voice.voice.sentences[int(cue.words)])
                case Act.RAISE, Call():
                    await call.perform(RaiseHand())
                case Act.WITHDRAW, Call():
                    await call.perform(WithdrawHand())
                case Act.REACT, Call():
                    await call.perform(Reaction(cue.words))
                case Act.CHAT, Call():
                    await call.perform(PostMessage(cue.words))
                case Act.LEAVE, Call():
                    self._remember(call)
                    self.call = None
                    await call.leave()
                case Act.RETURN, None:
                    await self.enter()
        except (GreenroomError, TimeoutError):
            pass  # a simulated person shrugs; the room goes on

    async def take_the_stage(self) -> None:
        """Speak two sentences whenever the stage is given by a host, and fall silent again."""
        allowed = self._may_speak()  # whoever may speak from the start, a host, is not called upon
        while True:
            call = self.call
            may_now = self._may_speak()
            if call is not None and may_now and not allowed:
                await asyncio.sleep(_AFTER_A_GRANT_SECONDS)
                with contextlib.suppress(GreenroomError):
                    await call.set_microphone(True)
                    said = [self.voice.say(), self.voice.say()]
                    await asyncio.sleep(sum(sentence.seconds for sentence in said) + 0.5)
                    await call.set_microphone(False)
            allowed = may_now
            await asyncio.sleep(0.25)

    async def answer_hands(self) -> None:
        """As a host: give the stage to whoever has waited, one at a time."""
        while True:
            await asyncio.sleep(2.0)
            room = None if self.call is None else self.call.state.value.room
            if self.call is not None and room is not None and room.hands:
                with contextlib.suppress(GreenroomError):
                    await self.call.next_hand()

    def result(self) -> tuple[dict[UserId, float], int, int]:
        """Return for how long each person was heard, and how many frames were played and concealed."""
        if self.call is not None:
            self._remember(self.call)
        return self._heard, self._frames[0], self._frames[1]

    async def close(self) -> None:
        """Leave and end."""
        await self._client.close()
        self.voice.close()

    def _may_speak(self) -> bool:
        return self.call is not None and Capability.SEND_AUDIO in self.call.state.value.capabilities

    def _remember(self, call: Call) -> None:
        for user, seconds in call.heard_seconds().items():
            self._heard[user] = self._heard.get(user, 0.0) + seconds
        numbers = call.state.value.statistics
        if numbers is not None:
            self._frames[0] += numbers.frames_played
            self._frames[1] += numbers.frames_concealed


async def perform(cast: Cast, ended: asyncio.Event, ready: asyncio.Event) -> CastReport:
    """Let `cast` play until `ended` is set; `ready` is set when everybody is in and hears."""
    players: dict[str, Player] = {}
    for number, person in enumerate(cast.people):
        voice = await asyncio.to_thread(Voice, voice_named(person.voice), seed=cast.seed + number)
        players[person.user] = Player(person, cast.server, cast.cid, voice)
    gate = asyncio.Semaphore(_JOIN_AT_ONCE)

    async def enter(player: Player) -> None:
        async with gate:
            await player.enter()

    tasks: list[asyncio.Task[None]] = []
    try:
        async with asyncio.TaskGroup() as joining:
            for player in players.values():
                joining.create_task(enter(player))
        ready.set()
        tasks.append(asyncio.create_task(_play_cues(cast, players)))
        tasks += [
            asyncio.create_task(player.take_the_stage())
            for player in players.values()
            if not player.person.on_stage
        ]
        if cast.host is not None:
            tasks.append(asyncio.create_task(players[cast.host].answer_hands()))
        await ended.wait()
        return _report(players)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(player.close() for player in players.values()), return_exceptions=True)


async def _play_cues(cast: Cast, players: Mapping[str, Player]) -> None:
    speakers = {
        name: [sentence.seconds for sentence in player.voice.voice.sentences]
        for name, player in players.items()
        if player.person.on_stage
    }
    listeners = [name for name in players if name not in speakers]
    start = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as acts:
        for cue in cues(cast.seed, speakers, listeners):
            await asyncio.sleep(max(0.0, start + cue.at - asyncio.get_running_loop().time()))
            acts.create_task(players[cue.who].play(cue))


def _report(players: Mapping[str, Player]) -> CastReport:
    played = concealed = 0
    heard: dict[str, tuple[str, ...]] = {}
    for name, player in players.items():
        seconds, frames, hidden = player.result()
        played += frames
        concealed += hidden
        heard[name] = tuple(sorted(user for user, long in seconds.items() if long >= HEARD_SECONDS))
    return CastReport(
        people=len(players),
        speakers=tuple(sorted({user for users in heard.values() for user in users})),
        heard=heard,
        concealed_ratio=round(concealed / played, 4) if played else 0.0,
    )


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    line = await reader.readline()
    try:
        cast = msgspec.json.decode(line, type=Cast)
    except msgspec.MsgspecError as error:
        raise Malformed(f"that is not a cast: {error}") from None
    ended, ready = asyncio.Event(), asyncio.Event()

    async def until_closed() -> None:
        await reader.read()
        ended.set()

    async def say_ready() -> None:
        await ready.wait()
        print('{"ready": true}', flush=True)

    watchers = [asyncio.create_task(until_closed()), asyncio.create_task(say_ready())]
    try:
        report = await perform(cast, ended, ready)
    finally:
        for watcher in watchers:
            watcher.cancel()
    print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except* (GreenroomError, TimeoutError) as errors:
        print(f"greenroom: the simulated people could not come in: {errors.exceptions[0]}", file=sys.stderr)
        sys.exit(1)
    except* KeyboardInterrupt:
        sys.exit(130)
