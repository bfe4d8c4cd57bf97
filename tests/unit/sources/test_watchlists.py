"""Watchlists as published: OFAC's CSV and the UN's XML, small ones by hand and the real rows put back into that form."""

import csv
import io
import os
from pathlib import Path
from xml.sax.saxutils import escape

import polars as pl
import pytest

from lakewarden.errors import SourceError
from lakewarden.rules.references import SCHEMAS
from lakewarden.sources.watchlists import read_ofac, read_un

SDN = (
    '36,"AEROCARIBBEAN AIRLINES",-0- ,"CUBA",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- \r\n'
    '173,"ANGLO-CARIBBEAN CO., LTD.",-0- ,"CUBA",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,"a ""quoted"" remark"\r\n'
    '306,"DOE, John","individual","SDGT] [IFSR",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,"DOB 1970."\r\n'
    '400,"SEA STAR","vessel","IRAN","-0- ","CALL","Tanker","1,000","900","Iran","-0- ","-0- "\r\n'
    "\x1a"
)
ALT = (
    '36,12,"aka","AERO-CARIBBEAN",-0- \r\n306,13,"aka","DOE, Jon",-0- \r\n'
    '306,14,"fka","ROE, Richard",-0- \r\n306,15,"aka","DOE, Jon",-0- \r\n'
)
ADD = '36,25,-0- ,"Havana","Cuba",-0- \r\n306,26,"Street 1, Flat 2",-0- ,-0- ,-0- \r\n306,27,-0- ,-0- ,"Panama",-0- \r\n'

UN = """<?xml version="1.0" encoding="UTF-8"?>
<CONSOLIDATED_LIST dateGenerated="2026-02-27T00:00:00">
  <INDIVIDUALS>
    <INDIVIDUAL>
      <DATAID>6908555</DATAID><VERSIONNUM>1</VERSIONNUM>
      <FIRST_NAME>RI</FIRST_NAME><SECOND_NAME>WON HO</SECOND_NAME><THIRD_NAME/>
      <UN_LIST_TYPE>DPRK</UN_LIST_TYPE><REFERENCE_NUMBER>KPi.033</REFERENCE_NUMBER>
      <NAME_ORIGINAL_SCRIPT>리원호</NAME_ORIGINAL_SCRIPT>
      <NATIONALITY><VALUE>Democratic People's Republic of Korea</VALUE></NATIONALITY>
      <INDIVIDUAL_ALIAS><QUALITY>Good</QUALITY><ALIAS_NAME>Ri  Wonho</ALIAS_NAME></INDIVIDUAL_ALIAS>
      <INDIVIDUAL_ALIAS><QUALITY/><ALIAS_NAME/></INDIVIDUAL_ALIAS>
      <INDIVIDUAL_ADDRESS><COUNTRY>China</COUNTRY></INDIVIDUAL_ADDRESS>
    </INDIVIDUAL>
  </INDIVIDUALS>
  <ENTITIES>
    <ENTITY>
      <DATAID>111</DATAID><FIRST_NAME>SMITH &amp; SONS</FIRST_NAME><REFERENCE_NUMBER/>
      <ENTITY_ALIAS><QUALITY>a.k.a.</QUALITY><ALIAS_NAME>S &amp; S</ALIAS_NAME></ENTITY_ALIAS>
      <ENTITY_ADDRESS><COUNTRY>Libya</COUNTRY></ENTITY_ADDRESS>
    </ENTITY>
  </ENTITIES>
</CONSOLIDATED_LIST>
"""


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_ofac(tmp_path):
    table = read_ofac(write(tmp_path, "sdn.csv", SDN), write(tmp_path, "alt.csv", ALT), write(tmp_path, "add.csv", ADD))
    assert table.schema == SCHEMAS["watchlist"]
    assert table.rows() == [
        ("OFAC-173", "OFAC SDN", "ANGLO-CARIBBEAN CO., LTD.", [], "entity", None),
        ("OFAC-306", "OFAC SDN", "DOE, John", ["DOE, Jon", "ROE, Richard"], "individual", "Panama"),
        ("OFAC-36", "OFAC SDN", "AEROCARIBBEAN AIRLINES", ["AERO-CARIBBEAN"], "entity", "Cuba"),
        ("OFAC-400", "OFAC SDN", "SEA STAR", [], "vessel", "Iran"),
    ]


def test_ofac_without_its_other_files(tmp_path):
    assert read_ofac(write(tmp_path, "sdn.csv", SDN))["aliases"].list.len().sum() == 0


@pytest.mark.parametrize(
    "text",
    [
        'ent_num,name\r\n1,"x"\r\n',
        '36,"A","B"\r\n',
        'x,"A",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- \r\n',
        '36,"A\r\n',
        "",
        "\x1a",
        b"\x00\xff\xfe",
    ],
)
def test_what_is_no_sdn_file_is_refused(tmp_path, text):
    with pytest.raises(SourceError) as caught:
        read_ofac(write(tmp_path, "sdn.csv", text))
    assert "sdn.csv" in caught.value.what
    assert caught.value.state == "nothing was imported"


def test_a_missing_file_is_named(tmp_path):
    for read in (read_ofac, read_un):
        with pytest.raises(SourceError, match="gone"):
            read(tmp_path / "gone")


def test_un(tmp_path):
    table = read_un(write(tmp_path, "consolidated.xml", UN))
    assert table.schema == SCHEMAS["watchlist"]
    assert table.rows() == [
        ("UN-111", "UN", "SMITH & SONS", ["S & S"], "entity", "Libya"),
        ("UN-KPi.033", "UN", "RI WON HO", ["Ri Wonho", "리원호"], "individual", "Democratic People's Republic of Korea"),
    ]


LAUGHS = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><CONSOLIDATED_LIST>&b;</CONSOLIDATED_LIST>'
FILES = '<?xml version="1.0"?><!DOCTYPE l SYSTEM "file:///etc/passwd"><CONSOLIDATED_LIST/>'


@pytest.mark.parametrize("text", [LAUGHS, FILES, LAUGHS.encode("utf-16")])
def test_a_document_type_is_refused_in_any_encoding(tmp_path, text):
    with pytest.raises(SourceError, match="document type"):
        read_un(write(tmp_path, "un.xml", text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<a>", "well-formed"),
        ("", "well-formed"),
        ("<sdnList/>", "root is sdnList"),
        ("<CONSOLIDATED_LIST/>", "no entry"),
        ("<a>" * 5_000, "well-formed"),
    ],
)
def test_what_is_no_consolidated_list_is_refused(tmp_path, text, said):
    with pytest.raises(SourceError, match=said):
        read_un(write(tmp_path, "un.xml", text))


# --- the real lists, put back into the form in which they are published

DATA = Path(os.environ.get("LAKEWARDEN_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "reference"
needs_lists = pytest.mark.skipif(not DATA.is_dir(), reason=f"the OFAC and UN lists are not at {DATA}")


def ofac_csv(table):
    """Rows in OFAC's dialect: numbers bare, texts quoted, `-0- ` for nothing, CR LF."""
    out = io.StringIO()
    for row in table.iter_rows():
        cells = [
            value if name.endswith("_num") else "-0- " if value is None else f'"{value}"'
            for name, value in zip(table.columns, row, strict=True)
        ]
        out.write(",".join(cells) + "\r\n")
    return out.getvalue() + "\x1a"


@needs_lists
def test_the_whole_ofac_list(tmp_path):
    sdn, alt = pl.read_parquet(DATA / "ofac_sdn.parquet"), pl.read_parquet(DATA / "ofac_alt.parquet")
    table = read_ofac(write(tmp_path, "sdn.csv", ofac_csv(sdn)), write(tmp_path, "alt.csv", ofac_csv(alt)))
    assert table.height == sdn.height
    assert dict(table.select("entry_id", "name").iter_rows()) == {
        f"OFAC-{number}": name for number, name in sdn.select("ent_num", "sdn_name").iter_rows()
    }
    wanted = alt.unique(["ent_num", "alt_name"])
    got = table.select("entry_id", "aliases").explode("aliases", empty_as_null=False, keep_nulls=False)
    assert set(got.iter_rows()) == {(f"OFAC-{number}", name) for number, name in wanted.select("ent_num", "alt_name").iter_rows()}
    kinds = dict(table["kind"].value_counts().iter_rows())
    assert kinds == dict(sdn["sdn_type"].fill_null("entity").value_counts().iter_rows())


@needs_lists
def test_the_whole_un_list(tmp_path):
    un = pl.read_parquet(DATA / "un_consolidated.parquet")
    parts = {"individual": io.StringIO(), "entity": io.StringIO()}
    for row in un.iter_rows(named=True):
        tag = row["kind"].upper()
        first, _, second = row["name"].partition(" ") if tag == "INDIVIDUAL" else (row["name"], "", "")
        aliases = "".join(f"<{tag}_ALIAS><ALIAS_NAME>{escape(a)}</ALIAS_NAME></{tag}_ALIAS>" for a in row["aliases"].split("|"))
        parts[row["kind"]].write(
            f"<{tag}><DATAID>{row['dataid']}</DATAID><FIRST_NAME>{escape(first)}</FIRST_NAME><SECOND_NAME>{escape(second)}</SECOND_NAME>"
            f"<REFERENCE_NUMBER>{row['reference']}</REFERENCE_NUMBER>{aliases}</{tag}>"
        )
    people, firms = parts["individual"].getvalue(), parts["entity"].getvalue()
    xml = f"<CONSOLIDATED_LIST><INDIVIDUALS>{people}</INDIVIDUALS><ENTITIES>{firms}</ENTITIES></CONSOLIDATED_LIST>"
    table = read_un(write(tmp_path, "un.xml", xml))
    wanted = {f"UN-{reference}": " ".join(name.split()) for reference, name in un.select("reference", "name").iter_rows()}
    assert dict(table.select("entry_id", "name").iter_rows()) == wanted
    aliases = {
        f"UN-{reference}": list(dict.fromkeys(" ".join(a.split()) for a in text.split("|") if a.strip()))
        for reference, text in un.select("reference", "aliases").iter_rows()
    }
    assert dict(table.select("entry_id", "aliases").iter_rows()) == aliases


def test_the_dialect_of_the_tests_is_that_of_ofac():
    """The rows put back read, by a reader that is not ours, as the sample that was written by hand."""
    sample = list(csv.reader(io.StringIO(SDN.rstrip("\x1a")), skipinitialspace=True))
    table = pl.DataFrame([[None if v.strip() == "-0-" else v.replace('"', '""') for v in row] for row in sample], orient="row", schema=[
        "ent_num", *(f"c{i}" for i in range(11))])  # fmt: skip
    again = [[v.strip() for v in row] for row in csv.reader(io.StringIO(ofac_csv(table).rstrip("\x1a")), skipinitialspace=True)]
    assert again == [[v.strip() for v in row] for row in sample]
