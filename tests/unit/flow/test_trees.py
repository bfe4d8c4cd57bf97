"""Trees as arrays: the same margins as CatBoost to the last bit, its Shapley values, and no dependence on the cut."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.errors import ModelError
from lakewarden.flow.trees import BLOCK
from lakewarden.models.oblivious import from_catboost, shapley_values


def data(rows: int = 4000, columns: int = 7, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.asfortranarray(np.round(rng.normal(size=(rows, columns)), 3).astype(np.float32))
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 3] = rng.integers(0, 2, rows)
    odds = np.nan_to_num(x[:, 0]) * 2 - np.nan_to_num(x[:, 1]) * np.nan_to_num(x[:, 2]) + x[:, 3] - 2
    return x, rng.random(rows) < 1 / (1 + np.exp(-odds))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from catboost import CatBoostClassifier

    x, y = data()
    classifier = CatBoostClassifier(
        iterations=80, depth=5, border_count=600, random_seed=3, logging_level="Silent", allow_writing_files=False
    )
    classifier.fit(x, y.astype(int))
    path = tmp_path_factory.mktemp("trees") / "classifier.json"
    classifier.save_model(str(path), format="json")
    return classifier, from_catboost(json.loads(path.read_bytes()))


def test_margins_are_catboosts_to_the_last_bit(trained) -> None:
    classifier, trees = trained
    x, _ = data(3 * BLOCK + 17, seed=2)
    x[5], x[6] = np.inf, -np.inf
    assert (trees.margins(x) == classifier.predict(x, prediction_type="RawFormulaVal")).all()


def test_shapley_values_are_catboosts(trained) -> None:
    from catboost import Pool

    classifier, trees = trained
    x, _ = data(500, seed=4)
    expected = classifier.get_feature_importance(Pool(x), type="ShapValues")
    np.testing.assert_allclose(trees.contributions(x), expected, atol=1e-12)


def test_contributions_sum_to_the_margin(trained) -> None:
    _, trees = trained
    x, _ = data(BLOCK + 5, seed=5)
    np.testing.assert_allclose(trees.contributions(x).sum(axis=1), trees.margins(x), atol=1e-12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 2 * BLOCK + 100), max_size=4))
def test_no_cut_of_the_rows_changes_a_bit(trained, cuts) -> None:
    _, trees = trained
    x, _ = data(2 * BLOCK + 100, seed=6)
    ends = [0, *sorted(cuts), len(x)]
    parts = [np.ascontiguousarray(x[a:b]) for a, b in itertools.pairwise(ends)]
    assert (np.concatenate([trees.margins(part) for part in parts]) == trees.margins(x)).all()
    assert (np.concatenate([trees.contributions(part) for part in parts]) == trees.contributions(x)).all()


def test_a_feature_with_more_borders_than_a_byte_holds() -> None:
    borders = [float(b) for b in range(600)]
    splits = [[{"float_feature_index": 0, "border": float(b)}] for b in range(600)]
    trees = from_catboost(
        {
            "features_info": {"float_features": [{"feature_index": 0, "flat_feature_index": 2, "borders": borders}]},
            "scale_and_bias": [1, [0.5]],
            "oblivious_trees": [{"splits": split, "leaf_values": [0.0, 1.0], "leaf_weights": [1, 1]} for split in splits],
        }
    )
    x = np.zeros((6, 3), np.float32)
    x[:, 2] = [-1, 0, 0.5, 253.5, 254.5, 1000]
    assert trees.margins(x).tolist() == [0.5, 0.5, 1.5, 254.5, 255.5, 600.5]


def test_rows_of_no_height(trained) -> None:
    _, trees = trained
    x = np.zeros((0, 7), np.float32)
    assert trees.margins(x).shape == (0,)
    assert trees.contributions(x).shape == (0, 8)


def test_shapley_values_by_their_definition() -> None:
    """Two features, one of them asked twice: players share by features, not by questions."""
    rng = np.random.default_rng(9)
    leaves, weights = rng.normal(size=8), rng.integers(1, 9, 8).astype(float)
    mean, parts, who = shapley_values([4, 2, 4], leaves, weights)
    assert who == [2, 4]
    assert mean == pytest.approx((leaves * weights).sum() / weights.sum())
    np.testing.assert_allclose(mean + parts.sum(axis=1), leaves)
    # feature 2 alone (bit 1), by the path: the root is the last question (bit 2, feature 4), then bit 1, then bit 0
    leaf = 0b010
    by_root = [weights[4 * root : 4 * root + 4].sum() / weights.sum() for root in (0, 1)]
    below = [np.average(leaves[4 * root + 2 : 4 * root + 4], weights=weights[4 * root + 2 : 4 * root + 4]) for root in (0, 1)]
    only_2 = by_root[0] * below[0] + by_root[1] * below[1]
    both = leaves[leaf]
    # feature 4 alone: root 0, bit 1 by the weights of its branches, bit 0 is 0
    only_4 = (weights[[0, 1]].sum() * leaves[0] + weights[[2, 3]].sum() * leaves[2]) / weights[:4].sum()
    assert parts[leaf, 0] == pytest.approx(((only_2 - mean) + (both - only_4)) / 2)


def test_leaves_that_no_row_reached_are_still_explained() -> None:
    leaves, weights = np.asarray([1.0, 2.0, 4.0, 8.0]), np.asarray([5.0, 0.0, 0.0, 0.0])
    mean, parts, _ = shapley_values([0, 1], leaves, weights)
    assert mean == 1.0
    np.testing.assert_allclose(mean + parts.sum(axis=1), leaves)


@pytest.mark.parametrize(
    "described", [{"trees": []}, {"oblivious_trees": [{"splits": [{}] * 9}], "features_info": {}, "scale_and_bias": [1, [0]]}]
)
def test_other_trees_are_refused(described) -> None:
    with pytest.raises(ModelError, match="can't be taken over"):
        from_catboost(described)
