from __future__ import annotations

import pytest

from greenroom.errors import SetUpIncomplete
from greenroom.server.access import Access, access_rules
from greenroom.server.options import ServeOptions, check, on_loopback

LOCAL = access_rules("http", "127.0.0.1", 7700, (), (), any_address=False)
PUBLIC = access_rules(
    "https", "0.0.0.0", 443, ("rooms.example",), ("https://app.example/",), any_address=True
)


@pytest.mark.parametrize(
    ("rules", "host", "admitted"),
    [
        (LOCAL, "127.0.0.1:7700", True),
        (LOCAL, "localhost:7700", True),
        (LOCAL, "LOCALHOST:7700", True),
        (LOCAL, "[::1]:7700", True),
        (LOCAL, "localhost", False),
        (LOCAL, "localhost:7701", False),
        (LOCAL, "evil.example:7700", False),
        (LOCAL, "127.0.0.1.evil.example:7700", False),
        (LOCAL, "192.168.1.4:7700", False),
        (LOCAL, "", False),
        (PUBLIC, "rooms.example", True),
        (PUBLIC, "rooms.example:443", True),
        (PUBLIC, "192.168.1.4", True),
        (PUBLIC, "[2001:db8::1]:443", True),
        (PUBLIC, "evil.example", False),
        (PUBLIC, "[::1", False),
    ],
)
def test_only_names_of_this_server_are_served(rules: Access, host: str, admitted: bool) -> None:
    assert rules.admits_host(host) is admitted


@pytest.mark.parametrize(
    ("rules", "origin", "host", "admitted"),
    [
        (LOCAL, None, "127.0.0.1:7700", True),
        (LOCAL, "http://127.0.0.1:7700", "127.0.0.1:7700", True),
        (LOCAL, "http://localhost:7700", "127.0.0.1:7700", True),
        (LOCAL, "https://127.0.0.1:7700", "127.0.0.1:7700", False),
        (LOCAL, "http://127.0.0.1:8888", "127.0.0.1:7700", False),
        (LOCAL, "http://127.0.0.1:77000", "127.0.0.1:7700", False),
        (LOCAL, "http://evil.example", "127.0.0.1:7700", False),
        (LOCAL, "http://evil.example:7700", "evil.example:7700", False),
        (LOCAL, "null", "127.0.0.1:7700", False),
        (LOCAL, "", "127.0.0.1:7700", False),
        (PUBLIC, "https://rooms.example", "rooms.example", True),
        (PUBLIC, "https://app.example", "rooms.example", True),
        (PUBLIC, "https://192.168.1.4", "192.168.1.4", True),
        (PUBLIC, "https://192.168.1.4", "192.168.1.5", False),
        (PUBLIC, "http://rooms.example", "rooms.example", False),
    ],
)
def test_only_pages_of_this_server_may_use_it(
    rules: Access, origin: str | None, host: str, admitted: bool
) -> None:
    assert rules.admits_origin(origin, host) is admitted


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("a.example", False),
    ],
)
def test_loopback_is_known(host: str, local: bool) -> None:
    assert on_loopback(host) is local


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ServeOptions(host="0.0.0.0"), "--insecure"),
        (ServeOptions(tls_key="key.pem"), "both files"),
        (ServeOptions(port=70_000), "not a port"),
        (ServeOptions(media_workers=-1), "media-workers"),
    ],
)
def test_unsafe_options_are_refused_with_advice(options: ServeOptions, words: str) -> None:
    with pytest.raises(SetUpIncomplete, match=words):
        check(options)


def test_another_address_is_served_when_told_so() -> None:
    check(ServeOptions(host="0.0.0.0", insecure=True))
    check(ServeOptions(host="0.0.0.0", tls_certificate="a.pem", tls_key="b.pem"))
