"""Accounts, sign-ins, addresses, seats and the audit log over HTTP."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.datastructures import Cookie
from litestar.params import QueryParameter

from laotie import catalog, identity, lake
from laotie.base.db import Database
from laotie.base.ids import AccountId, ShopId, new_id
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor, Attempts, SignedIn
from laotie.identity.guests import GUEST_AGE_MAX_S
from laotie.web.authentication import (
    CSRF_COOKIE,
    DEVICE_COOKIE,
    GUEST_COOKIE,
    SESSION_COOKIE,
    Authenticator,
    csrf_token,
)
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Short = Annotated[str, msgspec.Meta(max_length=200)]

EXPORTS_AT_ONCE = 2
_reading_lake = asyncio.Semaphore(EXPORTS_AT_ONCE)
"""An export goes through all of the lake's files."""


class Registration(msgspec.Struct, forbid_unknown_fields=True):
    """A new account under the client's own id."""

    id: UUID
    handle: Short
    password: Secret
    name: Short


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """Sign-in name and password."""

    handle: Short
    password: Secret


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """The present password and the one to use from now on."""

    old: Secret
    new: Secret


class Erasure(msgspec.Struct, forbid_unknown_fields=True):
    """The password, to be sure."""

    password: Secret


class ProfileChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays. An empty avatar removes it."""

    name: Short | None = None
    avatar: Text | None = None
    about: Text | None = None
    locale: Short | None = None


class AddressContent(msgspec.Struct, forbid_unknown_fields=True):
    """Where a parcel goes."""

    name: Short
    phone: Short
    country: Short
    city: Short
    street: Short
    region: Short = ""
    district: Short = ""
    postcode: Short = ""
    is_default: bool = False


class NewAddress(AddressContent, forbid_unknown_fields=True, kw_only=True):
    """An address under the client's own id."""

    id: UUID


class NewSeat(msgspec.Struct, forbid_unknown_fields=True):
    """Who may act for the shop, and how far. An owner has every scope."""

    handle: Short
    scopes: Annotated[list[identity.Scope], msgspec.Meta(max_length=10)]
    is_owner: bool = False


class OwnAccount(msgspec.Struct):
    """The account as its holder sees it."""

    id: UUID
    handle: str
    name: str
    avatar: str | None
    about: str
    locale: str


class SeatView(msgspec.Struct):
    """A shop one may act for."""

    shop_id: UUID
    shop_name: str
    is_owner: bool
    scopes: list[identity.Scope]
    is_sandbox: bool


class Me(msgspec.Struct):
    """Who is asking; a guest has no account. Unsafe requests by cookie carry `csrf_token` as `X-CSRF-Token`."""

    viewer_id: UUID
    account: OwnAccount | None
    roles: list[str]
    seats: list[SeatView]
    csrf_token: str | None


class SessionView(msgspec.Struct):
    """One sign-in on one device."""

    id: UUID
    user_agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    current: bool


@post("/api/accounts", status_code=201)
async def register(
    data: JSONBody[Registration],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    attempts: Given[Attempts],
    settings: Given[Settings],
) -> Response[Me]:
    """Open an account and sign it in; a guest becomes the account. Said again, it signs in again (200)."""
    signed_in = await identity.register(
        db,
        actor,
        AccountId(data.id),
        handle=data.handle,
        password=data.password,
        name=data.name,
        attempts=attempts,
        lasts=timedelta(days=settings.session_days),
    )
    return await _welcome(db, request, settings, signed_in)


@post("/api/sessions", status_code=201)
async def sign_in(
    data: JSONBody[SignIn],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    attempts: Given[Attempts],
    settings: Given[Settings],
    authenticator: Given[Authenticator],
) -> Response[Me]:
    """Sign in; a guest becomes the account, and a session that was open in this browser ends."""
    signed_in = await identity.sign_in(
        db,
        actor,
        handle=data.handle,
        password=data.password,
        attempts=attempts,
        lasts=timedelta(days=settings.session_days),
    )
    if actor.account_id is not None:
        authenticator.forget(actor.account_id)
    return await _welcome(db, request, settings, signed_in)


@get("/api/sessions")
async def list_sessions(actor: Given[Actor], db: Given[Database]) -> Page[SessionView]:
    """My sign-ins, newest first."""
    async with db.read() as tx:
        sessions = await identity.list_sessions(tx, actor)
    return Page(
        items=[
            SessionView(**msgspec.structs.asdict(session), current=session.id == actor.session_id)
            for session in sessions
        ]
    )


@delete("/api/sessions/current", status_code=204)
async def sign_out(
    actor: Given[Actor],
    request: Request[Any, Any, Any],
    db: Given[Database],
    settings: Given[Settings],
    authenticator: Given[Authenticator],
) -> Response[None]:
    """Sign this device out."""
    account_id = actor.signed_in()
    if actor.session_id is not None:
        async with db.tx() as tx:
            await identity.end_session(tx, actor, actor.session_id)
    authenticator.forget(account_id)
    return _farewell(request, settings)


@delete("/api/sessions", status_code=204)
async def sign_out_everywhere(
    actor: Given[Actor],
    request: Request[Any, Any, Any],
    db: Given[Database],
    settings: Given[Settings],
    authenticator: Given[Authenticator],
) -> Response[None]:
    """Sign every device out."""
    account_id = actor.signed_in()
    async with db.tx() as tx:
        await identity.end_sessions(tx, account_id)
    authenticator.forget(account_id)
    return _farewell(request, settings)


@delete("/api/sessions/{session_id:uuid}", status_code=204)
async def end_session(
    session_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], authenticator: Given[Authenticator]
) -> None:
    """Sign one of my devices out."""
    async with db.tx() as tx:
        await identity.end_session(tx, actor, identity.SessionId(session_id))
    authenticator.forget(actor.signed_in())


@get("/api/me")
async def show_me(
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    settings: Given[Settings],
) -> Response[Me]:
    """Who is asking. A guest is given a cookie, by which they are the same guest from now on."""
    if actor.account_id is not None:
        me = await _describe(db, actor, csrf=_csrf(request, actor))
        return _answer(me, cookies=_device(signer, actor, request, settings))
    if actor.token_id is not None:
        return _answer(_describe_guest(actor, csrf=None))
    token = request.cookies.get(GUEST_COOKIE) if actor.is_known_guest else None
    cookies = _device(signer, actor, request, settings)
    if SESSION_COOKIE in request.cookies:
        cookies.append(_expired(SESSION_COOKIE, request, settings))
    if token is None:
        token = identity.sign_guest(signer, actor.viewer_id)
        cookies.append(_cookie(GUEST_COOKIE, token, request, settings, lasts_s=GUEST_AGE_MAX_S))
    csrf = csrf_token(token)
    cookies.append(_cookie(CSRF_COOKIE, csrf, request, settings, lasts_s=GUEST_AGE_MAX_S))
    return _answer(_describe_guest(actor, csrf=csrf), cookies=cookies)


@patch("/api/me")
async def change_me(
    data: JSONBody[ProfileChange], request: Request[Any, Any, Any], actor: Given[Actor], db: Given[Database]
) -> Response[Me]:
    """Change my profile."""
    async with db.tx() as tx:
        await identity.change_profile(
            tx, actor, name=data.name, avatar=data.avatar, about=data.about, locale=data.locale
        )
    return _answer(await _describe(db, actor, csrf=_csrf(request, actor)))


@post("/api/me/password", status_code=204)
async def change_password(
    data: JSONBody[PasswordChange],
    actor: Given[Actor],
    db: Given[Database],
    attempts: Given[Attempts],
    authenticator: Given[Authenticator],
) -> None:
    """Change my password; every other device is signed out."""
    await identity.change_password(db, actor, old=data.old, new=data.new, attempts=attempts)
    authenticator.forget(actor.signed_in())


@get("/api/me/export")
async def export_me(actor: Given[Actor], db: Given[Database], settings: Given[Settings]) -> Response[dict[str, Any]]:
    """Everything that is held about me."""
    async with db.tx() as tx:
        export = await identity.export_account(tx, actor)
        known_as = [actor.viewer_id, *await identity.merged_guests(tx, actor.viewer_id)]
    async with _reading_lake:
        export["lake"] = await asyncio.to_thread(lake.tell_person, lake.Lake.of(settings), known_as)
    return Response(
        export,
        headers={
            "content-disposition": f'attachment; filename="laotie-{actor.account_id}.json"',
            "cache-control": "no-store",
        },
    )


@post("/api/me/erasure", status_code=204)
async def erase_me(
    data: JSONBody[Erasure],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    attempts: Given[Attempts],
    settings: Given[Settings],
    authenticator: Given[Authenticator],
) -> Response[None]:
    """Erase my account. This cannot be undone."""
    await identity.erase_account(db, actor, password=data.password, attempts=attempts)
    authenticator.forget(actor.signed_in())
    return _farewell(request, settings)


@get("/api/me/addresses")
async def list_addresses(actor: Given[Actor], db: Given[Database]) -> Page[identity.Address]:
    """My addresses, the default first."""
    async with db.read() as tx:
        return Page(items=await identity.list_addresses(tx, actor))


@post("/api/me/addresses", status_code=201)
async def create_address(data: JSONBody[NewAddress], actor: Given[Actor], db: Given[Database]) -> identity.Address:
    """Add an address; the first one becomes the default."""
    async with db.tx() as tx:
        return await identity.create_address(tx, actor, _address(data.id, data))


@put("/api/me/addresses/{address_id:uuid}")
async def change_address(
    address_id: FromPath[UUID], data: JSONBody[AddressContent], actor: Given[Actor], db: Given[Database]
) -> identity.Address:
    """Replace an address."""
    async with db.tx() as tx:
        return await identity.change_address(tx, actor, _address(address_id, data))


@delete("/api/me/addresses/{address_id:uuid}", status_code=204)
async def delete_address(address_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Remove an address."""
    async with db.tx() as tx:
        await identity.delete_address(tx, actor, identity.AddressId(address_id))


@get("/api/shops/{shop_id:uuid}/seats")
async def list_seats(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> Page[identity.SeatHolder]:
    """Who may act for the shop."""
    async with db.read() as tx:
        return Page(items=await identity.list_seat_holders(tx, actor, ShopId(shop_id)))


@post("/api/shops/{shop_id:uuid}/seats", status_code=201)
async def grant_seat(
    shop_id: FromPath[UUID], data: JSONBody[NewSeat], actor: Given[Actor], db: Given[Database]
) -> identity.SeatHolder:
    """Let somebody act for the shop, or change how far."""
    async with db.tx() as tx:
        return await identity.grant_seat(
            tx, actor, ShopId(shop_id), data.handle, scopes=data.scopes, is_owner=data.is_owner
        )


@delete("/api/shops/{shop_id:uuid}/seats/{account_id:uuid}", status_code=204)
async def revoke_seat(
    shop_id: FromPath[UUID], account_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> None:
    """Let somebody no longer act for the shop; anybody may leave."""
    async with db.tx() as tx:
        await identity.revoke_seat(tx, actor, ShopId(shop_id), AccountId(account_id))


@get("/api/audit-log")
async def list_audit_log(
    actor: Given[Actor],
    db: Given[Database],
    subject: Annotated[str | None, QueryParameter(max_length=100)] = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[identity.AuditEntry]:
    """Who did what, newest first; for operators."""
    async with db.tx() as tx:
        entries = await identity.list_audit_entries(tx, actor, subject=subject, before=after, limit=limit)
    return Page(items=entries, next=str(entries[-1].id) if len(entries) == limit else None)


def _address(address_id: UUID, content: AddressContent) -> identity.Address:
    lines = {name: getattr(content, name) for name in AddressContent.__struct_fields__}
    return identity.Address(id=identity.AddressId(address_id), **lines)


async def _describe(db: Database, actor: Actor, *, csrf: str | None) -> Me:
    async with db.read() as tx:
        account = await identity.get_account(tx, actor)
        seats = await identity.list_seats(tx, actor)
        shops = await catalog.find_shops(tx, [seat.shop_id for seat in seats])
    return Me(
        viewer_id=actor.viewer_id,
        account=OwnAccount(**{name: getattr(account, name) for name in OwnAccount.__struct_fields__}),
        roles=sorted({"viewer", *account.roles, *(["shop_staff"] if seats else [])}),
        seats=[
            SeatView(
                seat.shop_id,
                shops[seat.shop_id].name,
                seat.is_owner,
                seat.scopes,
                shops[seat.shop_id].is_sandbox,
            )
            for seat in seats
            if seat.shop_id in shops
        ],
        csrf_token=csrf,
    )


def _describe_guest(actor: Actor, *, csrf: str | None) -> Me:
    return Me(viewer_id=actor.viewer_id, account=None, roles=[], seats=[], csrf_token=csrf)


async def _welcome(
    db: Database, request: Request[Any, Any, Any], settings: Settings, signed_in: SignedIn
) -> Response[Me]:
    account_id = signed_in.account.id
    actor = Actor(
        viewer_id=account_id,  # type: ignore[arg-type]
        account_id=account_id,
        seat_holder_id=account_id,
        session_id=signed_in.session.id,
    )
    secret = signed_in.session.secret
    lasts_s = settings.session_days * 86_400
    csrf = csrf_token(secret)
    return _answer(
        await _describe(db, actor, csrf=csrf),
        status=201 if signed_in.fresh else 200,
        cookies=[
            _cookie(SESSION_COOKIE, secret, request, settings, lasts_s=lasts_s),
            _cookie(CSRF_COOKIE, csrf, request, settings, lasts_s=lasts_s),
            _expired(GUEST_COOKIE, request, settings),
        ],
    )


def _farewell(request: Request[Any, Any, Any], settings: Settings) -> Response[None]:
    gone = [_expired(name, request, settings) for name in (SESSION_COOKIE, CSRF_COOKIE)]
    return Response(None, status_code=204, cookies=gone)


def _answer(me: Me, *, status: int = 200, cookies: list[Cookie] | None = None) -> Response[Me]:
    return Response(me, status_code=status, cookies=cookies or [], headers={"cache-control": "no-store"})


def _csrf(request: Request[Any, Any, Any], actor: Actor) -> str | None:
    return None if actor.session_id is None else csrf_token(request.cookies[SESSION_COOKIE])


def _device(signer: Signer, actor: Actor, request: Request[Any, Any, Any], settings: Settings) -> list[Cookie]:
    """A browser that is new here gets a name of its own, which stays whoever signs in (bans hold on to it)."""
    if actor.device_id is not None or actor.token_id is not None:
        return []
    token = identity.sign_device(signer, new_id())
    return [_cookie(DEVICE_COOKIE, token, request, settings, lasts_s=GUEST_AGE_MAX_S)]


def _cookie(name: str, value: str, request: Request[Any, Any, Any], settings: Settings, *, lasts_s: int) -> Cookie:
    """`laotie_csrf` is for the page's script to read; the others are not."""
    return Cookie(
        key=name,
        value=value,
        max_age=lasts_s,
        path="/",
        httponly=name != CSRF_COOKIE,
        samesite="lax",
        secure=request.scope["scheme"] == "https" or settings.base_url.startswith("https:"),
    )


def _expired(name: str, request: Request[Any, Any, Any], settings: Settings) -> Cookie:
    return _cookie(name, "", request, settings, lasts_s=0)


ROUTES = [
    register,
    sign_in,
    list_sessions,
    sign_out,
    sign_out_everywhere,
    end_session,
    show_me,
    change_me,
    change_password,
    export_me,
    erase_me,
    list_addresses,
    create_address,
    change_address,
    delete_address,
    list_seats,
    grant_seat,
    revoke_seat,
    list_audit_log,
]
