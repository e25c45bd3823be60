"""Text as it is searched: width, case, accents, traditional characters and plurals do not matter; words are cut.

Chinese is cut by jieba's dictionary (`rjieba`, the same algorithm in Rust), with the short words inside long ones; other
scripts at everything that is no letter, and between letters and digits, so that `iPhone15` is `iPhone 15`.
"""

import re
import unicodedata
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from laotie.search.model import WORDS_MAX

HAN = "\u3400-\u4dbf\u4e00-\u9fff"
RUN = re.compile(rf"[{HAN}]+|[^\W\d_{HAN}]+|\d+")
IS_HAN = re.compile(rf"[{HAN}]")
WORD_MAX = 40


class Query(NamedTuple):
    """What was typed, cut.

    `pieces` is the same cut by the dictionary alone, without guessing at names; `begun` its end, as typed, when that may be
    the beginning of a longer word.
    """

    text: str
    words: tuple[str, ...]
    pieces: tuple[str, ...]
    begun: str


def fold(text: str) -> str:
    """The text as it is compared."""
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode()).casefold()
    if IS_HAN.search(text):
        text = _simplify(text)
    if not text.isascii() and not unicodedata.is_normalized("NFD", text):
        text = "".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def cut(folded: str, *, inside: bool = False, guess: bool = True) -> list[str]:
    """The words of a folded text, in order; with `inside` also the short words inside long Chinese ones.

    Chinese that the dictionary does not know is guessed at, or (`guess` false) left as single characters.
    """
    words: list[str] = []
    for run in RUN.findall(folded):
        if is_han(run):
            words += _cutter().cut_for_search(run, guess) if inside else _cutter().cut(run, guess)
        else:
            words.append(singular(run[:WORD_MAX]))
    return words


def pairs_of(folded: str) -> list[str]:
    """Each Chinese character, and each two that stand side by side."""
    pairs: list[str] = []
    for run in RUN.findall(folded):
        if is_han(run):
            pairs += run
            pairs += (first + second for first, second in pairwise(run))
    return pairs


def pairs_inside(word: str) -> list[str]:
    """Each two characters that stand side by side in a Chinese word; of a single one, itself."""
    return [first + second for first, second in pairwise(word)] or [word]


def read_query(text: str) -> Query:
    """What somebody typed, cut into at most `WORDS_MAX` words."""
    folded = fold(text)
    words = tuple(dict.fromkeys(cut(folded)))[:WORDS_MAX]
    pieces = tuple(dict.fromkeys(cut(folded, guess=False)))[: 2 * WORDS_MAX]
    runs = RUN.findall(folded)
    begun = runs[-1] if runs and folded.endswith(runs[-1]) and words else ""
    if is_han(begun):
        begun = words[-1]
    if len(begun) < 2 and not is_han(begun):
        begun = ""
    return Query(folded, words, pieces, begun[:WORD_MAX])


def is_han(word: str) -> bool:
    """Whether it is Chinese (a run is of one script)."""
    return IS_HAN.match(word) is not None


def singular(word: str) -> str:
    """English words without the ending of the plural (Harman's S-stemmer)."""
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if word.endswith("es") and word[-3] not in "aeo":
        return word[:-2] if word[-3] in "sxz" or word[-4:-2] in ("ch", "sh") else word[:-1]
    return word if word[-2] in "us" else word[:-1]


@lru_cache(100_000)
def sound(word: str) -> str:
    """A Chinese word in pinyin without tones, joined; empty for others."""
    if not is_han(word):
        return ""
    from pypinyin import lazy_pinyin

    return "".join(lazy_pinyin(word))


@cache
def _cutter() -> Any:
    """The dictionary takes 0.14 s to read, so it is read by whoever needs it first, in the thread of the index."""
    import rjieba

    return rjieba


@cache
def _converter() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")


def _simplify(text: str) -> str:
    simplified: str = _converter().convert(text)
    return simplified


def nearest(typed: str, titles: list[str]) -> str | None:
    """What was typed with each word of it that no title has replaced by the titles' word that is one edit away.

    `None` when nothing is to be replaced, or nothing is near.
    """
    known = dict.fromkeys(word for title in titles for word in RUN.findall(fold(title)))
    better: list[str] = []
    for word in RUN.findall(fold(typed)):
        same = singular(word)
        if is_han(word) or any(same == singular(other) for other in known):
            better.append(word)
            continue
        near = next((other for other in known if is_one_edit(word, other)), None)
        if near is None:
            return None
        better.append(near)
    said = " ".join(better)
    return said if said != " ".join(RUN.findall(fold(typed))) else None


def is_one_edit(first: str, second: str) -> bool:
    """Whether one letter more, less, other, or two changed about make the one word of the other."""
    if first == second or abs(len(first) - len(second)) > 1:
        return False
    at = 0
    while at < min(len(first), len(second)) and first[at] == second[at]:
        at += 1
    if len(first) == len(second):
        turned = first[at : at + 2] == second[at : at + 2][::-1] and first[at + 2 :] == second[at + 2 :]
        return first[at + 1 :] == second[at + 1 :] or turned
    longer, shorter = (first, second) if len(first) > len(second) else (second, first)
    return longer[at + 1 :] == shorter[at:]
