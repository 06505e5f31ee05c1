"""Every experiment's measurement turns its claims, or the numbers it shows, when it is done wrong.

Each case below measures some units of the smoke preset with one plausible mistake in what `measure`
uses, puts the rows in place of the right ones, and asks that what the experiment says is refused.
"""

import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from smoke_verdicts import OF_PACKAGES, ROWS_WITHIN, said, smoke_units
from toy_experiment import shared_root

from percolaw.experiments import labelled
from percolaw.experiments.base import canonical_json
from percolaw.experiments.real.analysis import measurement
from percolaw.experiments.registry import EXPERIMENTS
from percolaw.laws.bethe import BetheLattice
from percolaw.rng import Streams
from percolaw.runs.threads import one_thread

#: These measure nothing: they hold formulas and published tables against each other.
NOTHING_MEASURED = ("theory-curves", "exponents-by-dimension", "parameters-vs-dof")
EXPERIMENT = "percolaw.experiments"
Change = Callable[[pytest.MonkeyPatch], None]


class Mistake(NamedTuple):
    """A wrong version of what an experiment's `measure` uses, and what must be seen of it."""

    experiment: str
    what: str
    apply: Change
    turns: dict[str, str]
    """Beginning or part of a claim's name to its verdict with the mistake; "moved" asks only that the
    measured value leaves the interval or the tolerance of the right one, whichever reaches further."""
    only: Mapping[str, Any] = MappingProxyType({})
    """Units measured wrongly: value, or values, of these keys of their cell; none names all."""
    rows: tuple[str, ...] = ()
    """Fields of the rows whose recorded numbers must move; for pictures."""
    finds: Mapping[str, str] = MappingProxyType({})
    """State, or data and resolution, to the word of all verdicts on it with the mistake."""
    slow: bool = False


def changed(target: str, wrong: Callable[[Any], Any]) -> Change:
    """Put `wrong(right)` in the place of an attribute: "module:attribute", "module:class.attribute"."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        module, _, path = target.partition(":")
        owner = importlib.import_module(module)
        *within, attribute = path.split(".")
        for name in within:
            owner = getattr(owner, name)
        patch.setattr(owner, attribute, wrong(getattr(owner, attribute)))

    return apply


def mixed(values: Any) -> Any:
    """The same entries along the first axis in another order."""
    return values[np.random.default_rng(0).permutation(len(values))]


def rooted(right: Any) -> Any:
    """NumPy whose mean is the root of it: a mean square becomes its root."""
    return with_numpy(mean=lambda *a, **k: np.sqrt(np.mean(*a, **k)))


def with_numpy(**functions: Callable[..., Any]) -> Any:
    """NumPy with other functions under some names."""

    class Changed:
        def __getattr__(self, name: str) -> Any:
            return functions.get(name) or getattr(np, name)

    return Changed()


def root_of(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a, **k: np.sqrt(right(*a, **k))


def root_of_variance(right: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(*a: Any, **k: Any) -> Any:
        curve = right(*a, **k)
        return dataclasses.replace(curve, variance=np.sqrt(curve.variance))

    return wrong


def random_neighbors(right: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(train: Any, test: Any, *a: Any, **k: Any) -> Any:
        distance, index = right(train, test, *a, **k)
        return distance, np.random.default_rng(0).integers(0, len(train), index.shape)

    return wrong


def values_mixed(right: Callable[..., Any]) -> Callable[..., Any]:
    """Targets of other sites."""

    def wrong(*a: Any, **k: Any) -> Any:
        target = right(*a, **k)
        return dataclasses.replace(target, value=mixed(target.value))

    return wrong


def coordinates_mixed(right: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(*a: Any, **k: Any) -> Any:
        grown = right(*a, **k)
        return dataclasses.replace(grown, coordinates=mixed(grown.coordinates))

    return wrong


def values_of_boxes_mixed(right: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(*a: Any, **k: Any) -> Any:
        data, *rest = right(*a, **k)
        return dataclasses.replace(data, value=mixed(data.value)), *rest

    return wrong


def mixed_result(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a, **k: mixed(right(*a, **k))


def one_coordinate(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda points, *a, **k: right(points[:, :1], *a, **k)


def one_activation(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a, **k: {layer: x[:, :1] for layer, x in right(*a, **k).items()}


def no_step(covariance: Any, sequences: Any, points: Any) -> Any:
    return np.zeros((points.shape[1], points.shape[1]))


def first_half(right: Callable[..., Any]) -> Callable[..., Any]:
    """Pieces on half of the segment."""
    return lambda layers, a, b: right(layers, a, 0.5 * (np.asarray(a) + b))


MISTAKES = (
    Mistake(
        "cluster-sizes",
        "grown on another lattice",
        changed(
            f"{EXPERIMENT}.brill2024.cluster_sizes:ClusterSizes._lattice",
            lambda right: lambda self, mean: BetheLattice(3, mean_offspring=mean),
        ),
        {"size distribution at p = 1 p_c": "disagrees"},
        {"offspring": 1.0},
    ),
    Mistake(
        "single-cluster",
        "half of the sites observed",
        changed(
            "percolaw.kernels.tree:bernoulli_sites",
            lambda right: lambda start, rate, key: right(start, 0.5 * rate, key),
        ),
        {"1-NN loss over the exact curve": "disagrees"},
    ),
    Mistake(
        "dof-scan",
        "points counted in place of degrees of freedom",
        changed(
            f"{EXPERIMENT}.labelled:scale_factors",
            lambda right: lambda clusters, seed: np.ones(clusters.n_clusters),
        ),
        {"loss over the theory summed": "disagrees"},
    ),
    Mistake(
        "model-scaling",
        "capacity shared equally",
        changed(
            "percolaw.laws.allocation:optimal_allocation",
            lambda right: lambda n, count, a, g: np.full(count, n / count),
        ),
        {"model scaling: loss over the paper's curve": "disagrees"},
    ),
    Mistake(
        "data-scaling",
        "root of the mean square",
        changed(f"{EXPERIMENT}.labelled:ensemble_loss", root_of),
        {"data scaling: loss over the theory summed": "disagrees", "window of theory": "disagrees"},
        slow=True,
    ),
    Mistake(
        "cluster-drawings",
        "targets of other sites",
        changed("percolaw.targets.tree_walk:TreeWalk.sample", values_mixed),
        {},
        rows=("value",),
    ),
    Mistake(
        "embedded-1nn",
        "root of the mean square",
        changed(f"{EXPERIMENT}.embedding.embedded_1nn:np", rooted),
        {"1-NN exponent, infinite, d = 32": "disagrees", "1-NN error at d = 32": "disagrees"},
        {"points": "infinite", "dim": 32},
    ),
    Mistake(
        "embedded-1nn",
        "neighbours at random",
        changed("percolaw.numerics.neighbors:nearest_neighbors", random_neighbors),
        {"1-NN exponent, infinite, d = 32": "disagrees", "1-NN error at d = 32": "disagrees"},
        {"points": "infinite", "dim": 32},
    ),
    Mistake(
        "embedding-faithfulness",
        "points of other sites",
        changed("percolaw.embedding.walk:embed_tree", mixed_result),
        {"gaussian steps, d = 128": "disagrees"},
        {"steps": "gaussian", "dim": 128},
    ),
    Mistake(
        "cluster-points",
        "points drawn anew for every size",
        changed(
            "percolaw.datasets.make:make_cluster",
            lambda right: lambda n, dim, streams, **k: right(n, dim, streams.child(n), **k),
        ),
        {"share of sizes whose first": "disagrees"},
        rows=("place",),
    ),
    Mistake(
        "teachers",
        "pieces counted on half of the segment",
        changed(f"{EXPERIMENT}.kernels.teachers:linear_pieces", first_half),
        {"changes of slope along a segment": "disagrees"},
        {"family": ("ReLU 1 x 100", "ReLU 4 x 100")},
    ),
    Mistake(
        "teacher-gallery",
        "half of the square",
        changed(
            "percolaw.targets.slices:origin_slice",
            lambda right: lambda dim, side, *a: right(dim, 0.5 * side, *a),
        ),
        {},
        {"picture": "Fourier, |k| <= 4"},
        rows=("low", "high"),
    ),
    Mistake(
        "dimension",
        "one coordinate kept",
        changed(f"{EXPERIMENT}.embedding.dimension:estimate_dimension", one_coordinate),
        {"cube 2": "disagrees", "infinite cluster, d = 16": "disagrees"},
        {"shape": ("cube 2", "infinite cluster, d = 16")},
    ),
    Mistake(
        "kernel-scaling",
        "standard deviation for variance",
        changed("percolaw.learners.kernel:nested_curve", root_of_variance),
        {"cube 2, nu = 0.5: exponent": "disagrees", "cube 2, nu = 1.5: exponent": "disagrees"},
        {"kind": "expected", "points": "cube 2"},
    ),
    Mistake(
        "kernel-scaling",
        "students smoother than they are called",
        changed(
            "percolaw.numerics.covariance:Matern",
            lambda right: lambda nu, *a: right(nu + 1.0, *a),
        ),
        {"cube 2, nu = 0.5: exponent": "disagrees", "cube 2, nu = 1.5: exponent": "disagrees"},
        {"kind": "expected", "points": "cube 2"},
        slow=True,
    ),
    Mistake(
        "kernel-tuning",
        "targets of other points",
        changed("percolaw.targets.matern:MaternTeacher.on_points", values_mixed),
        {"test loss of the field's own kernel": "disagrees"},
    ),
    Mistake(
        "nn-tuning",
        "rates ten times what they are called",
        changed(
            f"{EXPERIMENT}.networks.nn_tuning:Student",
            lambda right: (
                lambda *a, learning_rate, **k: right(*a, learning_rate=10.0 * learning_rate, **k)
            ),
        ),
        {"width 16, n = 200, muP": "moved"},
        {"kind": "width", "width": 16, "parametrization": "mup"},
        slow=True,
    ),
    Mistake(
        "nn-data-scaling",
        "targets of other points",
        changed(f"{EXPERIMENT}.networks.neural:standardized_values", mixed_result),
        {"cluster d = 16, linear: exponent less that of the tangent kernel (NTK": "moved"},
        {"kind": "train"},
    ),
    Mistake(
        "architectures",
        "targets of other points",
        changed(f"{EXPERIMENT}.networks.neural:standardized_values", mixed_result),
        {"lattice d = 3, p_c, MLP: exponent less that of tangent kernel of unit biases": "moved"},
        {"kind": "train", "task": "data", "architecture": "mlp"},
    ),
    Mistake(
        "nn-model-scaling",
        "targets of other points",
        changed(f"{EXPERIMENT}.networks.endless_data:standardized_values", mixed_result),
        {"cube 2, Matérn 1.5: exponent": "moved"},
        {"kind": "train"},
        slow=True,
    ),
    Mistake(
        "nn-model-scaling",
        "ten times the learning rate",
        changed(
            f"{EXPERIMENT}.networks.neural:train_and_test",
            lambda right: (
                lambda network, x, y, students, *a: right(
                    network,
                    x,
                    y,
                    [
                        dataclasses.replace(s, learning_rate=10.0 * s.learning_rate)
                        for s in students
                    ],
                    *a,
                )
            ),
        ),
        {"cube 2: loss at rate 0.01 over the best": "moved"},
        {"kind": "rates"},
        slow=True,
    ),
    Mistake(
        "effective-dof",
        "divergence over half of the step",
        changed(
            f"{EXPERIMENT}.networks.effective_dof:divergence",
            lambda right: lambda signs, out, step: right(signs, out, 0.5 * step),
        ),
        {"cluster d = 16: trace": "disagrees"},
        slow=True,
    ),
    Mistake(
        "layer-dimension",
        "one unit of every layer",
        changed(f"{EXPERIMENT}.networks.layer_dimension:layer_activations", one_activation),
        {"cube 2: dimension of untrained": "disagrees", "cube 2: dimension of Matérn": "disagrees"},
    ),
    Mistake(
        "in-context",
        "standard deviation for variance",
        changed("percolaw.learners.in_context:posterior_losses", root_of),
        {"exact posterior, long sequences: exponent": "disagrees", "times the law": "disagrees"},
        {"learner": "posterior"},
    ),
    Mistake(
        "in-context",
        "predictions in another unit",
        changed(
            "percolaw.neural.trained:Trained.predict",
            lambda right: lambda *a: 4.0 * right(*a),
        ),
        {"transformer, one cluster: loss over that of the posterior": "moved"},
        {"learner": "transformer", "clusters": 1, "functions": 0},
        slow=True,
    ),
    Mistake(
        "in-context",
        "no gradient step",
        changed("percolaw.learners.in_context:best_gradient_step", lambda right: no_step),
        {"linear attention, linear functions": "disagrees"},
        {"learner": "linear attention"},
        slow=True,
    ),
    Mistake(
        "hierarchical-1nn",
        "values of other sites",
        changed("percolaw.targets.hierarchical:HierarchicalFunction.on", values_mixed),
        {"hierarchical: loss over the exact curve": "disagrees"},
    ),
    Mistake(
        "hierarchical-1nn",
        "standard deviation for variance",
        changed("percolaw.targets.hierarchical:HierarchicalFunction.expected_variance", root_of),
        {"exact curve over the law": "disagrees"},
        slow=True,
    ),
    Mistake(
        "latent-probes",
        "what is not known for what is",
        changed(
            "percolaw.interpret.ceiling:LatentPosterior.ceiling",
            lambda right: lambda *a: right(*a) - 1.0,
        ),
        {"octave 2: share of seeds whose last layer": "disagrees"},
    ),
    Mistake(
        "dictionary-scaling",
        "half of the loss",
        changed(
            "percolaw.neural.sparse_autoencoder:Dictionaries.summary",
            lambda right: lambda *a: {k: v / 2.0 for k, v in right(*a).items()},
        ),
        {"loss over the least loss": "moved"},
        {"resamplings": 0},
    ),
    *(
        Mistake(
            name,
            "rare tasks used most",
            changed(
                "percolaw.datasets.parity_tasks:zipf_weights",
                lambda right: lambda *a: right(*a)[::-1],
            ),
            turns,
        )
        for name, turns in (
            ("quanta-time", {"share of pairs of tasks": "disagrees"}),
            ("quanta-model", {"share of the tasks learned": "disagrees"}),
        )
    ),
    Mistake(
        "quanta-data",
        "one subset is left two samples later",
        changed(
            "percolaw.learners.subset_elimination:Elimination.n_needed",
            lambda right: property(lambda self: right.fget(self) + 2),
        ),
        {"samples of a task until one": "disagrees", "elimination: loss": "disagrees"},
    ),
    Mistake(
        "quanta-composite",
        "labels of other samples",
        changed(
            "percolaw.datasets.parity:ParitySamples.targets",
            lambda right: lambda self: mixed(right(self)),
        ),
        {"share of unions learned beside their parts": "disagrees"},
    ),
    Mistake(
        "quanta-percolation",
        "rougher fields than said",
        changed(
            f"{EXPERIMENT}.quanta.cluster_tasks:Matern", lambda right: lambda nu: right(0.25 * nu)
        ),
        {"alpha = 2, field nu = 0.5: exponent less that of clipped power laws": "disagrees"},
        {"ensemble": "alpha = 2"},
    ),
    Mistake(
        "quanta-discovery",
        "samples and their quanta in different orders",
        changed(
            "percolaw.numerics.partitions:adjusted_rand",
            lambda right: lambda a, b: right(a, b[::-1]),
        ),
        {"planted, true number: adjusted Rand index": "disagrees"},
        {"kind": "planted"},
    ),
    Mistake(
        "superposition",
        "three dimensions more than it says",
        changed(
            "percolaw.neural.superposition:SuperpositionToy",
            lambda right: lambda n_hidden, unit: right(n_hidden + 3, unit),
        ),
        {"strong: mean squared overlap": "disagrees"},
    ),
    Mistake(
        "features",
        "activations of other sites",
        changed(
            "percolaw.interpret.features:FeaturePairs.shares",
            lambda right: lambda pairs, x: right(pairs, mixed(x)),
        ),
        {"input: R^2 of the place": "disagrees"},
    ),
    Mistake(
        "absorption",
        "codes of other points",
        changed("percolaw.neural.sparse_autoencoder:Dictionaries.codes", mixed_result),
        {"penalty 0.1, nested features": "moved"},
        {"rule": "relu", "features": "nested"},
    ),
    Mistake(
        "regimes",
        "root of the mean square",
        changed(f"{EXPERIMENT}.lattices.box_curves:single_curve", root_of),
        {"d = 2, full box: exponent": "disagrees"},
        {"dimension": 2, "ratio": 0.0},
    ),
    Mistake(
        "dimension-table",
        "one seed for all",
        changed(
            f"{EXPERIMENT}.lattices.dimension_table:Streams", lambda right: lambda seed: Streams(0)
        ),
        {"d = 2: tau": "disagrees"},
        {"dimension": 2, "kind": "sizes"},
    ),
    Mistake(
        "dimension-table",
        "bonds open that are closed at p_c",
        changed(
            f"{EXPERIMENT}.lattices.dimension_table:hypercubic_threshold",
            lambda right: lambda d: 1.02 * right(d),
        ),
        {"d = 2: tau": "disagrees"},
        {"dimension": 2, "kind": "sizes"},
        slow=True,
    ),
    Mistake(
        "mean-field-check",
        "points of other sites",
        changed("percolaw.clusters.hypercubic.grown:grow_from_origin", coordinates_mixed),
        {"d = 6: 1-NN loss over the tree's": "disagrees"},
    ),
    Mistake(
        "sampling",
        "the hardest kept where the easiest are asked for",
        changed(
            f"{EXPERIMENT}.lattices.pruning:np",
            lambda right: with_numpy(lexsort=lambda keys: np.lexsort(keys)[::-1]),
        ),
        {"heavy tail, 1-NN: exponent of easy kept": "disagrees"},
        slow=True,
    ),
    Mistake(
        "learnability",
        "targets of other sites",
        changed(f"{EXPERIMENT}.lattices.boxes:draw", values_of_boxes_mixed),
        {"d = 2, nearest 1-NN, 100 points": "moved"},
        {"dimension": 2},
    ),
    Mistake(
        "real-digits",
        "the exact curve at twice the training points",
        changed(
            "percolaw.analysis.parts:nearest_neighbor_curve",
            lambda right: lambda losses, m: right(losses, np.minimum(2 * m, losses.n_points - 1)),
        ),
        {"digits, classes: loss of 1-NN": "disagrees"},
        {"part": "agreement"},
    ),
    Mistake(
        "real-digits",
        "classes of other images are learned",
        changed("percolaw.analysis.learning:coordinates", mixed_result),
        {"digits, classes: loss of 1-NN": "disagrees"},
        {"part": "learning"},
        slow=True,
    ),
    Mistake(
        "real-digits",
        "permuted classes that are not permuted",
        changed("percolaw.analysis.nulls:permuted_labels", lambda right: lambda labels, *a: labels),
        {},
        {"part": "draws", "null": "permuted"},
        finds={"digits, classes": "label frequencies only"},
        slow=True,
    ),
    Mistake(
        "analyze-confusion",
        "critical surrogates far above their threshold",
        changed(
            "percolaw.analysis.class_draws:critical_bonds",
            lambda right: lambda *a: min(1.0, 2.5 * right(*a)),
        ),
        {},
        {"ratio": 1.0},
        finds={"lattice d = 2, 1 p_c, 100%": "undecided"},
    ),
    Mistake(
        "analyze-confusion",
        "lattices with half of their bonds",
        changed(
            f"{EXPERIMENT}.real.known:hypercubic_threshold",
            lambda right: lambda *a: 0.5 * right(*a),
        ),
        {},
        {"ratio": 1.0},
        finds={"lattice d = 2, 1 p_c, 100%": "undecided"},
        slow=True,
    ),
    Mistake(
        "analyze-confusion",
        "classes of other sites",
        changed(
            f"{EXPERIMENT}.real.known:_lattice",
            lambda right: lambda *a: (mixed(right(*a)[0]), right(*a)[1]),
        ),
        {},
        {"ratio": 1.0},
        finds={"lattice d = 2, 1 p_c, 100%": "label frequencies only"},
        slow=True,
    ),
)


def verdicts_of(experiment: Any, units: list[Any]) -> dict[str, set[str]]:
    """The words on each state of known data, or on each data set and resolution."""
    rows = [row for unit in units for row in unit]
    if experiment.name == "analyze-confusion":
        return {s: {r["verdict"] for r in rows if r["state"] == s} for s in experiment.states()}
    lines = [s["short"] for s in experiment.conclude(rows).tables["readings"] if "short" in s]
    pairs = [line.partition(" (")[0].split(": ") for line in lines]
    return {name: {word} for name, word in pairs}


def concerned(cell: dict[str, Any], only: Mapping[str, Any]) -> bool:
    return all(
        cell[key] in (value if isinstance(value, tuple) else (value,))
        for key, value in only.items()
    )


def measured(experiment: Any, units: list[Any], mistake: Mistake) -> list[list[dict[str, Any]]]:
    """The rows of every unit, those of the units concerned measured with the mistake."""
    cells = experiment.cells()
    wrong = [i for i, cell in enumerate(cells) if concerned(cell, mistake.only)]
    assert wrong, f"no unit with {mistake.only}; there are {cells}"
    found = list(units)
    measurement.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch, one_thread():
            mistake.apply(patch)
            for i in wrong:
                found[i] = json.loads(canonical_json(experiment.measure(cells[i])))
    finally:  # what was drawn with the mistake
        measurement.cache_clear()
        labelled.prepare.cache_clear()
        labelled.scale_factors.cache_clear()
    return found


def claims_of(experiment: Any, units: list[Any]) -> Any:
    return experiment.conclude([row for unit in units for row in unit]).claims


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(m, id=f"{m.experiment}: {m.what}", marks=[pytest.mark.slow] if m.slow else [])
        for m in MISTAKES
    ],
)
def test_mistake_turns_the_claims(mistake, tmp_path_factory):
    experiment, right = smoke_units(shared_root(tmp_path_factory), mistake.experiment)
    wrong = measured(experiment, right, mistake)
    assert mistake.turns or mistake.rows or mistake.finds
    claims = [claims_of(experiment, units) if mistake.turns else () for units in (right, wrong)]
    for text, verdict in mistake.turns.items():
        before, after = (next(c for c in every if text in c.name) for every in claims)
        assert before.verdict != verdict, f"{text} {verdict} without the mistake too"
        if verdict == "moved":
            ends = [abs(before.measured - end) for end in before.interval if np.isfinite(end)]
            assert abs(after.measured - before.measured) > max(before.tolerance, *ends, 0.0), after
        else:
            assert after.verdict == verdict, after
    for name, word in mistake.finds.items():
        before, after = (verdicts_of(experiment, units)[name] for units in (right, wrong))
        assert before != {word}
        assert after == {word}
    numbers = [said(experiment, units)["rows"] if mistake.rows else {} for units in (right, wrong)]
    for field in mistake.rows:
        assert abs(numbers[0][field] - numbers[1][field]) > 100.0 * ROWS_WITHIN, numbers


def test_every_experiment_that_measures_has_a_mistake():
    """Analyses of data that other packages ship measure as real-digits does."""
    alike = {"analyze", *OF_PACKAGES}
    assert {m.experiment for m in MISTAKES} == set(EXPERIMENTS) - alike - set(NOTHING_MEASURED)
