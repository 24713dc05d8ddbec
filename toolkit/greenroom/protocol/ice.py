"""ICE servers and their credentials, as values. Pure."""

from __future__ import annotations

import msgspec

MAX_TURN_SECONDS = 24 * 3600.0
TURN_SECONDS = 3600.0


class IceServer(msgspec.Struct, frozen=True):
    """One entry of a peer connection's `iceServers` (WebRTC 1.0, section 4.2.2). A STUN server has no credential."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None

    def __repr__(self) -> str:
        return f"IceServer(urls={self.urls!r}{'' if self.credential is None else ', credential=…'})"


class QueryIceServers(
    msgspec.Struct, frozen=True, tag_field="ask", tag="ice_servers", forbid_unknown_fields=True
):
    """Servers that help two peers reach each other, with credentials made for the asker now."""


class IceServers(msgspec.Struct, frozen=True, tag_field="answer", tag="ice_servers"):
    """Empty where the server names none: then only direct addresses are tried, and nothing waits for a server that is dead.

    `expires_at`: until when the credentials are taken (wall-clock seconds); None where there are none.
    """

    servers: tuple[IceServer, ...] = ()
    expires_at: float | None = None

    @property
    def relayed(self) -> bool:
        """Whether a relay is among them."""
        return any(url.startswith(("turn:", "turns:")) for server in self.servers for url in server.urls)
