"""Times written by look-up are what formatting gives."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl

from lakewarden.sources.simulator.draws import Draws
from lakewarden.sources.simulator.rhythm import DAY, midnight
from lakewarden.sources.simulator.timetext import TimeText


def test_text_is_rfc_3339_with_milliseconds() -> None:
    first, last = date(2027, 12, 30), date(2028, 3, 1)
    begin = midnight(first)
    end = midnight(last) + DAY
    at = [begin, end - 1, *(begin + Draws(1).below((end - begin) // 10, 500) * 10 + 3).tolist()]
    written = pl.DataFrame({"at": at}).select(TimeText(first, last).text(pl.col("at"))).to_series().to_list()
    assert written[:2] == ["2027-12-30T00:00:00.000Z", "2028-03-01T23:59:59.999Z"]
    expected = [datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{time % 1000:03}Z" for time in at]
    assert written == expected
