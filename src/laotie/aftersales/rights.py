"""The statutory right of withdrawal: how long, where, and which goods the law takes out of it. Data, and pure rules.

Sources: Law of the People's Republic of China on the Protection of Consumer Rights and Interests, Art. 25 (seven days
from receipt; the exclusions); Directive 2011/83/EU, Art. 9 (fourteen days from receipt), Art. 13 (the price with its
outbound delivery goes back), Art. 14 (fourteen days to send the goods) and Art. 16 (exclusions). Elsewhere the platform
gives what Art. 25 gives.
What the goods are is read from the category that the product had when the order was paid.
"""

from datetime import datetime, timedelta

import msgspec

EU = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK IS LI NO".split()  # noqa: SIM905
)


class Statute(msgspec.Struct, frozen=True, kw_only=True):
    """A law: for parcels to which countries, for how many days, and what of the shipping goes back."""

    code: str
    countries: frozenset[str]
    days: int
    refunds_shipping: bool
    source: str


CN = Statute(
    code="cn",
    countries=frozenset({"CN"}),
    days=7,
    refunds_shipping=False,
    source="Art. 25",
)
EU_DIRECTIVE = Statute(
    code="eu", countries=EU, days=14, refunds_shipping=True, source="Art. 9, 13"
)
HOUSE = Statute(code="house", countries=frozenset(), days=7, refunds_shipping=False, source="")
STATUTES = (CN, EU_DIRECTIVE)


class Exclusion(msgspec.Struct, frozen=True, kw_only=True):
    """Goods that the law takes out, the categories they are sold in, and the articles that say so."""

    ground: str
    categories: frozenset[str]
    only_unsealed: bool
    laws: dict[str, str]


EXCLUSIONS: tuple[Exclusion, ...] = (
    Exclusion(
        ground="made_to_measure",
        categories=frozenset({"made to measure", "custom", "定制", "定做"}),
        only_unsealed=False,
        laws={"cn": "Art. 25 (1) 1", "eu": "Art. 16 (c)"},
    ),
    Exclusion(
        ground="perishable",
        categories=frozenset({"fresh food", "fresh", "seafood", "flowers", "生鲜", "鲜活易腐", "鲜花", "海鲜", "贝类"}),
        only_unsealed=False,
        laws={"cn": "Art. 25 (1) 2", "eu": "Art. 16 (d)"},
    ),
    Exclusion(
        ground="unsealed_hygiene",
        categories=frozenset({"underwear", "cosmetics", "hygiene", "内衣", "美妆", "护肤", "个护"}),
        only_unsealed=True,
        laws={"cn": "Art. 25 (2)", "eu": "Art. 16 (e)"},
    ),
    Exclusion(
        ground="digital",
        categories=frozenset({"digital content", "software", "数字内容", "软件", "充值"}),
        only_unsealed=True,
        laws={"cn": "Art. 25 (1) 3", "eu": "Art. 16 (i), (m)"},
    ),
    Exclusion(
        ground="periodical",
        categories=frozenset({"newspapers", "magazines", "报纸", "期刊", "杂志"}),
        only_unsealed=False,
        laws={"cn": "Art. 25 (1) 4", "eu": "Art. 16 (j)"},
    ),
)


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """The right for one line: until when (no end before delivery), or the ground and the law that take it away.

    With `only_unsealed` the ground counts only when the buyer has broken the seal, or begun to use it.
    """

    statute: str
    source: str
    days: int
    until: datetime | None
    ground: str | None = None
    law: str | None = None
    only_unsealed: bool = False

    def excludes(self, *, is_unsealed: bool) -> bool:
        """Whether the law takes these goods out."""
        return self.ground is not None and (is_unsealed or not self.only_unsealed)


def statute_of(country: str | None) -> Statute:
    """The law of the place that the parcel goes to."""
    return next((one for one in STATUTES if (country or "").upper() in one.countries), HOUSE)


def withdrawal_of(
    *, category: str, country: str | None, delivered_at: datetime | None, promised_days: int | None
) -> Withdrawal:
    """The right that a line has. A guarantee can make it longer, never shorter."""
    statute = statute_of(country)
    days = max(statute.days, promised_days or 0)
    exclusion = next((one for one in EXCLUSIONS if category.strip().lower() in one.categories), None)
    return Withdrawal(
        statute=statute.code,
        source=statute.source,
        days=days,
        until=None if delivered_at is None else delivered_at + timedelta(days=days),
        ground=exclusion.ground if exclusion else None,
        law=exclusion.laws.get(statute.code, exclusion.laws["cn"]) if exclusion else None,
        only_unsealed=exclusion.only_unsealed if exclusion else False,
    )
