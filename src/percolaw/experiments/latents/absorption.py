"""Absorption in dictionaries of nested latents: what a penalty or a count of codes does to parents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.experiments import fields, plots
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row
from percolaw.experiments.fields import Bytes, Range, Seeds, Tolerance
from percolaw.experiments.seeds import seed_mean, seeds_of
from percolaw.neural.config import Training
from percolaw.rng import Streams

FloatArray = npt.NDArray[np.float64]

#: Features with their hierarchy, and as frequent ones that know nothing of each other.
NESTED, INDEPENDENT = "nested", "independent"


@dataclass(frozen=True)
class AbsorptionByRule(NeedsTorch):
    """Sparse autoencoders on sums of the directions of the latents that a site belongs to."""

    name: ClassVar[str] = "absorption"
    title: ClassVar[str] = "Dictionaries of nested latents: parents absorbed by their children"
    source: ClassVar[str] = "docs/theory.md (a penalty pays for fewer codes); Chanin et al. 2024"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_sites": 2000,
                "octaves": (5, 7),
                "dim": 24,
                "n_atoms": 24,
                "penalties": (0.1,),
                "codes": (2,),
                "training": Training(learning_rate=0.01, steps=200, batch_size=64),
            },
            "3 s",
            "0.6 GiB",
        ),
        "laptop": Preset({}, "3 min", "1 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 10,
                "n_sites": 500_000,
                "octaves": (8, 10, 12, 14),
                "dim": 1024,
                "n_atoms": 1024,
                "training": Training(learning_rate=1e-3, steps=20_000, batch_size=2048),
            },
            "4 h, estimated (160 dictionaries of 20,000 steps at 4 ms)",
            "32 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent clusters, directions and dictionaries."""
    n_sites: Annotated[int, Range(500), Bytes(1000.0)] = 20_000
    """Sites of a cluster: points. A tenth of them chooses the best evaluation and is then looked
    at, the others are learned."""
    octaves: Annotated[tuple[int, ...], Range(1)] = (7, 9, 11)
    """Features are latents of 2^octave to 2^(octave+1) - 1 sites, at most `dim`, the largest ones."""
    dim: Annotated[int, Range(4)] = 64
    """Dimensions; directions of features are orthonormal."""
    n_atoms: Annotated[int, Range(4)] = 96
    """Atoms of a dictionary."""
    penalties: Annotated[tuple[float, ...], Range(1e-4, 0.9)] = (0.01, 0.03, 0.1, 0.3)
    """Penalties on the codes of ReLU dictionaries."""
    codes: Annotated[tuple[int, ...], Range(1)] = (1, 2, 3, 4)
    """Codes of a point in TopK dictionaries."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.005, steps=2000, batch_size=128
    )
    """How dictionaries are trained."""
    tolerance: Tolerance = 0.1
    """Difference of shares that counts as none."""

    def __post_init__(self) -> None:
        fields.check(self)
        if len(set(self.octaves)) < 2 or 2 ** (max(self.octaves) + 1) > self.n_sites:
            raise ValueError(
                f"octaves must be two at least, of latents of less than {self.n_sites} sites; got "
                f"{self.octaves}."
            )
        if max(self.codes) > self.n_atoms:
            raise ValueError(f"codes must be at most n_atoms = {self.n_atoms}; got {self.codes}.")

    def cells(self) -> list[Cell]:
        """A unit is a rule of codes, kind of features and seed."""
        rules = [("relu", penalty) for penalty in self.penalties]
        rules += [("topk", float(k)) for k in self.codes]
        return [
            {"rule": rule, "sparsity": sparsity, "features": kind, "seed": seed}
            for rule, sparsity in rules
            for kind in (NESTED, INDEPENDENT)
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Train one dictionary; one row: what it absorbed, found and left unused."""
        from percolaw.interpret.absorption import absorption
        from percolaw.neural.sparse_autoencoder import (
            SparseAutoencoder,
            matched_cosine,
            train_dictionaries,
        )

        present, parent, features = self._features(cell["seed"], cell["features"] == NESTED)
        x = present @ features
        held = self.n_sites // 10
        relu = cell["rule"] == "relu"
        k = 1 if relu else round(cell["sparsity"])
        shape = SparseAutoencoder(self.n_atoms, cell["rule"], k=k, centred=False)
        penalty = cell["sparsity"] if relu else 0.0
        learned = train_dictionaries(
            x, shape, [cell["seed"]], penalty=penalty, training=self.training, n_validation=held
        )
        tested, summary = x[-held:], learned.summary(x[-held:])
        row = {**cell, "n_features": int(parent.size), "n_edges": int(np.sum(parent >= 0))}
        row |= {key: summary[key] for key in ("unexplained", "n_codes", "dead")}
        row["mmcs"] = float(matched_cosine(learned.atoms(), features).mean())
        row |= {"missed": 1.0, "absorbed": None}  # of a dictionary that is all dead
        if summary["dead"] < 1.0:
            seen = absorption(
                tested, learned.codes(tested), learned.atoms(), features, present[-held:], parent
            )
            row |= {"missed": float(seen.missed.mean()), "absorbed": float(seen.absorbed.mean())}
        return [row]

    def _features(self, seed: int, nested: bool) -> tuple[Any, Any, FloatArray]:
        """Which sites, shuffled, have which features; their edges; their directions."""
        from percolaw.clusters.coalescent import merge_tree
        from percolaw.clusters.conditioned import conditioned_clusters
        from percolaw.interpret.absorption import latent_parents
        from percolaw.interpret.probes import octave_latents

        streams = Streams(seed)
        merges = merge_tree(conditioned_clusters(self.n_sites, rng=streams), streams)
        latents = np.concatenate([octave_latents(merges, o) for o in self.octaves])
        latents = latents[np.argsort(-merges.sizes()[latents], kind="stable")][: self.dim]
        present = merges.membership(latents).toarray()
        generator = streams.generator("split")
        present = present[generator.permutation(self.n_sites)]
        if not nested:
            present = generator.permuted(present, axis=0)
        axes = streams.generator("target").standard_normal((self.dim, self.dim))
        return present, latent_parents(merges, latents), np.linalg.qr(axes)[0][: latents.size]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold absorbed shares against 1 where it pays, and 0 where nothing is gained."""
        every = []
        for rule, sparsity, predicted in (
            *(("relu", penalty, 1.0) for penalty in self.penalties),
            *(("topk", float(k), 0.0) for k in self.codes if k >= len(self.octaves)),
        ):
            text = f"penalty {sparsity:g}" if rule == "relu" else f"TopK of {sparsity:g}"
            for kind in (NESTED, INDEPENDENT):
                mine = self._rows(rows, rule, sparsity, kind)
                mean = {key: np.mean([r[key] for r in mine]) for key in ("dead", "mmcs", "missed")}
                every.append(
                    seed_mean(
                        f"{text}, {kind} features: share of parents absorbed",
                        self.source,
                        predicted if kind == NESTED else 0.0,
                        seeds_of(mine, "absorbed"),
                        self.tolerance,
                        f"{mean['missed']:.0%} silent, {mean['dead']:.0%} of atoms dead, MMCS "
                        f"{mean['mmcs']:.2f}",
                        {"source": kind, "learner": rule, "quantity": "absorbed"},
                    )
                )
        return Conclusion(tuple(every), plots=self._plots(rows))

    def _rows(self, rows: list[Row], rule: str, sparsity: float, kind: str) -> list[Row]:
        keys = (rule, sparsity, kind)
        return [r for r in rows if (r["rule"], r["sparsity"], r["features"]) == keys]

    def _plots(self, rows: list[Row]) -> tuple[plots.Plot, ...]:
        shown = (
            ("", "relu", self.penalties, "ReLU, penalty"),
            ("-topk", "topk", tuple(map(float, self.codes)), "TopK, codes of a point"),
        )
        return tuple(
            plots.log_linear(
                f"absorption{suffix}",
                f"{self.n_seeds} dictionaries of {self.n_atoms} atoms",
                f"Parents absorbed and features found against the {label}.",
                (label, "share; mean largest cosine"),
                [
                    self._series(rows, rule, x, kind, key, text)
                    for key, text in (("absorbed", "absorbed"), ("mmcs", "MMCS"))
                    for kind in (NESTED, INDEPENDENT)
                ],
                y_limits=(-0.05, 1.05),
                figure="absorption",
            )
            for suffix, rule, x, label in shown
        )

    def _series(
        self, rows: list[Row], rule: str, x: tuple[float, ...], kind: str, key: str, text: str
    ) -> plots.Series:
        values = [seeds_of(self._rows(rows, rule, s, kind), key) for s in x]
        return plots.seed_means(f"{text}, {kind} features", x, values)
