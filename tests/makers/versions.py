"""Registered versions without a training: a small model goes the way that `train` goes, and leaves the same receipt."""

from __future__ import annotations

import lakewarden
from lakewarden.lake import releases
from lakewarden.models import registry
from lakewarden.operations import acts, release
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
