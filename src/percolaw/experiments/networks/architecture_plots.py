"""Plots of several architectures on one data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from percolaw.experiments import plots
from percolaw.experiments.claims import Claim
from percolaw.experiments.networks.architecture_curves import AXES, NAMES, SHOWN, Curve

#: Which kernel stands beside which architecture: `SHOWN` in words.
REFERENCES = (
    "Reference kernels: of unit biases (NTK parametrisation) for the MLP, at the start with a constant "
    "coordinate for the residual MLP, at the start for transformers."
)


def exponent_plot(experiment: str, task: str, curves: Sequence[Curve]) -> plots.Plot:
    """Return exponents by source, an architecture a colour, with predictions and kernels.

    Parameters
    ----------
    experiment, task : str
    curves : sequence of Curve
        Of the task, one at least.

    Returns
    -------
    Plot
    """
    sources = list(dict.fromkeys(one.source for one in curves))
    names = list(dict.fromkeys(one.architecture for one in curves))
    series = []
    for i, name in enumerate(names):
        place = 0.12 * (i - 0.5 * (len(names) - 1))
        known = [
            (sources.index(one.source) + place, one.line)
            for one in curves
            if one.architecture == name and one.line is not None
        ]
        if known:
            series.append(
                plots.points(
                    NAMES[name],
                    [x for x, _ in known],
                    [line.exponent for _, line in known],
                    [line.interval[0] for _, line in known],
                    [line.interval[1] for _, line in known],
                    group=NAMES[name],
                )
            )
        key = SHOWN[name]
        fits = [
            (sources.index(one.source) + place + 0.04, one.kernels[key].fit(one.window))
            for one in curves
            if one.architecture == name and key in one.kernels
        ]
        limits = [(x, fit.exponent) for x, fit in fits if fit is not None]
        if limits:
            label, places = f"{NAMES[name]}, reference kernel", zip(*limits, strict=True)
            series.append(plots.line(label, "reference", *places, joined=False, group=NAMES[name]))
    theory = [(s, next(one.predicted for one in curves if one.source == s)) for s in sources]
    series.append(
        plots.line(
            "c/D", "theory", range(len(theory)), [value for _, value in theory], joined=False
        )
    )
    return plots.linear(
        f"{experiment}-{task}-exponents",
        f"Exponents in {AXES[task]} through the transition",
        f"Exponents of every architecture at the threshold and above it, beside c/D. {REFERENCES}",
        ("points", f"exponent in {AXES[task]}"),
        series,
        y_limits=(0.0, None),
        x_ticks=tuple(source.label for source in sources),
    )


def curve_plots(
    experiment: str, task: str, curves: Sequence[Curve], said: Mapping[Curve, Claim]
) -> list[plots.Plot]:
    """Return every learning curve, a panel a source: slope c/D dashed, kernels dotted.

    Parameters
    ----------
    experiment, task : str
    curves : sequence of Curve
        Of the task.
    said : mapping of Curve to Claim
        On their exponents.

    Returns
    -------
    list of Plot
    """
    panels = []
    for source in dict.fromkeys(one.source for one in curves):
        mine = [one for one in curves if one.source == source]
        series = []
        for one in mine:
            name, line = NAMES[one.architecture], one.line
            series.append(
                plots.curve(name, one.measured, claims=[said[one]], fitted=line, group=name)
            )
            if line is not None:
                slope = f"{name}, slope c/D"
                series.append(plots.slope(slope, line, one.predicted, group=name))
            if SHOWN[one.architecture] in one.kernels:
                kernel = one.kernels[SHOWN[one.architecture]]
                series.append(
                    plots.line(
                        f"{name}, reference kernel",
                        "reference",
                        kernel.size,
                        kernel.mean(),
                        group=name,
                    )
                )
        panels.append(
            plots.log_log(
                f"{experiment}-{task}-{plots.slug(source.word)}",
                f"{source} (D = {source.dimension:.4g})",
                "Test loss of every architecture on the same points. Hollow: not converged. "
                + REFERENCES,
                (AXES[task], "test loss / variance"),
                series,
                plots.hull(one.line for one in mine),
                figure=f"{experiment}-{task}-curves",
                hollow="not converged",
            )
        )
    return panels
