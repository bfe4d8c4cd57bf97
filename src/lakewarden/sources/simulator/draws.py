"""Seeded draws that are the same integers on every machine and under every NumPy version.

A draw is a pure function of a key and a position: SplitMix64's mixer over 64-bit integers (Steele, Lea, Flood: "Fast
splittable pseudorandom number generators", 2014). NumPy promises a stable stream for its bit generators but not for
`Generator`'s methods, and `log`, `exp` or normal draws may differ in a last bit between processors. So nothing here
calls them: integers, + - * / and powers of two are all that a simulated value is made of. Being positional, a draw
needs no state: any account's attribute, or any episode's step, can be asked for alone.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_A: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B: Final = np.uint64(0x94D049BB133111EB)
_LOW_16: Final = np.uint64(0xFFFF)
_BELL_MEAN: Final = 131_070.0
_BELL_DEVIATION: Final = 37_837.0


class Draws:
    """A named stream of draws.

    Args:
        seed: the simulation's seed, any integer.
        path: names that tell this stream from others.
    """

    __slots__ = ("_key", "_name")

    def __init__(self, seed: int, *path: str | int) -> None:
        self._name: tuple[str | int, ...] = (seed, *path)
        digest = hashlib.blake2b("/".join(map(str, self._name)).encode(), digest_size=8).digest()
        self._key = np.uint64(int.from_bytes(digest, "little"))

    def child(self, *path: str | int) -> Draws:
        """The stream below this one; independent of it and of its other children."""
        first, *rest = (*self._name, *path)
        return Draws(int(first), *rest)

    def bits(self, at: Ints | int) -> NDArray[np.uint64]:
        """64 mixed bits for each position; a number n means the positions 0 to n-1."""
        where = np.arange(at, dtype=np.uint64) if isinstance(at, int) else at.astype(np.uint64)
        mixed = np.multiply(where, _STEP, out=where)
        mixed += self._key
        mixed ^= mixed >> np.uint64(30)
        mixed *= _MIX_A
        mixed ^= mixed >> np.uint64(27)
        mixed *= _MIX_B
        mixed ^= mixed >> np.uint64(31)
        return mixed

    def below(self, bound: int | Ints, at: Ints | int) -> Ints:
        """Integers from 0 to bound-1; bounds must be under 2**31."""
        high = (self.bits(at) >> np.uint64(32)).astype(np.int64)
        return (high * bound) >> 32

    def between(self, low: int, high: int, at: Ints | int) -> Ints:
        """Integers from low to high, both included."""
        return self.below(high - low + 1, at) + low

    def unit(self, at: Ints | int) -> Floats:
        """Multiples of 2**-53 in [0, 1)."""
        return (self.bits(at) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def chance(self, probability: float, at: Ints | int) -> Flags:
        """True with this probability."""
        hits: Flags = (self.bits(at) >> np.uint64(32)) < np.uint64(int(probability * 2.0**32))
        return hits

    def bell(self, at: Ints | int) -> Floats:
        """Nearly normal, mean 0 and deviation 1: the sum of four 16-bit uniforms, so within 3.5 deviations."""
        bits = self.bits(at)
        total = bits & _LOW_16
        for shift in (16, 32, 48):
            total += (bits >> np.uint64(shift)) & _LOW_16
        spread: Floats = (total.astype(np.float64) - _BELL_MEAN) / _BELL_DEVIATION
        return spread

    def number(self, at: Ints | int) -> Ints:
        """Identifiers of twelve digits at most; two positions share one with a chance of 1 in 10**12."""
        return (self.bits(at) >> np.uint64(1)).astype(np.int64) % 1_000_000_000_000

    def round(self, expected: float) -> int:
        """An integer whose mean is `expected`: its floor, or one more."""
        floor = int(expected)
        return floor + int(bool(self.chance(expected - floor, 1)[0]))


def skewed(unit: Floats, heavy: float) -> Floats:
    """Bends uniforms in [0, 1) towards 0: density `1 / (1 - heavy)` at 0, less than 1 at 1."""
    return unit * ((1.0 - heavy) + heavy * unit * unit)


def power_of_two(exponent: Floats) -> Floats:
    """About 2**exponent (straight lines between whole powers, at most 6.2 % high): exact on every machine."""
    whole = np.floor(exponent)
    power: Floats = np.ldexp(1.0 + (exponent - whole), whole.astype(np.int32))
    return power
