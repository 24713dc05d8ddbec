"""What the dashboard shows of a session: its question before the end, its layout, the buttons it was given."""

from __future__ import annotations

import time

from greenroom.state.call_settings import Buttons, CallSettings, IdleTimeout, IdleWhen
from greenroom.state.idle import Idle, IdlePhase
from greenroom.state.layout import CallView, Layout
from greenroom.state.own_requests import Stay
from greenroom_tui.widgets.stage import Stage
from tests.tui.looking import dashboard
from tests.tui.world import ANN, standup


async def test_somebody_who_is_alone_is_asked_and_one_key_stays() -> None:
    world = standup()
    async with dashboard(world) as shown:
        now = time.time()
        world.change(
            settings=CallSettings(idle_timeout=IdleTimeout(120.0, 60.0, IdleWhen.ALONE)),
            idle=Idle(IdlePhase.PROMPTING, now - 120.0, now, now + 60.0),
        )
        await shown.sees("nobody else is here: leaving in", "unless you stay", "S Stay")
        await shown.press("S")
        await shown.until(lambda: world.asked == [Stay()])
        world.change(idle=Idle(IdlePhase.ARMED))
        await shown.until(lambda: "leaving in" not in shown.text)


async def test_the_stage_follows_layout_pins_and_the_small_view() -> None:
    world = standup()
    async with dashboard(world) as shown:
        stage = shown.room.query_one(Stage)
        first = stage.rows[0].user
        assert first != ANN.user
        world.change(view=CallView(Layout.SPOTLIGHT, (ANN.user,)))
        await shown.sees("Stage · 2 people · spotlight")
        assert stage.rows[0].user == ANN.user
        world.change(view=CallView(Layout.SPOTLIGHT, (ANN.user,), picture_in_picture=True))
        await shown.sees("Stage · 1 of 2 people · small view")
        assert [row.user for row in stage.rows] == [ANN.user]


async def test_a_button_that_a_session_hides_is_not_at_the_foot_and_its_key_works() -> None:
    world = standup()
    async with dashboard(world, size=(120, 40)) as shown:
        await shown.sees("m Close microphone", "E End room")
        world.change(settings=CallSettings(buttons=Buttons(end=False, mute=False)))
        await shown.until(lambda: "m Close microphone" not in shown.text and "E End room" not in shown.text)
        await shown.press("m")
        await shown.until(lambda: bool(world.asked))
