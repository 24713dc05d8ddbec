"""Pre-signed addresses over the real server: what they open, how often, and what nobody can make of them."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from greenroom.errors import Unauthorized
from greenroom.protocol.call_urls import (
    MakeUrl,
    QueryUrls,
    Redeemed,
    RevokeUrl,
    SignedUrl,
    UrlInfo,
    UrlKind,
    UrlsPage,
    UrlState,
    url_state,
)
from greenroom.protocol.ids import ADMIN, ANONYMOUS, CALL_MEMBER, GUEST, SPEAKER, Cid, Role, UserId
from greenroom.protocol.refusals import Reason
from greenroom.protocol.requests import (
    AcceptRing,
    BlockUser,
    CancelRing,
    End,
    GetOrCreate,
    Join,
    RemoveMember,
    StartRing,
)
from greenroom.protocol.ringing import RingKind
from greenroom.protocol.wire import Answer, Failed, QueryRoom, RoomView
from greenroom.server.call_urls import read, sign
from greenroom.server.tokens import mint, new_keys, verify
from tests.server.guest import CID, Guest, open_room, serving, token_for, visiting

KEYS = new_keys()
INFO = UrlInfo(
    id="a1",
    kind=UrlKind.ROOM,
    cid=CID,
    to=None,
    media=RingKind.AUDIO,
    role=GUEST,
    name="",
    by=UserId("ann"),
    made_at=1.0,
    expires_at=100.0,
    uses=2,
)


async def made(guest: Guest, wanted: MakeUrl) -> SignedUrl:
    answer = await guest.ask(wanted)
    assert isinstance(answer, Answer), answer
    assert isinstance(answer.body, SignedUrl)
    return answer.body


async def refused(guest: Guest, question: MakeUrl | RevokeUrl | QueryUrls) -> Reason:
    answer = await guest.ask(question)
    assert isinstance(answer, Failed), answer
    return answer.refusal.reason


async def redeem(url: str, secret: str, **more: str) -> tuple[int, Any]:
    """Return status and JSON of redeeming `secret`."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/api/url", json={"secret": secret, **more}) as answer,
    ):
        return answer.status, await answer.json()


async def given(url: str, secret: str, **more: str) -> Redeemed:
    status, body = await redeem(url, secret, **more)
    assert status == 201, body
    return msgspec.convert(body, Redeemed)


def test_a_secret_states_what_was_signed_and_is_found_under_an_older_key_too() -> None:
    secret = sign(KEYS, INFO)
    statement = read(KEYS, secret)
    assert (statement.cid, statement.role, statement.uses, statement.expires_at) == (CID, GUEST, 2, 100)
    newer = new_keys()
    both = msgspec.structs.replace(newer, current="2", secrets={"2": newer.secrets["1"], **KEYS.secrets})
    assert read(both, secret) == statement


def test_no_part_of_a_secret_can_be_exchanged() -> None:
    kid, body, mac = sign(KEYS, INFO).split(".")
    fields = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    forged = []
    for place in range(len(fields)):
        other = [*fields]
        other[place] = "x" if not isinstance(other[place], int) else other[place] + 1_000_000
        encoded = base64.urlsafe_b64encode(json.dumps(other).encode()).rstrip(b"=").decode()
        forged.append(f"{kid}.{encoded}.{mac}")
    other_key = sign(msgspec.structs.replace(new_keys(), current="1"), INFO)
    token = mint(KEYS, UserId("ann"), time.time()).token
    for secret in (*forged, other_key, f"2.{body}.{mac}", f"{kid}.{body}.", "", "a.b", "x" * 5000, token):
        with pytest.raises(Unauthorized):
            read(KEYS, secret)
    with pytest.raises(Unauthorized):
        verify(KEYS, sign(KEYS, INFO))


@pytest.mark.parametrize(
    ("changed", "now", "state"),
    [
        pytest.param({}, 99.0, UrlState.OPEN, id="open"),
        pytest.param({"used": 2}, 99.0, UrlState.USED_UP, id="used as often as it may be"),
        pytest.param({}, 100.0, UrlState.EXPIRED, id="its time is over"),
        pytest.param({"revoked_at": 5.0}, 6.0, UrlState.REVOKED, id="taken back"),
    ],
)
def test_an_address_is_open_until_it_is_used_up_over_or_taken_back(
    changed: dict[str, Any], now: float, state: UrlState
) -> None:
    assert url_state(msgspec.structs.replace(INFO, **changed), now) is state


def test_secrets_do_not_show() -> None:
    secret = sign(KEYS, INFO)
    shown = repr(SignedUrl(INFO, "/r/x", secret)) + repr(
        Redeemed(UrlKind.ROOM, "token-of-theirs", 1.0, UserId("guest-1"), CID)
    )
    assert secret not in shown
    assert "token-of-theirs" not in shown


async def test_a_room_address_lets_in_as_many_as_it_says_also_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        signed = await made(ann, MakeUrl(UrlKind.ROOM, CID, role=GUEST, uses=3))
        assert signed.path == f"/r/{CID}"
        assert signed.address(server.url) == f"{server.url}/r/{CID}#u={signed.secret}"
        first = await given(server.url, signed.secret, name="Bo\x1b[1m", cid=CID)
        bo = await visit.enter(first.token)
        assert (bo.welcome.name, bo.welcome.role) == ("Bo[1m", GUEST)
        await bo.done(Join())
        assert isinstance(await bo.do(Join(), Cid("audio_room:other")), Failed)
        many = await asyncio.gather(*(redeem(server.url, signed.secret) for _ in range(6)))
        assert sorted(status for status, _ in many) == [201, 201, 401, 401, 401, 401]
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        assert (await redeem(server.url, signed.secret))[0] == 401
        ann = await visit.enter(token_for(tmp_path, "ann"))
        answer = await ann.ask(QueryUrls())
        assert isinstance(answer, Answer)
        assert isinstance(answer.body, UrlsPage)
        assert [(info.id, info.used) for info in answer.body.urls] == [(signed.info.id, 3)]


async def test_neither_a_secret_nor_a_token_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        signed = await made(ann, MakeUrl(UrlKind.ROOM, CID))
        redeemed = await given(server.url, signed.secret)
        await redeem(server.url, signed.secret)
        await redeem(server.url, f"{signed.secret}x")
    for hidden in (signed.secret, signed.secret.split(".")[2], redeemed.token):
        assert hidden not in caplog.text


async def test_a_lost_answer_costs_no_second_use(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        signed = await made(ann, MakeUrl(UrlKind.ROOM, CID))
        first = await given(server.url, signed.secret, attempt="mine")
        again = await given(server.url, signed.secret, attempt="mine")
        assert first.user == again.user
        assert (await redeem(server.url, signed.secret, attempt="another's"))[0] == 401
        claims = verify(_keys(tmp_path), first.token)
        assert (claims.role, claims.bound_to) == (ANONYMOUS, CID)


async def test_nobody_comes_in_by_a_forged_expired_revoked_or_foreign_address(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        signed = await made(ann, MakeUrl(UrlKind.ROOM, CID, uses=10))
        never_made = sign(_keys(tmp_path), msgspec.structs.replace(signed.info, id="0123456789abcdef"))
        raised = sign(_keys(tmp_path), msgspec.structs.replace(signed.info, role=SPEAKER))
        old = msgspec.structs.replace(signed.info, expires_at=float(int(time.time()) - 1))
        for secret in (signed.secret[:-2] + "xx", never_made, raised, sign(_keys(tmp_path), old), "rubbish"):
            status, refusal = await redeem(server.url, secret)
            assert (status, refusal["reason"]) == (401, "unauthorized")
            assert secret not in refusal["message"]
        assert (await redeem(server.url, signed.secret, cid="audio_room:other"))[0] == 401
        bo = await visit.enter(token_for(tmp_path, "bo"))
        assert await refused(bo, RevokeUrl(signed.info.id)) is Reason.NOT_FOUND
        assert isinstance(await ann.ask(RevokeUrl(signed.info.id)), Answer)
        status, refusal = await redeem(server.url, signed.secret)
        assert status == 401
        assert "taken back" in refusal["message"]


async def test_an_address_gives_no_more_than_its_maker_may(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        bo = await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        for role in ("admin", "host", "user", "no such role", "nobody"):
            assert await refused(ann, MakeUrl(UrlKind.ROOM, CID, role=Role(role))) is Reason.INVALID
        assert await refused(bo, MakeUrl(UrlKind.ROOM, CID, role=SPEAKER)) is Reason.MISSING_CAPABILITY
        assert await refused(bo, MakeUrl(UrlKind.ROOM, Cid("audio_room:none"))) is Reason.NOT_FOUND
        assert await refused(bo, MakeUrl(UrlKind.ROOM, CID, uses=0)) is Reason.INVALID
        assert await refused(bo, MakeUrl(UrlKind.ROOM, CID, seconds=1e9)) is Reason.INVALID
        assert await refused(bo, MakeUrl(UrlKind.CALL, to=UserId("ann"))) is Reason.UNAUTHORIZED
        video = MakeUrl(UrlKind.CALL, to=UserId("bo"), media=RingKind.VIDEO)
        assert await refused(bo, video) is Reason.NOT_AVAILABLE

        of_ann = await made(ann, MakeUrl(UrlKind.ROOM, CID, role=SPEAKER, name="Cy", uses=5))
        of_bo = await made(bo, MakeUrl(UrlKind.ROOM, CID, role=GUEST, uses=5))
        coming = await given(server.url, of_ann.secret, name="somebody else")
        cy = await visit.enter(coming.token)
        await cy.done(Join())
        assert (cy.welcome.name, cy.room().participants[coming.user].role) == ("Cy", SPEAKER)
        assert await refused(cy, MakeUrl(UrlKind.ROOM, CID)) is Reason.UNAUTHORIZED
        assert await refused(cy, QueryUrls()) is Reason.UNAUTHORIZED

        await given(server.url, of_bo.secret)
        await ann.done(BlockUser(UserId("bo")))
        assert (await redeem(server.url, of_bo.secret))[0] == 401
        await ann.done(RemoveMember(coming.user), End())
        assert (await redeem(server.url, of_ann.secret))[1]["reason"] == "ended"


async def test_a_private_room_opens_for_members_only(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        cid = Cid("default:secret")
        await ann.done(GetOrCreate(private=True), Join(), cid=cid)
        assert await refused(ann, MakeUrl(UrlKind.ROOM, cid, role=GUEST)) is Reason.INVALID
        signed = await made(ann, MakeUrl(UrlKind.ROOM, cid, role=CALL_MEMBER))
        bo = await visit.enter((await given(server.url, signed.secret, name="Bo")).token)
        await bo.done(Join(), cid=cid)


async def test_a_call_address_makes_a_room_of_its_own_for_the_caller_and_the_called(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        bo = await visit.enter(token_for(tmp_path, "bo"))
        admin = await visit.enter(token_for(tmp_path, "root", role=ADMIN))
        signed = await made(bo, MakeUrl(UrlKind.CALL, to=UserId("bo"), uses=2))
        assert signed.path == "/call"
        first, second = [await given(server.url, signed.secret, name="Cy") for _ in range(2)]
        assert (first.kind, first.to, first.media, first.name) == (UrlKind.CALL, "bo", RingKind.AUDIO, "Cy")
        assert first.cid != second.cid
        cy = await visit.enter(first.token)
        await cy.done(Join(), cid=first.cid)
        await bo.done(Join(), cid=first.cid)
        assert isinstance(await cy.do(Join(), second.cid), Failed)
        named = await made(admin, MakeUrl(UrlKind.CALL, Cid("default:desk"), to=UserId("bo"), uses=2))
        for _ in range(2):
            coming = await given(server.url, named.secret, name="Di")
            assert coming.cid == "default:desk"
            await (await visit.enter(coming.token)).done(Join(), cid=coming.cid)


async def test_a_room_made_for_a_call_that_is_over_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenroom.server.call_urls.UNUSED_SECONDS", 0.5)
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        bo = await visit.enter(token_for(tmp_path, "bo"))
        signed = await made(bo, MakeUrl(UrlKind.CALL, to=UserId("bo")))
        coming = await given(server.url, signed.secret, name="Cy")
        cy = await visit.enter(coming.token)
        await cy.done(StartRing((UserId("bo"),)), Join(), cid=coming.cid)
        await bo.done(AcceptRing(), Join(), cid=coming.cid)
        await cy.done(CancelRing(), cid=coming.cid)
        async with asyncio.timeout(10.0):
            while True:
                answer = await bo.ask(QueryRoom(coming.cid))
                assert isinstance(answer, Answer)
                assert isinstance(answer.body, RoomView)
                if answer.body.room.ended_at is not None:
                    break
                await asyncio.sleep(0.1)


async def test_pages_of_addresses_are_newest_first_and_ones_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        admin = await visit.enter(token_for(tmp_path, "root", role=ADMIN))
        await open_room(ann)
        ids = [(await made(ann, MakeUrl(UrlKind.ROOM, CID))).info.id for _ in range(5)]
        of_admin = await made(admin, MakeUrl(UrlKind.ROOM, CID))

        async def page(guest: Guest, after: str | None) -> UrlsPage:
            answer = await guest.ask(QueryUrls(limit=2, after=after))
            assert isinstance(answer, Answer)
            assert isinstance(answer.body, UrlsPage)
            return answer.body

        seen: list[str] = []
        after = None
        while True:
            found = await page(ann, after)
            seen += [info.id for info in found.urls]
            after = found.next
            if after is None:
                break
        assert seen == ids[::-1]
        assert (await page(admin, None)).urls[0].id == of_admin.info.id


def _keys(data: Path) -> Any:
    from greenroom.server.tokens import load_keys

    return load_keys(data / "secret")
