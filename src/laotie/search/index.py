"""The index of one directory: documents in, hits out. It knows what it was told and nothing of the truth.

Held by `tantivy`. Titles, descriptions and the rest go in as words that `words` has cut; numbers as columns that hits are
ordered by. All methods block and may be called from any thread; one at a time writes.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import tantivy
from tantivy import FieldType, Occur, Order, Query

from laotie.search.model import (
    ENOUGH,
    FACET_MAX,
    MERIT_BITS,
    PAGE_MAX,
    PRICE_BITS,
    SALES_BITS,
    TIME_BITS,
    Ask,
    Document,
    Facets,
    Found,
    Hit,
    Place,
    ShelfSort,
    merit_of,
    order_key,
)
from laotie.search.tiers import TIERS, Alternatives, either, ring_of, tiers_of
from laotie.search.words import Query as Typed
from laotie.search.words import cut, fold, is_han, pairs_of, read_query, sound

WRITER_BYTES = 48_000_000
BUILDER_BYTES = 256_000_000
DESCRIPTION_MAX = 2_000
HINT_MIN = 2
HEARD_MIN = 2
HINTS_ASKED = 40
SORTS = {
    ShelfSort.relevance: ("merit", Order.Desc),
    ShelfSort.sales: ("by_sales", Order.Desc),
    ShelfSort.price_up: ("by_price", Order.Asc),
    ShelfSort.price_down: ("by_price", Order.Desc),
    ShelfSort.newest: ("by_time", Order.Desc),
}


def _schema() -> tantivy.Schema:
    build = tantivy.SchemaBuilder()
    for name in ("id", "whole"):
        build.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in ("title", "about", "told", "pairs", "sounds", "hints"):
        build.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    for name in ("category", "shop", "brand", "currency"):
        build.add_text_field(name, tokenizer_name="raw", index_option="basic", fast=True)
    for name in ("in_stock", "is_guaranteed"):
        build.add_boolean_field(name, indexed=True)
    for name in ("high", "low", "merit", "by_sales", "by_price", "by_time", "price"):
        build.add_unsigned_field(name, fast=True)
    return build.build()


SCHEMA = _schema()


class Index:
    """`add_many`, `drop_many`, `commit`; then `find`, `count`, `suggest`."""

    def __init__(self, path: Path, *, building: bool = False) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._index = tantivy.Index(SCHEMA, path=str(path), reuse=True)
        self._index.config_reader("manual")
        self._writer: tantivy.IndexWriter | None = None
        self._building = building
        self._searcher = self._index.searcher()

    def add_many(self, documents: Iterable[Document]) -> None:
        """Have these, in place of what was there under their ids. Seen after `commit`."""
        writer = self._write()
        for document in documents:
            if not self._building:  # nothing is there yet, and 1,000,000 deletions are remembered one by one
                writer.delete_documents_by_term("id", document.id.hex)
            writer.add_json(_encode(_fields(document)).decode())

    def drop_many(self, ids: Iterable[UUID]) -> None:
        """Have these no more. Seen after `commit`."""
        writer = self._write()
        for id_ in ids:
            writer.delete_documents_by_term("id", id_.hex)

    def commit(self) -> None:
        """Make what was written last, and show it."""
        self._write().commit()
        self.reload()

    def close(self) -> None:
        """Let merges end and give the directory free for another writer."""
        if self._writer is not None:
            self._writer.wait_merging_threads()
            self._writer = None

    def reload(self) -> None:
        """See what was committed, by whatever process."""
        self._index.reload()
        self._searcher = self._index.searcher()

    @property
    def size(self) -> int:
        """How many products there are."""
        return self._searcher.num_docs

    def find(
        self, ask: Ask, *, synonyms: Alternatives | None = None, after: Place | None = None, limit: int = 20
    ) -> Found:
        """Hits in order, those behind `after`. The same index and question give the same order, page by page."""
        typed, filters = read_query(ask.text), _filters(ask)
        if ask.sort is ShelfSort.relevance and typed.words:
            return self._find_by_tier(typed, filters, synonyms, after, min(limit, PAGE_MAX))
        return self._find_sorted(typed, ask.sort, filters, synonyms, after, min(limit, PAGE_MAX))

    def _find_by_tier(
        self, typed: Typed, filters: list[Query], synonyms: Alternatives | None, after: Place | None, limit: int
    ) -> Found:
        shown, ring = (after.shown, ring_of(after.tier)) if after else (0, 0)
        hits: list[Hit] = []
        better: list[Query] = []
        for tier, query in tiers_of(SCHEMA, typed, synonyms):
            if ring_of(tier) > ring and shown + len(hits) >= ENOUGH:
                break
            ring = max(ring, ring_of(tier))
            if after is None or tier >= after.tier:
                behind = after.key if after is not None and tier == after.tier else None
                wanted = limit + 1 - len(hits)
                hits += self._take(query, filters, better, "merit", Order.Desc, behind, wanted, tier)
                if len(hits) > limit:
                    break
            better.append(query)
        return Found(hits=hits[:limit], is_over=len(hits) <= limit)

    def _find_sorted(
        self,
        typed: Typed,
        sort: ShelfSort,
        filters: list[Query],
        synonyms: Alternatives | None,
        after: Place | None,
        limit: int,
    ) -> Found:
        query = self._ring(typed, filters, synonyms)
        field, order = SORTS[sort]
        hits = self._take(query, filters, [], field, order, after.key if after else None, limit + 1, 0)
        return Found(hits=hits[:limit], is_over=len(hits) <= limit)

    def _ring(self, typed: Typed, filters: list[Query], synonyms: Alternatives | None) -> Query | None:
        """Everything that is found at all: the near tiers, with the far ones while there are too few."""
        if not typed.words:
            return None
        tiers = list(tiers_of(SCHEMA, typed, synonyms))
        query = Query.empty_query()
        for ring in range(ring_of(TIERS) + 1):
            query = either(*(one for tier, one in tiers if ring_of(tier) <= ring))
            found = self._searcher.search(_all([query, *filters]), limit=1, count=True)
            if _count(found) >= ENOUGH:
                break
        return query

    def _take(
        self,
        query: Query | None,
        filters: list[Query],
        better: list[Query],
        field: str,
        order: Order,
        behind: int | None,
        limit: int,
        tier: int,
    ) -> list[Hit]:
        parts = [query, *filters] if query is not None else list(filters)
        if behind is not None:
            low, high = (behind + 1, None) if order == Order.Asc else (None, max(0, behind - 1))
            parts.append(Query.range_query(SCHEMA, field, FieldType.Unsigned, low, high))
        whole = _all(parts, but=better)
        found = self._searcher.search(whole, limit=limit, count=False, order_by_field=field, order=order)
        places = [place for _, place in found.hits]
        first_halves = self._searcher.fast_field_values("high", places)
        second_halves = self._searcher.fast_field_values("low", places)
        return [
            Hit(UUID(int=int(first or 0) << 64 | int(second or 0)), tier, int(key))
            for (key, _), first, second in zip(found.hits, first_halves, second_halves, strict=True)
        ]

    def count(self, ask: Ask, *, synonyms: Alternatives | None = None) -> Facets:
        """How many there are and of what."""
        filters = _filters(ask)
        query = self._ring(read_query(ask.text), filters, synonyms)
        asked = {
            name: {"terms": {"field": name, "size": FACET_MAX}} for name in ("category", "shop", "brand", "currency")
        }
        whole = _all([query, *filters] if query is not None else filters)
        answer = self._searcher.aggregate(whole, asked)
        total = _count(self._searcher.search(whole, limit=1, count=True))

        def of(name: str) -> list[tuple[str, int]]:
            return [(one["key"], one["doc_count"]) for one in answer[name]["buckets"] if one["key"]]

        return Facets(
            total=total,
            categories=of("category"),
            shops=[(UUID(hex=key), number) for key, number in of("shop")],
            brands=[(UUID(hex=key), number) for key, number in of("brand")],
            currencies=of("currency"),
        )

    def suggest(self, text: str, *, limit: int = 8) -> list[str]:
        """What the last word may be going to be, the most frequent first; what was typed before it stays."""
        typed = fold(text)
        head, _, last = typed.rpartition(" ")
        if not last:
            return []
        found: dict[str, None] = {}
        for hint, _ in self._searcher.terms_with_prefix("hints", last, limit=HINTS_ASKED):
            heard, _, word = hint.rpartition("|")
            if heard and (len(last) < HEARD_MIN or (head and not is_han(head))):
                continue  # one letter says no sound yet, and who writes English means English
            found.setdefault(f"{head} {word.replace('_', ' ')}".strip())
        return list(found)[:limit]

    def _write(self) -> tantivy.IndexWriter:
        if self._writer is None:
            self._writer = self._index.writer(
                heap_size=BUILDER_BYTES if self._building else WRITER_BYTES, num_threads=1
            )
        return self._writer


_encode = msgspec.json.Encoder().encode


def _fields(document: Document) -> dict[str, Any]:
    title = fold(document.title)
    about = fold(f"{document.category} {document.brand} {document.shop_name}")
    words = dict.fromkeys(cut(title, inside=True))
    named = dict.fromkeys(cut(about, inside=True))
    sounds = {word: heard for word in (*words, *named) if (heard := sound(word))}
    hints = {word for word in (*words, *named) if len(word) >= HINT_MIN and not word.isdigit()}
    hints |= {fold(one).replace(" ", "_") for one in (document.category, document.brand)}
    hints |= {f"{heard}|{word}" for word, heard in sounds.items() if len(word) >= HINT_MIN}
    return {
        "id": document.id.hex,
        "whole": title,
        "title": " ".join(words),
        "about": " ".join(named),
        "told": " ".join(dict.fromkeys(cut(fold(document.description[:DESCRIPTION_MAX]), inside=True))),
        "pairs": " ".join(dict.fromkeys(pairs_of(title))),
        "sounds": " ".join(dict.fromkeys(sounds.values())),
        "hints": " ".join(hints),
        "category": document.category,
        "shop": document.shop_id.hex,
        "brand": document.brand_id.hex if document.brand_id else "",
        "currency": document.currency,
        "in_stock": document.in_stock,
        "is_guaranteed": document.is_guaranteed,
        "high": document.id.int >> 64,
        "low": document.id.int & (2**64 - 1),
        "merit": order_key(merit_of(document), MERIT_BITS, document.id),
        "by_sales": order_key(document.sold, SALES_BITS, document.id),
        "by_price": order_key(document.price_amount, PRICE_BITS, document.id),
        "by_time": order_key(int(document.created_at.timestamp() * 1000), TIME_BITS, document.id),
        "price": document.price_amount,
    }


def _filters(ask: Ask) -> list[Query]:
    parts = [
        Query.term_query(SCHEMA, name, value, "basic")
        for name, value in (
            ("category", ask.category),
            ("shop", ask.shop_id.hex if ask.shop_id else None),
            ("brand", ask.brand_id.hex if ask.brand_id else None),
            ("currency", ask.currency),
        )
        if value is not None
    ]
    if ask.in_stock:
        parts.append(Query.term_query(SCHEMA, "in_stock", True, "basic"))
    if ask.is_guaranteed:
        parts.append(Query.term_query(SCHEMA, "is_guaranteed", True, "basic"))
    if ask.price_min is not None or ask.price_max is not None:
        parts.append(
            Query.range_query(
                SCHEMA, "price", FieldType.Unsigned, lower_bound=ask.price_min or 0, upper_bound=ask.price_max
            )
        )
    if ask.among is not None:
        parts.append(Query.term_set_query(SCHEMA, "id", [one.hex for one in ask.among]))
    if ask.without_shops:
        without = Query.term_set_query(SCHEMA, "shop", [one.hex for one in ask.without_shops])
        parts.append(Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, without)]))
    return parts


def _all(parts: list[Query], *, but: list[Query] | None = None) -> Query:
    if len(parts) == 1 and not but:
        return parts[0]
    asked = [(Occur.Must, Query.const_score_query(part, 0.0)) for part in parts or [Query.all_query()]]
    return Query.boolean_query([*asked, *((Occur.MustNot, one) for one in but or [])])


def _count(found: Any) -> int:
    return int(found.count or 0)
