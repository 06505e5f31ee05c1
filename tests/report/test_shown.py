"""What is returned can be looked at: frames, pictures, short texts; and a run folder opened again."""

import json
import math
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from toy_experiment import ToyExperiment

import percolaw as pl
from percolaw import frames
from percolaw.errors import RunError
from percolaw.experiments import claims, plots
from percolaw.experiments.base import Conclusion

SIZE = np.array([10, 30, 100, 300, 1000])
CURVE = pl.LearningCurve(
    SIZE,
    np.stack([SIZE**-0.5, 1.2 * SIZE**-0.5, 0.9 * SIZE**-0.5]),
    np.array([False, True, True, True, True]),
    1.1 * SIZE**-0.5,
    0.5,
)
SAID = claims.Claims(
    [
        claims.judge("near", "s", 1.0, 1.05, (0.9, 1.2), 0.1, about={"learner": "1-NN"}),
        claims.judge("far $x$", "s", 1.0, 3.0, (2.9, 3.1), 0.1, "a note"),
        claims.judge("open", "s", 1.0, 1.0, (-math.inf, math.inf), 0.1),
        claims.judge("exact", "s", 1.0, 1.0, (1.0, 1.0), 0.0),
    ]
)


# --- frames -----------------------------------------------------------------------------------------


def test_columns_are_of_one_kind_and_nothing_becomes_nan():
    table = frames.frame({"a": [1, 2], "b": [1, None], "c": ["x", None], "d": [True, False]})
    if not isinstance(table, dict):
        pytest.skip("pandas is installed")
    assert [table[name].dtype.kind for name in "abcd"] == ["i", "f", "O", "b"]
    assert math.isnan(table["b"][1])
    assert table["c"][1] is None
    assert (
        frames.column([1 << 70, 1]).dtype == np.float64 or frames.column([1 << 70]).dtype == object
    )


def test_with_pandas_a_frame_has_the_same_columns(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda c: ("frame", c)))
    kind, columns = CURVE.to_frame()
    assert kind == "frame"
    np.testing.assert_array_equal(columns["loss"].reshape(3, 5), CURVE.loss)


def test_a_curve_in_long_form():
    table = CURVE.to_frame()
    at = (table["seed"] == 1) & (table["size"] == 100)
    assert table["loss"][at].tolist() == [CURVE.loss[1, 2]]
    assert table["predicted"][at].tolist() == [CURVE.predicted[2]]
    assert table["usable"][table["size"] == 10].tolist() == [False] * 3
    assert "predicted" not in pl.LearningCurve(SIZE, CURVE.loss).to_frame()


def test_claims_in_a_table():
    table = SAID.to_frame()
    assert table["verdict"].tolist() == ["agrees", "disagrees", "inconclusive", "agrees"]
    assert table["high"].tolist() == [1.2, 3.1, math.inf, 1.0]
    learners = table["about learner"].tolist()
    assert learners[0] == "1-NN"
    assert all(missing is None or missing != missing for missing in learners[1:])  # NaN in pandas


def test_points_and_dimensions_in_tables():
    data = pl.make_manifold("cube", 120, 2)
    table = data.to_frame()
    assert list(table)[:3] == ["x0", "x1", "y"]
    np.testing.assert_array_equal(table["x1"], data.X[:, 1])
    report = pl.estimate_dimension(data.X)
    table = report.to_frame()
    first = table["estimator"] == "TwoNN"
    assert table["level"][first].tolist() == report.estimates["TwoNN"].level.tolist()
    assert table["high"][first].tolist()[0] == report.estimates["TwoNN"].interval[1]


# --- texts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (
            CURVE,
            "LearningCurve(3 seeds, 5 sizes 10 to 1000, loss 0.316 to 0.0316, predicted expone",
        ),
        (pl.LearningCurve(SIZE[:0], CURVE.loss[:, :0]), "LearningCurve(3 seeds, 0 sizes)"),
        (CURVE.fit(), "PowerLawFit(exponent 0.500 [0.500, 0.500] (3 seeds, sizes 30..1e+03))"),
        (SAID[0], "Claim(near: agrees, measured 1.05 [0.9, 1.2], predicted 1 +- 0.1)"),
        (SAID[:0], "()"),
        (claims.Claims(), "no claims"),
    ],
)
def test_texts_are_short(shown, text):
    assert repr(shown).startswith(text)
    assert "array(" not in repr(shown)


def test_notebooks_get_a_table_in_which_nothing_is_markup():
    said = claims.Claims([claims.judge("<b>a</b>", "s", 1.0, 1.0, (1.0, 1.0), 0.1)])
    assert "&lt;b&gt;a" in said._repr_html_()
    assert "<b>" not in said._repr_html_()
    assert CURVE._repr_html_().count("<tr>") == 6
    assert "<th>predicted</th>" in CURVE._repr_html_()


# --- pictures ---------------------------------------------------------------------------------------


def test_a_curve_is_drawn_as_in_the_report():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    loss = np.stack([SIZE**-0.5, SIZE**-0.4, SIZE**-0.6])
    curve = pl.LearningCurve(SIZE, loss, CURVE.usable, CURVE.predicted, 0.5)
    low, high = curve.fit().interval
    assert low < 0.45 < 0.55 < high
    ax = curve.plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        *(f"loss: 0.5 [{low:.3g}, {high:.3g}], predicted 0.5", "predicted"),
        *("hollow: left out of fits", "16 to 84 percentile over seeds"),
    ]
    assert ax.get_xscale() == "log"
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert hollow[0].get_xdata().tolist() == [10.0]
    _, mine = pyplot.subplots()
    assert CURVE.plot(mine) is mine
    assert mine.lines
    assert pl.LearningCurve(SIZE, np.zeros((1, 5))).plot(ax=mine) is mine  # no power law
    pyplot.close("all")


def test_claims_are_drawn_in_tolerances():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    ax = SAID.plot()
    assert [text.get_text() for text in ax.get_yticklabels()][1] == r"far \$x\$"
    ends = next(line.get_xdata() for line in ax.lines if list(line.get_ydata()) == [0, 0])
    np.testing.assert_allclose(ends, [-1.0, 2.0])
    (edge,) = [line for line in ax.lines if line.get_marker() == ">"]
    assert edge.get_xdata().tolist() == [4.0]
    assert len(ax.get_legend().get_texts()) == 3
    pyplot.close("all")


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_points_are_drawn_on_the_axes_of_largest_variance(dim):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, dim)) * np.arange(1, dim + 1)
    data = pl.Dataset(x, x[:, 0], np.zeros(60, int), np.array([60]))
    (dots,) = data.plot().collections
    drawn = np.asarray(dots.get_offsets())
    if dim == 5:
        eigenvalues = np.linalg.eigvalsh(np.cov(x.T))[::-1]
        np.testing.assert_allclose(np.cov(drawn.T), np.diag(eigenvalues[:2]), atol=1e-8)
    else:
        np.testing.assert_allclose(drawn, x if dim == 2 else np.hstack([x, x]))
    pyplot.close("all")


def test_a_dimension_report_and_a_plot_are_drawn():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    report = pl.estimate_dimension(pl.make_manifold("cube", 120, 2).X)
    assert len(report.plot().lines) == len(report.estimates)
    plot = plots.log_log("p", "A title", "alt", ("n", "loss"), [plots.curve("a", CURVE)])
    assert plot.plot().get_title() == "A title"
    assert plot.to_frame()["curve"].tolist() == ["a"] * 5
    assert repr(plot) == "Plot(p: loss against n; a)"
    pyplot.close("all")


# --- run folders ------------------------------------------------------------------------------------


class CurveToy(ToyExperiment):
    """With a plot."""

    def conclude(self, rows):
        series = plots.curve("measured", CURVE, prediction="law")
        law = plots.line("law", "theory", CURVE.size, CURVE.predicted)
        plot = plots.log_log("losses", "Losses", "alt", ("n", "loss"), [series, law])
        return Conclusion(super().conclude(rows).claims, {"x": [1.0]}, (plot,))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return pl.run(CurveToy(n_seeds=4), out=tmp_path_factory.mktemp("runs"))


def test_a_folder_opens_as_the_result_of_its_run(result):
    again = pl.open_run(result.folder)
    for name in ("folder", "experiment", "config", "claims", "tables", "plots", "finished"):
        assert getattr(again, name) == getattr(result, name), name
    assert again.config["n_seeds"] == 4
    assert [row["seed"] for row in again.rows if "mean" in row] == [0, 1, 2, 3]
    assert (
        repr(again)
        == repr(result)
        == f"Result({result.folder}, 1 claim: 1 {again.claims[0].verdict})"
    )
    assert again.claims[0].name in again._repr_html_()


def test_curves_come_back_with_every_seed(result):
    curve = pl.open_run(result.folder).curves["losses: measured"]
    np.testing.assert_array_equal(curve.loss, CURVE.loss)
    np.testing.assert_array_equal(curve.usable, CURVE.usable)
    np.testing.assert_array_equal(curve.predicted, CURVE.predicted)
    assert curve.fit() == CURVE.fit()


def test_rows_as_a_table(result):
    table = pl.open_run(result.folder).to_frame()
    assert list(table)[:5] == ["cell", "row", "position", "kind", "seed"]
    rows = [row for row in result.rows if "sample" in row]
    np.testing.assert_array_equal(
        np.asarray(table["sample"], float)[np.isfinite(np.asarray(table["sample"], float))],
        np.concatenate([row["sample"] for row in rows]),
    )


def test_an_unfinished_run_has_rows_and_no_claims(result, tmp_path):
    folder = shutil.copytree(result.folder, tmp_path / "run")
    (folder / "record.json").unlink()
    begun = pl.open_run(folder)
    assert (begun.claims, begun.plots, begun.finished) == ((), (), False)
    assert len(begun.rows) == len(result.rows)
    assert repr(begun) == f"Result({folder}, not finished)"


def test_a_config_edited_by_hand_is_not_shown_with_the_claims_of_another(result, tmp_path):
    folder = shutil.copytree(result.folder, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    config["config"]["n_seeds"] = 5
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"different runs: n_seeds differ.*percolaw resume"):
        pl.open_run(folder)
    (folder / "config.json").write_text(json.dumps({**config, "experiment": "dof-scan"}))
    with pytest.raises(RunError, match="experiment, n_seeds differ"):
        pl.open_run(folder)


def test_damage_is_said(result, tmp_path, monkeypatch):
    folder = shutil.copytree(result.folder, tmp_path / "runs" / "run")
    monkeypatch.chdir(tmp_path)
    assert pl.open_run("run").folder.name == "run"
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "claims": [{"name": 3}]}))
    with pytest.raises(RunError, match=r"record\.json does not hold what its experiment writes"):
        pl.open_run(folder)
    with pytest.raises(RunError, match="nothing is no run folder"):
        pl.open_run("nothing")
