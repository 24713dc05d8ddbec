"""The demo: real people (simulated), a real room, and what each of them really heard."""

from __future__ import annotations

import time

import pytest

from greenroom.lab.cues import cues
from greenroom.lab.demo import DEMO_CID, Demo
from tests.backends.places import Server, client
from tests.live.listening import until

pytestmark = pytest.mark.live


@pytest.mark.quiet
async def test_an_evening_is_live_within_seconds_and_everybody_hears_the_speakers() -> None:
    began = time.monotonic()
    with Demo(people=5, seed=3, host_grants=False) as demo:
        demo.wait_ready()
        assert time.monotonic() - began < 10.0, "it takes 3 s alone; the machine of a test is shared"
        assert demo._server is not None
        async with client(Server(demo._server), "visitor") as visitor:
            call = await visitor.join(DEMO_CID)
            await until(lambda: sum(long > 1.0 for long in call.heard_seconds().values()) >= 2, 20.0)
        report = demo.finish()
    assert len(set(report.speakers) & {"ann", "ben", "cal"}) >= 2
    for listener, heard in report.heard.items():
        assert listener not in heard, "nobody hears themselves"
        assert set(heard) & {"ann", "ben", "cal"}
    assert report.concealed_ratio < 0.05


def test_the_same_seed_is_the_same_evening() -> None:
    def evening(seed: int) -> list[object]:
        return [
            cue
            for cue, _ in zip(cues(seed, {"ann": [1.0, 2.0], "ben": [1.5]}, ["cal"]), range(40), strict=False)
        ]

    assert evening(5) == evening(5)
    assert evening(5) != evening(6)
