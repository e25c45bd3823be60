"""What new buyers cost, over HTTP: what was spent, entered by hand or from a file, and what it brought."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pyarrow.compute as pc
from litestar import Request, Response, delete, get, post
from litestar.params import QueryParameter
from msgspec import Meta

from laotie import identity
from laotie.base import money
from laotie.base.clock import Clock
from laotie.base.db import Database, Tx
from laotie.base.entry import Source
from laotie.base.ids import ShopId
from laotie.base.money import AMOUNT_MAX, Currency
from laotie.base.refusals import NotFound, Refusal
from laotie.base.settings import Settings
from laotie.identity import Actor, Scope
from laotie.insight import Engine, acquisition, definitions, lifetime, repurchase, spending
from laotie.insight.forecast import TooFewCustomers, TooFewRepeats
from laotie.insight.identities import Level
from laotie.insight.lifetime import Won, Worth
from laotie.insight.spending import SpendId, Spending, SpendTotal
from laotie.web.figures import figures
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.house import House
from laotie.web.insight_asked import (
    Asked,
    Days,
    FigureAnswer,
    InLevel,
    InOf,
    InSince,
    InUntil,
    about,
    admit,
    find_today,
    share_of,
    who_enters,
)
from laotie.web.insight_currency import InCurrency, usual_currency
from laotie.web.insight_exports import FigureForm, InFigureForm, give
from laotie.web.insight_growth import LevelRefused
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.web.problems import BodyTooLarge

SHEET_BYTES_MAX = 2 * 1024 * 1024
NOTHING = Worth(0, 0, 0)

DryRun = Annotated[bool, QueryParameter(name="dry_run", description="Only say what would come of it.")]


class NewSpend(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What was spent on a day, for a source and perhaps a campaign. Said again, it replaces what was said before."""

    spent_on: date
    source: Source
    campaign: Annotated[str, Meta(max_length=spending.CAMPAIGN_LENGTH_MAX)] = ""
    amount: Annotated[int, Meta(ge=0, le=AMOUNT_MAX, description="Minor units.")]
    currency: Currency
    note: Annotated[str, Meta(max_length=spending.NOTE_LENGTH_MAX)] = ""


class SpendView(msgspec.Struct, kw_only=True):
    """What somebody entered."""

    id: SpendId
    spent_on: date
    source: Source
    campaign: str
    amount: int
    currency: str
    note: str


class SpendError(msgspec.Struct, frozen=True):
    """What is wrong with a line of a file; the heading is line 1."""

    line: int
    field: str
    code: str
    text: str


class SpendReport(msgspec.Struct, kw_only=True):
    """What came of a file. With errors nothing of it is kept; the first hundred are told."""

    lines: int
    kept: int
    amount: int
    currency: str
    errors: list[SpendError]
    error_count: int


class AcquisitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A source and campaign (empty: none), or, with neither, all. Sums in minor units; what has nothing to be divided by is null.

    `cost` is spend and own discounts on first orders. `value_30`: what a new buyer of thirty days' standing (there are
    `due_30` of them) brought in thirty days, on average.
    """

    source: str | None = None
    campaign: str | None = None
    currency: str
    spend_amount: int
    subsidy_amount: int
    other_subsidy_amount: int
    """What somebody else (the platform for a shop, the shops for the platform) gave off the same first orders."""
    cost_amount: int
    new_buyers: int
    cac_amount: int | None
    due_30: int
    value_30_amount: int | None
    due_90: int
    value_90_amount: int | None
    ltv_cac: float | None
    ltv_days: int | None
    """Of how many days the value in `ltv_cac` is."""
    value_365_amount: int | None
    """What a new buyer is expected to have brought a year after the first order, on average: so far, and still to come."""
    expected_365_amount: int | None
    """What of it is still to come."""
    ltv_cac_365: float | None


class AcquisitionAnswer(FigureAnswer, frozen=True, kw_only=True):
    """In total, and by source and campaign, the dearest first.

    Where the forecast does not stand, `forecast_refused` says why (`too-few-customers`, `too-few-repeats`, `fit-unsure`), with the
    facts; then there is no value of 365 days.
    """

    currency: str
    forecast_refused: str | None
    forecast_facts: dict[str, int]
    total: AcquisitionRow
    items: list[AcquisitionRow]


@get("/api/insight/acquisition")
async def get_acquisition(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, since: InSince = None, until: InUntil = None, currency: InCurrency = None,
    form: InFigureForm = FigureForm.json,
) -> Response[AcquisitionAnswer]:  # fmt: skip
    """What a new buyer cost by source and campaign, and what they have brought since. Of a shop or the platform."""
    if level not in (Level.shop, Level.platform):
        raise LevelRefused(level=level)
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)
    chosen = currency or await usual_currency(db, asked)
    async with db.read() as tx:
        spent = await spending.total_spend(tx, None if asked.of is None else ShopId(asked.of), since=days.since, until=days.until)
    as_of = await figures(house).as_of()

    def ask(engine: Engine) -> tuple[list[dict[str, Any]], dict[Won, Worth] | Refusal]:
        lake = definitions.Computed(engine)
        found = acquisition.new_buyers(
            lake["money"], lake["person"], of=asked.of, since=days.since, until=days.until,
            as_of_us=int(as_of.timestamp() * 1_000_000),
        )  # fmt: skip
        return engine.run(found).to_pylist(), _foresee(engine, lake, asked, days, chosen, today)

    today = find_today(db.clock, settings)
    won, worth = (await figures(house).run(ask)).answer
    refused = worth if isinstance(worth, Refusal) else None
    own = "shop_subsidy" if level is Level.shop else "platform_subsidy"
    rows = _join(won, spent, {} if isinstance(worth, Refusal) else worth, chosen, own=own)
    total = _row(None, None, chosen, rows)
    items = [_row(row["source"], row["campaign"], chosen, [row]) for row in rows]
    items.sort(key=lambda row: (-row.cost_amount, -row.new_buyers, row.source or "", row.campaign or ""))
    answer = AcquisitionAnswer(
        **about(asked, days, settings, as_of), currency=chosen, total=total, items=items,
        forecast_refused=refused.code if refused else None, forecast_facts=refused.facts() if refused else {},
    )  # fmt: skip
    return give(form, answer, [*items, total], AcquisitionRow, name=f"acquisition-{level}-{days.since}")


@get("/api/insight/spend")
async def list_spend(
    actor: Given[Actor], db: Given[Database], settings: Given[Settings], level: InLevel, of: InOf = None,
    since: InSince = None, until: InUntil = None, after: After = None, limit: Limit = LIMIT_DEFAULT,
) -> Page[SpendView]:  # fmt: skip
    """What a shop (or the platform) entered for the period, the latest first."""
    if level not in (Level.shop, Level.platform):
        raise LevelRefused(level=level)
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    days = asked.days(since, until, now=db.clock.now(), zone=settings.books_zone)
    shop_id = None if asked.of is None else ShopId(asked.of)
    async with db.read() as tx:
        rows = await spending.list_spend(
            tx, shop_id, since=days.since, until=days.until, after=None if after is None else SpendId(after), limit=limit + 1
        )
    return Page(items=[_view(row) for row in rows[:limit]], next=str(rows[limit - 1].id) if len(rows) > limit else None)


@post("/api/insight/spend", status_code=200)
async def enter_spend(
    data: JSONBody[NewSpend], actor: Given[Actor], db: Given[Database], settings: Given[Settings], clock: Given[Clock],
    level: InLevel, of: InOf = None,
) -> SpendView:  # fmt: skip
    """Say what was spent. The same day, source, campaign and currency again replaces it. Takes the scope `money`."""
    shop_id = await _payer(db, actor, level, of)
    one = Spending(**msgspec.structs.asdict(data))
    money.exponent(one.currency)
    async with db.tx() as tx:
        (kept,) = await spending.enter_spend(tx, who_enters(actor), shop_id, [one], today=find_today(clock, settings))
        await _note(tx, actor, "insight.spend_entered", shop_id, spend=str(kept.id), spent_on=str(kept.spent_on), amount=kept.amount)
    return _view(kept)


@post("/api/insight/spend.csv", status_code=200)
async def import_spend(
    request: Request[Any, Any, Any], actor: Given[Actor], db: Given[Database], settings: Given[Settings],
    clock: Given[Clock], level: InLevel, of: InOf = None, currency: InCurrency = None, dry_run: DryRun = False,
) -> SpendReport:  # fmt: skip
    """Bring a CSV file (UTF-8) with the columns date, source, amount (whole units), and perhaps campaign and note.

    Taken whole or not at all: with an error in any line nothing is kept, and every wrong line is told. Takes the scope `money`.
    """
    shop_id = await _payer(db, actor, level, of)
    chosen = currency or await usual_currency(db, Asked(level, shop_id))
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > SHEET_BYTES_MAX:
            raise BodyTooLarge(bytes_max=SHEET_BYTES_MAX)
    read = spending.read_sheet(bytes(content), chosen, today=find_today(clock, settings))
    total = sum(one.amount for one in read.spendings)
    if read.spendings and not dry_run:
        async with db.tx() as tx:
            await spending.enter_spend(
                tx, who_enters(actor), shop_id, read.spendings, today=find_today(clock, settings)
            )
            await _note(tx, actor, "insight.spend_imported", shop_id, lines=read.lines, amount=total, currency=chosen)
    return SpendReport(
        lines=read.lines, kept=len(read.spendings), amount=total, currency=chosen,
        errors=[SpendError(one.line, one.field, one.code, one.text) for one in read.errors], error_count=read.error_count,
    )  # fmt: skip


@delete("/api/insight/spend/{spend_id:uuid}", status_code=204)
async def delete_spend(
    spend_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings], level: InLevel,
    of: InOf = None,
) -> None:  # fmt: skip
    """Take out what was entered. Takes the scope `money`."""
    shop_id = await _payer(db, actor, level, of)
    async with db.tx() as tx:
        gone = await spending.delete_spend(tx, shop_id, SpendId(spend_id))
        if gone is None:
            raise NotFound()
        await _note(tx, actor, "insight.spend_deleted", shop_id, spend=str(gone.id), spent_on=str(gone.spent_on), amount=gone.amount)


async def _payer(db: Database, actor: Actor, level: Level, of: UUID | None) -> ShopId | None:
    """Whose spending the actor may enter: a shop's (a seat with the scope `money`), or (`None`) the platform's (operators)."""
    if level is Level.platform:
        actor.require_operator()
        return None
    if level is not Level.shop:
        raise LevelRefused(level=level)
    if of is None:
        raise NotFound()
    async with db.read() as tx:
        await identity.require_seat(tx, actor, ShopId(of), Scope.money)
    return ShopId(of)


async def _note(tx: Tx, actor: Actor, act: str, shop_id: ShopId | None, **detail: object) -> None:
    await identity.record(tx, actor, act, subject=str(shop_id or "platform"), **detail)


def _foresee(
    engine: Engine, lake: definitions.Computed, asked: Asked, days: Days, currency: str, today: date
) -> dict[Won, Worth] | Refusal:
    """What the new buyers will have been worth a year after, or why nobody can say."""
    found = lifetime.brought(lake["money"], lake["person"], of=asked.of, since=days.since, until=days.until)
    won = engine.run(found).filter(pc.field("currency") == currency)
    if not len(won):
        return {}
    order_days = lake["order_days"]
    orders = repurchase.paid_orders(order_days, level=asked.level, of=asked.of)
    purchases = engine.run(repurchase.purchase_days(orders)).filter(pc.field("currency") == currency)
    sums = engine.run(lifetime.kept(order_days, level=asked.level, of=asked.of)).filter(pc.field("currency") == currency)
    ((paid, net),) = zip(sums["paid"].to_pylist(), sums["net"].to_pylist(), strict=True)
    try:
        share = min(1.0, max(0.0, share_of(net, paid) or 0.0))
        return lifetime.foresee(purchases, won, lifetime.see_until(purchases, today), share=share)
    except (TooFewCustomers, TooFewRepeats, lifetime.FitUnsure) as refusal:
        return refusal


def _join(
    won: list[dict[str, Any]], spent: list[SpendTotal], worth: dict[Won, Worth], currency: str, *, own: str
) -> list[dict[str, Any]]:
    """What was won, what was spent and what is expected, a row a source and campaign, in one currency."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in won:
        if row["currency"] == currency:
            subsidies = {"shop_subsidy": row["shop_subsidy"], "platform_subsidy": row["platform_subsidy"]}
            rows[row["source"], row["campaign"]] = {
                **row, "subsidy": subsidies.pop(own), "other": sum(subsidies.values()), "spend": 0,
                "worth": worth.get((row["source"], row["campaign"]), NOTHING),
            }  # fmt: skip
    for one in spent:
        if one.currency == currency:
            rows.setdefault((one.source, one.campaign), {"source": one.source, "campaign": one.campaign})["spend"] = one.amount
    return list(rows.values())


def _row(source: str | None, campaign: str | None, currency: str, rows: list[dict[str, Any]]) -> AcquisitionRow:
    """Counts added up, and their quotients."""

    def total(name: str) -> int:
        return sum(row.get(name, 0) for row in rows)

    cost, buyers = total("spend") + total("subsidy"), total("new_buyers")
    value = {days: money.mean(total(f"value_{days}"), due) if (due := total(f"due_{days}")) else None for days in (30, 90)}
    ltv_days = next((days for days in (90, 30) if value[days] is not None), None)
    brought = value[ltv_days] if ltv_days is not None else None
    year = sum((row["worth"] for row in rows if "worth" in row), start=NOTHING)
    whole = year.realised + year.expected
    return AcquisitionRow(
        source=source, campaign=campaign, currency=currency, spend_amount=total("spend"), subsidy_amount=total("subsidy"),
        other_subsidy_amount=total("other"), cost_amount=cost, new_buyers=buyers,
        cac_amount=money.mean(cost, buyers) if buyers else None, due_30=total("due_30"), value_30_amount=value[30],
        due_90=total("due_90"), value_90_amount=value[90], ltv_days=ltv_days if cost and buyers else None,
        ltv_cac=brought * buyers / cost if brought is not None and cost and buyers else None,
        value_365_amount=money.mean(whole, year.buyers) if year.buyers else None,
        expected_365_amount=money.mean(year.expected, year.buyers) if year.buyers else None,
        ltv_cac_365=share_of(whole, cost) if year.buyers else None,
    )  # fmt: skip


def _view(row: spending.Spend) -> SpendView:
    return SpendView(
        id=row.id, spent_on=row.spent_on, source=row.source, campaign=row.campaign, amount=row.amount, currency=row.currency,
        note=row.note,
    )  # fmt: skip


ROUTES = [get_acquisition, list_spend, enter_spend, import_spend, delete_spend]
