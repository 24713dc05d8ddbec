"""A bad line through a real server: whose it is, why, and what was recovered, in numbers and in words."""

from __future__ import annotations

import pytest

from greenroom.engine.client import Client
from greenroom.lab.netsim import RelayedBackend
from greenroom.lab.weather import Weather
from greenroom.media.sources import Tone
from greenroom.protocol.ids import UserId
from greenroom.protocol.wire import Quality
from greenroom.state.call import CallState
from greenroom.state.statistics import Cause
from greenroom.views.quality import advice, quality_words
from tests.backends.places import Server, client

pytestmark = pytest.mark.live


async def test_what_somebody_sends_and_loses_is_told_to_all_as_theirs(server: Server, cid: str) -> None:
    token = server.process.mint(server.user("ben"), "Ben")
    backend = RelayedBackend(server.process.url, token=token, up=Weather(loss=0.25, after=50))
    async with (
        client(server, "ann", source=Tone(440.0, -20.0)) as ann,
        Client(backend=backend, source=Tone(600.0, -20.0)) as ben,
    ):
        hosting = await ann.join(cid, create=True, microphone=True)
        await hosting.go_live()
        speaking = await ben.join(cid)
        await hosting.grant(server.ben)
        await speaking.set_microphone(True)

        def poor(call: CallState, user: UserId) -> bool:
            line = call.lines.get(user)
            return line is not None and line.quality is Quality.POOR and line.cause is Cause.SENT_LOSS

        heard = await hosting.state.until(lambda call: poor(call, server.ben), 15.0)
        mine = await speaking.state.until(lambda call: poor(call, server.ben), 15.0)
        assert "of what Ben sends is lost on the way" in quality_words(heard, server.ben)
        assert "of what you send is lost on the way to the server" in quality_words(mine, server.ben)
        helps = advice(mine)
        assert helps is not None
        assert helps.knob == "bitrate", "all else is turned up already"
        assert ann.state.value.user not in heard.lines or heard.lines[server.ann].quality is Quality.EXCELLENT

        def recovered(call: CallState) -> bool:
            sample = call.statistics
            return sample is not None and sample.by_person[server.ben].recovered_red > 0

        await hosting.state.until(recovered, 15.0)  # redundancy follows a second or two after the loss
        sample = hosting.stats.latest
        assert sample is not None
        ben_here = sample.by_person[server.ben]
        assert ben_here.inbound.packets_lost > 5
        assert ben_here.coding is not None
        assert (ben_here.coding.frame_ms, ben_here.coding.payload_type) == (20.0, 111)
        assert speaking.stats.latest is not None
        kinds = {report["type"] for report in speaking.stats.to_w3c()}
        assert {"codec", "outbound-rtp", "remote-inbound-rtp", "inbound-rtp"} <= kinds
