"""Name forms: what they leave out and what they keep apart."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.rules.names import FORMS, name_forms


def form(name, which):
    return name_forms(pl.Series([name]))[which][0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DOE, John", "john doe"),
        ("Müller GmbH", "MULLER"),
        ("O'Brien, Seán", "Sean OBrien"),
        ("Strauß AG", "strauss"),
        ("Łukasz Żółw", "Lukasz Zolw"),
        ("ACME TRADING CO., LTD.", "Acme Trading"),
        ("Dr. John Doe", "John DOE"),
        ("Ｆｕｌｌ Ｗｉｄｔｈ", "full width"),
    ],
)
def test_ordered_leaves_out_what_says_nothing(one, other):
    assert form(one, "ordered") == form(other, "ordered")


@pytest.mark.parametrize(
    ("one", "other"), [("Abd al-Rahman Said", "Abdalrahman Said"), ("KIM, Jong Un", "Jongun Kim"), ("De La Cruz, Ana", "Ana Delacruz")]
)
def test_joined_leaves_out_where_words_end(one, other):
    assert form(one, "joined") == form(other, "joined")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Muhammad al-Qadhafi", "Mohamed Kadafi"),
        ("Usama bin Ladin", "Osama ben Laden"),
        ("Sergei Ivanov", "Sergey Ivanoff"),
        ("Husayn Karim", "Hussein Kareem"),
        ("Viktor Yevgenyev", "Victor Yevgenieff"),
        ("Muhammad Abd al-Rahman", "Mohamed Abdulrahman"),
        ("Muhammad Abd Allah", "Mohammed Abdullah"),
        ("Abdel Fattah Yunus", "Abd al-Fattah Younus"),
    ],
)
def test_sound_leaves_out_habits_of_spelling(one, other):
    assert form(one, "sound") == form(other, "sound")


@pytest.mark.parametrize(
    ("one", "other"), [("Ali Hassan Omar", "Ali Hussein Omar"), ("Maria Gonzales", "Mario Gonzales"), ("Peter Svensson", "Petra Svensson")]
)
def test_sound_keeps_different_names_apart(one, other):
    assert form(one, "sound") != form(other, "sound")


def test_a_legal_form_alone_is_kept():
    assert form("SA", "ordered") == "sa"
    assert form("Dr. Ibrahim", "ordered") == "dr ibrahim"


def test_short_sounds_are_left_out():
    assert form("Ali", "sound") is None
    assert form("Ali", "ordered") == "ali"


@pytest.mark.parametrize("name", ["", " .,- ", None, "'"])
def test_no_letter_no_form(name):
    assert name_forms(pl.Series([name], dtype=pl.String)).row(0) == (None, None, None)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=10))
def test_any_text_has_forms_row_by_row(names):
    series = pl.Series(names, dtype=pl.String)
    forms = name_forms(series)
    assert forms.columns == list(FORMS)
    assert forms.height == len(names)
    one_by_one = [name_forms(series.slice(row, 1)) for row in range(len(names))]
    assert forms.rows() == [one.row(0) for one in one_by_one]
    for name, ordered in zip(names, forms["ordered"], strict=True):
        if ordered:
            assert ordered == " ".join(sorted(ordered.split(" ")))
            assert name.strip()
