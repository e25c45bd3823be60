"""People of every role, each with a browser or an API client of their own.

anna = await people.viewer("anna")
answer = await anna.post("/api/orders", json={...})     # cookies and X-CSRF-Token go along by themselves
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

import examples
from laotie import identity
from laotie.base.db import Database
from laotie.base.ids import AccountId, ShopId, ViewerId, new_id
from laotie.identity import Actor, Role, Scope, TokenScope
from laotie.web.middleware import Door

PASSWORD = "correct horse battery"


class Browser(httpx.AsyncClient):
    """Keeps cookies, and sends the page's token with unsafe requests as the page does."""

    account_id: AccountId
    csrf: str | None = None
    roles: frozenset[Role] = frozenset({Role.viewer})

    async def request(self, method: str, url: Any, **options: Any) -> httpx.Response:
        headers = dict(options.pop("headers", None) or {})
        if self.csrf is not None and method.upper() not in ("GET", "HEAD", "OPTIONS"):
            headers.setdefault("X-CSRF-Token", self.csrf)
        answer = await super().request(method, url, headers=headers, **options)
        examples.note(answer, options.get("json"))
        return answer

    @property
    def actor(self) -> Actor:
        """The same person, for calling rooms directly."""
        return Actor(
            viewer_id=ViewerId(self.account_id),
            account_id=self.account_id,
            seat_holder_id=self.account_id,
            roles=self.roles,
        )


class People:
    """Makes people of every role, each with a browser (or an API client) of their own."""

    def __init__(self, app: Door, db: Database) -> None:
        self._app = app
        self.db = self._db = db
        self._open: list[httpx.AsyncClient] = []

    def stranger(self) -> Browser:
        """A browser that was never here."""
        browser = Browser(transport=httpx.ASGITransport(app=self._app), base_url="http://testserver")
        self._open.append(browser)
        return browser

    async def guest(self) -> Browser:
        """Somebody who watches without an account."""
        browser = self.stranger()
        browser.csrf = (await browser.get("/api/me")).json()["csrf_token"]
        return browser

    async def viewer(self, handle: str, *, browser: Browser | None = None) -> Browser:
        """Somebody who registered just now."""
        browser = browser or self.stranger()
        browser.account_id = AccountId(new_id())
        answer = await browser.post(
            "/api/accounts",
            json={"id": str(browser.account_id), "handle": handle, "password": PASSWORD, "name": handle.title()},
        )
        assert answer.status_code == 201, answer.text
        browser.csrf = answer.json()["csrf_token"]
        return browser

    async def operator(self, handle: str = "operator") -> Browser:
        """Somebody who runs the platform."""
        return await self._with_role(handle, Role.operator)

    async def streamer(self, handle: str = "streamer") -> Browser:
        """Somebody who may go live (their shop and room are other rooms' to make)."""
        return await self._with_role(handle, Role.streamer)

    async def owner(self, handle: str, shop_id: UUID) -> Browser:
        """The owner of a shop."""
        browser = await self.viewer(handle)
        async with self._db.tx() as tx:
            await identity.seat_owner(tx, ShopId(shop_id), browser.account_id)
        return browser

    async def staff(self, handle: str, shop_id: UUID, owner: Browser, *scopes: Scope) -> Browser:
        """Somebody with a seat, given by the owner."""
        browser = await self.viewer(handle)
        async with self._db.tx() as tx:
            await identity.grant_seat(tx, owner.actor, ShopId(shop_id), handle, scopes=list(scopes))
        return browser

    async def give_every_right(self, browser: Browser, shop_id: UUID) -> None:
        """Owner of the shop, streamer and operator in one."""
        async with self._db.tx() as tx:
            await identity.seat_owner(tx, ShopId(shop_id), browser.account_id)
            await identity.give_role(tx, browser.account_id, Role.streamer)
            await identity.give_role(tx, browser.account_id, Role.operator)
        browser.roles = frozenset(Role)

    async def api_client(self, holder: Browser, *scopes: TokenScope) -> Browser:
        """A program that uses the holder's API token, without cookies."""
        async with self._db.tx() as tx:
            made = await identity.create_token(
                tx,
                holder.actor,
                identity.TokenId(new_id()),
                name="test",
                scopes=list(scopes),
                expires_at=tx.now + timedelta(days=1),
            )
        program = self.stranger()
        program.headers["Authorization"] = f"Bearer {made.secret}"
        program.account_id = holder.account_id
        return program

    async def _with_role(self, handle: str, role: Role) -> Browser:
        browser = await self.viewer(handle)
        async with self._db.tx() as tx:
            await identity.give_role(tx, browser.account_id, role)
        return browser

    async def leave(self) -> None:
        for browser in self._open:
            await browser.aclose()


def problem(answer: httpx.Response) -> dict[str, Any]:
    """A problem's body without its request id, after checking its form."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert body.pop("request_id") == answer.headers["x-request-id"]
    assert body["status"] == answer.status_code
    return body
