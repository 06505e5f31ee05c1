"""What pictures say beside the curves: keys of marks, formulas, intervals of a crowd, ticks."""

import dataclasses
import io
import math

import numpy as np
import pytest

from percolaw.experiments import plots

pytest.importorskip("matplotlib")

from percolaw.report import draw
from percolaw.report.style import new, styled

SIZES = (10.0, 100.0, 1000.0)
MANY = tuple(10.0 * 1.3**i for i in range(draw.MANY))


def measured(name, x=SIZES, **more):
    y = tuple(1.0 / v for v in x)
    ends = {"low": tuple(0.9 * v for v in y), "high": tuple(1.1 * v for v in y)}
    return plots.Series(name, "measured", x, y, **ends, interval="16 to 84", **more)


def plot(*series, **more):
    return plots.log_log("p", "title", "alt", ("n", "loss"), series, **more)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("0.57 P^0.387", r"0.57 $P^{\mathrm{0.387}}$"),
        ("loss ~ P^-0.5", r"loss ~ $P^{\mathrm{-0.5}}$"),
        ("1 - p/p_c = (0.04, 0.08)", r"1 - p/$p_{\mathrm{c}}$ = (0.04, 0.08)"),
        ("N ~ d_model^2", r"N ~ $d_{\mathrm{model}}^{2}$"),
        ("max(n/f, 1)^(-1/2)", r"max(n/f, 1$)^{\mathrm{-1/2}}$"),
        ("(3 - tau)/(tau - 2)", "(3 - τ)/(τ - 2)"),
        ("my_file, alphabet", "my_file, alphabet"),
        ("$3 and 4$", r"\$3 and 4\$"),
    ],
)
def test_formulas_of_plain_text_are_set(text, right):
    from matplotlib.mathtext import MathTextParser

    assert draw.typeset(text) == right
    MathTextParser("path").parse(draw.typeset(text))


def test_a_key_says_what_dashes_hollow_points_intervals_and_shading_are():
    one = measured("teacher", usable=(True, True, False), group="teacher")
    slope = plots.line("teacher, slope c/D", "theory", SIZES, SIZES, group="teacher")
    limit = plots.line("teacher, kernel", "reference", SIZES, SIZES, group="teacher")
    drawn = plot(one, slope, limit, window=(10.0, 100.0), hollow="not converged")
    assert draw.keys(drawn) == {
        "--": "slope c/D",
        ":": "kernel",
        "hollow": "hollow: not converged",
        "bar": "16 to 84",
        "window": "sizes fitted or compared",
    }
    assert draw.keys(plot(plots.line("alone", "theory", SIZES, SIZES))) == {}


def test_bands_of_a_crowd_become_bars_beside_each_other():
    few, crowd = (plot(*(measured(f"{i}", MANY) for i in range(n))) for n in (2, draw.CROWD))
    assert ("band" in draw.keys(few), "bar" in draw.keys(few)) == (True, False)
    assert ("band" in draw.keys(crowd), "bar" in draw.keys(crowd)) == (False, True)
    with styled():
        _, (axis,) = new()
        draw.panel(axis, crowd)
    places = [{path.vertices[0, 0] for path in bars.get_paths()} for bars in axis.collections]
    assert len(places) == draw.CROWD
    assert sum(map(len, places)) == len(set().union(*places)) == len(MANY)


def test_panels_share_one_key_unless_a_mark_means_two_things():
    def with_slope(name):
        line = plots.line(f"a, {name}", "theory", SIZES, SIZES, group="a")
        return plot(measured("a", group="a"), line, figure="both")

    for names, n_legends in ((("slope", "slope"), 1), (("slope", "limit"), 0)):
        with styled():
            figure = draw.figures([with_slope(name) for name in names])["both"]
        keys = [text.get_text() for one in figure.legends for text in one.get_texts()]
        assert len(figure.legends) == n_legends, names
        assert ("slope" in keys) == (n_legends == 1)
        inside = [t.get_text() for a in figure.axes if a.get_legend() for t in a.get_legend().texts]
        assert ("limit" in inside) == ("limit" in names)


def test_short_names_stand_beside_each_other_in_a_legend():
    names = [f"{ratio:g} p_c" for ratio in (0.7, 0.8, 0.9, 0.95, 1, 1.1, 1.2, 1.3, 1.5)]
    panels = [plot(*(measured(n) for n in names[i:]), figure="both") for i in range(2)]
    with styled():
        figure = draw.figures(panels)["both"]
        figure.draw_without_rendering()
    for axis in figure.axes:
        legend = axis.get_legend()
        assert legend._ncols == 3
        ends = [text.get_window_extent() for text in legend.get_texts()]
        assert not any(a.overlaps(b) for i, a in enumerate(ends) for b in ends[:i])
        assert legend.get_window_extent().x1 < axis.get_window_extent().x1
    assert draw._grid(["a" * 60, "b\nc"], 3.5) == (1, 3)


@pytest.mark.parametrize(
    "low_high", [(0.9, 1.1), (0.7, 1.9), (1.0, 4.0), (0.02, 0.9), (0.003, 1.2)]
)
def test_short_logarithmic_axes_have_three_ticks_or_more(low_high):
    low, high = low_high
    with styled():
        _, (axis,) = new()
        draw.panel(axis, plot(plots.line("a", "theory", SIZES, (low, math.sqrt(low * high), high))))
        axis.figure.draw_without_rendering()
    shown = [v for v in axis.get_yticks() if axis.get_ylim()[0] <= v <= axis.get_ylim()[1]]
    assert 3 <= len(shown) <= 10
    gaps = np.diff(np.log([axis.get_ylim()[0], *shown, axis.get_ylim()[1]]))
    assert gaps.max() < 0.6 * math.log(high / low)  # no end of the axis is bare


def test_words_stand_at_the_ticks_and_lines_do_not_break_inside_an_interval():
    drawn = plots.Plot(
        *("p", "a title", "alt", "x", "y", False, False),
        (plots.line("a", "theory", (0.0, 1.0), (1.0, 2.0)),),
        x_ticks=("input", "1 before"),
    )
    with styled():
        _, (axis,) = new()
        draw.panel(axis, drawn)
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["input", "1 before"]
    lines = draw._wrapped("teacher of a kind: 0.5 [0.4, 0.6], predicted 0.5", 26).split("\n")
    assert lines == ["teacher of a kind: 0.5", "[0.4, 0.6], predicted 0.5"]


def crowded(n, **more):
    return plot(*(measured(f"curve {i} of a name that fills its line", **more) for i in range(n)))


@pytest.mark.parametrize(
    "panels",
    [
        (plot(measured("alone")),),
        pytest.param((plot(measured("a")), plot(measured("b"))), marks=pytest.mark.slow),
        (crowded(14),),
        pytest.param((crowded(8), crowded(9)), marks=pytest.mark.slow),
        (crowded(8), crowded(8)),
    ],
    ids=["one", "two", "legend below", "legends below", "one legend below both"],
)
def test_panels_keep_their_shape_and_all_stands_in_the_picture(panels):
    """Whatever stands below them: axes are as wide as asked, three fifths of that high or more."""
    with styled():
        (figure,) = draw.figures([dataclasses.replace(one, figure="f") for one in panels]).values()
        placed = [axis.get_position().bounds for axis in figure.axes]
        figure.savefig(io.BytesIO(), dpi=30)
        assert [
            axis.get_position().bounds for axis in figure.axes
        ] == placed  # as they were laid out
        inches = figure.get_tightbbox()  # of all that is drawn
    for axis in figure.axes:
        box = axis.get_window_extent()
        assert box.width / figure.dpi > 0.8 * draw.WIDTH[len(panels)]
        assert 0.6 < box.height / box.width < 0.85
    width, height = figure.get_size_inches()
    margins = (inches.x0, inches.y0, width - inches.x1, height - inches.y1)
    assert min(margins) >= 0.0, "cut off"
    assert max(margins) < 0.12, "a bare strip"
