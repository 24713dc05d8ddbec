from __future__ import annotations

from greenroom.protocol.ids import OpId, UserId
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.server.limits import Buckets, Doorway, TokenBucket
from greenroom.server.operations import Operations
from greenroom.server.outbox import MAX_FRAMES, Outbox

ANN, OP = UserId("ann"), OpId("1")


def test_a_bucket_allows_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(20.0, 60.0, now=0.0)
    assert sum(bucket.take(0.0) for _ in range(100)) == 60
    assert sum(bucket.take(1.0) for _ in range(100)) == 20
    assert sum(bucket.take(100.0) for _ in range(100)) == 60


def test_one_who_asks_too_much_does_not_use_up_what_others_may() -> None:
    buckets = Buckets(1.0, 2.0)
    assert [buckets.take("ann", 0.0) for _ in range(3)] == [True, True, False]
    assert buckets.take("bo", 0.0)


def test_thirty_strangers_from_one_address_may_wait() -> None:
    doorway = Doorway()
    assert sum(doorway.enter("203.0.113.4") for _ in range(40)) == 30
    assert doorway.enter("203.0.113.5")
    doorway.leave("203.0.113.4")
    assert doorway.enter("203.0.113.4")


def test_this_machine_may_bring_a_crowd() -> None:
    doorway = Doorway()
    assert all(doorway.enter("127.0.0.1") for _ in range(1000))


def test_control_frames_go_out_in_order_and_before_signals() -> None:
    outbox = Outbox()
    outbox.put_latest("pulse", b"old")
    outbox.put(b"1")
    outbox.put_latest("pulse", b"new")
    outbox.put(b"2")
    assert outbox.take() == [b"1", b"2", b"new"]
    assert outbox.take() == []
    assert not outbox.ready.is_set()


def test_a_client_that_does_not_read_is_noticed_by_count_and_by_size() -> None:
    many, large = Outbox(), Outbox()
    states = []
    for _ in range(MAX_FRAMES + 1):
        many.put(b"x")
        states.append(many.overflowed)
    assert states == [False] * MAX_FRAMES + [True]
    for size in (700_000, 700_000, 1):
        large.put(b"x" * size)
    assert large.overflowed


def test_one_large_frame_reaches_a_client_that_reads() -> None:
    outbox = Outbox()
    outbox.put(b"welcome")
    outbox.put(b"x" * 5_000_000)
    assert not outbox.overflowed
    assert len(outbox.take()) == 2


def test_signals_give_way_before_control_does() -> None:
    outbox = Outbox()
    for _ in range(1_000):
        outbox.put_signal(b"heart")
    outbox.put(b"control")
    assert not outbox.overflowed
    assert b"control" in outbox.take(1_000)


def test_an_outcome_is_remembered_for_ten_minutes() -> None:
    operations = Operations()
    no = Refusal(Reason.FULL, "full")
    operations.remember(ANN, OP, no, 0.0)
    operations.remember(UserId("bo"), OP, None, 0.0)
    assert operations.known(ANN, OP, 599.0) == (no,)
    assert operations.known(UserId("bo"), OP, 599.0) == (None,)
    assert operations.known(ANN, OpId("2"), 599.0) is None
    assert operations.known(ANN, OP, 601.0) is None


def test_what_may_work_the_next_time_is_not_remembered() -> None:
    operations = Operations()
    operations.remember(ANN, OP, Refusal(Reason.UNAVAILABLE, "try again"), 0.0)
    operations.remember(ANN, OP, Refusal(Reason.RATE_LIMITED, "slower"), 0.0)
    assert operations.known(ANN, OP, 0.0) is None
