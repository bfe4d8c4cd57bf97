"""A name in the forms in which it is compared: without case, accents, punctuation, legal forms and spelling habits.

Three forms, each made for one way in which a name on a list and a name in a file differ:

- `ordered`: words in alphabetical order ("DOE, John" and "John Doe");
- `joined`: words as spoken, without spaces ("Abd al-Rahman" and "Abdalrahman");
- `sound`: words folded to how transliterations agree ("Mohammed" and "Muhammad", "Gaddafi" and "Qadhafi").
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

FORMS: Final = ("ordered", "joined", "sound")
"""The forms, the most literal first."""

_LETTERS: Final = {
    "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "n",
    "ſ": "s", "ς": "σ", "&": " and ",
}  # fmt: skip
"""What neither lower case nor NFKD takes apart."""

# fmt: off
_LEGAL: Final = frozenset(
    {
        "ab", "ag", "aktiengesellschaft", "ao", "as", "asa", "bhd", "bv", "bvba", "ca", "co", "company", "corp", "corporation",
        "cv", "cvba", "doo", "dd", "eood", "eurl", "fzc", "fzco", "fze", "fzllc", "gesmbh", "gmbh", "inc", "incorporated", "jsc",
        "jscb", "kft", "kg", "kgaa", "kk", "limited", "limitada", "llc", "llp", "lp", "ltd", "ltda", "mbh", "nv", "oao", "ojsc",
        "ooo", "oy", "oyj", "pao", "pjsc", "plc", "pte", "pty", "pvt", "sa", "sal", "sas", "sarl", "sdn", "se", "sl", "spa", "sro",
        "srl", "zao", "zrt", "zoo",
    }
)
# fmt: on
_TITLES: Final = frozenset({"mr", "mrs", "ms", "miss", "dr", "eng", "sir", "prof"})
_ARTICLES: Final = frozenset({"al", "el", "ul", "ibn", "bin", "ben", "the", "of", "and", "de"})

_SERVANT: Final = re.compile(r"abd[aeiou]l(.*)\Z")
"""`Abdul Rahman`, `Abdelrahman` and `Abd al-Rahman` are one name."""

_SOUND_LETTERS: Final = 8
"""Folded forms of fewer letters say too little to tell names apart."""

_FOLDS: Final = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (r"off?$|ow$", "ov"),
        (r"eff?$|ew$", "ev"),
        (r"ph", "f"),
        (r"tch|tsch", "ch"),
        (r"dzh|zh|dj|dsch", "j"),
        (r"(?<=[kgdtq])h", ""),
        (r"x", "ks"),
        (r"ck|q|c(?!h)", "k"),
        (r"w", "v"),
        (r"z", "s"),
        (r"[ou]+", "o"),
        (r"[aeiy]+(?=[^o]|$)", "a"),
        (r"(.)\1+", r"\1"),
        (r"(?<=.)h$", ""),
    )
)


def name_forms(names: pl.Series) -> pl.DataFrame:
    """The forms of each name, row by row: columns `ordered`, `joined`, `sound` (String).

    All null for a name with no letter or digit, `sound` also where it would be too short to tell names apart.
    """
    spoken = names.str.replace(r"\A([^,]*),([^,]*)\z", "$2 $1")
    plain = _plain(spoken).to_list()
    folded: dict[str, str] = {}
    columns: tuple[list[str | None], ...] = ([], [], [])
    nothing = (None, None, None)
    for text in plain:
        forms = _forms(text.split(), folded) if text else nothing
        for column, form in zip(columns, forms, strict=True):
            column.append(form)
    return pl.DataFrame(dict(zip(FORMS, columns, strict=True)), schema=dict.fromkeys(FORMS, pl.String))


def _plain(names: pl.Series) -> pl.Series:
    """Lower case, no accents, apostrophes dropped, every other sign a single space."""
    text = names.str.normalize("NFKD").str.replace_all(r"\p{M}+", "").str.to_lowercase()
    text = text.str.replace_many(list(_LETTERS), list(_LETTERS.values())).str.replace_all(r"['’`´ʼ‘ʿʾ.]", "")
    return text.str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()


def _forms(words: list[str], folded: dict[str, str]) -> tuple[str, str, str | None]:
    kept = [word for word in words if word not in _LEGAL] or words
    untitled = [word for word in kept if word not in _TITLES]
    kept = untitled if len(untitled) > 1 else kept
    telling = [word for word in kept if word not in _ARTICLES]
    sounds = []
    for word in telling if len(telling) > 1 else kept:
        if word not in folded:
            folded[word] = _sound(word)
        sounds.append(folded[word])
    sound = " ".join(sorted(" ".join(sounds).split())) if sum(map(len, sounds)) >= _SOUND_LETTERS else None
    return " ".join(sorted(kept)), "".join(kept), sound


def _sound(word: str) -> str:
    """A word folded; "Abdul..." as the two words that it is."""
    servant = _SERVANT.match(word)
    if servant is None:
        return _fold(word)
    of = "allah" if servant[1] == "lah" else servant[1]
    return f"abd {_fold(of)}".strip()


def _fold(word: str) -> str:
    if word.isdigit():
        return word
    for pattern, to in _FOLDS:
        word = pattern.sub(to, word)
    return word
