"""After-sales over HTTP: what may be claimed, cases and their logs, evidence, the shop's desk, arbitration."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import QueryParameter

from laotie import aftersales, catalog, identity, orders, trust, uploads
from laotie.aftersales import (
    ACCEPTED_AT_ONCE_MAX,
    Act,
    AskedLine,
    CaseId,
    CaseKind,
    CaseState,
    EntryId,
    ExhibitId,
    Inspected,
    Party,
    Queue,
    Reason,
    Withdrawal,
)
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, ShowId, SkuId
from laotie.base.money import Money
from laotie.base.refusals import Refusal
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.live import Promise
from laotie.uploads import UploadId
from laotie.web.files import send_file
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.orders import Buyer, ShopName
from laotie.web.paging import LIMIT_DEFAULT, After, Cursor, Limit, Page
from laotie.web.uploads import UploadView, view_of_upload

Text = Annotated[str, msgspec.Meta(max_length=1_000, pattern=r"^[^\x00]*$")]
Files = Annotated[list[ExhibitId], msgspec.Meta(max_length=9)]
InQueue = Annotated[Queue, QueryParameter(name="queue", description="Which cases: the shop's turn, open, closed.")]
Poster = Annotated[bool, QueryParameter(name="poster", description="A film's poster instead of the film.")]
PRIVATE = "private, max-age=3600"


class NewCase(msgspec.Struct, forbid_unknown_fields=True):
    """What I claim, under my own id. `amount`: less than was paid, for goods that I keep (`refund_only`).

    `is_unsealed`: I broke a seal of hygiene, or began to use it; asked for a withdrawal of such goods.
    """

    id: CaseId
    kind: CaseKind
    reason: Reason
    lines: Annotated[list[AskedLine], msgspec.Meta(min_length=1, max_length=50)]
    amount: Money | None = None
    exchange_sku_id: SkuId | None = None
    is_unsealed: bool = False
    text: Text = ""
    exhibits: Files = []


class NewCaseEntry(msgspec.Struct, forbid_unknown_fields=True):
    """What I do or say, under my own id; `acts` of the case says what I may. Which fields count, the act says.

    `counter`: `kind`, and `amount` for `refund_only`. `dispute_goods`: `text`, and `amount` offered, if any. `send_back`:
    `carrier`, `number`, `freight` paid. `approve_goods`: `inspected`, all sellable by default. `send_replacement`:
    `carrier`, `number`. Decisions: `text` with the reasons, `freight_by`, `amount` (`decide_split`), `in_money`.
    """

    id: EntryId
    act: Act
    text: Text = ""
    exhibits: Files = []
    kind: CaseKind | None = None
    amount: Money | None = None
    carrier: Annotated[str, msgspec.Meta(max_length=40)] = ""
    number: Annotated[str, msgspec.Meta(max_length=60)] = ""
    freight: Money | None = None
    inspected: Annotated[list[Inspected], msgspec.Meta(max_length=50)] = []
    freight_by: Party | None = None
    in_money: bool = False


class NewFilm(msgspec.Struct, forbid_unknown_fields=True):
    """A film that is about to be sent, under the client's own id."""

    id: UploadId
    size_bytes: int


class Acceptance(msgspec.Struct, forbid_unknown_fields=True):
    """A case to be accepted, and the id of the entry that does it."""

    case_id: CaseId
    entry_id: EntryId


class Acceptances(msgspec.Struct, forbid_unknown_fields=True):
    """Cases to be accepted, each by itself."""

    items: Annotated[list[Acceptance], msgspec.Meta(min_length=1, max_length=ACCEPTED_AT_ONCE_MAX)]


class Accepted(msgspec.Struct):
    """What came of one: its state, or the code of the refusal."""

    case_id: CaseId
    state: CaseState | None
    refusal: str | None


class AcceptedMany(msgspec.Struct):
    """What came of each, in the order asked for."""

    items: list[Accepted]


class ExchangeView(msgspec.Struct):
    """What a piece could be exchanged for: the same product at the same price."""

    sku_id: SkuId
    options: dict[str, str]
    available: int


class ClaimableView(msgspec.Struct):
    """A line of an order, and what may be claimed of it: `left` pieces, for which `amount` was paid."""

    no: int
    product_id: ProductId
    title: str
    image: str
    options: dict[str, str]
    quantity: int
    left: int
    unsent: int
    amount: Money
    withdrawal: Withdrawal
    guarantees: list[trust.Guarantee]
    exchanges: list[ExchangeView]
    promise: Promise | None


class RightsView(msgspec.Struct):
    """What may be claimed of an order: its lines, which reasons go with which kind, and until when each may be given."""

    order_id: OrderId
    state: str
    lines: list[ClaimableView]
    kinds: dict[CaseKind, list[Reason]]
    until: dict[Reason, datetime | None]


class CaseLineView(msgspec.Struct):
    """Pieces that the case is about. What came back is put on the shelf again, or written off."""

    no: int
    sku_id: SkuId
    product_id: ProductId
    title: str
    image: str
    options: dict[str, str]
    quantity: int
    bought_quantity: int
    amount: Money
    restocked_quantity: int
    written_off_quantity: int


class CaseBriefView(msgspec.Struct, kw_only=True):
    """A case in a list. Nobody acting, it is in state `then` at `due_at`."""

    id: CaseId
    order_id: OrderId
    shop: ShopName
    buyer: Buyer
    kind: CaseKind
    reason: Reason
    state: CaseState
    lines: list[CaseLineView]
    amount: Money
    refunded: Money
    opened_at: datetime
    due_at: datetime | None
    then: CaseState | None
    closed_at: datetime | None


class CasePage(msgspec.Struct, kw_only=True):
    """A part of a shop's cases, and how many wait for the shop or are open."""

    items: list[CaseBriefView]
    next: str | None
    waiting: int
    open: int


class ExhibitView(msgspec.Struct):
    """A file; `url` (and a film's `poster`) can be fetched by the sides of the case when it is `ready`."""

    id: ExhibitId
    kind: str
    state: str
    url: str | None
    poster: str | None
    width: int | None
    height: int | None


class CaseEntryView(msgspec.Struct):
    """A line of the log."""

    id: EntryId
    no: int
    at: datetime
    party: Party
    act: Act
    state_before: CaseState | None
    state: CaseState
    text: str
    facts: dict[str, Any]
    exhibits: list[ExhibitView]


class CaseOffer(msgspec.Struct):
    """What the shop would do instead."""

    kind: CaseKind | None
    amount: Money | None


class ParcelBrief(msgspec.Struct):
    """A parcel of the case."""

    carrier: str
    number: str


class CaseFreight(msgspec.Struct):
    """What the way back cost, who bears it, and what of it was paid to the buyer."""

    amount: Money
    by: Party
    paid: Money


class PromiseOfLine(msgspec.Struct):
    """What the streamer promised of a line, and the second of the recording (`said_at`) to open."""

    no: int
    promise: Promise


class CaseView(CaseBriefView, kw_only=True):
    """A case with its log, as `party` sees it, and what that party may do now (`acts`)."""

    party: Party
    acts: list[Act]
    is_part: bool
    must_return: bool
    is_back: bool
    is_guaranteed: bool
    statute: str | None
    exchange_sku_id: SkuId | None
    offer: CaseOffer | None
    sent_back: ParcelBrief | None
    replacement: ParcelBrief | None
    freight: CaseFreight
    guarantee: Money
    show_id: ShowId | None
    promises: list[PromiseOfLine]
    entries: list[CaseEntryView]


@get("/api/orders/{order_id:uuid}/claimable")
async def show_claimable(order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> RightsView:
    """What I may claim of my order, line by line, with the law and the guarantees that hold."""
    async with db.read() as tx:
        order = await orders.get_own(tx, actor, OrderId(order_id))
        lines = await aftersales.list_claimable(tx, order)
        products = await catalog.find_products(tx, list({one.line.product_id for one in lines}))
    received_at = order.delivered_at or order.completed_at
    return RightsView(
        order_id=order.id,
        state=order.state,
        lines=[_claimable_view(one, products.get(one.line.product_id), order.currency) for one in lines],
        kinds={kind: [one for one in Reason if one in reasons] for kind, reasons in aftersales.REASONS.items()},
        until={reason: aftersales.claim_until(reason, received_at) for reason in Reason},
    )


@get("/api/orders/{order_id:uuid}/cases")
async def list_order_cases(
    order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> Page[CaseBriefView]:
    """The cases about my order, newest first."""
    async with db.read() as tx:
        found = await aftersales.list_of_own_order(tx, actor, OrderId(order_id))
    return Page(items=[_brief_view(brief) for brief in found])


@post("/api/orders/{order_id:uuid}/cases", status_code=201)
async def open_case(
    order_id: FromPath[UUID],
    data: JSONBody[NewCase],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> CaseView:
    """Claim something of my order. A withdrawal by law, and what a guarantee covers, is granted at once."""
    async with db.tx() as tx:
        order = await orders.get_own(tx, actor, OrderId(order_id))
        claim = aftersales.Claim(
            id=data.id,
            order_id=order.id,
            kind=data.kind,
            reason=data.reason,
            lines=tuple(data.lines),
            amount=_amount(data.amount, order.currency),
            exchange_sku_id=data.exchange_sku_id,
            is_unsealed=data.is_unsealed,
            text=data.text.strip(),
            exhibits=tuple(data.exhibits),
        )
        case = await aftersales.open_case(tx, actor, claim, data=settings.data_path)
        return _view(await aftersales.get_case(tx, actor, case.id))


@get("/api/cases")
async def list_cases(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[CaseBriefView]:
    """My cases, newest first."""
    async with db.read() as tx:
        page = await aftersales.list_own(tx, actor, after=CaseId(after) if after else None, limit=limit)
    return Page(items=[_brief_view(brief) for brief in page.items], next=page.next)


@get("/api/cases/{case_id:uuid}")
async def get_case(case_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> CaseView:
    """A case, for its buyer, its shop's staff and operators (whose look is on record)."""
    async with db.tx() as tx:
        return _view(await aftersales.get_case(tx, actor, CaseId(case_id)))


@post("/api/cases/{case_id:uuid}/entries", status_code=201)
async def add_entry(
    case_id: FromPath[UUID],
    data: JSONBody[NewCaseEntry],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> CaseView:
    """Do the next thing in a case, or say something to the other side. The same id again changes nothing."""
    async with db.tx() as tx:
        before = (await aftersales.get_case(tx, actor, CaseId(case_id))).brief.case
        step = aftersales.Step(
            id=data.id,
            act=data.act,
            text=data.text.strip(),
            exhibits=tuple(data.exhibits),
            kind=data.kind,
            amount=_amount(data.amount, before.currency),
            carrier=data.carrier,
            number=data.number,
            freight=_amount(data.freight, before.currency) or 0,
            inspected=tuple(data.inspected),
            freight_by=data.freight_by,
            in_money=data.in_money,
        )
        await aftersales.take_step(tx, actor, CaseId(case_id), step, data=settings.data_path)
        return _view(await aftersales.get_case(tx, actor, CaseId(case_id)))


@post("/api/evidence-films", status_code=201)
async def announce_evidence_film(
    data: JSONBody[NewFilm], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> UploadView:
    """Announce a short film for a case; then send its bytes with `PATCH /api/uploads/{id}`, and name it in an entry."""
    async with db.tx() as tx:
        upload = await aftersales.begin_film(tx, actor.signed_in(), data.id, size_bytes=data.size_bytes)
    return view_of_upload(upload, uploads.received_bytes(settings.data_path, upload))


@get("/api/evidence/{exhibit_id:uuid}")
async def show_evidence(
    exhibit_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    poster: Poster = False,
) -> Response[Any]:
    """A file of a case, for the sides of it; that a shop or an operator looked is on record."""
    async with db.tx() as tx:
        exhibit = await aftersales.get_exhibit(tx, actor, ExhibitId(exhibit_id))
    media_type = "image/webp" if exhibit.kind == "picture" else "image/jpeg" if poster else "video/mp4"
    path = aftersales.exhibit_place(settings.data_path, exhibit, poster=poster)
    return await send_file(request, path, media_type=media_type, cache_control=PRIVATE)


@get("/api/shops/{shop_id:uuid}/cases")
async def list_shop_cases(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    queue: InQueue = Queue.waiting,
    after: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> CasePage:
    """The shop's cases for its staff: open ones by deadline, closed ones the latest first."""
    async with db.read() as tx:
        page = await aftersales.list_of_shop(tx, actor, ShopId(shop_id), queue=queue, after=after, limit=limit)
        counts = await aftersales.count_queues(tx, actor, ShopId(shop_id))
    return CasePage(
        items=[_brief_view(brief) for brief in page.items],
        next=page.next,
        waiting=counts[Queue.waiting],
        open=counts[Queue.open],
    )


@post("/api/shops/{shop_id:uuid}/case-acceptances", status_code=200)
async def accept_cases(
    shop_id: FromPath[UUID],
    data: JSONBody[Acceptances],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> AcceptedMany:
    """Accept many cases of the shop, each by itself: one that cannot be accepted does not keep the others."""
    async with db.read() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), identity.Scope.orders)
    found = []
    for item in data.items:
        step = aftersales.Step(id=item.entry_id, act=Act.accept)
        try:
            async with db.tx() as tx:
                case = await aftersales.take_step(tx, actor, item.case_id, step, data=settings.data_path)
            found.append(Accepted(item.case_id, case.state, None))
        except Refusal as refusal:
            found.append(Accepted(item.case_id, None, refusal.code))
    return AcceptedMany(found)


@get("/api/arbitration")
async def list_arbitration(
    actor: Given[Actor], db: Given[Database], after: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[CaseBriefView]:
    """What waits for an operator's decision, by deadline."""
    async with db.read() as tx:
        page = await aftersales.list_for_operators(tx, actor, after=after, limit=limit)
    return Page(items=[_brief_view(brief) for brief in page.items], next=page.next)


def _amount(money: Money | None, currency: str) -> int | None:
    if money is None:
        return None
    if money.currency != currency:
        raise orders.MixedCurrencies()
    return money.amount


def _claimable_view(
    one: aftersales.Claimable, product: catalog.Product | None, currency: str
) -> ClaimableView:
    line = one.line
    own = next((sku for sku in product.skus if sku.id == line.sku_id), None) if product is not None else None
    return ClaimableView(
        no=line.no,
        product_id=line.product_id,
        title=line.title,
        image=line.image,
        options=line.options,
        quantity=line.quantity,
        left=one.left,
        unsent=one.unsent,
        amount=Money(orders.refundable(line, one.left), currency),
        withdrawal=one.withdrawal,
        guarantees=one.pledge.promises if one.pledge is not None else [],
        exchanges=[
            ExchangeView(sku.id, sku.options, sku.available)
            for sku in (product.skus if product is not None else [])
            if own is not None
            and sku.state is catalog.SkuState.active
            and sku.available > 0
            and sku.price_amount == own.price_amount
        ],
        promise=line.promise,
    )


def _brief_view(brief: aftersales.Brief) -> CaseBriefView:
    return CaseBriefView(**_fields(brief))


def _fields(brief: aftersales.Brief) -> dict[str, Any]:
    case = brief.case
    return {
        "id": case.id,
        "order_id": case.order_id,
        "shop": ShopName(case.shop_id, brief.shop_name),
        "buyer": Buyer(AccountId(case.buyer_id), brief.buyer_name),
        "kind": case.kind,
        "reason": case.reason,
        "state": case.state,
        "lines": [
            CaseLineView(
                no=line.no,
                sku_id=line.sku_id,
                product_id=line.product_id,
                title=line.title,
                image=brief.images[line.no],
                options=line.options,
                quantity=line.quantity,
                bought_quantity=line.bought_quantity,
                amount=Money(line.amount, case.currency),
                restocked_quantity=line.restocked_quantity,
                written_off_quantity=line.written_off_quantity,
            )
            for line in brief.lines
        ],
        "amount": Money(case.amount, case.currency),
        "refunded": Money(case.refunded_amount, case.currency),
        "opened_at": case.opened_at,
        "due_at": case.due_at,
        "then": aftersales.after_time(case),
        "closed_at": case.closed_at,
    }


def _view(seen: aftersales.Seen) -> CaseView:
    case = seen.brief.case
    exhibits: dict[int, list[ExhibitView]] = {}
    for exhibit in seen.exhibits:
        exhibits.setdefault(exhibit.entry_no, []).append(_exhibit_view(exhibit))
    offered = case.offer_kind is not None or case.offer_amount is not None
    claimed = {line.no for line in seen.brief.lines}
    return CaseView(
        **_fields(seen.brief),
        party=seen.party,
        acts=aftersales.acts_of(case, seen.party),
        is_part=case.is_part,
        must_return=case.must_return,
        is_back=case.is_back,
        is_guaranteed=case.is_guaranteed,
        statute=case.statute,
        exchange_sku_id=case.exchange_sku_id,
        offer=CaseOffer(case.offer_kind, _money(case.offer_amount, case.currency)) if offered else None,
        sent_back=_parcel(case.return_carrier, case.return_number),
        replacement=_parcel(case.replacement_carrier, case.replacement_number),
        freight=CaseFreight(
            Money(case.freight_amount, case.currency),
            case.freight_by,
            Money(case.freight_paid_amount, case.currency),
        ),
        guarantee=Money(case.guarantee_amount, case.currency),
        show_id=seen.order.show_id,
        promises=[
            PromiseOfLine(line.no, line.promise)
            for line in seen.order.lines
            if line.no in claimed and line.promise is not None
        ],
        entries=[
            CaseEntryView(
                id=entry.id,
                no=entry.no,
                at=entry.at,
                party=entry.party,
                act=entry.act,
                state_before=entry.state_before,
                state=entry.state,
                text=entry.text,
                facts=entry.facts,
                exhibits=exhibits.get(entry.no, []),
            )
            for entry in seen.entries
        ],
    )


def _exhibit_view(exhibit: aftersales.Exhibit) -> ExhibitView:
    url = f"/api/evidence/{exhibit.id}" if exhibit.state == "ready" else None
    poster = f"{url}?poster=true" if url is not None and exhibit.kind == "film" else None
    return ExhibitView(exhibit.id, exhibit.kind, exhibit.state, url, poster, exhibit.width, exhibit.height)


def _money(amount: int | None, currency: str) -> Money | None:
    return None if amount is None else Money(amount, currency)


def _parcel(carrier: str | None, number: str | None) -> ParcelBrief | None:
    return ParcelBrief(carrier, number) if carrier is not None and number is not None else None


ROUTES = [
    show_claimable,
    list_order_cases,
    open_case,
    list_cases,
    get_case,
    add_entry,
    announce_evidence_film,
    show_evidence,
    list_shop_cases,
    accept_cases,
    list_arbitration,
]
