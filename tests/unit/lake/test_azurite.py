"""The emulator of Azure Blob storage gives what the lake stands on, through obstore and delta-rs alike."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterable

import obstore
import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from obstore.exceptions import AlreadyExistsError, NotFoundError
from obstore.store import AzureStore

pytestmark = pytest.mark.timeout(400)  # the first run installs it

FRAME = pl.DataFrame({"n": [1, 2], "day": ["a", "b"]})


def listed(store: AzureStore, prefix: str | None = None) -> list[str]:
    batches: Iterable[list[dict[str, object]]] = obstore.list(store, prefix)  # type: ignore[assignment]
    return sorted(str(entry["path"]) for batch in batches for entry in batch)


def test_objects_are_put_read_listed_overwritten_and_deleted(azurite, azure_root: str) -> None:
    by_options = AzureStore(azure_root.removeprefix("az://"), config=azurite.options)
    by_environment = obstore.store.from_url(f"{azure_root}/lake")
    obstore.put(by_options, "lake/a/one", b"1")
    obstore.put(by_environment, "a/two", b"2" * 20_000_000)
    assert bytes(obstore.get(by_environment, "a/one").bytes()) == b"1"
    assert len(obstore.get(by_options, "lake/a/two").bytes()) == 20_000_000
    assert listed(by_environment) == ["a/one", "a/two"]
    obstore.put(by_environment, "a/one", b"new")
    assert bytes(obstore.get(by_options, "lake/a/one").bytes()) == b"new"
    with pytest.raises(AlreadyExistsError):
        obstore.put(by_environment, "a/one", b"newer", mode="create")
    obstore.delete(by_environment, "a/one")
    with pytest.raises((NotFoundError, FileNotFoundError)):
        obstore.get(by_environment, "a/one")
    assert listed(by_options, "lake") == ["lake/a/two"]


def test_an_object_is_replaced_only_if_it_is_still_the_one(azure_root: str) -> None:
    store = obstore.store.from_url(azure_root)
    first = obstore.put(store, "lease", b"1")["e_tag"]
    second = obstore.put(store, "lease", b"2", mode={"e_tag": first})["e_tag"]
    assert first != second
    with pytest.raises(obstore.exceptions.PreconditionError):
        obstore.put(store, "lease", b"3", mode={"e_tag": first})
    assert bytes(obstore.get(store, "lease").bytes()) == b"2"


def test_every_container_is_fresh(azurite) -> None:
    one, other = azurite.new_container(), azurite.new_container()
    obstore.put(AzureStore(one, config=azurite.options), "x", b"1")
    assert listed(AzureStore(other, config=azurite.options)) == []


def test_a_delta_table_is_appended_to_and_read(azurite, azure_root: str) -> None:
    uri = f"{azure_root}/lake/table"
    for number in range(3):
        write_deltalake(
            uri,
            FRAME.with_columns(batch=pl.lit(number)),
            mode="append",
            partition_by=["day"],
            storage_options=azurite.options,
            commit_properties=CommitProperties(app_transactions=[Transaction("stream", number)]),
        )
    table = DeltaTable(uri)  # the environment alone is enough
    assert table.version() == 2
    assert table.transaction_version("stream") == 2
    read = pl.read_delta(uri, storage_options=azurite.options)
    assert read.height == 6
    assert read.filter(pl.col("day") == "b")["n"].to_list() == [2, 2, 2]


def test_a_commit_from_a_stale_handle_is_refused(azure_root: str) -> None:
    uri = f"{azure_root}/table"
    write_deltalake(uri, FRAME)
    stale, current = DeltaTable(uri), DeltaTable(uri)
    no_retry = CommitProperties(max_commit_retries=0)
    write_deltalake(current, FRAME, mode="append", commit_properties=no_retry)
    with pytest.raises(CommitFailedError):
        write_deltalake(stale, FRAME, mode="append", commit_properties=no_retry)
    assert DeltaTable(uri).version() == 1


def test_another_process_reaches_it_by_the_variables_alone(azure_root: str) -> None:
    write_deltalake(f"{azure_root}/table", FRAME)
    script = f"from deltalake import DeltaTable; print(DeltaTable({azure_root + '/table'!r}).version())"
    done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "0"


def test_a_whole_lake_lives_there_through_the_same_code(azure_root: str, tmp_path) -> None:
    import lakewarden
    from lakewarden.errors import LakeBusyError
    from lakewarden.lake.lease import Lease

    lakewarden.simulate(tmp_path / "sim", seed=3, days=1, customers=100, events_per_day=400, faults="all")
    lake = lakewarden.init(f"{azure_root}/lake")
    lake.reference_import(tmp_path / "sim" / "reference")
    with Lease(lake.house.store, "run-first", "2026-01-05"), pytest.raises(LakeBusyError, match="run-first"):
        lake.stream(tmp_path / "sim", once=True)
    report = lake.stream(tmp_path / "sim", once=True, batch_rows=100)
    again = lakewarden.open(f"{azure_root}/lake")
    assert again.stream(tmp_path / "sim", once=True).rows == 0
    assert again.conserve("2026-01-05").ok
    assert again.verify("2026-01-05").differences == 0
    assert again.sql("SELECT count(*) AS n FROM transactions_bronze").data == [{"n": report.rows}]
    table = again.house.tables["transactions_silver"]
    assert table.files()
    before = table.scan().collect().height
    from lakewarden.lake.maintenance import Maintenance

    Maintenance(again.house.store, {"transactions_silver": table}, again.house.settings).tidy(table, dt.datetime.now(dt.UTC), fan=2)
    assert table.scan().collect().height == before
