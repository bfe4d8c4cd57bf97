"""Reports as words and tables."""

import io

from lakewarden.cli.render import render


def rendered(command: str, data: dict) -> str:
    out = io.StringIO()
    render(command, data, out)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_a_report_starts_with_whether_it_is_ok_and_how_long_it_took():
    assert rendered("verify", {"ok": True, "seconds": 1.23456}).splitlines()[0] == "ok  verify  1.235 s"
    assert rendered("verify", {"ok": False}).splitlines()[0] == "NOT OK  verify"


def test_numbers_are_readable_and_identifiers_stay_as_they_are():
    text = rendered("tables", {"ok": True, "rows": 1234567, "first_seq": 1234567, "bytes": 3_400_000, "pass_rate": 0.98765, "id": "3f9a2c"})
    assert "rows       1,234,567" in text
    assert "first seq  1234567" in text
    assert "bytes      3.4 MB" in text
    assert "pass rate  98.77%" in text
    assert "id         3f9a2c" in text


def test_a_list_of_objects_is_a_table_with_every_column_that_any_row_has():
    text = rendered("status", {"ok": True, "tables": [{"name": "a", "rows": 1}, {"name": "b", "files": 22}]})
    header, rule, first, second = text.split("tables\n", 1)[1].strip("\n").splitlines()
    assert header.split() == ["name", "rows", "files"]
    assert set(rule.strip()) == {"─"}
    assert first.split() == ["a", "1", "-"]
    assert second.split() == ["b", "-", "22"]


def test_texts_are_bullets_objects_are_blocks_and_nothing_is_none():
    text = rendered("demo", {"ok": True, "next": ["lakewarden status", "lakewarden tables"], "latency": {"p95_ms": 12.0}, "problems": []})
    assert "next\n  - lakewarden status\n  - lakewarden tables" in text
    assert "latency\n  p95 ms  12" in text
    assert "problems\n  none" in text


def test_a_score_keeps_its_six_decimals():
    text = rendered("demo", {"ok": True, "top_alerts": [{"risk_score": 0.999994}, {"risk_score": 1.0}]})
    assert text.split("score", 1)[1].split()[1:] == ["0.999994", "1.000000"]


def test_a_command_to_copy_is_one_line_on_a_narrow_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "60")
    command = 'lakewarden sql --lake lake "SELECT risk_band, count(*) AS n FROM risk_scores_gold GROUP BY 1 ORDER BY 2"'
    out = Terminal()
    render("demo", {"ok": True, "next": [command]}, out)
    assert command in out.getvalue()


def test_markup_in_data_is_only_text():
    assert "[red]x[/red]" in rendered("sql", {"ok": True, "data": [{"a": "[red]x[/red]"}]})
    assert "[bold]" in rendered("status", {"ok": True, "holder": "[bold]"})


def test_a_query_shows_its_rows_and_their_number():
    text = rendered("sql", {"ok": True, "rows": 2, "data": [{"band": "HIGH", "n": 3}, {"band": None, "n": 40}]})
    lines = text.strip().splitlines()
    assert lines[0].split() == ["band", "n"]
    assert lines[2].split() == ["HIGH", "3"]
    assert lines[3].split() == ["40"]
    assert lines[-1] == "2 rows"
    assert "1,000 rows, more were left out (--limit)" in rendered("sql", {"ok": True, "rows": 1000, "truncated": True, "data": []})


def test_a_pipe_is_wide_enough_for_a_row_a_line():
    row = {f"column_{number}": "x" * 12 for number in range(12)}
    lines = rendered("sql", {"ok": True, "data": [row], "rows": 1}).strip().splitlines()
    assert [len(line.split()) for line in lines if line] == [12, 1, 12, 2]
