"""Money that is owed over HTTP: balances, statements and their lines, as page, sheet and paper.

Everything twice: of a shop, for seats with the scope `money`, and one's own as a streamer.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Stream

from laotie import catalog, identity
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ShopId
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.settlement import LineKind, printing, statements
from laotie.web.given import FromPath, Given
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

InCurrency = Annotated[
    str | None,
    QueryParameter(
        name="currency", pattern=r"^[A-Z]{3}$", description="Of which currency; unset: the shop's, or the house's."
    ),
]
InLanguage = Annotated[
    Literal["zh-CN", "en"], QueryParameter(name="lang", description="In which language the paper is written.")
]


class WaitingView(msgspec.Struct, kw_only=True):
    """What is expected to be settled on a day."""

    day: date
    order_count: int
    amount: Money


class BalanceView(msgspec.Struct, kw_only=True):
    """What an owner has with the platform, in one currency. See docs/settlement.md for every term."""

    payable: Money
    """Settled and owed now; below zero: taken back after it had been paid out, and recovered from what is settled next."""
    on_its_way: Money
    expected: list[WaitingView]
    expected_total: Money
    held: Money
    """Of completed orders about which a case is open."""
    held_order_count: int


class BalanceViews(msgspec.Struct, kw_only=True):
    """One for each currency that there is anything in; days are of `zone`."""

    items: list[BalanceView]
    zone: str


class StatementMonth(msgspec.Struct, kw_only=True):
    """A month in one line: opening + change = closing."""

    month: str
    opening: Money
    change: Money
    closing: Money
    line_count: int


class StatementMonths(msgspec.Struct, kw_only=True):
    """The months in which anything was booked, the latest first."""

    items: list[StatementMonth]


class StatementSum(msgspec.Struct, kw_only=True):
    """What lines add up to: goods + shipping + subsidy - platform - payment - streamer = net for orders; else net alone."""

    line_count: int
    goods: Money
    shipping: Money
    subsidy: Money
    platform: Money
    payment: Money
    streamer: Money
    net: Money


class StatementOfKind(StatementSum, kw_only=True):
    """All lines of one kind."""

    kind: LineKind


class StatementOfDay(StatementSum, kw_only=True):
    """All lines of one day."""

    day: date


class SettlementStatement(msgspec.Struct, kw_only=True):
    """A month's statement: opening + total = closing = ledger; `difference` is what is wrong with that, always 0."""

    owner_id: UUID
    owner_name: str
    month: str
    currency: str
    zone: str
    drawn_at: datetime
    is_open: bool
    """The month is not over."""
    opening: Money
    total: StatementSum
    closing: Money
    ledger: Money
    difference: Money
    kinds: list[StatementOfKind]
    days: list[StatementOfDay]


class StatementLine(msgspec.Struct, kw_only=True):
    """A movement of what is owed, as its owner sees it."""

    id: UUID
    kind: LineKind
    booked_on: date
    booked_at: datetime
    order_id: OrderId | None
    shop_id: ShopId | None
    streamer_id: AccountId | None
    counterpart: str | None
    """The other's name: on a shop's statement the streamer, on a streamer's the shop."""
    goods: Money
    shipping: Money
    subsidy: Money
    platform_bps: int
    platform: Money
    payment_bps: int
    payment: Money
    streamer_bps: int
    streamer: Money
    net: Money
    subject_id: UUID


@get("/api/shops/{shop_id:uuid}/balance")
async def get_shop_balance(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> BalanceViews:
    """What a shop is owed now, what is expected by day, held back, and on its way out."""
    return await _balances(actor, db, settings, ShopId(shop_id))


@get("/api/me/balance")
async def get_own_balance(actor: Given[Actor], db: Given[Database], settings: Given[Settings]) -> BalanceViews:
    """What I am owed as a streamer."""
    return await _balances(actor, db, settings, None)


@get("/api/shops/{shop_id:uuid}/statements")
async def list_shop_statements(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> StatementMonths:
    """The months of a shop's statements."""
    return await _months(actor, db, ShopId(shop_id))


@get("/api/me/statements")
async def list_own_statements(actor: Given[Actor], db: Given[Database]) -> StatementMonths:
    """The months of my statements as a streamer."""
    return await _months(actor, db, None)


@get("/api/shops/{shop_id:uuid}/statements/{month:str}")
async def get_shop_statement(
    shop_id: FromPath[UUID],
    month: FromPath[str],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = None,
) -> SettlementStatement:
    """A shop's statement of a month (`2026-11`), checked against the ledger."""
    return await _statement(actor, db, settings, ShopId(shop_id), month, currency)


@get("/api/me/statements/{month:str}")
async def get_own_statement(
    month: FromPath[str],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = None,
) -> SettlementStatement:
    """My statement of a month as a streamer."""
    return await _statement(actor, db, settings, None, month, currency)


@get("/api/shops/{shop_id:uuid}/statements/{month:str}/lines")
async def list_shop_statement_lines(
    shop_id: FromPath[UUID],
    month: FromPath[str],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[StatementLine]:
    """The lines of a shop's month, by day."""
    return await _lines(actor, db, settings, ShopId(shop_id), month, currency, after, limit)


@get("/api/me/statements/{month:str}/lines")
async def list_own_statement_lines(
    month: FromPath[str],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[StatementLine]:
    """The lines of my month as a streamer, by day."""
    return await _lines(actor, db, settings, None, month, currency, after, limit)


@get("/api/shops/{shop_id:uuid}/statements/{month:str}/lines.csv")
async def export_shop_statement(
    shop_id: FromPath[UUID],
    month: FromPath[str],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = None,
) -> Stream:
    """Every line of a shop's month with the running balance (CSV, UTF-8); what is taken off is negative."""
    return await _sheet(actor, db, settings, ShopId(shop_id), month, currency)


@get("/api/me/statements/{month:str}/lines.csv")
async def export_own_statement(
    month: FromPath[str],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = None,
) -> Stream:
    """Every line of my month as a streamer with the running balance (CSV, UTF-8)."""
    return await _sheet(actor, db, settings, None, month, currency)


@get("/api/shops/{shop_id:uuid}/statements/{month:str}/statement.pdf", media_type="application/pdf")
async def print_shop_statement(
    shop_id: FromPath[UUID],
    month: FromPath[str],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = None,
    lang: InLanguage = "zh-CN",
) -> Response[bytes]:
    """A shop's statement of a month as PDF."""
    return await _paper(actor, db, settings, ShopId(shop_id), month, currency, lang)


@get("/api/me/statements/{month:str}/statement.pdf", media_type="application/pdf")
async def print_own_statement(
    month: FromPath[str],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = None,
    lang: InLanguage = "zh-CN",
) -> Response[bytes]:
    """My statement of a month as a streamer as PDF."""
    return await _paper(actor, db, settings, None, month, currency, lang)


async def _balances(actor: Actor, db: Database, settings: Settings, shop_id: ShopId | None) -> BalanceViews:
    async with db.read() as tx:
        owner_id = await statements.find_owner(tx, actor, shop_id)
        found = await statements.get_balances(tx, owner_id, zone=settings.books_zone)
    return BalanceViews(items=[_balance(one) for one in found], zone=settings.books_zone)


async def _months(actor: Actor, db: Database, shop_id: ShopId | None) -> StatementMonths:
    async with db.read() as tx:
        found = await statements.list_months(tx, await statements.find_owner(tx, actor, shop_id))
    return StatementMonths(
        items=[
            StatementMonth(
                month=f"{one.month_on:%Y-%m}",
                opening=Money(one.opening_amount, one.currency),
                change=Money(one.amount, one.currency),
                closing=Money(one.closing_amount, one.currency),
                line_count=one.line_count,
            )
            for one in found
        ]
    )


async def _statement(
    actor: Actor, db: Database, settings: Settings, shop_id: ShopId | None, month: str, currency: str | None
) -> SettlementStatement:
    async with db.read() as tx:
        found, name = await _draw(tx, actor, settings, shop_id, month, currency)

    def money(amount: int) -> Money:
        return Money(amount, found.currency)

    return SettlementStatement(
        owner_id=found.owner_id,
        owner_name=name,
        month=month,
        currency=found.currency,
        zone=settings.books_zone,
        drawn_at=found.drawn_at,
        is_open=found.is_open,
        opening=money(found.opening_amount),
        total=StatementSum(**_sum(found.total, found.currency)),
        closing=money(found.closing_amount),
        ledger=money(found.ledger_amount),
        difference=money(found.difference_amount),
        kinds=[StatementOfKind(kind=kind, **_sum(one, found.currency)) for kind, one in found.sums.items()],
        days=[StatementOfDay(day=day, **_sum(one, found.currency)) for day, one in found.days.items()],
    )


async def _lines(
    actor: Actor,
    db: Database,
    settings: Settings,
    shop_id: ShopId | None,
    month: str,
    currency: str | None,
    after: UUID | None,
    limit: int,
) -> Page[StatementLine]:
    async with db.read() as tx:
        owner_id, _, currency = await _owner(tx, actor, settings, shop_id, currency)
        entries = await statements.list_entries(tx, owner_id, _month(month), currency, after=after, limit=limit + 1)
        names = await _counterparts(tx, entries, of_shop=shop_id is not None)
    return Page(
        items=[_line(one, currency, names) for one in entries[:limit]],
        next=str(entries[limit - 1].id) if len(entries) > limit else None,
    )


async def _sheet(
    actor: Actor, db: Database, settings: Settings, shop_id: ShopId | None, month: str, currency: str | None
) -> Stream:
    async with db.read() as tx:
        statement, _ = await _draw(tx, actor, settings, shop_id, month, currency)
        file = await printing.write_sheet(tx, statement)
    return Stream(
        printing.read_sheet(file),
        media_type="text/csv; charset=utf-8",
        headers=_saved_as(month, statement.currency, "csv"),
    )


async def _paper(
    actor: Actor, db: Database, settings: Settings, shop_id: ShopId | None, month: str, currency: str | None, lang: str
) -> Response[bytes]:
    async with db.read() as tx:
        statement, name = await _draw(tx, actor, settings, shop_id, month, currency)
        document = await printing.compose(tx, statement, name, lang=lang, zone=settings.books_zone)
    paper = await printing.set_type(document)
    return Response(paper, media_type="application/pdf", headers=_saved_as(month, statement.currency, "pdf"))


async def _draw(
    tx: Tx, actor: Actor, settings: Settings, shop_id: ShopId | None, month: str, currency: str | None
) -> tuple[statements.Statement, str]:
    owner_id, name, currency = await _owner(tx, actor, settings, shop_id, currency)
    return await statements.draw(tx, owner_id, _month(month), currency, zone=settings.books_zone), name


async def _owner(
    tx: Tx, actor: Actor, settings: Settings, shop_id: ShopId | None, currency: str | None
) -> tuple[UUID, str, str]:
    """Whose statement, their name, and of which currency."""
    owner_id = await statements.find_owner(tx, actor, shop_id)
    if shop_id is not None:
        shop = await catalog.get_shop(tx, shop_id)
        return owner_id, shop.name, currency or shop.currency
    return owner_id, (await identity.get_profile(tx, AccountId(owner_id))).name, currency or settings.currency


async def _counterparts(tx: Tx, entries: list[statements.Entry], *, of_shop: bool) -> dict[UUID, str]:
    if of_shop:
        ids = {one.streamer_id for one in entries if one.streamer_id is not None}
        return {id_: one.name for id_, one in (await identity.find_profiles(tx, ids)).items()}
    shops = {one.shop_id for one in entries if one.shop_id is not None}
    return {id_: one.name for id_, one in (await catalog.find_shops(tx, sorted(shops))).items()}


def _month(text: str) -> date:
    try:
        found = datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007  a calendar month has no zone
    except ValueError:
        raise NotFound() from None
    if f"{found:%Y-%m}" != text or found.year < 1971:
        raise NotFound()
    return found


def _saved_as(month: str, currency: str, ending: str) -> dict[str, str]:
    return {
        "content-disposition": f'attachment; filename="statement-{month}-{currency}.{ending}"',
        "cache-control": "no-store",
    }


def _balance(found: statements.Balance) -> BalanceView:
    def money(amount: int) -> Money:
        return Money(amount, found.currency)

    return BalanceView(
        payable=money(found.payable_amount),
        on_its_way=money(found.on_its_way_amount),
        expected=[
            WaitingView(day=one.day_on, order_count=one.order_count, amount=money(one.amount)) for one in found.expected
        ],
        expected_total=money(found.expected_amount),
        held=money(found.held_amount),
        held_order_count=found.held_count,
    )


def _sum(of: statements.Sum, currency: str) -> dict[str, Any]:
    return {
        "line_count": of.line_count,
        "goods": Money(of.goods_amount, currency),
        "shipping": Money(of.shipping_amount, currency),
        "subsidy": Money(of.subsidy_amount, currency),
        "platform": Money(of.platform_amount, currency),
        "payment": Money(of.payment_amount, currency),
        "streamer": Money(of.streamer_amount, currency),
        "net": Money(of.amount, currency),
    }


def _line(one: statements.Entry, currency: str, names: dict[UUID, str]) -> StatementLine:
    def money(amount: int) -> Money:
        return Money(amount, currency)

    return StatementLine(
        id=one.id,
        kind=one.kind,
        booked_on=one.booked_on,
        booked_at=one.booked_at,
        order_id=one.order_id,
        shop_id=one.shop_id,
        streamer_id=one.streamer_id,
        counterpart=next(
            (names[key] for key in (one.streamer_id, one.shop_id) if key is not None and key in names), None
        ),
        goods=money(one.goods_amount),
        shipping=money(one.shipping_amount),
        subsidy=money(one.subsidy_amount),
        platform_bps=one.platform_bps,
        platform=money(one.platform_amount),
        payment_bps=one.payment_bps,
        payment=money(one.payment_amount),
        streamer_bps=one.streamer_bps,
        streamer=money(one.streamer_amount),
        net=money(one.amount),
        subject_id=one.subject_id,
    )


ROUTES = [
    get_shop_balance,
    get_own_balance,
    list_shop_statements,
    list_own_statements,
    get_shop_statement,
    get_own_statement,
    list_shop_statement_lines,
    list_own_statement_lines,
    export_shop_statement,
    export_own_statement,
    print_shop_statement,
    print_own_statement,
]
