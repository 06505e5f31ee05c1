"""Exponents against the order c = 2 nu of the teacher, one line for each dimension; curves; teachers."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.plots import PERCENTILES, Plot, Series, slug
from percolaw.report.records import claims_beside, fit_window, series, stored_fit
from percolaw.report.style import BLACK, CYCLE, band, new, window

#: The student that figures of all teachers show.
_NETWORK = "infinitely wide network (NTK parametrisation)"
_MARKERS = "os^Dv<>phX*Pd"


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a kernel-scaling record."""
    t = record["tables"]
    n = np.array(t["n"])
    figures = {"kernel-scaling": _exponents(t, n), "kernel-scaling-curves": _curves(t, n)}
    if _networks(t):
        figures["kernel-scaling-teachers"] = _teachers(t, n)
    return figures


def _networks(t: dict[str, Any]) -> list[dict[str, Any]]:
    """Curves of the infinitely wide network; none where a record has no settings for it."""
    return [c for c in t["teachers"] if c["student"] == _NETWORK]


def _is_cluster(name: str) -> bool:
    """Whether points are of a percolation cluster."""
    return name.startswith(("cluster", "finite", "lattice"))


def _shown(name: str) -> str:
    """A name of points in figures."""
    return name.replace("p_c", "$p_c$")


def _size_ticks(axis: Any, n: Any) -> None:
    """Numbers of training points that can be read where their range is short."""
    if n[-1] < 100 * n[0]:
        power = 10.0 ** np.arange(np.floor(np.log10(n[0])), np.log10(n[-1]) + 1)
        places = np.concatenate([power, 3 * power])
        places = np.sort(places[(places >= n[0]) & (places <= n[-1])])
        axis.set_xticks(places, [f"{place:g}" for place in places])
        axis.set_xticks([], minor=True)


def _exponents(t: dict[str, Any], n: Any) -> Any:
    figure, (left, right) = new(2, width=6.0, height=4.8)
    dimensions = sorted({c["dimension"] for c in t["curves"]})
    color = {big_d: CYCLE[i % len(CYCLE)] for i, big_d in enumerate(dimensions)}
    order = np.array([0.0, 1.05 * max(2 * c["nu"] for c in t["curves"])])
    for big_d in dimensions:
        left.plot(order, order / big_d, "--", color=color[big_d], lw=1)
    names = list(dict.fromkeys(c["points"] for c in t["curves"]))
    markers = {name: _MARKERS[i % len(_MARKERS)] for i, name in enumerate(names)}
    for i, name in enumerate(names):
        own = [c for c in t["curves"] if c["points"] == name and c["exponent"] is not None]
        if not own:
            continue
        shift = 1.0 + 0.012 * (i - len(names) / 2)
        x = np.array([2 * c["nu"] * shift for c in own])
        y = np.array([c["exponent"] for c in own])
        ends = [
            [
                v if v is not None else e
                for v, e in zip(c["interval"], (c["exponent"],) * 2, strict=True)
            ]
            for c in own
        ]
        error = np.abs(np.array(ends).T - y)
        cluster = _is_cluster(name)
        left.errorbar(
            x,
            y,
            error,
            fmt=markers[name],
            color=color[own[0]["dimension"]],
            mfc=color[own[0]["dimension"]] if cluster else "white",
            ms=5.5,
            lw=1,
            label=f"{_shown(name)}  (D = {own[0]['dimension']:.4g})",
        )
    left.set(
        xlabel=r"order of the teacher $c = 2\nu$",
        ylabel="measured exponent, last decade",
        title=f"One line for each D: exponent $= c/D$ (dashed), {t['n_seeds']} seeds",
        xscale="log",
        yscale="log",
        xlim=(0.85, 1.1 * order[1]),
    )
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
    left.legend(fontsize=7.5)
    clusters = [c for c in t["curves"] if _is_cluster(c["points"])]
    top = 1.3
    for name in dict.fromkeys(c["points"] for c in clusters):
        for style, c in zip(
            ("-", "--", "-.", ":"), [c for c in clusters if c["points"] == name], strict=False
        ):
            m = len(c["local"])
            ratio = np.array(c["local"][1:-1]) / c["predicted"]
            top = max(top, 1.05 * float(np.max(ratio, initial=0.0)))
            right.plot(
                n[1 : m - 1],
                ratio,
                style,
                color=CYCLE[names.index(name) % len(CYCLE)],
                lw=1.4,
                label=rf"{_shown(name)}, $\nu$ = {c['nu']:g}",
            )
    right.axhline(1.0, color=BLACK, lw=1, ls="--")
    lattices = any(c["points"].startswith("lattice") for c in clusters)
    right.set(
        xscale="log",
        xlabel="training points $n$",
        ylabel="local exponent / predicted",
        title="Convergence on clusters"
        if lattices
        else "Convergence on the cluster: slow for large $\\nu$ and large $d$",
        ylim=(0, min(top, 2.0)),
    )
    _size_ticks(right, n)
    right.legend(fontsize=6.5, ncol=2)
    return figure


def _curves(t: dict[str, Any], n: Any) -> Any:
    names = list(dict.fromkeys(c["points"] for c in t["curves"]))
    columns = 3 if len(names) in (5, 6) else min(4, len(names))
    figure, axes = new(columns, -(-len(names) // columns), width=3.4, height=3.0)
    for axis, name in zip(axes, names, strict=False):
        for c, color in zip([c for c in t["curves"] if c["points"] == name], CYCLE, strict=False):
            value = "-" if c["exponent"] is None else f"{c['exponent']:.2f}"
            label = rf"$\nu$ = {c['nu']:g}: {value} ({c['predicted']:.2f})"
            band(axis, n, c, label, color)
            if c["window"]:
                low, high = c["window"]
                x = np.array([low, high])
                at = float(np.interp(np.log(low), np.log(n), np.log(np.maximum(c["mean"], 1e-300))))
                axis.plot(x, np.exp(at) * (x / low) ** -c["predicted"], "--", color=BLACK, lw=1)
        found = [c["window"] for c in t["curves"] if c["points"] == name and c["window"]]
        if found:
            window(axis, *found[0])
        axis.set(xscale="log", yscale="log", title=_shown(name), xlabel="$n$")
        _size_ticks(axis, n)
        lowest = min(min(c["mean"]) for c in t["curves"] if c["points"] == name)
        axis.set_ylim(bottom=max(1e-10, 0.5 * lowest))
        axis.legend(fontsize=6.5, title="exponent (predicted)", title_fontsize=6.5)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    for axis in axes[::columns]:
        axis.set_ylabel("expected loss")
    return figure


def _teachers(t: dict[str, Any], n: Any) -> Any:
    network = _networks(t)
    names = list(dict.fromkeys(c["points"] for c in network))
    figure, axes = new(len(names), width=5.6, height=4.6)
    for axis, name in zip(axes, names, strict=True):
        own = [c for c in network if c["points"] == name]
        for i, c in enumerate(own):
            predicted = "" if c["predicted"] is None else f" ({c['predicted']:.2f})"
            value = "-" if c["exponent"] is None else f"{c['exponent']:.2f}"
            style = "-" if c["teacher"].startswith("Matérn") else "--"
            axis.plot(
                n,
                c["mean"],
                style,
                color=CYCLE[i % len(CYCLE)],
                lw=1.6,
                label=f"{c['teacher']}: {value}{predicted}",
            )
        windows = [c["window"] for c in own if c["window"]]
        if windows:
            window(axis, *windows[-1])
        axis.set(
            xscale="log",
            yscale="log",
            xlabel="training points $n$",
            ylabel="mean squared error / variance",
            title=f"{_shown(name)}: every teacher, {_NETWORK}",
        )
        axis.legend(fontsize=7.5, title="exponent (predicted)", title_fontsize=7.5)
    return figure


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return exponents against the order of the teacher, and all learning curves."""
    t = record["tables"]
    names = list(dict.fromkeys(c["points"] for c in t["curves"]))
    places = list(dict.fromkeys(c["points"] for c in t["teachers"]))
    return [
        _exponents_plot(t),
        *(_curves_plot(record, name) for name in names),
        *(_teachers_plot(record, name) for name in places),
    ]


def _exponents_plot(t: dict[str, Any]) -> Plot:
    found = []
    for name in dict.fromkeys(c["points"] for c in t["curves"]):
        own = [c for c in t["curves"] if c["points"] == name and c["exponent"] is not None]
        if not own:
            continue
        law = f"c/D, D = {own[0]['dimension']:.4g}"
        found.append(
            series(
                name,
                "measured",
                [2 * c["nu"] for c in own],
                [c["exponent"] for c in own],
                low=[c["interval"][0] for c in own],
                high=[c["interval"][1] for c in own],
                interval="95% interval of the fit over seeds",
                n_seeds=t["n_seeds"],
                prediction=law,
            )
        )
    for big_d in sorted({c["dimension"] for c in t["curves"]}):
        one = {c["nu"]: c["predicted"] for c in t["curves"] if c["dimension"] == big_d}
        found.append(
            series(
                f"c/D, D = {big_d:.4g}",
                "theory",
                [2 * nu for nu in sorted(one)],
                [one[nu] for nu in sorted(one)],
            )
        )
    return Plot(
        "kernel-scaling-exponents",
        "Exponents against the order of the teacher",
        "Measured exponents rise with the order c of the teacher along c/D, one line for each D.",
        "order of the teacher c = 2 nu",
        "measured exponent, last decade",
        True,
        True,
        tuple(found),
        fit=False,
    )


def _curves_plot(record: dict[str, Any], name: str) -> Plot:
    t = record["tables"]
    own = [c for c in t["curves"] if c["points"] == name]
    return Plot(
        f"kernel-scaling-{slug(name)}",
        f"{name}: teachers by smoothness nu",
        "Expected loss of the matching kernel student against training points; "
        "the smoother the teacher, the steeper.",
        "training points n",
        "expected loss",
        True,
        True,
        tuple(
            _learning_curve(record, f"nu = {c['nu']:g}", c, f"{name}, nu = {c['nu']:g}: exponent")
            for c in own
        ),
        _common_window(own),
    )


def _teachers_plot(record: dict[str, Any], name: str) -> Plot:
    network = _NETWORK
    own = [
        c for c in record["tables"]["teachers"] if c["points"] == name and c["student"] == network
    ]
    return Plot(
        f"kernel-scaling-teachers-{slug(name)}",
        f"{name}: every teacher, {network}",
        "Loss of an infinitely wide network on each kind of teacher against training points.",
        "training points n",
        "mean squared error / variance",
        True,
        True,
        tuple(
            _learning_curve(
                record, str(c["teacher"]), c, f"{name}, {c['teacher']}, {network}: exponent"
            )
            for c in own
        ),
        _common_window(own),
    )


def _learning_curve(record: dict[str, Any], label: str, c: dict[str, Any], claim: str) -> Series:
    t = record["tables"]
    return series(
        label,
        "measured",
        t["n"],
        c["mean"],
        low=c["low"],
        high=c["high"],
        interval=PERCENTILES,
        n_seeds=t["n_seeds"],
        stored=claims_beside(record, lambda name: name.startswith(claim), fit_window(c["window"]))
        or stored_fit(c),
    )


def _common_window(curves: list[dict[str, Any]]) -> tuple[float, float] | None:
    """The window of the first curve that has one; the others are beside their exponents."""
    return next((fit_window(c["window"]) for c in curves if c["window"] is not None), None)
