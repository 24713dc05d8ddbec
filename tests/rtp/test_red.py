"""RED: several frames in a packet, rewritten for each listener's payload types."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenroom.rtp.red import RedBlock, pack_red, primary_of, rewrite_red, unpack_red

types = st.integers(0, 127)
redundant = st.builds(RedBlock, payload_type=types, offset=st.integers(0, 16383), data=st.binary(max_size=50))
primary = st.builds(RedBlock, payload_type=types, offset=st.just(0), data=st.binary(max_size=50))
packets = st.tuples(st.lists(redundant, max_size=3), primary).map(lambda parts: (*parts[0], parts[1]))


@given(packets)
def test_blocks_survive_the_wire(blocks: tuple[RedBlock, ...]) -> None:
    assert unpack_red(pack_red(blocks)) == blocks


@given(st.binary(max_size=60))
def test_any_bytes_are_blocks_or_none(payload: bytes) -> None:
    blocks = unpack_red(payload)
    assert blocks is None or sum(len(block.data) for block in blocks) < len(payload)


@given(packets, st.integers(0, 200))
def test_a_cut_packet_never_raises(blocks: tuple[RedBlock, ...], cut: int) -> None:
    unpack_red(pack_red(blocks)[:cut])


def test_a_length_that_lies_is_refused() -> None:
    assert unpack_red(bytes([0x80 | 111, 0, 0, 200, 111]) + b"short") is None


@given(packets, types)
def test_a_rewrite_changes_types_only(blocks: tuple[RedBlock, ...], theirs: int) -> None:
    rewritten = rewrite_red(blocks, {block.payload_type: theirs for block in blocks})
    assert rewritten is not None
    read = unpack_red(rewritten)
    assert read == tuple(RedBlock(theirs, block.offset, block.data) for block in blocks)


def test_what_is_older_than_the_turn_is_left_out() -> None:
    blocks = (RedBlock(111, 1920, b"other"), RedBlock(111, 960, b"mine"), RedBlock(111, 0, b"now"))
    rewritten = rewrite_red(blocks, {111: 96}, max_offset=960)
    assert rewritten is not None
    assert unpack_red(rewritten) == (RedBlock(96, 960, b"mine"), RedBlock(96, 0, b"now"))


def test_a_primary_without_counterpart_is_not_sent() -> None:
    assert rewrite_red((RedBlock(0, 0, b"pcmu"),), {111: 96}) is None


def test_the_newest_block_is_the_primary() -> None:
    assert primary_of((RedBlock(111, 960, b"old"), RedBlock(111, 0, b"new"))).data == b"new"


def test_blocks_the_header_cannot_say_are_left_out() -> None:
    packed = pack_red(
        (RedBlock(111, 20000, b"far"), RedBlock(111, 960, bytes(2000)), RedBlock(111, 0, b"now"))
    )
    assert unpack_red(packed) == (RedBlock(111, 0, b"now"),)
