"""The pages of deploy/: links, and the jobs that they speak of."""

import re

import pytest

from makers.deployment import DEPLOY, FOLDER, resolved

PAGES = sorted(DEPLOY.rglob("README.md"))


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DEPLOY)))
def test_every_link_leads_somewhere(page):
    found = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert found or page.parent.name == "adf"
    for target in found:
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_table_of_jobs_is_that_of_the_bundle():
    table = (FOLDER / "README.md").read_text().split("## Jobs")[1].split("Each task is")[0]
    named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", table, flags=re.MULTILINE)))
    assert sorted(named) == sorted(resolved("prod")["jobs"])
