"""Pre-signed addresses on the browser page: the secret is used once, and seen by nobody."""

from __future__ import annotations

from secrets import token_hex

import pytest
from playwright.async_api import Browser, expect

from greenroom.engine.client import Client
from greenroom.protocol.call_urls import MakeUrl, SignedUrl, UrlKind
from greenroom.protocol.requests import AcceptRing, Join
from greenroom.protocol.ringing import RingPhase
from greenroom.protocol.wire import Answer, Removed, RingChanged
from tests.page.live import LiveServer
from tests.page.visitor import visitor
from tests.server.guest import visiting

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_link_lets_one_person_in_once_and_leaves_the_address_bar(
    browser: Browser, server: LiveServer
) -> None:
    cid = f"audio_room:live-{token_hex(4)}"
    async with (
        Client(server.url, token=await server.host()) as ann,
        visitor(browser) as bo,
        visitor(browser) as cy,
    ):
        call = await ann.join(cid, create=True)
        await call.go_live()
        address = await ann.room_url(cid, role="speaker")
        asked: list[str] = []
        bo.page.on("request", lambda request: asked.append(request.url))
        await bo.page.goto(address)
        assert bo.page.url == f"{server.url}/r/{cid}"
        assert "u=" not in await bo.page.evaluate("() => history.state + location.href")
        await bo.page.reload()  # before it was used: the link is still good
        await bo.page.get_by_label("Your name").fill("Bo")
        await bo.page.get_by_role("button", name="Listen").click()
        await bo.inside()
        await call.state.until(
            lambda state: (
                state.room is not None
                and any(
                    person.name == "Bo" and person.role == "speaker"
                    for person in state.room.participants.values()
                )
            ),
            5.0,
        )
        await bo.page.reload()  # inside: the same person goes back in without the link
        await bo.inside()
        secret = address.partition("#u=")[2]
        assert not any(secret in url for url in asked)

        await cy.page.goto(address)
        await cy.page.get_by_label("Your name").fill("Cy")
        await cy.page.get_by_role("button", name="Listen").click()
        await expect(cy.page.locator("#door-problem")).to_contain_text("used already")
        await bo.assert_unharmed()
        await cy.assert_unharmed()


async def test_a_link_that_calls_somebody_rings_them_and_brings_them_together(
    talker: Browser, server: LiveServer
) -> None:
    async with visiting(server.url) as visit, visitor(talker) as bo:
        ann = await visit.enter(await server.host())
        answer = await ann.ask(MakeUrl(UrlKind.CALL, to=ann.welcome.user))
        assert isinstance(answer, Answer)
        assert isinstance(answer.body, SignedUrl)
        await bo.page.goto(answer.body.address(server.url))
        assert bo.page.url == f"{server.url}/call"
        await expect(bo.page.get_by_role("heading", name=f"Call {ann.welcome.user}")).to_be_visible()
        await bo.page.get_by_label("Your name").fill("Bo")
        await bo.page.get_by_role("button", name="Call").click()
        ring = (await ann.hears(RingChanged)).ring
        assert ring.by_name == "Bo"
        calling = bo.page.get_by_role("heading", name="Calling Ann…")
        await expect(calling).to_be_visible()
        await bo.page.reload()  # it rings on
        await expect(calling).to_be_visible()
        await ann.done(AcceptRing(), Join(), cid=ring.cid)
        await bo.inside()
        await ann.hears(RingChanged, lambda changed: changed.ring.phase is RingPhase.CONNECTED)
        await bo.page.reload()  # the same person in the same call, and nobody is rung again
        await bo.inside()
        assert {changed.ring.id for changed in ann.all(RingChanged)} == {ring.id}
        assert ann.room(ring.cid).participants.keys() >= {ring.by, ann.welcome.user}
        assert not ann.all(Removed), "whoever loads the page again hangs up on nobody"
        await bo.assert_unharmed()
