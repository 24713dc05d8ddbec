"""A mirror keeps the newest, a mailbox keeps everything up to its size."""

from __future__ import annotations

import threading

from greenroom.mailbox import Mailbox, Mirror


def test_a_slow_reader_sees_the_newest_and_the_last_always_arrives() -> None:
    woken: list[bool] = []
    mirror = Mirror(0, lambda: woken.append(True))
    for number in range(1, 100):
        mirror.put(number)
    assert mirror.take() == (99, True)
    assert mirror.take() == (99, False)
    assert (len(woken), mirror.replaced) == (1, 98)


def test_a_mirror_announces_again_after_it_was_read() -> None:
    woken: list[bool] = []
    mirror = Mirror(0, lambda: woken.append(True))
    mirror.put(1)
    mirror.take()
    mirror.put(2)
    assert len(woken) == 2


def test_a_full_mailbox_makes_the_sender_wait_and_loses_nothing() -> None:
    box: Mailbox[int] = Mailbox(2)
    taken: list[int | None] = []
    reader = threading.Thread(target=lambda: taken.extend(box.take(5.0) for _ in range(50)))
    reader.start()
    assert all(box.put(number, 5.0) for number in range(50))
    reader.join()
    assert taken == list(range(50))


def test_a_full_mailbox_refuses_when_nobody_reads_in_time() -> None:
    box: Mailbox[int] = Mailbox(1)
    assert box.put(1, 0.01)
    assert not box.put(2, 0.01)
    assert box.take() == 1


def test_a_closed_mailbox_hands_out_what_is_left_and_then_none() -> None:
    box: Mailbox[int] = Mailbox(2)
    box.put(1)
    box.close()
    assert not box.put(2)
    assert (box.take(), box.take()) == (1, None)
