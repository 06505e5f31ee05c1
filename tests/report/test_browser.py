"""Reports in a browser: plots, exponents, windows, what is taken out, phones, print, and no script."""

import csv
import io
import itertools
import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from report_cases import HOSTILE, claim, kept_plots, png, record, write_run

from percolaw.report import style
from percolaw.report.colors import colors
from percolaw.report.compare import lighter
from percolaw.report.html import build, write_report
from percolaw.report.records import read_plots
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import fit_power_law

CHROMIUM = "/usr/bin/chromium"
#: Sizes of the plots, and what the second run of the experiment has in place of the first's.
SIZE = 21
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


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
    """Two runs of one experiment, one with ordered curves, and a picture that is no plot."""
    root = tmp_path_factory.mktemp("report")
    first, second = record(size=SIZE), record(size=SIZE, id="ba9876543210")
    second["config"] = {**first["config"], "n_seeds": 17}
    second["plots"][0]["series"][0]["y"] = [2.0 * y for y in first["plots"][0]["series"][0]["y"]]
    ordered = record("theory-curves", size=SIZE)
    title = "n_s ~ s^(-5/2), tau >= 2 at max_size"
    ordered["plots"][0] |= {"ordered": True, "title": title, "x_label": "k_br"}
    runs = {"one": first, "two": second, "ordered": ordered, "dimension": record("dimension")}
    folders = [write_run(root / name, one, png(900, 400)) for name, one in runs.items()]
    return write_report(folders, root / "report.html")[0]


@pytest.fixture(scope="module")
def contexts(browser):
    """context(**options): each kept for the module, since making one takes as long as a test."""
    kept = {}

    def context(**options):
        key = json.dumps(options, sort_keys=True)
        if key not in kept:
            kept[key] = browser.new_context(**options)
            kept[key].set_default_timeout(10_000)
        return kept[key]

    yield context
    for one in kept.values():
        one.close()


@pytest.fixture
def opened(contexts, report_file):
    """open(...) -> a page; at the end nothing has been complained about or fetched."""
    pages, wrong = [], []

    def open_page(file=report_file, **options):
        page = contexts(**({"viewport": {"width": 1280, "height": 900}} | options)).new_page()
        pages.append(page)
        page.on("console", lambda m: wrong.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on(
            "request",
            lambda r: r.url.startswith(("file:", "data:", "blob:")) or wrong.append(r.url),
        )
        page.goto(file.as_uri())
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not wrong, wrong


@pytest.fixture(scope="module")
def looked_at(contexts, report_file):
    """One page for the tests that only look."""
    page = contexts(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(report_file.as_uri())
    yield page
    page.close()


@pytest.fixture
def figure(opened):
    """The first plot, on its page."""
    return plot_of(opened())


def plot_of(page, where="run-1-model-scaling-plot-1"):
    return page.locator(f"#{where}")


def data_of(figure):
    return json.loads(figure.locator("script").text_content())


def exponents(figure):
    """Exponents that a plot shows, with their intervals: name of the curve -> numbers."""
    cells = figure.locator(".recomputed").evaluate_all(
        "all => all.map(c => [c.dataset.series, c.dataset.exponent, c.dataset.interval])"
    )
    return {
        name: (float(value or "nan"), tuple(map(float, interval.split())))
        for name, value, interval in cells
    }


def first_curve():
    """What the first curve of the record was made of, its fit on the record's window."""
    one = kept_plots("x", SIZE)[0]["series"][0]
    curve = LearningCurve(np.array(one["x"]), np.array(one["seeds"]), np.array(one["usable"]))
    return curve


# --- plots ---------------------------------------------------------------------------------------


def test_every_plot_is_drawn(opened):
    page = opened()
    figures = page.locator(".plot")
    assert figures.count() == 10, "two of each run, and two that compare"
    joined = [sum(s["joined"] for s in data_of(f)["series"]) for f in figures.all()]
    drawn = [f.locator(".stage path.curve").count() for f in figures.all()]
    assert drawn == joined
    paths = page.locator(".stage path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
    assert not [d for d in paths if "NaN" in d or "Infinity" in d]


def test_curves_have_the_colours_of_the_pictures(looked_at):
    """Of a plot with colours of its own, and of one whose curves follow one another."""
    page = looked_at
    for place in ("run-1-model-scaling-plot-1", "run-3-theory-curves-plot-1"):
        one = page.locator(f"#{place}")
        plot = data_of(one)
        (kept,) = (p for p in read_plots(kept_plots(plot["id"], SIZE)) if p.id == plot["id"])
        palette = colors(kept.series, plot["ordered"])
        for series in kept.series:
            node = one.locator(f'.stage g[data-series="{series.name}"] path').first
            seen = node.evaluate("n => getComputedStyle(n.parentNode).getPropertyValue('--c')")
            if palette[series.name] not in (style.BLACK, style.GREY):
                assert seen.strip().lower() == palette[series.name].lower()


def test_exponents_and_intervals_are_those_of_python(looked_at):
    """The page draws its own replicates: 2000 give an interval to 5% of its width or so."""
    figure = plot_of(looked_at)
    curve, plot = first_curve(), data_of(figure)
    fit = fit_power_law(
        curve.size[1:], curve.loss[:, 1:], window=tuple(plot["window"]), n_bootstrap=20_000
    )
    value, interval = exponents(figure)["first"]
    assert value == pytest.approx(fit.exponent, rel=1e-5), "six digits of each seed"
    width = fit.interval[1] - fit.interval[0]
    assert interval == pytest.approx(fit.interval, abs=0.1 * width)
    assert width > 0.01
    value, interval = exponents(figure)["theory"]
    assert value == pytest.approx(0.4, abs=1e-11)
    assert interval == (), "no seeds, no interval"


def test_the_window_moves_by_key_and_by_pointer(figure):
    page, curve = figure.page, first_curve()
    x, window = curve.size, data_of(figure)["window"]
    low, high = figure.locator(".handle.low"), figure.locator(".handle.high")
    before = exponents(figure)
    low.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    start = float(low.get_attribute("aria-valuenow"))
    assert start in x
    assert start > window[0]
    now = exponents(figure)["first"][0]
    assert now == pytest.approx(curve.slopes((start, x[-1])).mean(), rel=1e-5)
    assert "recomputed" in figure.locator(".sr").text_content()
    page.keyboard.press("Home")
    assert float(low.get_attribute("aria-valuenow")) == x[0]
    high.scroll_into_view_if_needed()
    box = high.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] - 150, box["y"] + 10, steps=5)
    page.mouse.up()
    end = float(high.get_attribute("aria-valuenow"))
    assert x[0] < end < x[-1]
    assert exponents(figure)["first"][0] == pytest.approx(
        curve.slopes((x[0], end)).mean(), rel=1e-5
    )
    figure.locator(".mover").focus()
    page.keyboard.press("ArrowRight")
    assert float(low.get_attribute("aria-valuenow")) == x[1]
    assert float(high.get_attribute("aria-valuenow")) > end
    figure.get_by_role("button", name=re.compile("^Use the window")).first.click()
    assert "this window" in figure.locator(".fit").inner_text()
    figure.get_by_role("button", name="reset window").click()
    assert exponents(figure) == before


def test_points_by_pointer_and_by_key(figure):
    page, explore, tip = figure.page, figure.locator(".explore"), figure.locator(".tip")
    explore.scroll_into_view_if_needed()
    assert tip.is_hidden()
    box = explore.bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    assert "n: " in tip.inner_text()
    assert "loss: " in tip.inner_text()
    page.mouse.move(2, 2)
    assert tip.is_hidden()
    figure.locator(".legend button").last.focus()
    explore.focus()
    assert tip.is_visible(), "where the pointer was"
    seen = []
    for key in ("Home", "ArrowRight", "End", "ArrowDown"):
        page.keyboard.press(key)
        seen.append(tip.inner_text())
        assert seen[-1].split("\n")[0] in figure.locator(".sr").text_content()
    assert len(set(seen)) == 4
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "mover"


def test_toggles(figure):
    def count(what):
        return figure.locator(f".stage {what}").count()

    assert (count("path.curve"), count("path.seed"), count("path.theory")) == (4, 0, 1)
    figure.locator('[data-toggle="seeds"]').click()
    assert count("path.seed") == 6, "three of each measured curve"
    figure.locator('[data-toggle="theory"]').click()
    assert (count("path.curve"), count("path.theory")) == (2, 0)
    figure.locator('[data-toggle="theory"]').click()
    figure.locator('[data-view="residual"]').click()
    assert count("path.one") == 1
    assert count("path.curve") == 1, "the only one with a prediction"
    labels = figure.locator(".stage svg > g").first.locator("text").all_text_contents()
    assert len([t for t in labels if re.fullmatch(r"[\d.]+", t)]) > 6, "both axes have labels"
    figure.locator('[data-view="local"]').click()
    assert "local exponent, recomputed in this page" in figure.locator(".stage svg").text_content()
    figure.locator('[data-view="values"]').click()
    first = figure.locator(".legend button").first
    first.focus()
    figure.page.keyboard.press("Enter")
    assert count("path.curve") == 3
    assert first.get_attribute("aria-pressed") == "false"
    assert "first" not in exponents(figure)


# --- what is taken out ---------------------------------------------------------------------------


def taken(figure, kind):
    with figure.page.expect_download() as download:
        figure.locator(f'[data-take="{kind}"]').click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_data_of_a_plot_as_csv(figure):
    name, content = taken(figure, "csv")
    assert name == "run-1-model-scaling-model-scaling.csv"
    rows = list(csv.DictReader(content.decode().splitlines()))
    (plot,) = (p for p in kept_plots("model-scaling", SIZE) if p["id"] == "model-scaling")
    for series in plot["series"]:
        mine = [row for row in rows if row["series"] == series["name"]]
        drawn = [row for row in mine if not row["seed"]]
        assert [float(row["x"]) for row in drawn] == list(series["x"])
        assert [float(row["y"]) for row in drawn] == list(series["y"])
        assert {row["x_label"] for row in mine} == {"n"}
        for i, seed in enumerate(series["seeds"] or ()):
            assert [float(row["y"]) for row in mine if row["seed"] == str(i)] == pytest.approx(
                seed, rel=1e-5
            )
    assert {row["usable"] for row in rows if row["series"] == "first"} == {"true", "false"}


def test_a_plot_as_picture(opened, tmp_path):
    """On white paper whatever the page looks like, with title, legend and no style sheet."""
    figure = plot_of(opened(color_scheme="dark"))
    before = figure.locator(".stage").evaluate("n => getComputedStyle(n).color")
    name, content = taken(figure, "svg")
    assert name.endswith("-model-scaling.svg")
    root = ElementTree.fromstring(content)
    words = " ".join(
        "".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")
    )
    for part in ("A title", "second", "limit", "loss"):
        assert part in words
    assert b"class=" not in content
    assert b"var(" not in content
    assert b"rgb(0, 114, 178)" in content, "the first colour as on paper"
    assert figure.locator(".stage").evaluate("n => getComputedStyle(n).color") == before
    _, pixels = taken(figure, "png")
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(pixels)).convert("RGB")
    assert image.width >= 1500
    assert image.getpixel((2, 2)) == (255, 255, 255)
    assert len(set(image.resize((300, 300)).get_flattened_data())) > 20, "something is drawn"


def test_texts_are_copied(browser, report_file, opened):
    page = opened(permissions=["clipboard-read", "clipboard-write"])

    def pasted():
        return page.evaluate("navigator.clipboard.readText()")

    page.locator("#cite .copy").click()
    assert pasted().startswith("@article{brill2024,")
    page.locator("details.claims summary").click()
    page.get_by_role("button", name=re.compile("^disagrees")).click()
    page.get_by_role("button", name="Copy the claims shown as a Markdown table").click()
    lines = pasted().splitlines()
    assert lines[0].startswith("| claim | source |")
    assert len(lines) == 2 + 4, "one of each run disagrees"
    page.get_by_role("button", name="Copy the claims shown as a LaTeX table").click()
    table = pasted()
    assert table.startswith(r"\begin{tabular}")
    assert table.rstrip().endswith(r"\end{tabular}")
    assert r"0.5 $\pm$ 0.03 & " in table
    page.locator("#run-1-model-scaling summary", has_text="How to redo it").click()
    page.locator("#run-1-model-scaling .copy").first.click()
    assert "percolaw run model-scaling" in pasted()
    assert page.locator("#run-1-model-scaling .copy").first.inner_text() == "copied"


# --- the page ------------------------------------------------------------------------------------


def test_claims_are_folded_and_links_unfold_them(opened):
    page = opened(reduced_motion="reduce")
    rows = page.locator("details.claims tr[data-verdict]:visible")
    assert rows.count() == 0
    assert page.locator(".disagreements li").count() == 4
    page.locator("#run-1-model-scaling").get_by_role("link", name="To the claims").click()
    assert rows.count() == 12
    page.get_by_role("button", name=re.compile("^disagrees")).click()
    assert rows.count() == 4
    link = rows.first.locator("th a")
    target = link.get_attribute("href")
    link.click()
    assert 0 <= page.locator(target).bounding_box()["y"] < 100


def test_the_bar_of_links_stays_and_says_where_the_reader_is(opened):
    page = opened(reduced_motion="reduce")
    bar = page.locator("nav")
    bar.get_by_role("link", name=re.compile("^theory-curves")).click()
    assert bar.bounding_box()["y"] == 0
    page.wait_for_function("document.querySelector('nav [aria-current]')")
    page.wait_for_timeout(50)
    assert "theory-curves" in bar.locator("[aria-current]").inner_text()


def test_runs_of_one_experiment_are_told_apart_and_overlaid(looked_at):
    page = looked_at
    for i, seeds in ((1, "3"), (2, "17")):
        assert f"n_seeds = {seeds}" in page.locator(f"#run-{i}-model-scaling h2").inner_text()
    both = plot_of(page, "run-1-model-scaling-runs-plot-1")
    names = [s["name"] for s in data_of(both)["series"]]
    assert names[:2] == ["first (n_seeds = 3)", "second (n_seeds = 3)"]
    assert names.count("theory") == 1, "the same in both, drawn once"
    assert "first (n_seeds = 17)" in names
    assert exponents(both).keys() == {n for n in names if n != "limit"}
    colors = dict(zip(names, data_of(both)["colors"], strict=True))
    assert colors["first (n_seeds = 3)"] == style.BLUE.lower()
    assert colors["first (n_seeds = 17)"] == lighter(style.BLUE, 0.62)


def test_formulas_are_typeset(looked_at):
    """By the script, from the plain letters in which records have them."""
    page = looked_at
    assert "α" in page.locator("#run-3-theory-curves h2").inner_text()
    plot = page.locator("#run-3-theory-curves-plot-1")
    assert plot.locator("h3").inner_html() == (
        "n<sub>s</sub> ∼ s<sup>−5/2</sup>, τ ≥ 2 at max_size"
    )
    label = plot.locator(".stage text.label").first
    assert label.locator("tspan").all_text_contents() == ["k", "br"]


def artifacts(tmp_path):
    where = os.environ.get("PERCOLAW_ARTIFACTS")
    if where:
        Path(where).mkdir(parents=True, exist_ok=True)
    return Path(where) if where else tmp_path


def test_a_tap_on_a_phone_shows_a_point_until_another_tap(opened, tmp_path):
    page = opened(**PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    figure = plot_of(page)
    explore, tip = figure.locator(".explore"), figure.locator(".tip")
    explore.scroll_into_view_if_needed()
    box = explore.bounding_box()
    seen = set()
    for share in (0.2, 0.5, 0.8):
        page.touchscreen.tap(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
        page.wait_for_timeout(30)
        assert tip.is_visible()
        seen.add(tip.inner_text())
    assert len(seen) == 3
    figure.locator("h3").tap()
    assert tip.is_hidden()
    page.locator("details.claims summary").tap()
    wide = page.locator("details.claims td[data-label=source]").first.bounding_box()
    assert wide["x"] + wide["width"] <= 390, "a card, not a table to be moved sideways"
    page.screenshot(path=artifacts(tmp_path) / "report-phone.png")


def test_words_stand_at_all_ticks_of_a_phone_one_below_the_other(opened, tmp_path):
    words = ["input", "1\nbefore", "1\nafter", "2\nbefore", "2\nafter"]
    layers = record("layer-dimension", size=len(words))
    plot = {**layers["plots"][1], "x_log": False, "x_ticks": words}
    places = {"x": list(range(len(words))), "seeds": None}
    plot["series"] = [{**one, **places} for one in plot["series"] if one["joined"]]
    folder = write_run(tmp_path / "layers", layers | {"plots": [plot]}, png(900, 400))
    page = opened(write_report([folder], tmp_path / "report.html")[0], **PHONE)
    ticks = page.locator(".stage text.tick")
    assert ticks.all_text_contents() == [row for word in words for row in word.split("\n")]
    boxes = [one.bounding_box() for one in ticks.all()]
    for a, b in itertools.combinations(boxes, 2):
        beside = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
        assert beside or abs(a["y"] - b["y"]) >= 12
    assert max(box["x"] + box["width"] for box in boxes) <= 390


def test_dark_is_dark_and_no_width_scrolls_sideways(opened, tmp_path):
    page = opened(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 27)"
    curve = plot_of(page).locator('.stage g[data-series="first"] path.curve')
    assert curve.evaluate("n => getComputedStyle(n).stroke") != "rgb(0, 114, 178)"
    page.screenshot(path=artifacts(tmp_path) / "report-dark.png")
    for narrow in (1280, 700, 360):
        page.set_viewport_size({"width": narrow, "height": 800})
        page.wait_for_timeout(60)
        assert page.evaluate("document.documentElement.scrollWidth") <= narrow
    assert page.locator(".stage svg").first.bounding_box()["width"] <= 360
    page.set_viewport_size({"width": 1280, "height": 900})


def test_print_has_claims_and_plots_and_leaves_the_data_folded(opened):
    page = opened(color_scheme="dark")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    for hidden in (
        ".controls",
        ".handle",
        ".explore",
        "nav",
        ".copy",
        ".plot details",
        ".folds details",
    ):
        assert page.locator(hidden).first.is_hidden(), hidden
    for visible in (".stage svg", ".pictures img", "details.claims table", ".fit td", "#cite pre"):
        assert page.locator(visible).first.is_visible(), visible
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    page.emulate_media(media="null")
    pages = len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format="A4")))
    assert 2 < pages <= 9, "four runs and a comparison"


def test_a_page_of_runs_that_go_on_loads_itself_anew_until_it_is_touched(opened, tmp_path):
    file = tmp_path / "live.html"

    def write(done):
        content = build([], running=[f"{done} of 3 units"])
        file.write_text(content.replace('data-reload="5"', 'data-reload="0.1"'), "utf-8")

    write(1)
    page = opened(file)
    write(2)
    page.get_by_text("2 of 3 units").wait_for()
    button = page.get_by_role("button", name="load anew")
    while not button.is_visible():  # a click may fall on a page that is being replaced
        page.locator("h1").click()
    write(3)
    page.wait_for_timeout(250)
    assert page.get_by_text("2 of 3 units").is_visible()
    button.click()
    page.get_by_text("3 of 3 units").wait_for()


def test_without_scripts_pictures_and_tables_remain(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".pictures img").first.is_visible()
    page.locator("details.claims summary").click()
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
    page = opened(file)
    page.wait_for_timeout(100)
    assert page.evaluate("window.owned") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.locator(".stage path.curve").count() > 4


@pytest.mark.parametrize(
    "values",
    [
        [1e308, 1e-308, 1e300],
        [None, None, None],
        pytest.param([0, 0, 0], marks=pytest.mark.slow),
        pytest.param([-1, 5, 2], marks=pytest.mark.slow),
    ],
)
def test_strange_numbers_are_drawn_or_said(values, opened, tmp_path):
    bad = record("parameters-vs-dof", len(values))
    bad["plots"][0]["series"][0]["y"] = values
    file, _ = write_report([write_run(tmp_path / "run", bad)], tmp_path / "x.html")
    page = opened(file)
    for view in ("values", "local"):
        page.locator(f'[data-view="{view}"]').click()
        paths = page.locator(".stage path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
        assert not [d for d in paths if "NaN" in d or "Infinity" in d]
