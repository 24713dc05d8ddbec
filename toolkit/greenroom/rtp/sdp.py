"""The SDP of an ICE-lite answerer: read one client's offer (JSEP, RFC 9429), write the answer.

Only what forwarding sound needs is understood. The first audio line the client sends on is the
microphone; each audio line it receives on is a slot.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

MAX_OFFER_CHARACTERS = 65536
MAX_LINES = 16
MAX_SLOTS = 8
MAX_DECLARED_SOURCES = 16
AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
DIRECTIONS: Mapping[str, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "sendonly",
    "recvonly": "recvonly",
    "inactive": "inactive",
}
DIGESTS = ("sha-256", "sha-384", "sha-512")

_RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9._-]+)/(\d{1,9})(?:/(\d{1,2}))?")
_TOKEN = re.compile(r"[A-Za-z0-9+/=._-]{1,256}")


class OfferUnreadable(msgspec.Struct, frozen=True):
    """An offer that cannot be answered; `reason` is for a person and quotes nothing from it."""

    reason: str


class OfferedLine(msgspec.Struct, frozen=True):
    """One m-line. Payload types are 0..127; `level_extension` is the id of RFC 6464 or None.

    `red_type` is set only when the RED of the offer carries the Opus of the offer. `sources` are the
    SSRCs the client declared for what it sends, maybe none.
    """

    kind: str
    mid: str
    protocol: str
    direction: Direction
    rejected: bool
    formats: tuple[str, ...]
    format_names: Mapping[str, str]
    opus_type: int | None
    red_type: int | None
    stereo: bool
    level_extension: int | None
    sources: tuple[int, ...]

    @property
    def sends(self) -> bool:
        """Whether the client wants to send here."""
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        """Whether the client wants to receive here."""
        return self.direction in ("sendrecv", "recvonly")


class Offer(msgspec.Struct, frozen=True):
    """What a client offers. `fingerprints` are (digest name, upper-case hex with colons)."""

    lines: tuple[OfferedLine, ...]
    ice_ufrag: str
    ice_pwd: str
    fingerprints: tuple[tuple[str, str], ...]
    microphone: int | None
    slots: tuple[int, ...]
    """Indexes into `lines` of those the client receives sound on, at most `MAX_SLOTS`."""

    @property
    def opus_type(self) -> int:
        """The Opus payload type of what is sent to this client."""
        return next(t for t in (self.lines[i].opus_type for i in self._audible) if t is not None)

    @property
    def red_type(self) -> int | None:
        """The RED payload type of what is sent to this client, None when it takes no RED."""
        return next((self.lines[i].red_type for i in self.slots), None)

    @property
    def _audible(self) -> tuple[int, ...]:
        return self.slots if self.microphone is None else (*self.slots, self.microphone)


class Answerer(msgspec.Struct, frozen=True):
    """Our side of the connection: one address and port for everything."""

    address: str
    port: int
    ice_ufrag: str
    ice_pwd: str
    fingerprint: str
    """SHA-256 of our certificate, upper-case hex with colons."""
    slot_sources: tuple[int, ...]
    """The constant SSRC of each slot, as many as the offer has."""
    session: int = 1


def parse_offer(text: str) -> Offer | OfferUnreadable:
    """Return what `text` offers, or why it cannot be answered. Never raises."""
    if len(text) > MAX_OFFER_CHARACTERS:
        return OfferUnreadable("it is too long")
    sections: list[list[str]] = [[]]
    for row in text.splitlines():
        line = row.strip()
        if line.startswith("m="):
            sections.append([])
        if line:
            sections[-1].append(line)
    session, media = sections[0], sections[1:]
    if not session or session[0] != "v=0":
        return OfferUnreadable("it is not a session description")
    if not 1 <= len(media) <= MAX_LINES:
        return OfferUnreadable(f"it has {len(media)} media lines, not 1 to {MAX_LINES}")
    lines: list[OfferedLine] = []
    for index, section in enumerate(media):
        line_or_problem = _line(index, section, session)
        if isinstance(line_or_problem, OfferUnreadable):
            return line_or_problem
        lines.append(line_or_problem)
    return _offer(lines, session, media)


def build_answer(offer: Offer, ours: Answerer) -> str:
    """Return the answer: microphone received, slots sent, other sound and video inactive, the rest refused.

    We are ICE-lite and DTLS-passive; everything is bundled on one port.
    """
    version = "IP6" if _is_ipv6(ours.address) else "IP4"
    bundled = [line.mid for line in offer.lines if not _refused(line)]
    rows = [
        "v=0",
        f"o=- {ours.session} 1 IN {version} {ours.address}",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=group:BUNDLE {' '.join(bundled)}",
        "a=msid-semantic: WMS *",
    ]
    for index, line in enumerate(offer.lines):
        if _refused(line):
            rows += [
                f"m={line.kind} 0 {line.protocol} {' '.join(line.formats)}",
                f"c=IN {version} {ours.address}",
            ]
            rows += [f"a=mid:{line.mid}", "a=inactive"]
            continue
        slot = offer.slots.index(index) if index in offer.slots else None
        rows += _answer_line(line, index == offer.microphone, slot, ours, version)
    return "\r\n".join(rows) + "\r\n"


def _offer(
    lines: Sequence[OfferedLine], session: Sequence[str], media: Sequence[Sequence[str]]
) -> Offer | OfferUnreadable:
    live = [i for i, line in enumerate(lines) if not _refused(line)]
    if len(live) > 1:
        bundles = [set(v.split()[1:]) for v in _values(session, "group") if v.split()[:1] == ["BUNDLE"]]
        if not any({lines[i].mid for i in live} <= bundle for bundle in bundles):
            return OfferUnreadable("its media lines are not bundled; offer them as one bundle")
    if len({line.mid for line in lines}) != len(lines):
        return OfferUnreadable("two of its media lines have the same name")
    first = media[live[0]] if live else session
    ufrag, pwd = _first(first, session, "ice-ufrag"), _first(first, session, "ice-pwd")
    if not _TOKEN.fullmatch(ufrag) or not _TOKEN.fullmatch(pwd) or len(ufrag) < 4 or len(pwd) < 22:
        return OfferUnreadable("it has no usable ICE credentials")
    if _first(first, session, "setup") not in ("actpass", "active"):
        return OfferUnreadable("it does not let us be the passive side of DTLS")
    fingerprints = tuple(
        (name.lower(), digest.strip().upper())
        for name, _, digest in (v.partition(" ") for v in _values([*first, *session], "fingerprint"))
        if name.lower() in DIGESTS
    )
    if not fingerprints:
        return OfferUnreadable("it has no certificate fingerprint we can check")
    sound = [i for i in live if lines[i].kind == "audio" and lines[i].opus_type is not None]
    microphone = next((i for i in sound if lines[i].sends), None)
    slots = tuple(i for i in sound if lines[i].receives)[:MAX_SLOTS]
    if microphone is None and not slots:
        return OfferUnreadable("it has no Opus line to send or receive on")
    return Offer(tuple(lines), ufrag, pwd, fingerprints, microphone, slots)


def _line(index: int, section: Sequence[str], session: Sequence[str]) -> OfferedLine | OfferUnreadable:
    words = section[0][2:].split()
    if len(words) < 4 or not all(_TOKEN.fullmatch(word) for word in words):
        return OfferUnreadable(f"media line {index + 1} is malformed")
    kind, port, protocol, formats = words[0], words[1], words[2], tuple(words[3:])
    mid = next(iter(_values(section, "mid")), str(index))
    if not _TOKEN.fullmatch(mid) or len(mid) > 32:
        return OfferUnreadable(f"media line {index + 1} has an unusable name")
    names: dict[str, str] = {}
    for value in _values(section, "rtpmap"):
        match = _RTPMAP.fullmatch(value)
        if match and match[1] in formats and int(match[1]) < 128:
            names.setdefault(match[1], value.partition(" ")[2])
    parameters = {fmt: text for fmt, _, text in (v.partition(" ") for v in _values(section, "fmtp"))}
    opus = next((fmt for fmt in formats if names.get(fmt, "").lower() == "opus/48000/2"), None)
    red = next((fmt for fmt in formats if _carries(names.get(fmt, ""), parameters.get(fmt, ""), opus)), None)
    flags = [row[2:] for row in (*session, *section) if row[2:] in DIRECTIONS and row.startswith("a=")]
    return OfferedLine(
        kind=kind,
        mid=mid,
        protocol=protocol,
        direction=DIRECTIONS[flags[-1]] if flags else "sendrecv",
        rejected=port == "0" and "a=bundle-only" not in section,
        formats=formats,
        format_names=names,
        opus_type=None if opus is None else int(opus),
        red_type=None if red is None else int(red),
        stereo=opus is not None and "stereo=1" in re.split(r"[;\s]+", parameters.get(opus, "")),
        level_extension=_level_extension(section),
        sources=_sources(section),
    )


def _answer_line(
    line: OfferedLine, is_microphone: bool, slot: int | None, ours: Answerer, version: str
) -> list[str]:
    kept = [line.formats[0]]
    if line.opus_type is not None:
        spoken = (str(line.opus_type), str(line.red_type))
        kept = [fmt for fmt in line.formats if fmt in spoken]  # a browser sends what comes first
    direction = {
        (True, False): "recvonly",
        (True, True): "sendrecv",
        (False, True): "sendonly",
        (False, False): "inactive",
    }[(is_microphone, slot is not None)]
    rows = [
        f"m={line.kind} {ours.port} {line.protocol} {' '.join(kept)}",
        f"c=IN {version} {ours.address}",
        f"a=mid:{line.mid}",
        f"a={direction}",
        f"a=ice-ufrag:{ours.ice_ufrag}",
        f"a=ice-pwd:{ours.ice_pwd}",
        f"a=fingerprint:sha-256 {ours.fingerprint}",
        "a=setup:passive",
        "a=rtcp-mux",
    ]
    rows += [f"a=rtpmap:{fmt} {line.format_names[fmt]}" for fmt in kept if fmt in line.format_names]
    if line.opus_type is not None:
        stereo = ";stereo=1;sprop-stereo=1" if line.stereo else ""
        rows.append(f"a=fmtp:{line.opus_type} minptime=10;useinbandfec=1;usedtx=1{stereo}")
        if line.red_type is not None:
            rows.append(f"a=fmtp:{line.red_type} {line.opus_type}/{line.opus_type}")
    if is_microphone and line.level_extension is not None:
        rows.append(f"a=extmap:{line.level_extension} {AUDIO_LEVEL_URI}")
    if slot is not None:
        rows += [
            f"a=msid:greenroom slot-{slot}",
            f"a=ssrc:{ours.slot_sources[slot]} cname:greenroom",
            f"a=ssrc:{ours.slot_sources[slot]} msid:greenroom slot-{slot}",
        ]
    rows += [f"a=candidate:1 1 udp 2130706431 {ours.address} {ours.port} typ host", "a=end-of-candidates"]
    return rows


def _refused(line: OfferedLine) -> bool:
    return line.rejected or line.kind not in ("audio", "video")


def _carries(name: str, parameters: str, opus: str | None) -> bool:
    inner = parameters.split("/")
    return name.lower() == "red/48000/2" and opus is not None and len(inner) > 1 and set(inner) == {opus}


def _level_extension(section: Sequence[str]) -> int | None:
    for value in _values(section, "extmap"):
        words = value.split()
        identifier = words[0].partition("/")[0] if words else ""
        if (
            len(words) > 1
            and words[1] == AUDIO_LEVEL_URI
            and _is_number(identifier, 255)
            and identifier != "0"
        ):
            return int(identifier)
    return None


def _sources(section: Sequence[str]) -> tuple[int, ...]:
    numbers = (value.split(" ")[0] for value in _values(section, "ssrc"))
    unique = dict.fromkeys(int(number) for number in numbers if _is_number(number, 0xFFFFFFFF))
    return tuple(unique)[:MAX_DECLARED_SOURCES]


def _is_number(text: str, largest: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= largest


def _values(rows: Sequence[str], attribute: str) -> list[str]:
    start = f"a={attribute}:"
    return [row[len(start) :].strip() for row in rows if row.startswith(start)]


def _first(section: Sequence[str], session: Sequence[str], attribute: str) -> str:
    return next(iter(_values([*section, *session], attribute)), "")


def _is_ipv6(address: str) -> bool:
    return ipaddress.ip_address(address).version == 6
