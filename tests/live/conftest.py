"""A real server for these tests, and people of each test's own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from greenroom.hosting import ServerProcess, start_server
from tests.backends.places import Server


@pytest.fixture(scope="package")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with start_server(data_dir=str(tmp_path_factory.mktemp("server"))) as process:
        yield process


@pytest.fixture
def server(process: ServerProcess) -> Server:
    return Server(process)


@pytest.fixture
def cid() -> str:
    return f"audio_room:{secrets.token_hex(6)}"
