"""Search: what is on the shelf, found by words in Chinese and English, by typing mistakes, by sound, by filters.

Owns which products changed since an index last asked, the words that mean the same, and the index itself (in the process,
on its own disk; a cache that is built anew when it is missing). Promises: hits come in the written order (`model`), page
after page; what changed is in the index within two seconds; a process killed at any moment comes to the same index again.
Not here: what is true of a product now (`catalog.finding` reads it for the hits), nor where a viewer came from (`traffic`).
"""

from laotie.search.changes import note_changed, number_changes
from laotie.search.index import Index
from laotie.search.model import (
    PAGE_MAX,
    TEXT_MAX,
    Ask,
    Document,
    Facets,
    Found,
    Hit,
    Place,
    ShelfSort,
    SynonymsFull,
    SynonymsRefused,
    merit_of,
)
from laotie.search.shelf import Reader, Shelf
from laotie.search.synonyms import SynonymGroup, drop_synonyms, list_synonyms, put_synonyms
from laotie.search.words import cut, fold, nearest

__all__ = [
    "PAGE_MAX",
    "TEXT_MAX",
    "Ask",
    "Document",
    "Facets",
    "Found",
    "Hit",
    "Index",
    "Place",
    "Reader",
    "Shelf",
    "ShelfSort",
    "SynonymGroup",
    "SynonymsFull",
    "SynonymsRefused",
    "cut",
    "drop_synonyms",
    "fold",
    "list_synonyms",
    "merit_of",
    "nearest",
    "note_changed",
    "number_changes",
    "put_synonyms",
]
