"""Reading a request's JSON straight into the type its handler asks for: strictly, and every fault as a refusal."""

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import BaseRouteHandler

from laotie.base.refusals import Unreadable
from laotie.web.problems import Malformed

PLACE = re.compile(r" - at `\$\.?(?P<at>.*)`$")

DECODER = "laotie.decoder"


class Asked(Request[Any, Any, Any]):
    """Litestar would read into plain values first and then convert loosely (`"1"` for 1); this reads once, as typed."""

    async def json(self) -> Any:
        body = await self.body()
        decoder = self.route_handler.opt.get(DECODER) or _decoder_for(self.route_handler)
        try:
            return decoder.decode(body or b"null")
        except msgspec.ValidationError as error:
            raise Malformed(errors=[_fault(str(error))]) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreadable(reason=f"The body is not JSON: {str(error)[:200]}") from None
        except RecursionError:
            raise Unreadable(reason="The body is nested too deeply.") from None


def _decoder_for(handler: BaseRouteHandler) -> msgspec.json.Decoder[Any]:
    asked = handler.parsed_fn_signature.parameters.get("data")
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Any if asked is None else asked.annotation)
    handler.opt[DECODER] = decoder
    return decoder


def _fault(message: str) -> dict[str, str]:
    place = PLACE.search(message)
    return {"at": f"body:{place['at'] if place else ''}", "problem": PLACE.sub("", message)}
