"""Fun over HTTP: a show's activities, taking part, bargains, proofs of draws; wallets."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post

from laotie import fun, identity, live, payments, traffic
from laotie.base.db import Database, Tx
from laotie.base.ids import ShopId, ShowId, TransferId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import NotFound, Unauthenticated
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor, Scope
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.orders import NewPayment, Nothing
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.web.payments import PaymentView, view_of_payment


class ActivityView(msgspec.Struct, kw_only=True):
    """An activity, and my own part in it."""

    activity: fun.Activity
    mine: fun.Mine | None


class NewEntry(msgspec.Struct, forbid_unknown_fields=True):
    """Taking part. `nonce` is mixed into the draw; `choice` is for polls and quizzes, from 1 on."""

    nonce: Annotated[str, msgspec.Meta(max_length=64)] = ""
    choice: Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)] | None = None


class NewCrossing(msgspec.Struct, forbid_unknown_fields=True):
    """Going over to the other room of a duel. `visit` is that of the room one is in."""

    visit: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class Crossing(msgspec.Struct):
    """The entry into the other room, for whoever asked."""

    entry: str


class NewHelp(msgspec.Struct, forbid_unknown_fields=True):
    """Helping somebody."""

    nonce: Annotated[str, msgspec.Meta(max_length=64)] = ""


class NewBargain(msgspec.Struct, forbid_unknown_fields=True):
    """A bargain of my own, under my own id."""

    id: fun.BargainId


class Helped(msgspec.Struct, kw_only=True):
    """What I took off, and the price now (null when I had helped before)."""

    bargain_id: fun.BargainId
    no: int
    head: str
    cut: Money
    price: Money | None
    again: bool


class NewTopup(NewPayment, forbid_unknown_fields=True):
    """Money for a wallet."""

    amount: Money


class MovementView(msgspec.Struct, kw_only=True):
    """A line of the statement; what went out is negative."""

    id: TransferId
    at: datetime
    amount: Money
    reason: str
    subject_id: UUID


class WalletView(msgspec.Struct, kw_only=True):
    """What is in a wallet, and how it moved, the latest first."""

    balances: list[Money]
    movements: list[MovementView]
    next: str | None


@get("/api/activity-templates", sync_to_thread=False)
def list_activity_templates() -> list[fun.Template]:
    """Drafts to start from."""
    return list(fun.TEMPLATES)


@get("/api/shows/{show_id:uuid}/activities")
async def list_activities(
    show_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[ActivityView]:
    """A show's activities, the latest first. What is only planned is for the show's own people."""
    async with db.read() as tx:
        show = await live.get_show(tx, ShowId(show_id))
        found = await fun.list_of_show(
            tx, show.id, with_planned=await _works_there(tx, actor, show.shop_id), after=after, limit=limit
        )
        mine = await fun.find_mine(tx, actor.viewer_id, [one.id for one in found])
    return Page(
        items=[ActivityView(activity=one, mine=mine.get(one.id)) for one in found],
        next=str(found[-1].id) if len(found) == limit else None,
    )


@post("/api/shows/{show_id:uuid}/activities")
async def plan_activity(
    show_id: FromPath[UUID], data: JSONBody[fun.Draft], actor: Given[Actor], db: Given[Database]
) -> ActivityView:
    """Plan an activity; a duel is an invitation at once."""
    async with db.tx() as tx:
        activity_id = await fun.plan_activity(tx, actor, ShowId(show_id), data)
        return await _view(tx, actor, activity_id)


@get("/api/activities/{activity_id:uuid}")
async def get_activity(activity_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> ActivityView:
    """One activity."""
    async with db.read() as tx:
        return await _view(tx, actor, fun.ActivityId(activity_id))


@post("/api/activities/{activity_id:uuid}/start", status_code=200)
async def start_activity(
    activity_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    data: JSONBody[Nothing | None] = None,
) -> ActivityView:
    """Open it: its money goes into escrow, and what the draw is committed to is published."""
    async with db.tx() as tx:
        await fun.start_activity(
            tx, actor, fun.ActivityId(activity_id), spend_per_day_max=settings.fun_spend_per_day_max
        )
        return await _view(tx, actor, fun.ActivityId(activity_id))


@post("/api/activities/{activity_id:uuid}/consent", status_code=200)
async def agree_to_activity(
    activity_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], data: JSONBody[Nothing | None] = None
) -> ActivityView:
    """Agree to a duel, which begins at once."""
    async with db.tx() as tx:
        await fun.agree(tx, actor, fun.ActivityId(activity_id))
        return await _view(tx, actor, fun.ActivityId(activity_id))


@post("/api/activities/{activity_id:uuid}/crossings", status_code=201)
async def cross_over(
    activity_id: FromPath[UUID], data: JSONBody[NewCrossing], actor: Given[Actor], db: Given[Database], signer: Given[Signer]
) -> Crossing:
    """Go from one room of a duel to the other: an entry of mine alone, so that the other room knows that the duel brought me."""
    async with db.read() as tx:
        activity = await fun.get_activity(tx, fun.ActivityId(activity_id))
        if activity.pk is None or activity.state not in (fun.State.open, fun.State.settled):
            raise NotFound()
        sides = [side.show_id for side in activity.pk.sides]
        return Crossing(await traffic.cross_over(tx, signer, actor, sides, visit=data.visit))


@post("/api/activities/{activity_id:uuid}/cancellation", status_code=200)
async def cancel_activity(
    activity_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], data: JSONBody[Nothing | None] = None
) -> ActivityView:
    """Call it off; money that nobody got goes back."""
    async with db.tx() as tx:
        await fun.cancel_activity(tx, actor, fun.ActivityId(activity_id))
        return await _view(tx, actor, fun.ActivityId(activity_id))


@post("/api/activities/{activity_id:uuid}/entries")
async def enter_activity(
    activity_id: FromPath[UUID],
    actor: Given[Actor],
    desk: Given[fun.Desk],
    data: JSONBody[NewEntry | None] = None,
) -> Response[fun.Entered]:
    """Take part: grab, enter, vote, answer. 200 when I was in already."""
    said = data or NewEntry()
    entered = await desk.enter(_ask(actor, activity_id, nonce=said.nonce, choice=said.choice))
    return Response(entered, status_code=200 if entered.again else 201)


@get("/api/draws/{activity_id:uuid}/proof")
async def get_proof(activity_id: FromPath[UUID], db: Given[Database]) -> Response[fun.draw.Proof]:
    """Everything that is needed to repeat a draw (`laotie verify-draw FILE`, docs/draws.md)."""
    async with db.read() as tx:
        proof = await fun.get_proof(tx, fun.ActivityId(activity_id))
    name = f'attachment; filename="draw-{activity_id}.json"'
    return Response(proof, headers={"Content-Disposition": name})


@post("/api/activities/{activity_id:uuid}/bargains")
async def open_bargain(
    activity_id: FromPath[UUID], data: JSONBody[NewBargain], actor: Given[Actor], db: Given[Database]
) -> fun.Bargain:
    """Begin a bargain of my own; one a person, the one there is is given again."""
    async with db.tx() as tx:
        return await fun.open_bargain(tx, actor, fun.ActivityId(activity_id), data.id)


@get("/api/bargains/{bargain_id:uuid}")
async def get_bargain(
    bargain_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], signer: Given[Signer]
) -> fun.Bargain:
    """Somebody's bargain."""
    async with db.read() as tx:
        found = await fun.get_bargain(tx, actor, fun.BargainId(bargain_id))
    if found.buyer.id == actor.viewer_id:
        return found
    entry = traffic.invite(signer, ViewerId(found.buyer.id), "bargain", subject=str(found.show_id), at=db.clock.now())
    return msgspec.structs.replace(found, entry=entry)


@post("/api/bargains/{bargain_id:uuid}/helps")
async def help_bargain(
    bargain_id: FromPath[UUID], actor: Given[Actor], desk: Given[fun.Desk], data: JSONBody[NewHelp | None] = None
) -> Response[Helped]:
    """Help somebody: the price goes down. One help a person and activity; 200 when I helped them already."""
    nonce = data.nonce if data is not None else ""
    entered = await desk.enter(_ask(actor, bargain_id, nonce=nonce, is_help=True))
    assert entered.amount is not None
    helped = Helped(
        bargain_id=fun.BargainId(bargain_id),
        no=entered.no,
        head=entered.head,
        cut=entered.amount,
        price=entered.price,
        again=entered.again,
    )
    return Response(helped, status_code=200 if entered.again else 201)


@post("/api/bargains/{bargain_id:uuid}/grant")
async def take_price(
    bargain_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], data: JSONBody[Nothing | None] = None
) -> fun.Bargain:
    """Take my bargain's price as it stands, for one piece and ten minutes; its `grant` goes into the order's line."""
    async with db.tx() as tx:
        return await fun.take_price(tx, actor, fun.BargainId(bargain_id))


@get("/api/me/wallet")
async def get_my_wallet(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> WalletView:
    """My wallet."""
    account_id = actor.signed_in()
    async with db.read() as tx:
        return await _wallet(tx, account_id, after, limit)


@post("/api/me/topups")
async def top_up_my_wallet(
    data: JSONBody[NewTopup], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> PaymentView:
    """Put money into my wallet. The same id again gives the same payment."""
    return await _top_up(actor, db, settings, data, actor.signed_in())


@get("/api/shops/{shop_id:uuid}/wallet")
async def get_shop_wallet(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> WalletView:
    """A shop's wallet."""
    async with db.read() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), Scope.money)
        return await _wallet(tx, shop_id, after, limit)


@post("/api/shops/{shop_id:uuid}/topups")
async def top_up_shop_wallet(
    shop_id: FromPath[UUID],
    data: JSONBody[NewTopup],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> PaymentView:
    """Put money into a shop's wallet. The same id again gives the same payment."""
    async with db.read() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), Scope.money)
    return await _top_up(actor, db, settings, data, shop_id)


async def _top_up(
    actor: Actor, db: Database, settings: Settings, data: NewTopup, owner_id: UUID
) -> PaymentView:
    payer_id = actor.seat_holder_id
    if payer_id is None:
        raise Unauthenticated()
    async with db.tx() as tx:
        payment = await fun.start_topup(
            tx, settings, payer_id, owner_id, data.id, data.amount, provider=data.method
        )
    return view_of_payment(await payments.authorise(db, settings, payment.id))


async def _wallet(tx: Tx, owner_id: UUID, after: UUID | None, limit: int) -> WalletView:
    wallet = await fun.get_wallet(tx, owner_id, after=TransferId(after) if after else None, limit=limit)
    return WalletView(
        balances=wallet.balances,
        movements=[
            MovementView(
                id=one.id, at=one.at, amount=Money(one.amount, one.currency), reason=one.reason, subject_id=one.subject_id
            )
            for one in wallet.movements
        ],
        next=str(wallet.movements[-1].id) if len(wallet.movements) == limit else None,
    )


async def _view(tx: Tx, actor: Actor, activity_id: fun.ActivityId) -> ActivityView:
    activity = await fun.get_activity(tx, activity_id)
    if activity.opens_at is None:
        sides = [side.show_id for side in activity.pk.sides] if activity.pk is not None else [activity.show_id]
        shows = await live.find_shows(tx, sides)
        if not any([await _works_there(tx, actor, show.shop_id) for show in shows.values()]):
            raise NotFound()
    mine = await fun.find_mine(tx, actor.viewer_id, [activity_id])
    return ActivityView(activity=activity, mine=mine.get(activity_id))


async def _works_there(tx: Tx, actor: Actor, shop_id: ShopId) -> bool:
    return actor.seat_holder_id is not None and await identity.find_seat(tx, actor, shop_id) is not None


def _ask(
    actor: Actor, subject_id: UUID, *, nonce: str, choice: int | None = None, is_help: bool = False
) -> fun.Ask:
    """Guests may vote, so it is the desk that refuses them elsewhere; who has no cookie at all is nobody."""
    if not actor.is_known_guest:
        actor.signed_in()
    return fun.Ask(
        subject_id=subject_id,
        viewer_id=actor.viewer_id,
        has_account=actor.account_id is not None,
        nonce=nonce,
        choice=choice,
        is_help=is_help,
    )


ROUTES = [
    list_activity_templates,
    list_activities,
    plan_activity,
    get_activity,
    start_activity,
    agree_to_activity,
    cross_over,
    cancel_activity,
    enter_activity,
    get_proof,
    open_bargain,
    get_bargain,
    help_bargain,
    take_price,
    get_my_wallet,
    top_up_my_wallet,
    get_shop_wallet,
    top_up_shop_wallet,
]
