from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from yarl import URL

from greenroom.protocol.ids import ADMIN, Cid, UserId
from greenroom.protocol.requests import BlockUser, GetOrCreate, Join
from greenroom.protocol.wire import Welcome
from greenroom.server.page import CONTENT_SECURITY_POLICY
from tests.server.guest import CID, open_room, serving, token_for, visiting

pytestmark = pytest.mark.live


async def call(
    url: str, method: str = "GET", token: str | None = None, body: object = None, **headers: str
) -> tuple[int, Any]:
    """Return status and JSON of one request."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, data=content, headers=headers) as answer,
    ):
        return answer.status, json.loads(await answer.read())


async def test_health_and_version_are_for_everybody(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert await call(f"{server.url}/api/health") == (200, {"status": "ok", "media": False})
        status, version = await call(f"{server.url}/api/version")
        assert (status, version["name"], version["protocol"]) == (200, "greenroom", 1)


async def test_the_document_describes_every_address(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        _, document = await call(f"{server.url}/api/openapi.json")
        assert document["openapi"].startswith("3.1")
        served = {
            path
            for path in ("/api/health", "/api/version", "/api/rooms", "/api/tokens", "/api/guest", "/api/url")
            if (await call(server.url + path, "GET"))[0] in (200, 401, 405)
        }
        assert set(document["paths"]) == served
        references = [part.split('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]]
        assert set(references) <= set(document["components"]["schemas"])


async def test_a_room_is_made_and_found_over_http(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        ann, admin = token_for(tmp_path, "ann"), server.admin_token
        status, made = await call(f"{server.url}/api/rooms", "POST", ann, {"cid": CID, "title": "Stand-up"})
        assert (status, made["cid"], made["link"]) == (201, CID, f"/r/{CID}")
        assert (await call(f"{server.url}/api/rooms", "POST", ann, {"cid": CID}))[0] == 200
        status, page = await call(f"{server.url}/api/rooms?live=false&limit=5", token=admin)
        assert [room["cid"] for room in page["rooms"]] == [CID]
        status, hidden = await call(f"{server.url}/api/rooms", token=token_for(tmp_path, "bo"))
        assert hidden["rooms"] == []
        assert (await call(f"{server.url}/api/rooms?limit=x", token=admin))[0] == 400
        assert (await call(f"{server.url}/api/rooms?sort=luck", token=admin))[0] == 400


async def test_a_room_without_a_name_gets_one_nobody_can_guess(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        _, made = await call(f"{server.url}/api/rooms", "POST", token_for(tmp_path, "ann"), {"private": True})
        kind, _, name = made["cid"].partition(":")
        assert kind == "audio_room"
        assert len(bytes.fromhex(name)) == 16


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/api/rooms", b"{", 400, id="half of JSON"),
        pytest.param("/api/rooms", {"cid": "a b"}, 400, id="not a room id"),
        pytest.param("/api/rooms", {"cid": "unheard_of:x"}, 400, id="a call type that does not exist"),
        pytest.param("/api/rooms", {"surprise": 1}, 400, id="an unknown field"),
        pytest.param("/api/rooms", {"title": "x" * 70_000}, 413, id="too large"),
        pytest.param("/api/tokens", {"user": "a b"}, 400, id="not a user id"),
        pytest.param("/api/tokens", {"user": "bo", "role": "host"}, 400, id="a role of a room"),
        pytest.param("/api/tokens", {"user": "bo", "seconds": 1e9}, 400, id="a token for decades"),
        pytest.param("/api/guest", {"cid": "no id"}, 400, id="a guest of no room"),
        pytest.param("/api/nothing", {}, 404, id="nothing there"),
    ],
)
async def test_a_bad_request_is_answered_with_reason_and_words(
    tmp_path: Path, path: str, body: object, status: int
) -> None:
    async with serving(tmp_path) as server:
        answer = await call(server.url + path, "POST", server.admin_token, body)
        assert answer[0] == status
        assert set(answer[1]) == {"reason", "message"}


async def test_only_an_admin_makes_tokens(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        address, wanted = f"{server.url}/api/tokens", {"user": "bo", "name": "Bo", "seconds": 60}
        assert (await call(address, "POST", None, wanted))[0] == 401
        assert (await call(address, "POST", "rubbish", wanted))[0] == 401
        assert (await call(address, "POST", token_for(tmp_path, "ann"), wanted))[0] == 403
        status, made = await call(address, "POST", token_for(tmp_path, "root", role=ADMIN), wanted)
        assert status == 201
        assert (await visit.enter(made["token"])).welcome.name == "Bo"


async def test_no_token_is_made_for_somebody_who_is_blocked(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        await ann.done(BlockUser(UserId("bo")))
        wanted = {"user": "bo", "cid": CID}
        status, refusal = await call(f"{server.url}/api/tokens", "POST", server.admin_token, wanted)
        assert (status, refusal["reason"]) == (403, "blocked")


async def test_whoever_has_the_link_comes_in_as_a_guest_of_that_room(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        status, made = await call(f"{server.url}/api/guest", "POST", None, {"cid": CID, "name": "Bo\x1b[1m"})
        assert status == 201
        claims = jwt.decode(made["token"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] <= 120
        guest = await visit.enter(made["token"])
        assert (await guest.hears(Welcome)).name == "Bo[1m"
        await guest.done(Join())
        await ann.until(lambda: guest.welcome.user in ann.room().participants)


async def test_a_guest_token_says_nothing_about_whether_there_is_a_room(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await ann.done(GetOrCreate(private=True))
        for cid in (CID, Cid("audio_room:nowhere")):
            assert (await call(f"{server.url}/api/guest", "POST", None, {"cid": cid}))[0] == 201


async def test_a_server_can_be_by_invitation_only(tmp_path: Path) -> None:
    async with serving(tmp_path, open_guests=False) as server:
        assert (await call(f"{server.url}/api/guest", "POST", None, {"cid": CID}))[0] == 401


async def test_a_page_from_elsewhere_cannot_post(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        address, wanted = f"{server.url}/api/guest", {"cid": CID}
        assert (await call(address, "POST", None, wanted, Origin="http://evil.example"))[0] == 403
        assert (await call(address, "POST", None, wanted, Host="evil.example"))[0] == 421
        assert (await call(address, "POST", None, wanted, Origin=server.url))[0] == 201


async def test_the_page_is_served_from_a_fixed_set_under_a_strict_policy(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, aiohttp.ClientSession() as http:
        for path in ("/", f"/r/{CID}"):
            async with http.get(server.url + path) as page:
                assert page.status == 200
                assert page.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
                assert page.headers["X-Content-Type-Options"] == "nosniff"
                assert page.headers["Referrer-Policy"] == "no-referrer"
                assert "microphone=(self)" in page.headers["Permissions-Policy"]
                tag = page.headers["ETag"]
        async with http.get(server.url, headers={"If-None-Match": tag}) as page:
            assert page.status == 304
        async with http.get(f"{server.url}/static/app.mjs") as script:
            assert script.content_type == "text/javascript"
        for escape in ("../../tokens.py", "..%2f..%2ftokens.py", "%2e%2e/app.py", "/etc/passwd"):
            async with http.get(URL(f"{server.url}/static/{escape}", encoded=True)) as answer:
                assert answer.status == 404
                assert "Content-Security-Policy" in answer.headers


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
