"""The estimate-dimension command: files of every kind, damaged ones, its numbers and its plot."""

import json
import math
import os
import pickle
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from toy_experiment import percolaw_command

import percolaw as pl
from percolaw import checks, cli
from percolaw.datasets.formats import DatasetError
from percolaw.datasets.points import SUFFIXES, read_points
from percolaw.dimension.estimate import estimate_dimension
from percolaw.report.dimension import draw_report


@pytest.fixture
def command(capsys, tmp_path, monkeypatch):
    """Run the command in this process, in an empty folder: (code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main(["estimate-dimension", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def plane(n=400, d=5, seed=0):
    """Points of a plane in d dimensions."""
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(n, 2)) @ rng.standard_normal((2, d))


def strict_json(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def plain(value):
    """A report as JSON gives it back, infinities as null."""
    return json.loads(json.dumps(value), parse_constant=lambda _: None)


def refused(result, message, code=2):
    """The exit code, a reason in one line on stderr, and nothing on stdout."""
    found, out, err = result
    assert found == code, err
    assert out == ""
    assert re.search(message, err), err
    assert err.startswith("percolaw: ")
    assert "Traceback" not in err


def write_csv(path, x, header=None, encoding="utf-8"):
    lines = [] if header is None else [header]
    lines += [",".join(repr(float(v)) for v in row) for row in x]
    Path(path).write_text("\n".join(lines) + "\n", encoding=encoding)


def zarr_array(path, x, chunks=None):
    zarr = pytest.importorskip("zarr")
    node = zarr.create_array(str(path), shape=x.shape, chunks=chunks or x.shape, dtype=x.dtype)
    node[:] = x


def zarr_group(path, **arrays):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(path), mode="w")
    for name, x in arrays.items():
        group.create_array(name, shape=x.shape, dtype=x.dtype)[:] = x


TABLES = {
    "float64.npy": lambda p, x: np.save(p, x),
    "float32.npy": lambda p, x: np.save(p, x.astype(np.float32)),
    "float16.npy": lambda p, x: np.save(p, x.astype(np.float16)),
    "int.npy": lambda p, x: np.save(p, np.rint(1e6 * x).astype(np.int64)),
    "uint8.npy": lambda p, x: np.save(p, np.rint(20 * np.abs(x)).astype(np.uint8)),
    "bool.npy": lambda p, x: np.save(p, x > 0),
    "big-endian.npy": lambda p, x: np.save(p, x.astype(">f8")),
    "fortran.npy": lambda p, x: np.save(p, np.asfortranarray(x)),
    "one column.npy": lambda p, x: np.save(p, x[:, :1]),
    "X among others.npz": lambda p, x: np.savez(p, a=2 * x, X=x, y=x[:, 0]),
    "unnamed.npz": lambda p, x: np.savez(p, x),
    "one table.npz": lambda p, x: np.savez(p, y=x[:, 0], points=x, name="z"),
    "compressed.npz": lambda p, x: np.savez_compressed(p, x),
    "array.zarr": zarr_array,
    "chunks.zarr": lambda p, x: zarr_array(p, x, (64, 2)),
    "group.zarr": lambda p, x: zarr_group(p, X=x, other=2 * x),
    "plain.csv": write_csv,
    "header.csv": lambda p, x: write_csv(p, x, "a,b,c,d,e"),
    "quoted header.csv": lambda p, x: write_csv(p, x, '"a 1","b","c","d","e"'),
    "comment.csv": lambda p, x: write_csv(p, x, "# a,b,c,d,e"),
}


def stored(name, x):
    """What the file of that name holds."""
    changed = {
        "float32.npy": lambda: x.astype(np.float32),
        "float16.npy": lambda: x.astype(np.float16),
        "int.npy": lambda: np.rint(1e6 * x).astype(np.int64),
        "uint8.npy": lambda: np.rint(20 * np.abs(x)).astype(np.uint8),
        "bool.npy": lambda: x > 0,
        "one column.npy": lambda: x[:, :1],
    }
    return changed.get(name, lambda: x)()


# --- reading every kind of file


@pytest.mark.parametrize("name", TABLES)
def test_every_kind_of_file(tmp_path, name):
    x = plane(150)
    path = tmp_path / name
    TABLES[name](path, x)
    found, n_rows = read_points(path, 1000)
    assert n_rows == 150
    expected = stored(name, x)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype.kind == expected.dtype.kind
    assert not isinstance(found, np.memmap) or not found.flags.writeable
    # Part of it: rows of the file in its order, the same for the same seed.
    part, n_rows = read_points(str(path), 100, 3)
    assert (part.shape, n_rows) == ((100, expected.shape[1]), 150)
    np.testing.assert_array_equal(part, read_points(path, 100, 3)[0])
    if name not in ("uint8.npy", "bool.npy"):
        place = {row.tobytes(): i for i, row in enumerate(np.ascontiguousarray(expected))}
        rows = [place[row.tobytes()] for row in np.ascontiguousarray(part.astype(expected.dtype))]
        assert rows == sorted(set(rows))
        assert not np.array_equal(part, read_points(path, 100, 4)[0])


@pytest.mark.parametrize("suffix", [".npz", ".zarr", ".parquet"])
def test_percolaw_datasets(tmp_path, suffix):
    data = pl.make_cluster(300, 6, 1)
    path = pl.save(data, tmp_path / f"data{suffix}")
    found, n_rows = read_points(path, 1000)
    assert n_rows == 300
    np.testing.assert_array_equal(found, data.X)
    part, n_rows = read_points(path, 50, 2)
    assert (part.shape, n_rows) == ((50, 6), 300)
    assert {r.tobytes() for r in part} <= {r.tobytes() for r in np.asarray(data.X)}


def test_percolaw_dataset_of_memory_maps(tmp_path):
    data = pl.make_cluster(300, 6, 1)
    np.testing.assert_array_equal(
        read_points(pl.save(data, tmp_path / "data.npy"), 1000)[0], data.X
    )


def test_rows_are_drawn_uniformly(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(40.0)[:, None])
    count = np.zeros(40)
    for seed in range(400):
        found, _ = read_points(tmp_path / "x.npy", 10, seed)
        assert np.all(np.diff(found[:, 0]) > 0)
        count[found[:, 0].astype(int)] += 1
    assert count.sum() == 4000
    # Each is binomial with mean 100 and standard deviation 8.7.
    assert np.all(np.abs(count - 100) < 5 * 8.7)


def test_named_arrays(tmp_path):
    x, z = plane(150), plane(120, 3)
    np.savez(tmp_path / "x.npz", X=x, other=z)
    zarr_group(tmp_path / "x.zarr", X=x, other=z)
    for name in ("x.npz", "x.zarr"):
        np.testing.assert_array_equal(read_points(tmp_path / name, 500, 0, "other")[0], z)
        np.testing.assert_array_equal(read_points(tmp_path / name, 500, 0, "X")[0], x)
        with pytest.raises(DatasetError, match=r"holds (X, other|other, X); name one with --array"):
            read_points(tmp_path / name, 500, 0, "none")
    np.savez(tmp_path / "two.npz", a=x, b=z, c=x[0])
    zarr_group(tmp_path / "two.zarr", a=x, b=z)
    for name in ("two.npz", "two.zarr"):
        with pytest.raises(DatasetError, match=r"holds (a, b|b, a).*name one with --array"):
            read_points(tmp_path / name, 500)
        np.testing.assert_array_equal(read_points(tmp_path / name, 500, 0, "b")[0], z)
    np.savez(tmp_path / "flat.npz", a=x[0])
    with pytest.raises(DatasetError, match="name one with --array"):
        read_points(tmp_path / "flat.npz", 500)


def test_only_the_array_asked_for_is_read(tmp_path):
    np.savez(tmp_path / "x.npz", X=plane(150), names=np.array(["a", None], dtype=object))
    np.testing.assert_array_equal(read_points(tmp_path / "x.npz", 500)[0], plane(150))


# --- files that are no table of numbers


def test_wrong_shapes_and_kinds(command):
    x = plane(150)
    np.save("flat.npy", x[:, 0])
    np.save("cube.npy", np.zeros((5, 5, 5)))
    np.save("scalar.npy", np.float64(3.0))
    np.save("text.npy", np.array([["a", "b"]] * 150))
    np.save("complex.npy", x + 1j)
    np.save("record.npy", np.zeros((150, 2), dtype=[("a", "f8")]))
    np.savez("flat.npz", X=x[:, 0])
    zarr_array("flat.zarr", x[:, 0])
    for name, message in (
        ("flat.npy", r"flat\.npy holds an array of shape \(150,\); points need shape \(n, d\)"),
        ("cube.npy", r"shape \(5, 5, 5\)"),
        ("scalar.npy", r"scalar\.npy"),
        ("text.npy", r"text\.npy holds <U1, not numbers"),
        ("complex.npy", "complex128, not numbers"),
        ("record.npy", "not numbers"),
        ("flat.npz", r"shape \(150,\)"),
        ("flat.zarr", r"shape \(150,\)"),
    ):
        refused(command(name, "--no-plot"), message)


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return (Path.touch, (Path(self.mark),))


def test_pickles_are_refused_and_not_run(command, tmp_path):
    mark = tmp_path / "mark"
    objects = np.empty((150, 2), dtype=object)
    objects[:] = Bomb(mark)
    np.save("objects.npy", objects, allow_pickle=True)
    np.savez("objects.npz", X=objects)
    Path("raw.npy").write_bytes(pickle.dumps(Bomb(mark)))
    Path("raw.npz").write_bytes(pickle.dumps(Bomb(mark)))
    for name in ("objects.npy", "objects.npz", "raw.npy", "raw.npz"):
        refused(command(name, "--no-plot"), rf"{name} (cannot be read|holds Python objects)")
        assert not mark.exists()
    pickle.loads(Path("raw.npy").read_bytes())
    assert mark.exists(), "control: the bomb works"


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.parquet"])
def test_truncated_files(command, name):
    if name == "x.npy":
        np.save(name, plane())
    else:
        pl.save(pl.make_cluster(400, 6, 1), name)
    whole = Path(name).read_bytes()
    for share in (0.0, 0.01, 0.3, 0.9):
        Path(name).write_bytes(whole[: int(share * len(whole))])
        refused(
            command(name, "--no-plot"), rf"{name} cannot be read.*(truncated or damaged|Parquet)"
        )
    Path(name).write_bytes(os.urandom(1000))
    refused(command(name, "--no-plot"), rf"{name} cannot be read")


def chunks(folder):
    return sorted(f for f in folder.rglob("*") if f.is_file() and f.name != "zarr.json")


def test_truncated_zarr(command, tmp_path):
    pl.save(pl.make_cluster(400, 6, 1), "x.zarr")
    (chunk,) = chunks(tmp_path / "x.zarr" / "X")
    chunk.write_bytes(chunk.read_bytes()[:100])
    refused(command("x.zarr", "--no-plot"), r"x\.zarr.*(truncated|damaged)")


def test_zarr_dataset_with_a_missing_chunk(tmp_path):
    path = pl.save(pl.make_cluster(400, 6, 1), tmp_path / "x.zarr")
    chunks(path / "X")[0].unlink()
    with pytest.raises(DatasetError, match="chunk"):
        pl.load(path)
    with pytest.raises(DatasetError):
        read_points(path, 1000)


def test_broken_zarr(command):
    Path("x.zarr").mkdir()
    refused(command("x.zarr", "--no-plot"), r"x\.zarr cannot be read")
    zarr_array("y.zarr", plane())
    Path("y.zarr/zarr.json").write_text("{")
    refused(command("y.zarr", "--no-plot"), r"y\.zarr cannot be read")


def test_files_of_another_kind_than_their_name(command):
    np.save("x.npy", plane())
    for name in ("x.npz", "x.parquet", "x.csv"):
        Path(name).write_bytes(Path("x.npy").read_bytes())
        refused(command(name, "--no-plot"), rf"{name} cannot be read")


def test_npz_named_npy(command):
    with open("x.npy", "wb") as file:
        np.savez(file, plane())
    refused(command("x.npy", "--no-plot"), r"x\.npy")


def test_zarr_group_in_the_place_of_an_array(command):
    zarr = pytest.importorskip("zarr")
    zarr.open_group("x.zarr", mode="w").create_group("X")
    refused(command("x.zarr", "--no-plot"), r"x\.zarr")


def test_bad_csv(command):
    rows = [",".join(map(repr, map(float, r))) for r in plane(150)]
    bad = {
        "text": [*rows[:70], "1,2,three,4,5", *rows[70:]],
        "ragged": [*rows[:70], "1,2,3", *rows[70:]],
        "missing": [*rows[:70], "1,,3,4,5", *rows[70:]],
        "semicolons": [r.replace(",", ";") for r in rows],
        "two headers": ["a,b,c,d,e", "m,m,kg,s,A", *rows],
    }
    for name, lines in bad.items():
        Path(f"{name}.csv").write_text("\n".join(lines))
        refused(command(f"{name}.csv", "--no-plot"), rf"{name}\.csv is no table")
    Path("x.csv").write_bytes(b"\xff\xfe1,2\n" * 200)
    refused(command("x.csv", "--no-plot"), r"x\.csv cannot be read")


def test_csv_last_line_and_line_ends(tmp_path):
    x = plane(120)
    rows = [",".join(map(repr, map(float, r))) for r in x]
    for text in ("\n".join(rows), "\r\n".join(rows) + "\r\n", "\n".join(rows) + "\n\n"):
        (tmp_path / "x.csv").write_bytes(text.encode())
        np.testing.assert_array_equal(read_points(tmp_path / "x.csv", 500)[0], x)
    (tmp_path / "x.csv").write_text("\n".join(r.replace(",", ", ") for r in rows))
    np.testing.assert_array_equal(read_points(tmp_path / "x.csv", 500)[0], x)


def test_csv_with_a_byte_order_mark(tmp_path):
    x = plane(120)
    write_csv(tmp_path / "x.csv", x, encoding="utf-8-sig")
    np.testing.assert_array_equal(read_points(tmp_path / "x.csv", 500)[0], x)


@pytest.mark.parametrize("first", ["1.5,,2.5,3.5,4.5", "1.5,2.5,n/a,3.5,4.5"])
def test_csv_whose_first_row_is_bad(tmp_path, first):
    write_csv(tmp_path / "x.csv", plane(120), first)
    with pytest.raises(DatasetError):
        read_points(tmp_path / "x.csv", 500)


def test_tabs_and_spaces(tmp_path):
    x = np.array(plane(60))
    np.savetxt(tmp_path / "x.tsv", x, delimiter="\t", header="a\tb", comments="")
    np.savetxt(tmp_path / "x.txt", x)
    for name in ("x.tsv", "x.txt"):
        points, n = read_points(tmp_path / name, 100)
        assert n == 60
        np.testing.assert_allclose(points, x)


def test_missing_files_and_unknown_suffixes(command):
    refused(command("none.npy"), r"there is no none\.npy")
    refused(command("none.parquet"), r"there is no none\.parquet")
    Path("x.mat").write_text("1 2\n")
    refused(command("x.mat"), r"unknown file suffix '\.mat'.*There are \.npy, \.npz")
    refused(command("x.cvs"), r"Did you mean '\.csv'")
    refused(command("x"), "unknown file suffix ''")
    assert set(SUFFIXES) == {".npy", ".npz", ".zarr", ".parquet", ".csv", ".tsv", ".txt"}
    assert os.listdir() == ["x.mat"]


# --- points that have no dimension to estimate


def test_bad_points(command):
    x = plane()
    np.save("few.npy", x[:50])
    np.save("none.npy", x[:0])
    np.save("same.npy", np.ones((300, 3)))
    np.save("nan.npy", np.where(x == x.max(), np.nan, x))
    np.save("twice.npy", np.concatenate([x, x[:30]]))
    np.save("no columns.npy", np.zeros((300, 0)))
    for name, message in (
        ("few.npy", r"points must be .*100.*got 50"),
        ("none.npy", r"none\.npy|got 0"),
        ("same.npy", "300 points coincide"),
        ("nan.npy", "1 of 400 points hold NaN or infinity.*Remove"),
        ("twice.npy", "60 of 430 points.*coincide.*Remove duplicates"),
        ("no columns.npy", r"no columns\.npy|shape \(n, d\)"),
    ):
        refused(command(name), message)
    assert not [f for f in os.listdir() if not f.endswith(".npy")], "no plot is left"


def test_duplicates_may_be_dropped(command):
    x = plane()
    order = np.random.default_rng(1).permutation(430)
    np.save("x.npy", np.concatenate([x, x[:30]])[order])
    code, out, err = command("x.npy", "--no-plot", "--drop-duplicates")
    assert (code, err) == (0, "")
    assert "430 points in 5 dimensions" in out
    assert "30 duplicates dropped" in out
    found = strict_json(command("x.npy", "--no-plot", "--drop-duplicates", "--json")[1])
    kept = np.concatenate([x, x[:30]])[order]
    first = sorted({row.tobytes(): i for i, row in reversed(list(enumerate(kept)))}.values())
    report = estimate_dimension(kept[first], 0)
    assert (found.pop("file"), found.pop("rows")) == ("x.npy", 430)
    assert found == plain(report.as_dict())
    assert found["n_points"] == 400
    np.save("y.npy", x)
    assert "duplicates" not in command("y.npy", "--no-plot", "--drop-duplicates")[1]
    twice = np.concatenate([x, x[:30] * (1.0 + 1e-7)]).astype(np.float32)
    np.save("z.npy", twice)
    assert np.unique(twice, axis=0).shape[0] > 400
    text = command("z.npy", "--no-plot", "--drop-duplicates")[1]
    assert "30 duplicates dropped (equal up to rounding)" in text


# --- the numbers


@pytest.mark.parametrize("n", [100, 250, 900])
def test_json_is_the_report(command, n):
    x = plane(n)
    np.save("x.npy", x)
    code, out, err = command("x.npy", "--no-plot", "--json", "--seed", 3)
    assert (code, err) == (0, "")
    found = strict_json(out)
    assert found.pop("file") == "x.npy"
    assert found.pop("rows") == n
    report = estimate_dimension(x, 3)
    assert found == plain(report.as_dict())
    assert found["dimension"] == report.dimension
    assert (found["interval"][1] is None) == math.isinf(report.interval[1])
    assert list(found["estimates"]) == list(report.estimates)
    for name, e in report.estimates.items():
        assert found["estimates"][name]["dimension"] == e.dimension
        assert found["estimates"][name]["level"] == e.level.tolist()
    assert os.listdir() == ["x.npy"]
    other = strict_json(command("x.npy", "--no-plot", "--json", "--seed", 4)[1])
    assert other["n_points"] == n


def test_text_says_what_the_report_says(command):
    x = np.concatenate([plane(900), np.ones((900, 2))], axis=1)
    np.save("x.npy", x)
    code, out, err = command("x.npy", "--no-plot")
    assert (code, err) == (0, "")
    report = estimate_dimension(x, 0)
    assert out.startswith("x.npy: 900 points in 7 dimensions, 2 columns constant\n")
    assert report.sentence in out
    for name, e in report.estimates.items():
        low, high = e.interval
        line = next(row for row in out.splitlines() if row.startswith(f"{name} "))
        numbers = (
            rf"{e.dimension:.2f} +\[{low:.2f}, {high:.2f}\] +{e.level[-1]:.2f} \({e.n_points[-1]} "
        )
        assert re.search(numbers, line), line
    assert abs(report.dimension - 2.0) < 0.3
    assert "plot" not in out
    assert "--max-points" not in out
    assert "\x1b" not in out


def test_offset_file_kind_and_embedding_do_not_matter(command):
    x = plane(500).astype(np.float32).astype(np.float64)
    np.save("x.npy", x)
    np.save("y.npy", x.astype(np.float32))
    write_csv("x.csv", x, "a,b,c,d,e")
    np.savez("x.npz", X=x)
    found = [
        strict_json(command(name, "--no-plot", "--json")[1])["dimension"]
        for name in ("x.npy", "y.npy", "x.csv", "x.npz")
    ]
    np.testing.assert_allclose(found, found[0], rtol=1e-6)
    assert found[0] == found[2] == found[3]


def test_max_points(command):
    np.save("x.npy", plane(1000))
    options = ("x.npy", "--no-plot", "--json", "--max-points")
    whole = strict_json(command(*options, 1000)[1])
    assert whole == strict_json(command(*options, 5000)[1])
    part = strict_json(command(*options, "4e2", "--seed", 5)[1])
    assert (part["rows"], part["n_points"]) == (1000, 400)
    assert part == strict_json(command(*options, 400, "--seed", 5)[1])
    other = strict_json(command(*options, 400, "--seed", 6)[1])
    assert other["dimension"] != part["dimension"]
    del part["file"], part["rows"]
    assert part == plain(estimate_dimension(read_points("x.npy", 400, 5)[0], 5).as_dict())
    text = command("x.npy", "--no-plot", "--max-points", 400)[1]
    assert text.startswith("x.npy: 1000 points in 5 dimensions, 400 of them used (--max-points)\n")


def test_seed_of_many_digits(command):
    np.save("x.npy", plane(500))
    seed = 2**40 + 1
    found = strict_json(command("x.npy", "--no-plot", "--json", "--seed", seed)[1])
    assert found["estimates"] == plain(estimate_dimension(plane(500), seed).as_dict())["estimates"]


def test_seed_of_very_many_digits():
    from percolaw.cli.numbers import count

    assert count("9007199254740993") == 9007199254740993


def test_named_array_on_the_command_line(command):
    np.savez("x.npz", a=plane(150), b=plane(120, 3))
    refused(command("x.npz", "--no-plot"), r"x\.npz holds a, b; name one with --array")
    refused(command("x.npz", "--no-plot", "--array", "c"), r"x\.npz holds a, b; name one")
    code, out, _ = command("x.npz", "--no-plot", "--array", "b")
    assert code == 0
    assert out.startswith("x.npz: 120 points in 3 dimensions\n")


# --- usage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "FILE"),
        (("x.npy", "--no-plt"), "unrecognized arguments: --no-plt. Did you mean --no-plot"),
        (("x.npy", "--max-point", "500"), "Did you mean --max-points"),
        (("x.npy", "--max_points", "500"), "Did you mean --max-points"),
        (("x.npy", "--drop-duplicate"), "Did you mean --drop-duplicates"),
        (("x.npy", "--jsn"), "Did you mean --json"),
        (("x.npy", "--zzz"), "unrecognized arguments: --zzz"),
        (("x.npy", "y.npy"), r"unrecognized arguments: y\.npy"),
        (("x.npy", "--max-points", "2.5"), "--max-points.*2.5"),
        (("x.npy", "--max-points", "many"), "--max-points.*many"),
        (("x.npy", "--max-points", "inf"), "--max-points.*inf"),
        (("x.npy", "--max-points", "99"), "--max-points must be in.*got 99"),
        (("x.npy", "--max-points", "-5"), "--max-points"),
        (("x.npy", "--seed", "x"), "--seed"),
        (("x.npy", "--seed", "-1"), "-1"),
        (("x.npy", "--plot"), "--plot"),
        (("x.npy", "--plot", "x.jpg"), r"--plot must end in \.png, \.svg or \.pdf; got x\.jpg"),
        (("x.npy", "--plot", "x"), "--plot must end in"),
        (("x.npy", "--plot", "none/x.png"), "there is no folder none for the plot"),
    ],
)
def test_wrong_usage(command, arguments, message):
    np.save("x.npy", plane(150))
    before = Path("x.npy").stat().st_mtime_ns
    refused(command(*arguments), message)
    assert os.listdir() == ["x.npy"]
    assert Path("x.npy").stat().st_mtime_ns == before


def test_the_plot_is_checked_before_the_file_is_read(command, monkeypatch):
    def fail(*_):
        raise AssertionError("the file was read")

    monkeypatch.setattr("percolaw.datasets.points.read_points", fail)
    np.save("x.npy", plane(150))
    refused(command("x.npy", "--plot", "x.gif"), "--plot must end in")
    refused(command("x.npy", "--plot", "no/x.png"), "no folder")
    refused(command("no/x.npy"), "no folder")
    real = checks.extra

    def no_matplotlib(module, name):
        return real("no_such_module" if module == "matplotlib" else module, name)

    monkeypatch.setattr(checks, "extra", no_matplotlib)
    refused(command("x.npy"), r"pip install -e '.\[report\]'", 1)


def test_help(command):
    code, out, err = command("--help")
    assert (code, err) == (0, "")
    flags = (
        "--array",
        "--max-points",
        "--drop-duplicates",
        "--seed",
        "--plot",
        "--no-plot",
        "--json",
    )
    assert all(flag in out for flag in flags)
    assert all(suffix in out for suffix in SUFFIXES)


def test_in_a_process_of_its_own(tmp_path):
    np.save(tmp_path / "x.npy", plane(150))
    done = subprocess.run(
        percolaw_command("estimate-dimension", "x.npy", "--json", "--no-plot"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert strict_json(done.stdout)["n_points"] == 150
    assert os.listdir(tmp_path) == ["x.npy"]


def test_closed_pipe_is_silent(command, monkeypatch):
    def closed(*_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("percolaw.cli.dimension.run_estimate_dimension", closed)
    assert command("x.npy") == (1, "", "")


def assert_drawing(path):
    data = path.read_bytes()
    if path.suffix.lower() == ".png":
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert data[-8:-4] == b"IEND"
        image = matplotlib.image.imread(path)
        height, width = image.shape[:2]
        assert 1500 > width > height > 600, "on a page of two columns letters keep their size"
        ink = np.any(image[..., :3] < 0.9, axis=2)
        assert 0.01 < ink.mean() < 0.5
        # Each of the three panels, and their key, holds something, in more than one colour.
        for half in np.array_split(image[height // 8 :], 2):
            for part in np.array_split(half, 2, axis=1):
                colours = (part[..., :3] * 7).astype(int) @ [64, 8, 1]
                assert len(np.unique(colours)) > 5
    elif path.suffix.lower() == ".svg":
        root = ElementTree.fromstring(data)
        assert root.tag.endswith("svg")
        assert len(list(root.iter())) > 100
        assert b"<dc:date>" not in data
    else:
        assert data[:5] == b"%PDF-"
        assert data.rstrip().endswith(b"%%EOF")
        assert b"CreationDate" not in data


# --- the plot


def test_default_plot_lies_beside_the_file(command, tmp_path):
    Path("folder").mkdir()
    np.save("folder/x.npy", plane())
    code, out, err = command("folder/x.npy")
    assert (code, err) == (0, "")
    assert out.endswith("plot: folder/x.npy.dimension.png\n")
    assert sorted(os.listdir("folder")) == ["x.npy", "x.npy.dimension.png"]
    assert os.listdir() == ["folder"]
    assert_drawing(tmp_path / "folder/x.npy.dimension.png")
    # A second call replaces it with the same picture.
    before = Path("folder/x.npy.dimension.png").read_bytes()
    Path("folder/x.npy.dimension.png").write_bytes(b"old")
    assert command("folder/x.npy")[0] == 0
    assert Path("folder/x.npy.dimension.png").read_bytes() == before


def test_plot_of_a_folder_and_with_json(command, monkeypatch):
    monkeypatch.setattr(
        "percolaw.report.dimension.draw_report",
        lambda _, path, **__: Path(path).write_bytes(b"drawn"),
    )
    zarr_array("x.zarr", plane(120))
    code, out, err = command("x.zarr", "--json")
    assert (code, err) == (0, "")
    found = strict_json(out)
    assert found["estimates"]["TwoNN"]["interval"][1] is None, "too few points for an interval"
    assert Path("x.zarr.dimension.png").read_bytes() == b"drawn"
    assert sorted(os.listdir()) == ["x.zarr", "x.zarr.dimension.png"]


@pytest.mark.parametrize("name", ["p.SVG", pytest.param("p.pdf", marks=pytest.mark.slow)])
def test_plot_where_asked(command, tmp_path, name):
    np.save("price_$_$.npy", plane(200))  # in the title, and no formula there
    Path("out").mkdir()
    code, out, err = command("price_$_$.npy", "--plot", f"out/{name}")
    assert (code, err) == (0, "")
    assert f"plot: out/{name}\n" in out
    assert_drawing(tmp_path / "out" / name)
    assert os.listdir("out") == [name]
    assert sorted(os.listdir()) == ["out", "price_$_$.npy"]


def test_one_endless_interval_hides_no_other(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("percolaw.report.dimension.save", lambda figure, _: figures.append(figure))
    report = estimate_dimension(plane(400, seed=0), 0).as_dict()
    kept = json.dumps(report)
    draw_report(report, tmp_path / "a.png")
    assert json.dumps(report) == kept
    report["estimates"]["TwoNN"]["interval"][1] = 1e8
    draw_report(report, tmp_path / "a.png")
    plain, cut = (figure.axes[2] for figure in figures)
    assert cut.get_xlim()[1] < 8.0  # three times an estimate of 2
    assert plain.get_xlim()[1] < cut.get_xlim()[1]
    assert [text.get_text() for text in cut.texts] == ["to 1e+08"]
    assert not plain.texts


def shown_without_plot(found, message):
    """The estimates are printed, then what is wrong with the picture that was asked for."""
    code, out, err = found
    assert code == 1
    assert "stated interval" in out
    assert re.search(message, err)
    assert "Traceback" not in err


def test_a_plot_that_fails_leaves_the_old_one(command, monkeypatch):
    from matplotlib.figure import Figure

    np.save("x.npy", plane(120))
    Path("p.png").write_bytes(b"old")

    def half(self, path, **_):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    shown_without_plot(command("x.npy", "--plot", "p.png"), "No space left")
    assert Path("p.png").read_bytes() == b"old"


@pytest.mark.parametrize("why", ["disk full", "a folder has the name"])
def test_a_plot_that_fails_leaves_nothing_half_written(command, monkeypatch, why):
    from matplotlib.figure import Figure

    np.save("x.npy", plane(120))

    def half(self, path, **_):
        Path(path).write_bytes(b"half")
        if why == "disk full":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    if why != "disk full":
        Path("p.png").mkdir()
    shown_without_plot(command("x.npy", "--plot", "p.png"), "No space left|directory")
    assert sorted(os.listdir()) in (["x.npy"], ["p.png", "x.npy"])
