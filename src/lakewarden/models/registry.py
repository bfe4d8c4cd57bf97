"""Models under a name and a version: an MLflow registry, in SQLite beside the lake unless the environment names a server.

MLflow takes seconds to import, so it is imported inside the functions that need it; nothing that streams does.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import ModelError, StorageError

if TYPE_CHECKING:
    from lakewarden.flow.model import ScoringModel
    from lakewarden.lake.store import Store

EXPERIMENT: Final = "lakewarden"
PRODUCTION: Final = "production"
STAGING: Final = "staging"
ARCHIVED: Final = "archived"
"""Stages of a version: the one that scores, one that is tried, one that is put away. The first two are aliases too."""

STAGE: Final = "stage"
SUPERSEDED_BY: Final = "superseded_by"
ROLLED_BACK_FROM: Final = "rolled_back_from"
"""Tags of a version: its stage; the version that took its place; the change that rolled back from it."""

FOLDER: Final = "_registry"
PACKED: Final = "model.lakewarden"


@dataclass(frozen=True)
class Registered:
    """A registered version of a model."""

    name: str
    version: str
    run_id: str

    def stamp(self, model: ScoringModel) -> ScoringModel:
        """The model under this name, version and run."""
        return model.renamed(self.name, self.version, self.run_id)


def store_uri(store: Store) -> str:
    """Where a lake's models are registered: `MLFLOW_TRACKING_URI`, else SQLite in the lake's own folder.

    SQLite can't lie in a blob store, so a remote lake's registry is then in the user's state folder, by the lake's address.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI")
    if named:
        return named
    if store.local is not None:
        folder = Path(store.local) / FOLDER
    else:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        folder = state / "lakewarden" / "registries" / hashlib.sha256(store.root.encode()).hexdigest()[:16]
    return f"sqlite:///{folder / 'mlflow.db'}"


def register(
    uri: str,
    packed: bytes,
    model: ScoringModel,
    metrics: Mapping[str, float | None],
    *,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Registered:
    """Record a run with its metrics, register its model as the next version and point the alias `production` to it.

    The version that had it is tagged as archived and as superseded by the new one.

    Args:
        uri: see `store_uri`.
        packed: what `ScoringModel.to_bytes` gave.
        model: gives the registry name.
        metrics: those that are None are left out.
        params: how it was made.
        tags: further facts, of the run and of the version.

    Raises:
        StorageError: the registry can't be reached or written.
    """
    with client_of(uri) as client:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException

        run = client.create_run(_experiment(client, uri), run_name=model.name)
        run_id, moment = run.info.run_id, run.info.start_time
        client.log_batch(
            run_id,
            [Metric(name, value, moment, 0) for name, value in metrics.items() if value is not None],
            [Param(name, value) for name, value in (params or {}).items()],
            [RunTag(name, value) for name, value in (tags or {}).items()],
        )
        with tempfile.TemporaryDirectory(prefix="lakewarden-model-") as folder:
            path = Path(folder) / PACKED
            path.write_bytes(packed)
            client.log_artifact(run_id, str(path))
        try:
            client.create_registered_model(model.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        told = {**(tags or {}), STAGE: PRODUCTION}
        version = client.create_model_version(model.name, f"{run.info.artifact_uri}/{PACKED}", run_id, tags=told)
        former = client.get_registered_model(model.name).aliases.get(PRODUCTION)
        if former is not None:
            client.set_model_version_tag(model.name, former, STAGE, ARCHIVED)
            client.set_model_version_tag(model.name, former, SUPERSEDED_BY, str(version.version))
        client.set_registered_model_alias(model.name, PRODUCTION, version.version)
        client.set_terminated(run_id)
        return Registered(model.name, str(version.version), run_id)


def set_production(uri: str, name: str, version: str) -> None:
    """Point the alias `production` to another version.

    Raises:
        ModelError: there is no such version.
        StorageError: the registry can't be reached or written.
    """
    with client_of(uri) as client:
        _version(client, name, version)
        client.set_registered_model_alias(name, PRODUCTION, version)


def production(uri: str, name: str) -> Registered | None:
    """The version with the alias `production`, None if there is none.

    Raises:
        StorageError: the registry can't be reached.
    """
    with client_of(uri) as client:
        from mlflow.exceptions import MlflowException

        try:
            found = client.get_model_version_by_alias(name, PRODUCTION)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise
        return Registered(name, str(found.version), str(found.run_id))


def load(uri: str, name: str, version: str) -> bytes:
    """The packed model of a version, or of an alias.

    Raises:
        ModelError: there is no such version or alias, or its file is gone.
        StorageError: the registry can't be reached.
    """
    with client_of(uri) as client:
        from mlflow.exceptions import MlflowException

        found = _version(client, name, version)
        with tempfile.TemporaryDirectory(prefix="lakewarden-model-") as folder:
            try:
                return Path(client.download_artifacts(found.run_id, PACKED, folder)).read_bytes()
            except (OSError, MlflowException) as error:
                raise ModelError(
                    f"The file of model {name} {found.version} can't be read from {found.source}: {_line(error)}.",
                    state="the registry and the release in force stay as they are",
                    next="lakewarden train --from LABELS",
                ) from error


_ABSENT: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def _version(client: Any, name: str, version: str) -> Any:  # noqa: ANN401  (MLflow ships no type information)
    from mlflow.exceptions import MlflowException

    try:
        if version.isdigit():
            return client.get_model_version(name, version)
        return client.get_model_version_by_alias(name, version)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        raise ModelError(
            f"The registry has no model {name} {version}.",
            state="the registry and the release in force stay as they are",
            next="lakewarden train --from LABELS (registers one)",
        ) from error


def _experiment(client: Any, uri: str) -> str:  # noqa: ANN401
    """The experiment that runs belong to. A folder that was moved gets one of its own, else files would go to where it was."""
    location = None
    if uri.startswith("sqlite:///"):
        location = (Path(uri.removeprefix("sqlite:///")).parent / "artifacts").absolute().as_uri()
    name = EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found is not None and location is not None and found.artifact_location != location:
        name = f"{EXPERIMENT}-{hashlib.sha256(location.encode()).hexdigest()[:8]}"
        found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found is not None else client.create_experiment(name, artifact_location=location))


@contextmanager
def client_of(uri: str) -> Generator[Any]:
    """A client of a registry; its failures become ours. Nothing is sent anywhere but to `uri`, and nothing is printed.

    Raises:
        StorageError: the registry can't be reached or written.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read once, when MLflow is imported
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own 7 take minutes; our commands can be run again
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # else it prints where there is no git
    if uri.startswith("sqlite:///"):
        try:
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unreachable(uri, error) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what MLflow's own dependencies deprecate
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
        from sqlalchemy.exc import SQLAlchemyError

        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        try:
            yield MlflowClient(uri, uri)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise _unreachable(uri, error) from error


def _unreachable(uri: str, error: Exception) -> StorageError:
    return StorageError(
        f"The model registry at {uri.rsplit('@', maxsplit=1)[-1]} failed: {_line(error)}.",
        state="the release in force stays",
        next="check MLFLOW_TRACKING_URI, or that the lake's folder can be written, and run the same command again",
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
