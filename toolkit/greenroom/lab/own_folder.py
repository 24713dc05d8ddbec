"""A temporary folder that goes with its process: at once when that ends in order, with the next one when it was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":  # there, folders of killed processes stay until the system cleans up
    import fcntl

LOCK_NAME = "in-use"


@contextlib.contextmanager
def own_folder(what: str) -> Iterator[str]:
    """Yield a new folder `greenroom-WHAT-…`, and take away those of processes of ours that were killed before.

    Whoever uses a folder holds a lock on a file in it, which the system drops with the process.
    """
    prefix = f"greenroom-{what}-"
    sweep(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        descriptor = os.open(Path(folder) / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
        finally:
            os.close(descriptor)


def sweep(prefix: str) -> tuple[Path, ...]:
    """Remove folders `prefix…` of ours that nobody uses any more, and return them."""
    if sys.platform == "win32":
        return ()
    gone = []
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # somebody else's, in use, or gone already
            about = folder.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
                continue
            descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(folder)
            finally:
                os.close(descriptor)
    return tuple(gone)
