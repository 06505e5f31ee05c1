"""Which features a network forms: context, component, surface, by layer, width and training time."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.experiments import claims, fields
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row, SeedBySeed
from percolaw.experiments.fields import Bytes, Range, Seeds, Tolerance
from percolaw.experiments.latents.feature_plots import feature_plots, per_seed
from percolaw.neural.config import NEVER_STOP, Student, Training
from percolaw.rng import Streams

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Features(SeedBySeed, NeedsTorch):
    """Networks on many clusters with hierarchical labels: where the variance of each layer lies."""

    name: ClassVar[str] = "features"
    title: ClassVar[str] = "Features that networks form: context, component, surface"
    source: ClassVar[str] = (
        "Brill 2025 (Representation Learning on a Random Lattice); docs/features.md"
    )
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_clusters": 6,
                "largest": 2000,
                "n_train": 500,
                "n_test": 500,
                "n_context": 3,
                "width": 16,
                "other_widths": (4,),
                "training": Training(
                    learning_rate=0.01, steps=100, batch_size=64, patience=NEVER_STOP
                ),
                "times": (0.1, 1.0),
                "parts": (0.25, 0.0625),
            },
            "3 s",
            "0.8 GiB",
        ),
        "laptop": Preset({}, "2 min", "2 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 8,
                "n_clusters": 200,
                "smallest": 2000,
                "largest": 500_000,
                "n_train": 200_000,
                "n_test": 50_000,
                "width": 512,
                "other_widths": (64, 2048),
                "training": Training(
                    learning_rate=0.01, steps=20_000, batch_size=1024, patience=NEVER_STOP
                ),
            },
            "2 h, estimated (8 seeds, 70,000 steps at 10 ms)",
            "16 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent clouds of clusters, functions and students."""
    n_clusters: Annotated[int, Range(2)] = 40
    """Clusters, met by site: sizes fall as rank^-2."""
    smallest: Annotated[int, Range(20)] = 500
    """Sites of the smallest cluster allowed."""
    largest: Annotated[int, Range(40), Bytes(60.0)] = 50_000
    """Sites of the largest cluster allowed."""
    n_train: Annotated[int, Range(100)] = 8000
    """Sites whose labels are learned; a tenth as many stop the training."""
    n_test: Annotated[int, Range(100)] = 8000
    """Other sites, at which representations are looked at."""
    n_context: Annotated[int, Range(1)] = 8
    """Clusters whose membership is asked of units and probes, the largest ones."""
    dim: Annotated[int, Range(2)] = 32
    """Embedding dimension."""
    depth: Annotated[int, Range(1)] = 3
    """Hidden layers."""
    width: Annotated[int, Range(2)] = 128
    """Units of a layer."""
    other_widths: Annotated[tuple[int, ...], Range(2)] = (16, 256)
    """Widths of which only the end of training is looked at."""
    times: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    """Parts of the training budget after which a network is looked at; the last one is 1."""
    parts: Annotated[tuple[float, ...], Range(1e-4, 0.5)] = (0.5, 0.25, 0.125, 0.0625, 0.03125)
    """Sizes of the parts of a cluster, as shares of it, that say where a point is."""
    part: Annotated[float, Range(1e-4, 0.5)] = 0.0625
    """Size of the parts by which component and surface are told from one another."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01, steps=3000, batch_size=256, patience=NEVER_STOP
    )
    """How students are trained."""
    tolerance: Tolerance = 0.05
    """Difference of shares, R^2 and F1 that counts as none."""

    def __post_init__(self) -> None:
        fields.check(self)
        if not self.times or self.times[-1] != 1.0 or min(self.times) <= 0.0:
            raise ValueError(f"times must be positive and end with 1; got {self.times}.")
        if self.largest <= self.smallest:
            raise ValueError(f"largest must exceed smallest = {self.smallest}; got {self.largest}.")
        if self.n_context > self.n_clusters:
            raise ValueError(
                f"n_context must be at most n_clusters = {self.n_clusters}; got {self.n_context}."
            )
        if self.n_train + self.n_train // 10 + self.n_test > self.n_clusters * self.smallest:
            raise ValueError(
                f"n_clusters of {self.smallest} sites hold {self.n_clusters * self.smallest}, which must "
                f"be enough for n_train, a tenth of it and n_test; got {self.n_train} and {self.n_test}."
            )

    def measure(self, cell: Cell) -> list[Row]:
        """Look at every representation of test sites; a row each, labels and exact shares among them."""
        from percolaw.interpret.features import FeatureShares, feature_pairs
        from percolaw.interpret.probes import membership_probe
        from percolaw.interpret.scores import unit_scores
        from percolaw.targets.hierarchical import HierarchicalFunction

        streams = Streams(cell["seed"])
        tree, target, x = self._cloud(streams)
        order = streams.generator("evaluation").permutation(tree.n_sites)
        test, rest = np.sort(order[: self.n_test]), order[self.n_test :]
        learned = rest[: self.n_train]
        y = (target.value - target.value[learned].mean()) / target.value[learned].std()
        places = target.merges.restrict(test)
        pairs = {p: feature_pairs(places, p, streams) for p in (*self.parts, self.part)}
        function = HierarchicalFunction(standardized=False)
        exact: dict[str, dict[float, FeatureShares]] = {"exact input": {}, "exact labels": {}}
        for p, pair in pairs.items():
            here, others = test[pair.site], (test[pair.part], test[pair.cluster])
            inside, within = (tree.distance_between(here, other) for other in others)
            # Sites of two clusters have no distance: shares inside clusters are known alone.
            exact["exact input"][p] = FeatureShares.of(inside, within, within)
            differ = [
                function.expected_difference(target.merges, here, other)
                for other in (*others, test[pair.anywhere])
            ]
            exact["exact labels"][p] = FeatureShares.of(*differ)
        rows = [{**cell, "form": form, "r2": _r2(shares)} for form, shares in exact.items()]
        largest = np.argsort(-np.diff(places.start), kind="stable")[: self.n_context]
        roots = places.start[largest] - largest
        for form, values in self._representations(cell["seed"], x, y, test, rest).items():
            shares = {p: pair.shares(values) for p, pair in pairs.items()}
            units = unit_scores(values, places, roots, candidates=min(3, values.shape[1]))
            probe = membership_probe(values, places, roots)
            row = {**cell, "form": form, "r2": _r2(shares)}
            row |= dataclasses.asdict(shares[self.part])
            row |= {"f1": float(units.f1.mean()), "mcc": float(units.mcc.mean())}
            if values.shape[1] == 1:
                row["loss"] = float(np.mean((values[:, 0] - y[test]) ** 2))
            rows.append({**row, "probe_f1": float(probe.f1.mean())})
        return rows

    def _cloud(self, streams: Streams) -> tuple[Any, Any, FloatArray]:
        """Clusters, a hierarchical function on them, and standardised points, site by site."""
        from percolaw.clusters.ensembles import sample_clusters
        from percolaw.datasets.centres import SPACING, ClusterCentres, cluster_extent
        from percolaw.embedding.walk import embed_tree
        from percolaw.targets.hierarchical import HierarchicalFunction
        from percolaw.targets.teacher import standardized_inputs

        tree = sample_clusters(
            "site", self.n_clusters, None, self.smallest, self.largest, rng=streams
        )
        sizes = np.diff(tree.start)
        distance = SPACING * cluster_extent(int(sizes[0]))
        centres = ClusterCentres("random", sizes.size, self.dim, distance, streams)
        points = embed_tree(tree, self.dim, streams).astype(np.float64)
        points += np.repeat(centres.of(np.arange(sizes.size)), sizes, axis=0)
        target = HierarchicalFunction(standardized=False).sample(tree, streams)
        return tree, target, standardized_inputs(points).astype(np.float32)

    def _representations(
        self, seed: int, x: Any, y: FloatArray, test: Any, rest: Any
    ) -> dict[str, Any]:
        """Representations of test sites by name: labels, input, controls, layers by width and time.

        With every network of the main width a second one learns the same labels, shuffled.
        """
        from percolaw.neural.activations import layer_activations
        from percolaw.neural.mlp import MLP
        from percolaw.neural.training import train

        learned, validation = rest[: self.n_train], rest[self.n_train :][: self.n_train // 10]
        mixed = y.copy()
        mixed[learned] = Streams(seed).generator("split").permutation(y[learned])
        students = [Student(seed, learned, validation, target=t) for t in (0, 1)]
        axes = Streams(seed).generator("evaluation", 1).standard_normal((self.dim, self.width))
        forms: dict[str, Any] = {"labels": y[test, None], "input": x[test]}
        forms["random directions"] = x[test] @ axes.astype(np.float32)
        times = [(self.width, t) for t in (0.0, *self.times)]
        for width, time in times + [(w, 1.0) for w in self.other_widths]:
            steps = max(1, round(time * self.training.steps))
            rate = self.training.learning_rate if time else 0.0
            plan = dataclasses.replace(self.training, steps=steps, learning_rate=rate)
            both = students if width == self.width and time == 1.0 else students[:1]
            trained = train(MLP(self.depth, width), x, np.stack([y, mixed], 1), both, plan)
            for student, text in enumerate(("", ", shuffled labels")[: len(both)]):
                name = f"width {width}, time {time:g}{text}"
                layers = layer_activations(trained, x[test], student)
                for layer in range(1, self.depth + 1):
                    forms[f"layer {layer}, {name}"] = layers[f"layer {layer} after"]
                if time:
                    forms[f"output, {name}"] = trained.select(student).predict(x[test])[0]
        return forms

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold shares against exact ones and controls, context against clusters."""
        last = f"layer {self.depth}, width {{}}, time {{:g}}"
        end, start = last.format(self.width, 1.0), last.format(self.width, 0.0)
        output = end.replace(f"layer {self.depth}", "output")
        r2 = {
            form: per_seed(rows, form, f"r2 {self.part:g}")
            for form in (
                *("exact input", "exact labels", "input", "labels"),
                *(start, end, output, f"{end}, shuffled labels"),
            )
        }
        widths = sorted((self.width, *self.other_widths))
        ends = [last.format(w, 1.0) for w in (widths[0], widths[-1])]
        narrow, wide = (per_seed(rows, form, "surface") for form in ends)
        before, after = (per_seed(rows, form, "surface") for form in (start, end))
        every = [
            self._difference(
                "input: R^2 of the place less that of distances", r2, "input", "exact input"
            ),
            self._difference(
                "labels: R^2 less that of their hierarchy", r2, "labels", "exact labels"
            ),
            self._difference(
                "output: R^2 of the place less that of the labels",
                r2,
                output,
                "labels",
                f"; test loss {per_seed(rows, output, 'loss').mean():.2f}",
            ),
            self._difference(
                "untrained last layer: R^2 less that of the input", r2, start, "input"
            ),
            self._difference(
                "last layer of shuffled labels: R^2 less the untrained one's",
                r2,
                f"{end}, shuffled labels",
                start,
            ),
            self._all(
                "surface of the last layer less than untrained", after < before, before, after
            ),
            self._all(
                f"surface of the last layer less at width {widths[-1]} than {widths[0]}",
                wide < narrow,
                narrow,
                wide,
            ),
            *self._context(rows, start, end),
        ]
        panels = feature_plots(
            rows,
            f"{self.n_clusters} clusters, {self.n_seeds} networks of {self.depth} x {self.width}",
            width=self.width,
            depth=self.depth,
            steps={t: max(1, round(t * self.training.steps)) for t in self.times},
            parts=self.parts,
        )
        return Conclusion(tuple(every), plots=panels)

    def _difference(
        self, name: str, r2: dict[str, FloatArray], one: str, other: str, more: str = ""
    ) -> claims.Claim:
        """R^2 inside clusters of two representations, held to be the same."""
        return claims.difference(
            name,
            self.source,
            r2[one] - r2[other],
            self.tolerance,
            f"{r2[one].mean():.3f} and {r2[other].mean():.3f}, parts of {self.part:g} of a cluster{more}",
            {"learner": one, "quantity": "component R^2"},
        )

    def _all(self, name: str, holds: Any, before: FloatArray, after: FloatArray) -> claims.Claim:
        """Something held to be so for every seed."""
        share = float(np.mean(holds))
        note = f"{before.mean():.3f} to {after.mean():.3f} of the variance"
        about = {"quantity": "surface"}
        text = f"share of seeds with {name}"
        return claims.judge(text, self.source, 1.0, share, (share, share), 0.0, note, about)

    def _context(self, rows: list[Row], start: str, end: str) -> list[claims.Claim]:
        """One unit a cluster, and one direction a cluster."""
        controls = {"input": "input", "random directions": "random directions", "untrained": start}
        return [
            claims.mean(
                f"last layer: F1 of {text} for the largest clusters",
                self.source,
                1.0,
                per_seed(rows, end, key),
                self.tolerance,
                ", ".join(
                    f"{word} {per_seed(rows, form, key).mean():.2f}"
                    for word, form in controls.items()
                ),
                {"learner": end, "quantity": "context F1"},
            )
            for text, key in (("single units", "f1"), ("linear probes", "probe_f1"))
        ]


def _r2(shares: dict[float, Any]) -> dict[str, float]:
    """R^2 inside clusters by size of the parts."""
    return {f"{p:g}": share.component_r2 for p, share in shares.items()}
