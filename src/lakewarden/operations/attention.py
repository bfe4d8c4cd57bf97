"""What a running stream sees of its own failures: symptoms looked for beside it, an incident opened for each, once while it lasts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lakewarden.operations.symptoms import LagSample, dq_collapsed, lagging

if TYPE_CHECKING:
    import polars as pl

    from lakewarden.operations.pulse import Pulse
    from lakewarden.operations.symptoms import Symptom, SymptomReporter
    from lakewarden.settings import SymptomSettings

DQ_SECONDS: Final = 30.0
"""How often data quality is looked at: it reads a table."""

AGAIN_SECONDS: Final = 60.0
"""How often trouble that lasts is noted again on its incident."""


class Attention:
    """Takes every pulse of a stream.

    Args:
        report: opens incidents.
        results: the newest rows of `dq_results`.
        settings: from when on something is an incident.
        on_incident: told the id of each incident opened or seen again.
        monotonic: seconds, injected.
    """

    def __init__(
        self,
        report: SymptomReporter,
        results: Callable[[], pl.DataFrame],
        settings: SymptomSettings,
        on_incident: Callable[[str], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._report = report
        self._results = results
        self._settings = settings
        self._on_incident = on_incident
        self._monotonic = monotonic
        self._samples: deque[LagSample] = deque(maxlen=10_000)
        self._looked = monotonic()
        self._told: dict[str, float] = {}

    def __call__(self, pulse: Pulse) -> None:
        """Look at the pulse, and now and then at data quality. Raises StorageError where the database or the table refuses."""
        self._samples.append(LagSample.of(pulse))
        while (pulse.time - self._samples[0].time).total_seconds() > 2 * self._settings.lag_growing_seconds:
            self._samples.popleft()
        self._tell(lagging(self._samples, self._settings))
        if self._monotonic() - self._looked >= DQ_SECONDS:
            self._looked = self._monotonic()
            self._tell(dq_collapsed(self._results(), self._settings))

    def _tell(self, symptom: Symptom | None) -> None:
        if symptom is None or self._monotonic() - self._told.get(symptom.subject, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        incident = self._report(symptom)
        self._told[symptom.subject] = self._monotonic()
        if incident is not None:
            self._on_incident(incident.id)
