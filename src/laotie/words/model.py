"""The words of words: lists, what a list wants done, and verdicts. No text is read here but the house's own lists."""

from enum import StrEnum
from functools import cache
from importlib import resources

import msgspec

from laotie.base.refusals import Invalid

LIST_NAME_LENGTH_MAX = 40
WORD_LENGTH_MAX = 60
WORDS_MAX = 2_000


class Action(StrEnum):
    """What a find asks for, mildest first: hide the words, let somebody look at the text first, refuse it."""

    mask = "mask"
    hold = "hold"
    block = "block"


class Kind(StrEnum):
    """What was found."""

    word = "word"
    link = "link"
    contact = "contact"


class WordList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words and what is done with a text that holds one.

    A Latin word counts as a whole word; `spam*` also counts as a beginning. A word after `!` is an exception: a find
    inside it does not count. `pinyin` also finds Chinese words that are spelled out, and homophones of longer ones.
    """

    name: str
    words: tuple[str, ...]
    action: Action = Action.block
    pinyin: bool = True


class Find(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found: by which list, which of its words, and what stood in the text (`start` to `end`)."""

    kind: Kind
    list: str
    word: str
    seen: str
    start: int
    end: int
    action: Action


class Verdict(msgspec.Struct, frozen=True):
    """What is to be done with a text: nothing, or the strictest of what its finds ask for. `text` is masked if asked."""

    action: Action | None
    text: str
    found: tuple[Find, ...] = ()


class WordsRefused(Invalid, code="words-refused"):
    """A word list has a name, words that are not too long, and not too many of them."""

    list: str
    reason: str


def check_list(one: WordList) -> WordList:
    """The list without blanks and doubles, or `WordsRefused`."""
    name = " ".join(one.name.split())
    words = tuple(dict.fromkeys(word for given in one.words if (word := " ".join(given.split()))))
    if not name or len(name) > LIST_NAME_LENGTH_MAX or not name.isprintable():
        raise WordsRefused(list=name[:LIST_NAME_LENGTH_MAX], reason="name")
    if len(words) > WORDS_MAX:
        raise WordsRefused(list=name, reason="too-many")
    if any(len(word) > WORD_LENGTH_MAX or not word.isprintable() for word in words):
        raise WordsRefused(list=name, reason="word")
    return msgspec.structs.replace(one, name=name, words=words)


@cache
def house_lists() -> tuple[WordList, ...]:
    """The starter lists of the house, one file each: its first line says what is done, `#` begins a remark."""
    found = []
    for file in sorted(resources.files("laotie.words").joinpath("house").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".txt"):
            continue
        lines = [line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines()]
        action, *words = [line for line in lines if line]
        found.append(check_list(WordList(name=file.name[:-4], words=tuple(words), action=Action(action))))
    return tuple(found)
