"""Every placement of the product, and what a client can make of its entry: never more than it was shown (E8)."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest
from itsdangerous.encoding import base64_decode, base64_encode

from laotie import fans, traffic
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.entry import (
    ENTRY_AGE_MAX_S,
    Entry,
    EntryElsewhere,
    EntryNotYours,
    Source,
    Visit,
    mint_entry,
    sign_visit,
)
from laotie.base.ids import AccountId, ProductId, ShopId, new_id
from laotie.base.signer import Signer, TokenExpired, TokenInvalid
from laotie.catalog import Product
from laotie.identity import Actor
from laotie.search import Ask
from laotie.traffic import Opened, Surface
from laotie.traffic.model import bound_entry
from stage import Host, guest, host, join, product, put_in_cart


class Set(NamedTuple):
    """A host with a product in a live show, another host, and somebody who is shown things."""

    db: Database
    signer: Signer
    one: Host
    other: Host
    goods: Product
    others: Product
    viewer: Actor

    def surface(self, kind: str, of: Host | None = None) -> Surface:
        of = of or self.one
        show_id = None if kind == "video" else of.show_id
        return Surface(placement=f"{kind}:{of.show_id}", shop_id=of.shop_id, streamer_id=of.id, show_id=show_id)


Mint = Callable[[Set], Awaitable[str | None]]
Use = Callable[[Set, Actor, str, bool], Awaitable[Visit]]
"""The last: at what it leads to, or (false) at the same thing of the other host."""


async def into_show(a: Set, actor: Actor, entry: str, own: bool) -> Visit:
    async with a.db.tx() as tx:
        show_id = (a.one if own else a.other).show_id
        return traffic_visit(a, (await traffic.enter(tx, a.signer, actor, show_id, entry=entry)).visit)


@cache
def into(kind: str) -> Use:
    async def use(a: Set, actor: Actor, entry: str, own: bool) -> Visit:
        async with a.db.tx() as tx:
            surface = a.surface(kind, a.one if own else a.other)
            opened = await traffic.open_surface_visit(tx, a.signer, actor, surface, entry=entry, visit=None)
        return opened.visit

    return use


async def into_product(a: Set, actor: Actor, entry: str, own: bool) -> Visit:
    async with a.db.tx() as tx:
        product_id = (a.goods if own else a.others).id
        return (await traffic.open_shelf_visit(tx, a.signer, actor, product_id, entry=entry)).visit


def traffic_visit(a: Set, token: str) -> Visit:
    visit = traffic.read_own_visit(a.signer, Actor(viewer_id=a.viewer.viewer_id), None, token)
    return visit or a.signer.open("visit", token, Visit, age_max_s=None)


async def follow_page(a: Set) -> str | None:
    async with a.db.tx() as tx:
        await fans.follow(tx, a.viewer.viewer_id, a.one.id)
        return (await traffic.list_following(tx, a.signer, a.viewer))[0].entry


async def discover(a: Set) -> str | None:
    async with a.db.read() as tx:
        cards = (await traffic.list_discover(tx, a.signer, a.viewer)).items
    return next(card.entry for card in cards if card.show_id == a.one.show_id)


async def streamer_page(a: Set) -> str | None:
    async with a.db.read() as tx:
        card = (await traffic.get_streamer_page(tx, a.signer, a.viewer, a.one.id)).live_show
    assert card is not None
    return card.entry


async def notice(a: Set) -> str | None:
    async with a.db.read() as tx:
        return traffic.credit_notice(tx, a.signer, a.viewer.viewer_id, f"/shows/{a.one.show_id}")


async def found(a: Set, text: str) -> traffic.ShelfHit:
    async with a.db.read() as tx:
        page = await traffic.search_shelf(tx, a.signer, a.viewer, None, Ask(text=text))
    return next(hit for hit in page.items if hit.product.id == a.goods.id)


async def search_hit(a: Set) -> str | None:
    return (await found(a, a.goods.title)).entry


async def category_hit(a: Set) -> str | None:
    return (await found(a, "")).entry


async def search_live(a: Set) -> str | None:
    offer = (await found(a, a.goods.title)).live
    assert offer is not None
    return offer.entry


async def share_link(a: Set) -> str | None:
    async with a.db.read() as tx:
        return (await traffic.share(tx, a.signer, a.viewer, a.one.show_id)).entry


async def duel(a: Set) -> str | None:
    """From the other host's room, with which this one has a duel."""
    async with a.db.tx() as tx:
        there = (await traffic.enter(tx, a.signer, a.viewer, a.other.show_id, entry=None)).visit
        return await traffic.cross_over(tx, a.signer, a.viewer, [a.one.show_id, a.other.show_id], visit=there)


def share_of(kind: str) -> Mint:
    async def mint(a: Set) -> str | None:
        placement = a.surface(kind).placement
        return traffic.share_surface(a.signer, a.viewer, placement, path="/x", at=a.db.clock.now()).entry

    return mint


def placed(source: Source) -> Mint:
    async def mint(a: Set) -> str | None:
        placed = bound_entry(source, source.value, a.viewer.viewer_id, a.one.show_id, at=a.db.clock.now(), position=5)
        return mint_entry(a.signer, placed)

    return mint


def video_slot(source: Source) -> Mint:
    async def mint(a: Set) -> str | None:
        subject = a.surface("video").placement
        entry = Entry(source=source, placement=subject, at=a.db.clock.now(), viewer_id=a.viewer.viewer_id, subject=subject)
        return mint_entry(a.signer, entry)

    return mint


def invitation(placement: str) -> Mint:
    async def mint(a: Set) -> str | None:
        subject = str(a.one.show_id) if placement == "bargain" else f"product:{a.goods.id}"
        return traffic.invite(a.signer, a.viewer.viewer_id, placement, subject=subject, at=a.db.clock.now())

    return mint


class Case(NamedTuple):
    """A placement: what mints its entry, what takes it, and what it is credited with."""

    mint: Mint
    use: Use
    source: Source
    placement: str

    @property
    def is_share(self) -> bool:
        return self.source is Source.share


PLACEMENTS = {
    "follow page": Case(follow_page, into_show, Source.private, "follow-page"),
    "streamer's page": Case(streamer_page, into_show, Source.private, "streamer-page"),
    "notice, also by web push": Case(notice, into_show, Source.private, "message"),
    "discover feed": Case(discover, into_show, Source.public_organic, "discover"),
    "video feed": Case(video_slot(Source.public_organic), into("video"), Source.public_organic, "video:"),
    "duel": Case(duel, into_show, Source.pk, "pk"),
    "slot": Case(placed(Source.slot), into_show, Source.slot, "slot"),
    "paid": Case(placed(Source.public_paid), into_show, Source.public_paid, "public_paid"),
    "search": Case(search_hit, into_product, Source.shelf, "search"),
    "category": Case(category_hit, into_product, Source.shelf, "category"),
    "search, into the show": Case(search_live, into_show, Source.shelf, "search"),
    "shared show": Case(share_link, into_show, Source.share, "share-link"),
    "shared bargain": Case(invitation("bargain"), into_show, Source.share, "bargain"),
    "shared team": Case(invitation("team"), into_product, Source.share, "team"),
    "shared replay": Case(share_of("replay"), into("replay"), Source.share, "replay:"),
    "shared clip": Case(share_of("clip"), into("clip"), Source.share, "clip:"),
    "shared video": Case(share_of("video"), into("video"), Source.share, "video:"),
}
@pytest.fixture
async def a(db: Database, signer: Signer) -> Set:
    one, other = await host(db), await host(db, "other")
    goods, others = await product(db, one, title="Lipstick"), await product(db, other, title="Powder")
    await put_in_cart(db, one, goods)
    return Set(db, signer, one, other, goods, others, guest())


async def mint(a: Set, case: Case) -> str:
    token = await case.mint(a)
    assert token is not None
    return token


async def mint_all(a: Set) -> list[tuple[str, Case, str]]:
    return [(name, case, await mint(a, case)) for name, case in PLACEMENTS.items()]


async def test_an_entry_credits_its_own_placement_and_the_visit_says_who_came(a: Set) -> None:
    for name, case, token in await mint_all(a):
        visit = await case.use(a, a.viewer, token, True)
        assert (visit.source, visit.viewer_id, visit.counts) == (case.source, a.viewer.viewer_id, True), name
        assert visit.placement.startswith(case.placement), name
        assert visit.is_fan, f"{name}: the follow page's viewer follows"
        assert (visit.shop_id, visit.rule_version) == (a.one.shop_id, 1), name
        assert visit.sharer_id == (a.viewer.viewer_id if case.is_share else None), name


async def test_nobody_forges_one(a: Set, clock: Clock) -> None:
    theirs = Signer(["a key that this house does not have, 32"], clock)
    for name, case, token in await mint_all(a):
        body, stamp, mac = token.split(".")
        said = msgspec.json.decode(base64_decode(body))
        better = said | {"source": "slot" if said["source"] == "private" else "private"}
        entry = msgspec.json.decode(base64_decode(body), type=Entry)
        forged = {
            "another's key": theirs.sign("entry", entry),
            "a better source": f"{base64_encode(msgspec.json.encode(better)).decode()}.{stamp}.{mac}",
            "another time": f"{body}.{stamp[:-1]}{'A' if stamp[-1] != 'A' else 'B'}.{mac}",
            "no signature": f"{body}.{stamp}.",
            "a visit's purpose": a.signer.sign("visit", entry),
            "nothing": "",
        }
        for how, one in forged.items():
            try:
                await case.use(a, a.viewer, one, True)
            except TokenInvalid:
                continue
            pytest.fail(f"{name}: {how} was taken for an entry")


async def test_nobody_replays_one_after_its_day(a: Set, clock: Clock) -> None:
    minted = await mint_all(a)
    clock.advance(seconds=ENTRY_AGE_MAX_S - 300)
    for name, case, token in minted:
        assert (await case.use(a, a.viewer, token, True)).source is case.source, name
    clock.advance(seconds=302)
    for _, case, token in minted:
        with pytest.raises(TokenExpired):
            await case.use(a, a.viewer, token, True)


async def test_one_serves_whom_it_was_shown_to_and_a_share_everybody_as_a_share(a: Set) -> None:
    minted, people = await mint_all(a), (guest(), await join(a.db, "somebody"))
    for name, case, token in minted:
        for somebody in people:
            if case.is_share:
                assert (await case.use(a, somebody, token, True)).source is Source.share, name
            else:
                with pytest.raises(EntryNotYours):
                    await case.use(a, somebody, token, True)


async def test_one_leads_to_its_subject_alone(a: Set) -> None:
    of_the_show = (into_show, into("replay"), into("clip"))  # one that leads into a show is good for what is kept of it
    for _, case, token in await mint_all(a):
        with pytest.raises(EntryElsewhere):
            await case.use(a, a.viewer, token, False)
        for use in {other.use for other in PLACEMENTS.values()} - {case.use}:
            if case.use is not into_show or use not in of_the_show:
                with pytest.raises(EntryElsewhere):
                    await use(a, a.viewer, token, True)


async def test_a_share_that_says_it_were_private_credits_the_share(a: Set, clock: Clock) -> None:
    with pytest.raises(AssertionError):
        mint_entry(a.signer, Entry(source=Source.private, placement="x", at=clock.now(), subject=str(a.one.show_id)))
    bearer = mint_entry(
        a.signer,
        Entry(source=Source.share, placement="x", at=clock.now(), viewer_id=a.viewer.viewer_id, subject=str(a.one.show_id)),
    )
    assert (await into_show(a, guest(), bearer, True)).source is Source.share


async def enter(a: Set, actor: Actor, **came: str | None) -> tuple[Visit, str]:
    async with a.db.tx() as tx:
        came.setdefault("entry", None)
        token = (await traffic.enter(tx, a.signer, actor, a.one.show_id, **came)).visit
    return a.signer.open("visit", token, Visit, age_max_s=None), token


async def to_surface(a: Set, actor: Actor, surface: Surface, visit: str) -> Opened:
    async with a.db.tx() as tx:
        return await traffic.open_surface_visit(tx, a.signer, actor, surface, entry=None, visit=visit)


async def test_from_one_thing_of_a_streamer_to_another_the_source_goes_along_and_no_further(a: Set) -> None:
    shared = await mint(a, PLACEMENTS["shared show"])
    _, token = await enter(a, a.viewer, entry=shared)
    replay = await to_surface(a, a.viewer, a.surface("replay"), token)
    assert (replay.visit.source, replay.visit.placement) == (Source.share, a.surface("replay").placement)
    elsewhere = await to_surface(a, a.viewer, a.surface("replay", a.other), token)
    assert (elsewhere.visit.source, elsewhere.visit.sharer_id) == (Source.direct, None)
    back, _ = await enter(a, a.viewer, visit=replay.token)
    assert (back.source, back.placement, back.show_id) == (Source.share, "from-replay", a.one.show_id)
    with pytest.raises(EntryNotYours):
        await to_surface(a, guest(), a.surface("replay"), token)


async def test_a_connection_that_broke_goes_on_with_its_visit(a: Set) -> None:
    token = await mint(a, PLACEMENTS["discover feed"])
    visit, said = await enter(a, a.viewer, entry=token)
    again, _ = await enter(a, a.viewer, visit=said)
    assert again == visit
    reloaded, _ = await enter(a, a.viewer, entry=token)
    assert reloaded.id == visit.id, "also the page that was loaded anew"
    a.db.clock.advance(seconds=3600)
    later, _ = await enter(a, a.viewer, entry=token)
    assert later.id != visit.id


async def test_a_chain_of_visits_lives_no_longer_than_its_first(a: Set, clock: Clock) -> None:
    _, token = await enter(a, a.viewer, entry=await mint(a, PLACEMENTS["follow page"]))
    for hours in (11, 11):
        clock.advance(seconds=hours * 3600)
        opened = await to_surface(a, a.viewer, a.surface("replay"), token)
        assert opened.visit.source is Source.private
        token = opened.token
    clock.advance(seconds=3 * 3600)
    opened = await to_surface(a, a.viewer, a.surface("clip"), token)
    assert opened.visit.source is Source.direct


async def test_the_shops_own_people_and_strangers_are_no_visitors(a: Set) -> None:
    visit, _ = await enter(a, a.one.actor)
    assert not visit.counts
    stranger = Actor(viewer_id=guest().viewer_id)
    visit, _ = await enter(a, stranger)
    assert not visit.counts
    async with a.db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM traffic.touch") == 0


async def test_a_made_up_visit_is_refused(a: Set, clock: Clock) -> None:
    made = Visit(
        id=new_id(), viewer_id=a.viewer.viewer_id, show_id=a.one.show_id, source=Source.private, placement="follow-page",  # type: ignore[arg-type]
        at=clock.now(), shop_id=ShopId(UUID(int=1)), streamer_id=AccountId(UUID(int=2)),
    )  # fmt: skip
    forged = sign_visit(Signer(["a key that this house does not have, 32"], clock), made)
    with pytest.raises(TokenInvalid):
        await enter(a, a.viewer, visit=forged)
    with pytest.raises(TokenInvalid):
        await to_surface(a, a.viewer, a.surface("clip"), forged)
    async with a.db.tx() as tx:
        with pytest.raises(TokenInvalid):
            await traffic.open_shelf_visit(tx, a.signer, a.viewer, ProductId(a.goods.id), visit=forged)
