"""The skeletons of docs/extend.md run as they stand."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

import percolaw as pl
from percolaw.experiments.base import Experiment, config_dict, from_config
from percolaw.runs.workers import WorkerPool

PAGE = Path(__file__).parents[1] / "docs" / "extend.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def block_with(name: str) -> str:
    (block,) = [b for b in BLOCKS if re.search(rf"class {name}\b", b)]
    return block


@pytest.fixture
def skeletons(tmp_path, monkeypatch):
    """The blocks as modules in files, as the page asks."""
    monkeypatch.syspath_prepend(tmp_path)
    names = {"Depth": "x_target", "ClusterMean": "x_learner", "MeanDepth": "x_experiment"}
    names |= {
        "Radial": "x_teacher",
        "Spiral": "x_source",
        "Averaged": "x_point_learner",
        "Waves": "x_network",
    }
    names |= {"RoughFields": "x_curves"}
    names |= {"Huber": "x_loss", "Walkers": "x_stream"}
    out = {}
    for cls, module in names.items():
        (tmp_path / f"{module}.py").write_text(block_with(cls))
        monkeypatch.delitem(sys.modules, module, raising=False)
        out[cls] = getattr(__import__(module), cls)
    yield out
    for module in names.values():
        sys.modules.pop(module, None)


def test_page_has_the_blocks():
    assert len(BLOCKS) == 10


def test_network(skeletons):
    pytest.importorskip("torch")
    x = np.random.default_rng(0).uniform(-2, 2, (400, 2))
    learner = pl.NeuralRegression(
        skeletons["Waves"](32), pl.Training(learning_rate=0.01, steps=400), rng=1
    )
    fitted = learner.fit(x[:300], np.sin(2 * x[:300, 0]))
    error = np.mean((fitted.predict(x[300:]) - np.sin(2 * x[300:, 0])) ** 2)
    assert error < 0.02
    assert fitted.predict(x[300:]).shape == (100,)
    rows = learner.fit(x[:300], np.stack([x[:300, 0], x[:300, 1]], axis=1)).predict(x[300:])
    assert np.mean((rows - x[300:]) ** 2) < 0.02
    with pytest.raises(ValueError, match="leave none to learn from"):
        learner.fit(x[:1], x[:1, 0])


def test_loss(skeletons):
    torch = pytest.importorskip("torch")
    out, target = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    theirs = torch.nn.functional.huber_loss(out, target, reduction="none", delta=0.5).mean(dim=-1)
    torch.testing.assert_close(skeletons["Huber"](0.5).value(out, target), theirs)
    x = np.random.default_rng(0).standard_normal((200, 2))
    student = pl.Student(0, np.arange(150), np.arange(150, 200))
    training = pl.Training(learning_rate=0.03, steps=600)
    y = x @ [1.0, -2.0]
    trained = pl.train(pl.MLP(depth=0), x, y, [student], training, loss=skeletons["Huber"](0.5))
    assert trained.validation_loss[0] < 1e-3


def test_endless_points(skeletons):
    pytest.importorskip("torch")
    angle = np.linspace(0, 6, 50)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    student = pl.Student(0, skeletons["Walkers"](3), np.arange(50))
    training = pl.Training(learning_rate=0.01, steps=600, device="cpu")
    trained = pl.train(pl.MLP(2, 32), x, x[:, 1] ** 2, [student], training)
    assert trained.validation_loss[0] < 1e-2 * (x[:, 1] ** 2).var()


def test_target_on_points(skeletons):
    family = skeletons["Radial"]()
    teacher = family.sample(4, 3)
    centre = _peak(teacher)
    assert teacher(centre[None])[0] == pytest.approx(1.0, abs=1e-6)
    assert pl.nonlinearity(teacher, 4, low=-4, high=4).score < 0.8
    data = pl.make_manifold("cube", 50, 4).with_teacher(family, 3)
    np.testing.assert_array_equal(data.y, teacher(pl.standardized_inputs(data.X)))


def test_source_and_target_of_learning_curve(skeletons):
    spiral, radial = skeletons["Spiral"](), skeletons["Radial"]()
    sizes = [30, 60, 120, 240, 480]
    curve = pl.learning_curve(spiral, radial, pl.NearestNeighbors(), sizes, 3, n_test=200)
    assert curve.predicted_exponent == 2.0
    assert abs(curve.fit().exponent - 2.0) < 0.5
    wider = skeletons["Radial"](2.0)
    assert wider.key != radial.key


def _peak(teacher):
    from scipy.optimize import minimize

    return minimize(lambda x: -teacher(x[None])[0], np.zeros(4), tol=1e-10).x


def test_learner_on_points(skeletons):
    data = pl.make_manifold("cube", 400, 2)
    curve = pl.scaling_curve(
        skeletons["Averaged"](), data.X, data.y, [20, 60, 200], n_test=100, n_repeats=3
    )
    mean = curve.loss.mean(axis=0)
    assert mean[2] < mean[1] < mean[0] < 1.0


def test_target(skeletons):
    tree = pl.conditioned_clusters([30, 5, 1], rng=1)
    plain = skeletons["Depth"]().sample(tree, 3)
    np.testing.assert_array_equal(plain.value, tree.depth())
    noisy = skeletons["Depth"](noise=0.5)
    first, again, other = (noisy.sample(tree, seed).value for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert plain.variance.shape == (3,)
    assert plain.variance[2] == 0.0


def test_learner(skeletons):
    tree = pl.conditioned_clusters([30, 5, 4], rng=1)
    fitted = skeletons["ClusterMean"]().fit(tree, [0, 3, 31], [1.0, 2.0, -1.0])
    np.testing.assert_allclose(fitted.predict(), np.repeat([1.5, -1.0, 0.0], [30, 5, 4]))
    np.testing.assert_allclose(fitted.predict([38, 2, 34]), [0.0, 1.5, -1.0])
    with pytest.raises(ValueError, match="query must lie in"):
        fitted.predict([39])


def test_learner_on_the_target(skeletons):
    """The stages fit together: the mean of all sites has the variance as its error."""
    tree = pl.conditioned_clusters(200, rng=2)
    target = skeletons["Depth"]().sample(tree)
    every = np.arange(tree.n_sites)
    guess = skeletons["ClusterMean"]().fit(tree, every, target.value).predict()
    assert np.mean((guess - target.value) ** 2) == pytest.approx(target.variance[0])


def test_experiment(skeletons, tmp_path):
    cls = skeletons["MeanDepth"]
    experiment = cls(n_seeds=40)
    assert isinstance(experiment, Experiment)
    assert from_config(cls, config_dict(experiment)["config"]) == experiment
    result = pl.run(experiment, out=tmp_path / "runs")
    (claim,) = result.claims
    assert claim.verdict != "disagrees"
    ratio = result.tables["ratio"]
    assert len(ratio) == 40
    mean, error = mean_and_error(ratio)
    # The exact mean at 10^4 sites lies 1% below the limit.
    assert_close(mean, 1.0, error, bias=0.02)
    assert_far(mean, 2.0, error)
    # A single-process pool finds the class by its module and gets the same numbers.
    few = cls(n_seeds=2, size=100)
    alone = pl.run(few, out=tmp_path / "alone")
    with WorkerPool(1) as pool:
        pooled = pl.run(few, out=tmp_path / "pooled", executor=pool)
    np.testing.assert_array_equal(alone.tables["ratio"], pooled.tables["ratio"])


def test_commands_of_the_page(skeletons, tmp_path, monkeypatch, capsys):
    """Those that run the experiment, as they stand, and what they leave behind."""
    from percolaw.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "mean_depth.py").write_text(block_with("MeanDepth"))
    commands = re.findall(r"^    percolaw (run mean_depth.*|status)$", PAGE.read_text(), re.M)
    assert len(commands) == 4
    for command in commands:
        quiet = ["--quiet", "--no-figures", "--workers", "1"] if "run" in command else []
        assert main([*command.split(), *quiet]) == 0
    said = capsys.readouterr().out
    assert said.count(" inconclusive; ") == 2
    assert "Sites of each cluster." in said
    assert said.count("concluded") == 2
    runs = [pl.open_run(folder) for folder in (tmp_path / "runs").iterdir()]
    assert sorted(run.config["n_seeds"] for run in runs) == [40, 60]
    sys.modules.pop("mean_depth")


def test_experiment_with_curves(skeletons, tmp_path):
    from percolaw.report import draw_figures

    block = block_with("RoughFields")
    assert len([line for line in block.splitlines() if line.strip()]) <= 80
    cls = skeletons["RoughFields"]
    assert isinstance(cls(), Experiment)
    experiment = cls(**cls.presets["smoke"].config)
    assert from_config(cls, config_dict(experiment)["config"]) == experiment
    result = pl.run(experiment, out=tmp_path / "runs")
    assert [claim.predicted for claim in result.claims] == [0.5, 1.5, 0.25, 0.75]
    assert not [claim.name for claim in result.claims if claim.verdict == "disagrees"]
    # The wrong law is found out: rows of one field under the name of another.
    rows = [
        {**row, "nu": 2.0 - row["nu"]}
        for cell in experiment.cells()
        for row in experiment.measure(cell)
        if cell["points"] == "cube 2"
    ]
    only = cls(settings=(pl.Cube(2),), **cls.presets["smoke"].config)
    assert "agrees" not in [claim.verdict for claim in only.conclude(rows).claims]
    draw_figures(result.folder)
    assert (result.folder / "figures" / "rough-fields.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="largest"):
        cls(largest=10)
