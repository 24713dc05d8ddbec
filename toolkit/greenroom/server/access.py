"""Which Host and Origin headers are let in: against other pages and rebound names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

import msgspec


class Access(msgspec.Struct, frozen=True):
    """`hosts` and `origins` are exact and in lower case. `any_address`: a Host that is a bare IP address is fine.

    A page of another name cannot make a browser send an address as Host, so addresses are safe where the server
    listens beyond loopback.
    """

    scheme: str
    hosts: frozenset[str]
    origins: frozenset[str]
    any_address: bool = False

    def admits_host(self, host: str) -> bool:
        """Tell whether a request may name us `host`."""
        return host.lower() in self.hosts or (self.any_address and _is_address(host))

    def admits_origin(self, origin: str | None, host: str) -> bool:
        """Tell whether the page of `origin` may use us; None (no browser) may, `null` (a file, a sandbox) may not."""
        if origin is None:
            return True
        origin = origin.lower()
        own = f"{self.scheme}://{host.lower()}"
        return origin in self.origins or (origin == own and self.admits_host(host))


def access_rules(
    scheme: str, host: str, port: int, hosts: Iterable[str], origins: Iterable[str], any_address: bool
) -> Access:
    """Return the rules of a server that listens on `host` and `port`: the loopback names, `host` and `hosts`."""
    default_port = {"http": 80, "https": 443}[scheme]
    named: set[str] = set()
    for name in ("127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host):
        named.add(f"{name}:{port}".lower())
        if port == default_port:
            named.add(name.lower())
    for name in hosts:
        has_port = ":" in name.rpartition("]")[2]
        named.add(name.lower() if has_port else f"{name}:{port}".lower())
        if not has_port:  # behind a proxy the usual port goes without saying
            named.add(name.lower())
    both = {f"{scheme}://{name}" for name in named}
    return Access(
        scheme, frozenset(named), frozenset(both | {o.lower().rstrip("/") for o in origins}), any_address
    )


def _is_address(host: str) -> bool:
    name = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
