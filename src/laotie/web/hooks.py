"""What another media server asks and tells (nginx's RTMP module): may this be published, is it still there, is it gone.

`laotie media nginx-config` writes the addresses, and into them the secret without which nothing is answered.
"""

from typing import Annotated, Any
from urllib.parse import parse_qsl

from litestar import Request, Response, post
from litestar.params import QueryParameter

from laotie import live
from laotie.base.db import Database
from laotie.base.ids import ShowId
from laotie.base.refusals import NotFound, Refusal, Unreadable
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.live import StreamAction
from laotie.media import ChannelId, Door, MediaServer, metrics
from laotie.web.given import Given
from laotie.web.problems import BodyTooLarge

PURPOSE = "media-hook"
STAGE = "shows"
"""The application of that server in which pictures lie under their shows' ids; only the server itself sends to it."""
BODY_BYTES_MAX = 16 * 1024
FIELDS_MAX = 64
KEY_LENGTH_MAX = 256
CALLS = frozenset(("publish", "update_publish", "publish_done"))

Secret = Annotated[str, QueryParameter(max_length=128, description="The hooks' secret, from the configuration.")]
Port = Annotated[int, QueryParameter(ge=1, le=65535, description="Where that server listens, to send to itself.")]


@post("/hooks/rtmp", status_code=200, include_in_schema=False)
async def hear_media_server(
    secret: Secret,
    port: Port,
    request: Request[Any, Any, Any],
    db: Given[Database],
    signer: Given[Signer],
    settings: Given[Settings],
    media: Given[MediaServer | None],
) -> Response[None]:
    """One hook. What is refused, nginx sends away.

    `publish` is answered with the place to carry the stream to, since its own name is the key: the show's id in another
    application, which asks here again and is known by a token.
    """
    if media is None or settings.media_external_hls_url is None or not _is_ours(signer, secret):
        raise NotFound()
    said = await _read(request)
    call, name, address = said.get("call", ""), said.get("name", ""), said.get("addr", "")[:64]
    publisher = f"{said.get('clientid', '')}/{name}"
    if call not in CALLS or (said.get("app") == STAGE and not _is_carried(signer, name, said.get("token", ""))):
        raise live.StreamRefused()
    if said.get("app") == STAGE:
        return Response(None, status_code=204)
    if call == "publish_done":
        media.lose_external(publisher, "the encoder disconnected")
        return Response(None, status_code=204)
    key = said.get("key", name)[:KEY_LENGTH_MAX]
    show_id: ShowId | None = None
    try:
        async with db.tx() as tx:
            permit = await live.authorize(tx, signer, StreamAction.publish, key, address=address)
        show_id = permit.show_id
        media.hear_external(ChannelId(show_id), publisher)
    except Refusal as refusal:
        metrics.REFUSED.labels(refusal.code).inc()
        async with db.tx() as tx:
            await live.note_refusal(tx, refusal, door=Door.EXTERNAL, address=address, key=key, show_id=show_id)
        raise
    if call == "publish":
        carried = f"{show_id}?token={signer.fingerprint(STAGE, str(show_id)).hex()}"
        return Response(None, status_code=302, headers={"location": f"rtmp://127.0.0.1:{port}/{STAGE}/{carried}"})
    return Response(None, status_code=204)


def hook_secret(signer: Signer) -> str:
    """What a media server's hooks have to know; it changes with the signing keys."""
    return signer.fingerprint(PURPOSE, PURPOSE).hex()


def _is_ours(signer: Signer, secret: str) -> bool:
    return _recognises(signer, PURPOSE, PURPOSE, secret)


def _is_carried(signer: Signer, name: str, token: str) -> bool:
    return _recognises(signer, STAGE, name, token)


def _recognises(signer: Signer, purpose: str, subject: str, fingerprint: str) -> bool:
    try:
        return signer.recognises(purpose, subject, bytes.fromhex(fingerprint))
    except ValueError:
        return False


async def _read(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The form's fields, each once."""
    body = await request.body()
    if len(body) > BODY_BYTES_MAX:
        raise BodyTooLarge(bytes_max=BODY_BYTES_MAX)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError:
        raise Unreadable(reason="not a form") from None


ROUTES = [hear_media_server]
