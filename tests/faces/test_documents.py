"""Documents and commands are checked against each other: no command undocumented, nothing documented that isn't there."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from lakewarden.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDE = (ROOT / "docs" / "guide.md").read_text()
COMMON = {"--lake", "--json", "--help"}


def leaves(command, path=()):
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from leaves(child, (*path, name))
    else:
        yield " ".join(path), command


LAKEWARDEN = typer.main.get_command(app)
COMMANDS = dict(leaves(LAKEWARDEN))
SECTIONS = {
    found[1]: found[2] for found in re.finditer(r"^### lakewarden ([a-z -]+)\n(.*?)(?=^#{2,3} |\Z)", GUIDE, flags=re.MULTILINE | re.DOTALL)
}


def options(name: str) -> set[str]:
    return {option for parameter in COMMANDS[name].params for option in getattr(parameter, "opts", []) if option.startswith("--")}


def command_lines(document: Path) -> list[str]:
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith("lakewarden ")]


LINES = [pytest.param(line, id=f"{document.name}: {line[:60]}") for document in DOCUMENTS for line in command_lines(document)]


def words(line: str) -> list[str]:
    split = shlex.split(line, comments=True)[1:]
    return split[: next((at for at, word in enumerate(split) if word in ("|", ">")), len(split))]


def test_every_command_has_a_section_in_the_guide_and_every_section_a_command():
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_guide_names_exactly_the_options_that_the_command_has(name: str):
    documented = set(re.findall(r"`(--[a-z-]+)", SECTIONS[name]))
    assert options(name) - COMMON <= documented
    assert documented <= options(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_guide_shows_each_command_at_work(name: str):
    assert f"\nlakewarden {name}" in SECTIONS[name].split("```sh", 1)[1]


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_in_the_documents_parses(line: str):
    command, name, arguments, context = LAKEWARDEN, "lakewarden", words(line), None
    while hasattr(command, "commands"):
        context = command.make_context(name, list(arguments), parent=context)
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, list(arguments), parent=context)


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path):
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_every_decision_record_is_listed():
    listed = (ROOT / "docs" / "adr" / "README.md").read_text()
    for record in (ROOT / "docs" / "adr").glob("0*.md"):
        title = record.read_text().splitlines()[0].removeprefix("# ").partition(" · ")
        assert f"| [{title[0]}]({record.name}) | {title[2]} |" in listed


def test_the_table_of_compliance_rules_is_that_of_the_rules_that_come_along():
    from lakewarden.rules.compliance import default_rules, load_rules

    listed = re.findall(r"^\| `(\w+)` \| (MEDIUM|HIGH) \| ([\w-]+) \|", (ROOT / "docs" / "rules.md").read_text(), flags=re.MULTILINE)
    assert listed == [(rule.name, rule.band, rule.owner) for rule in load_rules(default_rules())]


def test_the_table_of_check_functions_is_that_of_the_functions():
    import inspect

    from lakewarden.rules.checks import FUNCTIONS

    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|$", (ROOT / "docs" / "dq.md").read_text().split("## Check functions")[1], flags=re.MULTILINE
    )
    for (name, arguments, promise), function in zip(rows, FUNCTIONS.values(), strict=True):
        parameters = list(inspect.signature(function).parameters)[1:]
        assert (name, re.findall(r"`(\w+)`", arguments), promise) == (function.__name__, parameters, function.__doc__.splitlines()[0])


def test_the_rules_shown_in_the_documents_can_be_loaded():
    from lakewarden.rules import compliance, quality

    for document, load in (("dq.md", quality.load_rules), ("rules.md", compliance.load_rules)):
        blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / document).read_text(), flags=re.MULTILINE | re.DOTALL)
        assert blocks
        for block in blocks:
            assert load(block)


def test_every_query_in_the_documents_runs(tmp_path: Path):
    import lakewarden

    lake = lakewarden.init(tmp_path / "lake")
    queries = [words(line)[1:] for document in DOCUMENTS for line in command_lines(document) if line.startswith("lakewarden sql")]
    texts = [next(word for word in query if " " in word) for query in queries]
    assert len(texts) > 10
    for text in texts:
        if "..." not in text:
            assert lake.sql(text).ok
