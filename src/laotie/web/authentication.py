"""Who is asking: session cookie, guest cookie or bearer token, remembered in this process for a few seconds.

A request that acts by cookie with an unsafe method proves that it comes from our own page: `X-CSRF-Token` is a keyed
hash of the cookie it goes with. What was remembered is dropped when `identity.sessions_ended` is heard on the bus, so a
sign-out is felt at once in the process that did it and within `REMEMBERED_S` everywhere.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.ids import AccountId, ViewerId, new_id
from laotie.base.refusals import Unauthenticated
from laotie.events.identity import SessionsEnded
from laotie.identity import Actor
from laotie.web.house import House
from laotie.web.problems import CrossSite

SESSION_COOKIE = "laotie_session"
GUEST_COOKIE = "laotie_guest"
CSRF_COOKIE = "laotie_csrf"
DEVICE_COOKIE = "laotie_device"
REMEMBERED_S = 5.0
REMEMBERED_MAX = 50_000
SECRET_LENGTH_MAX = 200
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Known(msgspec.Struct, frozen=True):
    """Somebody recognised, the page's token that goes with the cookie, and until when this is taken as true."""

    actor: Actor
    csrf: bytes
    until: float


class Authenticator:
    """Turns a request's cookies or token into an `Actor`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._lasts = timedelta(days=house.settings.session_days)
        self._known: dict[str, Known] = {}
        self._guests: dict[str, ViewerId] = {}
        self._devices: dict[str, UUID] = {}
        self._secrets_of: dict[AccountId, set[str]] = {}
        self._own_origin = urlsplit(house.settings.base_url).netloc
        house.bus.subscribe("events.identity.sessions_ended", self._heard)

    async def recognise(self, method: str, headers: Mapping[bytes, bytes], *, client: str | None) -> Actor:
        """Who is asking, or a refusal: `Unauthenticated` for a token nobody has, `CrossSite` for a forged request."""
        actor = await self._recognise(method, headers)
        return msgspec.structs.replace(
            actor,
            address=client,
            user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
            device_id=self._device(headers),
        )

    def _device(self, headers: Mapping[bytes, bytes]) -> UUID | None:
        if b"laotie_device" not in headers.get(b"cookie", b""):
            return None
        token = read_cookies(headers).get(DEVICE_COOKIE, "")
        device_id = self._devices.get(token)
        if device_id is None and 0 < len(token) <= SECRET_LENGTH_MAX:
            device_id = identity.recognise_device(self._house.signer, token)
            if device_id is not None:
                if len(self._devices) >= REMEMBERED_MAX:
                    self._devices.clear()
                self._devices[token] = device_id
        return device_id

    async def _recognise(self, method: str, headers: Mapping[bytes, bytes]) -> Actor:
        authorization = headers.get(b"authorization")
        if authorization is not None:
            actor = await self._by_token(authorization)
            return actor.reading() if method in SAFE_METHODS else actor
        if method not in SAFE_METHODS:
            self._check_origin(headers)
        cookies = read_cookies(headers)
        secret = cookies.get(SESSION_COOKIE)
        if secret is not None:
            known = await self._by_session(secret)
            if known is not None:
                if method not in SAFE_METHODS:
                    _check_csrf(headers, known.csrf)
                return known.actor
        guest = cookies.get(GUEST_COOKIE)
        if guest is not None and (viewer_id := self._by_guest(guest)) is not None:
            if method not in SAFE_METHODS:
                _check_csrf(headers, csrf_token(guest).encode("ascii"))
            return Actor(viewer_id=viewer_id, is_known_guest=True)
        return Actor(viewer_id=ViewerId(new_id()))

    def forget(self, account_id: AccountId) -> None:
        """Look an account's sessions and tokens up again."""
        for secret in self._secrets_of.pop(account_id, ()):
            self._known.pop(secret, None)

    async def _by_token(self, authorization: bytes) -> Actor:
        kind, _, secret = authorization.decode("latin-1").partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer" or not secret or len(secret) > SECRET_LENGTH_MAX:
            raise Unauthenticated()
        known = self._known.get(secret)
        if known is not None and known.until > time.monotonic():
            return known.actor
        async with self._house.db.tx() as tx:
            actor = await identity.find_by_token(tx, secret)
        if actor is None:
            raise Unauthenticated()
        return self._remember(secret, actor).actor

    async def _by_session(self, secret: str) -> Known | None:
        if len(secret) > SECRET_LENGTH_MAX:
            return None
        known = self._known.get(secret)
        if known is not None and known.until > time.monotonic():
            return known
        async with self._house.db.tx() as tx:
            actor = await identity.find_by_session(tx, secret, lasts=self._lasts)
        return None if actor is None else self._remember(secret, actor)

    def _by_guest(self, token: str) -> ViewerId | None:
        viewer_id = self._guests.get(token)
        if viewer_id is None and len(token) <= SECRET_LENGTH_MAX:
            viewer_id = identity.recognise_guest(self._house.signer, token)
            if viewer_id is not None:
                if len(self._guests) >= REMEMBERED_MAX:
                    self._guests.clear()
                self._guests[token] = viewer_id
        return viewer_id

    def _remember(self, secret: str, actor: Actor) -> Known:
        assert actor.seat_holder_id is not None
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()
            self._secrets_of.clear()
        known = Known(actor, csrf_token(secret).encode("ascii"), time.monotonic() + REMEMBERED_S)
        self._known[secret] = known
        self._secrets_of.setdefault(actor.seat_holder_id, set()).add(secret)
        return known

    def _check_origin(self, headers: Mapping[bytes, bytes]) -> None:
        site = headers.get(b"sec-fetch-site")
        if site is not None:
            if site not in (b"same-origin", b"none"):
                raise CrossSite()
            return
        origin = headers.get(b"origin")
        if origin is not None:
            netloc = urlsplit(origin.decode("latin-1")).netloc
            if netloc not in (headers.get(b"host", b"").decode("latin-1"), self._own_origin):
                raise CrossSite()

    def _heard(self, _subject: str, payload: bytes) -> None:
        self.forget(msgspec.json.decode(payload, type=SessionsEnded).account_id)


def read_cookies(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """The request's cookies by name; of two with one name the first."""
    cookies: dict[str, str] = {}
    for pair in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, separator, value = pair.partition("=")
        if separator:
            cookies.setdefault(name.strip(), value.strip().strip('"'))
    return cookies


def csrf_token(cookie: str) -> str:
    """The token that goes with a session or guest cookie: only who can read the cookie's answer knows it."""
    digest = hmac.digest(b"laotie.csrf", cookie.encode("utf-8", "surrogateescape"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:18]).decode("ascii")


def _check_csrf(headers: Mapping[bytes, bytes], expected: bytes) -> None:
    if not hmac.compare_digest(headers.get(b"x-csrf-token", b""), expected):
        raise CrossSite()
