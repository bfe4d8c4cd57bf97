"""The commands over a real lake, in processes of their own: one JSON object, exit code 0 exactly when ok."""

import datetime as dt
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

import lakewarden
from lakewarden.cli.face import write_json
from lakewarden.errors import QueryError

SCRIPT = Path(sys.executable).with_name("lakewarden")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("LAKEWARDEN_")}
DAY = "2026-01-05"


def run(*arguments: object) -> dict:
    """Run a command that must succeed; its JSON object."""
    done = subprocess.run(
        [SCRIPT, *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    return json.loads(done.stdout)


@pytest.fixture
def told(face) -> Callable[..., dict]:
    """As `run`, in this process: for what is asked beside the command that a test is about."""

    def tell(*arguments: object) -> dict:
        ran = face(*arguments, "--json")
        assert ran.code == 0, ran.stdout + ran.stderr
        return ran.data

    return tell


@pytest.fixture(scope="module")
def simulation(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("simulation") / "sim"
    made = run("simulate", "--out", out, "--seed", 7, "--days", 2, "--customers", 300, "--events-per-day", 2000)
    assert made["ok"]
    assert made["rows"] > 3000
    return out


@pytest.fixture(scope="module")
def lake(simulation: Path, tmp_path_factory) -> Path:
    """A lake through the whole tour: reference data, model, stream."""
    path = tmp_path_factory.mktemp("lake") / "lake"
    assert run("init", "--lake", path)["new"]
    imported = run("reference", "import", simulation / "reference", "--lake", path)
    assert {row["kind"] for row in imported["imported"]} >= {"kyc", "limits", "counterparties", "watchlist", "fx"}
    trained = run("train", "--from", simulation / "labels" / "labels.csv", "--source", simulation, "--lake", path)
    assert trained["rows"] > 0
    streamed = run("stream", "--source", simulation, "--once", "--lake", path, "--batch-rows", 1000)
    assert streamed["rows"] == streamed["counts"]["bronze"] > 3000
    assert streamed["id"]
    assert streamed["seconds"] > 0
    return path


def test_a_second_init_changes_nothing(told, lake: Path):
    before = told("status", "--lake", lake)
    assert not run("init", "--lake", lake)["new"]
    assert told("status", "--lake", lake)["published"] == before["published"]


def test_streaming_the_same_source_again_takes_nothing_twice(told, lake: Path, simulation: Path):
    before = told("status", "--lake", lake)["rows"]
    assert run("stream", "--source", simulation, "--once", "--lake", lake)["rows"] == 0
    assert told("status", "--lake", lake)["rows"] == before


def test_status_and_tables_agree(told, lake: Path):
    status, tables = run("status", "--lake", lake), told("tables", "--lake", lake)
    rows = {table["table"]: table["rows"] for table in tables["tables"]}
    assert status["rows"] == rows["transactions_bronze"]
    assert status["counts"]["silver"] == rows["transactions_silver"] == rows["risk_scores_gold"] == status["counts"]["gold"]
    assert status["counts"]["dead_letters"] == rows["transactions_dlq"] > 0
    assert status["counts"]["duplicates"] == rows["transactions_duplicates"] > 0
    assert sum(status["risk_bands"].values()) == rows["risk_scores_gold"]
    assert status["stream"] is None


def test_sql_gives_rows_as_objects(told, lake: Path):
    found = run("sql", "SELECT risk_band, count(*) AS n FROM risk_scores_gold GROUP BY 1 ORDER BY 1", "--lake", lake)
    assert found["rows"] == len(found["data"])
    assert {row["risk_band"]: row["n"] for row in found["data"]} == told("status", "--lake", lake)["risk_bands"]


def test_sql_limits_what_it_shows_and_says_so(told, lake: Path):
    found = told("sql", "SELECT seq FROM transactions_bronze", "--limit", 5, "--lake", lake)
    assert (found["rows"], len(found["data"]), found["truncated"]) == (5, 5, True)
    everything = told("sql", "SELECT seq FROM transactions_bronze", "--limit", 0, "--lake", lake)
    assert everything["rows"] == told("status", "--lake", lake)["rows"]


def test_every_type_of_every_table_comes_out_as_json(lake: Path):
    opened = lakewarden.open(lake)
    for table in opened.tables().to_dict()["tables"]:
        out = io.StringIO()
        write_json(opened.sql(f"FROM {table['table']} LIMIT 3").to_dict(), out)
        assert len(json.loads(out.getvalue())["data"]) == min(3, table["rows"])


def test_a_program_that_looked_at_a_few_rows_ends_well(lake: Path):
    program = f"import lakewarden; print(len(lakewarden.open({str(lake)!r}).sql('FROM transactions_bronze LIMIT 3').data))"
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT)
        assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


@pytest.mark.parametrize("query", ["SELEKT 1", "SELECT * FROM nowhere", "DELETE FROM transactions_silver", "SELECT 1; SELECT 2", ""])
def test_a_query_that_cannot_be_run_is_a_clear_error(face, lake: Path, query: str):
    ran = face("sql", query, "--lake", lake, "--json")
    assert ran.code == 1
    assert ran.data["error"]["kind"] == "QueryError"
    assert ran.data["error"]["next"]


def test_a_query_reaches_no_file_outside_the_lake(cli, lake: Path, tmp_path: Path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    assert cli("sql", f"FROM '{tmp_path}/secret.csv'", "--lake", lake, "--json").data["error"]["kind"] == "QueryError"
    assert cli("sql", f"COPY (SELECT 1) TO '{tmp_path}/out.csv'", "--lake", lake, "--json").data["error"]["kind"] == "QueryError"
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "query", ["COPY (SELECT 1) TO '{lake}/conf/out.csv'", "CREATE TABLE x AS SELECT 1", "SET memory_limit='1GB'", "ATTACH '{lake}/x.db'"]
)
def test_a_query_changes_nothing(lake: Path, query: str):
    before = sorted(lake.rglob("*"))
    with pytest.raises(QueryError, match="only read"):
        lakewarden.open(lake).sql(query.format(lake=lake))
    assert sorted(lake.rglob("*")) == before


def test_sums_are_numbers(lake: Path):
    found = lakewarden.open(lake).sql("SELECT sum(seq) AS s, count(*) AS n, sum(amount_minor) AS m FROM transactions_silver").data[0]
    assert {type(value) for value in found.values()} == {int}


def test_a_date_verifies_and_conserves(lake: Path):
    verified = run("verify", "--date", DAY, "--lake", lake)
    assert verified["differences"] == 0
    assert verified["rows"] > 1000
    conserved = run("conserve", "--date", DAY, "--lake", lake)
    assert conserved["differences"] == 0
    assert all(check["ok"] for check in conserved["checks"])


@pytest.mark.parametrize("command", ["verify", "conserve"])
def test_a_date_without_events_is_an_error_and_no_proof(face, lake: Path, command: str):
    ran = face(command, "--date", "1999-01-01", "--lake", lake, "--json")
    assert ran.code == 1
    assert "1999-01-01" in ran.data["error"]["what"]


def test_releases_are_listed_shown_and_not_made_twice(cli, told, lake: Path):
    listed = told("release", "list", "--lake", lake)
    current = [release for release in listed["releases"] if release["current"]]
    assert len(current) == 1
    assert current[0]["id"] == told("status", "--lake", lake)["release"]
    again = run("release", "create", "--lake", lake)
    assert (again["id"], again["new"]) == (current[0]["id"], False)
    assert told("release", "show", current[0]["id"][:8], "--lake", lake)["model"]["sha256"]
    assert cli("release", "show", "zzz", "--lake", lake, "--json").data["error"]["kind"] == "LakeError"


def test_references_are_listed(told, lake: Path):
    kinds = {row["kind"]: row["rows"] for row in told("reference", "list", "--lake", lake)["references"]}
    assert kinds["kyc"] > 0
    assert kinds["countries"] > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["tables"],
        ["sql", "SELECT 1 AS one"],
        ["verify", "--date", DAY],
        ["conserve", "--date", DAY],
        ["release", "list"],
        ["reference", "list"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_people_get_words_and_tables(face, lake: Path, arguments: list[str]):
    ran = face(*arguments, "--lake", lake)
    assert ran.code == 0, ran.stderr
    assert ran.stdout.strip()
    assert "{" not in ran.stdout
    assert "\x1b" not in ran.stdout


def test_a_changed_row_is_found_and_ends_with_exit_code_1(lake: Path, tmp_path: Path):
    """A lake whose gold was tampered with behind our back: verify names the row."""
    path = shutil.copytree(lake, tmp_path / "lake")
    gold = lakewarden.open(path).table("risk_scores_gold")
    seq = gold.filter(pl.col("event_date") == dt.date.fromisoformat(DAY)).select(pl.col("seq").min()).collect().item()
    table = DeltaTable(path / "risk_scores_gold")
    table.update(predicate=f"seq = {seq}", updates={"risk_score": "0.123456"})
    point = path / "_published" / "point.json"
    published = json.loads(point.read_text())
    published["versions"]["risk_scores_gold"] = table.version()
    point.write_text(json.dumps(published))
    assert pl.scan_delta(str(path / "risk_scores_gold")).filter(pl.col("risk_score") == 0.123456).collect().height == 1
    done = subprocess.run(
        [SCRIPT, "verify", "--date", DAY, "--lake", path, "--json"], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"], found["differences"]) == (1, False, 1)
    assert found["first_differences"][0]["seq"] == seq
    assert "risk_score" in found["first_differences"][0]["columns"]


# --- a stream that goes on -------------------------------------------------------------------------------------------


def watching(simulation: Path, lake: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [SCRIPT, "stream", "--source", simulation, "--lake", lake, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        point = lake / "_published" / "point.json"
        if json.loads(point.read_text())["batch"] >= 0:
            return process
        time.sleep(0.1)
    process.kill()
    raise AssertionError("the stream published nothing: " + "".join(process.communicate()))


@pytest.fixture
def empty_lake(tmp_path: Path) -> Path:
    path = tmp_path / "lake"
    lakewarden.init(path)
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_that_is_asked_to_stop_ends_ok(told, simulation: Path, empty_lake: Path, number: signal.Signals):
    process = watching(simulation, empty_lake)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    report = json.loads(stdout)
    assert report["ok"]
    assert report["stopped"]
    assert report["rows"] > 0
    assert "Stopping after the piece of work at hand" in stderr
    assert told("status", "--lake", empty_lake)["rows"] == report["rows"]


def test_a_second_signal_stops_at_once_and_the_next_start_carries_on(told, simulation: Path, empty_lake: Path):
    process = watching(simulation, empty_lake)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert json.loads(stdout)["error"]["kind"] == "Interrupted"
    run("stream", "--source", simulation, "--once", "--lake", empty_lake)
    conserved = told("conserve", "--date", DAY, "--lake", empty_lake)
    assert conserved["differences"] == 0
    written = sum(path.read_bytes().count(b"\n") for path in (simulation / "events").glob("*.jsonl"))
    assert told("status", "--lake", empty_lake)["rows"] == written


def test_a_second_stream_is_refused_and_told_who_holds_the_lake(cli, told, simulation: Path, empty_lake: Path):
    process = watching(simulation, empty_lake)
    try:
        assert told("status", "--lake", empty_lake)["stream"]["pid"] == process.pid
        ran = cli("stream", "--source", simulation, "--once", "--lake", empty_lake, "--json")
        assert ran.code == 1
        assert ran.data["error"]["kind"] == "LakeBusyError"
        assert ran.data["error"]["transient"]
        assert f"process {process.pid}" in ran.data["error"]["what"]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_reader_that_leaves_early_is_no_error(lake: Path):
    command = f"{SCRIPT} sql 'SELECT seq FROM transactions_bronze' --limit 0 --lake {lake} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT)
    assert done.stderr == ""


# --- bad input ---------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_named(face, empty_lake: Path, tmp_path: Path):
    cases = {
        ("status", "--lake", tmp_path / "nowhere"): ("LakeError", "nowhere"),
        ("stream", "--source", tmp_path / "no-events", "--once", "--lake", empty_lake): ("SourceError", "no-events"),
        ("stream", "--source", tmp_path, "--mapping", tmp_path / "no.yaml", "--once", "--lake", empty_lake): (
            "ConfigurationError",
            "no.yaml",
        ),
        ("train", "--from", tmp_path / "no-labels.csv", "--lake", empty_lake): ("SourceError", "no-labels.csv"),
        ("reference", "import", tmp_path / "no-kyc.csv", "--lake", empty_lake): ("SourceError", "no-kyc.csv"),
        ("status", "--lake", "ftp://somewhere/lake"): ("ConfigurationError", "ftp"),
    }
    for arguments, (kind, named) in cases.items():
        error = face(*arguments, "--json").data["error"]
        assert error["kind"] == kind, error
        assert named in error["what"], error
        assert error["next"], error


def test_a_lake_of_another_version_is_refused(cli, empty_lake: Path):
    (empty_lake / "lake.json").write_text('{"format": 99}')
    error = cli("status", "--lake", empty_lake, "--json").data["error"]
    assert error["kind"] == "LakeError"
    assert "99" in error["what"]


def test_a_file_where_the_lake_should_be_is_refused(cli, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    for command in ("init", "status"):
        assert cli(command, "--lake", tmp_path / "file", "--json").data["error"]["kind"] in ("LakeError", "StorageError")


def test_rules_that_cannot_be_read_leave_the_release_in_force(cli, told, empty_lake: Path):
    before = told("status", "--lake", empty_lake)["release"]
    (empty_lake / "conf" / "settings.yaml").write_text("band_high: very\n")
    error = cli("release", "create", "--lake", empty_lake, "--json").data["error"]
    assert error["kind"] == "ConfigurationError"
    assert "band_high" in error["what"]
    assert told("status", "--lake", empty_lake)["release"] == before
