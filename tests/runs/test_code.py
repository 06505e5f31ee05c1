"""Which code measured a unit: what a change of the source makes stale, and what it does not."""

import ast
import functools
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import percolaw
from percolaw.experiments import fields
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.runs import code

PACKAGE = Path(percolaw.__file__).parent


@pytest.fixture(scope="module", autouse=True)
def _each_text_is_read_once():
    """After an edit one file of 300 is another: what the others hold is kept by their texts."""
    parse = functools.cache(ast.parse)
    imports: dict[object, tuple[str, ...]] = {}

    def imports_of(name, file, tree, user, of=code._imports):
        key = (name, file.name, tree, user)
        if key not in imports:
            imports[key] = of(name, file, tree, user)
        return imports[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "ast", types.SimpleNamespace(**{**vars(ast), "parse": parse}))
        patch.setattr(code, "_essence", functools.cache(code._essence))
        patch.setattr(code, "_imports", imports_of)
        yield
    code.forget()


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """A copy of the package's sources that may be edited, and what its experiments hash to."""
    copy = tmp_path / "percolaw"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "_PACKAGE", copy)
    code.forget()

    def change(file, old, new):
        text = (copy / file).read_text(encoding="utf-8")
        assert old in text
        (copy / file).write_text(text.replace(old, new, 1), encoding="utf-8")
        code.forget()

    yield change
    code.forget()


def hashes(*names):
    return [code.experiment_code(experiment_class(name)) for name in names]


def test_what_explains_does_not_count(edited):
    names = ("teachers", "kernel-scaling", "nn-data-scaling")
    before, package = hashes(*names), code.package_code()
    edited("targets/fourier.py", '"""', '"""  Two blanks, and a sentence.  ')
    edited("targets/fourier.py", "import math\n", "\n\nimport math  # a comment\n\n# another\n")
    edited("kernels/tree.py", "\n\n\n", "\n\n\n\n   \n")
    assert hashes(*names) == before
    assert code.package_code() == package


def test_a_kernel_that_is_used_counts_and_another_does_not(edited):
    before = hashes("kernel-scaling", "theory-curves")
    edited("kernels/random.py", "uint64", "int64")
    after = hashes("kernel-scaling", "theory-curves")
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_parts_that_measure_nothing_do_not_count(edited):
    before, package = hashes("embedded-1nn"), code.package_code()
    for part in ("report/draw.py", "cli/run.py", "runs/store.py"):
        (code._PACKAGE / part).write_text("x = 1\n")
    code.forget()
    assert hashes("embedded-1nn") == before
    assert code.package_code() == package


@pytest.mark.parametrize(
    "name",
    [
        "kernel-scaling",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("nn-data-scaling", "regimes", "embedded-1nn")
        ),
    ],
)
def test_everything_that_measuring_loads_counts(name):
    """In a fresh process: every module of the package that a unit loads is in the closure."""
    pytest.importorskip("torch")
    closure = code.closure(experiment_class(name).__module__)
    script = (
        "import sys\n"
        "from percolaw.experiments.base import preset\n"
        "from percolaw.experiments.registry import experiment_class\n"
        "before = set(sys.modules)\n"
        f"e = preset(experiment_class({name!r}), 'smoke')\n"
        "e.measure(e.cells()[0])\n"
        "print(*[m for m in set(sys.modules) - before if m.startswith('percolaw.')])\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1"},
    ).stdout.split()
    measured = [m for m in loaded if m.split(".")[1] not in code._OUTSIDE]
    measured = [m for m in measured if m not in code._PROTOCOL]
    assert len(measured) > 8
    assert set(measured) <= closure
    assert len(closure) < 0.5 * len(list(PACKAGE.rglob("*.py")))  # not simply everything


def essence(source):
    return code._essence(ast.parse(source))


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        ('"""Doc."""\nx = 1\n', "x = 1\n", True),
        ("def f():\n    '''Doc.'''\n    return 1\n", "def f():\n    return 1\n", True),
        ("x = 1  # one\n\n\n# two\ny = 2\n", "x = 1\ny = 2\n", True),
        ("x = 'a # b'\n", "x = 'a # c'\n", False),
        ("x = '''a\n\nb'''\n", "x = '''a\n\nc'''\n", False),
        ("x = 1\n", "x = 2\n", False),
        ("if x:\n    y = 1\n", "if x:\n    pass\ny = 1\n", False),
        ("x = (1,\n     2)\n", "x = (1, 2)\n", True),
    ],
)
def test_essence(one, two, equal):
    assert (essence(one) == essence(two)) == equal


def test_lines_of_a_text_are_not_taken_for_blank_ones():
    assert essence("x = '''a\n\nb'''\n") != essence("x = '''a\nb'''\n")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's own file with a helper beside it; writes either, and imports the class."""
    place = tmp_path / "mine"
    place.mkdir()
    monkeypatch.syspath_prepend(place)

    def write(name, text):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
        code.forget()

    write("beside.py", "SCALE = 1\n")
    write("stranger.py", "SCALE = 1\n")
    yield write
    for name in [m for m in sys.modules if m.split(".")[0] in ("own_toy", "own_package")]:
        del sys.modules[name]


OWN = '''"""Mine."""

import beside
import percolaw as pl


class Mine:
    name = "mine"

    def measure(self, cell):
        return pl.nearest_neighbors(cell["x"], cell["x"], beside.SCALE)
'''


def test_own_classes_hash_their_file_and_what_it_imports(mine, edited):
    mine("own_toy.py", OWN)
    import own_toy

    first = code.experiment_code(own_toy.Mine)
    mine("own_toy.py", OWN.replace("Mine.", "Mine, explained."))
    mine("stranger.py", "SCALE = 2\n")
    edited("clusters/growth.py", "import numpy", "import numpy as _unused\nimport numpy")
    assert code.experiment_code(own_toy.Mine) == first
    seen = {first}
    mine("beside.py", "SCALE = 2\n")
    seen.add(code.experiment_code(own_toy.Mine))
    mine("own_toy.py", OWN.replace('"mine"', '"ours"'))
    seen.add(code.experiment_code(own_toy.Mine))
    edited("numerics/neighbors.py", "import numpy", "import numpy as _unused\nimport numpy")
    seen.add(code.experiment_code(own_toy.Mine))
    assert len(seen) == 4


def test_own_packages_count_and_what_is_installed_beside_them_does_not(mine, edited):
    mine("own_package/__init__.py", "")
    mine("own_package/helper.py", "import stranger\n")
    mine("own_package/toy.py", "from . import helper\n\n\nclass Mine:\n    name = 'mine'\n")
    from own_package import toy

    first = code.experiment_code(toy.Mine)
    mine("stranger.py", "SCALE = 2\n")
    assert code.experiment_code(toy.Mine) == first
    bytes_before = code.source_bytes(toy.Mine)
    mine("own_package/helper.py", "import stranger as _\n")
    assert code.experiment_code(toy.Mine) != first
    assert code.source_bytes(toy.Mine) != bytes_before


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("x = getattr(pl, 'estimate_dimension')", True),
        ("x = pl.estimate_dimension", True),
        ("x = pl.nearest_neighbors", False),
        ("if True: x = pl.estimate_dimension", True),
        ("TYPE_CHECKING = False\n    if TYPE_CHECKING: pl.estimate_dimension", False),
        ("from percolaw.datasets.source import Source; source: Source = None", True),
    ],
    ids=["by name", "attribute", "another", "under a condition", "for types", "words of a field"],
)
def test_what_is_asked_of_the_package_counts(mine, edited, line, counts):
    """Dimensions, or for a field the lattices that its words may name."""
    text = OWN.replace("import beside\n", "").replace("beside.SCALE", "1")
    mine("own_toy.py", text.replace("class Mine:\n", f"class Mine:\n    {line}\n"))
    import own_toy

    first = code.experiment_code(own_toy.Mine)
    file = "datasets/sources.py" if "source" in line else "dimension/estimate.py"
    edited(file, "import numpy", "import numpy as _unused\nimport numpy")
    assert (code.experiment_code(own_toy.Mine) != first) == counts


def test_where_there_is_no_file_the_whole_package_counts(edited):
    scope: dict[str, object] = {"__name__": "cell_of_a_notebook"}
    exec("class Mine:\n    name = 'mine'\n", scope)
    first = code.experiment_code(scope["Mine"])
    edited("clusters/growth.py", "import numpy", "import numpy as _unused\nimport numpy")
    assert code.experiment_code(scope["Mine"]) != first


def test_bytes_are_a_fast_answer(edited):
    cls = experiment_class("embedded-1nn")
    first, before = code.source_bytes(cls), code.experiment_code(cls)
    edited("targets/fourier.py", '"""', '"""A sentence. ')
    assert code.source_bytes(cls) != first
    assert code.experiment_code(cls) == before
    edited("report/draw.py", '"""', '"""A sentence. ')
    second = code.source_bytes(cls)
    (code._PACKAGE / "report" / "new.py").write_text("x = 1\n")
    code.forget()
    assert code.source_bytes(cls) == second


def test_what_words_may_name_counts():
    """A field may hold any source or target: all of them are code of the experiment."""
    seen = 0
    for name in EXPERIMENTS:
        cls = experiment_class(name)
        parsers = map(fields.parser_of, fields.hints(cls).values())
        modules = {parse.__module__ for parse in parsers if parse is not None}
        assert modules <= code.closure(cls.__module__), name
        seen += len(modules)
    assert seen > 8
