"""What networks know of latents: linear probes by size of the latent and layer, under the ceiling."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row, SeedBySeed
from percolaw.experiments.fields import Bytes, Range, Seeds, Tolerance
from percolaw.neural.config import NEVER_STOP, Student, Training
from percolaw.rng import Streams

#: Representations that no training has touched, and the labels themselves.
CONTROLS = ("labels", "input", "untrained")
#: Fewer latents of one octave and seed are not probed.
LEAST_LATENTS = 20


@dataclass(frozen=True)
class LatentProbes(SeedBySeed, NeedsTorch):
    """R^2 of probes for the normals of latents, by octave of their size, layer and training time."""

    name: ClassVar[str] = "latent-probes"
    title: ClassVar[str] = (
        "Which latents a trained network knows, and how near that is to what can be known"
    )
    source: ClassVar[str] = "docs/features.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_sites": 3000,
                "n_train": 1000,
                "width": 32,
                "octaves": (2, 4),
                "training": Training(learning_rate=0.01, steps=150, patience=NEVER_STOP),
                "shares": (0.1, 1.0),
            },
            "15 s",
            "0.8 GiB",
        ),
        "laptop": Preset({}, "4 min", "2 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 8,
                "n_sites": 400_000,
                "n_train": 200_000,
                "width": 512,
                "octaves": (4, 5, 6, 7, 8, 9),
                "training": Training(
                    learning_rate=0.01, steps=20_000, batch_size=1024, patience=NEVER_STOP
                ),
            },
            "8 min, estimated (20,000 steps of 8 students at 10 ms, three budgets)",
            "16 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent clusters, hierarchies, functions and students."""
    n_sites: Annotated[int, Range(500), Bytes(4000.0)] = 100_000
    """Sites of a cluster, all of which are probed."""
    n_train: Annotated[int, Range(100)] = 20_000
    """Sites whose labels are learned; a tenth as many stop the training, and as many test it."""
    dim: Annotated[int, Range(2)] = 16
    """Embedding dimension."""
    depth: Annotated[int, Range(1)] = 3
    """Hidden layers."""
    width: Annotated[int, Range(4)] = 128
    """Units of a layer."""
    octaves: Annotated[tuple[int, ...], Range(1)] = (4, 5, 6, 7)
    """Latents of 2^octave to 2^(octave+1) - 1 sites are probed together. A tree of n_sites has about
    0.33 n_sites / 2^octave of them; below 130, as from octave 8 on at 100,000 sites, probes of hundreds
    of numbers fit noise, and their R^2 says nothing of networks."""
    shares: tuple[float, ...] = (0.03, 0.2, 1.0)
    """Parts of the training budget after which a network is probed; the last one is 1."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01, steps=6000, batch_size=256, patience=NEVER_STOP
    )
    """How students are trained."""
    tolerance: Tolerance = 0.02
    """R^2 that counts as nothing, and as no difference."""

    def __post_init__(self) -> None:
        fields.check(self)
        if not self.shares or self.shares[-1] != 1.0 or min(self.shares) <= 0.0:
            raise ValueError(f"shares must be positive and end with 1; got {self.shares}.")
        if self.n_train > 0.8 * self.n_sites:
            raise ValueError(f"n_train must be at most 0.8 n_sites; got {self.n_train}.")
        largest = int(math.log2(self.n_sites / 64))
        if max(self.octaves) > largest:
            raise ValueError(
                f"octaves must be at most {largest} for {self.n_sites} sites; got {max(self.octaves)}."
            )

    def measure(self, cell: Cell) -> list[Row]:
        """Train one student to every share of the budget; one row a representation and octave."""
        from percolaw.datasets.latents import latents, make_hierarchy
        from percolaw.interpret.ceiling import latent_posterior
        from percolaw.interpret.probes import octave_latents, value_probe
        from percolaw.targets.teacher import standardized_inputs

        streams = Streams(cell["seed"])
        data = make_hierarchy(self.n_sites, self.dim, streams, standardized=False)
        known = latents(data)
        x = standardized_inputs(np.asarray(data.X)[known.row]).astype(np.float32)
        raw = data.y[known.row]
        order = streams.generator("evaluation").permutation(self.n_sites)
        seen = order[2 * (self.n_train // 10) :][: self.n_train]
        posterior = latent_posterior(known.merges, raw[seen], seen)
        y = (raw - raw[seen].mean()) / raw[seen].std()
        forms, losses = self._representations(cell["seed"], x, y, order)
        rows = []
        for octave in self.octaves:
            ids = octave_latents(known.merges, octave)
            if ids.size < LEAST_LATENTS:
                continue
            shuffled = known.normal.copy()
            shuffled[ids] = streams.generator("split", octave).permutation(shuffled[ids])
            for form, values in forms.items():
                r2, control = (
                    value_probe(values, known.merges, normal, ids, rng=streams).r2
                    for normal in (known.normal, shuffled)
                )
                row = {**cell, "form": form, "octave": octave, "n_latents": int(ids.size)}
                row |= {"loss": losses.get(form.split(", ")[-1]), "ceiling": posterior.ceiling(ids)}
                rows.append({**row, "r2": r2, "shuffled": control})
        return rows

    def _representations(
        self, seed: int, x: Any, y: Any, order: Any
    ) -> tuple[dict[str, Any], dict[str, float]]:
        """Representations of all sites by name, and test losses by share of the budget."""
        from percolaw.neural.activations import layer_activations
        from percolaw.neural.mlp import MLP
        from percolaw.neural.training import train

        held = self.n_train // 10
        test, validation = order[:held], order[held : 2 * held]
        student = [Student(seed, order[2 * held :][: self.n_train], validation)]
        forms: dict[str, Any] = {"labels": y[:, None], "input": x}
        losses: dict[str, float] = {}
        for share in (0.0, *self.shares):
            steps = max(1, round(share * self.training.steps))
            rate = self.training.learning_rate if share else 0.0
            plan = dataclasses.replace(self.training, steps=steps, learning_rate=rate)
            trained = train(MLP(self.depth, self.width), x, y, student, plan)
            layers = layer_activations(trained, x)
            if not share:
                forms["untrained"] = list(layers.values())[-1]
                continue
            output = trained.predict(x)[0]
            losses[f"share {share:g}"] = float(np.mean((output[test, 0] - y[test]) ** 2))
            forms[f"output, share {share:g}"] = output
            for name, values in layers.items():
                if name.endswith("after") and (share == 1.0 or name == list(layers)[-1]):
                    forms[f"{name.removesuffix(' after')}, share {share:g}"] = values
        return forms, losses

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold trained layers against the ceiling, the labels' own probe and the controls."""
        last, output = f"layer {self.depth}, share 1", "output, share 1"
        every = []
        for octave in self._probed(rows):
            about = {"source": f"latents of {2**octave} to {2 ** (octave + 1) - 1} sites"}
            r2 = {f: self._values(rows, f, octave, "r2") for f in (last, output, *CONTROLS)}
            ceiling = self._values(rows, last, octave, "ceiling")
            for form, text in ((last, "last layer"), (output, "output")):
                under = float(np.mean(r2[form] <= ceiling + self.tolerance))
                every.append(
                    claims.judge(
                        f"octave {octave}: share of seeds whose {text} stays under the ceiling",
                        self.source,
                        1.0,
                        under,
                        (under, under),
                        0.0,
                        f"ceiling {ceiling.mean():.3f}, probe {r2[form].mean():.3f}",
                        {**about, "learner": text, "quantity": "ceiling"},
                    )
                )
            nothing = {
                "coordinates": r2["input"],
                "an untrained network": r2["untrained"],
                "the last layer for shuffled normals": self._values(rows, last, octave, "shuffled"),
            }
            for text, values in nothing.items():
                every.append(
                    claims.difference(
                        f"octave {octave}: R^2 of {text}",
                        self.source,
                        values,
                        self.tolerance,
                        about={**about, "learner": text, "quantity": "R^2"},
                    )
                )
            every.append(
                claims.difference(
                    f"octave {octave}: R^2 of the output less that of the labels",
                    self.source,
                    r2[output] - r2["labels"],
                    self.tolerance,
                    f"output {r2[output].mean():.3f}, labels {r2['labels'].mean():.3f}",
                    {**about, "learner": "output", "quantity": "R^2 less labels"},
                )
            )
        return Conclusion(tuple(every), plots=self._plots(rows))

    def _probed(self, rows: list[Row]) -> list[int]:
        """Octaves of which every seed has latents enough."""
        seeds = {o: {r["seed"] for r in rows if r["octave"] == o} for o in self.octaves}
        return [o for o in self.octaves if len(seeds[o]) == self.n_seeds]

    def _values(self, rows: list[Row], form: str, octave: int, key: str) -> Any:
        """One number a seed."""
        return np.array([r[key] for r in rows if (r["form"], r["octave"]) == (form, octave)])

    def _plots(self, rows: list[Row]) -> tuple[plots.Plot, ...]:
        forms = list(dict.fromkeys(r["form"] for r in rows))
        layers = [f for f in forms if f.startswith("layer") and f.endswith("share 1")]
        times = [f for f in forms if f.startswith("output")]
        shown = (
            ("", "by layer", [*CONTROLS, *layers, "output, share 1"]),
            ("-time", "outputs, by training time", ["labels", *times]),
        )
        return tuple(
            plots.log_linear(
                f"latent-probes{suffix}",
                f"Probes of latents, {text}, {self.n_seeds} seeds",
                "R^2 of linear probes against the size of latents, under the exact ceiling.",
                ("sites of the latents", "held-out R^2"),
                [*(self._series(rows, f) for f in chosen), self._ceiling(rows)],
                figure="latent-probes",
            )
            for suffix, text, chosen in shown
        )

    def _series(self, rows: list[Row], form: str) -> plots.Series:
        x = [2.0 ** (o + 0.5) for o in self._probed(rows)]
        values = [self._values(rows, form, o, "r2") for o in self._probed(rows)]
        return plots.seed_means(form, x, values)

    def _ceiling(self, rows: list[Row]) -> plots.Series:
        x = [2.0 ** (o + 0.5) for o in self._probed(rows)]
        y = [float(self._values(rows, "input", o, "ceiling").mean()) for o in self._probed(rows)]
        return plots.line("ceiling", "theory", x, y)
