"""``percolaw generate``: labels, targets and noise."""

import numpy as np
import pytest

import percolaw as pl
from percolaw.cli import main
from percolaw.targets.families import from_description
from percolaw.targets.teacher import standardized_inputs


@pytest.fixture
def generated(tmp_path, monkeypatch, capsys):
    """The dataset that a command writes, or what it says where it writes none."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main(["generate", *words, "--out", "data.npz", "--quiet", "--overwrite"])
        said = capsys.readouterr().err
        return pl.load("data.npz") if code == 0 else said

    return run


CLUSTER = ("cluster", "--n", "300", "--dim", "6")
HIERARCHY = ("hierarchy", "--n", "300", "--dim", "6")


@pytest.mark.parametrize("kind", ["cluster", "distribution", "hierarchy", "manifold", "lattice"])
def test_a_target_is_a_function_of_the_same_points(generated, kind):
    words = (kind, "--n", "300", "--dim", "6", "--seed", "2")
    data = generated(*words, "--target", "Matérn 0.5")
    np.testing.assert_array_equal(data.X, generated(*words).X)
    teacher = from_description(data.truth["target"])
    assert teacher.description["family"] == "matern"
    np.testing.assert_allclose(data.y, teacher(standardized_inputs(data.X)).ravel(), atol=1e-12)
    assert "cluster_exponent" not in data.truth


def test_noise_has_its_size_in_units_of_the_labels(generated):
    words = ("cluster", "--n", "4000", "--dim", "6")
    plain, noisy = generated(*words), generated(*words, "--noise", "0.3")
    gap = noisy.y - plain.y
    assert abs(gap.std() / plain.y.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * 4000)
    assert abs(gap.mean()) < 5 * 0.3 * plain.y.std() / np.sqrt(4000)
    assert noisy.provenance["noise"] == 0.3
    assert (noisy.truth["target"], "cluster_exponent" in noisy.truth) == ("linear", False)
    np.testing.assert_array_equal(noisy.y, generated(*words, "--noise", "0.3").y)


def test_labels(generated):
    assert not generated(*CLUSTER, "--labels", "none").y.any()
    np.testing.assert_array_equal(
        generated(*CLUSTER, "--labels", "linear").y, generated(*CLUSTER).y
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            (*CLUSTER, "--labels", "walk"),
            "unknown --labels of a cluster 'walk'; choose from linear",
        ),
        ((*CLUSTER, "--target", "Matern"), "unknown teacher 'Matern'; there are 'linear'"),
        ((*CLUSTER, "--target", "linear", "--labels", "none"), "give one"),
        ((*HIERARCHY, "--ensemble", "site"), "unknown --ensemble of a hierarchy 'site'"),
        ((*HIERARCHY, "--steps", "sphere"), "unknown --steps of a hierarchy 'sphere'"),
        ((*HIERARCHY, "--labels", "walk"), "choose from standardized, hierarchical, raw"),
        ((*HIERARCHY, "--size", "9"), "--size belongs to `generate cluster`, not to hierarchy"),
        (
            ("lattice", "--n", "9", "--ensemble", "yule"),
            "--ensemble belongs to `generate distribution and hierarchy`, not to lattice",
        ),
        ((*CLUSTER, "--published"), "--published belongs to `generate hierarchy`"),
        (("hierarchy", "--n", "1e9", "--published"), "or leave out --published"),
        ((*CLUSTER, "--noise", "-1"), "--noise must be finite and in"),
        ((*CLUSTER, "--noise", "1", "--labels", "none"), "--labels none asks for none"),
    ],
)
def test_what_no_labels_can_be_is_refused(generated, words, message, tmp_path):
    assert message in generated(*words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "normalized", "standardized"),
    [((), True, True), (("hierarchical",), True, False), (("raw",), False, False)],
)
def test_a_hierarchy_is_that_of_python(generated, words, normalized, standardized):
    flags = ("--labels", *words) if words else ()
    data = generated(*HIERARCHY, "--seed", "3", "--steps", "latents", "--ensemble", "yule", *flags)
    same = pl.make_hierarchy(
        300,
        6,
        3,
        ensemble="yule",
        steps="latents",
        normalized=normalized,
        standardized=standardized,
    )
    np.testing.assert_array_equal(data.X, same.X)
    np.testing.assert_array_equal(data.y, same.y)
    assert data.provenance == same.provenance
    np.testing.assert_array_equal(pl.latents(data).normal, pl.latents(same).normal)


def test_a_hierarchy_says_its_size_and_is_written_as_published(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["generate", *HIERARCHY, "--published", "--out", "p.npz"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("300 points in 6 dimensions with their latents: about ")
    assert {p.name for p in tmp_path.glob("*.npz")} == {"p.npz", "p_gt_features.npz"}
    got, same = pl.load("p.npz"), pl.make_hierarchy(300, 6, 0)
    np.testing.assert_array_equal(got.X, same.X)
    np.testing.assert_array_equal(pl.latents(got).normal, pl.latents(same).normal)


def test_flags_that_a_hierarchy_would_ignore_are_refused(tmp_path, capsys):
    words = ["generate", "hierarchy", "--n", "50", "--out", str(tmp_path / "h.npz")]
    assert main([*words, "--spacing", "3"]) == 2
    assert "add --ensemble yule" in capsys.readouterr().err
    yule = ("distribution", "--n", "9", "--ensemble", "yule", "--clusters", "50")
    assert main(["generate", *yule, "--dim", "2", "--out", str(tmp_path / "y.npz")]) != 0
    assert "--clusters has no influence" in capsys.readouterr().err
    assert main([*words, "--published", "--target", "matern 0.5"]) == 2
    assert "Leave out --target" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [("--lattice-dim", "3"), ("--standardize", "cluster"), ("--spacing", "2")]
)
def test_foreign_flags_are_refused_also_with_their_default(generated, words, tmp_path):
    assert "belongs to `generate" in generated(*CLUSTER, *words)
    assert list(tmp_path.iterdir()) == []
