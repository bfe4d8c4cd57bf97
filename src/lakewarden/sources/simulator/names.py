"""Names that nobody bears, put together from invented syllables."""

from __future__ import annotations

from typing import Final

import polars as pl

from lakewarden.sources.simulator.draws import Draws, Ints


def _syllables(text: str) -> list[str]:
    return text.split()


_STARTS: Final = _syllables(
    "Bel Cor Dra Fen Gal Hul Jor Kes Lum Mor Nel Ost Pel Quil Ras Sil Tor Ulm Vel Wen "
    "Yar Zel Bran Clov Drun Flim Grel Harn Ilk Jask Kolt Lorn Mund Nask Orb Prin Rund Skel Trom Vask"
)
_MIDDLES: Final = _syllables("va li ro ne ta mu so pe da fi lo ga ze ri no be wi la tu me ko sa hu ve")
_ENDS: Final = _syllables("mik dane sor lin pert wick noll rum fest gard lisk tane vork bell drin moss quist ralt stow yend")

_LISTED_STARTS: Final = _syllables("Khez Zhaq Thuv Dzor Ghyn Vyxa Qulz Xhor Ykra Tzev Phaz Rhuk")
_LISTED_MIDDLES: Final = _syllables("aba uzo iky ovy akha yzu ephi uxo")
_LISTED_ENDS: Final = _syllables("zakh vyk qul thez dzhan khov rhyz phax")

_TRADES: Final = _syllables("Trading Freight Holdings Works Supply Partners Bureau Marine")

RESPELLINGS: Final = (("kh", "h"), ("ph", "f"), ("y", "i"), ("zh", "j"), ("q", "k"), ("z", "s"), ("v", "w"), ("x", "ks"))
"""Edits such as two transliterations of one name differ by."""


def _picked(draws: Draws, words: list[str], at: Ints) -> pl.Series:
    return pl.Series(words).gather(draws.below(len(words), at))


def people(draws: Draws, at: Ints) -> pl.Series:
    """A given and a family name for each position."""
    given = _picked(draws.child("given"), _STARTS, at) + _picked(draws.child("given end"), _ENDS, at)
    family = _picked(draws.child("family"), _STARTS, at) + _picked(draws.child("middle"), _MIDDLES, at)
    return given + " " + family + _picked(draws.child("end"), _ENDS, at)


def companies(draws: Draws, at: Ints) -> pl.Series:
    """A company's name for each position."""
    stem = _picked(draws.child("start"), _STARTS, at) + _picked(draws.child("middle"), _MIDDLES, at)
    return stem + _picked(draws.child("end"), _ENDS, at) + " " + _picked(draws.child("trade"), _TRADES, at)


def listed(draws: Draws, at: Ints) -> pl.Series:
    """A name for a watchlist: from syllables that no other name here has, so that nobody resembles it by accident."""
    first = _picked(draws.child("first"), _LISTED_STARTS, at) + _picked(draws.child("first end"), _LISTED_MIDDLES, at)
    last = _picked(draws.child("last"), _LISTED_STARTS, at) + _picked(draws.child("last middle"), _LISTED_MIDDLES, at)
    return first + " " + last + _picked(draws.child("last end"), _LISTED_ENDS, at)


def respelled(name: str, edits: int) -> str:
    """The name with the first `edits` respellings that apply to it, each made once."""
    left = edits
    for old, new in RESPELLINGS:
        at = name.find(old, 1)
        if left and at > 0:
            name, left = name[:at] + new + name[at + len(old) :], left - 1
    return name
