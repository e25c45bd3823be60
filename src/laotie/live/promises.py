"""Promises: what the streamer says an item costs, comes with and is good for, kept with its instant.

A promise is never changed, only followed by another; the database refuses the rest. The one that stands is on the card
and the sheet, and the till writes its id into every order: what the buyer was promised when the order was decided.

A promised price binds at once: whatever costs more in the scope of the promise is lowered to it in the same transaction,
and nothing is raised above it while it stands (`PromiseStands` here, `PromiseBroken` at the till). Why: ADR 0014.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie import catalog
from laotie.base.db import Tx
from laotie.base.ids import CartItemId, ProductId, ShowId
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.identity import Actor
from laotie.live.endings import point_anew
from laotie.live.model import (
    PROMISE_LENGTH_MAX,
    PROMISED_PIECES_MAX,
    PROMISES_OF_ITEM_MAX,
    Promise,
    PromiseDraft,
    PromiseRefused,
    PromiseStands,
    TooManyPromises,
)

PROMISES_LISTED_MAX = 2_000


class _Row(msgspec.Struct, frozen=True):
    id: UUID
    show_id: ShowId
    item_id: CartItemId
    product_id: ProductId
    wave_id: UUID | None
    version: int
    price_amount: int | None
    currency: str | None
    gift: str
    pieces: int | None
    guarantee: str
    note: str
    said_at: datetime


class _Place(msgspec.Struct, frozen=True):
    show_id: ShowId
    product_id: ProductId
    currency: str | None


async def write_promise(
    tx: Tx, actor: Actor, item_id: CartItemId, draft: PromiseDraft, *, wave_id: UUID | None
) -> Promise:
    """Promise something of an item from now on, for one of its waves or at large; the caller holds show and item.

    The same draft again gives the same promise. Tells `CartItemChanged`. Refuses `PromiseRefused`, `IdReused`,
    `TooManyPromises`.
    """
    place = await tx.maybe(
        _Place,
        """
        SELECT show_id, product_id, (SELECT min(currency) FROM live.cart_price WHERE item_id = item.id) AS currency
        FROM live.cart_item AS item WHERE id = %(id)s
        """,
        id=item_id,
    )
    if place is None:
        raise NotFound()
    draft = check_promise(draft, currency=place.currency)
    digest = catalog.digest_of(item_id, draft)
    known = await tx.maybe(bytes, "SELECT digest FROM live.promise WHERE id = %(id)s", id=draft.id)
    if known is not None and known != digest:
        raise IdReused()
    if known is None:
        version = 1 + await tx.one(
            int, "SELECT coalesce(max(version), 0) FROM live.promise WHERE item_id = %(id)s", id=item_id
        )
        if version > PROMISES_OF_ITEM_MAX:
            raise TooManyPromises(count_max=PROMISES_OF_ITEM_MAX)
        await tx.run(
            """
            INSERT INTO live.promise (id, show_id, item_id, product_id, wave_id, version, price_amount, currency, gift,
                                      pieces, guarantee, note, said_by, said_at, digest)
            VALUES (%(id)s, %(show_id)s, %(item_id)s, %(product_id)s, %(wave_id)s, %(version)s, %(price)s, %(currency)s,
                    %(gift)s, %(pieces)s, %(guarantee)s, %(note)s, %(said_by)s, %(now)s, %(digest)s)
            """,
            id=draft.id,
            show_id=place.show_id,
            item_id=item_id,
            product_id=place.product_id,
            wave_id=wave_id,
            version=version,
            price=None if draft.price is None else draft.price.amount,
            currency=None if draft.price is None else draft.price.currency,
            gift=draft.gift,
            pieces=draft.pieces,
            guarantee=draft.guarantee,
            note=draft.note,
            said_by=actor.signed_in(),
            now=tx.now,
            digest=digest,
        )
        if draft.price is not None:
            await _lower_prices(tx, item_id, wave_id, draft.price.amount)
        await point_anew(tx, place.show_id, [item_id])
    return (await find_promises(tx, [draft.id]))[draft.id]


async def find_promises(tx: Tx, promise_ids: list[UUID]) -> dict[UUID, Promise]:
    """These promises, by id."""
    if not promise_ids:
        return {}
    rows = await tx.all(
        _Row,
        """
        SELECT id, show_id, item_id, product_id, wave_id, version, price_amount, currency, gift, pieces, guarantee,
               note, said_at
        FROM live.promise WHERE id = ANY(%(ids)s)
        """,
        ids=promise_ids,
    )
    return {row.id: _promise(row) for row in rows}


async def list_promises(tx: Tx, show_id: ShowId) -> list[Promise]:
    """The truth record of a show: all that was promised in it, in the order of time."""
    rows = await tx.all(
        _Row,
        """
        SELECT id, show_id, item_id, product_id, wave_id, version, price_amount, currency, gift, pieces, guarantee,
               note, said_at
        FROM live.promise WHERE show_id = %(show_id)s ORDER BY said_at, id LIMIT %(limit)s
        """,
        show_id=show_id,
        limit=PROMISES_LISTED_MAX,
    )
    return [_promise(row) for row in rows]


async def check_bound(tx: Tx, item_id: CartItemId, prices: list[Money]) -> None:
    """Refuse prices above what is promised of the item for as long as it is in the cart: `PromiseStands`."""
    price_max = await tx.maybe(
        int,
        """
        SELECT price_amount FROM (
            SELECT price_amount FROM live.promise WHERE item_id = %(id)s AND wave_id IS NULL
            ORDER BY version DESC LIMIT 1
        ) AS standing WHERE price_amount IS NOT NULL
        """,
        id=item_id,
    )
    for price in prices:
        if price_max is not None and price.amount > price_max:
            raise PromiseStands(price_max=Money(price_max, price.currency))


def check_promise(draft: PromiseDraft, *, currency: str | None) -> PromiseDraft:
    """The draft with clean texts, or `PromiseRefused`."""
    if draft.price is not None and (draft.price.currency != currency or not 0 < draft.price.amount < 10**12):
        raise PromiseRefused(field="price")
    if draft.pieces is not None and not 0 < draft.pieces <= PROMISED_PIECES_MAX:
        raise PromiseRefused(field="pieces")
    texts = {}
    for field, length_max in PROMISE_LENGTH_MAX.items():
        try:
            texts[field] = catalog.clean_text("note", getattr(draft, field))
        except catalog.TextRefused as refusal:
            raise catalog.TextRefused(field=field, length_max=length_max) from refusal
        if len(texts[field]) > length_max:
            raise catalog.TextRefused(field=field, length_max=length_max)
    return msgspec.structs.replace(draft, **texts)


async def _lower_prices(tx: Tx, item_id: CartItemId, wave_id: UUID | None, amount: int) -> None:
    """Nothing in the promise's scope costs more than it: the wave's prices, or the cart's and those of later waves."""
    await tx.run(
        """
        UPDATE live.wave_price SET price_amount = least(price_amount, %(amount)s)
        FROM live.wave WHERE wave.id = wave_price.wave_id AND wave.item_id = %(item_id)s AND wave.state <> 'ended'
          AND (%(wave_id)s::uuid IS NULL OR wave.id = %(wave_id)s)
        """,
        item_id=item_id,
        wave_id=wave_id,
        amount=amount,
    )
    if wave_id is None:
        await tx.run(
            "UPDATE live.cart_price SET price_amount = least(price_amount, %(amount)s) WHERE item_id = %(item_id)s",
            item_id=item_id,
            amount=amount,
        )


def _promise(row: _Row) -> Promise:
    fields = {name: getattr(row, name) for name in _Row.__struct_fields__ if name not in ("price_amount", "currency")}
    price = None if row.price_amount is None or row.currency is None else Money(row.price_amount, row.currency)
    return Promise(price=price, **fields)
