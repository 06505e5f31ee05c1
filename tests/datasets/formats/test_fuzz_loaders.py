"""Loaders meet damaged files, ten thousand with --slow: a dataset, or a clear error; nothing else, and no
code run."""

import shutil
import warnings

import numpy as np
import pytest

import percolaw as pl
from percolaw.datasets.formats import DatasetError
from percolaw.datasets.points import read_points

SEED = 5


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A small dataset in every format, and plain tables."""
    folder = tmp_path_factory.mktemp("originals")
    data = pl.make_manifold("sphere", 40, 2, rng=1)
    for suffix in (".npz", ".npy", ".zarr", ".parquet"):
        pl.save(data, folder / f"data{suffix}")
    np.save(folder / "table.npy", data.X)
    np.savez(folder / "table.npz", X=data.X, y=data.y)
    np.savetxt(folder / "table.csv", data.X, delimiter=",", header="a,b,c", comments="")
    return folder


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """Flip, cut, repeat or insert bytes."""
    data = bytearray(content)
    for _ in range(int(generator.integers(1, 6))):
        where = int(generator.integers(0, max(1, len(data))))
        kind = int(generator.integers(0, 5))
        if kind == 0 and data:
            data[min(where, len(data) - 1)] = int(generator.integers(0, 256))
        elif kind == 1:
            del data[where:]
        elif kind == 2:
            del data[where : where + int(generator.integers(1, 40))]
        elif kind == 3:
            data[where:where] = generator.bytes(int(generator.integers(1, 40)))
        else:
            data[where:where] = data[: int(generator.integers(1, 200))]
    return bytes(data)


def opens_or_refuses(action) -> bool:
    """Whether it opened; anything but a clear error fails the test."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            action()
        except (DatasetError, ValueError):
            return False
    return True


def few_and_many(*cases):
    """A sixth of the cases, and all of them with --slow."""
    few = [pytest.param(name, n // 6, id=name) for name, n in cases]
    return few + [
        pytest.param(name, n, id=f"{name}-{n}", marks=pytest.mark.slow) for name, n in cases
    ]


@pytest.mark.parametrize(
    ("name", "cases"),
    few_and_many(("data.npz", 2400), ("data.parquet", 1600), ("data.npy", 1500)),
)
def test_damaged_datasets(originals, tmp_path, name, cases):
    generator = np.random.default_rng(SEED)
    source = originals / name
    inside = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    content = {file: file.read_bytes() for file in inside}
    target = tmp_path / name
    if source.is_dir():
        shutil.copytree(source, target)
    opened = 0
    for case in range(cases):
        file = inside[case % len(inside)]
        place = target / file.relative_to(source) if source.is_dir() else target
        place.write_bytes(damaged(content[file], generator))
        opened += opens_or_refuses(lambda: np.asarray(pl.load(target).X[:5]))
        place.write_bytes(content[file])
    assert opened < cases / 2  # the damage is real
    assert opens_or_refuses(lambda: pl.load(target))


def test_damaged_zarr(originals, tmp_path):
    generator = np.random.default_rng(SEED)
    source, target = originals / "data.zarr", tmp_path / "data.zarr"
    shutil.copytree(source, target)
    inside = sorted(p for p in source.rglob("*") if p.is_file())
    for case in range(100):
        file = inside[case % len(inside)]
        place = target / file.relative_to(source)
        place.write_bytes(damaged(file.read_bytes(), generator))
        opens_or_refuses(lambda: np.asarray(pl.load(target).X[:5]))
        place.write_bytes(file.read_bytes())
    assert opens_or_refuses(lambda: pl.load(target))


@pytest.mark.parametrize(
    ("name", "cases"),
    few_and_many(("table.npy", 2000), ("table.npz", 1500), ("table.csv", 1200)),
)
def test_damaged_tables(originals, tmp_path, name, cases):
    generator = np.random.default_rng(SEED)
    content = (originals / name).read_bytes()
    target = tmp_path / name
    for _ in range(cases):
        target.write_bytes(damaged(content, generator))
        opens_or_refuses(lambda: read_points(target, 30))
    target.write_bytes(content)
    assert opens_or_refuses(lambda: read_points(target, 30))


def test_pickles_are_not_opened(tmp_path):
    class Malice:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    np.save(tmp_path / "bad.npy", np.array([Malice()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "bad.npz", X=np.array([Malice()], dtype=object))
    (tmp_path / "ran").unlink(missing_ok=True)
    for name in ("bad.npy", "bad.npz"):
        assert not opens_or_refuses(lambda name=name: read_points(tmp_path / name, 30))
        assert not opens_or_refuses(lambda name=name: pl.load(tmp_path / name))
    assert not (tmp_path / "ran").exists()
