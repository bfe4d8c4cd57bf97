"""The mapping file: which source column becomes which property of the contract. Checked when it is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Hashable
from pathlib import Path
from string import Formatter

import polars as pl
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from lakewarden.errors import ConfigurationError
from lakewarden.sources.values import timezone_known
from lakewarden.tables import EVENT_PROPERTIES


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(_Spec):
    """Where a property comes from: a column, a constant or a template; the text alone is a column's name."""

    column: str | None = Field(default=None, description="A column (or top-level JSON property) of the source.")
    value: StrictBool | StrictStr | StrictInt | StrictFloat | list[StrictStr] | None = Field(default=None, description="A constant.")
    template: str | None = Field(default=None, description="Text with {COLUMN} places; null if one of them is.")
    format: str | None = Field(default=None, description="Of a time: strftime letters, or epoch_s, epoch_ms, epoch_us, epoch_ns.")
    timezone: str = Field(default="UTC", description="Of times that name none.")
    scale: float | None = Field(default=None, description="Of a number: what to multiply it with (0.01 for cents).")
    separator: str = Field(default=";", min_length=1, description="Of a list held as text.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        return {"column": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one(self) -> Origin:
        if sum(part is not None for part in (self.column, self.value, self.template)) != 1:
            raise ValueError("give exactly one of column, value and template")
        try:
            list(Formatter().parse(self.template or ""))
        except ValueError as error:
            raise ValueError(f"template: {error}; write {{{{ and }}}} for braces") from error
        if not timezone_known(self.timezone):
            raise ValueError(f"unknown timezone {self.timezone!r}")
        if self.scale is not None and (self.scale == 0 or abs(self.scale) == float("inf") or self.scale != self.scale):
            raise ValueError("scale must be a number other than 0")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns it reads."""
        if self.column is not None:
            return (self.column,)
        return tuple(name for _, name, _, _ in Formatter().parse(self.template or "") if name)


class Typology(_Spec):
    """Which column says what kind of fraud it is, and what its values are called."""

    column: str
    names: dict[str, str] = Field(default_factory=dict, description="Value (as text) to typology; others keep their text.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        return {"column": given} if isinstance(given, str) else given

    @field_validator("names", mode="before")
    @classmethod
    def _texts(cls, given: object) -> object:
        return {str(key): value for key, value in given.items()} if isinstance(given, dict) else given


class LabelSpec(_Spec):
    """Which columns hold labels, for training; they are never part of an event."""

    is_fraud: str = Field(description="Column of 0 and 1, true and false.")
    transaction_id: str | None = Field(default=None, description="Column; without it the one of the event's transaction_id.")
    known_after_days: float | None = Field(default=None, ge=0, description="Days from event_time until a label is known.")
    known_time: Origin | None = Field(default=None, description="Column with the time at which it is known.")
    typology: Typology | None = None

    @model_validator(mode="after")
    def _one_time(self) -> LabelSpec:
        if self.known_time is not None and self.known_time.column is None:
            raise ValueError("known_time must be a column")
        if self.known_time is not None and self.known_after_days is not None:
            raise ValueError("give known_time or known_after_days, not both")
        return self

    @property
    def secret(self) -> frozenset[str]:
        """The columns that must not reach an event."""
        known = self.known_time.columns if self.known_time else ()
        return frozenset((self.is_fraud, *known, *([self.typology.column] if self.typology else [])))


class MappingSpec(_Spec):
    """A mapping file's content. Without any settings, columns keep their names and only their values are fitted to the contract."""

    columns: dict[str, Origin] = Field(default_factory=dict, description="Contract property to its origin.")
    drop: frozenset[str] = Field(default=frozenset(), description="Columns that are not kept.")
    arrival: Origin | None = Field(default=None, description="When an event arrived; becomes `enqueued_time`.")
    labels: LabelSpec | None = Field(default=None, description="Where labels are, for training.")

    @field_validator("columns")
    @classmethod
    def _properties(cls, columns: dict[str, Origin]) -> dict[str, Origin]:
        for name, origin in columns.items():
            if name not in EVENT_PROPERTIES:
                close = difflib.get_close_matches(name, EVENT_PROPERTIES, 1)
                meant = (
                    f"; did you mean {close[0]}?" if close else "; further columns are kept under their own names without being named here"
                )
                raise ValueError(f"{name} is no property of the contract{meant}")
            _check_constant(name, origin)
        return columns


def load_spec(path: str | Path) -> MappingSpec:
    """Read a mapping file.

    Raises:
        ConfigurationError: it's missing, no YAML, or not a mapping; every offending key is named.
    """
    try:
        given = yaml.load(Path(path).read_text("utf-8"), _UniqueLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the mapping file {path} can't be read: {error}", next="give --mapping the path of a YAML file"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the mapping file {path} is no YAML: {error}", next="see examples/handbook.yaml") from error
    try:
        return MappingSpec.model_validate({} if given is None else given)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'mapping'}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()
        ]
        raise ConfigurationError(
            f"the mapping file {path} can't be used: " + "; ".join(faults), next="see examples/handbook.yaml"
        ) from error


class _UniqueLoader(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error, not silently the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"given twice: {', '.join(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def _check_constant(name: str, origin: Origin) -> None:
    if origin.template is not None and not origin.columns:
        raise ValueError(f"{name}.template names no {{COLUMN}}: use value for a constant")
    if origin.value is None:
        return
    dtype = EVENT_PROPERTIES[name]
    if dtype == pl.Float64:
        if isinstance(origin.value, bool) or not isinstance(origin.value, int | float):
            raise ValueError(f"{name}.value must be a number")
    elif dtype == pl.List(pl.String):
        if not isinstance(origin.value, list):
            raise ValueError(f"{name}.value must be a list of text")
    elif not isinstance(origin.value, str):
        raise ValueError(f"{name}.value must be text: put {origin.value!r} in quotes (YAML reads NO as false, 0742 as a number)")
