"""Screening: exact, near, sounding alike; who is hit, by which name, how surely. With the real lists where they are at hand."""

import os
import random
import re
import string
import time
from pathlib import Path

import polars as pl
import pytest

from lakewarden.errors import UsageError
from lakewarden.rules.references import SCHEMAS, References, validate
from lakewarden.rules.screening import best_pairs, rescreen, screen

WATCHLIST = validate(
    "watchlist",
    pl.DataFrame(
        {
            "entry_id": ["E1", "E2", "E3"],
            "list": ["X", "X", "Y"],
            "name": ["DOE, Jonathan Peter", "ACME SHIPPING CO., LTD.", "Muhammad Abd al-Rahman"],
            "aliases": ["Johnny Doe|J. P. Doe", "", "Abu Mazin"],
        }
    ),
)


def accounts(*names):
    return validate("kyc", pl.DataFrame({"account_id": [f"A{row}" for row in range(len(names))], "name": names}))


def counterparties(*names):
    return validate("counterparties", pl.DataFrame({"counterparty_id": [f"C{row}" for row in range(len(names))], "name": names}))


def test_an_exact_name_in_other_clothes_scores_one():
    hits = screen(accounts("Jonathan Peter DÖE", "Somebody Else"), None, WATCHLIST)
    assert hits.schema == SCHEMAS["watchlist_hits"]
    assert hits.rows() == [("account", "A0", "E1", "X", "DOE, Jonathan Peter", "Jonathan Peter DÖE", 1.0)]


def test_an_alias_hits_and_is_named():
    hits = screen(None, counterparties("doe johnny"), WATCHLIST)
    assert hits.select("kind", "id", "matched_name", "score").rows() == [("counterparty", "C0", "Johnny Doe", 1.0)]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("Jonathan Petre Doe", 0.92, 0.99),
        ("Jonathn Peter Doe", 0.95, 0.99),
        ("Acme Shiping Limited", 0.92, 0.99),
        ("Mohamed Abdul Rahman", 0.92, 0.96),
        ("Muhammad Abdalrahman", 1.0, 1.0),
    ],
)
def test_a_name_nearly_the_same_hits(name, low, high):
    hits = screen(accounts(name), None, WATCHLIST)
    assert hits.height == 1
    assert low <= hits["score"][0] <= high


@pytest.mark.parametrize("name", ["Jonathan Smith", "Peter Doe", "Acme Bakery", "Muhammad Abd al-Karim", "", "...", None])
def test_another_name_does_not(name):
    assert screen(accounts(name), None, WATCHLIST).height == 0


def test_the_threshold_decides():
    near = accounts("Jonathan Petre Doe")
    score = screen(near, None, WATCHLIST)["score"][0]
    assert screen(near, None, WATCHLIST, threshold=score).height == 1
    assert screen(near, None, WATCHLIST, threshold=score + 1e-6).height == 0
    assert screen(accounts("Jonathan Peter Doe"), None, WATCHLIST, threshold=1.0).height == 1


@pytest.mark.parametrize("threshold", [0.5, 1.01, float("nan")])
def test_a_senseless_threshold_is_refused(threshold):
    with pytest.raises(UsageError):
        screen(None, None, WATCHLIST, threshold)


def test_one_row_an_entry_and_a_fixed_order():
    listed = validate(
        "watchlist",
        pl.DataFrame(
            {"entry_id": ["B", "A"], "list": ["X", "X"], "name": ["John Doe", "John Doe"], "aliases": ["Doe John|JOHN DOE", "Jon Doe"]}
        ),
    )
    ours = accounts("John Doe", "Nobody Atall", "DOE John")
    hits = screen(ours, counterparties("John Doe"), listed)
    assert hits.select("kind", "id", "entry_id").rows() == [
        ("account", "A0", "A"),
        ("account", "A0", "B"),
        ("account", "A2", "A"),
        ("account", "A2", "B"),
        ("counterparty", "C0", "A"),
        ("counterparty", "C0", "B"),
    ]
    assert screen(ours.reverse(), counterparties("John Doe"), listed.reverse()).equals(hits)


def test_no_list_or_no_names_no_hits():
    assert screen(None, None, WATCHLIST).height == 0
    assert screen(accounts("John Doe"), None, WATCHLIST.clear()).height == 0


def test_rescreen_keeps_hits_with_the_names_they_come_from():
    references = References({"kyc": accounts("Johnny Doe")})
    assert rescreen(references).get("watchlist_hits") is None
    hit = rescreen(references.with_table("watchlist", WATCHLIST))
    assert hit.get("watchlist_hits")["entry_id"].to_list() == ["E1"]
    assert rescreen(hit.without("watchlist")).get("watchlist_hits") is None


# --- the real lists

DATA = Path(os.environ.get("LAKEWARDEN_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "reference"
needs_lists = pytest.mark.skipif(not DATA.is_dir(), reason=f"the OFAC and UN lists are not at {DATA}")


@pytest.fixture(scope="module")
def real_names():
    """Names of individuals, and all names and aliases by entry."""
    sdn = pl.read_parquet(DATA / "ofac_sdn.parquet")
    alt = pl.read_parquet(DATA / "ofac_alt.parquet")
    un = pl.read_parquet(DATA / "un_consolidated.parquet")
    entries = {}
    for entry, name in [*sdn.select("ent_num", "sdn_name").rows(), *alt.select("ent_num", "alt_name").rows()]:
        entries.setdefault(name, set()).add(f"O{entry}")
    for entry, name, aliases in un.select("dataid", "name", "aliases").rows():
        for each in [name, *(alias for alias in aliases.split("|") if alias)]:
            entries.setdefault(each, set()).add(f"U{entry}")
    people = (
        sdn.filter(pl.col("sdn_type") == "individual")["sdn_name"].to_list() + un.filter(pl.col("kind") == "individual")["name"].to_list()
    )
    return [name for name in dict.fromkeys(people) if len(name) >= 9 and len(name.split()) >= 2], entries


def spoken(name):
    return re.sub(r"\A([^,]*),([^,]*)\Z", r"\2 \1", name).strip()


def typed_wrong(draw, name):
    """One letter exchanged, put in, left out, or two turned round."""
    letters = list(name.lower())
    at = draw.choice([place for place, letter in enumerate(letters) if letter.isalpha()])
    kind = draw.choice(["exchange", "insert", "leave", "turn"])
    if kind == "exchange":
        letters[at] = draw.choice([letter for letter in string.ascii_lowercase if letter != letters[at]])
    elif kind == "insert":
        letters.insert(at, draw.choice(string.ascii_lowercase))
    elif kind == "leave":
        del letters[at]
    else:
        letters[at : at + 2] = letters[at : at + 2][::-1]
    return "".join(letters)


SPELLINGS = """mohammed>muhammad,muhammad>mohamed,mohammad>muhammed,hussein>husayn,husayn>hussain,ahmad>ahmed,yusuf>yousuf,usama>osama,\
umar>omar,khalid>khaled,karim>kareem,abdul>abdel,abd al-rahman>abdulrahman,sergei>sergey,\
aleksei>alexey,yevich>evich,ov >off ,q>k,ou>u,oo>u,ee>i,\
kh>k,gh>g,ss>s,mm>m,j>dj,y>i,u>ou,i>ee,w>v"""
HABITS = [tuple(pair.split(">")) for pair in SPELLINGS.split(",")]


def respelled(draw, name):
    """One or two habits of transliteration exchanged."""
    text = f" {name.lower()} "
    fitting = [habit for habit in HABITS if habit[0] in text]
    for old, new in draw.sample(fitting, min(len(fitting), draw.choice([1, 2]))):
        text = text.replace(old, new, 1)
    return text.strip()


def turned(draw, name):
    words = name.split()
    draw.shuffle(words)
    return " ".join(words)


def run_together(draw, name):
    words = name.replace("-", " ").split()
    at = draw.randrange(len(words) - 1) if len(words) > 2 else 0
    return " ".join([*words[:at], "".join(words[at : at + 2]), *words[at + 2 :]])


@needs_lists
@pytest.mark.parametrize(
    ("change", "least"),
    [(turned, 0.999), (run_together, 0.98), (typed_wrong, 0.90), (respelled, 0.92)],
    ids=["words turned", "words run together", "one typing error", "respelled"],
)
def test_recall_on_changed_real_names(real_names, change, least):
    """Of 800 listed people with a changed name, so many are found under their own entry."""
    people, entries = real_names
    draw = random.Random(20)
    changed = {}
    for name in draw.sample(people, 800):
        changed.setdefault(change(draw, spoken(name)), name)
    pairs = best_pairs(pl.Series(list(changed)), pl.Series(list(entries)), 0.92)
    hit = {}
    for ours, theirs in pairs.select("name", "matched_name").iter_rows():
        hit.setdefault(ours, set()).update(entries[theirs])
    found = sum(bool(hit.get(ours, set()) & entries[name]) for ours, name in changed.items())
    assert found / len(changed) >= least


@needs_lists
def test_few_others_are_hit(real_names):
    """Names put together of the first name of one listed person and the last names of another: the hardest there are. 3 % at most."""
    people, entries = real_names
    draw = random.Random(21)
    words = [name.replace(",", " ").split() for name in people]
    mixed = list({" ".join([draw.choice(words)[0], *draw.choice(words)[1:]]) for _ in range(3_000)})
    pairs = best_pairs(pl.Series(mixed), pl.Series(list(entries)), 0.92).filter(pl.col("score") < 1.0)
    assert pairs["name"].n_unique() / len(mixed) <= 0.03


@needs_lists
def test_ordinary_names_are_screened_by_the_thousand(real_names):
    """Of processor time, and generous: 20 times more were measured; comparing all with all does 900 a second."""
    _, entries = real_names
    draw = random.Random(22)
    first = ["Anna", "Pierre", "Giulia", "Lukas", "Emma", "Juan", "Sofia", "Mehmet", "Ingrid", "Tomasz", "Olga", "Patrick"]
    ours = pl.Series(
        [f"{draw.choice(first)} {''.join(draw.choices('abdeiklmnorst', k=draw.randint(4, 9)))}" for _ in range(20_000)]
    ).unique()
    start = time.process_time()
    best_pairs(ours, pl.Series(list(entries)), 0.92)
    assert ours.len() / (time.process_time() - start) > 5_000
