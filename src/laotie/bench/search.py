"""`laotie bench search`: the shelf's search over a million products, against an exhaustive oracle and PostgreSQL's own ways.

Product: a PostgreSQL with the goods of `bench.shelf`, the index that a serving process builds from it, and each question
asked as the web door asks it: the index, the truth of the hits read from the database, an entry signed for each. The
question set is stated (`make_questions`, by kind). recall@10 is of an oracle that shares no code with the product: it looks
at every product and knows which words the question's maker meant (also behind a typing mistake or pinyin). The best ten are
those with all meant words in the title, then in category or brand, by the written merit.
`index_cpu_…` is the processor's time of the index alone, which other work on the machine does not lengthen.
Peers, on the same rows in the same run: `LIKE ALL` as the catalogue's own list does it, and `tsvector` with a GIN index over
the words that jieba cut, ordered by merit. Neither forgives a mistake; they are asked the questions without any.
"""

import asyncio
import json
import math
import os
import random
import re
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import psycopg
from cyclopts import Parameter
from pypinyin import lazy_pinyin
from rich.console import Console
from rich.table import Table

from laotie import catalog, search, traffic
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import ViewerId, new_id
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.bench.shelf import BEGAN_AT, SHOPS, WORDS, Goods, make_brands, make_goods
from laotie.identity import Actor
from laotie.search import Ask
from laotie.worker.shelf import open_shelf

console = Console(stderr=True)

PRODUCTS = 1_000_000
OF_KIND, JUDGED_OF_KIND = 40, 12
"""Questions of each kind, and how many of them the oracle answers too."""
ROUNDS = 3
PEER_QUESTIONS = 24
FRESH_TRIES = 5
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Question(NamedTuple):
    """What is typed, the words that are meant by it, and what the filters let through."""

    kind: str
    ask: Ask
    meant: tuple[str, ...]


def make_questions(goods: list[Goods]) -> list[Question]:
    """`OF_KIND` of each kind, about goods drawn from the shelf: what there is more of is asked for more."""
    rng = random.Random("questions")  # noqa: S311
    chinese = [one for one in goods if one.is_chinese]
    english = [one for one in goods if not one.is_chinese]
    long_kinds = [one for one in english if max(map(len, one.kind.split())) >= 5]
    made: list[Question] = []

    def add(kind: str, text: str, *meant: str, **filters: Any) -> None:
        made.append(Question(kind, Ask(text=text, **filters), meant))

    for _ in range(OF_KIND):
        zh, en, typo = rng.choice(chinese), rng.choice(english), rng.choice(long_kinds)
        zh_two, en_two = rng.choice(chinese), rng.choice(english)
        add("a word, Chinese", zh.kind, zh.kind)
        add("a word, English", en.kind, *en.kind.split())
        look = _look_of(zh_two)
        add("two words, Chinese", f"{look} {zh_two.kind}", look, zh_two.kind)
        add("a phrase, Chinese", f"{look}{zh_two.kind}", look, zh_two.kind)
        colour = _colour_of(en_two)
        add("two words, English", f"{colour} {en_two.kind}", *colour.split(), *en_two.kind.split())
        add("a brand and a word", f"{zh.brand}{zh.kind}", zh.brand, zh.kind)
        words = typo.kind.split()
        longest = max(words, key=len)
        wrong = " ".join(_mistype(rng, word) if word == longest else word for word in words)
        add("a typing mistake", wrong, *words)
        add("pinyin", "".join(lazy_pinyin(zh.kind)), zh.kind)
        add("a word begun", _begin(en.kind), *en.kind.split())
        low = zh.price_amount // 2
        add("with filters", zh.kind, zh.kind, in_stock=True, currency="CNY", price_min=low, price_max=4 * low)
        add("a shop's", en.kind, *en.kind.split(), shop_id=shop_id(en.shop))
        made.append(Question("a category", Ask(category=zh.category), ()))
    return made


def _look_of(one: Goods) -> str:
    return next(str(word) for word in WORDS["looks"]["zh"] if word in one.title)


def _colour_of(one: Goods) -> str:
    return next(str(word) for word in WORDS["colours"]["en"] if f" {word} " in f" {one.title} ")


def _mistype(rng: random.Random, word: str) -> str:
    """One letter more, less, other, or two changed about."""
    at = rng.randrange(1, len(word) - 1)
    return rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + rng.choice(LETTERS) + word[at:],
            word[:at] + rng.choice(LETTERS.replace(word[at], "")) + word[at + 1 :],
            word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
        )
    )


def _begin(kind: str) -> str:
    """The kind without the last third of its last word."""
    head, _, last = kind.rpartition(" ")
    return f"{head} {last[: max(3, 2 * len(last) // 3)]}".strip()


def shop_id(number: int) -> UUID:
    """The id of the shelf's shop of this number."""
    return UUID(int=(7 << 76) | (2 << 62) | number + 1)


def brand_id(number: int) -> UUID:
    """The id of the shelf's brand of this number."""
    return UUID(int=(1 << 80) | (7 << 76) | (2 << 62) | number + 1)


class Oracle:
    """Looks at every product. Knows the written order and nothing of the index."""

    def __init__(self, goods: list[Goods]) -> None:
        brands = make_brands()
        self._rows = [
            (
                _terms(one.title),
                one.title.lower(),
                _terms(f"{one.category} {' '.join(brands[one.brand_no])} Shop {one.shop}"),
                f"{one.category} {brands[one.brand_no][0]}".lower(),
                self._merit(one),
                one,
            )
            for one in goods
        ]

    @staticmethod
    def _merit(one: Goods) -> tuple[int, int]:
        value = (8 if one.stock else 0) + math.log2(1 + one.sold) / 2 + 2
        return round(1_000 * value), one.id.int & ((1 << 39) - 1)

    def best(self, question: Question, count: int) -> list[UUID]:
        """The best, by tier and merit."""
        ask, meant = question.ask, [word.lower() for word in question.meant]
        found: list[tuple[int, tuple[int, int], UUID]] = []
        for terms, title, named, name, merit, one in self._rows:
            if (ask.category is not None and one.category != ask.category) or (ask.in_stock and not one.stock):
                continue
            if ask.price_min is not None and not (ask.price_min <= one.price_amount <= (ask.price_max or 0)):
                continue
            if (ask.currency == "CNY" and not one.is_chinese) or ask.shop_id not in (None, shop_id(one.shop)):
                continue
            if all(_stands_in(word, terms, title) for word in meant):
                found.append((1, merit, one.id))
            elif all(_stands_in(word, terms, title) or _stands_in(word, named, name) for word in meant):
                found.append((0, merit, one.id))
        return [id_ for _, _, id_ in sorted(found, reverse=True)[:count]]


def _stands_in(word: str, terms: set[str], text: str) -> bool:
    return word.removesuffix("s") in terms if word.isascii() else word in text


def _terms(text: str) -> set[str]:
    return {word.removesuffix("s") for word in re.findall(r"[a-z]+|\d+", text.lower())}


def fill(url: str, goods: Iterable[Goods]) -> None:
    """The shelf as rows of the catalogue."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        owner = UUID(int=5)
        with connection.cursor().copy("COPY catalog.shop (id, owner_id, name, currency, created_at) FROM STDIN") as copy:
            for number in range(SHOPS):
                copy.write_row((shop_id(number), owner, f"Shop {number}", "CNY", BEGAN_AT))
        with connection.cursor().copy(
            "COPY catalog.brand (id, owner_id, name_zh, name_en, state, created_at, digest) FROM STDIN"
        ) as copy:
            for number, (zh, en) in enumerate(make_brands()):
                copy.write_row((brand_id(number), owner, zh, en, "verified", BEGAN_AT, b""))
        with connection.cursor().copy(
            "COPY catalog.product (id, shop_id, title, description, category, state, search_text, created_at, updated_at,"
            " brand_id) FROM STDIN"
        ) as copy:
            for one in goods:
                text = f"{one.title} {one.category}".lower()
                said = (one.id, shop_id(one.shop), one.title, one.description, one.category, "listed", text)
                copy.write_row((*said, one.created_at, one.created_at, brand_id(one.brand_no)))
        with connection.cursor().copy(
            "COPY catalog.sku (id, product_id, shop_id, code, price_amount, currency, available, sold, received) FROM STDIN"
        ) as copy:
            for one in goods:
                sku = UUID(int=one.id.int ^ 1)
                stock = (one.stock, one.sold, one.stock + one.sold)
                currency = "CNY" if one.is_chinese else "USD"
                copy.write_row((sku, one.id, shop_id(one.shop), sku.hex, one.price_amount, currency, *stock))
        connection.execute("VACUUM ANALYZE catalog.product")
        connection.execute("VACUUM ANALYZE catalog.sku")


async def ask_all(
    db: Database, signer: Signer, shelf: search.Shelf, questions: list[Question], oracle: Oracle
) -> dict[str, Any]:
    """Times and recall of every question; each is asked `ROUNDS` times, after one round that is not counted."""
    actor = Actor(viewer_id=ViewerId(new_id()), is_known_guest=True)
    times: dict[str, list[float]] = {}
    recalls: dict[str, list[float]] = {}
    for number in range(ROUNDS + 1):
        for question in random.Random(number).sample(questions, len(questions)):  # noqa: S311
            began = time.perf_counter()
            async with db.read() as tx:
                page = await traffic.search_shelf(tx, signer, actor, shelf, question.ask, limit=20)
            if number:
                times.setdefault(question.kind, []).append((time.perf_counter() - began) * 1000)
            elif len(recalls.setdefault(question.kind, [])) < JUDGED_OF_KIND:
                best = oracle.best(question, 10)
                shown = {hit.product.id for hit in page.items[:10]}
                recalls[question.kind].append(
                    sum(1 for one in best if one in shown) / len(best) if best else 1.0
                )
    facets: list[float] = []
    alone: list[float] = []
    for question in questions:
        spent = time.thread_time()
        shelf.index.find(question.ask, limit=20)
        alone.append((time.thread_time() - spent) * 1000)
        began = time.perf_counter()
        await shelf.count(question.ask)
        facets.append((time.perf_counter() - began) * 1000)
    every = [took for one in times.values() for took in one]
    return {
        "p50_ms": percentile(every, 0.5),
        "p99_ms": percentile(every, 0.99),
        "recall_at_10": round(statistics.mean(one for kind in recalls.values() for one in kind), 4),
        "index_cpu_p50_ms": percentile(alone, 0.5),
        "index_cpu_p99_ms": percentile(alone, 0.99),
        "facets_p50_ms": percentile(facets, 0.5),
        "facets_p99_ms": percentile(facets, 0.99),
        "kinds": {
            kind: {
                "p50_ms": percentile(took, 0.5),
                "p99_ms": percentile(took, 0.99),
                "recall_at_10": round(statistics.mean(recalls[kind]), 4),
            }
            for kind, took in times.items()
        },
    }


async def measure_freshness(db: Database, shelf: search.Shelf, goods: list[Goods]) -> float:
    """From noting a change to an index that shows it: the median of a few."""
    took = []
    for number in range(FRESH_TRIES):
        async with db.tx() as tx:
            await search.note_changed(tx, [goods[number].id])
        began = time.perf_counter()
        await shelf.follow()
        took.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(took), 1)


async def ask_peers(db: Database, questions: list[Question]) -> dict[str, Any]:
    """PostgreSQL's own ways, on questions of words without filters or mistakes."""
    plain = [one for one in questions if " words, " in one.kind or one.kind.startswith("a word, ")]
    plain = random.Random("peers").sample(plain, min(PEER_QUESTIONS, len(plain)))  # noqa: S311
    like, vector = [], []
    for question in plain:
        began = time.perf_counter()
        async with db.read() as tx:
            await catalog.list_products(tx, query=question.ask.text, limit=20)
        like.append((time.perf_counter() - began) * 1000)
        words = " & ".join(f"'{word}'" for word in search.cut(search.fold(question.ask.text)))
        began = time.perf_counter()
        async with db.read() as tx:
            rows = await tx.tuples(
                "SELECT id FROM peer WHERE words @@ %(query)s::tsquery ORDER BY merit DESC LIMIT 20", query=words
            )
            await catalog.find_on_shelf(tx, [row[0] for row in rows])
        vector.append((time.perf_counter() - began) * 1000)
    return {
        "like_all_p50_ms": percentile(like, 0.5),
        "like_all_p99_ms": percentile(like, 0.99),
        "tsvector_p50_ms": percentile(vector, 0.5),
        "tsvector_p99_ms": percentile(vector, 0.99),
    }


def build_peer(url: str, goods: list[Goods]) -> dict[str, Any]:
    """`tsvector` over the words as the product cuts them, with a GIN index."""
    began = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE peer (id uuid PRIMARY KEY, words tsvector NOT NULL, merit integer NOT NULL)")
        with connection.cursor().copy("COPY peer (id, words, merit) FROM STDIN") as copy:
            for one in goods:
                words = " ".join(f"'{word}'" for word in search.cut(search.fold(one.title), inside=True))
                copy.write_row((one.id, words, Oracle._merit(one)[0]))
        connection.execute("CREATE INDEX peer_words ON peer USING gin (words) WITH (fastupdate = off)")
        connection.execute("VACUUM ANALYZE peer")
        size = connection.execute("SELECT pg_total_relation_size('peer')").fetchone()
    assert size is not None
    return {"tsvector_build_s": round(time.perf_counter() - began, 1), "tsvector_mb": size[0] >> 20}


def percentile(values: list[float], share: float) -> float:
    """In milliseconds, to a hundredth."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2) if ordered else 0.0


def own_memory_mb() -> int:
    """What this process holds that is not a file's."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(found[1]) >> 10 if found else 0


async def run(products: int, *, peers: bool) -> dict[str, Any]:
    """Everything, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="laotie-bench-", ignore_cleanup_errors=True) as directory:
        data = Path(directory)
        postgres = EmbeddedPostgres(data / "postgres")
        url = await asyncio.to_thread(postgres.start)
        try:
            return await _run_on(url, data, products, peers=peers)
        finally:
            await asyncio.to_thread(postgres.stop)


async def _run_on(url: str, data: Path, products: int, *, peers: bool) -> dict[str, Any]:
    await asyncio.to_thread(migrate, url)
    console.print(f"making {products:,} products")
    goods = list(make_goods(products))
    await asyncio.to_thread(fill, url, goods)
    db = await Database.open(url)
    signer = Signer(Settings(data_dir=str(data)).signing_keys(), Clock())
    try:
        console.print("building the index")
        before, began = own_memory_mb(), time.perf_counter()
        shelf = open_shelf(db, data)
        await shelf.catch_up()
        build_s = time.perf_counter() - began
        memory_mb = own_memory_mb() - before
        index_mb = sum(one.stat().st_size for one in (data / "search").rglob("*") if one.is_file()) >> 20
        console.print("asking")
        questions = make_questions(goods)
        oracle = Oracle(goods)
        result: dict[str, Any] = {
            "bench": "search",
            "products": products,
            "questions": len(questions),
            **await ask_all(db, signer, shelf, questions, oracle),
            "build_s": round(build_s, 1),
            "index_mb": index_mb,
            "memory_mb": memory_mb,
            "follow_ms": await measure_freshness(db, shelf, goods),
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
        }
        await shelf.close()
        if peers:
            console.print("asking the peers")
            result |= await asyncio.to_thread(build_peer, url, goods)
            result |= await ask_peers(db, questions)
            result["like_all_ratio"] = round(result["like_all_p99_ms"] / result["p99_ms"], 1)
            result["tsvector_ratio"] = round(result["tsvector_p99_ms"] / result["p99_ms"], 1)
        return result
    finally:
        await db.close()


def main(
    *,
    products: Annotated[int, Parameter(help="How many products are on the shelf.")] = PRODUCTS,
    peers: Annotated[bool, Parameter(help="Also ask PostgreSQL's own ways.")] = True,
    as_json: Annotated[bool, Parameter(name="--json", help="One line of JSON.")] = False,
) -> None:
    """Search among a million products: time, recall, the index's cost, and PostgreSQL's own ways beside it."""
    result = asyncio.run(run(products, peers=peers))
    table = Table("questions", "p50 ms", "p99 ms", "recall@10", title=f"{products:,} products")
    for kind, figures in result["kinds"].items():
        table.add_row(kind, *(str(figures[name]) for name in ("p50_ms", "p99_ms", "recall_at_10")))
    table.add_row("all", str(result["p50_ms"]), str(result["p99_ms"]), str(result["recall_at_10"]), style="bold")
    console.print(table)
    if as_json:
        print(json.dumps(result))
    else:
        console.print_json(json.dumps({name: value for name, value in result.items() if name != "kinds"}))
