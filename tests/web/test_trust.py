"""Guarantees and reviews over HTTP, whole answers."""

from typing import Any

from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import new_id
from people import Browser, People, problem
from purses import capture
from world import World, made, make_world, place_order

NINEFOLD = {"kind": "authentic_ninefold", "cap": None, "days": None}
FREIGHT = {"kind": "return_freight", "cap": {"amount": 1_500, "currency": "CNY"}, "days": None}


def yuan(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "CNY"}


async def fill_deposit(db: Database, bus: LocalBus, world: World, amount: int) -> None:
    """Pay into the deposit: through the provider and the shop's wallet."""
    topup = {"id": str(new_id()), "amount": yuan(amount), "method": "sandbox"}
    payment = await made(world["owner"].post(f"/api/shops/{world.shop}/deposit/topups", json=topup))
    await capture(db, bus, payment)


async def test_from_a_pledge_to_a_deposit_that_stands_for_it(db: Database, bus: LocalBus, people: People) -> None:
    world = await make_world(people)
    owner, shop = world["owner"], world.shop
    assert await made(owner.get(f"/api/shops/{shop}/pledge")) == {"pledge": None}
    pledge = {"id": str(new_id()), "promises": [NINEFOLD, FREIGHT]}
    answer = await made(owner.put(f"/api/shops/{shop}/pledge", json=pledge))
    assert answer == {"id": pledge["id"], "promises": [FREIGHT, NINEFOLD]}
    own = {"id": str(new_id()), "promises": []}
    await made(owner.put(f"/api/products/{world.product}/pledge", json=own))
    of_product = f"/api/guarantees?product_id={world.product}"
    assert await made(people.stranger().get(of_product)) == {
        "items": [{"product_id": world.product, "is_own": True, "pledge": own}]
    }
    assert (await owner.delete(f"/api/products/{world.product}/pledge")).status_code == 204
    assert await made(people.stranger().get(of_product)) == {
        "items": [{"product_id": world.product, "is_own": False, "pledge": answer}]
    }
    await fill_deposit(db, bus, world, 400_000)
    deposit = await made(owner.get(f"/api/shops/{shop}/deposit"))
    assert deposit == {
        "balance": yuan(400_000), "required": yuan(330_000), "base": yuan(100_000), "owed": yuan(0), "missing": yuan(0),
        "free": yuan(70_000), "paid_out": yuan(0),
        "obligations": [
            {"kind": "return_freight", "required": yuan(30_000), "ends_at": None},
            {"kind": "authentic_ninefold", "required": yuan(200_000), "ends_at": None},
        ],
        "needs": {
            "refund_without_return": yuan(50_000), "return_freight": yuan(30_000), "authentic_ninefold": yuan(200_000),
            "seven_days": yuan(0),
        },
        "rule_version": 1, "grace_h": 72, "tail_days": 90, "short_since": None, "limited_from": None, "limited_at": None,
    }  # fmt: skip
    take = {"id": str(new_id()), "direction": "out", "amount": yuan(70_001)}
    refused = await owner.post(f"/api/shops/{shop}/deposit/movements", json=take)
    assert problem(refused)["type"] == "/problems/deposit-needed" and refused.json()["free"] == yuan(70_000)
    take["amount"] = yuan(70_000)
    for _ in range(2):
        left = await made(owner.post(f"/api/shops/{shop}/deposit/movements", json=take))
        assert left["balance"] == yuan(330_000)
    wallet = await made(owner.get(f"/api/shops/{shop}/wallet"))
    assert wallet["balances"] == [yuan(70_000)]


async def test_an_order_shows_what_it_was_promised(people: People) -> None:
    world = await make_world(people)
    pledge = {"id": str(new_id()), "promises": [FREIGHT]}
    await made(world["owner"].put(f"/api/shops/{world.shop}/pledge", json=pledge))
    order = (await place_order(world))["order_id"]
    await made(world["owner"].put(f"/api/shops/{world.shop}/pledge", json={"id": str(new_id()), "promises": []}))
    expected = {"items": [{"line_no": 1, "pledge": pledge, "payouts": []}]}
    assert await made(world["viewer"].get(f"/api/orders/{order}/guarantees")) == expected
    of_shop = f"/api/shops/{world.shop}/orders/{order}/guarantees"
    assert await made(world["owner"].get(of_shop)) == expected


async def test_a_promise_in_another_currency_is_refused(people: People) -> None:
    world = await make_world(people)
    wrong = {"id": str(new_id()), "promises": [FREIGHT | {"cap": {"amount": 1, "currency": "USD"}}]}
    answer = await world["owner"].put(f"/api/shops/{world.shop}/pledge", json=wrong)
    assert problem(answer)["type"] == "/problems/guarantee-refused"


async def complete(db: Database, order: str) -> None:
    async with db.tx() as tx:
        await tx.run(
            """UPDATE orders."order" SET state = 'completed', completed_at = %(now)s WHERE id = %(id)s""",
            id=order,
            now=tx.now,
        )


async def review(db: Database, world: World, buyer: Browser) -> dict[str, Any]:
    order = (await place_order(world))["order_id"]
    await complete(db, order)
    said = {
        "id": str(new_id()), "line_no": 1, "goods": 2, "service": 4, "shipping": 5, "text": "小了点", "is_anonymous": True
    }  # fmt: skip
    answer: dict[str, Any] = await made(buyer.post(f"/api/orders/{order}/reviews", json=said))
    return answer


async def test_a_review_from_writing_to_hiding(db: Database, people: People) -> None:
    world = await make_world(people)
    anna, owner, operator = world["viewer"], world["owner"], world["operator"]
    mine = await review(db, world, anna)
    assert (mine["is_mine"], mine["may_follow_up"], mine["author"]["name"]) == (True, True, "A***a")
    added = await made(anna.put(f"/api/reviews/{mine['id']}/follow-up", json={"text": "洗过就好了"}))
    assert added["follow_up"] | {"at": ""} == {
        "text": "洗过就好了", "pictures": [], "is_held": False, "at": "", "days_after": 0
    }  # fmt: skip
    await made(owner.put(f"/api/reviews/{mine['id']}/answer", json={"text": "谢谢，可以换大一号"}))
    listed = await made(people.stranger().get(f"/api/products/{world.product}/reviews?order=low"))
    [seen] = listed["items"]
    assert seen["author"] == {"id": None, "name": "A***a", "avatar": None}
    assert (seen["order_id"], seen["answer"]["text"], listed["next"]) == (None, "谢谢，可以换大一号", None)
    sums = {
        "review_count": 1, "picture_count": 0, "goods_sum": 2, "service_sum": 4, "shipping_sum": 5,
        "star_counts": [0, 1, 0, 0, 0],
    }  # fmt: skip
    assert await made(owner.get(f"/api/products/{world.product}/review-summary")) == sums
    assert await made(owner.get(f"/api/shops/{world.shop}/review-summary")) == sums
    assert (await world["other"].post(f"/api/reviews/{mine['id']}/reports", json={"reason": "spam"})).status_code == 204
    [reported] = (await made(operator.get("/api/review-reports")))["items"]
    assert reported["report_count"] == 1 and reported["reports"][0]["reason"] == "spam"
    await made(operator.put(f"/api/reviews/{mine['id']}/judgement", json={"hide": True, "reason": "广告"}))
    assert (await made(owner.get(f"/api/products/{world.product}/reviews")))["items"] == []
    assert (await made(anna.get(f"/api/reviews/{mine['id']}")))["hidden_reason"] == "广告"
    again = await anna.post(
        f"/api/orders/{mine['order_id']}/reviews",
        json={"id": str(new_id()), "line_no": 1, "goods": 5, "service": 5, "shipping": 5},
    )
    assert problem(again)["type"] == "/problems/reviewed-already"
