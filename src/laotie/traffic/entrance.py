"""The way into a show, and what may be credited to it: entries exchanged for visits, visits traced, links shared."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from laotie import fans, identity, live, videos
from laotie.base.db import Tx
from laotie.base.entry import Entry, EntryNotYours, Source, Visit, is_of_surface, mint_entry, read_visit
from laotie.base.ids import AccountId, ShowId, ViewerId, new_id
from laotie.base.refusals import NotFound
from laotie.base.signer import Signer, TokenExpired
from laotie.identity import Actor
from laotie.traffic.model import PK, SHARE_LINK, Admission, ShareLink, bound_entry
from laotie.traffic.visits import Place, merged_into, open_visit, read_own_visit, scopes_at

SHOW_LINK = re.compile(r"/shows/([0-9a-f-]{36})")
MESSAGE = "message"


async def enter(
    tx: Tx, signer: Signer, actor: Actor, show_id: ShowId, *, entry: str | None, visit: str | None = None
) -> Admission:
    """Exchange an entry token, or none, for a visit and a ticket to the show's socket.

    `visit` is the one that the page has already (it goes on), or that it comes from. Refuses `NotFound`, `ShowEnded`,
    `Banned`, `Kicked`, `TooFast`, a token that is forged, expired, somebody else's or leads elsewhere. Without a token the
    visit is `direct`.
    """
    show = await live.get_show(tx, show_id)
    if show.state is live.ShowState.ended:
        raise live.ShowEnded(show_id=show_id)
    scopes = await scopes_at(tx, actor, show.shop_id)
    if not scopes:
        await live.check_entry(
            tx, show_id, viewer_id=actor.viewer_id, device_id=actor.device_id, address=actor.address
        )
    followed_at = await fans.find_follow_since(tx, actor.viewer_id, show.streamer.id)
    opened = await open_visit(
        *(tx, signer, actor),
        Place(shop_id=show.shop_id, subjects=(str(show_id),), show_id=show_id, streamer_id=show.streamer.id),
        entry=entry,
        visit=visit,
        is_fan=followed_at is not None,
        is_staff=bool(scopes),
    )
    ticket = live.Ticket(
        jti=new_id(),
        viewer_id=actor.viewer_id,
        account_id=actor.account_id,
        name=await _name_of(tx, actor),
        show_id=show_id,
        shop_id=show.shop_id,
        visit=opened.visit,
        scopes=scopes,
        follows=followed_at is not None,
        followed_at=followed_at,
        device_id=actor.device_id,
    )
    return Admission(
        ticket=live.issue_ticket(signer, ticket),
        visit=opened.token,
        expires_at=tx.now + timedelta(seconds=live.TICKET_AGE_MAX_S),
    )


async def share(tx: Tx, signer: Signer, actor: Actor, show_id: ShowId) -> ShareLink:
    """A link that anybody may open. It credits the share, and nothing else, whoever opens it."""
    show = await live.get_show(tx, show_id)
    entry = mint_entry(
        signer,
        Entry(
            source=Source.share, placement=SHARE_LINK, at=tx.now, sharer_id=actor.viewer_id, subject=str(show.id)
        ),
    )
    return ShareLink(url=f"/s/{show.id}?entry={entry}", entry=entry)


def invite(signer: Signer, sharer_id: ViewerId, placement: str, *, subject: str, at: datetime) -> str:
    """The entry of what somebody passes on by its address alone (a bargain, a team): a share of theirs, whoever comes."""
    return mint_entry(signer, Entry(source=Source.share, placement=placement, at=at, sharer_id=sharer_id, subject=subject))


def credit_notice(tx: Tx, signer: Signer, viewer_id: ViewerId, link: str) -> str | None:
    """The entry of a notice that this viewer was sent and opens, if it leads to a show: a message, private traffic."""
    found = SHOW_LINK.fullmatch(link)
    if found is None:
        return None
    return mint_entry(
        signer,
        Entry(source=Source.private, placement=MESSAGE, at=tx.now, viewer_id=viewer_id, subject=found[1]),
    )


async def cross_over(tx: Tx, signer: Signer, actor: Actor, sides: Sequence[ShowId], *, visit: str) -> str:
    """The entry of somebody who goes from one room of a duel to the other: theirs alone, into that room.

    The visit says in which room they are. Refuses `NotFound` where that is none of the two, and what is forged, expired or
    somebody else's.
    """
    here = read_own_visit(signer, actor, await merged_into(tx, actor), visit)
    if here is None:
        raise TokenExpired(purpose="visit")
    others = [side for side in sides if side != here.show_id]
    if is_of_surface(here.placement) or here.show_id not in sides or len(others) != 1:
        raise NotFound()
    return mint_entry(signer, bound_entry(Source.pk, PK, actor.viewer_id, others[0], at=tx.now))


async def trace_visit(tx: Tx, signer: Signer, actor: Actor, token: str, *, streamer_id: AccountId) -> Visit | None:
    """The actor's visit, as far as it can be credited with what they do for this streamer.

    Refuses a token that is forged, expired or somebody else's; a visit to another streamer's show explains nothing.
    """
    visit = read_visit(signer, token)
    if visit.viewer_id != actor.viewer_id and visit.viewer_id not in await merged_into(tx, actor):
        raise EntryNotYours()
    if visit.streamer_id is not None:
        return visit if visit.streamer_id == streamer_id else None
    if visit.show_id is None:
        return visit if await videos.find_streamer(tx, visit.placement) == streamer_id else None
    hosts = await live.find_hosts(tx, [visit.show_id])
    return visit if hosts.get(visit.show_id) == streamer_id else None


async def _name_of(tx: Tx, actor: Actor) -> str:
    """The account's name; a guest is told from others by four digits of their id."""
    if actor.account_id is None:
        return f"游客{actor.viewer_id.hex[-4:]}"
    profile = await identity.get_profile(tx, actor.account_id)
    return profile.name
