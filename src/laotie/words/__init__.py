"""Words: what a text says once its disguises are off, and whether a list of words, links or contacts speaks against it.

Knows texts and lists, nobody's rights: rooms decide what to do with a verdict. Owns: folding (full width, case,
homoglyphs, invisible characters, traditional forms), the views in which tricks with spaces, figures, stretched letters
and pinyin are undone, the matcher (one Aho-Corasick automaton for all lists), filters for links and contacts, and the
house's starter lists.

Promises: a Latin word is found as a whole word only (no Scunthorpe), a Chinese one wherever it stands; every find tells
the list, the word, and the place in the text as it was written; time is linear in the text; a text without a find comes
back as it was.
"""

from laotie.words.links import LINKS_ALLOWED_MAX
from laotie.words.matcher import Matcher, judge_text
from laotie.words.model import (
    LIST_NAME_LENGTH_MAX,
    WORD_LENGTH_MAX,
    WORDS_MAX,
    Action,
    Find,
    Kind,
    Verdict,
    WordList,
    WordsRefused,
    check_list,
    house_lists,
)
from laotie.words.views import normalise, skeletons

__all__ = [
    "LINKS_ALLOWED_MAX",
    "LIST_NAME_LENGTH_MAX",
    "WORDS_MAX",
    "WORD_LENGTH_MAX",
    "Action",
    "Find",
    "Kind",
    "Matcher",
    "Verdict",
    "WordList",
    "WordsRefused",
    "check_list",
    "house_lists",
    "judge_text",
    "normalise",
    "skeletons",
]
