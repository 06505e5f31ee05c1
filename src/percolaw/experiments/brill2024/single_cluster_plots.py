"""What is shown of one cluster: losses beside their exact curve, residuals, scale factors."""

from __future__ import annotations

import math

import numpy as np

from percolaw.experiments import labelled, plots
from percolaw.experiments.claims import Claim
from percolaw.laws import single_cluster
from percolaw.scaling import fit
from percolaw.scaling.curve import LearningCurve

#: Learners as figures call them.
LABELS = {
    "nearest": "plain 1-NN",
    "adjusted": "distance-adjusted 1-NN",
    "posterior": "exact posterior",
}
EXACT = "1-NN, exact, with finite-rate factor"
OBSERVED = "mean number of observed sites n"


def curve_plot(
    measured: dict[str, LearningCurve],
    exact: LearningCurve,
    exponent: Claim,
    line: fit.PowerLawFit | None,
) -> plots.Plot:
    """Return the losses of the learners beside the exact curve of 1-NN and its low-rate limit.

    Parameters
    ----------
    measured : dict of LearningCurve
        By learner.
    exact : LearningCurve
        Exact mean loss of 1-NN on the same clusters.
    exponent : Claim
        Verdict on the exponent of plain 1-NN.
    line : PowerLawFit, optional
        The fit it is of.

    Returns
    -------
    Plot
    """
    n = exact.size
    series = [
        plots.curve(
            LABELS[learner],
            curve,
            claims=[exponent] if learner == "nearest" else (),
            fitted=line if learner == "nearest" else None,
            prediction=EXACT,
        )
        for learner, curve in measured.items()
    ]
    limit = single_cluster.nearest_neighbor_loss(n)
    return plots.log_log(
        "single-cluster",
        "One cluster, mean over large clusters",
        "Loss of three learners on one cluster falls like the inverse square root of the number of "
        "observed sites; plain 1-NN lies on its exact curve.",
        (OBSERVED, "loss / mean variance"),
        [
            *series,
            plots.line(EXACT, "theory", n, exact.mean()),
            plots.line("its low-rate limit", "reference", n, limit, prediction=EXACT),
        ],
        None if line is None else line.window,
    )


def factor_plot(factors: labelled.FloatArray) -> plots.Plot:
    """Return the distribution of the scale factors of all clusters and seeds, with its centres."""
    share = np.linspace(0.0, 1.0, 201)
    mean, median = float(factors.mean()), float(np.median(factors))
    below = float(np.mean(factors <= mean))
    ratio = 16.0 / math.pi
    return plots.log_linear(
        "single-cluster-factors",
        "Scale factors (unobserved test sites, as published)",
        "Cumulative share of clusters by their scale factor, with mean and median.",
        ("scale factor f in max(n/f, 1)^(-1/2)", "cumulative share"),
        [
            plots.line("all clusters and seeds", "measured", np.quantile(factors, share), share),
            plots.line(f"mean {mean:.2f}", "measured", [mean], [below], joined=False),
            plots.line(f"median {median:.2f}", "measured", [median], [0.5], joined=False),
            plots.line("16/pi (1-NN, ratio of means)", "theory", [ratio, ratio], [0.0, 1.0]),
        ],
        figure="single-cluster",
    )


def residual_plot(measured: dict[str, LearningCurve], exact: LearningCurve) -> plots.Plot:
    """Return plain 1-NN over its exact curve, and the posterior over plain 1-NN.

    Parameters
    ----------
    measured, exact
        As in `curve_plot`.

    Returns
    -------
    Plot
    """
    plain, n = measured["nearest"], exact.size
    gain = "posterior / plain 1-NN"
    constant = single_cluster.posterior_constant()
    return plots.log_linear(
        "single-cluster-residual",
        "Single cluster: residual to the exact prediction",
        "Plain 1-NN over its exact curve is 1; the posterior over plain 1-NN falls to its constant.",
        (OBSERVED, "ratio"),
        [
            plots.curve("plain 1-NN / exact", plain.over(exact)),
            plots.curve(gain, measured["posterior"].over(plain), group=gain),
            plots.line(f"{gain}, predicted", "reference", n, constant, group=gain),
            plots.line("1", "theory", n, 1.0),
        ],
        y_limits=(0.4, 1.4),
    )
