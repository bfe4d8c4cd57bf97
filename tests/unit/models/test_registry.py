"""The registry: versions, alias, metrics, files; quiet and on its own."""

from types import SimpleNamespace

import pytest

from lakewarden.errors import ModelError, StorageError
from lakewarden.flow.model import ScoringModel
from lakewarden.models import registry
from makers import models


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('lake') / '_registry' / 'mlflow.db'}"


@pytest.fixture(scope="module")
def first(uri: str) -> registry.Registered:
    model = models.model().renamed("lakewarden", "0", "")
    return registry.register(
        uri, model.to_bytes(), model, {"auc": 0.9, "brier": None}, params={"seed": "7"}, tags={"features_version": "1"}
    )


def test_first_version_is_production(uri: str, first: registry.Registered) -> None:
    assert (first.name, first.version) == ("lakewarden", "1")
    assert registry.production(uri, "lakewarden") == first
    assert registry.production(uri, "unheard-of") is None


def test_what_was_registered_comes_back(uri: str, first: registry.Registered) -> None:
    expected = models.model().renamed("lakewarden", "0", "").to_bytes()
    assert registry.load(uri, "lakewarden", "production") == expected
    assert registry.load(uri, "lakewarden", "1") == expected
    stamped = first.stamp(ScoringModel.from_bytes(expected))
    assert (stamped.version, stamped.run_id) == ("1", first.run_id)


def test_the_run_holds_metrics_and_parameters(uri: str, first: registry.Registered) -> None:
    from mlflow.tracking import MlflowClient

    run = MlflowClient(uri, uri).get_run(first.run_id)
    assert run.data.metrics == {"auc": 0.9}
    assert run.data.params == {"seed": "7"}
    assert run.data.tags["features_version"] == "1"
    assert run.info.status == "FINISHED"


def test_a_second_version_takes_over_and_the_first_can_come_back(uri: str, first: registry.Registered) -> None:
    model = models.model(labels=False).renamed("lakewarden", "0", "")
    second = registry.register(uri, model.to_bytes(), model, {})
    assert second.version == "2"
    assert registry.production(uri, "lakewarden") == second
    registry.set_production(uri, "lakewarden", "1")
    assert registry.production(uri, "lakewarden") == first


@pytest.mark.parametrize("version", ["77", "staging"])
def test_no_such_version(uri: str, first: registry.Registered, version: str) -> None:
    with pytest.raises(ModelError, match=f"no model lakewarden {version}"):
        registry.load(uri, "lakewarden", version)
    with pytest.raises(ModelError, match="no model"):
        registry.set_production(uri, "lakewarden", "77")


def test_nothing_is_printed(uri: str, first: registry.Registered, capfd) -> None:
    model = models.model().renamed("quiet", "0", "")
    registry.register(uri, model.to_bytes(), model, {"auc": 0.5})
    registry.load(uri, "quiet", "production")
    assert capfd.readouterr() == ("", "")


def test_a_registry_that_cannot_be_written(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    model = models.model()
    with pytest.raises(StorageError, match="model registry"):
        registry.register(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}", b"", model, {})
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError, match="model registry"):
        registry.register(f"sqlite:///{tmp_path / 'mlflow.db'}", b"", model, {})


def test_a_lost_file_is_an_error_with_its_place(tmp_path) -> None:
    uri = f"sqlite:///{tmp_path / '_registry' / 'mlflow.db'}"
    model = models.model()
    registry.register(uri, model.to_bytes(), model, {})
    for path in tmp_path.rglob(registry.PACKED):
        path.unlink()
    with pytest.raises(ModelError, match=r"model\.lakewarden"):
        registry.load(uri, model.name, "production")


def test_a_lake_that_was_moved_keeps_its_new_files_with_it(tmp_path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    model = models.model()
    registry.register(f"sqlite:///{here / 'mlflow.db'}", model.to_bytes(), model, {})
    here.rename(there)
    registry.register(f"sqlite:///{there / 'mlflow.db'}", model.to_bytes(), model, {})
    assert not here.exists()
    assert registry.load(f"sqlite:///{there / 'mlflow.db'}", model.name, "2") == model.to_bytes()


def test_where_a_registry_is(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    local = SimpleNamespace(local=tmp_path / "lake", root=str(tmp_path / "lake"))
    remote = SimpleNamespace(local=None, root="az://container/lake")
    assert registry.store_uri(local) == f"sqlite:///{tmp_path}/lake/_registry/mlflow.db"
    assert registry.store_uri(remote).startswith(f"sqlite:///{tmp_path}/lakewarden/registries/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry:5000")
    assert registry.store_uri(local) == "http://registry:5000"
