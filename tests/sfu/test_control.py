"""The control socket's frames: whole whatever the pieces, bounded whatever is claimed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.sfu.control import (
    MAX_FRAME_BYTES,
    Connect,
    FrameReader,
    Levels,
    PeerUp,
    SpeakerLevel,
    frame,
    read_from_worker,
    read_to_worker,
)


@given(st.lists(st.text(max_size=30), max_size=6), st.integers(1, 40))
def test_frames_arrive_whole_in_whatever_pieces_the_stream_comes(peers: list[str], piece: int) -> None:
    stream = b"".join(frame(PeerUp(peer)) for peer in peers)
    reader = FrameReader()
    bodies = [body for at in range(0, len(stream), piece) for body in reader.feed(stream[at : at + piece])]
    assert [read_from_worker(body) for body in bodies] == [PeerUp(peer) for peer in peers]


def test_a_frame_that_claims_to_be_huge_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        FrameReader().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


def test_both_directions_have_their_own_words() -> None:
    levels = Levels("room", (SpeakerLevel(7, -30, True),))
    connect = Connect(1, "ann", "room", 7, "v=0", False)
    reader = FrameReader()
    assert [read_from_worker(body) for body in reader.feed(frame(levels))] == [levels]
    assert [read_to_worker(body) for body in reader.feed(frame(connect))] == [connect]
    with pytest.raises(Exception, match="Levels"):
        read_to_worker(frame(levels)[4:])
