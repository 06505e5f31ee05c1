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


@pytest.mark.parametrize("kind", ["cluster", "distribution", "manifold", "lattice"])
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
        ((*CLUSTER, "--noise", "-1"), "--noise must be finite and in"),
        ((*CLUSTER, "--noise", "1", "--labels", "none"), "--labels none asks for none"),
    ],
)
def test_what_no_labels_can_be_is_refused(generated, words, message, tmp_path):
    assert message in generated(*words)
    assert list(tmp_path.iterdir()) == []
