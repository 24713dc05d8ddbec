"""The page's files, from memory, and the headers every answer carries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from aiohttp import web

WEB = Path(__file__).parent / "web"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Asset(msgspec.Struct, frozen=True):
    """One file of the page."""

    body: bytes
    kind: str
    tag: str


def load_assets(directory: Path = WEB) -> Mapping[str, Asset]:
    """Return the page's files by their path below `directory`; what is not of a known kind is left out."""
    assets: dict[str, Asset] = {}
    for file in sorted(directory.rglob("*")):
        if file.suffix in _KINDS and file.is_file():
            body = file.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            assets[file.relative_to(directory).as_posix()] = Asset(body, _KINDS[file.suffix], tag)
    return assets


def respond(assets: Mapping[str, Asset], name: str, request: web.Request) -> web.Response:
    """Return the file `name`, or that the browser has it already. Raises 404 for what is not one of `assets`."""
    asset = assets.get(name)
    if asset is None:
        raise web.HTTPNotFound(text="there is no such file")
    if request.headers.get("If-None-Match") == asset.tag:
        return web.Response(status=304, headers={"ETag": asset.tag})
    return web.Response(body=asset.body, headers={"Content-Type": asset.kind, "ETag": asset.tag})
