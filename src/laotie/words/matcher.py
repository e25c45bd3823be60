"""The matcher: every list in one automaton, every view of a text read once.

Aho-Corasick finds all words of all lists in one pass, so time does not grow with the lists. A find counts where the
script lets a word stand: Latin between word boundaries, Chinese anywhere, spelled-out pinyin between syllables.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice

import ahocorasick

from laotie.words.links import find_contacts, find_links
from laotie.words.model import Action, Find, Kind, Verdict, WordList, house_lists
from laotie.words.views import View, fold, is_han, normalise, plain, reading, sound, spoken, tight

MASK = "*"
FOUND_MAX = 20
SPOKEN_LETTERS_MIN = 5
"""Shorter pinyin says too many things."""
HOMOPHONE_SYLLABLES_MIN = 3
"""Two characters that sound like a bad word are as a rule just that: two other characters."""
STRICTNESS = {Action.mask: 0, Action.hold: 1, Action.block: 2}
MATCHERS_KEPT = 512


class _Word:
    """One word of a list as the automaton holds it."""

    __slots__ = ("action", "length", "list", "open_end", "text", "whole")

    def __init__(self, text: str, length: int, one: WordList | None, *, whole: bool, open_end: bool) -> None:
        self.text = text
        self.length = length
        self.list = one.name if one is not None else None
        self.action = one.action if one is not None else Action.mask
        self.whole = whole
        self.open_end = open_end


class Matcher:
    """Compiled lists; immutable, shared by whoever has the same lists."""

    def __init__(
        self,
        lists: Iterable[WordList],
        *,
        links: Action | None = None,
        contacts: Action | None = None,
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        """`links` and `contacts`: what is done with a text that has one; `None` lets them pass."""
        written: dict[str, list[_Word]] = {}
        said: dict[str, list[_Word]] = {}
        for one in lists:
            for word in one.words:
                _add(written, said, one, word)
        self._written = _automaton(written)
        self._said = _automaton(said)
        self._links = links
        self._contacts = contacts
        self._allowed = frozenset(host.casefold() for host in allowed_hosts)

    def judge(self, text: str) -> Verdict:
        """What the lists and filters say of a text."""
        if self._written is None and self._links is None and self._contacts is None:
            return Verdict(None, text)
        seen = plain(text)
        found = list(islice(self._find(text, seen), FOUND_MAX))
        if not found:
            return Verdict(None, text)
        strictest = max((one.action for one in found), key=STRICTNESS.__getitem__)
        return Verdict(strictest, _mask(text, found) if strictest is Action.mask else text, tuple(found))

    def _find(self, text: str, seen: View) -> Iterator[Find]:
        known: set[tuple[int, int]] = set()
        for view, automaton in self._views(seen):
            hits = [(word, start, end) for word, start, end in _hits(automaton, view)]
            excused = [(start, end) for word, start, end in hits if word.list is None]
            for word, start, end in hits:
                if word.list is None or any(first <= start and end <= last for first, last in excused):
                    continue
                if automaton is self._said and not _is_meant(text, view, word, start, end):
                    continue
                place = (view.places[start], view.places[end - 1] + 1)
                if place not in known:
                    known.add(place)
                    yield Find(
                        kind=Kind.word, list=word.list, word=word.text, seen=text[place[0] : place[1]],
                        start=place[0], end=place[1], action=word.action,
                    )  # fmt: skip
        if self._links is not None:
            for link in find_links(seen, self._allowed):
                yield Find(
                    kind=Kind.link, list="links", word=link.what, seen=text[link.start : link.end],
                    start=link.start, end=link.end, action=self._links,
                )  # fmt: skip
        if self._contacts is not None:
            for contact in find_contacts(seen):
                yield Find(
                    kind=Kind.contact, list="contacts", word=contact.what, seen=text[contact.start : contact.end],
                    start=contact.start, end=contact.end, action=self._contacts,
                )  # fmt: skip

    def _views(self, seen: View) -> Iterator[tuple[View, ahocorasick.Automaton]]:
        if self._written is not None:
            yield seen, self._written
            for view in tight(seen):
                yield view, self._written
        if self._said is not None and next(self._said.iter(sound(seen)), None) is not None:
            yield spoken(seen), self._said


def judge_text(text: str, lists: Sequence[WordList] | None = None, *, links: Action | None = Action.block) -> Verdict:
    """A verdict by the house's lists, or by others; for texts that come one at a time (a title, a comment)."""
    return _matcher_of(house_lists() if lists is None else tuple(lists), links).judge(text)


@lru_cache(MATCHERS_KEPT)
def _matcher_of(lists: tuple[WordList, ...], links: Action | None) -> Matcher:
    return Matcher(lists, links=links)


def _add(written: dict[str, list[_Word]], said: dict[str, list[_Word]], one: WordList, word: str) -> None:
    exception = word.startswith("!")
    open_end = word.endswith("*")
    bare = normalise(word.removeprefix("!").removesuffix("*"))
    if not bare:
        return
    has_han = any(is_han(letter) for letter in bare)
    owner = None if exception else one
    # A blank inside a Chinese word, or a sign inside any, would be lost in the tight view: it is written both ways.
    for form in dict.fromkeys((bare, bare.replace(" ", "") if has_han else bare)):
        entry = _Word(word, len(form), owner, whole=not has_han, open_end=open_end)
        written.setdefault(form, []).append(entry)
    if one.pinyin and all(is_han(letter) for letter in bare) and len(bare) > 1:
        sound = "".join(reading(letter) for letter in bare)
        if sound.isascii() and len(sound) >= SPOKEN_LETTERS_MIN:
            said.setdefault(sound, []).append(_Word(word, len(bare), owner, whole=True, open_end=open_end))


def _automaton(words: dict[str, list[_Word]]) -> ahocorasick.Automaton | None:
    if not words:
        return None
    automaton = ahocorasick.Automaton()
    for form, entries in words.items():
        automaton.add_word(form, (len(form), entries))
    automaton.make_automaton()
    return automaton


def _hits(automaton: ahocorasick.Automaton, view: View) -> Iterator[tuple[_Word, int, int]]:
    for last, (length, entries) in automaton.iter(view.text):
        start, end = last + 1 - length, last + 1
        for word in entries:
            if word.whole and not (view.may_start(start) and (word.open_end or view.may_end(end))):
                continue
            yield word, start, end


def _is_meant(text: str, view: View, word: _Word, start: int, end: int) -> bool:
    """Spelled out in letters at least in part, or long enough to be no accident of sound."""
    if word.length >= HOMOPHONE_SYLLABLES_MIN:
        return True
    return any(not is_han(fold(text[view.places[at]])[:1] or " ") for at in range(start, end))


def _mask(text: str, found: list[Find]) -> str:
    letters = list(text)
    for one in found:
        for at in range(one.start, one.end):
            if fold(text[at]).strip():
                letters[at] = MASK
    return "".join(letters)
