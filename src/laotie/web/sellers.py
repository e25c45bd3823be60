"""Sellers' own accounts at payment providers: shops and streamers open theirs, operators see all, the sandbox has a page."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post, put
from msgspec import Meta

from laotie import catalog, identity, ledger, payments
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.identity import Actor, Role, Scope
from laotie.payments import sandbox_sellers
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page


class SellerView(msgspec.Struct, kw_only=True):
    """The account of a shop or streamer at a provider. `reason`: what the provider wants, or why it says no."""

    id: payments.SellerId
    provider: str
    kind: payments.SellerKind
    owner_id: UUID
    name: str
    country: str
    state: payments.SellerState
    reason: str
    asked_at: datetime
    changed_at: datetime


class PayoutChannel(msgspec.Struct, kw_only=True):
    """A provider with which a seller may have an account of their own, and the account, if there is one."""

    provider: str
    currencies: list[str]
    seller: SellerView | None


class PayoutChannels(msgspec.Struct, kw_only=True):
    """Where a seller's money can go. `self_operated`: the shop is the house's own, so that nothing need be split."""

    items: list[PayoutChannel]
    self_operated: bool
    pooling: bool


class NewSeller(msgspec.Struct, forbid_unknown_fields=True):
    """Ask a provider for an account, or for the way on in one that is not ready."""

    provider: Annotated[str, Meta(min_length=1, max_length=40)]
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "CN"


class SellerStep(msgspec.Struct, kw_only=True):
    """How the account stands, and the provider's page on which the seller goes on (good once, for minutes)."""

    seller: SellerView
    url: str | None


class ProviderChannel(msgspec.Struct, kw_only=True):
    """A provider that is set. `problem`: why it cannot be used just now."""

    provider: str
    can: list[str]
    currencies: list[str]
    splits: bool
    problem: str | None


class ProviderCost(msgspec.Struct, kw_only=True):
    """What a provider took by its statements, of how much that came in."""

    provider: str
    lines: int
    taken: Money
    fees: Money


class FeeBalance(msgspec.Struct, kw_only=True):
    """What providers cost and what shops were charged for paying, in one currency."""

    currency: str
    cost: Money
    charged: Money


class OwnShop(msgspec.Struct, kw_only=True):
    """A shop of the house's own."""

    id: ShopId
    name: str


class ProviderDesk(msgspec.Struct, kw_only=True):
    """Who takes the money, who may hold it, and what it costs."""

    pooling: bool
    channels: list[ProviderChannel]
    own_shops: list[OwnShop]
    costs: list[ProviderCost]
    balances: list[FeeBalance]
    releases_open: int


class OwnShopMark(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the shop is the house's own."""

    own: bool


class SandboxTransferView(msgspec.Struct, kw_only=True):
    """Money into a seller's account at the sandbox."""

    number: str
    amount: Money
    state: str
    reason: str
    made_at: datetime


class SandboxAccountView(msgspec.Struct, kw_only=True):
    """A seller's account as the sandbox's page shows it: the next `refusals` transfers are refused, each is late."""

    id: UUID
    number: str
    name: str
    state: payments.SellerState
    reason: str
    refusals: int
    delay_s: int
    balances: list[Money]
    transfers: list[SandboxTransferView]


class SandboxJudgement(msgspec.Struct, forbid_unknown_fields=True):
    """What the sandbox decides on an account, and (to try things out) what goes wrong in it."""

    state: payments.SellerState
    reason: Annotated[str, Meta(max_length=200)] = ""
    refusals: Annotated[int, Meta(ge=0, le=20)] = 0
    delay_s: Annotated[int, Meta(ge=0, le=86_400)] = 0


@get("/api/shops/{shop_id:uuid}/seller-accounts")
async def list_shop_sellers(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> PayoutChannels:
    """Where the shop's money can go, for its staff with the scope `money`."""
    async with db.read() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), Scope.money)
        own = bool(await catalog.find_own_shops(tx, [ShopId(shop_id)]))
        return await _channels(tx, db, settings, shop_id, own=own)


@post("/api/shops/{shop_id:uuid}/seller-accounts", status_code=200)
async def open_shop_seller(
    shop_id: FromPath[UUID],
    data: JSONBody[NewSeller],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> SellerStep:
    """Open the shop's account with a provider, or go on in the one there is. Needs the scope `money`."""
    async with db.tx() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), Scope.money)
        shop = await catalog.get_shop(tx, ShopId(shop_id))
        seller = await payments.apply_as_seller(
            tx,
            settings,
            provider=data.provider,
            owner_id=shop_id,
            kind=payments.SellerKind.shop,
            name=shop.name,
            country=data.country,
            asked_by=actor.signed_in(),
        )
        await identity.record(tx, actor, "seller.asked", subject=str(shop_id), provider=data.provider)
    return await _go_on(db, settings, seller.id)


@get("/api/me/seller-accounts")
async def list_own_sellers(actor: Given[Actor], db: Given[Database], settings: Given[Settings]) -> PayoutChannels:
    """Where my own money (a streamer's part) can go."""
    async with db.read() as tx:
        return await _channels(tx, db, settings, actor.signed_in(), own=False)


@post("/api/me/seller-accounts", status_code=200)
async def open_own_seller(
    data: JSONBody[NewSeller], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> SellerStep:
    """Open an account of my own with a provider, for a streamer's part; or go on in the one there is."""
    account_id = actor.signed_in()
    async with db.tx() as tx:
        account = await identity.get_account(tx, actor)
        seller = await payments.apply_as_seller(
            tx,
            settings,
            provider=data.provider,
            owner_id=account_id,
            kind=payments.SellerKind.streamer,
            name=account.name,
            country=data.country,
            asked_by=account_id,
        )
    return await _go_on(db, settings, seller.id)


@get("/api/payment-providers")
async def show_provider_desk(actor: Given[Actor], db: Given[Database], settings: Given[Settings]) -> ProviderDesk:
    """Which providers are set, what each can do, whether pooling is on, and what paying costs; for operators."""
    actor.require_operator()
    async with db.read() as tx:
        own = await catalog.find_shops(tx, await catalog.list_own_shops(tx))
        costs = await payments.list_costs(tx)
        spent = await ledger.list_balances(tx, ledger.AccountKind.provider_cost)
        charged = await ledger.list_balances(tx, ledger.AccountKind.payment_fee)
        releases = await payments.list_open_releases(tx, limit=1_000)
    cost_of = {account.currency: -amount for account, amount in spent.items()}
    charged_of = {account.currency: amount for account, amount in charged.items()}
    return ProviderDesk(
        pooling=settings.pooling,
        channels=[
            ProviderChannel(
                provider=one.provider,
                can=one.can,
                currencies=one.currencies,
                splits=one.splits,
                problem=one.problem,
            )
            for one in payments.list_channels(db, settings)
        ],
        own_shops=[OwnShop(id=shop.id, name=shop.name) for shop in own.values()],
        costs=[
            ProviderCost(
                provider=one.provider,
                lines=one.line_count,
                taken=Money(one.captured_amount, one.currency),
                fees=Money(one.fee_amount, one.currency),
            )
            for one in costs
        ],
        balances=[
            FeeBalance(
                currency=currency,
                cost=Money(cost_of.get(currency, 0), currency),
                charged=Money(charged_of.get(currency, 0), currency),
            )
            for currency in sorted(cost_of.keys() | charged_of.keys())
        ],
        releases_open=len(releases),
    )


@get("/api/seller-accounts")
async def list_sellers(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[SellerView]:
    """Every seller's account, newest first, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        found = await payments.list_sellers(
            tx, after=payments.SellerId(after) if after is not None else None, limit=limit
        )
    return Page(items=[_view(one) for one in found], next=str(found[-1].id) if len(found) == limit else None)


@post("/api/seller-accounts/{seller_id:uuid}/check", status_code=200)
async def check_seller(
    seller_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> SellerView:
    """Ask the provider how an account stands, now, for operators."""
    actor.require_operator()
    return _view(await payments.check_seller(db, settings, payments.SellerId(seller_id)))


@put("/api/shops/{shop_id:uuid}/self-operated")
async def mark_own_shop(
    shop_id: FromPath[UUID], data: JSONBody[OwnShopMark], actor: Given[Actor], db: Given[Database]
) -> OwnShopMark:
    """Say whether a shop is the house's own, for operators. Goes into the audit log."""
    async with db.tx() as tx:
        await catalog.mark_own_shop(tx, actor, ShopId(shop_id), own=data.own)
    return data


@get("/api/sandbox/accounts/{account_id:uuid}")
async def get_sandbox_account(
    account_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> SandboxAccountView:
    """What the sandbox shows of a seller's account that I asked for; operators see any."""
    payments.open_provider("sandbox", db=db, settings=settings)
    async with db.read() as tx:
        return await _sandbox_view(tx, account_id, _holder(actor))


@post("/api/sandbox/accounts/{account_id:uuid}/judgement", status_code=200)
async def judge_sandbox_account(
    account_id: FromPath[UUID],
    data: JSONBody[SandboxJudgement],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> SandboxAccountView:
    """Decide as the sandbox would: ready, limited, refused; and what goes wrong in it. The house hears of it by message."""
    payments.open_provider("sandbox", db=db, settings=settings)
    state = payments.SellerState.pending if data.state is payments.SellerState.asked else data.state
    async with db.tx() as tx:
        await sandbox_sellers.judge(
            tx,
            account_id,
            holder_id=_holder(actor),
            state=state,
            reason=data.reason,
            refusals=data.refusals,
            delay_s=data.delay_s,
        )
        return await _sandbox_view(tx, account_id, _holder(actor))


async def _channels(tx: Tx, db: Database, settings: Settings, owner_id: UUID, *, own: bool) -> PayoutChannels:
    sellers = {one.provider: one for one in await payments.list_sellers(tx, owner_ids=[owner_id])}
    return PayoutChannels(
        items=[
            PayoutChannel(
                provider=one.provider,
                currencies=one.currencies,
                seller=_view(sellers[one.provider]) if one.provider in sellers else None,
            )
            for one in payments.list_channels(db, settings)
            if one.splits and (one.problem is None or one.provider in sellers)
        ],
        self_operated=own,
        pooling=settings.pooling,
    )


async def _go_on(db: Database, settings: Settings, seller_id: payments.SellerId) -> SellerStep:
    seller, url = await payments.onboard(db, settings, seller_id)
    return SellerStep(seller=_view(seller), url=url)


def _holder(actor: Actor) -> AccountId | None:
    """Whose accounts may be seen: operators see all."""
    account_id = actor.signed_in()
    return None if Role.operator in actor.roles else account_id


async def _sandbox_view(tx: Tx, account_id: UUID, holder_id: AccountId | None) -> SandboxAccountView:
    account = await sandbox_sellers.get_account(tx, account_id, holder_id=holder_id)
    transfers = await sandbox_sellers.list_transfers(tx, account_id)
    return SandboxAccountView(
        id=account.id,
        number=account.number,
        name=account.name,
        state=account.state,
        reason=account.reason,
        refusals=account.refusals,
        delay_s=account.delay_s,
        balances=await sandbox_sellers.sum_balances(tx, account_id),
        transfers=[
            SandboxTransferView(
                number=one.number,
                amount=Money(one.amount, one.currency),
                state=one.state,
                reason=one.reason,
                made_at=one.made_at,
            )
            for one in transfers
        ],
    )


def _view(seller: payments.Seller) -> SellerView:
    return SellerView(**{name: getattr(seller, name) for name in SellerView.__struct_fields__})


ROUTES = [
    list_shop_sellers,
    open_shop_seller,
    list_own_sellers,
    open_own_seller,
    show_provider_desk,
    list_sellers,
    check_seller,
    mark_own_shop,
    get_sandbox_account,
    judge_sandbox_account,
]
