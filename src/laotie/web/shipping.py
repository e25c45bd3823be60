"""A shop's shipping templates over HTTP."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, put

from laotie import catalog
from laotie.base.db import Database
from laotie.base.ids import ShopId
from laotie.catalog import ShippingDraft, ShippingTemplate, ShippingTemplateId
from laotie.identity import Actor
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import Page


class ShippingTemplateContent(ShippingDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the template says; `expected_version` is what an edit was made from."""

    expected_version: Annotated[int, msgspec.Meta(ge=1)] | None = None


@get("/api/shops/{shop_id:uuid}/shipping-templates")
async def list_shipping_templates(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> Page[ShippingTemplate]:
    """The shop's shipping templates, the default first."""
    async with db.read() as tx:
        return Page(items=await catalog.list_templates(tx, actor, ShopId(shop_id)))


@put("/api/shops/{shop_id:uuid}/shipping-templates/{template_id:uuid}")
async def put_shipping_template(
    shop_id: FromPath[UUID],
    template_id: FromPath[UUID],
    data: JSONBody[ShippingTemplateContent],
    actor: Given[Actor],
    db: Given[Database],
) -> ShippingTemplate:
    """Make a template under the client's own id, or replace what it says. Orders keep the fee they have."""
    draft = ShippingDraft(name=data.name, measure=data.measure, rules=data.rules, is_default=data.is_default)
    async with db.tx() as tx:
        return await catalog.put_template(
            tx,
            actor,
            ShopId(shop_id),
            ShippingTemplateId(template_id),
            draft,
            expected_version=data.expected_version,
        )


@delete("/api/shops/{shop_id:uuid}/shipping-templates/{template_id:uuid}", status_code=204)
async def delete_shipping_template(
    shop_id: FromPath[UUID], template_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> None:
    """Remove a template; its products follow the shop's default."""
    async with db.tx() as tx:
        await catalog.delete_template(tx, actor, ShopId(shop_id), ShippingTemplateId(template_id))


ROUTES = [list_shipping_templates, put_shipping_template, delete_shipping_template]
