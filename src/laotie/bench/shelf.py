"""A shelf of any size, composed from word lists: the same seed gives the same goods. Titles in Chinese and in English.

Written so that words are as unevenly used as on a real shelf: kinds and brands by a Zipf-like law, a third of the titles
with a model number of its own, sales long-tailed.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

BEGAN_AT = datetime(2025, 1, 1, tzinfo=UTC)
SHOPS = 2_000
BRANDS = 1_500

WORDS: dict[str, Any] = json.loads(resources.files("laotie.bench").joinpath("goods.json").read_text("utf-8"))
KINDS = [(one["zh"], one["en"], zh, en) for one in WORDS["categories"] for zh, en in one["kinds"]]


class Goods(NamedTuple):
    """One product as the generator means it."""

    id: UUID
    shop: int
    is_chinese: bool
    title: str
    category: str
    brand: str
    brand_no: int
    description: str
    kind: str
    price_amount: int
    sold: int
    stock: int
    created_at: datetime


def make_brands() -> list[tuple[str, str]]:
    """Made-up brands, each with a Chinese and an English name."""
    rng = random.Random("brands")  # noqa: S311
    syllables = WORDS["syllables"]
    made: dict[str, str] = {}
    while len(made) < BRANDS:
        zh, en = "".join(rng.sample(syllables["zh"], 2)), "".join(rng.sample(syllables["en"], rng.choice((2, 3, 3))))
        made.setdefault(zh, en.title())
    return list(made.items())


def make_goods(count: int) -> Iterator[Goods]:
    """`count` products."""
    rng = random.Random("shelf")  # noqa: S311
    names, kinds = make_brands(), list(KINDS)
    rng.shuffle(kinds)
    name_weights = list(accumulate(1 / (3 + rank) for rank in range(len(names))))
    kind_weights = list(accumulate(1 / (8 + rank) for rank in range(len(kinds))))
    for number in range(count):
        kind = rng.choices(kinds, cum_weights=kind_weights)[0]
        is_chinese = rng.random() < 0.55
        language = "zh" if is_chinese else "en"
        brand_no = rng.choices(range(len(names)), cum_weights=name_weights)[0]
        brand = names[brand_no][not is_chinese]
        model = f"{rng.choice('KXTRSMQZ')}{rng.choice('ABCDEFGH')}{rng.randrange(100, 99_999)}"
        parts = [
            brand,
            *rng.sample(WORDS["looks"][language], rng.choice((1, 2, 2))),
            kind[2 if is_chinese else 3],
            model if rng.random() < 1 / 3 else "",
            rng.choice(WORDS["colours"][language]),
            *rng.sample(WORDS["for"][language], rng.choice((1, 2)) if is_chinese else 1),
        ]
        title = ("" if is_chinese else " ").join(part for part in parts if part)
        look, use, other = rng.choice(WORDS["looks"][language]), rng.choice(WORDS["for"][language]), rng.choice(kinds)
        yield Goods(
            id=UUID(int=(number << 80) | (7 << 76) | (rng.getrandbits(12) << 64) | (2 << 62) | rng.getrandbits(62)),
            shop=int(SHOPS * rng.random() ** 2),
            is_chinese=is_chinese,
            title=title,
            category=kind[0 if is_chinese else 1],
            brand=brand,
            brand_no=brand_no,
            description=(
                f"{brand}出品，{look}工艺，适合{use}。搭配{other[2]}更佳。七天无理由退换。"
                if is_chinese
                else f"Made by {brand} with a {look} finish, good {use}. Goes well with a {other[3]}."
            ),
            kind=kind[2 if is_chinese else 3],
            price_amount=int(10 ** rng.uniform(2.7, 5.6)),
            sold=int(rng.paretovariate(0.7)) - 1 if rng.random() < 0.6 else 0,
            stock=0 if rng.random() < 0.06 else rng.randrange(1, 500),
            created_at=BEGAN_AT + timedelta(seconds=30 * number),
        )
