"""What the books must hold of cases, for the audit: stock facts beside the orders' own, and promises of this room."""

from datetime import timedelta
from uuid import UUID

import msgspec

from laotie.aftersales.model import ENDS, CaseId
from laotie.base.db import Tx
from laotie.base.ids import OrderId

SHOWN_MAX = 100
GRACE = timedelta(minutes=15)
"""A term that is over by more than this has been forgotten."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """What the cases about one line of an order come to: pieces of open ones, money of closed ones (of the order)."""

    order_id: OrderId
    no: int
    pieces: int


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, and cases that break a promise of this room; those lists must be empty (`SHOWN_MAX` are listed)."""

    cases: int
    open: int
    overdue: list[CaseId]
    """The term is over, and time has not acted."""
    log_off: list[CaseId]
    """The state is not what the log ends with, or a case is open in an end, or closed elsewhere."""
    claimed: list[Claimed]
    """Lines with open cases, for comparing with the orders."""
    given: dict[OrderId, int]
    """What the cases about these orders gave back."""


async def sum_facts(tx: Tx, topic: str) -> dict[int, int]:
    """By the last byte of the case's id, the sum of the hashes of its facts on a topic."""
    rows = await tx.tuples(
        """
        SELECT get_byte(uuid_send(order_id), 15), sum(hashtextextended(order_id || ' ' || fact, 0)::numeric)
        FROM aftersales.order_fact WHERE topic = %(topic)s GROUP BY 1
        """,
        topic=topic,
    )
    return {bucket: int(total) for bucket, total in rows}


async def list_facts(tx: Tx, topic: str, bucket: int) -> set[tuple[OrderId, str]]:
    """The facts of one bucket, in words; a case stands where an order would."""
    rows = await tx.tuples(
        """
        SELECT order_id, fact FROM aftersales.order_fact
        WHERE topic = %(topic)s AND get_byte(uuid_send(order_id), 15) = %(bucket)s
        """,
        topic=topic,
        bucket=bucket,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def list_facts_of(tx: Tx, topic: str, case_ids: list[UUID]) -> set[tuple[OrderId, str]]:
    """The facts of these cases, in words; ids that are no cases have none."""
    rows = await tx.tuples(
        "SELECT order_id, fact FROM aftersales.order_fact WHERE topic = %(topic)s AND order_id = ANY(%(ids)s::uuid[])",
        topic=topic,
        ids=case_ids,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def sum_freight_by_shop(tx: Tx) -> dict[tuple[UUID, str], int]:
    """What each shop paid for ways back out of what it is owed, by shop and currency."""
    rows = await tx.tuples(
        """
        SELECT shop_id, currency, sum(freight_paid_amount)::bigint FROM aftersales.case
        WHERE freight_paid_amount > 0 AND NOT freight_is_pledged GROUP BY shop_id, currency
        """
    )
    return {(shop_id, currency): amount for shop_id, currency, amount in rows}


class ReviewsOff(msgspec.Struct, frozen=True):
    """A product or a shop whose sums are not those of its shown reviews; in words."""

    id: UUID
    expected: str
    found: str


async def list_reviews_off(tx: Tx) -> list[ReviewsOff]:
    """Products and shops whose counts and sums are not those of the reviews that are shown."""
    return await tx.all(
        ReviewsOff,
        """
        WITH shown AS (
            SELECT subject_id, count(*) AS reviews, count(*) FILTER (WHERE has_pictures) AS pictures, sum(goods) AS goods,
                   sum(service) AS service, sum(shipping) AS shipping,
                   ARRAY[count(*) FILTER (WHERE goods = 1), count(*) FILTER (WHERE goods = 2),
                         count(*) FILTER (WHERE goods = 3), count(*) FILTER (WHERE goods = 4),
                         count(*) FILTER (WHERE goods = 5)]::integer[] AS stars
            FROM aftersales.review CROSS JOIN LATERAL (VALUES (product_id), (shop_id)) AS of (subject_id)
            WHERE is_shown GROUP BY subject_id
        )
        SELECT subject_id AS id, concat_ws(' ', reviews, pictures, shown.goods, service, shipping, stars) AS expected,
               concat_ws(' ', review_count, picture_count, goods_sum, service_sum, shipping_sum, star_counts) AS found
        FROM shown FULL JOIN aftersales.review_sum USING (subject_id)
        WHERE (coalesce(reviews, 0), coalesce(pictures, 0), coalesce(shown.goods, 0), coalesce(service, 0),
               coalesce(shipping, 0), coalesce(stars, '{0,0,0,0,0}'))
           <> (coalesce(review_count, 0), coalesce(picture_count, 0), coalesce(goods_sum, 0), coalesce(service_sum, 0),
               coalesce(shipping_sum, 0), coalesce(star_counts, '{0,0,0,0,0}'))
        ORDER BY subject_id LIMIT %(limit)s
        """,
        limit=SHOWN_MAX,
    )


async def count_reviews(tx: Tx) -> int:
    """Reviews, shown or not."""
    return await tx.one(int, "SELECT count(*) FROM aftersales.review")


async def sum_freight(tx: Tx) -> dict[str, int]:
    """What shops paid into wallets for ways back, by currency: what no guarantee paid."""
    return dict(
        await tx.tuples(
            """
            SELECT currency, sum(freight_paid_amount)::bigint FROM aftersales.case
            WHERE freight_paid_amount > 0 AND NOT freight_is_pledged GROUP BY currency
            """
        )
    )


async def tally(tx: Tx) -> Tally:
    """The room's own audit: a full read, in the caller's snapshot."""
    counts = await tx.tuples("SELECT count(*), count(*) FILTER (WHERE closed_at IS NULL) FROM aftersales.case")
    return Tally(
        cases=counts[0][0],
        open=counts[0][1],
        overdue=await tx.all(
            CaseId,
            "SELECT id FROM aftersales.case WHERE due_at < %(before)s ORDER BY due_at LIMIT %(limit)s",
            before=tx.now - GRACE,
            limit=SHOWN_MAX,
        ),
        log_off=await tx.all(
            CaseId,
            """
            SELECT claim.id FROM aftersales.case AS claim
            LEFT JOIN aftersales.entry AS last ON last.case_id = claim.id AND last.no = claim.entry_count
            WHERE last.state IS DISTINCT FROM claim.state OR (claim.closed_at IS NOT NULL) <> (claim.state = ANY(%(ends)s))
            ORDER BY claim.id LIMIT %(limit)s
            """,
            ends=sorted(ENDS),
            limit=SHOWN_MAX,
        ),
        claimed=await tx.all(
            Claimed,
            """
            SELECT line.order_id, line.no, sum(line.quantity)::bigint AS pieces FROM aftersales.line
            JOIN aftersales.case AS claim ON claim.id = line.case_id AND claim.closed_at IS NULL
            GROUP BY line.order_id, line.no ORDER BY line.order_id, line.no
            """,
        ),
        given=dict(
            await tx.tuples(
                """
                SELECT order_id, sum(refunded_amount)::bigint FROM aftersales.case
                WHERE refunded_amount > 0 GROUP BY order_id
                """
            )
        ),
    )
