"""The site builds without a warning, and its tutorials print what they promise."""

import ast
import dataclasses
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections import Counter
from html import unescape
from pathlib import Path

import pytest

import percolaw as pl

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs")
    pytest.importorskip("latex2mathml")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def text_of(file: Path) -> str:
    return text_of_html(file.read_text(encoding="utf-8"))


def text_of_html(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html))


def test_tables_of_lattices_hold_the_committed_numbers():
    """README and lattices.md repeat the claims of `dimension-table`."""
    summary = ROOT / "docs" / "results" / "regimes-laptop" / "summary.json"
    claims = [
        c
        for c in json.loads(summary.read_text("utf-8"))["claims"]
        if c["experiment"] == "dimension-table"
    ]
    columns = (
        "tau",
        "D",
        "1/sigma",
        "d_min",
        "alpha",
        "exponent of a linear",
        "exponent of the free",
    )
    columns += ("p_c of bond", "p_c of site")
    digits = (3, 3, 3, 3, 2, 3, 3, 5, 5)
    for page, shown in (("README.md", (0, 1, 5, 6)), ("docs/lattices.md", range(9))):
        text = (ROOT / page).read_text(encoding="utf-8")
        rows = re.findall(r"^\| ([2-7]) ((?:\| [\d.]+ \[[^]]+\] \([\d.]+\) )+)\|$", text, re.M)
        assert [d for d, _ in rows] == list("234567")
        for d, cells in rows:
            expected = []
            for k in shown:
                starts = re.compile(rf"d = {d}: {re.escape(columns[k])}\b")
                claim = next(c for c in claims if starts.match(c["name"]))
                numbers = (claim["measured"], *claim["interval"], claim["predicted"])
                values = [f"{v:.{digits[k]}f}" for v in numbers]
                expected.append("{} [{}, {}] ({})".format(*values))
            assert cells.strip("| ").split(" | ") == expected


#: Numbers of findings.md with an interval that no claim prints: D = 1 / exponent of three claims, and the
#: exponent of a kernel that is compared with networks by its difference.
DERIVED = {
    *("4.00 [3.88, 4.09]", "4.11 [3.87, 4.39]", "4.25 [3.99, 4.51]", "0.98 [0.89, 1.05]"),
}


@pytest.mark.parametrize("page", ["findings", "lattices"])
def test_measured_values_in_the_text_are_those_of_a_committed_claim(page):
    committed = []
    for summary in (ROOT / "docs" / "results").glob("*/summary.json"):
        for claim in json.loads(summary.read_text(encoding="utf-8"))["claims"]:
            committed.append((claim["measured"], *claim["interval"]))
    for table in (ROOT / "docs" / "results").glob(
        "*/claims.md"
    ):  # of runs that are no reproduction
        found = re.findall(r"\| (\S+) \[(\S+), (\S+)\] \|", table.read_text(encoding="utf-8"))
        committed += [tuple(map(float, numbers)) for numbers in found]
    known = {
        "{} [{}, {}]".format(*(f"{v:.{k}f}" for v in numbers))
        for numbers in committed
        if None not in numbers
        for k in range(6)
    }
    text = " ".join((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").split())
    measured = set(re.findall(r"-?\d+\.\d+ \[-?\d+\.\d+, -?\d+\.\d+\]", text))
    assert len(measured) > 10
    assert measured - known <= DERIVED


def test_counts_of_the_readme_are_those_of_the_committed_claims():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    summary = ROOT / "docs" / "results" / "brill2024-paper" / "summary.json"
    theory = ("theory-curves", "exponents-by-dimension", "parameters-vs-dof")
    counts = {True: Counter(), False: Counter()}
    for claim in json.loads(summary.read_text("utf-8"))["claims"]:
        counts[claim["experiment"] in theory][claim["verdict"]] += 1
    simulated, checked = counts[False], counts[True]
    said = f"of {simulated.total()} claims on simulations {simulated['agrees']} agree, "
    said += f"{simulated['disagrees']} disagrees and {simulated['inconclusive']} is inconclusive; "
    said += f"{checked.total()} more check theory and literature against themselves, of which "
    said += f"{checked['disagrees']} fail and {checked['inconclusive']} is inconclusive."
    assert said in readme


def test_the_example_of_the_readme_is_the_one_that_can_be_run():
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert (ROOT / "examples" / "readme.py").read_text().endswith(f"\n\n{block}")


@pytest.mark.slow
def test_every_experiment_has_a_page_with_its_config(site):
    from percolaw.experiments.registry import EXPERIMENTS, experiment_class
    from percolaw.report.draw import typeset

    for name in EXPERIMENTS:
        page = text_of(site / "gallery" / f"{name}.html")
        title = re.sub(r"[$_^{}]|\\mathrm", "", typeset(experiment_class(name).title))
        assert title[:20] in page
        assert getattr(experiment_class(name), "command", f"percolaw run {name}") in page
        fields = [field.name for field in dataclasses.fields(experiment_class(name))]
        assert all(field in page for field in fields)
    results = text_of(site / "gallery" / "kernel-scaling.html")
    assert (
        "cube 2, \N{GREEK SMALL LETTER NU} = 0.5: exponent 2 \N{GREEK SMALL LETTER NU}/D" in results
    )
    assert "agrees" in results


@pytest.mark.slow
def test_cards_of_the_gallery_have_pictures(site):
    from PIL import Image

    index = (site / "gallery" / "index.html").read_text(encoding="utf-8")
    cards = re.findall(r'<a href="([\w-]+)\.html"><img alt="" src="([\w-]+\.png)"', index)
    assert len(cards) > 20
    assert "exact law; <" in index, "formulas in titles are set"
    for name, picture in cards:
        assert picture == f"{name}.png"
        with Image.open(site / "gallery" / picture) as small:
            assert small.width <= 480
            assert small.height <= 360


@pytest.mark.slow
def test_formulas_are_mathml_and_nothing_is_left_of_their_source(site):
    for page, least in (("index", 20), ("theory", 300), ("findings", 30), ("lattices", 80)):
        html = (site / f"{page}.html").read_text(encoding="utf-8")
        assert html.count("<math") >= least
        body = re.sub(r"<script.*?</script>", "", html, flags=re.S)
        assert "$" not in text_of_html(re.sub(r"<(code|math)\b.*?</\1>", "", body, flags=re.S)), (
            page
        )
        assert "\\" not in "".join(re.findall(r"<math.*?</math>", html, re.S)), page


@pytest.mark.slow
def test_search_works_from_disk(site):
    """The index is a script, and pages load what stands in for the worker that browsers refuse there."""
    assert (
        (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index")
    )
    for page in ("index.html", "tutorials/cluster.html"):
        (address,) = re.findall(r'src="([^"]*iframe-worker.js)"', (site / page).read_text("utf-8"))
        assert (site / page).parent.joinpath(address).resolve().exists()


@pytest.mark.slow
def test_tutorials_were_executed(site):
    cluster = text_of(site / "tutorials" / "cluster.html")
    exponent = float(re.search(r"exponent (0\.\d+) \[", cluster).group(1))
    assert 0.4 < exponent < 0.6
    assert "expected 0.25" in cluster
    dimension = text_of(site / "tutorials" / "dimension.html")
    assert "No single dimension" in dimension
    runs = text_of(site / "tutorials" / "runs.html")
    assert "done before, total: (3, 4)" in runs
    for file in (site / "tutorials").glob("*.html"):
        assert "Traceback" not in text_of(file)


@pytest.mark.slow
def test_an_own_model_is_probed_in_ten_lines():
    page = (ROOT / "docs" / "tutorials" / "latents.md").read_text(encoding="utf-8")
    code = page.partition("probed in ten lines")[2].split("```")[3]
    lines = [line for line in code.splitlines()[1:] if line]
    assert "module_activations" in lines[0]
    assert "ceiling" in lines[-1]
    assert len(lines) <= 10


def blocks_of(page: Path) -> list[str]:
    """The blocks of a page that are executed when the site is built."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```python exec[^\n]*\n(.*?)\n```$", text, re.M | re.S)


def test_tutorials_are_notebooks():
    """The cells of code are the blocks of the page, in order."""
    pytest.importorskip("mkdocs")
    sys.path.insert(0, str(ROOT / "docs" / "site"))
    try:
        from notebooks import notebook
    finally:
        sys.path.pop(0)
    for page in TUTORIALS:
        text = page.read_text(encoding="utf-8")
        book = json.loads(notebook(text))
        code = [c["source"] for c in book["cells"] if c["cell_type"] == "code"]
        assert code == blocks_of(page)
        prose = "".join(c["source"] for c in book["cells"] if c["cell_type"] == "markdown")
        assert text.splitlines()[0] in prose
        assert "```python exec" not in prose


@pytest.mark.slow
def test_tutorials_can_be_downloaded(site):
    for page in TUTORIALS:
        html = (site / "tutorials" / f"{page.stem}.html").read_text(encoding="utf-8")
        assert re.search(rf'<a download href="{page.stem}.ipynb"', html)
        json.loads((site / "tutorials" / f"{page.stem}.ipynb").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_what_tutorials_use_is_there(page):
    """Every name that they import or take from the package, and every keyword of its calls.

    The site, which executes them, takes a minute: `make docs`, or the slow tests.
    """
    for node in ast.walk(ast.parse("\n".join(blocks_of(page)))):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pl":
            assert hasattr(pl, node.attr), node.attr
        elif isinstance(node, ast.Call) and re.fullmatch(r"pl(\.\w+)+", ast.unparse(node.func)):
            assert_keywords(node)


def assert_keywords(call: ast.Call) -> None:
    function = pl
    for name in ast.unparse(call.func).split(".")[1:]:
        function = getattr(function, name)
    given = {keyword.arg: None for keyword in call.keywords if keyword.arg is not None}
    inspect.signature(function).bind_partial(*call.args[:1], **given)


@pytest.mark.parametrize(
    "name",
    [
        *("comparing", "rows", "runs"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cluster", "dimension")),
    ],
)
def test_short_tutorials_run(name, tmp_path, monkeypatch):
    """In this process: in one of their own each would load all anew, as when the site is built."""
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks_of(ROOT / "docs" / "tutorials" / f"{name}.md"))
    exec(compile(code, f"{name}.md", "exec"), {"__name__": "tutorial"})
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.mark.slow
def test_every_public_name_has_a_line_and_a_docstring(site):
    from percolaw.public import PUBLIC

    lines = (site / "reference" / "index.html").read_text(encoding="utf-8")
    for name, module in PUBLIC.items():
        (page,) = re.findall(rf'href="([\w-]+\.html)#percolaw\.{module}\.{name}"', lines)
        assert f'id="percolaw.{module}.{name}"' in (site / "reference" / page).read_text("utf-8")
        row = re.search(rf"<code>{name}</code></a></td>\s*<td>(.*?)</td>", lines, re.S)
        assert len(row.group(1)) > 15, name


@pytest.mark.slow
def test_every_flag_is_in_the_index(site):
    from percolaw.experiments.registry import EXPERIMENTS, experiment_class

    page = text_of(site / "reference" / "command-line.html")
    for flag in ("--workers", "--scheduler", "--preset", "--drop-duplicates", "--ensemble"):
        assert flag in page
    for name in EXPERIMENTS:
        for field in dataclasses.fields(experiment_class(name)):
            assert f"--{field.name.replace('_', '-')}" in page, (name, field.name)


@pytest.mark.slow
def test_pages_ask_nothing_from_the_network(site):
    for file in site.rglob("*.html"):
        for address in re.findall(r'(?:src|href)="(https?://[^"]+)"', file.read_text("utf-8")):
            tag = re.search(rf"<(\w+)[^>]*{re.escape(address)}", file.read_text("utf-8")).group(1)
            assert tag == "a", f"{file.name} loads {address}"
