from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.lab.own_folder import LOCK_NAME, own_folder, sweep

HOLD = """
import sys, time
from greenroom.lab.own_folder import own_folder
with own_folder("test") as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_leaves_its_folder_to_the_next_and_a_running_one_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        held = Path(process.stdout.readline().strip())
        with own_folder("test") as own:
            assert held.is_dir()  # somebody uses it
            (held / "database").write_text("x")
            process.kill()
            process.wait()
            assert sweep("greenroom-test-") == (held,)
            assert Path(own).is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_such_a_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK_NAME).touch()
    (tmp_path / "greenroom-test-link").symlink_to(elsewhere)
    (tmp_path / "greenroom-test-file").touch()
    (tmp_path / "greenroom-test-young").mkdir()  # its lock is not there yet
    assert sweep("greenroom-test-") == ()
    assert elsewhere.is_dir()
