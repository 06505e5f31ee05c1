"""What learners in context say: claims by position, by number of clusters and of functions, and plots."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.datasets.contexts import WALK
from percolaw.experiments import claims, plots
from percolaw.experiments.base import Conclusion, Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.contexts.evaluation import FloatArray
from percolaw.experiments.seeds import seeds_of
from percolaw.laws.single_cluster import mean_nearest_distance, posterior_constant
from percolaw.scaling.curve import LearningCurve

PAGE = "docs/contexts.md"
#: Expected variance of a walk over a large cluster, half the mean distance of two sites.
HALF_DISTANCE = 0.5 * math.sqrt(math.pi / 2.0)
AXES = ("pairs seen before", "mean squared error / variance")


def conclude(config: Any, rows: list[Row]) -> Conclusion:
    """Return claims, plots and a table of mean losses.

    Parameters
    ----------
    config : InContext
    rows : list of dict
        A row a student.

    Returns
    -------
    Conclusion
    """
    alone = _chosen(rows, law=WALK, clusters=1, functions=0)
    lost = Counter(r["learner"] for r in rows if r.get("stopped") == "diverged")
    said = [
        *_long(config, rows),
        *_by_position(config, alone),
        *_in_weights(config, rows),
        *_by_functions(config, rows),
        _attention(config, rows),
        *_controls(config, rows),
    ]
    said = [_marked(claim, lost) for claim in said]
    drawn = [_position_plot(config, alone, WALK, said)]
    drawn += [_position_plot(config, _chosen(rows, law=law), law, said) for law in config.laws]
    drawn += [
        _cluster_plot(config, rows),
        _function_plot(config, rows),
        _training_plot(config, rows),
    ]
    return Conclusion(tuple(said), {"losses": _table(rows)}, tuple(p for p in drawn if p.series))


def _marked(claim: Claim, lost: Mapping[str, int]) -> Claim:
    """A claim on students of whom some diverged decides nothing, and says so."""
    n = lost.get(claim.about["learner"], 0)
    if not n:
        return claim
    note = f"{n} students diverged: lower the learning rate"
    note = "; ".join(part for part in (claim.note, note) if part)
    return dataclasses.replace(claim, verdict="inconclusive", note=note)


def _chosen(rows: list[Row], learner: str = "transformer", **keys: Any) -> list[Row]:
    """Rows of a learner with these values, by seed."""
    keys = {**keys, "learner": learner}
    mine = [r for r in rows if all(r[k] == v for k, v in keys.items())]
    return sorted(mine, key=lambda r: int(r["seed"]))


def _curve(rows: list[Row], name: str) -> LearningCurve:
    """Losses by number of pairs seen, from one on."""
    loss = seeds_of(rows, name)[:, 1:]
    return LearningCurve(np.arange(1, loss.shape[1] + 1), loss)


def _mean(rows: list[Row], name: str) -> FloatArray:
    """Mean loss over the positions at which at least one pair was seen, seed by seed."""
    return np.asarray(seeds_of(rows, name)[:, 1:].mean(axis=1))


def _by_position(config: Any, alone: list[Row]) -> list[Claim]:
    """The student's losses against the posterior's."""
    window = (float(config.first), math.inf)
    posterior, loss = _curve(alone, "same posterior"), _curve(alone, "same loss")
    late = slice(config.first - 1, None)
    ratio = np.exp(np.log(loss.loss[:, late] / posterior.loss[:, late]).mean(axis=1))
    about = {"target": WALK, "source": config.points.label}
    return [
        claims.difference(
            "transformer, one cluster: exponent in the pairs seen, less the posterior's",
            PAGE,
            loss.slopes(window) - posterior.slopes(window),
            config.tolerance,
            about={**about, "learner": "transformer", "quantity": "exponent less posterior"},
        ),
        claims.ratio(
            "transformer, one cluster: loss over that of the posterior",
            PAGE,
            ratio,
            config.ratio_tolerance,
            about={**about, "learner": "transformer", "quantity": "over posterior"},
        ),
        claims.mean(
            "first position: loss of the transformer over the variance",
            PAGE,
            1.0,
            seeds_of(alone, "same loss")[:, 0] / seeds_of(alone, "same variance")[:, 0],
            config.tolerance,
            about={**about, "learner": "transformer", "quantity": "first position"},
        ),
    ]


def _long(config: Any, rows: list[Row]) -> list[Claim]:
    """The exact posterior on long sequences, against its asymptotic exponent and its whole curve."""
    window = (
        float(config.long_first),
        0.8 * config.long_length,
    )  # after that the mean over the cluster tells
    curve = _curve(_chosen(rows, "posterior"), "long")
    used = (curve.size >= window[0]) & (curve.size <= window[1])
    ratio = np.exp(np.log(curve.loss / large_cluster(curve.size))[:, used].mean(axis=1))
    about = {"target": WALK, "source": config.points.label, "learner": "posterior"}
    return [
        claims.exponent(
            "exact posterior, long sequences: exponent in the pairs seen",
            "docs/theory.md, 3",
            0.5,
            curve.fit(window),
            config.tolerance,
            about=about,
        ),
        claims.ratio(
            "exact posterior, long sequences: loss over .7636 times the law of 1-NN",
            "docs/theory.md, 3",
            ratio,
            config.tolerance,
            about={**about, "quantity": "over the law"},
        ),
    ]


def large_cluster(n_seen: npt.ArrayLike) -> FloatArray:
    """Return the posterior's loss on a large cluster: .7636 times the exact law of 1-NN along the tree.

    The factor is that of many pairs; with few the posterior is better, because the mean is known.

    Parameters
    ----------
    n_seen : array of int
        Pairs seen, at least 1.

    Returns
    -------
    array of float64, of the shape of `n_seen`
    """
    return np.asarray(posterior_constant() * mean_nearest_distance(n_seen) / HALF_DISTANCE)


def _in_weights(config: Any, rows: list[Row]) -> list[Claim]:
    """New clusters against those learned on: no gap where nothing of a cluster is to be known."""
    most = config.n_clusters[-1]
    cases = [(WALK, most)] if most > 1 else []
    cases += [(law, 1) for law in config.laws]
    said = []
    for law, k in cases:
        mine = _chosen(rows, law=law, clusters=k, functions=0)
        said.append(
            claims.difference(
                f"{law}, {_clusters(k)}: mean loss on new clusters less that on the same",
                PAGE,
                _gap(mine),
                config.tolerance,
                about={"target": law, "learner": "transformer", "quantity": f"gap, {k} clusters"},
            )
        )
    return said


def _gap(rows: list[Row]) -> FloatArray:
    """Mean loss on new clusters less that on the same, each less its posterior's: clusters differ."""
    new = _mean(rows, "new loss") - _mean(rows, "new posterior")
    return np.asarray(new - (_mean(rows, "same loss") - _mean(rows, "same posterior")))


def _by_functions(config: Any, rows: list[Row]) -> list[Claim]:
    """Students of few functions against the posterior with the covariance of these functions."""
    said = []
    for f in config.n_functions:
        mine = _chosen(rows, law=WALK, clusters=1, functions=f)
        said.append(
            claims.ratio(
                f"{f} functions in pretraining: loss on new ones, over the posterior of their law",
                PAGE,
                _mean(mine, "same loss") / _mean(mine, "sample covariance"),
                config.ratio_tolerance,
                about={"target": WALK, "learner": "transformer", "quantity": f"{f} functions"},
            )
        )
    return said


def _attention(config: Any, rows: list[Row]) -> Claim:
    mine = _chosen(rows, "linear attention")
    return claims.ratio(
        "linear attention, linear functions: loss over that of the best single gradient step",
        "von Oswald et al. (2023); Ahn et al. (2023)",
        _mean(mine, "same loss") / _mean(mine, "step"),
        0.2 * config.ratio_tolerance,
        about={"target": "linear", "learner": "linear attention", "quantity": "over gradient step"},
    )


def _controls(config: Any, rows: list[Row]) -> list[Claim]:
    """Contexts that tell nothing: loss less the mean square of predictions is the variance."""
    mine = [_chosen(rows, law=WALK, clusters=k, functions=0) for k in config.n_clusters]
    said = []
    for key, text in (
        ("shuffled", "values of another function"),
        ("wrong cluster", "pairs of another cluster"),
    ):
        value = np.mean([[r[key] for r in each] for each in mine], axis=0)
        said.append(
            claims.mean(
                f"control, {text}: loss less mean square prediction, over the variance",
                PAGE,
                1.0,
                value,
                config.tolerance,
                about={"target": WALK, "learner": "transformer", "quantity": key},
            )
        )
    return said


def _table(rows: list[Row]) -> list[dict[str, Any]]:
    """Mean losses over positions of every kind of student, with their standard errors over seeds."""
    keys = ("learner", "law", "clusters", "functions")
    table = []
    for kind in dict.fromkeys(tuple(r[k] for k in keys) for r in rows if "excess" in r):
        mine = [r for r in rows if tuple(r[k] for k in keys) == kind]
        line: dict[str, Any] = dict(zip(keys, kind, strict=True))
        for name in mine[0]:
            if name.split()[0] in ("same", "new", "sample", "step") and "variance" not in name:
                value = _mean(mine, name)
                error = value.std(ddof=1) / math.sqrt(value.size) if value.size > 1 else math.nan
                line[name] = plots.finite([value.mean(), error])
        table.append(line)
    return table


def _clusters(k: int) -> str:
    return f"{k} clusters" if k > 1 else "one cluster"


# --- plots -----------------------------------------------------------------------------------------


def _position_plot(config: Any, rows: list[Row], law: str, said: list[Claim]) -> plots.Plot:
    """Losses by position of students of one cluster, and of what they are held against."""
    window = (float(config.first), float(config.length - 1))
    loss, posterior = _curve(rows, "same loss"), _curve(rows, "same posterior")
    series = [
        plots.curve("transformer", loss, fitted=loss.fit(window), prediction="posterior"),
        plots.line("posterior", "theory", posterior.size, posterior.mean(), group="transformer"),
        plots.curve("transformer, new clusters", _curve(rows, "new loss")),
        *(
            plots.line(
                text, "reference", posterior.size, _curve(rows, f"same {key}").mean(), group=text
            )
            for key, text in (
                ("ridge", "ridge"),
                ("kernel", "Matérn 1/2 kernel"),
                ("nearest", "1-NN in space"),
            )
        ),
    ]
    if law == WALK:
        far = posterior.size[config.first :]
        series.append(plots.line("large cluster, ~ t^(-1/2)", "theory", far, large_cluster(far)))
    return plots.log_log(
        f"in-context-{plots.slug(law)}",
        f"{law}, {config.points.label}",
        "Loss of a transformer by position, beside the posterior that knows the cluster, and learners "
        "that know its points alone.",
        AXES,
        series,
        window,
        figure="in-context",
        y_limits=(0.5 * float(loss.mean().min()), None),  # linear functions are known exactly
    )


def _cluster_plot(config: Any, rows: list[Row]) -> plots.Plot:
    """Mean losses over the posterior's by number of clusters: on the same ones and on new ones."""
    kinds = [_chosen(rows, law=WALK, clusters=k, functions=0) for k in config.n_clusters]
    x, series = np.array(config.n_clusters), []

    def over(where: str, name: str = "loss") -> LearningCurve:
        ratio = [_mean(k, f"{where} {name}") / _mean(k, f"{where} posterior") for k in kinds]
        return LearningCurve(x, np.stack(ratio, axis=1))

    if x.size > 1:
        series = [
            plots.curve("same clusters, new functions", over("same"), how="mean"),
            plots.curve("new clusters", over("new"), how="mean"),
            plots.line("posterior that knows the cluster", "theory", x, 1.0),
            *(
                plots.line(text, "reference", x, over("new", key).mean("mean"), group=text)
                for key, text in (("kernel", "Matérn 1/2 kernel"), ("ridge", "ridge"))
            ),
        ]
    return plots.log_linear(
        "in-context-clusters",
        "What is in the weights",
        "Mean loss on clusters learned on, and on new ones, over that of the posterior that knows "
        "them, by the number of clusters in pretraining.",
        ("clusters in pretraining", "loss / loss of the posterior"),
        series,
    )


def _function_plot(config: Any, rows: list[Row]) -> plots.Plot:
    """Mean losses on new functions by number of functions in pretraining."""
    kinds = [_chosen(rows, law=WALK, clusters=1, functions=f) for f in config.n_functions]
    endless = _chosen(rows, law=WALK, clusters=1, functions=0)
    x, series = np.array(config.n_functions), []
    if kinds:
        loss = np.stack([_mean(each, "same loss") for each in kinds], axis=1)
        known = np.stack([_mean(each, "sample covariance") for each in kinds], axis=1)
        series = [
            plots.curve("transformer", LearningCurve(x, loss), how="mean"),
            plots.line(
                "posterior with their covariance",
                "theory",
                x,
                known.mean(axis=0),
                group="transformer",
            ),
            *(
                plots.line(text, kind, x, _mean(endless, name).mean())  # type: ignore[arg-type]
                for name, text, kind in (
                    ("same loss", "transformer, endless functions", "reference"),
                    ("same posterior", "posterior", "theory"),
                )
            ),
        ]
    return plots.log_linear(
        "in-context-functions",
        "Few functions in pretraining",
        "Mean loss over positions on new functions of one cluster, by the number of functions seen.",
        ("functions in pretraining", "mean loss / variance"),
        series,
    )


def _excess(config: Any, rows: list[Row]) -> LearningCurve:
    """Loss on new functions over the posterior's, less 1, by sequences of pretraining."""
    seen = np.array(rows[0]["steps"][1:]) * config.training.batch_size
    excess = seeds_of(rows, "excess")[:, 1:]
    return LearningCurve(seen, np.where(excess > 0.0, excess, np.nan))


def _training_plot(config: Any, rows: list[Row]) -> plots.Plot:
    """How near the posterior that knows the clusters students come as pretraining grows."""
    series = []
    for k in config.n_clusters:
        curve = _excess(config, _chosen(rows, law=WALK, clusters=k, functions=0))
        series.append(plots.curve(_clusters(k), curve, fitted=curve.fit()))
    return plots.log_log(
        "in-context-pretraining",
        "Pretraining",
        "Loss of transformers on new functions over that of the posterior that knows the clusters, "
        "less 1, by sequences of pretraining.",
        ("sequences of pretraining", "loss / loss of the posterior - 1"),
        series,
    )
