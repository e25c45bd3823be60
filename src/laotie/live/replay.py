"""A show again: its recording as people may use it, what was explained at which price, how long it is kept.

The bytes are `media`'s; here is whether a show is recorded, whether its replay is shown, and until when it must stay.
A recording is kept for its term (three years by default, what Chinese law asks of live shops) whatever its streamer
wishes: they may hide it from everybody at once, and it is removed when the term is over.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, CartItemId, ProductId, ShopId, ShowId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, NotFound
from laotie.identity import Actor, Scope
from laotie.live.marks import Mark, list_marks
from laotie.live.model import ShowState

REPLAYS_LISTED_MAX = 50
SWEPT_MAX = 20


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A show's recording: being made, kept until a day, or removed after it."""

    show_id: ShowId
    shop_id: ShopId
    state: str
    published: bool
    began_at: datetime
    ended_at: datetime | None
    duration_ms: int
    size_bytes: int
    keep_until: datetime | None


class PriceFrom(msgspec.Struct, frozen=True):
    """What a product cost at the least, from an instant on."""

    at: datetime
    price: Money


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A product as it was explained: from when to when, at which prices."""

    id: UUID
    item_id: CartItemId
    product_id: ProductId
    title: str
    image: str | None
    begins_at: datetime
    ends_at: datetime | None
    prices: list[PriceFrom]
    """The first is the one it began with; more when the price was changed meanwhile."""


class RecordingKept(Conflict, code="recording-kept"):
    """A recording stays for its term; it can be hidden from everybody now."""

    keep_until: datetime | None


async def find_start(tx: Tx, show_id: ShowId) -> datetime | None:
    """Since when a show is live that is to be recorded; None when it is not, or not to be."""
    return await tx.maybe(
        datetime,
        """
        SELECT show.started_at FROM live.show JOIN live.room ON room.id = show.room_id
        WHERE show.id = %(id)s AND show.state = 'live' AND room.records
        """,
        id=show_id,
    )


async def begin(tx: Tx, show_id: ShowId) -> None:
    """The show is being recorded from now on, or again."""
    await tx.run(
        """
        INSERT INTO live.recording (show_id, shop_id, state, began_at)
        SELECT id, shop_id, 'recording', %(now)s FROM live.show WHERE id = %(id)s
        ON CONFLICT (show_id) DO UPDATE SET state = 'recording', ended_at = NULL WHERE recording.state = 'kept'
        """,
        id=show_id,
        now=tx.now,
    )


async def finish(tx: Tx, show_id: ShowId, *, duration_ms: int, size_bytes: int, keep_days: int) -> None:
    """The recording is whole. One in which nothing was kept is forgotten, as if it had not been begun."""
    if not duration_ms:
        await tx.run("DELETE FROM live.clip WHERE show_id = %(id)s", id=show_id)
        await tx.run("DELETE FROM live.recording WHERE show_id = %(id)s AND state = 'recording'", id=show_id)
        return
    await tx.run(
        """
        UPDATE live.recording
        SET state = 'kept', ended_at = %(now)s, duration_ms = %(duration_ms)s, size_bytes = %(size_bytes)s,
            keep_until = %(keep_until)s
        WHERE show_id = %(id)s AND state = 'recording'
        """,
        id=show_id,
        now=tx.now,
        duration_ms=duration_ms,
        size_bytes=size_bytes,
        keep_until=tx.now + timedelta(days=keep_days),
    )


async def list_unfinished(tx: Tx) -> list[ShowId]:
    """Recordings of shows that are over, whose end nobody wrote: the process died."""
    return await tx.all(
        ShowId,
        """
        SELECT recording.show_id FROM live.recording JOIN live.show ON show.id = recording.show_id
        WHERE recording.state = 'recording' AND show.state = 'ended'
        """,
    )


async def list_over_term(tx: Tx) -> list[ShowId]:
    """Recordings whose term is over, the oldest first."""
    return await tx.all(
        ShowId,
        """
        SELECT show_id FROM live.recording WHERE state = 'kept' AND keep_until <= %(now)s
        ORDER BY keep_until, show_id LIMIT %(limit)s
        """,
        now=tx.now,
        limit=SWEPT_MAX,
    )


async def get_recording(tx: Tx, actor: Actor, show_id: ShowId) -> Recording:
    """A show's recording, or `NotFound` when there is none; a hidden one is there for who has a seat at the shop."""
    recording = await find_recording(tx, show_id)
    if recording is None or recording.state == "removed":
        raise NotFound()
    if not recording.published and not await may_see_hidden(tx, actor, recording.shop_id):
        raise NotFound()
    return recording


async def find_recording(tx: Tx, show_id: ShowId) -> Recording | None:
    """A show's recording, whoever asks."""
    return await tx.maybe(
        Recording,
        """
        SELECT show_id, shop_id, state, published, began_at, ended_at, duration_ms, size_bytes, keep_until
        FROM live.recording WHERE show_id = %(id)s
        """,
        id=show_id,
    )


async def may_see_hidden(tx: Tx, actor: Actor, shop_id: ShopId) -> bool:
    """Whether somebody has a seat with the scope `show` at the shop."""
    return await identity.may(tx, actor, shop_id, Scope.show)


async def publish(tx: Tx, actor: Actor, show_id: ShowId, *, published: bool) -> Recording:
    """Show a replay to everybody, or to the shop's own people alone. Needs the scope `show`."""
    recording = await _hold(tx, actor, show_id)
    if recording.published != published:
        await tx.run(
            "UPDATE live.recording SET published = %(published)s WHERE show_id = %(id)s",
            id=show_id,
            published=published,
        )
        act = "recording.published" if published else "recording.hidden"
        await identity.record(tx, actor, act, subject=str(show_id))
    return msgspec.structs.replace(recording, published=published)


async def remove(tx: Tx, actor: Actor, show_id: ShowId) -> None:
    """Remove a recording whose term is over; refuses `RecordingKept` before. The caller then deletes the bytes."""
    recording = await _hold(tx, actor, show_id)
    if recording.keep_until is None or recording.keep_until > tx.now:
        raise RecordingKept(keep_until=recording.keep_until)
    await identity.record(tx, actor, "recording.removed", subject=str(show_id))
    await mark_removed(tx, show_id)


async def mark_removed(tx: Tx, show_id: ShowId) -> None:
    """A recording is gone, and so are the clips of it."""
    await tx.run("DELETE FROM live.clip WHERE show_id = %(id)s", id=show_id)
    await tx.run(
        "UPDATE live.recording SET state = 'removed', removed_at = %(now)s WHERE show_id = %(id)s AND state = 'kept'",
        id=show_id,
        now=tx.now,
    )


async def _hold(tx: Tx, actor: Actor, show_id: ShowId) -> Recording:
    recording = await find_recording(tx, show_id)
    if recording is None or recording.state == "removed":
        raise NotFound()
    await identity.require_seat(tx, actor, recording.shop_id, Scope.show)
    await tx.run("SELECT FROM live.recording WHERE show_id = %(id)s FOR NO KEY UPDATE", id=show_id)
    return recording


async def list_of_streamer(tx: Tx, streamer_id: AccountId) -> list[ShowId]:
    """A streamer's shows that can be seen again, newest first."""
    return await tx.all(
        ShowId,
        """
        SELECT show.id FROM live.show JOIN live.recording ON recording.show_id = show.id
        WHERE show.streamer_id = %(id)s AND show.state = %(ended)s AND recording.published
          AND recording.state <> 'removed'
        ORDER BY show.started_at DESC, show.id DESC LIMIT %(limit)s
        """,
        id=streamer_id,
        ended=ShowState.ended,
        limit=REPLAYS_LISTED_MAX,
    )


class _Priced(msgspec.Struct, frozen=True):
    item_id: CartItemId
    at: datetime
    price_amount: int
    currency: str


async def list_explained(tx: Tx, show_id: ShowId) -> list[Explained]:
    """What was explained in a show, in the order of time, with the price of that moment."""
    marks = await list_marks(tx, show_id)
    products = await catalog.find_products(tx, list({mark.product_id for mark in marks}))
    noted = await tx.all(
        _Priced,
        """
        SELECT item_id, at, price_amount, currency FROM live.pinned_price WHERE show_id = %(id)s ORDER BY at
        """,
        id=show_id,
    )
    return [
        Explained(
            id=mark.id,
            item_id=mark.item_id,
            product_id=mark.product_id,
            title=product.title if (product := products.get(mark.product_id)) else "",
            image=catalog.picture_of(mark.product_id, product.images if product else []),
            begins_at=mark.begins_at,
            ends_at=mark.ends_at,
            prices=_prices_within(noted, mark),
        )
        for mark in marks
    ]


def _prices_within(noted: list[_Priced], mark: Mark) -> list[PriceFrom]:
    """The prices noted for the item while it was explained."""
    return [
        PriceFrom(one.at, Money(one.price_amount, one.currency))
        for one in noted
        if one.item_id == mark.item_id and mark.begins_at <= one.at and (mark.ends_at is None or one.at < mark.ends_at)
    ]


async def note_pinned_price(tx: Tx, show_id: ShowId) -> None:
    """Keep what the pinned item costs now, if one is pinned: for the replay's cart at its moments."""
    await tx.run(
        """
        INSERT INTO live.pinned_price (show_id, item_id, product_id, at, price_amount, currency)
        SELECT item.show_id, item.id, item.product_id, %(now)s,
               min(coalesce(offer.price_amount, price.price_amount)), min(price.currency)
        FROM live.show JOIN live.cart_item AS item ON item.id = show.pinned_item_id
        JOIN live.cart_price AS price ON price.item_id = item.id
        LEFT JOIN live.wave ON wave.id = item.wave_id AND wave.state = 'open'
        LEFT JOIN live.wave_price AS offer ON offer.wave_id = wave.id AND offer.sku_id = price.sku_id
        WHERE show.id = %(show_id)s GROUP BY item.show_id, item.id, item.product_id
        ON CONFLICT (show_id, at, item_id) DO UPDATE SET price_amount = excluded.price_amount
        """,
        show_id=show_id,
        now=tx.now,
    )
