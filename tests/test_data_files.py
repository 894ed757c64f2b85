"""Tables are read from files however they are written, and what can't be read is said in a sentence."""

import gzip
import json
import re
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierrl as hr

TABLE = pd.DataFrame(
    {
        "subject": ["a"] * 3 + ["b"] * 3,
        "trial": [1, 2, 3] * 2,
        "choice": ["left", "right", None] * 2,
        "reward": [0.5, -1.25, None, 98, 0, None],
        "age": [30] * 3 + [45] * 3,
    }
)
EXPECTED = hr.behaviour(TABLE, covariates="age")


def notes(data: xr.Dataset) -> str:
    return " ".join(json.loads(data.attrs["notes"]))


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.csv", {}),
        ("semicolon.csv", {"sep": ";"}),
        ("german.csv", {"sep": ";", "decimal": ","}),
        ("german.tsv", {"sep": "\t", "decimal": ","}),
        ("tab.tsv", {"sep": "\t"}),
        ("tab.txt", {"sep": "\t"}),
        ("bar.csv", {"sep": "|"}),
        ("space.txt", {"sep": " ", "na_rep": "NA"}),
        ("comma.tsv", {}),
        ("packed.csv.gz", {}),
        ("packed.tsv.gz", {"sep": "\t"}),
        ("PACKED.CSV.GZ", {}),
        ("mark.csv", {"encoding": "utf-8-sig"}),
        ("wide.csv", {"encoding": "utf-16"}),
        ("windows.csv", {"lineterminator": "\r\n"}),
    ],
)
def test_text_files_are_read_as_they_are_written(tmp_path, name, options):
    path = tmp_path / name
    TABLE.to_csv(path, index=False, **options)
    for place in (path, str(path)):
        xr.testing.assert_equal(hr.behaviour(place, covariates="age"), EXPECTED)


@pytest.mark.parametrize("name", ["table.parquet", "table.pq"])
def test_parquet_is_read(tmp_path, name):
    TABLE.to_parquet(tmp_path / name)
    xr.testing.assert_equal(hr.behaviour(tmp_path / name, covariates="age"), EXPECTED)


def test_tables_of_other_libraries_are_read_through_pandas():
    class Frame:
        def to_pandas(self):
            return TABLE

    xr.testing.assert_equal(hr.behaviour(cast(pd.DataFrame, Frame()), covariates="age"), EXPECTED)


def test_a_renamed_packed_file_is_unpacked(tmp_path):
    path = write(tmp_path, "table.csv", gzip.compress(TABLE.to_csv(index=False).encode()))
    xr.testing.assert_equal(hr.behaviour(path, covariates="age"), EXPECTED)


def test_blanks_around_names_and_values_do_not_matter(tmp_path):
    path = write(tmp_path, "t.csv", " subject , choice,reward \na, left,1\na,right ,0\na, ,\n")
    data = hr.behaviour(path)
    assert data["arm"].values.tolist() == ["left", "right"]
    assert data["choice"].values.tolist() == [0, 1, -1]


def test_labels_in_files_stay_as_written(tmp_path):
    path = write(tmp_path, "t.csv", "subject,session,choice,reward\n007,01,0,1\n7,01,1,0\n1e5,2,1,0\n")
    data = hr.behaviour(path)
    assert data["subject"].values.tolist() == ["007", "7", "1e5"]
    assert data["trial_session"].values.tolist() == ["01", "01", "2"]
    named = write(tmp_path, "n.csv", "who,choice,reward\n007,0,1\n7,1,0\n")
    assert hr.behaviour(named, subject="who")["subject"].values.tolist() == ["007", "7"]


def test_whole_numbers_in_files_are_whole_number_labels(tmp_path):
    path = write(tmp_path, "t.csv", "subject,session,choice,reward\n12.0,1,0,1\n3.0,1,1,0\n")
    data = hr.behaviour(path)
    assert data["subject"].values.tolist() == [12, 3]
    assert data["trial_session"].dtype == np.int64


def test_other_encodings_are_read_and_noted(tmp_path):
    path = write(tmp_path, "t.csv", "subject,choice,reward\nZoë,0,1\nZoë,1,0\n".encode("cp1252"))
    data = hr.behaviour(path)
    assert data["subject"].values.tolist() == ["Zoë"]
    assert "not written in UTF-8" in notes(data)


def test_row_names_as_r_writes_them_are_left_out(tmp_path):
    path = write(tmp_path, "t.txt", "subject choice reward\n1 s1 0 1\n2 s1 1 0\n")
    data = hr.behaviour(path)
    assert data["subject"].values.tolist() == ["s1"]
    assert "has no name in the header" in notes(data)


def test_messages_about_files_name_the_line(tmp_path):
    path = write(tmp_path, "t.csv", "\n\nsubject,choice,reward\na,0,1\na,1,win\n")
    with pytest.raises(ValueError, match=re.escape("'win' at subject 'a' (line 5)")):
        hr.behaviour(path)


GOOD = "subject,choice,reward\na,0,1\na,1,0\n"
BROKEN = {
    "empty.csv": ("", ["is empty"]),
    "blank.csv": ("\n \n\n", ["is empty"]),
    "header.csv": ("subject,choice,reward\n", ["no rows"]),
    "headerless.csv": ("a,0,1\na,1,0\n", ["No column for the subject", "no header line"]),
    "ragged.csv": (GOOD + "a,1,1,7\n", ["Expected 3 fields in line 4, saw 4", "stray separator"]),
    "ending.csv": ("subject,choice,reward\na,0,1,\na,1,0,\n", ["more fields than its header"]),
    "ending numbers.csv": ("subject,choice,reward\n1,0,1,\n2,1,0,\n", ["more fields than its header"]),
    "quote.csv": ('subject,choice,reward\n"a,0,1\na,1,0\n', ["can't be read as a table", "quote"]),
    "twice.csv": ("subject,choice,choice,reward\na,0,1,1\na,1,0,0\n", ["several columns called 'choice'"]),
    "comma.csv": ('subject,choice,reward\na,0,"0,5"\na,1,"1,5"\n', ["decimal commas?"]),
    "zip.csv": (b"PK\x03\x04\0\0", ["zip archive or an Excel workbook"]),
    "binary.csv": (bytes(range(256)), ["is not text"]),
    "utf16.csv": (GOOD.encode("utf-16-le"), ["is not text", "UTF-8"]),
    "long.csv": ("x" * 200_000 + "\n1\n", ["No column for the subject"]),
    "cut.csv.gz": (gzip.compress(GOOD.encode())[:-10], ["can't be unpacked", "again"]),
    "spoilt.csv.gz": (b"\x1f\x8b" + b"\1" * 50, ["can't be unpacked"]),
    "text.parquet": (GOOD, ["can't be read as parquet"]),
    "book.xlsx": (b"PK\x03\x04", ["no known kind", "save the sheet as csv"]),
    "noending": (GOOD, ["no known kind"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_in_a_sentence(tmp_path, name):
    content, pieces = BROKEN[name]
    path = write(tmp_path, name, content)
    pattern = "(?s)" + "".join(f"(?=.*{re.escape(piece)})" for piece in pieces)
    with pytest.raises(ValueError, match=pattern) as caught:
        hr.behaviour(path)
    assert len(str(caught.value)) < 500


def test_a_missing_file_is_named_with_the_nearest(tmp_path):
    write(tmp_path, "study.csv", GOOD)
    with pytest.raises(FileNotFoundError, match="no file .*Did you mean 'study.csv'"):
        hr.behaviour(tmp_path / "studi.csv")
    with pytest.raises(FileNotFoundError, match="folder isn't there"):
        hr.behaviour(tmp_path / "nowhere" / "study.csv")
    with pytest.raises(ValueError, match="is a folder"):
        hr.behaviour(tmp_path)
