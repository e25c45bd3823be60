"""Problems: every answer that says no, as RFC 9457 `application/problem+json`.

A refusal becomes `{type, title, status, detail, ...facts, request_id}`; Litestar's own errors take the same form; a bug
becomes a 500 without detail and one line in the log. `GET /problems/{code}` explains a code.
"""

import inspect
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import HTTPException, ValidationException

from laotie.base.db import encode
from laotie.base.logs import log
from laotie.base.refusals import Invalid, NotFound, Refusal, Unauthenticated, Unreadable, all_refusals
from laotie.web.given import FromPath

MEDIA_TYPE = "application/problem+json"
ERRORS_MAX = 20


class Malformed(Invalid, code="malformed"):
    """The request does not fit the schema."""

    errors: list[dict[str, str]]


class BodyTooLarge(Refusal, code="body-too-large", status=413):
    """The request's body is larger than this endpoint takes."""

    bytes_max: int


class MethodNotAllowed(Refusal, code="method-not-allowed", status=405):
    """This address does not answer that method."""


class CrossSite(Refusal, code="cross-site", status=403):
    """A request that acts by cookie needs the page's own `X-CSRF-Token`; get one from `GET /api/me`."""


class MediaTypeRefused(Refusal, code="media-type-refused", status=415):
    """This endpoint takes another kind of body."""

    expected: str


class Problem(msgspec.Struct, kw_only=True):
    """Why a request was not done (RFC 9457). More members carry the facts of the case."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None


class Explanation(msgspec.Struct, kw_only=True):
    """What a problem code means."""

    code: str
    status: int
    title: str
    explanation: str
    facts: list[str]


def render(refusal: Refusal, *, request_id: str | None) -> tuple[bytes, dict[str, str]]:
    """The problem document of a refusal and the headers that go with it."""
    facts = refusal.facts()
    body = encode(
        {
            **facts,
            "type": f"/problems/{refusal.code}",
            "title": refusal.title,
            "status": refusal.status,
            "detail": str(facts.get("reason", refusal.title)),
            "request_id": request_id,
        }
    )
    headers = {"cache-control": "no-store"}
    if "retry_after_s" in facts:
        headers["retry-after"] = str(facts["retry_after_s"])
    if isinstance(refusal, Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    return body, headers


def answer_refusal(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
    """A refusal out of a room."""
    body, headers = render(refusal, request_id=request.scope.get("request_id"))  # type: ignore[arg-type]
    return Response(body, status_code=refusal.status, media_type=MEDIA_TYPE, headers=headers)


def answer_litestar(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """An error of the framework's own: routing, parsing, validation."""
    if error.status_code >= 500:
        return answer_bug(request, error)
    response = answer_refusal(request, _as_refusal(error))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def answer_bug(request: Request[Any, Any, Any], bug: Exception) -> Response[bytes]:
    """Anything else: to the log in full, to the caller nothing but the request id."""
    log.error("a request failed", method=request.method, path=request.scope["path"], exc_info=bug)
    body = bug_body(request.scope.get("request_id"))  # type: ignore[arg-type]
    return Response(body, status_code=500, media_type=MEDIA_TYPE, headers={"cache-control": "no-store"})


def bug_body(request_id: str | None) -> bytes:
    """The problem document of a bug."""
    title = "Something went wrong on our side; it was logged under this request id."
    return encode({"type": "/problems/bug", "title": title, "status": 500, "detail": title, "request_id": request_id})


def _as_refusal(error: HTTPException) -> Refusal:
    if isinstance(error, ValidationException):
        entries = error.extra if isinstance(error.extra, list) else []
        return Malformed(
            errors=[
                {
                    "at": f"{_source(entry)}:{entry.get('key', '')}",
                    "problem": str(entry.get("message", "")),
                }
                for entry in entries[:ERRORS_MAX]
                if isinstance(entry, dict)
            ]
        )
    known: dict[int, type[Refusal]] = {
        401: Unauthenticated,
        404: NotFound,
        405: MethodNotAllowed,
    }
    if error.status_code in known:
        return known[error.status_code]()
    return Unreadable(reason=HTTPStatus(error.status_code).phrase)


def _source(entry: dict[str, Any]) -> str:
    source = entry.get("source") or "request"
    return str(getattr(source, "value", source))


@get("/problems/{code:str}", sync_to_thread=False)
def explain_problem(code: FromPath[str]) -> Explanation:
    """What a problem code means."""
    for kind in all_refusals():
        if kind.code == code:
            return Explanation(
                code=code,
                status=kind.status,
                title=kind.title,
                explanation=inspect.cleandoc(kind.__doc__ or kind.title),
                facts=list(kind.fact_names),
            )
    raise NotFound()


EXCEPTION_HANDLERS: dict[Any, Any] = {
    Refusal: answer_refusal,
    HTTPException: answer_litestar,
    Exception: answer_bug,
}

ROUTES = [explain_problem]
