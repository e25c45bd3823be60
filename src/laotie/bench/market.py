"""The market of a benchmark: one streamer, one show, one hot SKU, and buyers with tickets or tokens."""

from datetime import timedelta

import msgspec

from laotie import catalog, identity, ledger, live, offers
from laotie.base.clock import Clock
from laotie.base.db import Database, encode
from laotie.base.entry import Source, Visit
from laotie.base.ids import (
    AccountId,
    CartItemId,
    OrderId,
    ProductId,
    RoomId,
    ShopId,
    ShowId,
    SkuId,
    ViewerId,
    VisitId,
    new_id,
)
from laotie.base.money import Money
from laotie.base.signer import Signer
from laotie.events.catalog import StockChanged
from laotie.events.orders import OrderPlaced, PlacedLine

PRICE = 1_999
COUPON_OFF = 150
NOBODYS = "!"
"""No password has this hash."""
TITLE = "大连即食海参 500g 礼盒装"


class HotSale(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a buyer or the peer needs to know."""

    owner_id: AccountId
    shop_id: ShopId
    show_id: ShowId
    item_id: CartItemId
    product_id: ProductId
    sku_id: SkuId
    price: int
    title: str
    tokens: list[str]
    debit_id: str
    credit_id: str

    def buy_frame(self, client_id: str, *, quantity: int = 1, claim_id: str | None = None) -> bytes:
        """The socket's frame that buys one piece, with a coupon or without."""
        coupons = "" if claim_id is None else f',"coupons":["{claim_id}"]'
        return (
            f'{{"t":"buy","id":"{client_id}","lines":[{{"sku":"{self.sku_id}","item":"{self.item_id}",'
            f'"qty":{quantity},"price":{self.price}}}]{coupons}}}'
        ).encode()

    def order_body(self, client_id: str, *, quantity: int = 1) -> bytes:
        """The same over HTTP."""
        return (
            f'{{"id":"{client_id}","show_id":"{self.show_id}","lines":[{{"sku_id":"{self.sku_id}",'
            f'"cart_item_id":"{self.item_id}","quantity":{quantity},'
            f'"unit_price":{{"amount":{self.price},"currency":"CNY"}}}}]}}'
        ).encode()

    @property
    def news_example(self) -> bytes:
        """An `order.placed` of the size that this sale tells, for the peer's outbox row."""
        now = Clock().now()
        line = PlacedLine(
            sku_id=self.sku_id, product_id=self.product_id, cart_item_id=self.item_id, quantity=1,
            unit_price_amount=self.price, title=self.title,
        )  # fmt: skip
        return encode(
            OrderPlaced(
                order_id=OrderId(new_id()),
                client_id=new_id(),
                buyer_id=AccountId(new_id()),
                shop_id=self.shop_id,
                show_id=self.show_id,
                currency="CNY",
                total_amount=self.price,
                lines=(line,),
                source="direct",
                placement="direct",
                visit_id=None,
                placed_at=now,
                pay_by=now,
            )
        )

    @property
    def stock_news_example(self) -> bytes:
        """The same for `catalog.stock_changed`."""
        return encode(
            StockChanged(sku_id=self.sku_id, product_id=self.product_id, shop_id=self.shop_id, available=123_456)
        )


async def open_sale(
    db: Database, *, stock: int, limit: int | None, http_buyers: int, password_hash: str = NOBODYS
) -> HotSale:
    """A shop with one listed product, a live show that sells it, and accounts with tokens for HTTP."""
    owner = AccountId(new_id())
    shop_id, room_id, show_id = ShopId(new_id()), RoomId(new_id()), ShowId(new_id())
    product_id, sku_id, item_id = ProductId(new_id()), SkuId(new_id()), CartItemId(new_id())
    actor = identity.Actor(
        viewer_id=ViewerId(owner), account_id=owner, seat_holder_id=owner, roles=frozenset(identity.Role)
    )
    async with db.tx() as tx:
        await identity.create_account(tx, owner, handle=f"owner{owner.hex}", password_hash=password_hash, name="Bench")
        await catalog.open_shop(tx, owner, shop_id, catalog.ShopDraft(name="Bench", currency="CNY"))
        await catalog.add_product(tx, actor, shop_id, product_id, catalog.ProductDraft(title=TITLE))
        price = Money(PRICE, "CNY")
        await catalog.add_sku(tx, actor, product_id, sku_id, catalog.SkuDraft(code="hot", price=price, stock=stock))
        await catalog.edit_product(tx, actor, product_id, catalog.ProductChange(state=catalog.ProductState.listed))
        await live.open_room(tx, actor, room_id, shop_id=shop_id, title="Bench")
        await live.plan_show(tx, actor, live.ShowDraft(id=show_id, title="Bench"))
        await live.start_show(tx, actor, show_id)
        await live.add_item(
            tx,
            actor,
            show_id,
            live.CartItemDraft(
                id=item_id, product_id=product_id, prices=[live.PriceTag(sku_id, price)], limit_per_person=limit
            ),
        )
        accounts = [
            ledger.Account(ledger.AccountKind.provider, "CNY"),
            ledger.Account(ledger.AccountKind.shop_held, "CNY", shop_id),
        ]
        await ledger.open_many(tx, accounts)
    tokens = [await _make_buyer(db) for _ in range(http_buyers)]
    return HotSale(
        owner_id=owner, shop_id=shop_id, show_id=show_id, item_id=item_id, product_id=product_id, sku_id=sku_id, price=PRICE,
        title=TITLE, tokens=tokens, debit_id=str(accounts[0].id), credit_id=str(accounts[1].id),
    )  # fmt: skip


class Purse(msgspec.Struct, frozen=True):
    """Somebody with coupons to spend."""

    account_id: AccountId
    claims: list[str]


async def give_all(db: Database, sale: HotSale, *, budget_amount: int = 10**12) -> offers.CouponId:
    """A guarantee on the hot product (as the till sees one: a pledge's id), and a coupon for it, for `fill_purses`."""
    actor = identity.Actor(
        viewer_id=ViewerId(sale.owner_id), account_id=sale.owner_id, seat_holder_id=sale.owner_id,
        roles=frozenset(identity.Role),
    )  # fmt: skip
    coupon_id = offers.CouponId(new_id())
    async with db.tx() as tx:
        await catalog.set_pledge(tx, sale.shop_id, new_id(), product_id=sale.product_id)
        draft = offers.Draft(
            title="Bench", kind=offers.CouponKind.percent, currency="CNY", bps=1_000, cap_amount=COUPON_OFF,
            threshold_amount=sale.price, product_ids=(sale.product_id,), show_id=sale.show_id, quantity=10_000_000,
            budget_amount=budget_amount, starts_at=tx.now, ends_at=tx.now + timedelta(days=1),
        )  # fmt: skip
        await offers.make_coupon(tx, actor, sale.shop_id, coupon_id, draft)
    return coupon_id


async def fill_purses(db: Database, coupon_id: offers.CouponId, *, buyers: int, each: int) -> list[Purse]:
    """New people with so many claims each, written as the claims' own room writes them, but all at once."""
    purses = [Purse(AccountId(new_id()), [str(new_id()) for _ in range(each)]) for _ in range(buyers)]
    async with db.tx() as tx:
        for purse in purses:
            await tx.run(
                """
                INSERT INTO offers.claim (id, coupon_id, holder_id, ordinal, claimed_at, valid_until)
                SELECT id, %(coupon_id)s, %(holder_id)s, ordinal, %(now)s, %(now)s + interval '1 hour'
                FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS given (id, ordinal)
                """,
                ids=purse.claims,
                coupon_id=coupon_id,
                holder_id=purse.account_id,
                now=tx.now,
            )
        await tx.run(
            "UPDATE offers.coupon SET claimed_count = claimed_count + %(count)s WHERE id = %(id)s",
            id=coupon_id,
            count=buyers * each,
        )
    return purses


async def _make_buyer(db: Database) -> str:
    account_id = AccountId(new_id())
    actor = identity.Actor(viewer_id=ViewerId(account_id), account_id=account_id)
    async with db.tx() as tx:
        await identity.create_account(
            tx, account_id, handle=f"buyer{account_id.hex}", password_hash=NOBODYS, name="Buyer"
        )
        made = await identity.create_token(
            tx,
            actor,
            identity.TokenId(new_id()),
            name="bench",
            scopes=[identity.TokenScope.account],
            expires_at=tx.now + timedelta(days=1),
        )
    assert made.secret is not None
    return made.secret


def ticket_for(signer: Signer, sale: HotSale, *, account_id: AccountId | None = None) -> str:
    """A ticket as the HTTP door would issue it, for a buyer of its own."""
    account_id = account_id or AccountId(new_id())
    viewer_id = ViewerId(account_id)
    visit = Visit(
        id=VisitId(new_id()),
        viewer_id=viewer_id,
        show_id=sale.show_id,
        source=Source.direct,
        placement="direct",
        at=Clock().now(),
        shop_id=sale.shop_id,
    )
    return live.issue_ticket(
        signer,
        live.Ticket(
            jti=new_id(),
            viewer_id=viewer_id,
            account_id=account_id,
            name="Buyer",
            show_id=sale.show_id,
            shop_id=sale.shop_id,
            visit=visit,
        ),
    )
