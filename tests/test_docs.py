"""The site builds without a warning, and its tutorials print what they promise."""

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def text_of(file: Path) -> str:
    return unescape(re.sub(r"<[^>]+>", "", file.read_text(encoding="utf-8")))


def test_the_example_of_the_readme_is_the_one_that_can_be_run():
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert (ROOT / "examples" / "readme.py").read_text().endswith(f"\n\n{block}")


def test_every_experiment_has_a_page_with_its_config(site):
    from percolaw.experiments.registry import EXPERIMENTS, experiment_class

    for name in EXPERIMENTS:
        page = text_of(site / "gallery" / f"{name}.html")
        assert experiment_class(name).title.split("^")[0][:20] in page
        assert f"percolaw run {name}" in page
        assert "tolerance" in page or "n_pixels" in page or "sizes" in page or "n_drawn" in page
    results = text_of(site / "gallery" / "kernel-scaling.html")
    assert "cube 2, nu = 0.5: exponent 2 nu/D" in results
    assert "agrees" in results


def test_tutorials_were_executed(site):
    cluster = text_of(site / "tutorials" / "cluster.html")
    exponent = float(re.search(r"exponent (0\.\d+) \[", cluster).group(1))
    assert 0.4 < exponent < 0.6
    assert "predicted 0.25" in cluster
    dimension = text_of(site / "tutorials" / "dimension.html")
    assert "No single dimension" in dimension
    runs = text_of(site / "tutorials" / "runs.html")
    assert "done before, total: (3, 4)" in runs
    for page in (cluster, dimension, runs):
        assert "Traceback" not in page


def test_reference_has_the_public_names(site):
    pages = "".join(text_of(file) for file in (site / "reference").glob("*.html"))
    for name in ("make_cluster", "KernelRegression", "estimate_dimension", "MaternTeacher", "Tree"):
        assert name in pages


def test_pages_ask_nothing_from_the_network(site):
    for file in site.rglob("*.html"):
        for address in re.findall(r'(?:src|href)="(https?://[^"]+)"', file.read_text("utf-8")):
            tag = re.search(rf"<(\w+)[^>]*{re.escape(address)}", file.read_text("utf-8")).group(1)
            assert tag == "a", f"{file.name} loads {address}"
