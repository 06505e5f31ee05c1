"""Reports in a browser: plots, exponents, windows, toggles, print, and no script that runs."""

import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from report_cases import HOSTILE, PLOTTED, claim, png, record, write_run

from percolaw.report.html import write_report

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    runs = [write_run(root / n, record(n, size=21), png(900, 400)) for n in PLOTTED]
    return write_report(runs, root / "report.html")[0]


@pytest.fixture
def opened(browser, report_file):
    """open(width, ...) -> a page; at the end nothing has been complained about or fetched."""
    contexts, wrong = [], []

    def open_page(width=1280, file=report_file, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on(
            "request",
            lambda r: r.url.startswith(("file:", "data:")) or wrong.append(f"request: {r.url}"),
        )
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong, wrong


def numbers_of(page, plot):
    """Exponents the page shows: name of the curve -> number."""
    cells = page.locator(f'[data-plot="{plot}"] .recomputed')
    return dict(
        cells.evaluate_all("all => all.map(c => [c.dataset.series, Number(c.dataset.exponent)])")
    )


def least_squares(one, window, sign=-1.0):
    x, y = np.array(one["x"]), np.array([math.nan if v is None else v for v in one["y"]])
    use = (x >= window[0] * (1 - 1e-12)) & (x <= window[1] * (1 + 1e-12)) & (y > 0)
    return sign * np.polyfit(np.log(x[use]), np.log(y[use]), 1)[0]


def test_every_plot_is_drawn(opened):
    page = opened()
    figures = page.locator(".plot")
    assert figures.count() > 20
    drawn = figures.evaluate_all(
        "all => all.map(f => f.querySelectorAll('.stage path.curve').length)"
    )
    data = figures.evaluate_all(
        "all => all.map(f => JSON.parse(f.querySelector('script').textContent))"
    )
    assert drawn == [len(plot["series"]) for plot in data]
    paths = page.locator(".stage path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
    assert not [d for d in paths if "NaN" in d or "Infinity" in d]
    labels = page.locator('.stage svg[role="img"]').evaluate_all(
        "all => all.map(s => s.getAttribute('aria-label'))"
    )
    assert all(plot["alt"] in label for plot, label in zip(data, labels, strict=True))
    assert page.locator(".plot details table").count() >= figures.count()


def test_exponents_of_the_page_are_those_of_numpy(opened):
    page = opened()
    compared = 0
    for figure in page.locator(".plot").all():
        plot = json.loads(figure.locator("script").text_content())
        if not (plot["fit"] and plot["x_log"] and plot["y_log"]):
            assert figure.locator(".recomputed").count() == 0
            continue
        shown = numbers_of(page, plot["id"])
        if not shown:
            continue
        places = [x for s in plot["series"] for x in s["x"]]
        window = plot["window"] or (min(places), max(places))
        for one in plot["series"]:
            if one["kind"] == "reference":
                continue  # not listed
            if sum(window[0] <= x <= window[1] for x in one["x"]) >= 3:
                expected = least_squares(one, window, 1.0 if plot["growth"] else -1.0)
                assert shown[one["name"]] == pytest.approx(expected, abs=1e-11)
                compared += 1
    assert compared > 30


def test_the_window_moves_by_key_and_by_pointer(opened):
    page = opened()
    figure = page.locator('[data-plot="model-scaling"]')
    figure.scroll_into_view_if_needed()
    plot = json.loads(figure.locator("script").text_content())
    x = plot["series"][0]["x"]
    before = numbers_of(page, "model-scaling")
    low, high = figure.locator(".handle.low"), figure.locator(".handle.high")
    assert low.get_attribute("role") == "slider"
    low.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    start = float(low.get_attribute("aria-valuenow"))
    assert start in x
    assert start > plot["window"][0]
    now = numbers_of(page, "model-scaling")
    assert now != before
    for one in plot["series"]:
        assert now[one["name"]] == pytest.approx(least_squares(one, (start, x[-1])), abs=1e-11)
    assert "recomputed" in figure.locator(".sr").text_content()
    page.keyboard.press("Home")
    assert float(low.get_attribute("aria-valuenow")) == x[0]
    box = high.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] - 150, box["y"] + 10, steps=5)
    page.mouse.up()
    end = float(high.get_attribute("aria-valuenow"))
    assert x[0] < end < x[-1]
    now = numbers_of(page, "model-scaling")
    one = plot["series"][0]
    assert now[one["name"]] == pytest.approx(least_squares(one, (x[0], end)), abs=1e-11)
    mover = figure.locator(".mover")
    mover.focus()
    page.keyboard.press("ArrowRight")
    assert float(low.get_attribute("aria-valuenow")) == x[1]
    assert float(high.get_attribute("aria-valuenow")) > end
    assert "recomputed in this page" in figure.locator(".fit").inner_text()
    assert "stored claim" in figure.locator(".fit").inner_text()
    figure.get_by_role("button", name="reset window").click()
    assert numbers_of(page, "model-scaling") == before


def test_points_by_pointer_and_by_key(opened):
    page = opened()
    figure = page.locator('[data-plot="model-scaling"]')
    explore, tip = figure.locator(".explore"), figure.locator(".tip")
    explore.scroll_into_view_if_needed()
    assert tip.is_hidden()
    box = explore.bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    assert tip.is_visible()
    words = tip.inner_text()
    for part in ("degrees of freedom N: ", "mean squared error: "):
        assert part in words
    page.mouse.move(2, 2)
    assert tip.is_hidden()
    explore.focus()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowDown", "Home", "ArrowLeft"):
        page.keyboard.press(key)
        assert tip.is_visible()
        seen.append(tip.inner_text())
        assert tip.inner_text().split("\n")[0] in figure.locator(".sr").text_content()
    assert len(set(seen)) == 5, "the last is at the end already"
    for part in ("N: 1\n", "16 to 84 percentile over seeds: ", "over theory: ", "3 seeds"):
        assert part in seen[0]
    assert "10⁴" in seen[2] or "10000" in seen[2]
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "mover"


def test_toggles(opened):
    page = opened()
    figure = page.locator('[data-plot="model-scaling"]')

    def count(what):
        return figure.locator(f".stage {what}").count()

    assert (count("path.curve"), count("path.seed"), count("path.theory")) == (5, 0, 2)
    figure.locator('[data-toggle="seeds"]').click()
    assert count("path.seed") == 3
    figure.locator('[data-toggle="theory"]').click()
    assert (count("path.curve"), count("path.theory")) == (3, 0)
    assert figure.locator('[data-toggle="theory"]').get_attribute("aria-pressed") == "false"
    figure.locator('[data-toggle="theory"]').click()
    figure.locator('[data-view="residual"]').click()
    assert count("path.one") == 1
    assert count("path.curve") == 4, "the theory itself has none"
    figure.locator('[data-view="local"]').click()
    assert "local exponent, recomputed in this page" in figure.locator(".stage svg").text_content()
    box = figure.locator(".explore")
    box.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    shown = figure.locator(".tip").inner_text()
    plot = json.loads(figure.locator("script").text_content())
    one = plot["series"][0]
    slope = -np.gradient(np.log(one["y"]), np.log(one["x"]))
    found = float(re.search(r"this page: (\S+)", shown).group(1).replace("−", "-"))
    assert found == pytest.approx(slope[1], rel=1e-3)
    figure.locator('[data-view="values"]').click()
    first = figure.locator(".legend button").first
    first.focus()
    page.keyboard.press("Enter")
    assert count("path.curve") == 4
    assert first.get_attribute("aria-pressed") == "false"
    assert "adjusted 1-NN (the paper's learner)" not in numbers_of(page, "model-scaling")


def test_claims_filter_and_links(opened):
    page = opened(reduced_motion="reduce")
    n = len(PLOTTED)
    assert page.locator(".claims tr[data-verdict]:visible").count() == 3 * n
    page.get_by_role("button", name=re.compile("^disagrees")).click()
    assert page.locator(".claims tr[data-verdict]:visible").count() == n
    link = page.locator(".claims tr[data-verdict]:visible a").first
    target = link.get_attribute("href")
    link.click()
    assert page.locator(target).bounding_box()["y"] < 900


def artifacts(tmp_path):
    where = os.environ.get("PERCOLAW_ARTIFACTS")
    if where:
        Path(where).mkdir(parents=True, exist_ok=True)
    return Path(where) if where else tmp_path


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        pytest.param(1280, "light", marks=pytest.mark.slow),
        pytest.param(390, "light", marks=pytest.mark.slow),
        (390, "dark"),
    ],
)
def test_no_width_scrolls_sideways(width, scheme, opened, tmp_path):
    page = opened(width, color_scheme=scheme)
    file = artifacts(tmp_path) / f"report-{width}-{scheme}.png"
    page.screenshot(path=file, full_page=True)
    assert file.stat().st_size > 20_000
    for narrow in (width, 360):
        page.set_viewport_size({"width": narrow, "height": 800})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= narrow
    wide = page.locator(".stage svg").first.bounding_box()["width"]
    assert wide <= 360
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_print_shows_everything_and_no_controls(opened):
    page = opened(color_scheme="dark")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details:not([open])").count() == 0
    for hidden in (".controls", ".handle", ".explore", "nav"):
        assert page.locator(hidden).first.is_hidden()
    for visible in (".stage svg", ".plot details table", ".pictures img", ".claims table"):
        assert page.locator(visible).first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_without_scripts_pictures_and_tables_remain(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".pictures img").first.is_visible()
    assert page.locator(".claims tr[data-verdict]").first.is_visible()
    page.locator(".plot summary").first.click()
    assert page.locator(".plot details table").first.is_visible()


def test_hostile_records_run_nothing(opened, tmp_path):
    bad = record("kernel-scaling")
    for i, entry in enumerate(one for plot in bad["plots"] for one in plot["series"]):
        entry["name"] = HOSTILE[i % len(HOSTILE)]
    bad["claims"] = [claim(h, note=h, source=h) for h in HOSTILE]
    bad["config"] = {h: h for h in HOSTILE}
    file, _ = write_report([write_run(tmp_path / "run", bad)], tmp_path / "x.html")
    page = opened(file=file)
    page.wait_for_timeout(100)
    assert page.evaluate("window.owned") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.locator(".stage path.curve").count() > 4


@pytest.mark.parametrize(
    "values", [[1e308, 1e-308, 1e300], [0, 0, 0], [None, None, None], [-1, 5, 2]]
)
def test_strange_numbers_are_drawn_or_said(values, opened, tmp_path):
    bad = record("parameters-vs-dof", len(values))
    bad["plots"][0]["series"][0]["y"] = values
    file, _ = write_report([write_run(tmp_path / "run", bad)], tmp_path / "x.html")
    page = opened(file=file)
    for view in ("values", "local"):
        page.locator(f'[data-view="{view}"]').click()
        paths = page.locator(".stage path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
        assert not [d for d in paths if "NaN" in d or "Infinity" in d]
