"""Screening: whose names stand on a watchlist, exactly or nearly, found when references are imported and never per event."""

from __future__ import annotations

from typing import Final

import polars as pl

from lakewarden.errors import UsageError
from lakewarden.rules.names import name_forms
from lakewarden.rules.references import SCHEMAS, References
from lakewarden.rules.similar import similar_pairs

DEFAULT_THRESHOLD: Final = 0.92

WEIGHTS: Final = {"ordered": 1.0, "joined": 1.0, "sound": 0.96}
"""What a form's similarity counts: two names that only sound the same score 0.96 at best."""

_PIECE: Final = 200_000


def screen(
    kyc: pl.DataFrame | None,
    counterparties: pl.DataFrame | None,
    watchlist: pl.DataFrame,
    threshold: float = DEFAULT_THRESHOLD,
) -> pl.DataFrame:
    """Watchlist hits of the names of accounts and counterparties, in the shape of reference kind `watchlist_hits`.

    One row for an account (or counterparty) and an entry of the list: `matched_name` is the name or alias of the entry that
    fits best, `name` the name on our side, `score` the similarity (0 to 1, rounded to 6 decimals, at least `threshold`).
    Sorted by kind, id, falling score, entry. No pair at or above the threshold is missed (see :mod:`~lakewarden.rules.similar`).

    Args:
        kyc: reference kind `kyc`, or None.
        counterparties: reference kind `counterparties`, or None.
        watchlist: reference kind `watchlist`.
        threshold: least score of a hit, 0.7 to 1.
    """
    if not 0.7 <= threshold <= 1.0:
        raise UsageError(f"a screening threshold of {threshold} makes no sense", state="nothing was screened", next="use 0.7 to 1.0")
    subjects = _subjects(kyc, counterparties)
    listed = _listed(watchlist)
    ours = subjects["name"].unique(maintain_order=True).rename("name")
    theirs = listed["matched_name"].unique(maintain_order=True)
    pairs = best_pairs(ours, theirs, threshold)
    if not pairs.height:
        return pl.DataFrame(schema=SCHEMAS["watchlist_hits"])
    hits = (
        pairs.join(subjects, on="name")
        .join(listed, on="matched_name")
        .sort("kind", "id", "entry_id", "score", "matched_name", descending=[False, False, False, True, False])
        .unique(["kind", "id", "entry_id"], keep="first", maintain_order=True)
        .sort("kind", "id", "score", "entry_id", descending=[False, False, True, False])
    )
    return hits.select(SCHEMAS["watchlist_hits"].names())


def rescreen(references: References, threshold: float = DEFAULT_THRESHOLD) -> References:
    """`references` with `watchlist_hits` computed anew from kyc, counterparties and watchlist (left out without a watchlist)."""
    watchlist = references.get("watchlist")
    if watchlist is None:
        return references.without("watchlist_hits")
    return references.with_table("watchlist_hits", screen(references.get("kyc"), references.get("counterparties"), watchlist, threshold))


def best_pairs(ours: pl.Series, theirs: pl.Series, threshold: float) -> pl.DataFrame:
    """Every two names that score `threshold` or more in their best form: columns `name`, `matched_name`, `score`.

    Args:
        ours: distinct names, the long list; taken in pieces, so memory stays bounded.
        theirs: distinct names, the short list.
        threshold: least score.
    """
    right = name_forms(theirs)
    found = [pl.DataFrame(schema={"name": pl.String, "matched_name": pl.String, "score": pl.Float64})]
    for piece in ours.to_frame("name").iter_slices(_PIECE):
        names = piece["name"]
        best = _best_of_forms(name_forms(names), right, threshold)
        found.append(
            best.select(
                names.gather(best["left"]).alias("name"),
                theirs.gather(best["right"]).alias("matched_name"),
                pl.col("score").round(6),
            )
        )
    return pl.concat(found)


def _best_of_forms(left: pl.DataFrame, right: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Row numbers `left`, `right` and the best weighted `score`, sorted by row numbers."""
    found = [pl.DataFrame(schema={"left": pl.UInt32, "right": pl.UInt32, "score": pl.Float64})]
    for form, weight in WEIGHTS.items():
        if threshold > weight:
            continue
        ours, theirs = _rows_by_form(left[form]), _rows_by_form(right[form])
        pairs = similar_pairs(ours["form"], theirs["form"], threshold / weight)
        rows = pairs.select(
            ours["rows"].gather(pairs["left"]).alias("left"), theirs["rows"].gather(pairs["right"]).alias("right"), pl.col("score") * weight
        )
        for side in ("left", "right"):
            rows = rows.explode(side, empty_as_null=False, keep_nulls=True)
        found.append(rows)
    return pl.concat(found).group_by("left", "right").agg(pl.col("score").max()).sort("left", "right")


def _rows_by_form(forms: pl.Series) -> pl.DataFrame:
    """Each distinct form with the rows that have it."""
    table = pl.DataFrame({"form": forms}).with_row_index("rows").drop_nulls()
    return table.group_by("form", maintain_order=True).agg(pl.col("rows"))


def _subjects(kyc: pl.DataFrame | None, counterparties: pl.DataFrame | None) -> pl.DataFrame:
    parts = [pl.DataFrame(schema={"kind": pl.String, "id": pl.String, "name": pl.String})]
    for kind, table, key in (("account", kyc, "account_id"), ("counterparty", counterparties, "counterparty_id")):
        if table is not None:
            parts.append(table.select(pl.lit(kind).alias("kind"), pl.col(key).alias("id"), pl.col("name")))
    return pl.concat(parts).drop_nulls()


def _listed(watchlist: pl.DataFrame) -> pl.DataFrame:
    """One row a name or alias of an entry."""
    columns = [pl.col("entry_id"), pl.col("list")]
    names = watchlist.select(*columns, pl.col("name").alias("matched_name"))
    aliases = watchlist.select(*columns, pl.col("aliases").alias("matched_name")).explode(
        "matched_name", empty_as_null=False, keep_nulls=False
    )
    return pl.concat([names, aliases]).drop_nulls("matched_name").unique(maintain_order=True)
