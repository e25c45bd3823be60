"""Opening a visit: who came where, from where, and what the rule credits it with.

A visit is opened by an entry token, by the visit one comes from, or by nothing. The entry must have been shown to this
viewer (a share's serves anybody) and lead here. A visit to the same place goes on; one to something else of the same
streamer carries its source along; any other says nothing.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from laotie import identity
from laotie.base.db import Tx
from laotie.base.entry import (
    VISIT_AGE_MAX_S,
    Credit,
    Entry,
    EntryNotYours,
    Source,
    Visit,
    is_of_surface,
    read_entry,
    read_visit,
    sign_visit,
)
from laotie.base.ids import AccountId, ShopId, ShowId, ViewerId, VisitId, new_id
from laotie.base.signer import Signer, TokenExpired
from laotie.identity import Actor, Role
from laotie.traffic.attribution import (
    SESSION,
    RuleKind,
    Touch,
    choose,
    credit_shops,
    find_rule,
    find_touches,
    keep_touch,
)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody comes to. `subjects` are what entries may name it; a surface is the placement of its visits."""

    shop_id: ShopId
    subjects: tuple[str, ...]
    source: Source = Source.direct
    placement: str = "direct"
    is_surface: bool = False
    is_shelf: bool = False
    show_id: ShowId | None = None
    streamer_id: AccountId | None = None


class Opened(msgspec.Struct, frozen=True):
    """A visit, its token, and whether it has just begun (or goes on)."""

    visit: Visit
    token: str
    is_new: bool


class _Origin(msgspec.Struct, frozen=True, kw_only=True):
    source: Source
    placement: str
    campaign: str | None = None
    position: int | None = None
    sharer_id: ViewerId | None = None
    streamer_id: AccountId | None = None
    at: datetime


async def open_visit(
    tx: Tx,
    signer: Signer,
    actor: Actor,
    place: Place,
    *,
    entry: str | None,
    visit: str | None,
    is_fan: bool,
    is_staff: bool,
) -> Opened:
    """Open a visit, or go on with one. Refuses an entry that is forged, expired, somebody else's or leads elsewhere."""
    merged = await merged_into(tx, actor)
    before = read_own_visit(signer, actor, merged, visit) if visit is not None else None
    if before is not None and tx.now - before.at > timedelta(seconds=VISIT_AGE_MAX_S):
        before = None
    if entry is None and before is not None and _is_at(before, place):
        assert visit is not None
        return Opened(before, visit, is_new=False)
    if entry is not None:
        opened = read_entry(signer, entry, viewer_id=actor.viewer_id, merged=merged, subjects=place.subjects)
        origin = _of_entry(opened, place, at=tx.now)
    else:
        origin = _of_visit(before, place) or await _of_session(tx, actor, merged, place) or _of_place(place, at=tx.now)
    counts = not is_staff and _is_known(actor)
    id_, is_new = VisitId(new_id()), True
    if not counts:
        rule_version = (await find_rule(tx)).version
    else:
        touch = Touch(
            shop_id=place.shop_id,
            at=tx.now,
            visit_id=id_,
            source=origin.source,
            placement=origin.placement,
            campaign=origin.campaign,
            position=origin.position,
            sharer_id=origin.sharer_id,
            streamer_id=origin.streamer_id,
            is_fan=is_fan,
        )
        kept = await keep_touch(tx, actor.viewer_id, touch, is_shelf=place.is_shelf and origin.source is Source.shelf)
        id_, is_new, rule_version = kept.again or id_, kept.again is None, kept.version
        if kept.kind is RuleKind.first_touch or (
            kept.kind is RuleKind.last_non_direct and origin.source is Source.direct
        ):
            since = tx.now - timedelta(hours=kept.window_h)
            touches = await find_touches(tx, [actor.viewer_id, *merged], [place.shop_id], since=since)
            credited = choose(kept.kind, touches[place.shop_id])
            assert credited is not None, "the touch was kept in this transaction"
            origin = _Origin(
                source=credited.source,
                placement=credited.placement,
                campaign=credited.campaign,
                position=credited.position,
                sharer_id=credited.sharer_id,
                streamer_id=origin.streamer_id,
                at=origin.at,
            )
    made = Visit(
        id=id_,
        viewer_id=actor.viewer_id,
        show_id=place.show_id,
        source=origin.source,
        placement=place.placement if place.is_surface else origin.placement,
        at=origin.at,
        campaign=origin.campaign,
        position=origin.position,
        sharer_id=origin.sharer_id,
        shop_id=place.shop_id,
        streamer_id=origin.streamer_id,
        is_fan=is_fan,
        rule_version=rule_version,
        counts=counts,
    )
    return Opened(made, sign_visit(signer, made), is_new)


def read_own_visit(signer: Signer, actor: Actor, merged: frozenset[ViewerId] | None, token: str) -> Visit | None:
    """The actor's visit in a token; none when it has expired. Refuses what is forged or somebody else's.

    `merged` are the guests that became the actor; while they are not known, another's is none.
    """
    try:
        visit = read_visit(signer, token)
    except TokenExpired:
        return None
    if visit.viewer_id == actor.viewer_id or (merged is not None and visit.viewer_id in merged):
        return visit
    if merged is None:
        return None
    raise EntryNotYours()


async def credit_at(tx: Tx, actor: Actor, shop_id: ShopId, *, source: Source = Source.direct) -> Credit | None:
    """What a visitor does at a shop without naming a visit is credited with; nothing if the actor is no visitor of it."""
    if not _is_known(actor) or await scopes_at(tx, actor, shop_id):
        return None
    return (await credit(tx, actor, [shop_id], source=source))[shop_id]


async def credit(tx: Tx, actor: Actor, shop_ids: Iterable[ShopId], *, source: Source) -> dict[ShopId, Credit]:
    """The same at several shops; `source` where nothing is remembered."""
    return await credit_shops(tx, actor.viewer_id, await merged_into(tx, actor), shop_ids, source=source)


async def merged_into(tx: Tx, actor: Actor) -> frozenset[ViewerId]:
    """The guests that have become this person."""
    return await identity.merged_guests(tx, actor.viewer_id) if actor.account_id is not None else frozenset()


async def scopes_at(tx: Tx, actor: Actor, shop_id: ShopId) -> frozenset[str]:
    """What the actor may do at a shop; whoever may do anything there is no visitor of it."""
    if actor.seat_holder_id is None:
        return frozenset()
    seat = await identity.find_seat(tx, actor, shop_id)
    held = {scope.value for scope in seat.scopes} if seat is not None else set()
    if actor.token_scopes is not None:
        held &= {scope.value for scope in actor.token_scopes}
    return frozenset(held | {Role.operator.value} if Role.operator in actor.roles else held)


def _is_known(actor: Actor) -> bool:
    """Whether this is somebody who will be the same one next time."""
    return actor.account_id is not None or actor.is_known_guest


def _is_at(before: Visit, place: Place) -> bool:
    """Whether a visit is to this very place. A surface's is told by its placement."""
    if place.is_surface:
        return before.placement == place.placement and before.shop_id == place.shop_id
    return place.show_id is not None and before.show_id == place.show_id and not is_of_surface(before.placement)


def _of_entry(entry: Entry, place: Place, *, at: datetime) -> _Origin:
    return _Origin(
        source=entry.source,
        placement=place.placement if place.is_surface else entry.placement,
        campaign=entry.campaign,
        position=entry.position,
        sharer_id=entry.sharer_id,
        streamer_id=place.streamer_id,
        at=at,
    )


def _of_visit(before: Visit | None, place: Place) -> _Origin | None:
    """From one thing of a streamer to another the source goes along, and how long it has been known."""
    if before is None or before.shop_id != place.shop_id:
        return None
    if not place.is_shelf and before.streamer_id != place.streamer_id:
        return None
    placement = before.placement
    if place.is_surface:
        placement = place.placement
    elif is_of_surface(placement) and not place.is_shelf:
        placement = f"from-{placement.partition(':')[0]}"
    return _Origin(
        source=before.source,
        placement=placement,
        campaign=before.campaign,
        position=before.position,
        sharer_id=before.sharer_id,
        streamer_id=before.streamer_id,
        at=before.at,
    )


async def _of_session(tx: Tx, actor: Actor, merged: frozenset[ViewerId], place: Place) -> _Origin | None:
    """A page of the shelf that is opened just like that goes on with what brought the viewer to the shop a moment ago."""
    if not place.is_shelf:
        return None
    touches = await find_touches(tx, [actor.viewer_id, *merged], [place.shop_id], since=tx.now - SESSION)
    last = choose(RuleKind.last_touch, touches.get(place.shop_id, []))
    if last is None:
        return None
    return _Origin(
        source=last.source,
        placement=last.placement,
        campaign=last.campaign,
        position=last.position,
        sharer_id=last.sharer_id,
        streamer_id=last.streamer_id,
        at=last.at,
    )


def _of_place(place: Place, *, at: datetime) -> _Origin:
    return _Origin(source=place.source, placement=place.placement, streamer_id=place.streamer_id, at=at)
