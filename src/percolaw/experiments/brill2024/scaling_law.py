"""What the model and data scaling experiments share: losses over seeds, held against theory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.experiments import claims, labelled, plots
from percolaw.experiments.base import Conclusion, Preset, Row
from percolaw.experiments.claims import Claim
from percolaw.scaling import diagnose, fit
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.forms import compare_forms

PRESETS = {
    "smoke": Preset(
        {
            "n_seeds": 3,
            "n_sizes": 16,
            "clusters": labelled.Clusters(n_clusters=100, max_size=1_000_000),
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
    """Refuse grids on which the claims cannot be judged.

    Parameters
    ----------
    n_seeds, n_sizes : int
        At least 1 and 8.
    largest : float
        Largest size, 1e4 to 1e8.
    """
    checks.integer("n_seeds", n_seeds, minimum=1, maximum=100_000)
    checks.integer("n_sizes", n_sizes, minimum=8)
    checks.real("largest", largest, minimum=1e4, maximum=1e8)


def measure_losses(
    data: labelled.LabelledClusters,
    factor: labelled.FloatArray,
    sizes: labelled.FloatArray,
    rates: Callable[[float], labelled.FloatArray],
    seed: int,
    first_item: int,
) -> list[Row]:
    """Return one row a size: every learner's loss and the finite-ensemble prediction.

    Parameters
    ----------
    data : LabelledClusters
    factor : array, shape (n_clusters,)
        Scale factor of each cluster's curve.
    sizes : array, shape (n_sizes,)
    rates : callable
        Size to the rates at which sites are observed, shape (n_clusters,).
    seed : int
        Goes into the rows.
    first_item : int
        First of the streams' items, one a size.

    Returns
    -------
    list of dict
    """
    rows = []
    for index, n in enumerate(sizes):
        rate = np.minimum(rates(float(n)), labelled.RATE_CAP)
        losses = labelled.ensemble_loss(data, rate, first_item + index)
        predicted = labelled.finite_ensemble_loss(rate[None], data.tree.sizes, factor)
        rows.append(
            {
                "seed": seed,
                "index": index,
                "n": float(n),
                **dict(zip(labelled.LEARNERS, losses.tolist(), strict=True)),
                "finite_ensemble": float(predicted[0]),
                "n_sites": data.tree.n_sites,
            }
        )
    return rows


def conclude_law(
    rows: list[Row],
    law: str,
    theory_curve: Callable[[Any], labelled.FloatArray],
    source: str,
    tolerance: Tolerance,
    note: str = "",
    raw_start: float = 1.0,
) -> Conclusion:
    """Return claims on the whole curve and on the exponent of its upper decades.

    Parameters
    ----------
    rows : list of dict
        As `measure_losses` returns them, of all seeds.
    law : {"data", "model"}
    theory_curve : callable
        Sizes to the paper's curve.
    source : str
        Of the prediction.
    tolerance : Tolerance
    note : str
        On the claim that the paper's curve is held to.
    raw_start : float
        Of the curve as derived, at size 1; 1 if it needs no dividing.

    Returns
    -------
    Conclusion
    """
    seeds = sorted({row["seed"] for row in rows})
    n = np.array([row["n"] for row in rows if row["seed"] == seeds[0]])
    predicted = theory_curve(n)
    curves = {
        name: LearningCurve(
            n,
            np.array([[r[name] for r in rows if r["seed"] == s] for s in seeds]),
            predicted=predicted,
        )
        for name in (*labelled.LEARNERS, "finite_ensemble", "exact_budget")
        if name in rows[0]
    }
    paper, clusters = curves["adjusted"], curves["finite_ensemble"]
    what = "N" if law == "model" else "T"
    window = (tolerance.exponent_from, float(n[-1]))
    inside = n >= tolerance.curve_from

    def mean_ratio(loss: labelled.FloatArray, by: labelled.FloatArray) -> labelled.FloatArray:
        return np.asarray(np.exp(np.log(loss / by)[:, inside].mean(axis=1)))

    over = mean_ratio(paper.loss, predicted)
    line = paper.fit(window)
    theirs = LearningCurve(n, predicted[None]).fit(window)
    drawn = clusters.fit(window)
    found = [
        claims.ratio(
            f"{law} scaling: loss over the paper's curve (set to 1 at {what} = 1), "
            f"{what} >= {tolerance.curve_from:.0f}",
            source,
            over,
            tolerance.curve,
        ),
        claims.ratio(
            f"{law} scaling: loss over the theory summed on the clusters drawn",
            source + "; docs/theory.md",
            mean_ratio(paper.loss, clusters.loss),
            tolerance.curve,
        ),
    ]
    exponents = [
        claims.exponent(
            f"{law} exponent on {what} = {window[0]:.0f}..{window[1]:.0f} "
            f"(prediction: same window of {name}; limit 1/2)",
            source,
            math.nan if expected is None else expected.exponent,
            line,
            tolerance.exponent,
            why,
            {"target": "tree walk", "learner": "adjusted 1-NN"},
        )
        for name, expected, why in (
            ("the paper's curve", theirs, note),
            ("theory on the clusters drawn", drawn, ""),
        )
    ]
    found += exponents
    if raw_start != 1.0:
        found.append(
            claims.ratio(
                f"{law} scaling: loss over the same curve as derived ({raw_start:.3f} at {what} = 1)",
                source + "; docs/theory.md",
                over / raw_start,
                tolerance.curve,
            )
        )
    if "exact_budget" in curves:
        spent = float(np.mean([r["spent"] for r in rows if r["n"] >= tolerance.curve_from]))
        found.append(
            claims.ratio(
                f"{law} scaling with capacities that sum to {what}: loss over the paper's curve",
                source,
                mean_ratio(curves["exact_budget"].loss, predicted),
                tolerance.curve,
                f"the paper's rule, an integral over ranks, spends {spent:.2f} {what} on average",
            )
        )
    forms = compare_forms(n[inside], paper.loss[:, inside], predicted[inside])
    tables = {
        "forms": {"best": forms.best, "aicc": forms.aicc, "residual": forms.residual},
        "diagnosis": [
            {"signature": f.signature, "meaning": f.meaning, "evidence": f.evidence}
            for f in diagnose.diagnose(n, paper.loss)
        ],
    }
    return Conclusion(tuple(found), tables, _plots(law, what, curves, line, exponents, tolerance))


def _plots(
    law: str,
    what: str,
    curves: dict[str, LearningCurve],
    line: fit.PowerLawFit | None,
    exponents: list[Claim],
    tolerance: Tolerance,
) -> tuple[plots.Plot, ...]:
    """Losses with the theory, local exponents, and the residual to the theory, seed by seed."""
    x_label = (
        f"degrees of freedom {what}"
        if law == "model"
        else f"training points {what} (in units of f)"
    )
    window = None if line is None else line.window
    paper = curves["adjusted"]
    n, theory = paper.size, paper.as_predicted()
    series = [
        plots.curve(
            label,
            curves[key],
            how="median",
            claims=exponents if key == "adjusted" else (),
            fitted=line if key == "adjusted" else None,
            prediction="theory",
        )
        for key, label in (
            ("adjusted", "adjusted 1-NN (the paper's learner)"),
            ("nearest", "plain 1-NN"),
            ("posterior", "exact posterior"),
        )
    ]
    finite = plots.curve(
        "theory on the clusters drawn", curves["finite_ensemble"], how="median", prediction="theory"
    )
    loss = plots.log_log(
        f"{law}-scaling",
        f"{law.capitalize()} scaling, {paper.n_seeds} seeds",
        f"Loss of three learners, median over seeds, falls with {what} along the theory, which is "
        "set to 1 at the start with nothing fitted.",
        (x_label, "mean squared error"),
        [
            *series,
            plots.line("theory", "theory", n, paper.predicted),
            dataclasses.replace(finite, kind="theory"),
        ],
        window,
    )
    local = plots.log_linear(
        f"{law}-scaling-local",
        "Local exponents",
        f"Local exponents of measurement and theory against {what}; both drift towards 1/2.",
        (x_label, f"local exponent, -d log L / d log {what}"),
        [
            plots.local("measured", paper, prediction="theory"),
            plots.line("theory", "theory", n, theory.local()),
            plots.line("limit 1/2", "reference", n, np.full(n.size, 0.5)),
        ],
        window,
        figure=f"{law}-scaling",
        y_limits=(0.0, 0.75),
    )
    residual = plots.log_log(
        f"{law}-scaling-residual",
        f"{law.capitalize()} scaling: over the paper's theory",
        "Measured loss over the theory, and the theory summed on the clusters drawn over the theory.",
        (x_label, "ratio"),
        [
            plots.curve("measured", paper.over(theory), how="median"),
            plots.curve(
                "theory on the clusters drawn",
                curves["finite_ensemble"].over(theory),
                how="median",
            ),
            plots.line("1", "theory", n, np.ones(n.size)),
        ],
        (tolerance.curve_from, float(n[-1])),
        fit=False,
        y_limits=(0.4, 2.5),
    )
    return loss, local, residual
