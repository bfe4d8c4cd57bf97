"""`tables.sql`: every table there is, in the schema of its class of data, where it lies."""

import re

from lakewarden.tables import TABLES
from makers.deployment import FOLDER, resolved

LINES = [line for line in (FOLDER / "tables.sql").read_text().splitlines() if line.strip() and not line.startswith("--")]
FORM = re.compile(r"CREATE TABLE IF NOT EXISTS \$\{catalog\}\.(\w+)\.(\w+) USING DELTA LOCATION '\$\{lake\}/(\w+)';")
RESTRICTED = {"transactions_bronze", "transactions_dlq", "transactions_duplicates"}


def test_every_table_is_registered_where_it_lies():
    found = [FORM.fullmatch(line) for line in LINES]
    assert all(found), LINES
    assert sorted(one[2] for one in found) == sorted(TABLES)
    assert all(one[2] == one[3] for one in found)
    assert {one[1] for one in found} <= set(resolved("prod")["schemas"])


def test_bodies_of_events_are_in_the_restricted_schema():
    schemas = {one[2]: one[1] for one in map(FORM.fullmatch, LINES)}
    assert {name for name, schema in schemas.items() if schema == "raw"} == RESTRICTED
    with_bodies = {spec.name for spec in TABLES.values() if any(name.startswith("body") for name in spec.columns)}
    assert with_bodies <= RESTRICTED
    assert with_bodies
