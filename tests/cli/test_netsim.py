"""`greenroom netsim` as a program: datagrams pass, the weather changes by a line, and it ends with its counts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "greenroom", "netsim"]


def test_datagrams_pass_until_a_line_says_that_all_are_lost() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5.0)
        host, port = server.getsockname()
        relay = subprocess.Popen(
            [*COMMAND, f"{host}:{port}", "--delay-ms", "5", "--seconds", "30"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert relay.stdin is not None
            assert relay.stdout is not None
            assert relay.stderr is not None
            relayed = int(relay.stdout.readline())
            assert str(relayed) in relay.stderr.readline()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"one", ("127.0.0.1", relayed))
                assert server.recv(100) == b"one"
                relay.stdin.write("loss 2\n")
                relay.stdin.flush()
                assert "0.0 to 1.0" in relay.stderr.readline()
                client.sendto(b"two", ("127.0.0.1", relayed))
                assert server.recv(100) == b"two"
                relay.stdin.write("loss 1\nthunder\n")
                relay.stdin.flush()
                assert "say one of" in relay.stderr.readline()
                client.sendto(b"three", ("127.0.0.1", relayed))
                server.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    server.recv(100)
                server.settimeout(5.0)
                relay.stdin.write("clear\nthunder\n")
                relay.stdin.flush()
                relay.stderr.readline()
                client.sendto(b"four", ("127.0.0.1", relayed))
                assert server.recv(100) == b"four"
        finally:
            relay.terminate()
            relay.communicate(timeout=10)


def test_it_ends_by_itself_with_its_counts_as_json() -> None:
    ended = subprocess.run(
        [*COMMAND, "127.0.0.1:9", "--loss", "0.2", "--burst", "2.5", "--seconds", "0.2", "--json"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"up": {"passed": 0, "lost": 0}, "down": {"passed": 0, "lost": 0}}


def test_an_address_that_is_none_is_refused_in_words() -> None:
    ended = subprocess.run([*COMMAND, "nowhere"], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 2
    assert "HOST:PORT" in ended.stderr
    assert "Traceback" not in ended.stderr
