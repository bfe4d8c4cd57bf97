"""The lake's tables through Spark's Delta: read at a version, written once under a number."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from lakewarden.errors import ConfigurationError, StorageError
from lakewarden.lake.table import APPLICATION, StaleVersionError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakewarden.lake.table import LakeTable

ACCOUNT: Final = "AZURE_STORAGE_ACCOUNT_NAME"


def address(uri: str) -> str:
    """A lake's path as Spark names it: `az://container/path` is `abfss://container@account.dfs.core.windows.net/path`.

    Raises:
        ConfigurationError: the storage account isn't named.
    """
    parts = urlsplit(uri)
    if parts.scheme not in {"az", "abfs", "abfss"}:
        return f"file://{uri}" if uri.startswith("/") else uri
    if "@" in parts.netloc:
        return uri
    account = os.environ.get(ACCOUNT)
    if not account:
        raise ConfigurationError(
            f"Spark can't find {uri}: the storage account isn't named.", state="nothing was read", next=f"export {ACCOUNT}=ACCOUNT"
        )
    return f"abfss://{parts.netloc}@{account}.dfs.core.windows.net{parts.path}"


def read(session: SparkSession, table: LakeTable, version: int | None = None) -> DataFrame:
    """A table at a version (None: the newest).

    Raises:
        StaleVersionError: the version's log entries have been cleaned away.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    reader = session.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    try:
        return reader.load(address(table.uri))
    except (PySparkException, Py4JError) as error:
        if version is not None:
            raise StaleVersionError(
                f"Version {version} of {table.spec.name} can't be opened any more.", next="run the command again"
            ) from error
        raise _failed(f"read {table.spec.name}", error) from error


def append(rows: DataFrame, table: LakeTable, number: int) -> int:
    """Commit rows under a number, once: a number that is there already is skipped; gives the newest version.

    Raises:
        StorageError: Spark could not write them.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    table.refresh()
    if table.last_batch() >= number:
        return table.version
    writer = rows.write.format("delta").mode("append").option("txnAppId", APPLICATION).option("txnVersion", number)
    try:
        with table.log.held():  # in a local folder Delta looks whether an entry is there and then renames its own over it
            writer.save(address(table.uri))
    except (PySparkException, Py4JError) as error:
        if table.refresh() and table.last_batch() >= number:
            return table.version  # somebody else wrote the very rows meanwhile
        raise _failed(f"write {table.spec.name}", error) from error
    return table.refresh()


def _failed(act: str, error: Exception) -> StorageError:
    text = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
    return StorageError(
        f"Spark can't {act}: {text}", state="all that was committed stands", next="look at the cause, then run the same command again"
    )
