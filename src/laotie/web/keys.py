"""API keys over HTTP: a person's own, and those by which programs act for a shop."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post

from laotie import identity
from laotie.base.db import Database
from laotie.base.ids import ShopId
from laotie.identity import Actor
from laotie.web.authentication import Authenticator
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import Page


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """An API token under the client's own id."""

    id: UUID
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
    scopes: Annotated[list[identity.TokenScope], msgspec.Meta(min_length=1, max_length=12)]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]
    shop_ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=20)] | None = None
    """The shops that it reaches; left out: every shop where its holder has a seat."""


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """The key that takes over from another one, under the client's own id."""

    id: UUID
    overlap_h: Annotated[int, msgspec.Meta(ge=0, le=168)] = 24
    """For so many hours the old key works beside the new one."""
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Left out: the new key lasts as long as the old one was made for."""


class MadeToken(msgspec.Struct):
    """A token; `secret` is there once, when it was just made."""

    id: UUID
    name: str
    scopes: list[identity.TokenScope]
    shop_ids: list[UUID] | None
    hint: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    replaced_by: UUID | None
    secret: str | None


@get("/api/tokens")
async def list_tokens(actor: Given[Actor], db: Given[Database]) -> Page[identity.Token]:
    """My API keys that still work."""
    async with db.read() as tx:
        return Page(items=await identity.list_tokens(tx, actor))


@post("/api/tokens", status_code=201)
async def create_token(data: JSONBody[NewToken], actor: Given[Actor], db: Given[Database]) -> Response[MadeToken]:
    """Make an API key; its secret is in this answer and never again."""
    async with db.tx() as tx:
        made = await identity.create_token(
            tx,
            actor,
            identity.TokenId(data.id),
            name=data.name,
            scopes=data.scopes,
            expires_at=data.expires_at,
            shop_ids=None if data.shop_ids is None else [ShopId(shop_id) for shop_id in data.shop_ids],
        )
    return _answer(made)


@post("/api/tokens/{token_id:uuid}/rotation", status_code=201)
async def rotate_token(
    token_id: FromPath[UUID],
    data: JSONBody[Rotation],
    actor: Given[Actor],
    db: Given[Database],
    authenticator: Given[Authenticator],
) -> Response[MadeToken]:
    """Make the key that takes over from this one, which works on for `overlap_h` hours."""
    async with db.tx() as tx:
        made = await identity.rotate_token(
            tx,
            actor,
            identity.TokenId(token_id),
            identity.TokenId(data.id),
            overlap_h=data.overlap_h,
            expires_at=data.expires_at,
        )
    authenticator.forget(actor.signed_in())
    return _answer(made)


@delete("/api/tokens/{token_id:uuid}", status_code=204)
async def revoke_token(
    token_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], authenticator: Given[Authenticator]
) -> None:
    """End an API key at once."""
    async with db.tx() as tx:
        await identity.revoke_token(tx, actor, identity.TokenId(token_id))
    authenticator.forget(actor.signed_in())


@get("/api/shops/{shop_id:uuid}/keys")
async def list_shop_keys(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> Page[identity.ShopKey]:
    """Every key by which a program can act for the shop, whoever made it."""
    async with db.read() as tx:
        return Page(items=await identity.list_shop_keys(tx, actor, ShopId(shop_id)))


@delete("/api/shops/{shop_id:uuid}/keys/{token_id:uuid}", status_code=204)
async def revoke_shop_key(
    shop_id: FromPath[UUID], token_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> None:
    """Take the shop from a key that is bound to it; a key that then reaches nothing ends."""
    async with db.tx() as tx:
        await identity.revoke_shop_key(tx, actor, ShopId(shop_id), identity.TokenId(token_id))


def _answer(made: identity.MadeKey) -> Response[MadeToken]:
    return Response(
        MadeToken(**msgspec.structs.asdict(made.token), secret=made.secret),
        status_code=201 if made.secret else 200,
        headers={"cache-control": "no-store"},
    )


ROUTES = [list_tokens, create_token, rotate_token, revoke_token, list_shop_keys, revoke_shop_key]
