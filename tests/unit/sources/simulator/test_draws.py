"""Draws are pinned integers, and look random."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lakewarden.sources.simulator.draws import Draws, power_of_two, skewed

MASK = 2**64 - 1


def mixed(key: int, at: int) -> int:
    """SplitMix64's mixer in Python's own integers."""
    z = (key + at * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_bits_are_splitmix_of_key_and_position() -> None:
    draws = Draws(7, "name")
    assert draws.bits(50).tolist() == [mixed(int(draws._key), at) for at in range(50)]


def test_a_position_gives_the_same_alone_as_among_others() -> None:
    draws = Draws(7, "name")
    assert draws.unit(1000)[[3, 999]].tolist() == draws.unit(np.array([3, 999])).tolist()


def test_positions_given_are_left_as_they_were() -> None:
    at = np.arange(5, dtype=np.int64)
    Draws(1).bits(at)
    assert at.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("other", [Draws(8, "name"), Draws(7, "nam"), Draws(7, "name", 0), Draws(7, "name").child("x")])
def test_streams_differ(other: Draws) -> None:
    assert not set(Draws(7, "name").bits(100).tolist()) & set(other.bits(100).tolist())


def test_a_child_is_named_by_its_whole_path() -> None:
    assert Draws(7, "a").child("b", 3).bits(3).tolist() == Draws(7, "a", "b", 3).bits(3).tolist()


def test_below_covers_its_range_evenly() -> None:
    counts = np.bincount(Draws(3).below(10, 100_000), minlength=10)
    assert len(counts) == 10
    assert counts.min() > 9_500
    assert counts.max() < 10_500


def test_between_includes_both_ends() -> None:
    assert set(Draws(3).between(4, 6, 1000).tolist()) == {4, 5, 6}


def test_chance_comes_true_as_often_as_it_says() -> None:
    assert Draws(5).chance(0.3, 100_000).mean() == pytest.approx(0.3, abs=0.01)
    assert not Draws(5).chance(0.0, 1000).any()


def test_bell_has_mean_0_and_deviation_1() -> None:
    values = Draws(5).bell(100_000)
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)
    assert abs(values).max() < 3.5


def test_round_is_right_in_the_mean() -> None:
    rounded = [Draws(seed).round(2.25) for seed in range(2000)]
    assert set(rounded) == {2, 3}
    assert sum(rounded) / len(rounded) == pytest.approx(2.25, abs=0.04)


def test_power_of_two_is_exact_at_whole_numbers_and_near_between() -> None:
    exponents = np.linspace(-6, 6, 1201)
    powers = power_of_two(exponents)
    assert powers[::100].tolist() == [2.0**k for k in range(-6, 7)]
    assert all(1 <= power / math.exp2(x) < 1.0622 for power, x in zip(powers, exponents, strict=True))


def test_skewed_stays_in_the_unit_interval_and_leans_to_0() -> None:
    bent = skewed(np.linspace(0, 1, 101)[:-1], 0.8)
    assert bent.min() == 0
    assert bent.max() < 1
    assert np.median(bent) < 0.25
