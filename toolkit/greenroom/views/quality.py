"""How good a line is in words: the word, what makes it so, and which knob of ours would help."""

from __future__ import annotations

import msgspec

from greenroom.protocol.ids import UserId
from greenroom.protocol.wire import Quality
from greenroom.state.call import CallState
from greenroom.state.statistics import CallStatistics, Cause, Coding, LineQuality, PersonStatistics

_LOSSY = 0.02
_BARS = {Quality.EXCELLENT: "▂▄▆", Quality.GOOD: "▂▄ ", Quality.POOR: "▂  ", Quality.LOST: " × "}


class QualityRow(msgspec.Struct, frozen=True):
    """One person's line. `word`: excellent, good, poor or lost; `bars`: three columns of the same; `reason`: a sentence
    without a full stop, empty while the line is excellent; `mine`: it is about me."""

    user: UserId
    name: str
    word: str
    bars: str
    reason: str
    mine: bool = False


class Advice(msgspec.Struct, frozen=True):
    """What would help. `knob`: the name in `AudioConfiguration` that does it, empty where none of ours does."""

    words: str
    knob: str = ""


class NumberRow(msgspec.Struct, frozen=True):
    """One measured number: what it is called, the value with its unit, and what to know about it."""

    name: str
    value: str
    note: str = ""


def quality_row(call: CallState, user: UserId) -> QualityRow:
    """Return the line of `user`; of whom nothing is known, it is taken as excellent."""
    line = call.lines.get(user, LineQuality())
    person = None if call.room is None else call.room.participants.get(user)
    name = str(user) if person is None else person.name
    mine = user == call.me
    return QualityRow(
        user, name, line.quality.value, _BARS[line.quality], reason_words(line, "" if mine else name), mine
    )


def quality_words(call: CallState, user: UserId) -> str:
    """Return word and reason: `poor: 12 % of what Bo sends is lost on the way here; most of it is recovered`."""
    row = quality_row(call, user)
    return f"{row.word}: {row.reason}" if row.reason else row.word


def reason_words(line: LineQuality, name: str) -> str:
    """Return what makes a line worse than excellent; empty when nothing does. `name` empty: the line is mine."""
    match line.cause:
        case Cause.SENT_LOSS:
            where = "here" if line.here else "to the server"
            who = "you send" if not name else f"{name} sends"
            return f"{percent(line.sent_lost)} of what {who} is lost on the way {where}" + (
                _recovery(line) if line.here else ""
            )
        case Cause.RECEIVED_LOSS:
            who = name or "you"
            return f"{percent(line.received_lost)} of what is sent to {who} is lost" + (
                "" if name else _recovery(line)
            )
        case Cause.LATE:
            return f"{percent(line.late)} of the sound is made up: packets come too late, or this machine is too busy"
        case Cause.JITTER:
            whose = "packets" if not name else f"{name}'s packets"
            return f"{whose} come up to {line.jitter_ms:.0f} ms unevenly, so the buffer waits longer"
        case Cause.ROUND_TRIP:
            who = name or "you"
            return f"the way between {who} and the server takes {line.rtt_ms or 0.0:.0f} ms there and back"
        case _:
            return ""


def advice(call: CallState) -> Advice | None:
    """Return what would help against what is worst on my own line now; None while it is excellent."""
    line = call.lines.get(call.me, LineQuality())
    audio = call.audio
    if line.cause is Cause.NONE or audio is None:
        return None
    match line.cause:
        case Cause.SENT_LOSS:
            if audio.red_depth != "adaptive" and audio.red_depth < 2:
                return Advice("repeat earlier packets: set RED to adaptive", "red_depth")
            if not audio.fec and audio.application == "voip":
                return Advice("send a copy inside each packet: switch FEC on", "fec")
            if audio.bitrate > 32_000:
                return Advice(
                    f"send less: lower the bitrate from {audio.bitrate / 1000:g} to 32 kb/s", "bitrate"
                )
            return Advice("every knob is turned already: a cable or another network would help")
        case Cause.RECEIVED_LOSS:
            if line.recovered >= 0.7 * line.received_lost:
                return Advice("nothing to do: what is lost is recovered")
            return Advice(
                "what is sent to you is lost on your own line: a cable or another network would help"
            )
        case Cause.LATE:
            return Advice("let this machine do less, or use a cable; the buffer grows by itself")
        case Cause.JITTER:
            if audio.playout_target_ms < 100:
                return Advice(
                    "the buffer grows by itself; to have it long from the start, join with a wait of 100 ms",
                    "playout_target_ms",
                )
            return Advice("the buffer waits as long as it needs to; a cable would help")
        case _:
            return Advice("distance is not for a knob: a server nearer to you would help")


def number_rows(sample: CallStatistics | None) -> tuple[NumberRow, ...]:
    """Return the numbers of both directions in words; empty before the first sample."""
    if sample is None:
        return ()
    rtt = "not known yet" if sample.rtt_ms is None else f"{sample.rtt_ms:.0f} ms"
    return (
        NumberRow("sent", f"{sample.sent_kbps:.0f} kb/s", f"{sample.packets_sent} packets"),
        NumberRow("sent as", coding_words(sample.coding)),
        NumberRow("lost of what you send", percent(sample.sent_lost_fraction), "as the server reports"),
        NumberRow("received", f"{sample.received_kbps:.0f} kb/s", f"{sample.packets_received} packets"),
        NumberRow(
            "lost of what is sent to you",
            percent(sample.lost_fraction),
            f"{percent(sample.recovered_fraction)} recovered, {percent(sample.concealed_fraction)} of sound made up",
        ),
        NumberRow(
            "recovered so far",
            f"{sample.recovered_red + sample.recovered_fec} packets",
            f"{sample.recovered_red} by RED, {sample.recovered_fec} by FEC",
        ),
        NumberRow("jitter", f"{sample.jitter_ms:.0f} ms"),
        NumberRow("buffer", f"{sample.buffer_ms:.0f} ms"),
        NumberRow("round trip", rtt),
        NumberRow("level of your microphone", level_words(sample.level_dbfs)),
        NumberRow("opinion score", opinion_words(sample.mean_opinion), "1.0 bad to 4.4 excellent"),
    )


def person_rows(sample: CallStatistics | None, user: UserId) -> tuple[NumberRow, ...]:
    """Return the numbers of what is heard of one person; empty where they were not heard for a minute."""
    person = None if sample is None else sample.by_person.get(user)
    if person is None:
        return ()
    return (
        NumberRow("received", f"{person.kbps:.0f} kb/s", f"{person.packets} packets"),
        NumberRow("coded as", coding_words(person.coding)),
        NumberRow(
            "lost",
            percent(person.lost_fraction),
            f"{percent(person.recovered_fraction)} recovered, {percent(person.concealed_fraction)} made up",
        ),
        NumberRow("lost so far", f"{person.lost} packets", _so_far(person)),
        NumberRow("jitter", f"{person.jitter_ms:.0f} ms"),
        NumberRow("buffer", f"{person.buffer_ms:.0f} ms"),
        NumberRow("level", level_words(person.level_dbfs)),
        NumberRow("opinion score", opinion_words(person.mean_opinion), "1.0 bad to 4.4 excellent"),
    )


def coding_words(coding: Coding | None) -> str:
    """Return how a voice is coded: `Opus 64 kb/s mono, 20 ms, 1 repeated (RED), FEC, DTX`."""
    if coding is None:
        return "not coded: it stays on this machine"
    parts = [
        coding.codec + ("" if coding.bitrate is None else f" {coding.bitrate / 1000:g} kb/s"),
        "stereo" if coding.channels == 2 else "mono",
        f"{coding.frame_ms:g} ms",
        f"type {coding.payload_type}"
        + ("" if coding.red_payload_type is None else f"/{coding.red_payload_type}"),
        f"{coding.red_depth} repeated (RED)" if coding.red_depth else "",
        "FEC" if coding.fec else "",
        "DTX" if coding.dtx else "",
    ]
    return ", ".join(part for part in parts if part)


def percent(share: float) -> str:
    """Return a share of 0.0 to 1.0 as people write it: `0 %`, `0.4 %`, `12 %`."""
    number = 100.0 * share
    return f"{number:.0f} %" if number >= 9.95 or number < 0.05 else f"{number:.1f} %"


def level_words(level_dbfs: float) -> str:
    """Return a level with its unit; below −90 dBFS it is silence."""
    return "silent" if level_dbfs <= -90.0 else f"{level_dbfs:.0f} dBFS".replace("-", "−")


def opinion_words(score: float | None) -> str:
    """Return an opinion score; nothing was heard without one."""
    return "nothing was heard" if score is None else f"{score:.1f}"


def _recovery(line: LineQuality) -> str:
    lost = line.sent_lost if line.here else line.received_lost
    if line.recovered <= 0.0 or lost <= 0.0:
        return "; none of it is recovered"
    share = line.recovered / lost
    if share >= 0.95:
        return "; RED and FEC recover it"
    return "; RED and FEC recover most of it" if share >= 0.5 else "; RED and FEC recover some of it"


def _so_far(person: PersonStatistics) -> str:
    return f"{person.recovered_red} came back by RED, {person.recovered_fec} by FEC"
