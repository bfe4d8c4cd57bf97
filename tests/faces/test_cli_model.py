"""`lakewarden model` as a user has it: a running stream takes a rollback up, refusals name the next command."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.audit.receipts import all_receipts
from makers.versions import copied, two_versions

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sim") / "sim"
    lakewarden.simulate(out, seed=21, days=2, customers=120, events_per_day=400, faults="none")
    return out


@pytest.fixture(scope="module")
def versioned(tmp_path_factory) -> Path:
    return two_versions(tmp_path_factory.mktemp("versioned") / "lake")


@pytest.fixture
def lake(tmp_path, versioned) -> lakewarden.Lake:
    return lakewarden.open(copied(versioned, tmp_path / "lake"))


def until(true, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_running_stream_takes_a_rollback_up_at_the_next_micro_batch_and_says_so(cli, lake, simulated, tmp_path):
    root, feed = lake.house.store.root, tmp_path / "in"
    feed.mkdir()
    first, second = sorted((simulated / "events").glob("*.jsonl"))[:2]
    shutil.copy(first, feed)
    words = ["stream", "--lake", root, "--source", str(feed), "--json", "--log", str(tmp_path / "stream.log")]
    process = subprocess.Popen(
        [sys.executable, "-m", "lakewarden", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: lake.house.published().batch >= 0, process)
        before = lake.house.published().batch
        done = cli("model", "rollback", "--to", "1", "--reason", "worse", "--lake", root, "--json").data
        time.sleep(1.2)  # a stream looks once a second
        shutil.copy(second, feed)
        until(lambda: lake.house.published().batch > before, process)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert json.loads(out)["releases"] == [done["release_before"], done["release"]]
    gold = (
        lake.table("risk_scores_gold").select("release_id", "model_version", (pl.col("batch") <= before).alias("early")).unique().collect()
    )
    assert sorted(gold.rows()) == sorted([(done["release_before"], "2", True), (done["release"], "1", False)])
    logged = [json.loads(line) for line in (tmp_path / "stream.log").read_text().splitlines()]
    (changed,) = [line for line in logged if line["event"] == "release.changed"]
    assert (changed["release"], changed["before"], changed["from_batch"]) == (done["release"], done["release_before"], before + 1)
    kinds = [receipt.kind for receipt in all_receipts(lake.house.store)]
    assert kinds == ["lake.init", "model.train", "model.train", "model.rollback"]


def test_a_dry_run_prints_the_plan_and_stores_nothing(cli, lake):
    root = lake.house.store.root
    before = {(entry.path, entry.modified) for entry in lake.house.store.entries("") if not entry.path.startswith("_registry")}
    ran = cli("model", "rollback", "--reason", "worse", "--dry-run", "--lake", root, "--json")
    assert [one["step"] for one in ran.data["steps"]] == ["registry", "release", "confirm", "receipt"]
    assert (ran.data["version_after"], ran.data["stored"]) == ("1", False)
    assert "last known good" not in cli("model", "rollback", "--reason", "worse", "--dry-run", "--lake", root).stderr
    assert {(entry.path, entry.modified) for entry in lake.house.store.entries("") if not entry.path.startswith("_registry")} == before


@pytest.mark.parametrize(
    ("words", "code", "told", "then"),
    [
        (("rollback",), 2, "needs a reason", "--reason"),
        (("rollback", "--to", "77", "--reason", "r"), 1, "no version 77", "model list"),
        (("rollback", "--to", "2", "--reason", "r"), 1, "in production already", "model list"),
        (("rollback", "--reason", "r", "--watch", "soon"), 2, "no length of time", "24h"),
        (("rollback", "--reason", "r", "--incident", "INC-ML01-000009"), 1, "INC-ML01-000009", "incident"),
        (("rollback", "--resume", "change-000000000000"), 1, "no change 'change-000000000000'", "model list"),
        (("promote", "--reason", "r"), 2, "no version is named", "model list"),
        (("promote", "1", "--alias", "staging", "--replay", "--reason", "r"), 2, "nothing to replay", "--alias production"),
        (("watch", "change-000000000000", "--for", "1m"), 1, "no change", "model list"),
        (("show", "77"), 1, "no version 77", "model list"),
        (("decisions", "--version", "1", "--out", "rows.txt"), 2, "neither Parquet nor CSV", ".parquet"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(face, lake, words, code, told, then):
    current = (lake.house.store.get("_releases/current.json"), len(all_receipts(lake.house.store)))
    ran = face("model", *words, "--lake", lake.house.store.root)
    assert ran.code == code
    assert told in ran.stderr
    assert then in ran.stderr.split("next: ")[1]
    assert (lake.house.store.get("_releases/current.json"), len(all_receipts(lake.house.store))) == current


def test_a_registry_that_cannot_be_reached_is_said_and_nothing_is_changed(cli, lake):
    current = lake.house.store.get("_releases/current.json")
    ran = cli("model", "rollback", "--reason", "r", "--lake", lake.house.store.root, env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert ran.code == 1
    assert "registry" in ran.stderr
    assert lake.house.store.get("_releases/current.json") == current


def test_a_watch_that_is_interrupted_says_how_long_it_watched(lake):
    done = lake.model_rollback(reason="worse")
    words = ["model", "watch", done.data["id"], "--for", "24h", "--interval", "0.2", "--lake", lake.house.store.root, "--json"]
    process = subprocess.Popen([sys.executable, "-m", "lakewarden", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: lake.house.store.exists(f"_changes/{done.data['id']}/kpis.json"), process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    told = json.loads(out)
    assert (process.returncode, told["interrupted"], told["stabilised"]) == (0, True, False), err
    assert all_receipts(lake.house.store)[told["receipt"]].outcome["watched_seconds"] < 60


def test_the_lists_read_as_tables(face, lake):
    root = lake.house.store.root
    face("model", "promote", "1", "--alias", "staging", "--reason", "to be tried", "--lake", root)
    listed = face("model", "list", "--lake", root).stdout
    assert "staging" in listed
    assert "to be tried" in listed
    assert face("model", "show", "1", "--lake", root, "--json").data["stage"] == "staging"
    assert face("model", "decisions", "--version", "1", "--lake", root, "--json").data["rows"] == 0
