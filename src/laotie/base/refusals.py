"""Refusals: the answers that say no. Typed, expected, raised with facts; doors render them (RFC 9457, error frames).

A refusal class names its facts as annotations and takes them as keywords:

    class SoldOut(Conflict, code="sold-out"):
        \"\"\"Not enough pieces are left.\"\"\"

        sku_id: SkuId

    raise SoldOut(sku_id=sku_id)

The docstring's first sentence is the title that people read.
"""

from typing import Any, ClassVar


class Refusal(Exception):
    """The request was refused."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request was refused."
    fact_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, code: str | None = None, status: int | None = None) -> None:
        super().__init_subclass__()
        if code is not None:
            cls.code = code
        if status is not None:
            cls.status = status
        cls.title = (cls.__doc__ or Refusal.title).strip().splitlines()[0]
        own = [name for name in cls.__dict__.get("__annotations__", {}) if not name.startswith("_")]  # noqa: RUF063
        cls.fact_names = (*(name for base in cls.__mro__[1:2] for name in getattr(base, "fact_names", ())), *own)

    def __init__(self, **facts: Any) -> None:
        super().__init__(self.title)
        unknown = facts.keys() - set(self.fact_names)
        missing = [name for name in self.fact_names if name not in facts and not hasattr(type(self), name)]
        assert not unknown, f"{type(self).__name__} has no fact {sorted(unknown)}"
        assert not missing, f"{type(self).__name__} needs {missing}"
        self.__dict__.update(facts)

    def facts(self) -> dict[str, Any]:
        """What the caller may know about the case, by name."""
        return {name: getattr(self, name) for name in self.fact_names}

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.facts().items())
        return f"{self.title} ({self.code}{': ' + facts if facts else ''})"


class Unreadable(Refusal, code="unreadable", status=400):
    """The request could not be read."""

    reason: str


class Unauthenticated(Refusal, code="unauthenticated", status=401):
    """Sign in first."""


class Forbidden(Refusal, code="forbidden", status=403):
    """You may not do this."""


class NotFound(Refusal, code="not-found", status=404):
    """There is no such thing, or it is not yours to see."""


class Conflict(Refusal, code="conflict", status=409):
    """The request does not fit the present state."""


class IdReused(Conflict, code="id-reused"):
    """This id was used before for something else."""


class Invalid(Refusal, code="invalid", status=422):
    """A value is not acceptable."""


class TooFast(Refusal, code="too-fast", status=429):
    """Too many requests; try again later."""

    retry_after_s: int


class TooBusy(Refusal, code="too-busy", status=503):
    """The service is too busy just now; try again shortly."""

    retry_after_s: int = 1


class Unavailable(TooBusy, code="unavailable"):
    """A part of the service cannot be reached; it recovers by itself, try again shortly."""

    part: str


def all_refusals() -> list[type[Refusal]]:
    """Every refusal class of the house, by code (for the documents)."""
    found: dict[str, type[Refusal]] = {}
    waiting: list[type[Refusal]] = [Refusal]
    while waiting:
        cls = waiting.pop()
        found[cls.code] = found.get(cls.code, cls)
        waiting.extend(cls.__subclasses__())
    return [found[code] for code in sorted(found)]
