"""What a redundant packet repeats."""

from __future__ import annotations

import pytest

from greenroom.media.red import RedWriter
from greenroom.rtp.red import RedBlock, unpack_red


def writer(depth: int, payload_type: int | None = 63) -> RedWriter:
    red = RedWriter()
    red.payload_type, red.depth = payload_type, depth
    return red


def test_each_packet_repeats_the_two_before_it_across_the_wrap_of_the_timestamp() -> None:
    red = writer(2)
    start = 0xFFFFFFFF - 959
    assert red.wrap(111, start, b"a") == (111, b"a")
    red.wrap(111, start + 960 & 0xFFFFFFFF, b"b")
    payload_type, payload = red.wrap(111, start + 1920 & 0xFFFFFFFF, b"c")
    assert payload_type == 63
    assert unpack_red(payload) == (
        RedBlock(111, 1920, b"a"), RedBlock(111, 960, b"b"), RedBlock(111, 0, b"c")
    )  # fmt: skip


def test_a_change_of_depth_acts_on_the_next_packet() -> None:
    red = writer(0)
    assert red.wrap(111, 0, b"a") == (111, b"a")
    red.depth = 1
    assert unpack_red(red.wrap(111, 960, b"b")[1]) == (RedBlock(111, 960, b"a"), RedBlock(111, 0, b"b"))
    red.depth = 0
    assert red.wrap(111, 1920, b"c") == (111, b"c")


def test_what_does_not_fit_the_header_is_not_repeated() -> None:
    red = writer(2)
    red.wrap(111, 0, b"old")
    red.wrap(111, 20_000, b"x" * 1024)
    assert red.wrap(111, 20_960, b"new") == (111, b"new")


def test_who_takes_no_red_is_sent_plain_opus() -> None:
    red = writer(2, payload_type=None)
    red.wrap(111, 0, b"a")
    assert red.wrap(111, 960, b"b") == (111, b"b")


def test_a_depth_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 2"):
        writer(3)
