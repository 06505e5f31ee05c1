"""Colours of curves: one name, one colour, in all panels of a figure and in the page."""

import dataclasses

import pytest

from percolaw.experiments import plots
from percolaw.report.style import BLACK, CYCLE, GREY

pytest.importorskip("matplotlib")

from percolaw.report import draw
from percolaw.report.colors import colors, palette
from percolaw.report.style import shades, styled

SIZES = (10.0, 100.0, 1000.0)


def one(name, kind="measured", **more):
    return plots.Series(name, kind, SIZES, SIZES, **more)


def panel(identity, *series, figure="all", **more):
    labels = ("n", "loss")
    return plots.log_log(identity, identity, "alt", labels, series, figure=figure, **more)


def drawn(panels):
    """Colours and markers of each panel of the picture, by what its legend says."""
    with styled():
        (figure,) = draw.figures(panels).values()
    found = []
    for axis in figure.axes:
        lines = [line for line in axis.lines if not line.get_label().startswith("_")]
        found.append({line.get_label(): (line.get_color(), line.get_marker()) for line in lines})
    return found


def test_what_stands_alone_is_black_or_grey_and_a_group_has_one_colour():
    series = (
        *(one("a", group="a"), one("a, law", "theory", group="a"), one("b")),
        *(one("law", "theory"), one("another", "theory"), one("limit", "reference")),
    )
    assert list(colors(series).items()) == [
        *(("law", BLACK), ("limit", GREY), ("a", CYCLE[0]), ("a, law", CYCLE[0])),
        *(("b", CYCLE[1]), ("another", CYCLE[2])),
    ]


def test_panels_of_a_figure_give_a_curve_one_colour_and_one_marker():
    panels = [panel("first", one("a"), one("b")), panel("second", one("b"), one("c"))]
    first, second = drawn(panels)
    assert first["b"] == second["b"] != first["a"]
    assert second["c"][0] == CYCLE[2]
    assert palette(panels[1], panels) == [CYCLE[1], CYCLE[2]], "as the page has them"
    # Control: alone, and in a figure of its own, each begins anew.
    assert palette(panels[1]) == [CYCLE[0], CYCLE[1]]
    apart = [panels[0], dataclasses.replace(panels[1], figure="other")]
    assert palette(apart[1], apart) == [CYCLE[0], CYCLE[1]]


def test_shades_are_those_of_the_panel_that_has_all_of_them():
    few = panel("few", one("2"), one("4"), ordered=True)
    all_three = panel("all", one("1"), one("2"), one("4"), ordered=True)
    assert palette(few, [few, all_three]) == shades(3)[1:]
    first, second = drawn([few, all_three])
    assert first["2"] == second["2"]
    other = panel("other", one("2"), one("8"), ordered=True)
    assert palette(few, [few, all_three, other]) == shades(2), "no panel has all: none is between"


def test_panels_with_more_curves_than_colours_have_their_own():
    first = panel("first", *(one(f"a{i}") for i in range(len(CYCLE))))
    second = panel("second", one("b"))
    assert palette(second, [first, second]) == [CYCLE[0]]
    assert palette(second, [panel("first", one("a")), second]) == [CYCLE[1]]


def test_a_name_that_is_a_theory_in_another_panel_is_another_curve():
    measured, theory = panel("m", one("x"), one("y")), panel("t", one("x", "theory"))
    assert palette(theory, [measured, theory]) == [BLACK]
