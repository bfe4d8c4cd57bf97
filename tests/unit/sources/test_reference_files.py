"""Reference data from files and folders: kinds told from names, Namibia, comments, and what is refused."""

import gzip
import json
from importlib import resources

import polars as pl
import pytest

from lakewarden.errors import ConfigurationError, SourceError, UsageError
from lakewarden.rules.references import DEFAULT_KINDS, defaults
from lakewarden.sources.reference_files import IMPORTABLE, kind_of, read_references

SDN = '36,"AERO",-0- ,"CUBA",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- \r\n'
ALT = '36,12,"aka","AERO 2",-0- \r\n'
UN = "<CONSOLIDATED_LIST><ENTITIES><ENTITY><DATAID>1</DATAID><FIRST_NAME>U</FIRST_NAME></ENTITY></ENTITIES></CONSOLIDATED_LIST>"


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kyc.csv", "kyc"),
        ("KYC-2026-03.CSV", "kyc"),
        ("fx_daily.parquet", "fx"),
        ("watchlist.csv", "watchlist"),
        ("sdn.csv", "watchlist"),
        ("consolidated.xml", "watchlist"),
        ("counterparties.csv.gz", "counterparties"),
        ("kycology.csv", None),
        ("readme.txt", None),
        ("watchlist_hits.csv", None),
    ],
)
def test_a_name_tells_its_kind(tmp_path, name, kind):
    assert kind_of(tmp_path / name) == kind


def test_namibia_is_no_null(tmp_path):
    (table,) = read_references(write(tmp_path, "countries.csv", "country,region,risk\nNA,AFRICA,0\nDE,EUROPE,0\n")).values()
    assert table["country"].to_list() == ["DE", "NA"]
    (table,) = read_references(write(tmp_path, "kyc.csv", "account_id,name,country\nNA,NA,NA\n")).values()
    assert table.row(0)[:3] == ("NA", None, "NA")


def test_parquet_and_gzip(tmp_path):
    fx = pl.DataFrame({"currency": ["EUR"], "rate": [1.0]})
    fx.write_parquet(tmp_path / "fx.parquet")
    (tmp_path / "fx.csv.gz").write_bytes(gzip.compress(b"currency,rate\nEUR,1.0\n"))
    assert read_references(tmp_path / "fx.parquet")["fx"].equals(fx)
    assert read_references(tmp_path / "fx.csv.gz")["fx"].equals(fx)


def test_a_kind_can_be_said(tmp_path):
    path = write(tmp_path, "export-17.csv", "currency,rate\nEUR,1\n")
    assert list(read_references(path, "fx")) == ["fx"]
    with pytest.raises(SourceError) as caught:
        read_references(path)
    assert "--kind" in caught.value.next


def test_the_packaged_files_can_be_copied_edited_and_imported(tmp_path):
    for kind in DEFAULT_KINDS:
        text = (resources.files("lakewarden") / "conf" / "reference" / f"{kind}.csv").read_text(encoding="utf-8")
        assert text.startswith("# ")
        write(tmp_path, f"{kind}.csv", text)
    got = read_references(tmp_path)
    assert set(got) == set(DEFAULT_KINDS)
    assert all(got[kind].equals(defaults().get(kind)) for kind in DEFAULT_KINDS)


def test_an_id_that_starts_like_a_comment_is_kept(tmp_path):
    table = read_references(write(tmp_path, "limits.csv", "# a note\naccount_id,single_limit_minor\n# 1,5\n#2,6\n"))["limits"]
    assert table["account_id"].to_list() == ["# 1", "#2"]


def test_a_folder_with_several_watchlists_gives_one_table(tmp_path):
    write(tmp_path, "sdn.csv", SDN)
    write(tmp_path, "alt.csv", ALT)
    write(tmp_path, "consolidated.xml", UN)
    write(tmp_path, "watchlist.csv", "entry_id,list,name,aliases,kind,country\nW1,own,Somebody,A|B,individual,DE\n")
    write(tmp_path, "notes.txt", "not read")
    (table,) = read_references(tmp_path).values()
    assert table.select("entry_id", "list", "aliases").rows() == [
        ("OFAC-36", "OFAC SDN", ["AERO 2"]),
        ("UN-1", "UN", []),
        ("W1", "own", ["A", "B"]),
    ]


def test_ofac_under_another_name_is_recognised(tmp_path):
    assert read_references(write(tmp_path, "watchlist-ofac.csv", SDN))["watchlist"]["entry_id"].to_list() == ["OFAC-36"]


def test_two_files_of_a_kind_are_refused(tmp_path):
    for name in ("fx.csv", "fx-old.csv"):
        write(tmp_path, name, "currency,rate\nEUR,1\n")
    with pytest.raises(SourceError, match="two files of the kind fx"):
        read_references(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("fx.parquet", b"not parquet"),
        ("fx.csv", b""),
        ("fx.csv", b"\xff\xfe\x00"),
        ("fx.csv", b'currency,rate\n"EUR,1\n'),
        ("fx.csv", b"currency,rate\nEUR,1,2,3\n"),
        ("fx.csv.gz", b"no gzip"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((SourceError, ConfigurationError)) as caught:
        read_references(path)
    assert str(path) in caught.value.what


def test_what_makes_no_sense(tmp_path):
    with pytest.raises(SourceError, match="no file"):
        read_references(tmp_path / "gone.csv")
    with pytest.raises(SourceError, match="no reference data"):
        read_references(tmp_path)
    with pytest.raises(UsageError, match="folder"):
        read_references(tmp_path, "fx")
    for kind in ("gold", "watchlist_hits"):
        with pytest.raises(UsageError) as caught:
            read_references(tmp_path, kind)
        assert "watchlist_hits" not in IMPORTABLE
        assert "kyc" in caught.value.next
    with pytest.raises(SourceError, match="CSV or Parquet"):
        read_references(write(tmp_path, "fx.json", json.dumps([])), "fx")
    with pytest.raises(ConfigurationError, match=r"fx\.csv: reference table fx"):
        read_references(write(tmp_path, "fx.csv", "currency,rate\nEUR,-1\n"))
