"""Figures and tables are functions of records."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from runnable import RUNNABLE
from toy_experiment import shared_root, smoke_run

from percolaw.errors import RunError
from percolaw.experiments.claims import Claim
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.report import draw_figures
from percolaw.report.claims import (
    claims_markdown,
    claims_table,
    disagreements,
    measured,
    number,
    tally,
)

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture
def record_folder(tmp_path_factory, tmp_path):
    """name -> a folder that holds nothing but the record of a smoke run."""

    def get(name, label="copy"):
        _, finished = smoke_run(shared_root(tmp_path_factory), name)
        folder = tmp_path / label
        folder.mkdir()
        shutil.copy(finished / "record.json", folder)
        return folder

    return get


def png_size(data: bytes) -> tuple[int, int]:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


#: Pictures with code of their own, and one of curves; first those drawn before in another process.
TWICE = ("cluster-drawings", "dof-scan", "exponents-by-dimension")
KINDS = (*TWICE, "cluster-points", "teacher-gallery", "dimension")


@pytest.mark.slow  # what they conclude is read by test_html.py, every kind of picture drawn below
@pytest.mark.parametrize("name", RUNNABLE)
def test_every_experiment_has_figures(name, tmp_path_factory):
    _, finished = smoke_run(shared_root(tmp_path_factory), name)
    drawn = sorted((finished / "figures").glob("*.png")) or draw_figures(finished)
    assert drawn
    for path in drawn:
        data = path.read_bytes()
        width, height = png_size(data)
        assert width >= 400
        assert height >= 300
        assert len(data) > 5000, "nothing on it"
        assert b"tIME" not in data


@pytest.mark.parametrize(
    "name", [*TWICE, *(pytest.param(name, marks=pytest.mark.slow) for name in KINDS[len(TWICE) :])]
)
def test_figures_depend_on_the_record_alone(name, record_folder, tmp_path_factory):
    """Drawn here with the user's settings changed, and by the run itself in another process."""
    folder = record_folder(name)
    _, finished = smoke_run(shared_root(tmp_path_factory), name)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 20}):
        settings = dict(matplotlib.rcParams)
        drawn = draw_figures(folder)
        changed = {k for k, v in matplotlib.rcParams.items() if settings[k] != v}
    assert not changed - {"backend"}, f"settings left changed: {changed}"
    assert drawn
    for path in drawn:
        assert path.parent == folder / "figures"
        assert len(path.read_bytes()) > 5000, "nothing on it"
        if name in TWICE:
            assert path.read_bytes() == (finished / "figures" / path.name).read_bytes()
    for place in (folder, finished) if name in TWICE else (folder,):
        assert {p.name for p in (place / "figures").iterdir()} == {p.name for p in drawn}
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_another_record_gives_another_figure(record_folder):
    folder = record_folder("exponents-by-dimension")
    before = draw_figures(folder)[0].read_bytes()
    record = json.loads((folder / "record.json").read_text())
    one = record["plots"][0]["series"][0]
    one["y"] = [y / 2 for y in one["y"]]
    (folder / "record.json").write_text(json.dumps(record))
    assert draw_figures(folder)[0].read_bytes() != before


def test_the_backend_of_the_user_stays(record_folder):
    folder = record_folder("exponents-by-dimension")
    before = matplotlib.get_backend()
    try:
        matplotlib.use("svg")
        draw_figures(folder)
        assert matplotlib.get_backend().lower() == "svg"
    finally:
        matplotlib.use(before)


def test_unfinished_runs_are_refused(tmp_path):
    with pytest.raises(RunError, match="neither a run folder nor"):
        draw_figures(tmp_path)


def test_every_experiment_draws_or_plots():
    import inspect

    import percolaw.report.figures as figures

    files = {p.stem for p in Path(figures.__file__).parent.glob("[a-z]*.py")}
    for name, where in EXPERIMENTS.items():
        cls = experiment_class(name)
        modules = {inspect.getmodule(o) for o in (cls, cls.conclude)}
        modules |= {m for n in modules for m in vars(n).values() if inspect.ismodule(m)}
        ours = [m for m in modules if m.__name__.startswith("percolaw.experiments.")]
        source = "".join(map(inspect.getsource, ours))
        found = (
            where.split(":")[0].rpartition(".")[2] in files
            or "plots" in source
            or "scaling_law" in source
        )
        assert found, name


# --- tables --------------------------------------------------------------------------------------


def claim(name="a claim", verdict="agrees", interval=(0.9, 1.1), note="", source="here"):
    return Claim(name, source, 1.0, 1.0 / 3.0, interval, 0.1, verdict, note)


def test_numbers():
    assert [number(x) for x in (1 / 3, 123456.0, 1e-9, 0.0)] == [
        "0.3333",
        "1.235e+05",
        "1e-09",
        "0",
    ]
    assert measured(claim()) == "0.3333 [0.9, 1.1]"
    assert measured(claim(interval=(0.5, 0.5))) == "0.3333"
    assert measured(claim(interval=(float("-inf"), float("inf")))) == "0.3333 [-inf, inf]"


def test_table_is_aligned_and_wrapped():
    long = "loss over the theory " * 12
    claims = [
        claim(),
        claim(long, "disagrees", note="because " * 9, source="a book, " * 9),
        claim("third", "inconclusive", (0.0, float("inf"))),
    ]
    text = claims_table(claims)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 130
    bars = {tuple(m.start() for m in re.finditer(r" \| ", line + " ")) for line in lines[2:]}
    full = max(bars, key=len)
    assert all(b == full[: len(b)] for b in bars), "columns are not aligned"
    assert lines[1].replace("-", "") == "++++"
    assert all(line == line.rstrip() for line in lines)
    column = " ".join(line.split(" | ")[0] for line in lines[3:-1])
    assert column.split() == [*long.split(), "--", *["because"] * 9]
    assert [line.split(" | ")[4] for line in lines if line.count(" | ") == 4][1:] == [
        *("agrees", "DISAGREES", "inconclusive")
    ]
    assert "\x1b" not in text


def test_table_in_colour_reads_the_same():
    claims = [claim(verdict=v) for v in ("agrees", "disagrees", "inconclusive")]
    text = claims_table(claims, color=True)
    assert re.sub(r"\x1b\[\d+m", "", text).split() == claims_table(claims).split()
    for code, word in ((32, "agrees"), (31, "DISAGREES"), (33, "inconclusive")):
        assert f"\x1b[{code}m{word}" in text
    assert text.count("\x1b[0m") == 3


def test_empty_table():
    assert len(claims_table([]).splitlines()) == 2
    assert len(claims_markdown([]).splitlines()) == 2
    assert tally([]) == "0 agree, 0 disagree, 0 inconclusive"


@pytest.mark.parametrize("width", [40, 60, 80, 100, 130, 200])
def test_a_table_fits_its_width_and_says_all_but_the_source(width):
    said = [claim("loss over the theory " * 5, "disagrees", note="as expected"), claim()]
    text = claims_table(said, width=width)
    assert max(map(len, text.splitlines())) <= width
    words = re.sub(r"[|\s]+", " ", text)
    for part in ("DISAGREES", "as expected", "1 +- 0.1", "a claim"):
        assert part in words
    assert "0.3333" in words
    assert ("source" in words) == (width >= 130)


def test_disagreements_are_repeated_with_their_reason():
    said = [claim("one", "disagrees", note="too small"), claim("two"), claim("three", "disagrees")]
    text = disagreements(said, width=60)
    assert re.findall("one|two|three", text) == ["one", "three"]
    assert "-- too small" in text
    assert disagreements(said[1:2]) == ""


def test_markdown_escapes_pipes():
    text = claims_markdown([claim("P(|x| > 1)", note="a | b"), claim()])
    lines = text.splitlines()
    assert text.endswith("|\n")
    assert r"P(\|x\| > 1) (a \| b)" in lines[2]
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 6
    assert lines[3] == "| a claim | here | 1 +- 0.1 | 0.3333 [0.9, 1.1] | agrees |"


def test_tally():
    claims = [claim(verdict=v) for v in ("agrees", "agrees", "inconclusive", "disagrees")]
    assert tally(iter(claims)) == "2 agree, 1 disagree, 1 inconclusive"
