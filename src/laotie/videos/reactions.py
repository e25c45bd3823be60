"""What videos does on hearing news: sales made from a video, answers to comments, guests who sign in, people who leave."""

from laotie import identity, messages
from laotie.base.db import Tx
from laotie.base.ids import ViewerId
from laotie.base.outbox import on
from laotie.events.identity import AccountErased, GuestMerged
from laotie.events.orders import OrderPaid, OrderPlaced
from laotie.events.videos import VideoCommented
from laotie.videos.audience import merge
from laotie.videos.comments import erase
from laotie.videos.model import video_in


async def note_sale(tx: Tx, event: OrderPlaced) -> None:
    """An order that bears a video's placement was made from it."""
    video_id = video_in(event.placement)
    if video_id is None:
        return
    await tx.run(
        """
        INSERT INTO videos.sale (order_id, video_id, currency, amount, placed_at)
        VALUES (%(order_id)s, %(video_id)s, %(currency)s, %(amount)s, %(at)s) ON CONFLICT DO NOTHING
        """,
        order_id=event.order_id,
        video_id=video_id,
        currency=event.currency,
        amount=event.total_amount,
        at=event.placed_at,
    )


async def note_payment(tx: Tx, event: OrderPaid) -> None:
    """The order was paid. News of one order come in order, so its sale is known by now."""
    await tx.run(
        "UPDATE videos.sale SET paid_at = %(at)s WHERE order_id = %(order_id)s AND paid_at IS NULL",
        order_id=event.order_id,
        at=event.paid_at,
    )


async def tell_answered(tx: Tx, event: VideoCommented) -> None:
    """Who is answered hears of it."""
    if event.answers_id is None:
        return
    author = (await identity.find_profiles(tx, [event.author_id])).get(event.author_id)
    await messages.notify_many(
        tx,
        [ViewerId(event.answers_id)],
        "comment_answered",
        {"name": author.name if author else ""},
        f"/videos/{event.video_id}?comments=1",
    )


async def take_over(tx: Tx, event: GuestMerged) -> None:
    """The account likes what the guest liked."""
    await merge(tx, event.guest_id, ViewerId(event.account_id))


async def forget(tx: Tx, event: AccountErased) -> None:
    """What the person said is gone."""
    await erase(tx, event.account_id)


REACTIONS = [
    on(OrderPlaced, note_sale),
    on(OrderPaid, note_payment),
    on(VideoCommented, tell_answered),
    on(GuestMerged, take_over),
    on(AccountErased, forget),
]
