import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from i2i.data.catalogue.attributes import AttributeTable, find_attributed, read_table
from i2i.errors import DataError

CELEBA = """\
3
Black_Hair Blond_Hair Male Young
000001.jpg -1  1 -1  1
000002.jpg  1 -1 -1 -1
000010.jpg -1 -1  1  1
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def paint(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return path


def test_the_notation_of_celeba(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "list.txt", CELEBA))
    assert table.names == ("Black_Hair", "Blond_Hair", "Male", "Young")
    assert table.rows == {
        "000001": (False, True, False, True),
        "000002": (True, False, False, False),
        "000010": (False, False, True, True),
    }


def test_chosen_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "list.txt", CELEBA), ["Young", "Blond_Hair"])
    assert table.names == ("Young", "Blond_Hair")
    assert table.rows["000001"] == (True, True)
    assert table.rows["000010"] == (True, False)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(tmp_path: Path, delimiter: str) -> None:
    lines = ["file,Big Nose,Young", '"a, b/1.png",1,0', "", "c\\2.PNG, 0 ,-1", "x.y,+1,1"]
    text = "\r\n".join(lines).replace(",", delimiter).replace(f"a{delimiter} b", "a, b")
    table = read_table(write(tmp_path / "t.csv", "\ufeff" + text))
    assert table.names == ("Big Nose", "Young")
    assert table.rows == {"a, b/1": (True, False), "c/2": (False, False), "x.y": (True, True)}


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_both_notations_say_the_same(rows: list[tuple[bool, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        celeba = f"{len(rows)}\nA B C\n" + "".join(
            f"{n:06d}.jpg {' '.join('1' if v else '-1' for v in row)}\n"
            for n, row in enumerate(rows)
        )
        plain = "image_id,A,B,C\n" + "".join(
            f"{n:06d}.jpg,{','.join(str(int(v)) for v in row)}\n" for n, row in enumerate(rows)
        )
        one = read_table(write(Path(folder, "list.txt"), celeba))
        other = read_table(write(Path(folder, "t.csv"), plain))
    assert one.rows == other.rows
    assert list(one.rows.values()) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            CELEBA.replace("000002.jpg  1", "000002.jpg  2"),
            r"line 4: Black_Hair is '2': expected 1",
        ),
        (CELEBA.replace("000002.jpg  1 ", "000002.jpg "), r"line 4: expected a file and 4 values"),
        (CELEBA.replace("000002", "000001"), r"line 4: '000001.jpg' was in line 3 already"),
        (CELEBA.replace("3\n", "5\n"), "announces 5 images, but lists 3"),
        (CELEBA.replace("Male", "Young"), r"line 2: .*each once"),
        ("3\n", r"line 2: .*there are none"),
        ("", r"line 1: .*there are none"),
        ("file,A\n", "lists no image"),
        ("file,A\n1.png,1\n2.png,maybe\n", r"line 3: A is 'maybe'"),
        ("file,A\n1.png,joy\n2.png,joy\n", r"A is 'joy' for all images"),
        ("file,A\n1.png,Anger\n2.png,anger\n", r"A is 'Anger' here and 'anger' there"),
        ("file,A\n1.png,so-so\n2.png,So so\n", r"A is 'So so' here and 'so-so' there"),
        ("file,Smiling,smiling\n1.png,1,0\n", r"has 'Smiling' and 'smiling', which differ in case"),
        ("file,A\n1.png,1\n2.png,10\n", r"A is '10': .* number of a class, write a word: class10"),
        ("file,A,B\n1.png,a,b\n2.png,b,a\n", r"has 'a' twice"),
        ("1.png,1,0\n2.png,0,1\n", r"line 1: '1.png, 1, 0' is no header"),
        ("file,A,\n1.png,1,1\n", r"line 1"),
    ],
)
def test_bad_tables_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_table(write(tmp_path / "faces.txt", text))
    assert "faces.txt" in str(error.value)


def test_a_missing_attribute_and_a_missing_table(tmp_path: Path) -> None:
    path = write(tmp_path / "list.txt", CELEBA)
    with pytest.raises(DataError, match=r"'Blonde_Hair'\. Did you mean 'Blond_Hair'\? It has: Bl"):
        read_table(path, ["Blonde_Hair"])
    with pytest.raises(DataError, match=r"nothing\.txt' cannot be read: No such file"):
        read_table(tmp_path / "nothing.txt")
    path.write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(path)


def table_of(path: Path, *keys: str) -> AttributeTable:
    return AttributeTable(path, ("A",), {key: (n % 2 == 0,) for n, key in enumerate(keys)})


def test_images_are_found_by_as_much_of_their_path_as_the_table_gives(tmp_path: Path) -> None:
    for name in ("img/000001.png", "img/deep/2.jpg", "x/a/3.png", "x/b/3.png"):
        paint(tmp_path / name)
    table = table_of(tmp_path / "t", "000001", "deep/2", "a/3", "b/3", "gone", "lost")
    found = find_attributed(tmp_path, table)
    assert {path.relative_to(tmp_path).as_posix(): v for path, v in found.train.items()} == {
        "img/000001.png": (True,),
        "img/deep/2.jpg": (False,),
        "x/a/3.png": (True,),
        "x/b/3.png": (False,),
    }
    assert (found.validation, found.unseen, found.unlisted) == (None, 2, ())


def test_splits_are_used_where_both_are_there(tmp_path: Path) -> None:
    for name in ("train/1.png", "train/2.png", "val/3.png", "rest/4.png"):
        paint(tmp_path / name)
    found = find_attributed(tmp_path, table_of(tmp_path / "t", "1", "2", "3"))
    assert [path.name for path in found.train] == ["1.png", "2.png"]
    assert found.validation is not None
    assert [path.name for path in found.validation] == ["3.png"]


def test_images_that_no_row_or_the_same_row_fits(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        paint(tmp_path / name)
    with pytest.raises(DataError, match=r"None of the 3 images.*2 rows.*'x'"):
        find_attributed(tmp_path, table_of(tmp_path / "t", "x", "y"))
    with pytest.raises(DataError, match=r"\(2 of 3\):\n.*1\.png\n.*3\.png\n.*--skip-bad"):
        find_attributed(tmp_path, table_of(tmp_path / "t", "2"))
    dropped = find_attributed(tmp_path, table_of(tmp_path / "t", "2"), drop_unlisted=True)
    assert [path.name for path in dropped.train] == ["2.png"]
    assert len(dropped.unlisted) == 2
    paint(tmp_path / "again" / "2.png")
    with pytest.raises(DataError, match=r"2\.png' both fit the row '2'"):
        find_attributed(tmp_path, table_of(tmp_path / "t", "1", "2", "3"))


@pytest.mark.parametrize(
    "text",
    [
        "image,emotion\n1.png,joy\n2.png,anger\n10.png,joy\n",
        "1.png,joy\n2.png,anger\n10.png,joy\n",  # without a header
        ",image,emotion\n0,1.png,joy\n1,2.png,anger\n2,10.png,joy\n",  # DataFrame.to_csv
    ],
)
def test_a_column_of_words_is_an_attribute_for_each(tmp_path: Path, text: str) -> None:
    table = read_table(write(tmp_path / "t.csv", text))
    assert table.names == ("anger", "joy")
    assert table.groups == (("anger", "joy"),)
    assert table.rows == {"1": (False, True), "2": (True, False), "10": (False, True)}
    assert read_table(tmp_path / "t.csv", ["joy"]).groups == ()


def test_values_as_pandas_writes_them(tmp_path: Path) -> None:
    text = (
        "Unnamed: 0,file,A,B,C\n0,1.png,1.0,True,yes\n1,2.png,0.0,False,no\n2,3.png,-1.0,TRUE,No\n"
    )
    table = read_table(write(tmp_path / "t.csv", text))
    assert table.names == ("A", "B", "C")
    assert table.rows == {"1": (True,) * 3, "2": (False,) * 3, "3": (False, True, False)}


def test_what_would_be_tested_with_is_not_trained_on(tmp_path: Path) -> None:
    paint(tmp_path / "Test" / "000001.png")
    table = read_table(write(tmp_path / "list.txt", CELEBA))
    with pytest.raises(DataError, match="holds 'Test', but no folder 'train'"):
        find_attributed(tmp_path, table)


def test_rows_may_give_whole_paths_and_spreadsheets_their_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = paint(tmp_path / "faces" / "a" / "1.png"), paint(tmp_path / "faces" / "b" / "1.png")
    path = tmp_path / "t.csv"
    path.write_text(f"file\tYoung\n{one}\t1\n{two}\t0\n", encoding="utf-16")
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / "faces", Path("faces")):
        found = find_attributed(root, read_table(path))
        assert {p.parent.name: values for p, values in found.train.items()} == {
            "a": (True,),
            "b": (False,),
        }
    path.write_text("file,J\xfcnger\n1.png,1\n", encoding="latin-1")
    with pytest.raises(DataError, match="not in UTF-8"):
        read_table(path)
