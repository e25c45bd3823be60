"""What was typed as questions to the index, the better first: the tiers of `model`. Pure."""

from collections.abc import Iterator

import tantivy
from tantivy import Occur, Query

from laotie.search.words import Query as Typed
from laotie.search.words import is_han, pairs_inside, sound

NEAR, FAR, TIERS = 7, 8, 12
MISSPELT_MIN = 4
SOUND_MIN = 3
Alternatives = dict[tuple[str, ...], frozenset[tuple[str, ...]]]
"""A run of words, and the runs that mean the same."""


def tiers_of(schema: tantivy.Schema, typed: Typed, synonyms: Alternatives | None) -> Iterator[tuple[int, Query]]:
    """The tiers that make sense for what was typed, each with its question; they overlap, the better one counts."""

    def term(field: str, word: str) -> Query:
        return Query.term_query(schema, field, word, "basic")

    def in_any(word: str, *fields: str) -> Query:
        return either(*(term(field, word) for field in fields))

    def beside(word: str) -> Query:
        if not is_han(word):
            return in_any(word, "title", "about")
        return either(every([term("pairs", pair) for pair in pairs_inside(word)]), term("about", word))

    words = typed.words
    yield 1, term("whole", typed.text)
    yield 2, every([term("title", word) for word in words])
    yield 3, every([in_any(word, "title", "about") for word in words])
    if any(is_han(word) for word in words):
        yield 4, either(*(every([beside(word) for word in cut]) for cut in dict.fromkeys((words, typed.pieces))))
    meant = with_synonyms(words, synonyms or {})
    if any(len(one) > 1 for one in meant):
        yield 5, every(
            [either(*(every([in_any(word, "title", "about") for word in run]) for run in runs)) for runs in meant]
        )
    if typed.begun:
        for tier, fields in ((6, ("title",)), (7, ("title", "about"))):
            begun = either(*(Query.fuzzy_term_query(schema, field, typed.begun, 0, True, True) for field in fields))
            yield tier, every([*(in_any(word, *fields) for word in words[:-1]), begun])
    yield FAR, every([in_any(word, "title", "about", "told") for word in words])
    if any(len(sound(word) or word) >= SOUND_MIN for word in words):
        yield 9, every([either(in_any(word, "title", "about"), *_heard(schema, word)) for word in words])
    latin = [word for word in words if not is_han(word)]
    if any(len(word) >= MISSPELT_MIN for word in latin):
        yield 10, every([either(*_near(schema, word, "title")) for word in words])
        yield 11, every([either(*_near(schema, word, "title", "about")) for word in words])
    if len(words) > 2:
        parts = [(Occur.Should, in_any(word, "title", "about")) for word in words]
        yield 12, Query.boolean_query(parts, minimum_number_should_match=len(words) - 1)


def ring_of(tier: int) -> int:
    """Tiers of one ring are asked together; the next ring only while too few were found."""
    return (tier > NEAR) + (tier > FAR)


def _heard(schema: tantivy.Schema, word: str) -> list[Query]:
    """The word's sound, or what was typed as one: of one word, or of two said together."""
    heard = sound(word) or word
    spoken = [Query.term_query(schema, "sounds", heard, "basic")]
    if not is_han(word) and heard.isascii():
        for at in range(2, len(heard) - 1):
            halves = (heard[:at], heard[at:])
            spoken.append(every([Query.term_query(schema, "sounds", half, "basic") for half in halves]))
    return spoken


def _near(schema: tantivy.Schema, word: str, *fields: str) -> list[Query]:
    if len(word) < MISSPELT_MIN or is_han(word):
        return [Query.term_query(schema, field, word, "basic") for field in fields]
    return [Query.fuzzy_term_query(schema, field, word, 1, True, False) for field in fields]


def with_synonyms(words: tuple[str, ...], synonyms: Alternatives) -> list[frozenset[tuple[str, ...]]]:
    """The words in runs, each with the runs that mean the same; the longest known run first."""
    longest = max((len(run) for run in synonyms), default=1)
    meant: list[frozenset[tuple[str, ...]]] = []
    at = 0
    while at < len(words):
        for length in range(min(longest, len(words) - at), 0, -1):
            run = words[at : at + length]
            if length == 1 or run in synonyms:
                meant.append(frozenset({run}) | synonyms.get(run, frozenset()))
                at += length
                break
    return meant


def every(parts: list[Query]) -> Query:
    """All of these."""
    return parts[0] if len(parts) == 1 else Query.boolean_query([(Occur.Must, part) for part in parts])


def either(*parts: Query) -> Query:
    """One of these at least."""
    return parts[0] if len(parts) == 1 else Query.boolean_query([(Occur.Should, part) for part in parts])
