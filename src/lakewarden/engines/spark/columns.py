"""Polars columns as Spark wants them, and back; value for value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from lakewarden.errors import LakewardenError

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

_PLAIN: Final[dict[pl.DataType, tuple[str, pa.DataType]]] = {
    pl.Boolean(): ("boolean", pa.bool_()),
    pl.Int8(): ("tinyint", pa.int8()),
    pl.Int32(): ("int", pa.int32()),
    pl.Int64(): ("bigint", pa.int64()),
    pl.Float64(): ("double", pa.float64()),
    pl.String(): ("string", pa.string()),
    pl.Binary(): ("binary", pa.binary()),
    pl.Date(): ("date", pa.date32()),
    pl.Datetime("us", "UTC"): ("timestamp", pa.timestamp("us", "UTC")),
}


def spark_schema(schema: pl.Schema) -> StructType:
    """A Polars schema as Spark's; every column may be null."""
    from pyspark.sql.types import StructType

    return StructType.fromDDL(", ".join(f"`{name}` {_types(dtype)[0]}" for name, dtype in schema.items()))


def to_arrow(frame: pl.DataFrame, schema: pl.Schema) -> pa.Table:
    """A frame as an Arrow table of the types that Spark reads, in the order of `schema`; columns that it lacks are null."""
    lacking = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    table = frame.with_columns(lacking).select(schema.names()).to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.cast(pa.schema([(name, _types(dtype)[1]) for name, dtype in schema.items()]))


def from_arrow(table: pa.Table, schema: pl.Schema) -> pl.DataFrame:
    """A frame with the columns of `schema`, of an Arrow table from Spark that has them."""
    frame = pl.from_arrow(table.select(schema.names()))
    assert isinstance(frame, pl.DataFrame)
    return frame.cast(dict(schema.items()))


def _types(dtype: object) -> tuple[str, pa.DataType]:
    """A Polars type's names in Spark and Arrow."""
    if isinstance(dtype, type):  # an inner type may be named by its class
        return _types(dtype())
    if isinstance(dtype, pl.List):
        name, inner = _types(dtype.inner)
        return f"array<{name}>", pa.list_(inner)
    if isinstance(dtype, pl.Struct):
        fields = [(field.name, *_types(field.dtype)) for field in dtype.fields]
        return f"struct<{', '.join(f'`{name}`: {text}' for name, text, _ in fields)}>", pa.struct(
            [(name, arrow) for name, _, arrow in fields]
        )
    if not isinstance(dtype, pl.DataType) or dtype not in _PLAIN:
        raise LakewardenError(
            f"Columns of type {dtype} don't travel through Spark.",
            state="nothing was written",
            next="give the column one of the types of lakewarden/tables.py",
        )
    return _PLAIN[dtype]
