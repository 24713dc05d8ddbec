"""How loud people are for me: by who they are, in every call, and after a new start."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from greenroom.engine.client import Client
from greenroom.engine.volumes import Volumes
from greenroom.media.blocks import Block
from greenroom.media.dsp import level_dbfs
from greenroom.media.sources import Tone
from greenroom.media.volume_memory import MOST, Known, recall, remember
from greenroom.protocol.ids import UserId
from greenroom.protocol.requests import GoLive
from greenroom.state.own_requests import SetPersonMuted, SetVolume
from greenroom.state.volumes import LOUDEST, Volume, louder
from tests.backends.places import Memory, client

BO, CY = UserId("bo"), UserId("cy")
SERVER = "http://127.0.0.1:7700"


def test_volumes_move_in_steps_between_nearly_silent_and_the_most() -> None:
    assert louder(Volume(), 1).gain == pytest.approx(1.4125, abs=1e-3)
    assert louder(louder(Volume(), 1), -1) == Volume(), "back is where it was"
    assert louder(Volume(), 9).gain == LOUDEST
    assert 0.0 < louder(Volume(0.0), -3).gain < 0.05
    assert louder(Volume(0.5, muted=True), 1).effective > 0.5, "who is changed is heard"
    assert Volume(0.5, muted=True).effective == 0.0


async def test_what_was_set_is_there_after_a_new_start_on_another_port(tmp_path: Path) -> None:
    file = tmp_path / "new" / "volumes.json"
    first = Volumes(SERVER, file)
    first.set(BO, Volume(0.5))
    first.set(CY, Volume(1.0, muted=True))
    await first.close()
    told: list[int] = []
    again = Volumes("http://127.0.0.1:9900", file, changed=lambda: told.append(1))
    await again.load()
    assert dict(again.people) == {BO: Volume(0.5), CY: Volume(1.0, muted=True)}
    assert told
    again.set(BO, Volume())
    await again.close()
    elsewhere = Volumes("https://example.org", file)
    await elsewhere.load()
    assert elsewhere.people == {}, "the same name is somebody else there"
    assert [known.user for known in recall(file)[0]] == [CY], "who is as sent is forgotten"
    assert [one.name for one in file.parent.iterdir()] == ["volumes.json"]


async def test_two_programs_do_not_forget_each_others_people(tmp_path: Path) -> None:
    file = tmp_path / "volumes.json"
    one, other = Volumes(SERVER, file), Volumes(SERVER, file)
    one.set(BO, Volume(0.5))
    other.set(CY, Volume(2.0))
    await one.close()
    await other.close()
    assert {known.user for known in recall(file)[0]} == {BO, CY}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda file: file.write_bytes(b'{"people": 7'), id="half a file"),
        pytest.param(lambda file: file.write_bytes(b"[" * 100_000), id="nested for ever"),
        pytest.param(lambda file: file.write_bytes(os.urandom(2_000)), id="noise"),
        pytest.param(lambda file: file.write_bytes(b" " * (2 << 20)), id="too large"),
        pytest.param(lambda file: file.mkdir(), id="a folder in its place"),
    ],
)
async def test_a_damaged_file_is_told_once_and_begins_anew(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    file = tmp_path / "volumes.json"
    spoil(file)
    told: list[str] = []
    volumes = Volumes(SERVER, file, complain=told.append)
    await volumes.load()
    await volumes.load()
    assert volumes.people == {}
    assert len(told) == 1
    assert "begin anew" in told[0]
    volumes.set(BO, Volume(0.5))
    await volumes.close()
    assert volumes.of(BO) == Volume(0.5)


async def test_a_folder_that_cannot_be_written_is_told_once_and_volumes_still_act(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told: list[str] = []
    volumes = Volumes(SERVER, tmp_path / "file" / "volumes.json", complain=told.append)
    volumes.set(BO, Volume(0.5))
    await volumes.close()
    volumes.set(BO, Volume(0.7))
    await volumes.close()
    assert volumes.of(BO) == Volume(0.7)
    assert len(told) == 1
    assert "cannot be remembered" in told[0]


def test_a_full_disk_leaves_the_file_as_it_was() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    assert "cannot be written" in remember(full / "volumes.json", [Known("a", BO, 0.5)])


def test_values_nobody_can_have_set_are_left_out_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "volumes.json"
    people = ",".join(f'{{"server":"a","user":"u{place}","gain":0.5}}' for place in range(MOST + 5))
    file.write_text(f'{{"people":[{{"server":"a","user":"x","gain":-3}},{people}]}}')
    known, problem = recall(file)
    assert problem == ""
    assert len(known) == MOST
    assert known[0].user == "u5"
    assert remember(file, [Known("a", UserId("new"), 2.0)]) == ""
    assert len(recall(file)[0]) == MOST


async def test_a_volume_holds_in_every_call_and_after_a_new_start(tmp_path: Path) -> None:
    place, file = Memory(paced=False), tmp_path / "volumes.json"
    async with client(place, "ann") as ann:
        for room in ("audio_room:one", "audio_room:two"):
            await ann.create(room)
            await ann.perform(room, GoLive())
        async with Client(backend=place.backend("bo"), volumes=file, paced=False) as bo:
            call = await bo.join("audio_room:one")
            await call.perform(SetVolume(place.ann, 9.0))
            await call.perform(SetPersonMuted(place.ann, True))
            assert call.state.value.volumes == {place.ann: LOUDEST}
            assert call.state.value.muted_for_me == {place.ann}
            other = await bo.join("audio_room:two")
            assert other.state.value.volumes == {place.ann: LOUDEST}
        async with Client(backend=place.backend("bo"), volumes=file, paced=False) as again:
            once_more = await again.join("audio_room:one")
            assert once_more.state.value.muted_for_me == {place.ann}
            once_more.set_person_muted(place.ann, False)
            seen = await once_more.state.until(lambda state: not state.muted_for_me, 5.0)
            assert seen.volumes == {place.ann: LOUDEST}


async def test_who_is_muted_for_me_is_not_heard_and_comes_back_as_loud_as_before() -> None:
    place, meter = Memory(), Heard()
    async with (
        client(place, "ann", source=Tone(440.0, -20.0)) as ann,
        client(place, "ben", sink=meter) as ben,
    ):
        speaking = await ann.join("audio_room:one", create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join("audio_room:one")
        await until(lambda: meter.level_dbfs > -30.0)
        listening.set_volume(place.ann, 0.1)
        await until(lambda: -50.0 < meter.level_dbfs < -35.0)
        listening.set_person_muted(place.ann, True)
        await until(lambda: meter.level_dbfs == -96.0)
        listening.set_person_muted(place.ann, False)
        await until(lambda: -50.0 < meter.level_dbfs < -35.0)
        await listening.perform(SetVolume(place.ann, 1.0))
        await until(lambda: meter.level_dbfs > -30.0)


async def test_a_memory_that_fails_is_a_notice_in_the_call_and_a_line_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = Memory(paced=False)
    async with Client(
        backend=place.backend("bo"), volumes=tmp_path / "file" / "volumes.json", paced=False
    ) as bo:
        call = await bo.join("audio_room:one", create=True)
        call.set_volume(place.ann, 0.5)
        seen = await call.state.until(lambda state: any("remembered" in n.text for n in state.notices), 5.0)
        assert seen.volumes == {place.ann: 0.5}
        assert any("cannot be remembered" in line.text for line in bo.state.value.log)


class Heard:
    """A sink that knows how loud it is."""

    channels = 2

    def __init__(self) -> None:
        self.level_dbfs = -96.0

    def write(self, block: Block) -> None:
        self.level_dbfs = level_dbfs(block)

    def close(self) -> None:
        """Nothing is held."""


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10.0):
        while not true():  # noqa: ASYNC110  a sink announces nothing to wait for
            await asyncio.sleep(0.01)
