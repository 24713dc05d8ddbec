"""Names, titles and chat are text: nothing in them acts."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from greenroom_tui.screens.room import RoomScreen
from greenroom_tui.widgets.people import Audience, Hands
from greenroom_tui.widgets.stage import Stage
from tests.tui.hostile import FORBIDDEN, hostile
from tests.tui.looking import dashboard


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_markup_is_shown_as_it_was_written(size: tuple[int, int]) -> None:
    async with dashboard(hostile(), size=size) as shown:
        await shown.sees("[@click", "[/oops]")
        assert not set(shown.text) & set(FORBIDDEN)
        assert all(cell_len(line) == size[0] for line in shown.lines)


async def test_clicking_on_a_name_only_chooses_it() -> None:
    world = hostile()
    async with dashboard(world) as shown:
        for rows in (Stage, Hands, Audience):
            for line in range(3):
                await shown.pilot.click(rows, offset=(4, line + 1))
        await shown.pilot.pause()
        assert shown.app.is_running
        assert world.asked == []


async def test_every_screen_over_the_room_opens_on_hostile_text() -> None:
    world = hostile()
    async with dashboard(world) as shown:
        for keys in (("?",), ("Q",), ("t",), ("D",), ("e",), ("w",), ("ctrl+p",)):
            await shown.press(*keys)
            await shown.until(lambda: not isinstance(shown.app.screen, RoomScreen), str(keys))
            assert not set(shown.text) & set(FORBIDDEN)
            await shown.press("escape")
            await shown.until(lambda: isinstance(shown.app.screen, RoomScreen), str(keys))
        for who in ("evil0", "evil1", "evil3"):
            await shown.select(Audience, who)
            await shown.press("k")
            await shown.until(lambda: not isinstance(shown.app.screen, RoomScreen))
            await shown.press("n")
            await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))
        await shown.press("h")
        await shown.pilot.pause()
        assert shown.app.is_running
