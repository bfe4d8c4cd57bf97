"""Aliases and tags: where versions stand, and how they move; every move may be made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakewarden.models import registry, stages
from lakewarden.models.stages import Move
from makers import models
from makers.versions import copied


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("three") / "_registry"
    for _ in range(3):
        model = models.model().renamed("m", "0", "")
        registry.register(f"sqlite:///{folder / 'mlflow.db'}", model.to_bytes(), model, {"auc": 0.9})
    return folder


@pytest.fixture
def uri(tmp_path, three) -> str:
    return f"sqlite:///{copied(three, tmp_path / '_registry') / 'mlflow.db'}"


def standing(uri: str) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    return {one.version: (one.stage, one.aliases) for one in stages.versions(uri, "m")}


def test_registering_archives_the_version_before_and_says_what_took_its_place(uri):
    assert standing(uri) == {"1": ("archived", ()), "2": ("archived", ()), "3": ("production", ("production",))}
    found = {one.version: one for one in stages.versions(uri, "m")}
    assert [found[version].superseded_by for version in "123"] == ["2", "3", None]
    assert found["1"].metrics == {"auc": 0.9}


@pytest.mark.parametrize("times", [1, 2])
def test_a_rollback_marks_the_version_that_it_leaves(uri, times):
    for _ in range(times):
        stages.move(uri, Move("m", "production", "2", "3", "archived", rolled_back="change-1"))
    found = {one.version: one for one in stages.versions(uri, "m")}
    assert standing(uri) == {"1": ("archived", ()), "2": ("production", ("production",)), "3": ("archived", ())}
    assert (found["3"].rolled_back_from, found["3"].superseded_by, found["2"].superseded_by) == ("change-1", None, None)


@pytest.mark.parametrize("times", [1, 2])
def test_two_versions_change_places(uri, times):
    stages.move(uri, Move("m", "staging", "2", None))
    assert standing(uri)["2"] == ("staging", ("staging",))
    for _ in range(times):
        stages.move(uri, Move("m", "production", "2", "3", "staging"))
    assert standing(uri) == {"1": ("archived", ()), "2": ("production", ("production",)), "3": ("staging", ("staging",))}


@pytest.mark.parametrize("times", [1, 2])
def test_one_that_is_promoted_from_staging_is_in_staging_no_longer(uri, times):
    stages.move(uri, Move("m", "staging", "1", None))
    for _ in range(times):
        stages.move(uri, Move("m", "production", "1", "3"))
    assert standing(uri) == {"1": ("production", ("production",)), "2": ("archived", ()), "3": ("archived", ())}


def test_who_goes_to_staging_takes_the_place_of_who_is_there(uri):
    stages.move(uri, Move("m", "staging", "1", None))
    stages.move(uri, Move("m", "production", "2", "3", "staging"))
    assert standing(uri) == {"1": ("archived", ()), "2": ("production", ("production",)), "3": ("staging", ("staging",))}


@pytest.mark.parametrize("times", [1, 2])
def test_back_to_the_scorecard_nobody_is_in_production(uri, times):
    for _ in range(times):
        stages.move(uri, Move("m", "production", None, "3", rolled_back="change-1"))
    assert standing(uri)["3"] == ("archived", ())


def test_where_there_is_no_registry_there_are_no_versions_and_none_is_made(tmp_path):
    assert stages.versions(f"sqlite:///{tmp_path / 'mlflow.db'}", "m") == []
    assert not (tmp_path / "mlflow.db").exists()
