"""Messages of the WebSocket: JSON, one tagged union each way, and their codecs.

A client's first message is `Authenticate` or `Resume`; a token never travels in a URL. Each `Do`, `Attach` and `Ask`
carries an `op` chosen by the client and is answered once by `Done`, `Failed`, `Attached` or `Answer`.
What is control (`Snapshot`, `Happened`) is numbered and neither dropped nor coalesced; `Pulse` is coalesced,
`Emitted` is bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from greenroom.errors import Malformed
from greenroom.protocol.call_types import CallType
from greenroom.protocol.call_urls import MakeUrl, QueryUrls, RevokeUrl, SignedUrl, UrlsPage
from greenroom.protocol.events import Event
from greenroom.protocol.ice import IceServers, QueryIceServers
from greenroom.protocol.ids import Cid, OpId, Role, UserId
from greenroom.protocol.peers import PeerSignal
from greenroom.protocol.permissions import Capability
from greenroom.protocol.records import HistoryPage, QueryHistory, RecordCall
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.requests import Request
from greenroom.protocol.ringing import MissedCall, Ring, Scalar
from greenroom.protocol.room import Message, Participant, Room

PROTOCOL_VERSION = 1
MAX_MESSAGE_BYTES = 64 * 1024
MAX_SDP_BYTES = 32 * 1024
MAX_DEPTH = 16
HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 15.0


class CloseCode:
    """Why the server closed a WebSocket (4000–4999 are ours; RFC 6455, section 7.4.2)."""

    GOING_AWAY = 1001
    TOO_BIG = 1009
    MALFORMED = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    NOT_READING = 4408
    REPLACED = 4409
    UNSUPPORTED_VERSION = 4426
    TOO_FAST = 4429


# ---- signals: beside the event log, bounded, never kept


class Reaction(msgspec.Struct, frozen=True, tag_field="signal", tag="reaction", forbid_unknown_fields=True):
    """An emoji that floats by."""

    emoji: str


class CustomSignal(msgspec.Struct, frozen=True, tag_field="signal", tag="custom", forbid_unknown_fields=True):
    """Something an application tells the room: a name and flat data, at most 4 kB."""

    name: str
    data: Mapping[str, Scalar] = {}


class Typing(msgspec.Struct, frozen=True, tag_field="signal", tag="typing", forbid_unknown_fields=True):
    """Somebody is writing."""


Signal = Reaction | CustomSignal | Typing


# ---- questions: answered once, change nothing


class RoomFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`None` does not filter. `text` looks in title and cid."""

    live: bool | None = None
    call_type: str | None = None
    text: str | None = None
    member: UserId | None = None
    include_ended: bool = False


class QueryRooms(msgspec.Struct, frozen=True, tag_field="ask", tag="rooms", forbid_unknown_fields=True):
    """The rooms the asker may know of. `sort`: activity (default), created, title, starts_at, participants."""

    filter: RoomFilter = RoomFilter()
    sort: str = "activity"
    limit: int = 50
    after: str | None = None


class QueryPeople(msgspec.Struct, frozen=True, tag_field="ask", tag="people", forbid_unknown_fields=True):
    """A page of everybody here, the unlisted included, in order of joining. `text` looks in names."""

    cid: Cid
    text: str = ""
    limit: int = 50
    after: int = 0


class QueryRoom(msgspec.Struct, frozen=True, tag_field="ask", tag="room", forbid_unknown_fields=True):
    """One room as the asker may see it, without joining."""

    cid: Cid


class QueryMessages(msgspec.Struct, frozen=True, tag_field="ask", tag="messages", forbid_unknown_fields=True):
    """Chat before message id `before` (the newest without), oldest first."""

    cid: Cid
    before: str | None = None
    limit: int = 50


class QueryCallTypes(
    msgspec.Struct, frozen=True, tag_field="ask", tag="call_types", forbid_unknown_fields=True
):
    """Every call type this server knows."""


class PutCallType(
    msgspec.Struct, frozen=True, tag_field="ask", tag="put_call_type", forbid_unknown_fields=True
):
    """Add or replace a call type; admins only. Rooms that exist keep what they have."""

    call_type: CallType


class MintToken(msgspec.Struct, frozen=True, tag_field="ask", tag="mint_token", forbid_unknown_fields=True):
    """A link for a guest or listener of a room the asker is in; `role` is guest or anonymous."""

    cid: Cid
    role: Role
    seconds: float = 3600.0


class MintCallToken(
    msgspec.Struct, frozen=True, tag_field="ask", tag="mint_call_token", forbid_unknown_fields=True
):
    """A token for the asker in one room alone, for another device of theirs; the room need not be there yet."""

    cid: Cid
    seconds: float = 3600.0


Question = (
    QueryRooms
    | QueryRoom
    | QueryPeople
    | QueryMessages
    | QueryCallTypes
    | PutCallType
    | MintToken
    | MintCallToken
    | MakeUrl
    | QueryUrls
    | RevokeUrl
    | QueryIceServers
    | QueryHistory
    | RecordCall
)


class RoomPreview(msgspec.Struct, frozen=True):
    """What a lobby shows of a room. `on_stage` holds at most ten names; `hands` only what the asker may see."""

    cid: Cid
    title: str
    live: bool
    live_since: float | None
    created_at: float
    starts_at: float | None
    ended_at: float | None
    created_by: UserId
    participants: int
    hands: int
    on_stage: tuple[str, ...] = ()


class RoomsPage(msgspec.Struct, frozen=True, tag_field="answer", tag="rooms"):
    rooms: tuple[RoomPreview, ...]
    next: str | None = None


class RoomView(msgspec.Struct, frozen=True, tag_field="answer", tag="room"):
    room: Room


class PeoplePage(msgspec.Struct, frozen=True, tag_field="answer", tag="people"):
    people: tuple[Participant, ...]
    total: int
    next: int | None = None


class MessagesPage(msgspec.Struct, frozen=True, tag_field="answer", tag="messages"):
    messages: tuple[Message, ...]
    earlier: bool


class CallTypes(msgspec.Struct, frozen=True, tag_field="answer", tag="call_types"):
    call_types: tuple[CallType, ...]


class Token(msgspec.Struct, frozen=True, tag_field="answer", tag="token"):
    """A join token. `repr` keeps it secret."""

    token: str
    expires_at: float

    def __repr__(self) -> str:
        return f"Token(token=…, expires_at={self.expires_at})"


AnswerBody = (
    RoomsPage
    | RoomView
    | PeoplePage
    | MessagesPage
    | CallTypes
    | Token
    | SignedUrl
    | UrlsPage
    | IceServers
    | HistoryPage
)


# ---- client to server


class _FromClient(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    pass


class Authenticate(_FromClient, frozen=True, tag="authenticate"):
    """The first message. `name` is asked for by guests and anonymous people whose token names nobody."""

    version: int
    token: str
    client: str = ""
    name: str = ""

    def __repr__(self) -> str:
        return f"Authenticate(version={self.version}, token=…, client={self.client!r})"


class Resume(_FromClient, frozen=True, tag="resume"):
    """The first message of somebody who was here. `seen` maps each room to the last (epoch, seq) folded."""

    version: int
    resume_token: str
    seen: Mapping[Cid, tuple[int, int]] = {}

    def __repr__(self) -> str:
        return f"Resume(version={self.version}, resume_token=…)"


class Do(_FromClient, frozen=True, tag="do"):
    op: OpId
    cid: Cid
    request: Request


class Attach(_FromClient, frozen=True, tag="attach"):
    """Connect sound: one offer, answered once (`Attached`). Again after media was lost."""

    op: OpId
    cid: Cid
    offer: str

    def __repr__(self) -> str:
        return f"Attach(op={self.op!r}, cid={self.cid!r}, offer=…)"


class Ask(_FromClient, frozen=True, tag="ask"):
    op: OpId
    question: Question


class Emit(_FromClient, frozen=True, tag="emit"):
    cid: Cid
    signal: Signal


class ToPeer(_FromClient, frozen=True, tag="to_peer"):
    """For the other person of a room whose two people may send sound directly; passed on as `FromPeer`, or dropped."""

    cid: Cid
    to: UserId
    body: PeerSignal


class Sync(_FromClient, frozen=True, tag="sync"):
    """Something is missing after (epoch, seq): send it, or a snapshot."""

    cid: Cid
    epoch: int
    seq: int


class WatchRooms(_FromClient, frozen=True, tag="watch_rooms"):
    """Send `RoomsChanged` when a room the asker may know of appears, changes or goes, at most once a second."""

    on: bool = True


class Ping(_FromClient, frozen=True, tag="ping"):
    at: float


FromClient = Authenticate | Resume | Do | Attach | Ask | Emit | ToPeer | Sync | WatchRooms | Ping


# ---- server to client


class _FromServer(msgspec.Struct, frozen=True, tag_field="type"):
    pass


class Welcome(_FromServer, frozen=True, tag="welcome"):
    """Who you are here. `resume_token` works once, within the grace period. `resumed`: rooms you are still in."""

    user: UserId
    name: str
    role: Role
    resume_token: str
    server: str
    now: float
    resumed: tuple[Cid, ...] = ()
    heartbeat_seconds: float = HEARTBEAT_SECONDS

    def __repr__(self) -> str:
        return f"Welcome(user={self.user!r}, name={self.name!r}, role={self.role!r}, resume_token=…)"


class Done(_FromServer, frozen=True, tag="done"):
    """The request was accepted and is kept. For a `GetOrCreate` or `Join`, a `Snapshot` came before."""

    op: OpId


class Failed(_FromServer, frozen=True, tag="failed"):
    op: OpId
    refusal: Refusal


class Answer(_FromServer, frozen=True, tag="answer"):
    op: OpId
    body: AnswerBody


class Attached(_FromServer, frozen=True, tag="attached"):
    op: OpId
    cid: Cid
    answer: str

    def __repr__(self) -> str:
        return f"Attached(op={self.op!r}, cid={self.cid!r}, answer=…)"


class Snapshot(_FromServer, frozen=True, tag="snapshot"):
    """The whole room as this client may see it, at (epoch, seq)."""

    cid: Cid
    epoch: int
    seq: int
    room: Room


class Happened(_FromServer, frozen=True, tag="happened"):
    """Events in order; the first has number `seq`."""

    cid: Cid
    epoch: int
    seq: int
    events: tuple[Event, ...]


class PersonLevel(msgspec.Struct, frozen=True, array_like=True):
    """How loud somebody is: their number, level in dBFS (−127 to 0), whether they speak."""

    number: int
    level_dbfs: float
    speaking: bool


class Pulse(_FromServer, frozen=True, tag="pulse"):
    """Who is heard right now, 10 times a second while something changes; newest wins."""

    cid: Cid
    levels: tuple[PersonLevel, ...]
    dominant: int | None = None


class Quality(StrEnum):
    EXCELLENT = "excellent"
    GOOD = "good"
    POOR = "poor"
    LOST = "lost"


class PersonQuality(_FromServer, frozen=True, tag="quality"):
    """How well the server and one person reach each other; newest wins.

    `sent_lost` of what they send and `received_lost` of what is sent to them does not arrive, 0.0 to 1.0; `jitter_ms` is
    the worse of both directions, `rtt_ms` None when it is not known.
    """

    cid: Cid
    user: UserId
    quality: Quality
    sent_lost: float = 0.0
    received_lost: float = 0.0
    jitter_ms: float = 0.0
    rtt_ms: float | None = None


class LossReport(_FromServer, frozen=True, tag="loss"):
    """How much of our packets our listeners lose: the 90th percentile, 0.0 to 1.0; newest wins."""

    cid: Cid
    p90_fraction: float


class Emitted(_FromServer, frozen=True, tag="emitted"):
    cid: Cid
    user: UserId
    name: str
    signal: Signal


class FromPeer(_FromServer, frozen=True, tag="from_peer"):
    """What the other person says to get sound to us directly; the server looked at size and sender, not at what it says."""

    cid: Cid
    user: UserId
    body: PeerSignal


class MediaLost(_FromServer, frozen=True, tag="media_lost"):
    """Sound is gone (its worker was replaced, or consent expired): send a new `Attach`."""

    cid: Cid
    reason: str


class Removed(_FromServer, frozen=True, tag="removed"):
    """You are no longer in this room; nothing more of it follows."""

    cid: Cid
    reason: str
    by: UserId | None = None


class RingChanged(_FromServer, frozen=True, tag="ring_changed"):
    """A call that concerns you, whole; of two with one id the higher version is the newer."""

    ring: Ring


class Rings(_FromServer, frozen=True, tag="rings"):
    """Every call that concerns you and is not over, after each `Welcome`: one that is not among them is over."""

    rings: tuple[Ring, ...] = ()


class MissedCalls(_FromServer, frozen=True, tag="missed_calls"):
    """Calls that ended without you while you were away, oldest first; told once."""

    calls: tuple[MissedCall, ...]


class RoomsChanged(_FromServer, frozen=True, tag="rooms_changed"):
    """Ask again: the list of rooms is not what it was."""


class Goodbye(_FromServer, frozen=True, tag="goodbye"):
    """The server closes this connection. `retry_seconds`: when to come back; None: do not by yourself."""

    reason: str
    retry_seconds: float | None = None


class Pong(_FromServer, frozen=True, tag="pong"):
    at: float
    now: float


FromServer = (
    Welcome
    | Done
    | Failed
    | Answer
    | Attached
    | Snapshot
    | Happened
    | Pulse
    | PersonQuality
    | LossReport
    | Emitted
    | FromPeer
    | MediaLost
    | Removed
    | RingChanged
    | Rings
    | MissedCalls
    | RoomsChanged
    | Goodbye
    | Pong
)

_encoder = msgspec.json.Encoder()
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_from_client: msgspec.json.Decoder[FromClient] = msgspec.json.Decoder(FromClient)
_from_server: msgspec.json.Decoder[FromServer] = msgspec.json.Decoder(FromServer)


def encode(message: FromClient | FromServer) -> bytes:
    """Return `message` as UTF-8 JSON."""
    return _encoder.encode(message)


def encode_from_client(message: FromClient) -> bytes:
    """Return `message` as UTF-8 JSON that a server reads. Raises `Malformed` where it would not.

    A server ends the connection of whoever sends what it cannot read, and with it all their calls; a wrong value
    from a caller must cost the caller this one request.
    """
    try:
        data = _encoder.encode(message)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise Malformed(f"that cannot be sent: {error}") from None
    decode_from_client(data)
    return data


def decode_from_client(raw: bytes | str) -> FromClient:
    """Return the message in `raw`. Raises `Malformed` on anything else: too big, too deep, unknown field, wrong type."""
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if len(data) > MAX_MESSAGE_BYTES:
        raise Malformed(f"a message may have {MAX_MESSAGE_BYTES} bytes, this one has {len(data)}")
    if _depth(data) > MAX_DEPTH:
        raise Malformed(f"a message may nest {MAX_DEPTH} deep")
    try:
        json.loads(data, object_pairs_hook=_once_each)
        return _from_client.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed(f"not a message of this protocol: {error}") from None


def decode_from_server(raw: bytes | str) -> FromServer:
    """Return the message in `raw`. Raises `Malformed` when it is not one; unknown fields are let pass."""
    try:
        return _from_server.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the server sent something this version does not understand: {error}") from None


def _once_each(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object that names a key twice: two readers could understand two different messages."""
    if len(pairs) != len({key for key, _ in pairs}):
        raise ValueError("an object names a key twice")


def _depth(data: bytes) -> int:
    """Return how deep arrays and objects nest in `data`, brackets inside strings not counted."""
    depth = deepest = 0
    for byte in _STRING.sub(b"", data).translate(None, _NOT_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def capability_names(capabilities: frozenset[Capability]) -> str:
    """Return the names in order, for people."""
    return ", ".join(sorted(capabilities))
