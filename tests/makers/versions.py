"""Registered versions without a training: a small model goes the way that `train` goes, and leaves the same receipt."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import lakewarden
from lakewarden.lake import releases
from lakewarden.models import registry
from lakewarden.operations import acts, conf, release
from lakewarden.operations.dates import utc_now
from lakewarden.operations.train import TrainReport
from makers import models


def trained(lake: lakewarden.Lake, *, labels: bool = True) -> TrainReport:
    """The next version, in production and in force."""
    store = lake.house.store
    witness = lake.witness("model.train", "made for a test", None, ())
    release.ensure(store, utc_now())
    made = models.model(labels=labels).renamed("lakewarden", "0", "")
    registered = registry.register(registry.store_uri(store), made.to_bytes(), made, {"auc": 0.9 if labels else 0.7})
    stamped = registered.stamp(made)
    sha256 = releases.put_blob(store, stamped.to_bytes())
    release.set_model(store, releases.ModelRef(stamped.name, stamped.version, stamped.run_id, sha256))
    inforce = release.create(store, utc_now())
    report = TrainReport(inforce.id, stamped.name, stamped.version, stamped.run_id, 0, 0, 0, {}, 0.0)
    acts.trained(witness, store, report, {})
    return report


def two_versions(root: Path) -> Path:
    """A new lake: the scorecard, version 1, another threshold, version 2."""
    lake = lakewarden.init(root)
    trained(lake)
    settings = root / conf.SETTINGS
    settings.write_text(settings.read_text().replace("band_high: 0.8\n", "band_high: 0.7\n"))
    trained(lake, labels=False)
    return root


def copied(source: Path, root: Path) -> Path:
    """A copy of a folder whose registry, if it has one, is the copy's own: MLflow writes down where its files are.

    To make a registry takes more than a second each time, to copy it nothing.
    """
    shutil.copytree(source, root)
    for database in root.rglob("mlflow.db"):
        with closing(sqlite3.connect(database)) as connection, connection:
            for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location"), ("model_versions", "source")):
                connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(source), str(root)))
    return root
