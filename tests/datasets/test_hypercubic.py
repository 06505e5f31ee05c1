"""Points of real lattices as datasets."""

import numpy as np
import pytest

import percolaw as pl
from percolaw.cli import main
from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate


@pytest.mark.parametrize("kind", ["bond", "site"])
@pytest.mark.parametrize("p", [0.28, None, 0.6])
def test_points_are_sites_of_their_clusters(kind, p):
    data = pl.make_lattice(2000, 3, p, rng=5, kind=kind, n_sites=20**3)
    used = pl.hypercubic_threshold(3, kind) if p is None else p
    found = percolate(HypercubicLattice(3, 20, kind), used, pl.Streams(5))
    assert data.X.shape == (2000, 3)
    sites = (data.X.astype(int) * 20 ** np.arange(3)).sum(axis=1)
    assert np.unique(sites).size == 2000  # without replacement
    own = found.cluster[sites]
    assert np.all(own >= 0)
    assert np.array_equal(data.size, found.size[own])
    # One number for each cluster, the largest first.
    pairs = {(int(a), int(b)) for a, b in zip(own, data.cluster, strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert np.all(np.diff(data.cluster_size) <= 0)
    assert data.y.mean() == pytest.approx(0.0, abs=1e-9)
    assert data.y.var() == pytest.approx(1.0)
    rest = np.linalg.lstsq(np.c_[data.X, np.ones(2000)], data.y, rcond=None)[1]
    assert rest[0] < 1e-9 * 2000  # linear in the coordinates, on all clusters alike
    assert data.truth["dimension"] == 3
    above = 3.0 if used > pl.hypercubic_threshold(3, kind) else None
    fractal = pl.critical_exponents(3).fractal_dimension
    assert data.truth["cluster_dimension"] == (fractal if p is None else above)
    tau = pl.critical_exponents(3).fisher_exponent
    assert data.truth["fisher_exponent"] == (tau if p is None else None)


def test_embedding_keeps_distances_and_the_seed_decides():
    low = pl.make_lattice(300, 2, rng=1, n_sites=10_000)
    high = pl.make_lattice(300, 2, dim=7, rng=1, n_sites=10_000)
    assert high.X.shape == (300, 7)
    a, b = (np.linalg.norm(x[:, None] - x[None], axis=2) for x in (low.X, high.X))
    assert np.allclose(a, b, atol=1e-3)
    assert np.array_equal(low.y, high.y)
    assert not np.array_equal(low.X, pl.make_lattice(300, 2, rng=2, n_sites=10_000).X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 9), r"lattice_dimension must be in \[2, 8\]; got 9"),
        ((10, 3, 1.2), r"probability must lie in \[0, 1\]; got 1.2"),
        ((10, 3, None, 2), r"dim must be in \[3, inf\]; got 2"),
        ((1, 3), r"n_samples must be in \[2, inf\]; got 1"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        pl.make_lattice(*arguments)


def test_too_few_open_sites_are_refused():
    with pytest.raises(ValueError, match=r"0 sites of the box are open, fewer than 10\. Raise"):
        pl.make_lattice(10, 2, 0.0, kind="site", n_sites=100)


def test_generate_lattice_from_the_shell(tmp_path, capsys):
    out = tmp_path / "lattice.npz"
    flags = ["--n", "500", "--lattice-dim", "2", "--dim", "2", "--sites", "1e4", "--seed", "3"]
    assert main(["generate", "lattice", *flags, "--percolation", "site", "--out", str(out)]) == 0
    data = pl.load(out)
    same = pl.make_lattice(500, 2, dim=2, rng=3, kind="site", n_sites=10_000)
    assert np.array_equal(data.X, same.X)
    assert np.array_equal(data.y, same.y)
    assert data.provenance["maker"] == "make_lattice"
    assert main(["generate", "manifold", "--n", "9", "--out", "x.npz", "--lattice-dim", "4"]) == 2
    assert "--lattice-dim belongs to `generate lattice`" in capsys.readouterr().err
