"""A scoring model: what it says, and that packing it loses and adds nothing."""

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest

from lakewarden.errors import ModelError
from lakewarden.flow.features import FEATURES
from lakewarden.flow.model import ScoringModel
from makers import models


@pytest.fixture(params=[True, False], ids=["classifier", "no classifier"])
def model(request) -> ScoringModel:
    return models.model(labels=request.param)


def inputs(rows: int = 300) -> np.ndarray:
    rng = np.random.default_rng(8)
    x = np.asfortranarray((np.abs(rng.normal(size=(rows, len(FEATURES)))) * 3).astype(np.float32))
    x[:, FEATURES.index("amount")] *= 800
    x[rng.random(x.shape) < 0.1] = np.nan
    return x


def test_contributions_sum_to_the_log_odds(model: ScoringModel) -> None:
    x = inputs()
    np.testing.assert_allclose(model.contributions(x).sum(axis=1), model.log_odds(x), atol=1e-12)


def test_log_odds_are_the_calibrated_margin() -> None:
    model, x = models.model(), inputs()
    assert model.classifier is not None
    assert (model.log_odds(x) == 0.9 * model.classifier.margins(x) + 0.1).all()


def test_without_a_classifier_rarity_makes_the_log_odds() -> None:
    model, x = models.model(labels=False), inputs()
    order = np.argsort(model.anomaly.scores(x), kind="stable")
    assert (np.diff(model.log_odds(x)[order]) >= 0).all()


def test_packed_and_unpacked_is_the_same(model: ScoringModel) -> None:
    packed = model.to_bytes()
    again = ScoringModel.from_bytes(packed)
    assert again.to_bytes() == packed
    assert models.model(labels=model.classifier is not None).to_bytes() == packed
    x = inputs()
    assert (again.log_odds(x) == model.log_odds(x)).all()
    assert (again.contributions(x) == model.contributions(x)).all()
    assert (again.anomaly.scores(x) == model.anomaly.scores(x)).all()
    assert (again.name, again.version, again.run_id, again.feature_names) == ("lakewarden", "3", "run-3", FEATURES)
    assert again.anomaly.threshold == model.anomaly.threshold


def test_another_name_and_nothing_else(model: ScoringModel) -> None:
    other = model.renamed("risk", "9", "run-9")
    assert (other.name, other.version, other.run_id) == ("risk", "9", "run-9")
    assert (other.log_odds(inputs()) == model.log_odds(inputs())).all()


def test_a_lacking_feature_is_named() -> None:
    model = dataclasses.replace(models.model(), feature_names=(*FEATURES, "moon_phase"))
    with pytest.raises(ModelError, match="moon_phase") as refused:
        model.check_features(FEATURES)
    assert "lakewarden train" in str(refused.value)
    models.model().check_features(FEATURES)


def repacked(change) -> bytes:
    source = zipfile.ZipFile(io.BytesIO(models.model().to_bytes()))
    parts = {name: source.read(name) for name in source.namelist()}
    change(parts)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def another_format(parts: dict[str, bytes]) -> None:
    parts["model.json"] = json.dumps({**json.loads(parts["model.json"]), "format": 99}).encode()


def pickled(parts: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray([{"a": 1}], dtype=object), allow_pickle=True)
    parts["classifier/values.npy"] = buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zip",
        models.model().to_bytes()[:-100],
        repacked(lambda parts: parts.pop("model.json")),
        repacked(lambda parts: parts.pop("anomaly/used.npy")),
        repacked(lambda parts: parts.update({"model.json": b"[]"})),
        repacked(another_format),
        repacked(pickled),
    ],
)
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        ScoringModel.from_bytes(data)
