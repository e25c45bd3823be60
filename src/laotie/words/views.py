"""Views of a text: the same text with one kind of disguise taken off, each letter knowing where it came from.

`fold` is letter by letter: compatibility forms (NFKC), accents, case, look-alikes of other scripts, traditional
characters; what cannot be seen goes away. `plain` keeps the words apart, `tight` undoes spaces and signs inside words,
figures for letters and stretched letters, `spoken` is the text as syllables of pinyin without tones.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby, pairwise, product
from typing import NamedTuple

from confusable_homoglyphs.confusables import confusables_data
from opencc import OpenCC
from pypinyin import Style, constants, pinyin

KNOWN_MAX = 50_000
LEET = str.maketrans("0345789@$+€", "oeastbgaste")
LEET_STROKES = "1!|"
"""Stands for i and for l; both are tried."""
STRETCH_MIN = 3
SKELETON_LEET_MIN = 4
"""In shorter names (3M, 361) figures are figures."""
CLAUSE = frozenset(" \u3000,.;:!?~、。，；：！？…～—\n\t\"'“”‘’()（）【】《》")
"""What people put between parts of a sentence. Anything else between two characters looks like a trick."""
UNSEEN = frozenset(
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u2800\u3164\ufe0e\ufe0f\ufeff\uffa0"
)


class View(NamedTuple):
    """A text and, for every character, where it stood.

    `starts` and `ends` mark where words may begin and end; without them that is where runs of Latin letters do.
    """

    text: str
    places: Sequence[int]
    starts: frozenset[int] | None = None
    ends: frozenset[int] | None = None

    def may_start(self, at: int) -> bool:
        """Whether a word may begin here."""
        if self.starts is not None:
            return at in self.starts
        return at == 0 or not (is_latin(self.text[at]) and is_latin(self.text[at - 1]))

    def may_end(self, at: int) -> bool:
        """Whether a word may end before here."""
        if self.ends is not None:
            return at in self.ends
        return at == len(self.text) or not (is_latin(self.text[at]) and is_latin(self.text[at - 1]))


def normalise(text: str) -> str:
    """The text with all disguises off that need no guessing: how two texts are compared."""
    return " ".join("".join(fold(letter) for letter in text).split())


def skeletons(name: str) -> frozenset[str]:
    """What the eye may take a name for. Two names that share one are easily taken for each other.

    Letters and figures alone, look-alikes of other scripts undone (also of capitals: a Greek Ν is no v), then what looks
    alike in our own: i and l, rn and m, vv and w, and in longer names figures for letters.
    """
    seen = {normalise(name), normalise("".join(_look_alikes().get(letter, letter) for letter in name))}
    return frozenset(found for form in seen if (found := _skeleton(form)))


def _skeleton(folded: str) -> str:
    bare = "".join(letter for letter in folded if letter.isalnum())
    if len(bare) >= SKELETON_LEET_MIN and not bare.isdecimal():
        bare = bare.translate(LEET).replace("1", "l")
    return bare.replace("i", "l").replace("rn", "m").replace("vv", "w")


def fold(letter: str) -> str:
    """One character, undisguised: none, one or (a ligature) several."""
    found = _FOLDED.get(letter)
    if found is None:
        if len(_FOLDED) >= KNOWN_MAX:
            _FOLDED.clear()
        found = _FOLDED[letter] = _fold(letter)
    return found


_FOLDED: dict[str, str] = {}


def is_han(letter: str) -> bool:
    """A Chinese character."""
    return "\u4e00" <= letter <= "\u9fff" or "\u3400" <= letter <= "\u4dbf" or "\U00020000" <= letter <= "\U0003ffff"


def is_latin(letter: str) -> bool:
    """A letter or figure that words of the Latin script are made of, after folding."""
    return letter.isascii() and letter.isalnum()


def plain(text: str) -> View:
    """Folded, blanks made one. Words stay where they are."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return View(text.lower(), range(len(text)))
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        for one in fold(letter):
            if one.isspace():
                if not letters or letters[-1] == " ":
                    continue
                one = " "
            letters.append(one)
            places.append(place)
    return View("".join(letters), places)


def tight(seen: View) -> list[View]:
    """Words put together again: letters with signs or blanks between them, figures for letters, stretched letters.

    Empty when there is nothing to undo. What can be read two ways (1 as i or l, `ooo` as o or oo) gives a view each.
    """
    pushed, dressed = PUSHED.search(seen.text), DRESSED.search(seen.text)
    if pushed is None and dressed is None:
        return []  # most texts
    pieces = _together(seen) if pushed is not None else None
    tricky = pieces is not None
    letters, places = pieces if pieces is not None else (list(seen.text), list(seen.places))
    words = [word for word in WORD.finditer("".join(letters)) if not word[0].isalpha() or STRETCHED.search(word[0])]
    disguised = [word for word in words if _is_disguised(word[0])]
    if not tricky and not disguised:
        return []
    strokes = "il" if any(stroke in word[0] for word in disguised for stroke in LEET_STROKES) else "i"
    kept = (1, 2) if any(STRETCHED.search(word[0]) for word in disguised) else (1,)
    return [_undisguise(letters, places, disguised, stroke, count) for stroke, count in product(strokes, kept)]


def sound(seen: View) -> str:
    """What `spoken` gives, its letters alone: most texts need no more to be seen innocent."""
    if seen.text.isascii():
        return "".join(LETTERS.findall(seen.text))
    return "".join([reading(piece) if is_han(piece[0]) else piece for piece in PIECE.findall(seen.text)])


def spoken(seen: View) -> View:
    """The text as toneless syllables: characters by their usual reading, Latin words as they are, figures left out."""
    letters: list[str] = []
    places: list[int] = []
    starts: set[int] = set()
    ends: set[int] = set()
    for piece in PIECE.finditer(seen.text):
        word = piece[0]
        for syllable, offset in [(reading(word), 0)] if is_han(word[0]) else syllables(word):
            starts.add(len(letters))
            for index, letter in enumerate(syllable):
                letters.append(letter)
                places.append(seen.places[piece.start() + (0 if is_han(word[0]) else offset + index)])
            ends.add(len(letters))
    return View("".join(letters), places, frozenset(starts), frozenset(ends))


@cache
def reading(character: str) -> str:
    """The usual reading of one character without its tone, or the character itself."""
    return str(pinyin(character, style=Style.NORMAL, errors="default")[0][0]).replace("ü", "v")


def syllables(word: str) -> Iterator[tuple[str, int]]:
    """A Latin word as syllables of pinyin with their offsets, when it is made of them alone; else as it is."""
    ends = [-1] * (len(word) + 1)
    ends[0] = 0
    known = _syllables()
    for end in range(1, len(word) + 1):
        for start in range(max(0, end - 6), end):
            if ends[start] >= 0 and word[start:end] in known:
                ends[end] = start
                break
    if ends[-1] < 0:
        yield word, 0
        return
    cuts = [len(word)]
    while cuts[-1]:
        cuts.append(ends[cuts[-1]])
    cuts.reverse()
    for start, end in pairwise(cuts):
        yield word[start:end], start


WORD = re.compile(r"[a-z0-9@$+€!|]*[a-z][a-z0-9@$+€!|]*", re.ASCII)
STRETCHED = re.compile(r"([a-z])\1{2,}", re.ASCII)
HAN = r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
PUSHED = re.compile(
    rf"[a-z0-9@$€][^\sa-z0-9][a-z0-9@$€]|(?<![a-z0-9])[a-z][^a-z0-9]+[a-z][^a-z0-9]+[a-z](?![a-z0-9])|{HAN}[^a-z0-9\u3400-\u9fff\U00020000-\U0003ffff]+{HAN}"
)
DRESSED = re.compile(r"[a-z][0-9@$+€!|]|[0-9@$+€!|][a-z]|([a-z])\1\1")
RUN = re.compile(r"[a-z0-9@$€]+|[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]+")
LETTERS = re.compile(r"[a-z]+")
PIECE = re.compile(r"[a-z]+|[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")


def _fold(letter: str) -> str:
    if letter in UNSEEN or (unicodedata.category(letter) in ("Cf", "Mn", "Me", "Cc") and not letter.isspace()):
        return ""
    found = []
    for one in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", letter)).casefold():
        if unicodedata.category(one) in ("Mn", "Me"):
            continue
        if is_han(one):
            found.append(_simplified(one))
        elif one.isascii():
            found.append(one)
        else:
            found.append(_look_alikes().get(one, one))
    return "".join(found)


def _simplified(character: str) -> str:
    simple = str(_converter().convert(character))
    return simple if len(simple) == 1 else character


@cache
def _converter() -> OpenCC:
    return OpenCC("t2s")


@cache
def _look_alikes() -> dict[str, str]:
    """Letters of other scripts that look like one of ours (Unicode's confusables, TR 39)."""
    found: dict[str, str] = {}
    for letter, others in confusables_data.items():
        if len(letter) != 1 or letter.isascii() or not letter.isalpha():
            continue
        if unicodedata.name(letter, "").startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO")):
            continue
        ours = [
            other["c"] for other in others if len(other["c"]) == 1 and other["c"].isascii() and other["c"].isalpha()
        ]
        if ours:
            found[letter] = ours[0].casefold()
    return found


@cache
def _syllables() -> frozenset[str]:
    found = set()
    for readings in constants.PINYIN_DICT.values():
        for one in readings.split(","):
            bare = "".join(letter for letter in unicodedata.normalize("NFD", one) if not unicodedata.combining(letter))
            if bare.isascii() and bare.isalpha() and (len(bare) > 1 or bare in "aeo"):
                found.add(bare)
    return frozenset(found)


def _together(seen: View) -> tuple[list[str], list[int]] | None:
    """The text without what was pushed into words, or `None` when nothing was.

    Chinese: signs go; so do blanks and stops beside a character that stands alone, which no clause does. Latin: signs
    without blanks inside a word go, and whatever stands between three or more single letters.
    """
    text, places = seen.text, seen.places
    pieces = list(RUN.finditer(text))
    if len(pieces) < 2:
        return None
    glued = [False] * (len(pieces) - 1)
    for index in range(len(pieces) - 1):
        one, other = pieces[index], pieces[index + 1]
        between = text[one.end() : other.start()]
        if not between:
            glued[index] = True
            continue
        odd = not any(sign in CLAUSE for sign in between)
        if is_han(one[0][-1]) and is_han(other[0][0]):
            glued[index] = odd or len(one[0]) == 1 or len(other[0]) == 1
        elif not is_han(one[0][-1]) and not is_han(other[0][0]):
            glued[index] = len(between) == 1 and (odd or between == ".") and not _are_figures(one[0], other[0])
    _glue_spelled(pieces, glued)
    if not any(
        glue and text[one.end() : other.start()] for one, other, glue in zip(pieces, pieces[1:], glued, strict=False)
    ):
        return None
    letters: list[str] = []
    kept: list[int] = []
    for index, piece in enumerate(pieces):
        letters += piece[0]
        kept += places[piece.start() : piece.end()]
        if index < len(glued) and not glued[index]:
            letters.append(" ")
            kept.append(places[piece.end()])
    return letters, kept


def _glue_spelled(pieces: list[re.Match[str]], glued: list[bool]) -> None:
    """`f u c k`: three single letters and more are one word."""
    run = 0
    for index in range(len(pieces) + 1):
        single = index < len(pieces) and len(pieces[index][0]) == 1 and pieces[index][0].isascii()
        if single:
            run += 1
            continue
        if run >= 3:
            for at in range(index - run, index - 1):
                glued[at] = True
        run = 0


def _are_figures(one: str, other: str) -> bool:
    return one.isdigit() or other.isdigit()


def _is_disguised(word: str) -> bool:
    return bool(STRETCHED.search(word)) or (not word.isalpha() and any(letter.isalpha() for letter in word))


def _undisguise(letters: list[str], places: list[int], words: list[re.Match[str]], stroke: str, kept: int) -> View:
    out: list[str] = []
    where: list[int] = []
    strokes = str.maketrans(dict.fromkeys(LEET_STROKES, stroke))
    at = 0
    for word in words:
        out += letters[at : word.start()]
        where += places[at : word.start()]
        found = word[0].rstrip("!+|") if word[0].rstrip("!+|").isalpha() else word[0]
        index = 0
        for letter, run in groupby(found.translate(LEET).translate(strokes)):
            length = len(list(run))
            for step in range(length if length < STRETCH_MIN else kept):
                out.append(letter)
                where.append(places[word.start() + index + step])
            index += length
        out += word[0][len(found) :]
        where += places[word.start() + len(found) : word.end()]
        at = word.end()
    out += letters[at:]
    where += places[at:]
    return View("".join(out), where)
