"""The one table of metrics: names by convention, samples that fit it, and the same table in the documents."""

import re
from pathlib import Path

import pytest
import yaml

from lakewarden.sources.port import PartitionStanding
from lakewarden.telemetry.metrics import METRICS, Kind
from makers.pulses import Standing, Time, batch, publish, recorder

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "telemetry.md"


def busy():
    """A pulse in which every metric has something to tell."""
    time = Time()
    partitions = (PartitionStanding("0", 1, 4), PartitionStanding("1", 5, None))
    to = recorder(time, Standing(partitions=partitions, troubles={"authentication": 1, "throttled": 3}, throttled_ms=1500.0))
    time.passed = 2
    publish(to, batch(0, time, [1.0, 3.0]), alerts=1, dead_letters=2, duplicates=3)
    to.telemetry_failed("log")
    return to.pulse()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_and_kinds_follow_the_conventions(metric):
    assert re.fullmatch(r"lakewarden_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") is (metric.kind is Kind.counter)
    if metric.unit == "s":
        assert "_seconds" in metric.name
    assert metric.help.endswith(".")


def test_names_are_unique():
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", [metric for metric in METRICS if metric.kind is not Kind.histogram], ids=lambda metric: metric.name)
def test_every_sample_has_the_labels_of_its_metric(metric):
    samples = list(metric.samples(busy()))
    assert samples
    assert all(len(sample.labels) == len(metric.labels) for sample in samples)
    assert len({sample.labels for sample in samples}) == len(samples)


def test_values():
    found = {(metric.name, *sample.labels): sample.value for metric in METRICS for sample in metric.samples(busy())}
    assert found["lakewarden_up",] == 1
    assert found["lakewarden_events_total",] == 2
    assert found["lakewarden_dead_letters_total",] == 2
    assert found["lakewarden_latency_seconds", "1"] == 3.0
    assert found["lakewarden_lag_events", "0"] == 3
    assert ("lakewarden_lag_events", "1") not in found  # the broker didn't say
    assert found["lakewarden_source_troubles_total", "authentication"] == 1
    assert found["lakewarden_throttled_seconds_total",] == 1.5
    assert found["lakewarden_events_per_second",] == 1.0


def test_the_documents_have_the_same_table():
    rows = re.findall(r"^\| `(lakewarden_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", DOCUMENT.read_text(), flags=re.MULTILINE)
    listed = [(name, kind, tuple(re.findall(r"`(\w+)`", labels)), told) for name, kind, labels, told in rows]
    assert listed == [(metric.name, metric.kind.value, metric.labels, metric.help) for metric in METRICS]


def test_the_alerts_in_the_documents_ask_for_metrics_that_there_are():
    blocks = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)]
    rules = [rule for block in blocks for group in block.get("groups", []) for rule in group["rules"]]
    assert len(rules) > 10
    known = {metric.name for metric in METRICS}
    for rule in rules:
        asked = {re.sub("_(bucket|count|sum)$", "", name) for name in re.findall(r"lakewarden_\w+", rule["expr"])}
        assert asked
        assert asked <= known
