"""Tables of other programs: names that are numbers, index columns, empty cells, plain Parquet."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from percolaw.cli import main
from percolaw.datasets.formats import DatasetError
from percolaw.datasets.points import read_points

X = np.random.default_rng(0).normal(size=(400, 4))
ROWS = [[f"{v:.17g}" for v in row] for row in X]
COUNTS = np.random.default_rng(1).integers(0, 50, size=(30, 3))


def text(path, rows, header=None, separator=None):
    separator = separator or {".csv": ",", ".tsv": "\t", ".txt": " "}[Path(path).suffix]
    lines = [] if header is None else [separator.join(header)]
    Path(path).write_text("\n".join([*lines, *(separator.join(map(str, r)) for r in rows)]) + "\n")
    return path


def quiet(path, **more):
    """Read; any note fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_points(path, 1000, **more)[0]


@pytest.fixture(params=[".csv", ".tsv", ".txt"])
def path(tmp_path, request):
    return tmp_path / f"a{request.param}"


# ---- names that are numbers


@pytest.mark.parametrize(
    "names", [["0", "1", "2", "3"], ["1", "2", "3", "4"], ["2001", "2002", "2003", "2004"]]
)
def test_names_that_count_up(path, names):
    np.testing.assert_array_equal(quiet(text(path, ROWS, names)), X)


@pytest.mark.parametrize("names", [["2000", "2005", "2010", "2020"], ["7", "3", "12", "1"]])
def test_names_that_may_be_a_point(path, names):
    text(path, ROWS, names)
    with pytest.raises(DatasetError, match=r"may be names of columns or a point.*--header yes"):
        read_points(path, 1000)
    np.testing.assert_array_equal(quiet(path, header="yes"), X)
    kept = quiet(path, header="no")
    np.testing.assert_array_equal(kept, np.vstack([np.array(names, float), X]))


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (COUNTS, ["0", "1", "2"]),  # all whole: names, or a point of a lattice
        (X[:, :2], ["0", "1"]),  # a curve may start there
        (X[:, :1], ["0"]),
        (X[:, :1], ["400"]),  # or how many follow
    ],
)
def test_few_or_whole_numbers_are_asked_for(path, rows, names):
    text(path, rows.tolist(), names)
    with pytest.raises(DatasetError, match="--header"):
        read_points(path, 1000)
    np.testing.assert_array_equal(quiet(path, header="yes"), rows)
    assert len(quiet(path, header="no")) == len(rows) + 1


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 2, 3], [4, 5, 6], [8, 8, 9]],
        [[5, 5, 5], [0.5, 1, 2], [1.5, 0, 1]],
        [[-1, 2, 3], [0.5, 0.25, 0.125], [0.1, 0.2, 0.3]],
        [[1.0, 2.0, 3.0], [0.5, 0.25, 0.125], [0.1, 0.2, 0.3]],
        [[0, 0], [0.5, 1.5]],
        [[3, 1], [1, 7], [2, 2]],
        [[7], [3], [4]],
        [[0, 1, 2]],
    ],
)
def test_points_that_look_a_little_like_names(path, rows):
    np.testing.assert_array_equal(quiet(text(path, rows)), np.array(rows, float))


def test_names_after_comments(path):
    text(path, ROWS, ["0", "1", "2", "3"])
    path.write_text("# made today\n\n" + path.read_text())
    np.testing.assert_array_equal(quiet(path), X)
    text(path, ROWS, ["a", "b", "c", "d"])
    path.write_text("# made today\n" + path.read_text())
    np.testing.assert_array_equal(quiet(path), X)


@pytest.mark.parametrize(
    "names",
    [
        ["0.0", "1.0", "2.0", "3.0"],  # columns of numbers of whoever writes decimals
        ["400.5", "401.0", "401.5", "402.0"],  # wavelengths
        ["-1", "-0.5", "0", "0.5"],
        ["7.5", "5.0", "2.5", "0.0"],
    ],
)
def test_names_at_even_steps_are_asked_for(path, names):
    text(path, ROWS, names)
    with pytest.raises(DatasetError, match=r"may be names of columns or a point.*--header yes"):
        read_points(path, 1000)
    np.testing.assert_array_equal(quiet(path, header="yes"), X)
    assert len(quiet(path, header="no")) == 401


def test_points_at_even_steps(path):
    rows = [[a, a + b, a + 2 * b, a + 3 * b] for a, b in [(0.5, 0.25), (1.5, 0.5), (0.25, 0.75)]]
    np.testing.assert_array_equal(quiet(text(path, rows)), np.array(rows))


def test_two_lines_of_names(path):
    names = [["a", "a", "b", "b"], ["0", "1", "0", "1"]]
    text(path, [names[1], *ROWS], names[0])
    with pytest.raises(DatasetError, match=r"second line .*, 0, 1, 0, 1, may be names"):
        read_points(path, 1000)
    assert len(quiet(path, header="yes")) == 401
    text(path, [[0, 0], [0, 0.5], [0.25, 1]], ["a", "b"])  # a walk
    assert len(quiet(path)) == 3


@pytest.mark.parametrize("named", [["a", "b", "c", "d"], ["0", "1", "2", "3"], None])
def test_quotation_marks(path, named):
    """Of all cells; of the names alone see below."""
    quoted = [[f'"{word}"' for word in row] for row in ROWS]
    text(path, quoted, named and [f'"{word}"' for word in named])
    np.testing.assert_array_equal(quiet(path), X)


def test_quoted_names_over_plain_numbers(path):
    text(path, ROWS, ['"3"', '"1"', '"7"', '"7"'])
    np.testing.assert_array_equal(quiet(path), X)


def test_text_of_another_kind(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1.5,2.5\n", encoding="utf-16")
    with pytest.raises(DatasetError, match="no text in UTF-8"):
        read_points(path, 10)
    monkeypatch.setattr("percolaw.datasets.tables._CHARACTERS", 1 << 10)
    path.write_text("1.5," * 1000 + "2\n")
    with pytest.raises(DatasetError, match=r"first line .* is longer than 1024 characters"):
        read_points(path, 10)
    text(path, ROWS, ["a", "b", "c", "d"])
    np.testing.assert_array_equal(quiet(path), X)


def test_header_flag(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text("a.csv", ROWS, ["2000", "2005", "2010", "2020"])
    assert main(["estimate-dimension", "a.csv", "--no-plot"]) == 2
    assert "--header yes or --header no" in capsys.readouterr().err
    assert main(["estimate-dimension", "a.csv", "--no-plot", "--header", "yes"]) == 0
    assert "400 points in 4 dimensions" in capsys.readouterr().out
    np.save("a.npy", X)
    assert main(["estimate-dimension", "a.npy", "--no-plot", "--header", "yes"]) == 2
    assert "has no header line" in capsys.readouterr().err
    with pytest.raises(ValueError, match="unknown header 'maybe'"):
        read_points("a.csv", 10, header="maybe")


# ---- index columns


@pytest.mark.parametrize("index", [range(400), range(1, 401), range(0, 4000, 10)])
@pytest.mark.parametrize(
    "names",
    [
        ["", "a", "b", "c", "d"],
        ["", "0", "1", "2", "3"],
        ['""', '"a"', '"b"', '"c"', '"d"'],
        ["Unnamed: 0", "a", "b", "c", "d"],
    ],
)
def test_nameless_index_columns_are_left_out(tmp_path, names, index):
    for suffix in (".csv", ".tsv"):
        path = text(
            tmp_path / f"a{suffix}", [[i, *r] for i, r in zip(index, ROWS, strict=True)], names
        )
        with pytest.warns(UserWarning, match=r"first column of a\.\w+ is left out: it is an index"):
            np.testing.assert_array_equal(read_points(path, 1000)[0], X)


@pytest.mark.parametrize("mark", ["", '"'])
@pytest.mark.parametrize("nameless", [True, False])
def test_row_names_of_r_are_left_out(path, mark, nameless):
    """As `write.csv` (with a nameless column) and `write.table` write them."""
    names = [f"{mark}V{i}{mark}" for i in (1, 2, 3, 4)]
    rows = [[f"{mark}{i + 1}{mark}", *r] for i, r in enumerate(ROWS)]
    if nameless and not mark and path.suffix == ".txt":
        pytest.skip("nothing between spaces is no name")
    text(path, rows, [mark * 2, *names] if nameless else names)
    with pytest.warns(UserWarning, match="left out"):
        np.testing.assert_array_equal(read_points(path, 1000)[0], X)


@pytest.mark.parametrize(
    "index",
    [
        range(1000, 1400),
        range(400, 0, -1),
        range(0, 800, 2),
        np.random.default_rng(2).permutation(400),
        np.random.default_rng(2).permutation(400) + 17,
    ],
    ids=["from 1000", "down", "by twos", "shuffled", "shuffled from 17"],
)
@pytest.mark.parametrize("place", [0, 4])
def test_columns_that_number_the_rows_in_any_order_are_refused(path, index, place):
    text(path, [[*r[:place], i, *r[place:]] for i, r in zip(index, ROWS, strict=True)])
    with pytest.raises(DatasetError, match=rf"column {place + 1} of .* (counts|numbers) the rows"):
        read_points(path, 1000)


def test_whole_coordinates_are_no_index(path):
    ranks = X.argsort(axis=0).argsort(axis=0) + 1.0  # every column numbers the rows
    np.testing.assert_array_equal(quiet(text(path, ranks.tolist())), ranks)
    few = [[2.0, 0.5], [1.0, 0.25], [3.0, 0.75]]
    np.testing.assert_array_equal(quiet(text(path, few)), np.array(few))
    np.testing.assert_array_equal(quiet(text(path, COUNTS.tolist())), COUNTS)


def test_a_column_called_index(tmp_path):
    names = ["index", "a", "b", "c", "d"]
    path = text(tmp_path / "a.csv", [[i, *r] for i, r in enumerate(ROWS)], names)
    with pytest.warns(UserWarning, match=r"it is an index \(index\)"):
        np.testing.assert_array_equal(read_points(path, 1000)[0], X)
    text(path, [[r[0], *r] for r in ROWS], names)  # of prices, say: it counts nothing
    assert quiet(path).shape == (400, 5)


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_columns_that_count_the_rows_are_refused(path, place, named, first):
    rows = [[*r[:place], i + first, *r[place:]] for i, r in enumerate(ROWS)]
    names = ["a", "b", "c", "d"]
    names.insert(place, "id")
    text(path, rows, names if named else None)
    found = rf"column {place + 1}{' .id.' if named else ''} of .* counts the rows"
    with pytest.raises(DatasetError, match=found):
        read_points(path, 1000)


def test_one_column_may_count(path):
    np.testing.assert_array_equal(
        quiet(text(path, [[i] for i in range(5)])), np.arange(5.0)[:, None]
    )


def test_the_command_says_what_it_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text("i.csv", [[i, *r] for i, r in enumerate(ROWS)], ["", "a", "b", "c", "d"])
    assert main(["estimate-dimension", "i.csv", "--no-plot", "--json"]) == 0
    out = capsys.readouterr()
    assert (
        out.err == "note: the first column of i.csv is left out: it is an index (it has no name).\n"
    )
    assert '"embedding_dimension": 4' in out.out


# ---- cells that are no numbers


@pytest.mark.parametrize("word", ["nan", "NaN", "inf", "-inf"])
def test_cells_without_a_number_are_named(path, word):
    rows = [list(r) for r in ROWS]
    rows[70][2] = word
    text(path, rows)
    with pytest.raises(DatasetError, match=r"row 71 of the table, column 3\. Remove or fill"):
        read_points(path, 1000)
    text(path, rows, ["a", "b", "c", "d"])
    with pytest.raises(DatasetError, match=r"row 71 of the table, column 3 \(c\)"):
        read_points(path, 50)


# ---- Parquet of others


@pytest.fixture
def write(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def write(columns, metadata=None):
        table = arrow.table(columns).replace_schema_metadata(metadata)
        parquet.write_table(table, tmp_path / "a.parquet")
        return tmp_path / "a.parquet"

    return write


COLUMNS = {f"c{j}": X[:, j] for j in range(4)}


def test_plain_parquet(write):
    path = write(COLUMNS)
    np.testing.assert_array_equal(quiet(path), X)
    part, n = read_points(path, 100, 3)
    assert (part.shape, n) == ((100, 4), 400)
    assert {r.tobytes() for r in part} <= {r.tobytes() for r in np.ascontiguousarray(X)}
    single = write({f"c.{j}": X[:, j].astype(np.float32) for j in range(4)})
    found = quiet(single)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, X.astype(np.float32))
    mixed = quiet(write({**COLUMNS, "i": np.arange(400)[::-1] // 2, "b": X[:, 0] > 0}))
    assert mixed.shape == (400, 6)


def test_parquet_of_truth_values(write):
    flags = {"a": X[:, 0] > 0, "b": np.arange(400) % 2 == 1}
    np.testing.assert_array_equal(quiet(write(flags)), np.column_stack(list(flags.values())))


def test_parquet_of_pandas(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    for name, changed in {
        "range": frame,
        "shuffled": frame.sample(frac=1, random_state=1),
        "named": frame.set_index(pandas.Index(range(400), name="id")),
        "text": frame.set_index(pandas.Index([f"r{i}" for i in range(400)], name="id")),
    }.items():
        changed.to_parquet(tmp_path / "a.parquet")
        np.testing.assert_array_equal(quiet(tmp_path / "a.parquet"), changed.to_numpy(), name)


def test_the_index_of_pandas_is_left_out(write):
    metadata = {"pandas": '{"index_columns": ["__index_level_0__"]}'}
    path = write({**COLUMNS, "__index_level_0__": np.arange(400)}, metadata)
    np.testing.assert_array_equal(quiet(path), X)
    for broken in (
        "[",
        "[]",
        "7",
        '{"index_columns": 3}',
        '{"index_columns": [{"kind": "range"}]}',
    ):
        np.testing.assert_array_equal(quiet(write(COLUMNS, {"pandas": broken})), X)
    for index in (np.arange(400), np.random.default_rng(2).permutation(400)):
        path = write(
            {**COLUMNS, "__index_level_0__": index}
        )  # of a program that drops the metadata
        with pytest.warns(UserWarning, match=r"column 5 of .* left out: .*__index_level_0__"):
            np.testing.assert_array_equal(read_points(path, 1000)[0], X)
    path = write({"index": np.arange(400), **COLUMNS})
    with pytest.warns(UserWarning, match="left out"):
        np.testing.assert_array_equal(read_points(path, 1000)[0], X)
    path = write({**COLUMNS, "row": np.arange(400)})
    with pytest.raises(DatasetError, match=r"column 5 \(row\) of .* counts the rows"):
        read_points(path, 1000)


def test_columns_that_hold_no_numbers_are_named(write):
    path = write({**COLUMNS, "label": ["a"] * 400, "vector": [[1.0, 2.0]] * 400})
    with pytest.raises(DatasetError, match=r"no numbers: label \(string\), vector \(list"):
        read_points(path, 1000)


def test_empty_cells_of_parquet(write):
    holes = [None if i in (7, 9) else float(i % 5) for i in range(400)]
    with pytest.raises(DatasetError, match=r"an empty cell in row 8 of the table, column 5 \(h\)"):
        read_points(write({**COLUMNS, "h": holes}), 10)
    whole = [None if v is None else int(v) for v in holes]
    with pytest.raises(DatasetError, match=r"an empty cell in row 8"):
        read_points(write({**COLUMNS, "h": whole}), 10)
    with pytest.raises(DatasetError, match=r"nan in row 1 of the table, column 5 \(h\)"):
        read_points(write({**COLUMNS, "h": np.full(400, np.nan)}), 10)


def test_integers_that_floats_do_not_hold(write):
    big = 2**53 + 1 + 2 * np.random.default_rng(0).integers(0, 1000, 400)
    with pytest.raises(DatasetError, match=r"column i of .* has integers that float64 cannot hold"):
        read_points(write({**COLUMNS, "i": big}), 10)
    assert quiet(write({"i": big, "j": -big})).dtype == np.int64


def test_semicolons_are_named(tmp_path):
    (tmp_path / "europe.csv").write_text("a;b\n" + "1,5;2,5\n" * 9)
    with pytest.raises(DatasetError, match=r"in row 1 of .*Semicolons are not read"):
        read_points(tmp_path / "europe.csv", 100)


def test_rows_of_unequal_length_are_counted_from_one(tmp_path):
    (tmp_path / "short.csv").write_text("1,2,3\n4,5,6\n7,8\n")
    with pytest.raises(DatasetError, match=r"changed from 3 to 2 in row 3 of numbers"):
        read_points(tmp_path / "short.csv", 100)
