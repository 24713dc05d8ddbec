"""A dashboard with a thousand people and eight moving meters: `python -m tests.tui.crowd SECONDS REPORT`.

Writes the share of one core it used into REPORT.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

from msgspec.structs import replace

from greenroom.protocol.ids import UserId
from greenroom.protocol.requests import Grant, Join, SetMicrophone
from greenroom.protocol.room import Counts
from greenroom.state.statistics import CallStatistics
from greenroom_tui import run_dashboard
from tests.tui.world import CID, HANA, SPEAK, World, actor, standup

SETTLE_SECONDS = 2.0


def crowd() -> tuple[World, list[UserId]]:
    """Return a room of a thousand, 250 of them by name, and the eight who talk."""
    world = standup()
    speakers = [actor(f"speaker{number}") for number in range(6)]
    for who in speakers:
        world.act(who, Join())
        world.act(HANA, Grant(who.user, SPEAK))
        world.act(who, SetMicrophone(True))
    for number in range(240):
        world.act(actor(f"u{number}", f"Listener {number}"), Join())
    room = world.state.value.calls[CID].room
    assert room is not None
    world.change(room=replace(room, counts=Counts(participants=1000)))
    return world, [HANA.user, UserId("ann"), *(who.user for who in speakers)]


def main() -> None:
    seconds, report = float(sys.argv[1]), Path(sys.argv[2])
    world, speakers = crowd()
    used: list[float] = []

    def engine() -> None:
        start = time.monotonic()
        before = None
        own = 0.0
        while (now := time.monotonic()) < start + SETTLE_SECONDS + seconds:
            if before is None and now > start + SETTLE_SECONDS:
                before, own = time.process_time(), time.thread_time()
            levels = {user: -30.0 + 25 * math.sin(now * 3 + place) for place, user in enumerate(speakers)}
            loud = frozenset(user for user, level in levels.items() if level > -30.0)
            world.change(
                levels=levels, speaking=loud, statistics=CallStatistics(now, packets_received=int(now))
            )
            time.sleep(0.1)
        used.append((time.process_time() - (before or 0.0) - (time.thread_time() - own)) / seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=engine, daemon=True).start()
    run_dashboard(world, CID)
    report.write_text(json.dumps({"core": used[0]}))


if __name__ == "__main__":
    main()
