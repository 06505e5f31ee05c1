"""Labels, centres and resolution of clouds of clusters; provenance of every maker."""

import json
import math

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

import percolaw as pl
from percolaw.cli import main
from percolaw.datasets.centres import ClusterCentres, cluster_extent
from percolaw.datasets.labels import REFERENCE_SITES
from percolaw.learners.neighbors import nearest_neighbors
from percolaw.rng import Streams

# ---- standardisation


def by_cluster(data):
    """Points, mean and variance of the labels of each cluster."""
    count = np.maximum(np.bincount(data.cluster), 1)
    mean = np.bincount(data.cluster, data.y) / count
    return count, mean, np.bincount(data.cluster, (data.y - mean[data.cluster]) ** 2) / count


@pytest.mark.parametrize("labels", ["walk", "linear"])
def test_yule_labels_are_standardised_over_all_sites_of_each_cluster(labels):
    data = pl.make_distribution(5000, 6, 2, ensemble="yule", labels=labels)
    count, mean, variance = by_cluster(data)
    np.testing.assert_allclose(mean, 0.0, atol=1e-6)
    np.testing.assert_allclose(variance[count > 1], 1.0, atol=1e-9)
    assert not data.y[data.size == 1].any()
    shares = np.where(count > 1, count, 0) / count[count > 1].sum()
    np.testing.assert_allclose(data.loss_weight, shares, atol=1e-9)


@pytest.mark.parametrize("labels", ["walk", "linear"])
def test_labels_are_standardised_over_the_sites_and_not_the_points(labels):
    # 80 clusters of about 400 sites, each seen whole: 3000 points are 7 for every site.
    options = {"n_clusters": 80, "min_size": 350, "max_size": 450, "labels": labels}
    data = pl.make_distribution(240_000, 8, 3, **options)
    count, mean, variance = by_cluster(data)
    assert count.min() > 2 * REFERENCE_SITES
    # The first 1024 of 3000 points tell the mean of all within sqrt(1/1024 - 1/5000).
    spread = math.sqrt(1 / REFERENCE_SITES - 1 / 3000)
    size, error = mean_and_error(mean**2)
    assert_close(size, spread**2, error)
    average, error = mean_and_error(variance)
    assert_close(average, 1.0, error)
    # Few points have the same labels as many, even one or two in a cluster.
    few = pl.make_distribution(60, 8, 3, **options)
    np.testing.assert_allclose(few.y, data.y[:60], atol=1e-6)
    alone = np.bincount(few.cluster)[few.cluster] == 1
    assert few.y[alone].std() > 0.3
    # Control: one scale for all points leaves clusters with their own mean and variance.
    _, mean, variance = by_cluster(
        pl.make_distribution(240_000, 8, 3, **options, standardize="all")
    )
    size, error = mean_and_error(mean**2)
    assert_far(size, spread**2, error)


def test_clusters_of_one_and_two_sites_have_finite_labels():
    for labels in ("walk", "linear"):
        data = pl.make_distribution(300, 8, 1, n_clusters=50, min_size=1, max_size=2, labels=labels)
        assert not data.y[data.size == 1].any()
        assert np.abs(np.abs(data.y[data.size == 2]) - 1.0).max() < 0.2
    assert np.isfinite(pl.make_distribution(1, 8).y).all()


def test_loss_weight_is_the_cost_of_the_mean():
    y = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]])
    data = pl.Dataset(np.zeros((4, 1)), y, np.array([0, 0, 2, 2]), np.array([5, 6, 7]))
    np.testing.assert_allclose(data.loss_weight, [0.1, 0.0, 0.9])
    assert not pl.make_cluster(5, 8, labels="none").loss_weight.any()


# ---- centres


@pytest.mark.parametrize("ensemble", ["site", "yule"])
def test_centres_move_clusters_and_nothing_else(ensemble):
    options = {"ensemble": ensemble, "n_clusters": 30, "max_size": 10_000}
    clouds = {
        kind: pl.make_distribution(2000, 24, 4, **options, centres=kind, spacing=4.0)
        for kind in ("random", "grid", "rotated")
    }
    grid = clouds["grid"]
    distance = 4.0 * cluster_extent(int(grid.cluster_size.max()))
    for kind, data in clouds.items():
        centres = ClusterCentres(kind, grid.cluster_size.size, 24, distance, Streams(4))
        shift = centres.of(np.arange(grid.cluster_size.size))
        whole = centres.of([3, 5])
        np.testing.assert_array_equal(shift[[3, 5]], whole)
        np.testing.assert_allclose(
            data.X - shift[data.cluster],
            grid.X - clouds_grid_shift(grid, distance),
            atol=1e-5 * np.abs(shift).max(),
        )
        np.testing.assert_allclose(data.y, grid.y, atol=1e-5)
        assert (data.provenance["centres"], data.provenance["spacing"]) == (kind, 4.0)


def clouds_grid_shift(data, distance):
    """Centre k of the grid: the binary digits of k, dealt out to the axes."""
    k = data.cluster
    shift = np.zeros(data.X.shape)
    for bit in range(20):
        shift[:, bit % data.dim] += ((k >> bit) & 1) * 2.0 ** (bit // data.dim)
    return distance * shift


@pytest.mark.parametrize("dim", [2, 24, 64])
def test_random_centres_have_the_distance_asked_for_and_no_direction(dim):
    pairs, kurtosis = [], {"random": [], "rotated": [], "grid": []}
    for seed in range(30):
        for kind, values in kurtosis.items():
            c = ClusterCentres(kind, 316, dim, 5.0, Streams(seed)).of(np.arange(316))
            if kind == "random":
                pairs.append(((c[::2] - c[1::2]) ** 2).sum(axis=1).mean())
            variance = c.var(axis=0)
            values.append(variance.std() / variance.mean())
    mean, error = mean_and_error(pairs)
    assert_close(mean, 25.0, error)
    assert_far(mean, 36.0, error)
    if dim > 9:  # columns are alike, where 9 binary digits leave most columns of the grid empty
        assert np.mean(kurtosis["grid"]) > 1.2
        assert np.mean(kurtosis["random"]) < 0.1
        assert np.mean(kurtosis["rotated"]) < 0.6


def grid_of(n_clusters, dim, distance):
    grid = ClusterCentres("grid", n_clusters, dim, distance, Streams(0))
    return grid.of(np.arange(n_clusters)).astype(np.float32)


@pytest.mark.parametrize("dim", [1, 2, 3, 7, 64])
def test_centres_are_distinct_nested_and_compact(dim):
    centres = grid_of(300, dim, 2.5)
    assert centres.shape == (300, dim)
    assert np.unique(centres, axis=0).shape[0] == 300
    gap = nearest_neighbors(centres, centres, 2)[0][:, 1]
    assert gap.min() == 2.5
    for n in (1, 2, 17, 299):
        np.testing.assert_array_equal(grid_of(n, dim, 2.5), centres[:n])
    side = centres.max() / 2.5 + 1
    assert side <= 2 * math.ceil(round(300 ** (1 / dim), 9))


def test_rotation_keeps_the_grid():
    grid, turned = (ClusterCentres(k, 40, 12, 3.0, Streams(1)) for k in ("grid", "rotated"))
    a, b = grid.of(np.arange(40)), turned.of(np.arange(40))
    np.testing.assert_allclose(a @ a.T, b @ b.T, atol=1e-9)
    fewer = ClusterCentres("rotated", 7, 12, 3.0, Streams(1))
    np.testing.assert_allclose(fewer.of(np.arange(7)), b[:7], atol=1e-12)


def inside(data):
    """Share of the variance of X inside clusters."""
    x = data.X.astype(float)
    count = np.maximum(np.bincount(data.cluster), 1)
    mean = np.stack([np.bincount(data.cluster, column) / count for column in x.T], axis=1)
    rest = ((x - mean[data.cluster]) ** 2).sum(axis=1)
    bias = count / np.maximum(count - 1, 1)
    return (rest * bias[data.cluster]).mean() / x.var(axis=0).sum()


def test_the_inside_of_clusters_is_visible():
    for ensemble, told in (("site", 0.22), ("cluster", 0.081), ("yule", 0.041)):
        near = np.mean(
            [inside(pl.make_distribution(4000, 64, s, ensemble=ensemble)) for s in (0, 1)]
        )
        far = pl.make_distribution(4000, 64, ensemble=ensemble, centres="grid", spacing=16.0)
        assert told / 2 < near < 2 * told  # four clouds scatter by a third
        assert inside(far) < 0.003


def test_exponents_are_claimed_where_clusters_are_apart():
    def told(dim, **options):
        return pl.make_distribution(5, dim, n_clusters=3, **options).truth["cluster_exponent"]

    assert told(64) == told(8, labels="linear") == 0.5
    assert told(7) is None  # branches cross
    assert told(64, spacing=0.5) is None  # clusters touch
    assert told(64, labels="linear", standardize="all") is None  # the label is an address
    apart = {"labels": "linear", "centres": "grid", "spacing": 16.0}
    assert (told(3, **apart), told(6, **apart)) == (2 / 3, 0.5)
    assert told(1, **apart) is None  # thin ends decide
    assert pl.make_cluster(5, 1).truth["cluster_exponent"] is None
    off = pl.BetheLattice(200, mean_offspring=0.9)
    truth = pl.make_distribution(5, 16, n_clusters=3, lattice=off, min_size=1).truth
    assert (truth["rank_exponent"], truth["cutoff_size"]) == (None, off.cutoff_size)


def test_no_set_has_more_dimensions_than_its_space():
    from percolaw.datasets.sources import FiniteCluster, InfiniteCluster

    for d, told in ((1, 1), (3, 3), (4, 4), (16, 4)):
        assert InfiniteCluster(d).dimension == FiniteCluster(d).dimension == told
        assert pl.make_cluster(5, d).truth["dimension"] == told
        assert pl.make_distribution(5, d, n_clusters=2).truth["dimension"] == told


# ---- float32


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (
            lambda: pl.make_distribution(100_000, 1, ensemble="yule", centres="grid", spacing=16.0),
            "take centres='random'",
        ),
        (lambda: pl.make_distribution(5000, 1, centres="rotated", spacing=16), "raise dim"),
        (lambda: pl.make_distribution(5000, 64, spacing=1e6), "Lower spacing"),
        (lambda: pl.make_distribution(10**6, 1, ensemble="yule"), "fewer points"),
        (lambda: pl.make_cluster(500_000, 1), "Raise dim"),
        (lambda: pl.make_cluster(500_000, 1, size=10**15), "Raise dim"),
        (lambda: pl.make_manifold("cube", 10**6, 1), "fewer points"),
    ],
)
def test_points_that_float32_would_blur_are_refused(make, remedy):
    with pytest.raises(
        ValueError, match=r"float32 holds in steps of .* would run together\. "
    ) as e:
        make()
    assert remedy in str(e.value)


def test_streams_to_disk_refuse_them_too(tmp_path, capsys):
    pytest.importorskip("zarr")
    flags = ["--n", "5e5", "--dim", "1", "--out", str(tmp_path / "x.zarr")]
    assert main(["generate", "cluster", *flags]) == 2
    assert "would run together" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dim", [1, 2, 64])
@pytest.mark.parametrize("ensemble", ["site", "yule"])
def test_points_of_the_default_cloud_differ(dim, ensemble):
    data = pl.make_distribution(20_000, dim, 1, ensemble=ensemble)
    same = 20_000 - np.unique(data.X, axis=0).shape[0]
    # Sites of the sampled clusters are drawn with replacement.
    assert same < (10 if ensemble == "yule" else 400)


def test_huge_clusters_and_far_sites_keep_their_steps():
    # 10^15 sites reach 5600 steps, 10^7 sites of the plane 3000: float32 holds both to 1/1000.
    x = pl.make_cluster(2000, 64, 0, size=10**15).X
    assert np.spacing(np.abs(x).max()) * math.sqrt(64) < 1 / 64
    sites = pl.make_lattice(2000, 2, n_sites=10_000_000)
    np.testing.assert_array_equal(sites.X, np.rint(sites.X))
    turned = pl.make_lattice(2000, 2, dim=16, n_sites=10_000_000)
    gaps = np.linalg.norm(np.diff(sites.X.astype(float), axis=0), axis=1)
    found = np.linalg.norm(np.diff(turned.X.astype(float), axis=0), axis=1)
    np.testing.assert_allclose(found, gaps, atol=0.01)


# ---- provenance and the command line


def test_different_data_have_different_provenance():
    child = Streams(1).child(4)
    makers = {
        "make_cluster": lambda rng, **k: pl.make_cluster(9, 8, rng, **k),
        "make_distribution": lambda rng, **k: pl.make_distribution(9, 8, rng, n_clusters=3, **k),
        "make_manifold": lambda rng, **k: pl.make_manifold("torus", 9, 2, rng=rng, **k),
        "make_lattice": lambda rng, **k: pl.make_lattice(9, 2, rng=rng, n_sites=100, **k),
    }
    for name, make in makers.items():
        plain, below = make(1).provenance, make(child).provenance
        assert plain["maker"] == name
        assert (plain["path"], below["path"]) == ([], [4])
        assert plain != below
        assert {"percolaw", "stream_version", "seed"} <= set(plain)
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    # As many dimensions as coordinates is a rotation, and no dimension given is none.
    for name, dim in (("make_manifold", 4), ("make_lattice", 2)):
        assert makers[name](1).provenance != makers[name](1, dim=dim).provenance
    options = ({"standardize": "all"}, {"centres": "grid"}, {"spacing": 3.0}, {"labels": "none"})
    seen = [makers["make_distribution"](1, **k).provenance for k in ({}, *options)]
    assert all(a != b for i, a in enumerate(seen) for b in seen[:i])


def test_the_command_line_has_the_same_options(tmp_path, capsys):
    out = tmp_path / "cloud.npz"
    flags = ["--n", "200", "--dim", "9", "--seed", "3", "--clusters", "5", "--out", str(out)]
    more = ["--labels", "linear", "--standardize", "all", "--centres", "rotated", "--spacing", "5"]
    assert main(["generate", "distribution", *flags, *more]) == 0
    same = pl.make_distribution(
        *(200, 9, 3),
        n_clusters=5,
        labels="linear",
        standardize="all",
        centres="rotated",
        spacing=5.0,
    )
    data = pl.load(out)
    np.testing.assert_array_equal(data.X, same.X)
    np.testing.assert_array_equal(data.y, same.y)
    assert data.truth == same.truth
    assert main(["generate", "distribution", *flags, "--overwrite"]) == 0
    default = pl.make_distribution(200, 9, 3, n_clusters=5)
    np.testing.assert_array_equal(pl.load(out).X, default.X)
    capsys.readouterr()
    flags = ["--n", "9", "--out", str(tmp_path / "x.npz")]
    assert main(["generate", "cluster", *flags, "--spacing", "3"]) == 2
    assert "--spacing belongs to `generate distribution and hierarchy`" in capsys.readouterr().err
    assert main(["generate", "distribution", *flags, "--centres", "gird"]) == 2
    assert "Did you mean 'grid'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"standardize": "clusters"}, "unknown standardize 'clusters'.*Did you mean 'cluster'"),
        ({"centres": "ball"}, "unknown centres 'ball'; choose from random, grid, rotated"),
        ({"spacing": -1}, "spacing must be finite and in"),
        ({"spacing": math.nan}, "spacing must be finite and in"),
        ({"spacing": 1e300}, "spacing must be finite and in"),
        ({"spacing": "wide"}, "spacing must be a number; got 'wide'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        pl.make_distribution(10, 8, **options)
