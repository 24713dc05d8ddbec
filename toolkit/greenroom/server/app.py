"""The aiohttp application: who is let near, the WebSocket, the API and the page."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from aiohttp import web
from aiohttp.typedefs import Middleware

from greenroom.errors import Malformed, StorageFailed, Unauthorized
from greenroom.protocol.refusals import Reason
from greenroom.server.access import Access
from greenroom.server.connection import accept
from greenroom.server.house import House
from greenroom.server.http_api import MAX_BODY_BYTES, HttpApi, refusal_response
from greenroom.server.limits import Doorway
from greenroom.server.page import HEADERS, load_assets, respond

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(house: House, access: Access, *, open_guests: bool) -> web.Application:
    """Return the application over an open `house`."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_guard(house, access)])
    app.on_response_prepare.append(_add_headers)
    assets = load_assets()
    doorway = Doorway()
    server = f"greenroom/{version('greenroom')}"

    async def socket(request: web.Request) -> web.StreamResponse:
        return await accept(house, doorway, server, request)

    async def index(request: web.Request) -> web.StreamResponse:
        return respond(assets, "index.html", request)

    async def static(request: web.Request) -> web.StreamResponse:
        return respond(assets, request.match_info["name"], request)

    app.add_routes(
        [
            web.get("/ws", socket),
            web.get("/", index),
            web.get("/r/{cid}", index),
            web.get("/call", index),
            web.get("/static/{name:.+}", static),
            *HttpApi(house, open_guests).routes(),
        ]
    )
    return app


def _guard(house: House, access: Access) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who names this server and comes from a page of its own; answer in JSON when something is wrong."""
        host = request.headers.get("Host", "")
        changes_something = request.method not in ("GET", "HEAD") or request.path == "/ws"
        if not access.admits_host(host):
            return refusal_response(Reason.NOT_FOUND, "this server does not go by that name", 421)
        if changes_something and not access.admits_origin(request.headers.get("Origin"), host):
            return refusal_response(
                Reason.UNAUTHORIZED, "this server does not serve pages from elsewhere", 403
            )
        if changes_something and house.draining:
            return refusal_response(Reason.UNAVAILABLE, "the server is about to restart", 503)
        try:
            return await handler(request)
        except web.HTTPException as error:
            if request.path.startswith("/api/") and error.status >= 400:
                return refusal_response(_reason(error.status), error.text or error.reason, error.status)
            raise
        except Unauthorized as error:
            return refusal_response(Reason.UNAUTHORIZED, str(error), 401)
        except Malformed as error:
            return refusal_response(Reason.INVALID, str(error), 400)
        except StorageFailed:
            return refusal_response(Reason.UNAVAILABLE, "the server cannot read its store just now", 503)
        except Exception:  # the last stop before a stranger would see a traceback
            log.exception("a request failed unexpectedly")
            return refusal_response(Reason.UNAVAILABLE, "the server made a mistake", 500)

    return guard


def _reason(status: int) -> Reason:
    return {
        404: Reason.NOT_FOUND,
        413: Reason.TOO_LARGE,
        429: Reason.RATE_LIMITED,
        503: Reason.UNAVAILABLE,
    }.get(status, Reason.INVALID)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)
