"""Shipping templates: what a parcel costs, by where it goes and by weight or pieces.

A shop has named templates, one of which may be its default; a product has one of them, else the default, else it is
sent free of charge. A template is a list of rules. Which rule holds for a destination: the one that names its city, else
its region, else its country, else the one that names no place ("everywhere else"); none means that the shop does not
deliver there. `price` is the arithmetic, pure; `price_shipping` reads what it needs.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from laotie import identity
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId, SkuId
from laotie.base.refusals import Conflict, IdReused, Invalid, NotFound
from laotie.catalog.model import PRICE_MAX, ChangedMeanwhile, clean_text, fold

ShippingTemplateId = NewType("ShippingTemplateId", UUID)

TEMPLATES_MAX = 50
RULES_MAX = 60
PLACES_MAX = 400
MEASURE_MAX = 10**7
"""Grams or pieces of a step: ten tons are a freight company's business."""


class Measure(StrEnum):
    """What a fee grows with."""

    weight = "weight"
    """Grams: the SKUs' own."""
    pieces = "pieces"


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A country, or a region of it, or a city of that. Names count by their beginning: 广东 is 广东省 too."""

    country: str
    region: str = ""
    city: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it costs to send to these places; no place: to everywhere else.

    Up to `first` (grams or pieces) it costs `first_fee`, and each begun `further` more `further_fee`. Free from a value
    of the goods, or from a number of pieces, on.
    """

    places: list[Place] = []
    delivered: bool = True
    first: int = 1
    first_fee: int = 0
    further: int = 1
    further_fee: int = 0
    free_from_amount: int | None = None
    free_from_pieces: int | None = None


class ShippingDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a template says; saying it again replaces it as a whole. Fees are in the shop's currency, minor units."""

    name: str
    measure: Measure
    rules: list[Rule]
    is_default: bool = False


class ShippingTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A template as it stands, and how many products name it."""

    id: ShippingTemplateId
    shop_id: ShopId
    name: str
    measure: Measure
    rules: list[Rule]
    is_default: bool
    version: int
    updated_at: datetime
    product_count: int = 0


class Load(msgspec.Struct, frozen=True):
    """What is sent together under one template: grams, pieces, and what was paid for the goods."""

    grams: int
    pieces: int
    amount: int


class NotDelivered(Conflict, code="not-delivered"):
    """The shop does not deliver to this address."""

    region: str


class RulesRefused(Invalid, code="shipping-rules-refused"):
    """A template has rules with fees and steps in range, names no place twice, and has one rule for everywhere else."""

    reason: str


class TemplateNameTaken(Conflict, code="template-name-taken"):
    """Another template of the shop has this name."""

    name: str


def price(measure: Measure, rules: Sequence[Rule], load: Load, *, country: str, region: str, city: str) -> int:
    """What sending the load there costs, in minor units, or `NotDelivered`. Pure."""
    rule = find_rule(rules, country=country, region=region, city=city)
    if rule is None or not rule.delivered:
        raise NotDelivered(region=region or city or country)
    if rule.free_from_amount is not None and load.amount >= rule.free_from_amount:
        return 0
    if rule.free_from_pieces is not None and load.pieces >= rule.free_from_pieces:
        return 0
    more = max(0, (load.grams if measure is Measure.weight else load.pieces) - rule.first)
    return rule.first_fee + -(-more // rule.further) * rule.further_fee


def find_rule(rules: Sequence[Rule], *, country: str, region: str, city: str) -> Rule | None:
    """The rule that names the destination most closely; among equals the earlier one."""
    best: Rule | None = None
    closest = -1
    for rule in rules:
        for closeness in [_closeness(place, country, region, city) for place in rule.places] if rule.places else [0]:
            if closeness > closest:
                best, closest = rule, closeness
    return best


def _closeness(place: Place, country: str, region: str, city: str) -> int:
    """3 for the city, 2 for the region, 1 for the country, -1 for another place.

    A city directly under the state (北京市) may be written as region, as city, or as both: a place that names a region
    alone is met by either.
    """
    if fold(place.country) != fold(country):
        return -1
    if place.city:
        named = _begins(city, place.city) and (not place.region or not region or _begins(region, place.region))
        return 3 if named else -1
    if place.region:
        return 2 if _begins(region, place.region) or (not region and _begins(city, place.region)) else -1
    return 1


def _begins(name: str, wanted: str) -> bool:
    return fold(name).startswith(fold(wanted))


def check_rules(rules: list[Rule]) -> None:
    """Refuse what could not be priced, or would be priced in two ways."""
    places = [(fold(one.country), fold(one.region), fold(one.city)) for rule in rules for one in rule.places]
    if not 1 <= len(rules) <= RULES_MAX or len(places) > PLACES_MAX:
        raise RulesRefused(reason="count")
    if sum(not rule.places for rule in rules) > 1 or len(set(places)) < len(places):
        raise RulesRefused(reason="twice")
    if any(len(country) != 2 or len(region) > 60 or len(city) > 60 for country, region, city in places):
        raise RulesRefused(reason="place")
    for rule in rules:
        if not (1 <= rule.first <= MEASURE_MAX and 1 <= rule.further <= MEASURE_MAX):
            raise RulesRefused(reason="step")
        fees = (rule.first_fee, rule.further_fee, rule.free_from_amount or 0, rule.free_from_pieces or 0)
        if any(not 0 <= fee <= PRICE_MAX for fee in fees):
            raise RulesRefused(reason="fee")


async def price_shipping(
    tx: Tx,
    shop_id: ShopId,
    items: Sequence[tuple[ProductId, SkuId, int, int]],
    region: str,
    city: str,
    *,
    country: str = "CN",
) -> int:
    """What the shop asks for sending `(product, SKU, quantity, amount paid)` there, in minor units of its currency.

    What is sent under one template goes together; several templates are several parcels and add up. Refuses
    `NotDelivered`.
    """
    rows = await tx.tuples(
        """
        SELECT sku.id, sku.weight_grams, template.id, template.measure, template.rules
        FROM catalog.sku
        JOIN catalog.product ON product.id = sku.product_id
        JOIN catalog.shipping_template AS template ON template.shop_id = %(shop_id)s
         AND CASE WHEN product.shipping_template_id IS NULL THEN template.is_default
                  ELSE template.id = product.shipping_template_id END
        WHERE sku.id = ANY(%(skus)s)
        """,
        shop_id=shop_id,
        skus=[sku_id for _, sku_id, _, _ in items],
    )
    of_sku = {row[0]: row for row in rows}
    loads: dict[UUID, Load] = defaultdict(lambda: Load(0, 0, 0))
    templates: dict[UUID, tuple[Measure, list[Rule]]] = {}
    for _, sku_id, quantity, amount in items:
        if sku_id not in of_sku:
            continue
        _, grams, template_id, measure, rules = of_sku[sku_id]
        templates[template_id] = (Measure(measure), msgspec.convert(rules, list[Rule]))
        before = loads[template_id]
        loads[template_id] = Load(before.grams + grams * quantity, before.pieces + quantity, before.amount + amount)
    return sum(
        price(*templates[template_id], load, country=country, region=region, city=city)
        for template_id, load in loads.items()
    )


async def list_templates(tx: Tx, actor: identity.Actor, shop_id: ShopId) -> list[ShippingTemplate]:
    """The shop's templates, the default first. Needs the scope `catalog`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    return await tx.all(
        ShippingTemplate,
        """
        SELECT id, shop_id, name, measure, rules, is_default, version, updated_at,
               (SELECT count(*) FROM catalog.product WHERE shipping_template_id = template.id) AS product_count
        FROM catalog.shipping_template AS template WHERE shop_id = %(shop_id)s
        ORDER BY is_default DESC, name LIMIT %(limit)s
        """,
        shop_id=shop_id,
        limit=TEMPLATES_MAX,
    )


async def find_template_names(tx: Tx, shop_id: ShopId) -> dict[str, ShippingTemplateId]:
    """The shop's templates by name (for the product sheet)."""
    rows = await tx.tuples("SELECT name, id FROM catalog.shipping_template WHERE shop_id = %(id)s", id=shop_id)
    return dict(rows)


async def put_template(
    tx: Tx,
    actor: identity.Actor,
    shop_id: ShopId,
    template_id: ShippingTemplateId,
    draft: ShippingDraft,
    *,
    expected_version: int | None = None,
) -> ShippingTemplate:
    """Make a template under the client's own id, or replace what it says. Needs the scope `catalog`.

    The new default takes the place of the old one. Orders keep the fee that they were priced at. Refuses
    `ChangedMeanwhile`, `RulesRefused`, `TemplateNameTaken`, `TooMany`, `IdReused` for another shop's id.
    """
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    name = clean_text("name", draft.name, required=True)
    check_rules(draft.rules)
    # The shop's row orders those who edit its templates at once: only one can become the default.
    await tx.run("SELECT FROM catalog.shop WHERE id = %(id)s FOR NO KEY UPDATE", id=shop_id)
    before = {one.id: one for one in await list_templates(tx, actor, shop_id)}
    known = before.get(template_id)
    if known is None and len(before) >= TEMPLATES_MAX:
        raise identity.TooMany(count_max=TEMPLATES_MAX)
    if known is not None and (known.name, known.measure, known.rules, known.is_default) == (
        name, draft.measure, draft.rules, draft.is_default
    ):  # fmt: skip
        return known
    if expected_version is not None and known is not None and known.version != expected_version:
        raise ChangedMeanwhile(version=known.version)
    if draft.is_default:
        await tx.run(
            "UPDATE catalog.shipping_template SET is_default = false WHERE shop_id = %(id)s AND is_default", id=shop_id
        )
    try:
        written = await tx.run(
            """
            INSERT INTO catalog.shipping_template AS template (id, shop_id, name, measure, rules, is_default, updated_at)
            VALUES (%(id)s, %(shop_id)s, %(name)s, %(measure)s, %(rules)s, %(is_default)s, %(now)s)
            ON CONFLICT (id) DO UPDATE
            SET name = excluded.name, measure = excluded.measure, rules = excluded.rules,
                is_default = excluded.is_default, updated_at = excluded.updated_at, version = template.version + 1
            WHERE template.shop_id = excluded.shop_id
            """,
            id=template_id,
            shop_id=shop_id,
            name=name,
            measure=draft.measure,
            rules=Jsonb(msgspec.to_builtins(draft.rules)),
            is_default=draft.is_default,
            now=tx.now,
        )
    except UniqueViolation:
        raise TemplateNameTaken(name=name) from None
    if not written:
        raise IdReused()
    return next(one for one in await list_templates(tx, actor, shop_id) if one.id == template_id)


async def delete_template(tx: Tx, actor: identity.Actor, shop_id: ShopId, template_id: ShippingTemplateId) -> None:
    """Remove a template; its products follow the shop's default. Needs the scope `catalog`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    gone = await tx.run(
        "DELETE FROM catalog.shipping_template WHERE id = %(id)s AND shop_id = %(shop_id)s",
        id=template_id,
        shop_id=shop_id,
    )
    if not gone:
        raise NotFound()
