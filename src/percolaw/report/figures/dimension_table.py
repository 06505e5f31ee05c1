"""Exponents and thresholds by dimension beside the literature's: figures, curves and a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from percolaw.experiments.plots import CONFIDENCE, Plot, Stored
from percolaw.report.records import fit_window, number, numbers, series
from percolaw.report.style import BLACK, BLUE, CYCLE, GREEN, ORANGE, new, window

#: Quantity -> its symbol in figures, and digits after the point in the table.
_QUANTITIES = {
    "tau": (r"$\tau$", 3),
    "D": (r"$D$", 3),
    "1/sigma": (r"$1/\sigma$", 3),
    "d_min": (r"$d_\mathrm{min}$", 3),
    "alpha": (r"$\alpha$", 2),
    "c/D": (r"$c/D$", 3),
    "2/d_s - 1": (r"$2/d_s - 1$", 3),
    "p_c bond": (r"$p_c$ bond", 5),
    "p_c site": (r"$p_c$ site", 5),
}
#: Quantity -> title of its panel.
_PANELS = {
    "tau": "Fisher exponent",
    "D": "Fractal dimension",
    "1/sigma": "Cutoff exponent",
    "d_min": "Shortest paths",
    "c/D": "1-NN on a linear function",
    "2/d_s - 1": "1-NN on the free field",
}
#: Target -> (title, quantity that is its exponent, symbol of the exponent).
_TARGETS = {
    "linear": ("Linear function of the coordinates", "c/D"),
    "free field": ("Gaussian free field", "2/d_s - 1"),
}
#: What is measured on growing balls -> (title, axis, and in words).
_BALLS = {
    "radius": ("Radius of growing balls", "$R^2$", "squared radius of gyration"),
    "depth": ("Depth of growing balls", "shortest path to the rim", "shortest path to the rim"),
}


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a dimension-table record."""
    table = record["tables"]["table"]
    return {
        "dimension-table": _exponents(table),
        "dimension-table-comparison": _comparison(table),
        "dimension-table-balls": _balls(record),
        "dimension-table-learning": _learning(record),
        "dimension-table-wrapping": _wrapping(table),
    }


def tables(record: dict[str, Any]) -> dict[str, str]:
    """Return the exponents as Markdown, one row a dimension."""
    lines = [
        "Measured [95% interval of the mean over seeds] (literature); a dash where nothing could be "
        "fitted.",
        "",
        "| d | " + " | ".join(name.replace("_", r"\_") for name in _QUANTITIES) + " |",
        "|---|" + "---|" * len(_QUANTITIES),
    ]
    for row in record["tables"]["table"]:
        cells = [_cell(row[name], digits) for name, (_, digits) in _QUANTITIES.items()]
        lines.append(f"| {row['dimension']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "p_c is where wrapping curves of two tori cross, from d = 6 on the sizes of their largest "
        "clusters over the volume to 2/3: " + _lengths(record) + ".",
    ]
    return {"lattice-exponents": "\n".join(lines) + "\n"}


def _lengths(record: dict[str, Any]) -> str:
    """Lengths of the tori of every dimension, as the record says them."""
    rows = record["tables"]["table"]
    return "; ".join(f"d = {row['dimension']}: {row['p_c bond']['scale']}" for row in rows)


def _cell(entry: dict[str, Any], digits: int) -> str:
    value, low, high = _found(entry)
    literature = f"({_float(entry['literature']):.{digits}f})"
    if math.isnan(value) and math.isnan(low):
        return f"- {literature}"
    middle = "∞" if math.isnan(value) else f"{value:.{digits}f}"
    if math.isnan(low) and math.isnan(high):
        return f"{middle} {literature}"
    ends = (
        "-∞" if math.isnan(low) else f"{low:.{digits}f}",
        "∞" if math.isnan(high) else f"{high:.{digits}f}",
    )
    return f"{middle} [{ends[0]}, {ends[1]}] {literature}"


def _found(entry: dict[str, Any]) -> tuple[float, float, float]:
    """Measured value and ends of its interval; NaN where the record has null."""
    low, high = numbers(entry["interval"], 2)
    return _float(entry["measured"]), _float(low), _float(high)


def _float(value: Any) -> float:
    found = number(value)
    return math.nan if found is None else found


def _colors(table: list[dict[str, Any]]) -> dict[int, str]:
    """The colour of a dimension is the same in every record."""
    return {row["dimension"]: CYCLE[(row["dimension"] - 2) % len(CYCLE)] for row in table}


# --- figures -------------------------------------------------------------------------------------


def _exponents(table: list[dict[str, Any]]) -> Any:
    figure, axes = new(3, 2, width=3.6, height=2.9)
    d = np.array([row["dimension"] for row in table])
    alone = "_" if len(table) == 1 else ""  # no line through one point
    for axis, (name, title) in zip(axes, _PANELS.items(), strict=True):
        literature = np.array([_float(row[name]["literature"]) for row in table])
        value, low, high = np.array([_found(row[name]) for row in table]).T
        axis.plot(d, literature, "--", color=BLACK, lw=1.2, marker=alone, ms=12, label="literature")
        has = np.isfinite(value)
        # Intervals of a few seeds can be many times longer than what is to be seen.
        every = np.concatenate([literature, value[has]])
        span = max(float(np.ptp(every)), 0.15 * float(np.mean(np.abs(every))))
        ends = np.clip([low, high], every.min() - 0.8 * span, every.max() + 0.8 * span)
        bars = np.where(np.isfinite(ends), np.abs(ends - value), 0.0)
        axis.errorbar(
            d[has], value[has], bars[:, has], fmt="o", color=BLUE, ms=5, lw=1.2, label="measured"
        )
        shown = np.concatenate([every, ends[np.isfinite(ends)]])
        pad = 0.08 * max(float(np.ptp(shown)), 0.3 * span)
        axis.set_ylim(shown.min() - (pad if has.all() else 2.5 * pad), shown.max() + pad)
        for x in d[~has]:
            axis.annotate(
                "no fit",
                (x, 0.02),
                xycoords=("data", "axes fraction"),
                ha="center",
                fontsize=7.5,
                color="#666666",
            )
        axis.set_title(f"{title}\n{_scale(table[0][name]['scale'])}", fontsize=9)
        axis.set(ylabel=_QUANTITIES[name][0], xlim=(d.min() - 0.5, d.max() + 0.5))
        axis.set_xticks(d)
    for axis in axes[3:]:
        axis.set_xlabel("lattice dimension $d$")
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=2)
    return figure


def _scale(text: Any) -> str:
    """Sizes of a fit as the record says them, with the sign of a range; no formula."""
    return str(text).replace("..", " to ").replace("$", r"\$")


def _comparison(table: list[dict[str, Any]]) -> Any:
    figure, (axis,) = new(1, width=7.2, height=4.8)
    known = np.array([_float(row["alpha"]["literature"]) for row in table])
    measured = np.array([_found(row["alpha"])[0] for row in table])
    gamma = np.array(
        [[_found(row["c/D"])[0], _float(row["c/D"]["literature"])] for row in table]
    ).ravel()
    alphas = np.concatenate([known, measured[np.isfinite(measured)]])
    gammas = gamma[np.isfinite(gamma)]
    line = np.geomspace(alphas.min() / 2, alphas.max() * 2, 50)
    axis.plot(
        line, line, "--", color=BLACK, lw=1, label=r"$c/D = \alpha$ (model law changes sides)"
    )
    axis.plot(
        line,
        line / (1 + line),
        ":",
        color=BLACK,
        lw=1.4,
        label=r"$c/D = \alpha/(1+\alpha)$ (data law)",
    )
    color = _colors(table)
    for i, row in enumerate(table):
        own = color[row["dimension"]]
        # From 6 dimensions on all lie at one place: rings around one another.
        same = sum(known[i] == known[j] for j in range(i + 1, len(table)))
        alpha, gamma_found = _found(row["alpha"]), _found(row["c/D"])
        axis.plot(
            _float(row["alpha"]["literature"]),
            _float(row["c/D"]["literature"]),
            "o",
            mfc="white",
            mec=own,
            mew=1.6,
            ms=8 + 4 * same,
            zorder=3,
        )
        if math.isnan(gamma_found[0]) or math.isnan(_found(row["tau"])[0]):
            continue
        ends = math.isfinite(alpha[1]) or math.isfinite(alpha[2])
        # tau of 2 or less stands for an infinite alpha.
        x = line[-1] / 1.03 if math.isnan(alpha[0]) else alpha[0]
        right = line[-1] if math.isnan(alpha[2]) and ends else alpha[2]
        bars = [_bar(x, alpha[1], right), _bar(gamma_found[0], *gamma_found[1:])]
        axis.errorbar(
            x,
            gamma_found[0],
            yerr=np.array(bars[1])[:, None],
            xerr=np.array(bars[0])[:, None],
            fmt=">" if math.isnan(alpha[0]) else "o",
            color=own,
            ms=5,
            lw=1.1,
            label=f"$d = {row['dimension']}$",
            zorder=4,
        )
    axis.plot([], [], "o", mfc="white", mec=BLACK, mew=1.6, ms=8, label="literature")
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=r"rank exponent $\alpha = (3-\tau)/(\tau-2)$",
        ylabel="cluster exponent $c/D$, from learning curves",
        title=r"Where real lattices lie at $p_c$, measured",
        xlim=(line[0], line[-1]),
        ylim=(min(0.3, 0.8 * gammas.min()), max(2.0, 1.3 * gammas.max())),
    )
    _plain_ticks(axis.yaxis, (0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0))
    _plain_ticks(axis.xaxis, (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0))
    figure.legend(loc="outside right upper")
    return figure


def _bar(value: float, low: float, high: float) -> tuple[float, float]:
    """Lengths of an error bar; none to a side that is not known."""
    return (
        max(0.0, value - low) if math.isfinite(low) else 0.0,
        max(0.0, high - value) if math.isfinite(high) else 0.0,
    )


def _plain_ticks(axis: Any, places: tuple[float, ...]) -> None:
    low, high = axis.get_view_interval()
    axis.set_ticks(
        [v for v in places if low <= v <= high], [f"{v:g}" for v in places if low <= v <= high]
    )
    axis.set_ticks([], minor=True)


def _learning(record: dict[str, Any]) -> Any:
    table = record["tables"]["table"]
    fitted = _learning_window(record)
    color = _colors(table)
    figure, axes = new(2, 2, width=5.0, height=3.4)
    for i, (target, (title, quantity)) in enumerate(_TARGETS.items()):
        top, bottom = axes[i], axes[2 + i]
        for row in table:
            n = np.array(numbers(row["curves"]["n"]), dtype=np.float64)
            loss = np.array(numbers(row["curves"][target]), dtype=np.float64)
            exponent = _float(row[quantity]["literature"])
            own = color[row["dimension"]]
            found = _found(row[quantity])[0]
            value = "no fit" if math.isnan(found) else f"{found:.3f}"
            label = f"$d = {row['dimension']}$: {value} ({exponent:.3f})"
            inside = (n >= fitted[0] * (1 - 1e-9)) & (n <= fitted[1] * (1 + 1e-9))
            inside &= np.isfinite(loss)
            top.plot(n, loss, "o-", color=own, ms=3, lw=1.3, label=label)
            if not inside.any():
                continue
            # The literature's power law through the mean of the window.
            level = math.exp(float(np.mean(np.log(loss[inside] * n[inside] ** exponent))))
            at = n[inside][[0, -1]]
            top.plot(at, level * at**-exponent, "--", color=BLACK, lw=1, zorder=3)
            bottom.plot(n, loss * n**exponent / level, "o-", color=own, ms=3, lw=1.3)
        bottom.axhline(1.0, color=BLACK, lw=1, ls="--")
        for axis in (top, bottom):
            window(axis, *fitted)
            axis.set(xscale="log", yscale="log")
        top.set(title=title)
        top.legend(title="exponent (literature)", title_fontsize=8, fontsize=7.5, loc="lower left")
        bottom.set(
            xlabel="mean number of observed sites $n$",
            title="the same over the literature's power law",
            ylim=(0.5, 2.0),
        )
        _plain_ticks(bottom.yaxis, (0.5, 0.7, 1.0, 1.4, 2.0))
    axes[0].set_ylabel("1-NN loss / variance")
    axes[2].set_ylabel("ratio")
    return figure


def _power(row: dict[str, Any], name: str) -> float:
    """Exponent of radius^2 and depth against mass from the literature's D and d_min."""
    dimension = _float(row["D"]["literature"])
    return (2.0 if name == "radius" else _float(row["d_min"]["literature"])) / dimension


def _balls(record: dict[str, Any]) -> Any:
    t = record["tables"]
    fitted = fit_window(t["size_window"]) or (1.0, 1.0)
    color = _colors(t["table"])
    figure, axes = new(2, 2, width=5.0, height=3.4)
    for i, (name, (title, label, _)) in enumerate(_BALLS.items()):
        top, bottom = axes[i], axes[2 + i]
        for row in t["table"]:
            mass, y = (
                np.array(numbers(row["curves"][key]), dtype=np.float64) for key in ("mass", name)
            )
            own, power = color[row["dimension"]], _power(row, name)
            top.plot(mass, y, "o-", color=own, ms=3, lw=1.3, label=_ball_label(row, name))
            inside = (mass >= fitted[0] * (1 - 1e-9)) & (mass <= fitted[1] * (1 + 1e-9))
            inside &= np.isfinite(y) & (y > 0)
            if not inside.any():
                continue
            # The literature's power law through the mean of the window.
            level = math.exp(float(np.mean(np.log(y[inside] / mass[inside] ** power))))
            at = mass[inside][[0, -1]]
            top.plot(at, level * at**power, "--", color=BLACK, lw=1, zorder=3)
            bottom.plot(mass, y / mass**power / level, "o-", color=own, ms=3, lw=1.3)
        bottom.axhline(1.0, color=BLACK, lw=1, ls="--")
        right = max(_float(row["curves"]["mass"][-1]) for row in t["table"])
        for axis in (top, bottom):
            window(axis, fitted[0], min(fitted[1], right))
            axis.set(xscale="log", yscale="log")
        top.set(title=title, ylabel=label)
        if name == "depth":
            _plain_ticks(top.yaxis, (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0))
        top.legend(
            title=f"{_QUANTITIES['D' if name == 'radius' else 'd_min'][0]} (literature)",
            title_fontsize=8,
            fontsize=7.5,
            loc="upper left",
        )
        bottom.set(
            xlabel="sites of the ball",
            title="the same over the literature's power law",
            ylim=(0.5, 2.0),
        )
        _plain_ticks(bottom.yaxis, (0.5, 0.7, 1.0, 1.4, 2.0))
    axes[2].set_ylabel("ratio")
    return figure


def _ball_label(row: dict[str, Any], name: str) -> str:
    entry = row["D" if name == "radius" else "d_min"]
    found = _found(entry)[0]
    value = "no fit" if math.isnan(found) else f"{found:.3f}"
    return f"$d = {row['dimension']}$: {value} ({_float(entry['literature']):.3f})"


def _learning_window(record: dict[str, Any]) -> tuple[float, float]:
    """Sizes of the learning exponents, as the config has them."""
    config = record["config"]
    low = _float(config["learn_from"])
    return low, max(low, _float(config["learn_share"]) * _float(config["field_size"]))


def _wrapping(table: list[dict[str, Any]]) -> Any:
    columns = min(3, len(table))
    figure, axes = new(columns, -(-len(table) // columns), width=3.9, height=3.0)
    for axis, row in zip(axes, table, strict=False):
        entry = row["curves"]["wrapping"]["bond"]
        p = np.array(numbers(entry["p"]), dtype=np.float64)
        known = row["p_c bond"]
        value, low, high = _found(known)
        curves = [np.array(numbers(c, p.size), dtype=np.float64) for c in entry["curves"]]
        for length, curve, color in zip(entry["lengths"], curves, (ORANGE, BLUE), strict=True):
            axis.plot(p, curve, color=color, label=f"$L = {length}$")
        if math.isfinite(low) and math.isfinite(high):
            axis.axvspan(low, high, color=GREEN, alpha=0.18, linewidth=0)
        axis.axvline(value, color=GREEN, lw=1.4)
        axis.axvline(_float(known["literature"]), color=BLACK, lw=1, ls="--")
        wraps = entry["what"].startswith("wrapping")
        # Where the wrapping of the small torus rises.
        rising = p[(curves[0] > 0.02) & (curves[0] < 0.98)] if wraps else p
        ends = (rising.min(), rising.max()) if rising.size else (p[0], p[-1])
        axis.set(title=f"$d = {row['dimension']}$", xlim=ends, xlabel="$p$")
        axis.set_ylabel("share that wraps" if wraps else "largest / $V^{2/3}$")
        axis.locator_params(axis="x", nbins=5)
        axis.legend(loc="upper left", handlelength=1.2)
    for axis in axes[len(table) :]:
        axis.set_visible(False)
    axes[0].plot([], [], color=GREEN, lw=1.4, label="crossing measured, 95% interval")
    axes[0].plot([], [], "--", color=BLACK, lw=1, label="$p_c$ of the literature")
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines[2:], names[2:], loc="outside lower center", ncols=2)
    figure.suptitle(
        "Bond percolation on a small and a large torus: what crosses at $p_c$", fontsize=10.5
    )
    return figure


# --- curves --------------------------------------------------------------------------------------


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return exponents by dimension, learning curves, sizes and wrapping curves."""
    table = record["tables"]["table"]
    return [
        *(_exponent_plot(table, name, title) for name, title in _PANELS.items()),
        *(_learning_plot(record, target) for target in _TARGETS),
        _sizes_plot(record),
        *(_ball_plot(record, name) for name in _BALLS),
        *(_wrapping_plot(row) for row in table),
    ]


def _exponent_plot(table: list[dict[str, Any]], name: str, title: str) -> Plot:
    d = [row["dimension"] for row in table]
    entries = [row[name] for row in table]
    return Plot(
        f"dimension-table-{list(_PANELS).index(name) + 1}",
        f"{title}: {name}",
        f"{name} measured on hypercubic lattices at p_c beside the literature's, by dimension.",
        "lattice dimension d",
        name,
        False,
        False,
        (
            series(
                "measured",
                "measured",
                d,
                [e["measured"] for e in entries],
                low=[e["interval"][0] for e in entries],
                high=[e["interval"][1] for e in entries],
                interval=CONFIDENCE,
                prediction="literature",
            ),
            series("literature", "reference", d, [e["literature"] for e in entries]),
        ),
        fit=False,
    )


def _stored(row: dict[str, Any], name: str, fitted: tuple[float, float] | None) -> Stored:
    entry = row[name]
    low, high = numbers(entry["interval"], 2)
    return Stored(
        f"d = {row['dimension']}: {name}",
        number(entry["measured"]),
        (low, high),
        number(entry["literature"]),
        str(entry["verdict"]),
        fitted,
    )


def _learning_plot(record: dict[str, Any], target: str) -> Plot:
    title, quantity = _TARGETS[target]
    fitted = fit_window(list(_learning_window(record)))
    return Plot(
        f"dimension-table-{target.replace(' ', '-')}",
        f"{title}, learned by 1-NN",
        "Loss of 1-NN on one large cluster at p_c against the number of observed sites, one curve a "
        f"dimension; the exponent is {quantity}.",
        "mean number of observed sites n",
        "loss / variance",
        True,
        True,
        tuple(
            series(
                f"d = {row['dimension']}",
                "measured",
                row["curves"]["n"],
                row["curves"][target],
                stored=(_stored(row, quantity, fitted),),
            )
            for row in record["tables"]["table"]
        ),
        fitted,
    )


def _sizes_plot(record: dict[str, Any]) -> Plot:
    t = record["tables"]
    fitted = fit_window(t["size_window"])
    return Plot(
        "dimension-table-sizes",
        "Cluster of a random site at p_c",
        "Share of sites whose cluster has at least s sites, one curve a dimension; it falls like "
        "s^(2 - tau).",
        "cluster size s",
        "P(S >= s)",
        True,
        True,
        tuple(
            series(
                f"d = {row['dimension']}",
                "measured",
                row["curves"]["s"],
                row["curves"]["survival"],
            )
            for row in t["table"]
        ),
        fitted,
    )


def _ball_plot(record: dict[str, Any], name: str) -> Plot:
    t = record["tables"]
    title, _, what = _BALLS[name]
    law = "D" if name == "radius" else "d_min"
    power = "2/D" if name == "radius" else "d_min/D"
    return Plot(
        f"dimension-table-ball-{name}",
        title,
        f"{what.capitalize()} of balls of the incipient infinite cluster against their sites, one curve "
        f"a dimension; it grows like s^({power}).",
        "sites of the ball s",
        what,
        True,
        True,
        tuple(
            series(
                f"d = {row['dimension']} ({law} = {_float(row[law]['literature']):.3f} in the "
                "literature)",
                "measured",
                row["curves"]["mass"],
                row["curves"][name],
            )
            for row in t["table"]
        ),
        fit_window(t["size_window"]),
        growth=True,
    )


def _wrapping_plot(row: dict[str, Any]) -> Plot:
    d, entry = row["dimension"], row["curves"]["wrapping"]["bond"]
    return Plot(
        f"dimension-table-wrapping-{d}",
        f"d = {d}: {entry['what']} of bond percolation, {row['p_c bond']['scale']}",
        f"{entry['what']} against p; those of a small and a large torus cross at p_c, "
        f"{_float(row['p_c bond']['literature']):.5f} in the literature.",
        "p",
        str(entry["what"]),
        False,
        False,
        tuple(
            series(f"L = {length}", "measured", entry["p"], curve)
            for length, curve in zip(entry["lengths"], entry["curves"], strict=True)
        ),
        fit=False,
    )
