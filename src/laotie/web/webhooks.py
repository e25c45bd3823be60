"""Webhooks over HTTP: what may be heard, a shop's endpoints, what was sent to them, and sending it again."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from laotie import webhooks
from laotie.base.db import Database
from laotie.base.ids import EventId, ShopId
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor, Scope
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.webhooks import DeliveryId, DeliveryState, EndpointId, EndpointState

OfEndpoint = Annotated[UUID | None, QueryParameter(name="endpoint_id", description="Only to this endpoint.")]
InState = Annotated[DeliveryState | None, QueryParameter(name="state", description="Only those in this state.")]
About = Annotated[
    UUID | None, QueryParameter(name="about", description="Only of this order, case, SKU …, or this delivery itself.")
]


class WebhookType(msgspec.Struct, kw_only=True):
    """A kind of message: the scope that choosing it takes, its JSON Schema and an example."""

    type: str
    scope: Scope | None
    about: str
    message_schema: dict[str, Any]
    example: dict[str, Any]


class WebhookTypes(msgspec.Struct, kw_only=True):
    """All of them."""

    items: list[WebhookType]


class WebhookEndpoint(webhooks.Endpoint, frozen=True, kw_only=True):
    """A place of a shop's own that hears what happens. Its secret is shown when it is made, and never again."""


class WebhookEndpoints(msgspec.Struct, kw_only=True):
    """All of a shop's."""

    items: list[WebhookEndpoint]


class NewWebhookEndpoint(webhooks.Draft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to tell what, under the client's own id."""

    id: EndpointId


class MadeWebhookEndpoint(msgspec.Struct, kw_only=True):
    """The endpoint and, only this once, the secret that signs (`whsec_…`)."""

    endpoint: WebhookEndpoint
    secret: str | None


class WebhookPatch(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What shall be different. `paused` keeps what happens for later; `active` sends it, and forgives failures."""

    url: Annotated[str, Meta(min_length=8, max_length=1_000)] | UnsetType = UNSET
    types: Annotated[list[Annotated[str, Meta(max_length=60)]], Meta(min_length=1, max_length=60)] | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=120)] | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


class WebhookSecret(msgspec.Struct, kw_only=True):
    """The new secret, only this once; until then the one before signs too."""

    secret: str
    old_secret_until: datetime


class NewPing(msgspec.Struct, forbid_unknown_fields=True):
    """A test message under the client's own id."""

    id: EventId


class WebhookDelivery(webhooks.Delivery, frozen=True, kw_only=True):
    """One message to one endpoint. `id` is its `webhook-id`, the same at every attempt and replay."""


class WebhookAttempt(webhooks.Attempt, frozen=True, kw_only=True):
    """One time that the endpoint was called: its answer's status and first words, or why there was none."""


class WebhookExchange(msgspec.Struct, kw_only=True):
    """A delivery, what is sent (`null` without the scope of its type), and each attempt, the latest first."""

    delivery: WebhookDelivery
    url: str
    body: str | None
    attempts: list[WebhookAttempt]


class SentBefore(msgspec.Struct, forbid_unknown_fields=True):
    """From when on."""

    since: datetime


class SentAgain(msgspec.Struct):
    """How many are on their way again."""

    count: int


@get("/api/webhook-types", sync_to_thread=False)
def list_webhook_types() -> WebhookTypes:
    """Every type of message that webhooks know, with schema and example."""
    known = [
        WebhookType(
            type=one.tag,
            scope=one.scope,
            about=one.text,
            message_schema=webhooks.schema_of(one),
            example=webhooks.example_of(one),
        )
        for one in webhooks.CATALOGUE.values()
    ]
    ping = WebhookType(
        type=webhooks.PING,
        scope=None,
        about=webhooks.PING_ABOUT,
        message_schema=webhooks.ping_schema(),
        example=webhooks.ping_example(),
    )
    return WebhookTypes(items=[*known, ping])


@get("/api/shops/{shop_id:uuid}/webhooks")
async def list_webhooks(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> WebhookEndpoints:
    """A shop's webhook endpoints, for who may manage it (`staff`)."""
    async with db.read() as tx:
        found = await webhooks.list_endpoints(tx, actor, ShopId(shop_id))
    return WebhookEndpoints(items=[_endpoint(one) for one in found])


@post("/api/shops/{shop_id:uuid}/webhooks", status_code=201)
async def create_webhook(
    shop_id: FromPath[UUID],
    data: JSONBody[NewWebhookEndpoint],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    settings: Given[Settings],
) -> Response[MadeWebhookEndpoint]:
    """Tell an address of the shop's what happens from now on. Takes `staff` and the scope of each type."""
    async with db.tx() as tx:
        made = await webhooks.create_endpoint(
            tx, actor, ShopId(shop_id), data.id, data, signer=signer, private=settings.webhook_private
        )
    view = MadeWebhookEndpoint(endpoint=_endpoint(made.endpoint), secret=made.secret)
    return Response(view, status_code=201 if made.secret else 200, headers={"cache-control": "no-store"})


@patch("/api/webhooks/{endpoint_id:uuid}")
async def change_webhook(
    endpoint_id: FromPath[UUID],
    data: JSONBody[WebhookPatch],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> WebhookEndpoint:
    """Change an endpoint, pause or resume it. What waits goes where it now points."""
    state = None if data.paused is UNSET else EndpointState.paused if data.paused else EndpointState.active
    change = webhooks.Change(url=_said(data.url), types=_said(data.types), description=_said(data.description), state=state)
    async with db.tx() as tx:
        return _endpoint(
            await webhooks.change_endpoint(
                tx, actor, EndpointId(endpoint_id), change, private=settings.webhook_private
            )
        )


@delete("/api/webhooks/{endpoint_id:uuid}", status_code=204)
async def remove_webhook(endpoint_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Remove an endpoint with its secret at once; what it was told is erased soon after."""
    async with db.tx() as tx:
        await webhooks.remove_endpoint(tx, actor, EndpointId(endpoint_id))


@post("/api/webhooks/{endpoint_id:uuid}/secret", status_code=200)
async def rotate_webhook_secret(
    endpoint_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], signer: Given[Signer]
) -> Response[WebhookSecret]:
    """Give an endpoint a new secret; for a day messages bear the signatures of both."""
    async with db.tx() as tx:
        rotated = await webhooks.rotate_secret(tx, actor, EndpointId(endpoint_id), signer=signer)
    view = WebhookSecret(secret=rotated.secret, old_secret_until=rotated.old_secret_until)
    return Response(view, headers={"cache-control": "no-store"})


@post("/api/webhooks/{endpoint_id:uuid}/pings", status_code=202)
async def ping_webhook(
    endpoint_id: FromPath[UUID], data: JSONBody[NewPing], actor: Given[Actor], db: Given[Database]
) -> WebhookDelivery:
    """Send a test message (`webhook.ping`) the way everything goes."""
    async with db.tx() as tx:
        made_id = await webhooks.ping(tx, actor, EndpointId(endpoint_id), data.id)
        return _delivery((await webhooks.get_delivery(tx, actor, made_id)).delivery)


@post("/api/webhooks/{endpoint_id:uuid}/replays", status_code=202)
async def replay_failed(
    endpoint_id: FromPath[UUID], data: JSONBody[SentBefore], actor: Given[Actor], db: Given[Database]
) -> SentAgain:
    """Send again now all that failed of what happened since then, each under its own id."""
    async with db.tx() as tx:
        count = await webhooks.replay_failed(tx, actor, EndpointId(endpoint_id), since=data.since)
    return SentAgain(count)


@get("/api/shops/{shop_id:uuid}/webhook-deliveries")
async def list_webhook_deliveries(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    endpoint_id: OfEndpoint = None,
    in_state: InState = None,
    about: About = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[WebhookDelivery]:
    """What was sent, or waits to be, the newest first. Kept for 30 days."""
    async with db.read() as tx:
        found = await webhooks.list_deliveries(
            tx,
            actor,
            ShopId(shop_id),
            endpoint_id=EndpointId(endpoint_id) if endpoint_id is not None else None,
            state=in_state,
            about=about,
            after=DeliveryId(after) if after is not None else None,
            limit=limit,
        )
    return Page(items=[_delivery(one) for one in found], next=str(found[-1].id) if len(found) == limit else None)


@get("/api/webhook-deliveries/{delivery_id:uuid}")
async def show_webhook_delivery(
    delivery_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> WebhookExchange:
    """One delivery with what is sent and every attempt."""
    async with db.read() as tx:
        found = await webhooks.get_delivery(tx, actor, DeliveryId(delivery_id))
    return WebhookExchange(
        delivery=_delivery(found.delivery),
        url=found.url,
        body=found.body,
        attempts=[WebhookAttempt(**msgspec.structs.asdict(one)) for one in found.attempts],
    )


@post("/api/webhook-deliveries/{delivery_id:uuid}/replays", status_code=202)
async def replay_delivery(delivery_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> WebhookDelivery:
    """Send a message again now, under the same id."""
    async with db.tx() as tx:
        return _delivery(await webhooks.replay(tx, actor, DeliveryId(delivery_id)))


def _endpoint(one: webhooks.Endpoint) -> WebhookEndpoint:
    return WebhookEndpoint(**msgspec.structs.asdict(one))


def _delivery(one: webhooks.Delivery) -> WebhookDelivery:
    return WebhookDelivery(**msgspec.structs.asdict(one))


def _said(value: Any) -> Any:
    return None if value is UNSET else value


ROUTES = [
    list_webhook_types,
    list_webhooks,
    create_webhook,
    change_webhook,
    remove_webhook,
    rotate_webhook_secret,
    ping_webhook,
    replay_failed,
    list_webhook_deliveries,
    show_webhook_delivery,
    replay_delivery,
]
