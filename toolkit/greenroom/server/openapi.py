"""The OpenAPI document of the HTTP API, from the values it takes and gives."""

from __future__ import annotations

from typing import Any

import msgspec

from greenroom.protocol.call_urls import Redeemed
from greenroom.protocol.wire import RoomsPage, Token


def document(version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server of `version`."""
    from greenroom.server.http_api import NewGuest, NewRoom, NewToken, UrlSecret  # which serves this

    kinds = (NewRoom, NewToken, NewGuest, UrlSecret, RoomsPage, Token, Redeemed)
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    components["Refusal"] = {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "message": {"type": "string"}},
        "required": ["reason", "message"],
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Greenroom",
            "version": version,
            "description": "What is not live. Rooms themselves are joined over the WebSocket at /ws.",
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "paths": {
            "/api/health": {
                "get": _operation("Whether newcomers are taken", {200: None, 503: None}, open_=True)
            },
            "/api/version": {"get": _operation("What speaks here", {200: None}, open_=True)},
            "/api/rooms": {
                "get": {
                    **_operation("Rooms the bearer may know of", {200: "RoomsPage", 400: "Refusal"}),
                    "parameters": [
                        _parameter("live", {"type": "boolean"}),
                        _parameter("call_type", {"type": "string"}),
                        _parameter("text", {"type": "string"}),
                        _parameter("sort", {"type": "string"}),
                        _parameter("limit", {"type": "integer", "minimum": 1, "maximum": 100}),
                        _parameter("after", {"type": "string"}),
                    ],
                },
                "post": _operation(
                    "Make a room, or get it",
                    {200: None, 201: None, 400: "Refusal", 404: "Refusal"},
                    takes="NewRoom",
                ),
            },
            "/api/tokens": {
                "post": _operation(
                    "Make a token; for admins",
                    {201: "Token", 400: "Refusal", 403: "Refusal"},
                    takes="NewToken",
                )
            },
            "/api/guest": {
                "post": _operation(
                    "Come in by a room's link",
                    {201: "Token", 400: "Refusal", 401: "Refusal", 429: "Refusal"},
                    takes="NewGuest",
                    open_=True,
                )
            },
            "/api/url": {
                "post": _operation(
                    "Come in by a pre-signed address",
                    {201: "Redeemed", 400: "Refusal", 401: "Refusal", 404: "Refusal", 429: "Refusal"},
                    takes="UrlSecret",
                    open_=True,
                )
            },
        },
    }


def _operation(
    summary: str, answers: dict[int, str | None], takes: str | None = None, open_: bool = False
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "responses": {}}
    shown = dict(answers) if open_ else {**answers, 401: "Refusal"}
    for status, kind in sorted(shown.items()):
        response: dict[str, Any] = {"description": "Refused" if status >= 400 else "Done"}
        schema = {"type": "object"} if kind is None else {"$ref": f"#/components/schemas/{kind}"}
        response["content"] = {"application/json": {"schema": schema}}
        operation["responses"][str(status)] = response
    if takes is not None:
        schema = {"$ref": f"#/components/schemas/{takes}"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if not open_:
        operation["security"] = [{"bearer": []}]
    return operation


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
