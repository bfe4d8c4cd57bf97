"""Watchlists in the form in which their publishers give them out: OFAC SDN (CSV) and UN consolidated (XML).

Sources: US Treasury, "Specially Designated Nationals and Blocked Persons: data specification" (sdn.csv, alt.csv, add.csv:
no header, `-0-` for nothing, one number for an entry in all three); UN Security Council, consolidated list, XML.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET
from xml.parsers import expat

import polars as pl

from lakewarden.errors import SourceError
from lakewarden.rules.references import SCHEMAS, validate

OFAC: Final = "OFAC SDN"
UN: Final = "UN"

_NOTHING: Final = "-0-"
_SDN_COLUMNS: Final = 12
_ALT_COLUMNS: Final = 5
_ADD_COLUMNS: Final = 6


def read_ofac(sdn: Path, alt: Path | None = None, add: Path | None = None) -> pl.DataFrame:
    """The OFAC list as reference kind `watchlist`: entries `OFAC-<number>`, every alternative name an alias.

    Args:
        sdn: `sdn.csv`.
        alt: `alt.csv` (alternative names), or None.
        add: `add.csv` (addresses; the first country of an entry is kept, as published), or None.

    Raises:
        SourceError: a file is missing, isn't text, or has rows of another width than the specification.
    """
    aliases: dict[str, list[str]] = {}
    for row in _ofac_rows(alt, _ALT_COLUMNS) if alt else ():
        if row[3]:
            aliases.setdefault(row[0], []).append(row[3])
    countries: dict[str, str] = {}
    for row in _ofac_rows(add, _ADD_COLUMNS) if add else ():
        if row[4]:
            countries.setdefault(row[0], row[4])
    entries = [
        {
            "entry_id": f"OFAC-{row[0]}",
            "list": OFAC,
            "name": row[1],
            "aliases": list(dict.fromkeys(aliases.get(row[0], ()))),
            "kind": row[2] or "entity",
            "country": countries.get(row[0], row[9] or None),
        }
        for row in _ofac_rows(sdn, _SDN_COLUMNS)
    ]
    return _watchlist(entries, sdn)


def read_un(path: Path) -> pl.DataFrame:
    """The UN consolidated list as reference kind `watchlist`: entries `UN-<reference number>`, every alias kept.

    Raises:
        SourceError: the file is missing, isn't XML, declares a document type (refused: entities could be used to exhaust
            memory or read files), or isn't a consolidated list.
    """
    root = _parse_xml(path)
    if root.tag != "CONSOLIDATED_LIST":
        raise SourceError(
            f"{path} is XML, but its root is {root.tag} and not CONSOLIDATED_LIST",
            state="nothing was imported",
            next="download the consolidated list (XML) from the UN Security Council's site",
        )
    entries = []
    for kind in ("INDIVIDUAL", "ENTITY"):
        for node in root.iter(kind):
            names = [_text(node, part) for part in ("FIRST_NAME", "SECOND_NAME", "THIRD_NAME", "FOURTH_NAME")]
            others = [_text(alias, "ALIAS_NAME") for alias in node.iter(f"{kind}_ALIAS")]
            others.append(_text(node, "NAME_ORIGINAL_SCRIPT"))
            places = [_text(at, "VALUE") for at in node.iter("NATIONALITY")] + [_text(at, "COUNTRY") for at in node.iter(f"{kind}_ADDRESS")]
            entries.append(
                {
                    "entry_id": f"UN-{_text(node, 'REFERENCE_NUMBER') or _text(node, 'DATAID')}",
                    "list": UN,
                    "name": " ".join(name for name in names if name),
                    "aliases": list(dict.fromkeys(name for name in others if name)),
                    "kind": kind.lower(),
                    "country": next((place for place in places if place), None),
                }
            )
    return _watchlist(entries, path)


def _watchlist(entries: Sequence[Mapping[str, object]], path: Path) -> pl.DataFrame:
    if not entries:
        raise SourceError(f"{path} holds no entry", state="nothing was imported", next="download the list again")
    return validate("watchlist", pl.DataFrame(entries, schema=SCHEMAS["watchlist"]))


def _ofac_rows(path: Path, columns: int) -> Iterator[list[str]]:
    """The rows of one OFAC file, trimmed, `-0-` as an empty text. The file ends with a lone Ctrl-Z, as in DOS."""
    text = _read(path).decode("utf-8-sig", errors="replace").rstrip("\x1a\r\n \x00")
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True), start=1):
            if len(row) != columns or not row[0].strip().isdigit():
                raise SourceError(
                    f"{path}: row {number} isn't a row of OFAC's {path.name} ({len(row)} columns where {columns} are specified)",
                    state="nothing was imported",
                    next="download the CSV files of the SDN list again; they have no header",
                )
            yield ["" if value.strip() == _NOTHING else value.strip() for value in row]
    except csv.Error as error:
        raise SourceError(f"{path} isn't CSV: {error}", state="nothing was imported", next="download the file again") from error


def _parse_xml(path: Path) -> ET.Element:
    """Parse without a document type: no entity of the file's own, so no expansion and no reading of other files."""
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise SourceError(
            f"{path} declares a document type, which a watchlist has no need of; it was not read",
            state="nothing was imported",
            next="download the list again, from its publisher",
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(_read(path), True)
    except expat.ExpatError as error:
        raise SourceError(f"{path} isn't well-formed XML: {error}", state="nothing was imported", next="download the list again") from error
    return builder.close()


def _text(node: ET.Element, tag: str) -> str:
    found = node.find(tag)
    return " ".join((found.text or "").split()) if found is not None else ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{path} can't be read: {error.strerror or error}", state="nothing was imported", next="check the path and its permissions"
        ) from error
