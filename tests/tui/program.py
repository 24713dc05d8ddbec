"""A dashboard for a terminal: `python -m tests.tui.program REPORT [--ringing]`. Writes into REPORT which calls were left."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from greenroom_tui import run_dashboard
from tests.tui.hostile import hostile, rung_by_hostile
from tests.tui.world import CID


def main() -> int:
    world = hostile()
    if "--ringing" in sys.argv:
        rung_by_hostile(world, time.time())
    code = run_dashboard(world, CID)
    Path(sys.argv[1]).write_text(json.dumps({"left": world.left, "code": code}))
    return code


if __name__ == "__main__":
    sys.exit(main())
