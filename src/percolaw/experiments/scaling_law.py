"""What the model and data scaling experiments share: losses over seeds, held against theory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.experiments import toy
from percolaw.experiments.base import Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.scaling import diagnose, fit

PRESETS = {
    "smoke": Preset(
        {
            "n_seeds": 3,
            "n_sizes": 16,
            "clusters": toy.Clusters(n_clusters=100, max_size=1_000_000),
        },
        "2 s",
        "0.5 GiB",
    ),
    "laptop": Preset({"n_seeds": 6, "n_sizes": 30}, "34 s", "2 GiB"),
    "paper": Preset({"n_seeds": 50}, "10 min", "4 GiB"),
}


@dataclass(frozen=True)
class Tolerance:
    """What counts as agreement, and on which sizes; fixed before any run."""

    curve: float = 0.15
    """Relative deviation from a predicted curve."""
    exponent: float = 0.02
    """Deviation of an exponent."""
    curve_from: float = 30.0
    """Smallest size on which curves are compared."""
    exponent_from: float = 1000.0
    """Smallest size on which exponents are fitted."""


def check_grid(n_seeds: int, n_sizes: int, largest: float) -> None:
    """Refuse grids on which the claims cannot be judged."""
    checks.integer("n_seeds", n_seeds, minimum=1, maximum=100_000)
    checks.integer("n_sizes", n_sizes, minimum=8)
    checks.real("largest", largest, minimum=1e4, maximum=1e8)


def measure_losses(
    data: toy.Toy,
    factor: toy.FloatArray,
    sizes: toy.FloatArray,
    rates: Callable[[float], toy.FloatArray],
    seed: int,
    first_item: int,
) -> list[Row]:
    """Return one row a size: every learner's loss and the finite-ensemble prediction."""
    rows = []
    for index, n in enumerate(sizes):
        rate = np.minimum(rates(float(n)), toy.RATE_CAP)
        losses = toy.ensemble_loss(data, rate, first_item + index)
        predicted = toy.finite_ensemble_loss(rate[None], data.tree.sizes, factor)
        rows.append(
            {
                "seed": seed,
                "index": index,
                "n": float(n),
                **dict(zip(toy.LEARNERS, losses.tolist(), strict=True)),
                "finite_ensemble": float(predicted[0]),
                "n_sites": data.tree.n_sites,
            }
        )
    return rows


def conclude_law(
    rows: list[Row],
    law: str,
    theory_curve: Callable[[Any], toy.FloatArray],
    source: str,
    tolerance: Tolerance,
    note: str = "",
    raw_start: float = 1.0,
) -> Conclusion:
    """Return claims on the whole curve and on the exponent of its upper decades."""
    seeds = sorted({row["seed"] for row in rows})
    n = np.array([row["n"] for row in rows if row["seed"] == seeds[0]])
    by_name = {
        name: np.array([[r[name] for r in rows if r["seed"] == s] for s in seeds])
        for name in (*toy.LEARNERS, "finite_ensemble")
    }
    predicted = theory_curve(n)
    curve_from, exponent_from = tolerance.curve_from, tolerance.exponent_from
    paper = by_name["adjusted"]
    inside = n >= curve_from
    ratio = np.exp(np.log(paper / predicted)[:, inside].mean(axis=1))
    finite = np.exp(np.log(paper / by_name["finite_ensemble"])[:, inside].mean(axis=1))
    window = (exponent_from, float(n[-1]))
    steep = n >= exponent_from
    slope = fit.fit_power_law(n, paper, window=window)
    clusters = by_name["finite_ensemble"]
    what = "N" if law == "model" else "T"
    start = float(raw_start)
    claims: list[Claim] = [
        judge(
            f"{law} scaling: loss over the paper's curve (set to 1 at {what} = 1), "
            f"{what} >= {curve_from:.0f}",
            source,
            1.0,
            float(np.exp(np.log(ratio).mean())),
            fit.seed_interval(ratio),
            tolerance.curve,
        ),
        judge(
            f"{law} scaling: loss over the theory summed on the clusters drawn",
            source + "; docs/theory.md",
            1.0,
            float(np.exp(np.log(finite).mean())),
            fit.seed_interval(finite),
            tolerance.curve,
        ),
        *(
            judge(
                f"{law} exponent on {what} = {window[0]:.0f}..{window[1]:.0f} "
                f"(prediction: same window of {name}; limit 1/2)",
                source,
                fit.fit_power_law(n[steep], curve[..., steep]).exponent,
                slope.exponent,
                slope.interval,
                tolerance.exponent,
                why,
            )
            for name, curve, why in (
                ("the paper's curve", predicted, note),
                ("theory on the clusters drawn", clusters, ""),
            )
        ),
    ]
    if start != 1.0:
        claims.append(
            judge(
                f"{law} scaling: loss over the same curve as derived ({start:.3f} at {what} = 1)",
                source + "; docs/theory.md",
                1.0,
                float(np.exp(np.log(ratio / start).mean())),
                fit.seed_interval(ratio / start),
                tolerance.curve,
            )
        )
    if "exact_budget" in rows[0]:
        exact = np.array([[r["exact_budget"] for r in rows if r["seed"] == s] for s in seeds])
        dearer = np.exp(np.log(exact / predicted)[:, inside].mean(axis=1))
        spent = float(np.mean([r["spent"] for r in rows if r["n"] >= curve_from]))
        claims.append(
            judge(
                f"{law} scaling with capacities that sum to {what}: loss over the paper's curve",
                source,
                1.0,
                float(np.exp(np.log(dearer).mean())),
                fit.seed_interval(dearer),
                tolerance.curve,
                f"the paper's rule, an integral over ranks, spends {spent:.2f} {what} on average",
            )
        )
    forms = fit.compare_forms(n[inside], paper[:, inside], predicted[inside])
    tables = {
        "law": law,
        "n": n,
        "theory": predicted,
        "curve_from": curve_from,
        "window": window,
        "seeds": {name: by_name[name] for name in ("adjusted",)},
        "curves": {
            name: {
                "median": np.median(values, axis=0),
                "low": np.quantile(values, 0.16, axis=0),
                "high": np.quantile(values, 0.84, axis=0),
            }
            for name, values in by_name.items()
        },
        "local_measured": fit.local_exponents(n, fit.aggregate(paper)),
        "local_theory": fit.local_exponents(n, predicted),
        "forms": {"best": forms.best, "aicc": forms.aicc, "residual": forms.residual},
        "diagnosis": [
            {"signature": f.signature, "meaning": f.meaning, "evidence": f.evidence}
            for f in diagnose.diagnose(n, paper)
        ],
        "n_seeds": len(seeds),
    }
    return Conclusion(tuple(claims), tables)
