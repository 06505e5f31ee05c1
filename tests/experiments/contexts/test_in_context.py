"""The experiment in context: how losses are measured, and what made rows are said to show."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")

from statistical import assert_close, assert_far, mean_and_error

from percolaw.datasets.contexts import ClusterFunctions, Contexts, context_cluster, parse_law
from percolaw.datasets.sources import Cube, InfiniteCluster
from percolaw.errors import ResourceError
from percolaw.experiments.contexts import evaluation, in_context
from percolaw.experiments.contexts.conclusions import large_cluster
from percolaw.experiments.contexts.evaluation import Test as Sample
from percolaw.experiments.contexts.in_context import InContext
from percolaw.laws.single_cluster import nearest_neighbor_loss, posterior_constant
from percolaw.rng import Streams

WALKS = [
    ClusterFunctions(context_cluster(InfiniteCluster(3), 12, Streams(i)), parse_law("tree walk"))
    for i in range(2)
]
SAMPLE = Sample.of(WALKS, 6, 3000, Streams(3))
CONFIG = InContext(n_clusters=(1, 4), n_functions=(8,), laws=("linear",), long_length=400)


@dataclasses.dataclass
class Told:
    """In the place of a trained student: predicts by a function of points (n, T, d) and values (n, T)."""

    function: object

    def predict(self, inputs):
        by_pair = np.asarray(inputs).reshape(len(inputs), 6, 4)
        return self.function(by_pair[..., :3], by_pair[..., 3])[None]


def previous(x, y):
    return 0.5 * np.concatenate([np.zeros((len(y), 1)), y[:, :-1]], axis=1)


def test_the_loss_is_the_mean_square_with_less_noise():
    prediction = previous(None, SAMPLE.sequences.y)
    loss, plain = SAMPLE.loss(prediction), (prediction - SAMPLE.sequences.y) ** 2
    for t in range(6):
        mean, error = mean_and_error(plain[:, t])
        assert_close(mean, loss[t], error)
        assert_far(mean, loss[t] * 1.4, error)
    near = 0.9 * SAMPLE.mean  # as good students are: the functions drawn hardly count
    scatter, plain = (near - SAMPLE.mean) ** 2, (near - SAMPLE.sequences.y) ** 2
    assert scatter[:, 1:].std() < 0.1 * plain[:, 1:].std()


def test_the_posterior_has_the_least_loss_of_all():
    assert SAMPLE.posterior[0] == pytest.approx(SAMPLE.variance()[0])
    np.testing.assert_allclose(SAMPLE.loss(SAMPLE.mean), SAMPLE.posterior)
    for name, loss in SAMPLE.references().items():
        assert (loss >= SAMPLE.posterior - 1e-6).all(), name
        assert loss[0] == pytest.approx(SAMPLE.variance()[0]), name
    one = Sample.of(WALKS[:1], 6, 2000, Streams(3))
    true = one.sample_covariance(WALKS[0].draw(20_000, 1))
    few = one.sample_covariance(WALKS[0].draw(3, 1))
    assert (true / one.posterior).max() < 1.02
    assert few.mean() > 1.1 * true.mean()


def test_controls_are_1_where_nothing_is_told_and_less_where_the_function_is():
    new = Sample.of(WALKS[1:], 6, 3000, Streams(5))
    values = in_context._controls(Told(previous), SAMPLE, new, Streams(6))
    assert values["shuffled"] == pytest.approx(1.0, abs=0.06)
    assert values["wrong cluster"] == pytest.approx(1.0, abs=0.15)
    leaking = in_context._controls(Told(lambda x, y: SAMPLE.mean), SAMPLE, new, Streams(6))
    assert leaking["shuffled"] < 0.8
    assert leaking["wrong cluster"] < 0.6


def test_finite_functions_are_learned_from_a_stream_that_tests_never_see():
    cell = {"learner": "transformer", "law": "tree walk", "clusters": 1, "functions": 2, "seed": 0}
    smoke = InContext(**InContext.presets["smoke"].config)
    training = dataclasses.replace(smoke.training, steps=4, evaluate_every=2)
    config = dataclasses.replace(smoke, n_test=60, n_new=2, depth=1, training=training)
    seen = []

    class Spy(Contexts):
        def draw(self, n, step=0):
            seen.append((self.n_functions, self.rng.path[-1]))
            return super().draw(n, step)

    with pytest.MonkeyPatch.context() as patch:
        for module in (in_context, evaluation):
            patch.setattr(module, "Contexts", Spy)
        (row,) = config.measure(cell)
    assert {functions for functions, purpose in seen if purpose == in_context.PRETRAINING} == {2}
    assert {functions for functions, purpose in seen if purpose != in_context.PRETRAINING} == {0}
    assert len(row["same loss"]) == len(row["sample covariance"]) == config.length


# --- what is concluded -------------------------------------------------------------------------


def rows_of(config, *, over=1.0, gap=0.0, memorised=1.0, step=1.0, control=1.0, power=0.5):
    """Rows in which students lose `over` times what the posterior does, with a little scatter."""
    n = np.arange(1, config.length)
    posterior = np.append(1.0, 0.9 * n**-0.3)
    rows = []
    for cell in config.cells():
        noise = 1.0 + 0.01 * cell["seed"]
        if cell["learner"] == "posterior":
            m = np.arange(1, config.long_length)
            tail = large_cluster(m) * (m / 100.0) ** (0.5 - power)
            rows.append({**cell, "long": np.append(1.0, noise * tail).tolist()})
            continue
        loss = np.append(1.0, over * noise * posterior[1:])
        known = {"posterior": posterior, "variance": np.ones(config.length)}
        known |= dict.fromkeys(("ridge", "kernel", "nearest"), np.sqrt(posterior))
        row = {**cell, "excess": [1.0, 0.1, 0.03, 0.01], "steps": [0, 10, 30, 100]}
        row |= {f"{place} {k}": v.tolist() for k, v in known.items() for place in ("same", "new")}
        row |= {"same loss": loss.tolist(), "new loss": (loss + gap).tolist()}
        row |= {"step": (loss / step).tolist(), "shuffled": control, "wrong cluster": control}
        row |= {"sample covariance": (loss / memorised).tolist()}
        rows.append(row)
    return rows


def verdicts(**changes):
    conclusion = CONFIG.conclude(rows_of(CONFIG, **changes))
    return {claim.name: claim.verdict for claim in conclusion.claims}, conclusion


def test_ideal_students_agree():
    said, conclusion = verdicts()
    assert set(said.values()) == {"agrees"}
    assert len(said) == 11
    assert [plot.id for plot in conclusion.plots] == [
        *("in-context-tree-walk", "in-context-linear", "in-context-clusters"),
        *("in-context-functions", "in-context-pretraining"),
    ]
    (line,) = [r for r in conclusion.tables["losses"] if r["clusters"] == 4]
    mean = 0.9 * (np.arange(1, 32) ** -0.3).mean()
    assert line["same posterior"][0] == pytest.approx(mean)
    assert line["same loss"][0] == pytest.approx(1.02 * mean)
    pretraining = conclusion.plots[-1].series[0]
    assert pretraining.x[0] == 10 * CONFIG.training.batch_size
    assert pretraining.stored[0].measured == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"power": 0.4}, "long sequences: exponent"),
        ({"over": 1.3}, "loss over that of the posterior"),
        ({"gap": 0.1}, "tree walk, 4 clusters: mean loss on new"),
        ({"gap": 0.1}, "linear, one cluster: mean loss on new"),
        ({"memorised": 1.5}, "8 functions"),
        ({"step": 1.1}, "best single gradient step"),
        ({"control": 0.8}, "control, values of another function"),
        ({"control": 0.8}, "control, pairs of another cluster"),
    ],
)
def test_students_that_are_not_turn_a_claim(changes, part):
    said, _ = verdicts(**changes)
    (verdict,) = [v for name, v in said.items() if part in name]
    assert verdict == "disagrees"


@pytest.mark.parametrize("learner", ["transformer", "linear attention"])
def test_where_students_diverged_nothing_is_decided(learner):
    rows = rows_of(CONFIG, gap=0.1, step=1.1)
    lost = [r for r in rows if r["learner"] == learner][:2]
    for row in lost:
        row["stopped"] = "diverged"
    for claim in CONFIG.conclude(rows).claims:
        if claim.about["learner"] == learner:
            assert claim.verdict == "inconclusive"
            assert "2 students diverged" in claim.note
        else:
            assert claim.verdict != "inconclusive"
            assert "diverged" not in claim.note


def test_the_law_of_large_clusters_is_the_posteriors_of_many_pairs():
    """Of exactly m pairs, beside the law of a random number of them (Poisson)."""
    ratio = large_cluster([100, 1000]) / (posterior_constant() * nearest_neighbor_loss([100, 1000]))
    np.testing.assert_allclose(ratio, 1.0, rtol=0.01)


def test_points_on_no_tree_are_refused_before_work():
    with pytest.raises(TypeError, match="clusters that are trees"):
        InContext(points=Cube(2))


def test_clusters_beyond_memory_are_refused_before_work():
    with pytest.raises(ResourceError, match=r"90000 clusters of 4000 points.*Lower n_clusters"):
        InContext(n_clusters=(1, 90_000), n_points=4000)
