"""A user's own files: points, strings and labels, and files that change."""

import shlex

import numpy as np
import pytest

from percolaw.cli.analyze import experiment_of
from percolaw.cli.commands import _parser
from percolaw.experiments.base import plain
from percolaw.experiments.real.own import Analyze
from percolaw.runs.description import describe, run_command

RNG = np.random.default_rng(0)
POINTS = RNG.random((420, 2))
LABELS = np.arange(420) % 4


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "points.npy", POINTS)
    np.save(tmp_path / "labels.npy", LABELS)
    words = ["".join("abcd"[(i // 4**j) % 4] for j in range(5)) for i in range(420)]
    (tmp_path / "words.txt").write_text("\n".join(words) + "\n")
    return tmp_path


def sample(**fields):
    experiment = Analyze(**{k: str(v) for k, v in fields.items()})
    return experiment.data(experiment.names()[0])


def test_points_and_labels(files):
    one = sample(file=files / "points.npy", labels=files / "labels.npy")
    np.testing.assert_array_equal(one.elements, POINTS)
    np.testing.assert_array_equal(one.classes[:, 0], LABELS)
    assert sample(file=files / "points.npy").levels == ()
    assert sample(file=files / "points.npy", metric="cosine").metric == "cosine"


def test_strings(files):
    one = sample(file=files / "words.txt", metric="hamming", labels=files / "labels.npy")
    assert one.elements.shape == (420, 5)
    assert one.classes.shape == (420, 1)


def test_changed_files_are_other_data(files):
    experiment = Analyze(file=str(files / "points.npy"), labels=str(files / "labels.npy"))
    assert len(experiment.digests) == 2
    np.save(files / "labels.npy", 1 - LABELS % 2)
    with pytest.raises(ValueError, match="changed since the analysis began"):
        experiment.data("points.npy")
    assert Analyze(file=str(files / "points.npy")).digests == experiment.digests[:1]


def test_paths_are_absolute(files, monkeypatch):
    monkeypatch.chdir(files)
    assert Analyze(file="points.npy").file == str(files / "points.npy")
    assert Analyze(file="points.npy").names() == ("points.npy",)


def test_refusals(files):
    with pytest.raises(ValueError, match="name a file"):
        Analyze().names()
    with pytest.raises(ValueError, match="metric"):
        Analyze(file=str(files / "points.npy"), metric="graph")
    np.save(files / "few.npy", LABELS[:-1])
    with pytest.raises(ValueError, match="419 labels"):
        sample(file=files / "points.npy", labels=files / "few.npy")


def test_the_command_gives_the_analysis_again(files):
    given = {
        "file": str(files / "my points.npy"),
        "labels": str(files / "labels.npy"),
        "k": 4,
        "other_k": (9,),
        "learners": (),
        "n_draws": 40,
        "approximate": True,
    }
    np.save(given["file"], POINTS)
    experiment = Analyze(**given)
    line = run_command(describe(Analyze), plain(experiment))
    words = shlex.split(line)
    assert words[:2] == ["percolaw", "analyze"]
    assert "--digests" not in words
    assert experiment_of(_parser().parse_args(words[1:])) == experiment
    plainly = Analyze(file=given["file"])
    assert shlex.split(run_command(describe(Analyze), plain(plainly)))[2:] == [given["file"]]
    assert Analyze.command_line(plain(experiment) | {"n_repeats": 4}) is None
    assert Analyze.command_line({"file": "x"}) is None
