"""The house rules that a machine can check (docs/architecture.md, CONTRIBUTING.md): arrows between
packages, what an import loads, docstrings, annotations."""

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

import percolaw

PACKAGE = Path(percolaw.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

_BASE = {
    "bits",
    "checks",
    "errors",
    "estimator",
    "frames",
    "nulls",
    "progress",
    "rng",
    "short",
    "shown",
    "version",
    "words",
}
_TREES = _BASE | {"structure", "tree", "graph", "kernels"}
#: What each part may use beside itself; `None` is everything.
ALLOWED = {
    "errors": set(),
    "arrays": set(),
    "text": set(),
    "nulls": set(),
    "frames": set(),
    "shown": set(),
    "resources": set(),
    "checks": {"arrays", "errors", "resources", "text"},
    "estimator": {"checks"},
    "rng": {"checks", "errors"},
    "locks": set(),
    "words": set(),
    "short": set(),
    "bits": {"checks"},
    "version": set(),
    "progress": set(),
    "public": set(),
    "kernels": set(),
    "laws": _BASE,
    "numerics": _BASE | {"kernels"},
    "structure": _BASE,
    "adjacency": set(),
    "tree": _BASE | {"structure", "adjacency", "kernels"},
    "graph": _BASE | {"structure", "adjacency", "tree", "kernels"},
    "scaling": _BASE | {"laws"},
    "dimension": _BASE | {"numerics"},
    "clusters": _TREES | {"laws"},
    "embedding": _TREES | {"clusters", "numerics", "dimension.mass_radius"},
    "targets": _TREES | {"numerics", "clusters.coalescent", "clusters.merges"},
    "datasets": _TREES | {"locks", "text", "laws", "clusters", "embedding", "targets"},
    "learners": _TREES | {"numerics"},
    "neural": _BASE | {"kernels", "numerics"},
    "learning": _BASE | {"numerics", "targets", "learners", "neural", "datasets", "scaling"},
    "experiments": _TREES
    | {"laws", "numerics", "clusters", "embedding", "targets", "datasets", "learners", "neural"}
    | {"learning", "scaling", "dimension", "analysis", "interpret"},
    "interpret": _BASE | {"kernels", "numerics", "structure", "clusters.merges"},
    "analysis": _BASE
    | {"adjacency", "kernels", "numerics", "laws", "scaling", "dimension", "structure"}
    | {"datasets", "learners", "neural", "progress"},
    "runs": _BASE
    | {"experiments.base", "experiments.claims", "experiments.fields", "experiments.registry"}
    | {"experiments.plots", "experiments.series", "scaling.curve"}
    | {"locks", "public"},
    "report": _BASE
    | {"text", "runs.store", "runs.files", "runs.description", "runs.folders", "runs.run"}
    | {"experiments.registry", "experiments.base", "experiments.claims", "experiments.plots"}
    | {"experiments.series"}
    | {"scaling.curve", "dimension.estimate", "datasets.dataset"}  # what objects' plot draws
    | {"analysis.findings", "experiments.real.data_plots"},
    "cli": None,
    "__main__": {"cli"},
    "__init__": None,
}


def module_name(file: Path) -> str:
    parts = ("percolaw", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts)


def _text(node: ast.expr) -> str:
    """The literal beginning of a string or f-string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        out = ""
        for part in node.values:
            if not isinstance(part, ast.Constant):
                break
            out += str(part.value)
        return out.rstrip(".")
    return ""


parse = functools.cache(ast.parse)


@functools.cache
def imported(source: str, module: str) -> frozenset[str]:
    """Absolute names of all modules a source imports, wherever and however it does."""
    found: set[str] = set()

    def package_name(name: str) -> str:
        """percolaw.X for a name taken from the top of the package."""
        if name in percolaw.PUBLIC:
            return f"percolaw.{percolaw.PUBLIC[name]}"
        return f"percolaw.{name}"

    for node in ast.walk(parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name != "percolaw"}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: -node.level]
                base = ".".join(above + ([node.module] if node.module else []))
            for alias in node.names:
                if base == "percolaw":
                    found.add(package_name(alias.name))
                elif (PACKAGE.parent / Path(*base.split("."), f"{alias.name}.py")).exists() or (
                    PACKAGE.parent / Path(*base.split("."), alias.name, "__init__.py")
                ).exists():
                    found.add(f"{base}.{alias.name}")
                else:
                    found.add(base)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "percolaw":
                found.add(package_name(node.attr))
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("import_module", "__import__", "extra") and _text(node.args[0]):
                found.add(_text(node.args[0]))
    return frozenset(found - {"percolaw.__version__", "percolaw.__file__", "percolaw"})


def wrong_arrows(source: str, module: str) -> list[str]:
    """Imports inside the package that ALLOWED does not list."""
    part = module.split(".")[1]
    assert part in ALLOWED, f"no rule for {part}: add it to ALLOWED with what it may use"
    allowed = ALLOWED[part]
    wrong = []
    for name in sorted(imported(source, module)):
        if not name.startswith("percolaw.") or allowed is None:
            continue
        target = name.split(".", 1)[1]
        head = target.split(".")[0]
        if part in ("runs", "report") and head in ("experiments", "runs") and head != part:
            legal = target in allowed
        else:
            legal = head == part or bool({head, target} & allowed)
        if not legal:
            wrong.append(f"{module} -> {name}")
    return wrong


def loops(sources: dict[str, str]) -> list[set[str]]:
    """Sets of modules that import each other, at the top, in functions or for type checkers alone."""
    arrows = {m: {n for n in imported(s, m) if n in sources and n != m} for m, s in sources.items()}
    reach: dict[str, set[str]] = {}
    for module in arrows:
        seen, waiting = set(), [module]
        while waiting:
            new = arrows[waiting.pop()] - seen
            seen |= new
            waiting += new
        reach[module] = seen
    return [
        {n for n in reach[module] if module in reach[n]}
        for module in reach
        if module in reach[module]
    ]


@functools.cache
def text(file: Path) -> str:
    return file.read_text()


def sources_of_all() -> dict[str, str]:
    """Every module's source by its name; packages under their own name."""
    return {module_name(f).removesuffix(".__init__"): text(f) for f in FILES}


def test_no_import_loops():
    assert not loops(sources_of_all())


@pytest.mark.parametrize(
    "line",
    [
        "import percolaw.numerics.neighbors",
        "def f():\n    from percolaw.numerics.neighbors import nearest_neighbors",
        "if TYPE_CHECKING:\n    from percolaw.numerics import neighbors",
        "def f():\n    import percolaw\n    return percolaw.nearest_neighbors",
    ],
)
def test_loops_are_seen(line):
    sources = sources_of_all()
    sources["percolaw.checks"] += "\n" + line + "\n"
    assert {"percolaw.checks", "percolaw.numerics.neighbors"} in [
        found & {"percolaw.checks", "percolaw.numerics.neighbors"} for found in loops(sources)
    ]


def trees():
    return [(module_name(file), parse(text(file))) for file in FILES]


#: Arrows against the rule that are known, and why each is wrong; a failing test stands for each.
def test_arrows_between_packages():
    wrong = {w for f in FILES for w in wrong_arrows(text(f), module_name(f))}
    assert not wrong, "\n".join(sorted(wrong))
    assert len(FILES) > 40


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("percolaw.scaling.fit", "from percolaw.tree import Tree"),
        ("percolaw.scaling.fit", "def f():\n    from percolaw import Tree"),
        ("percolaw.scaling.fit", "def f():\n    import percolaw\n    return percolaw.Tree"),
        ("percolaw.scaling.fit", "import importlib; importlib.import_module('percolaw.tree')"),
        ("percolaw.kernels.tree", "from percolaw import checks"),
        ("percolaw.tree", "from percolaw.clusters.growth import grow_clusters"),
        ("percolaw.clusters.growth", "from percolaw.embedding import walk"),
        ("percolaw.targets.tree_walk", "from percolaw.experiments import toy"),
        ("percolaw.learners.tree_nearest", "from ..experiments.base import Row"),
        ("percolaw.runs.run", "from percolaw.experiments import dof_scan"),
        ("percolaw.runs.run", "from percolaw.experiments import EXPERIMENTS"),
        ("percolaw.report.claims", "from percolaw.scaling import fit"),
        ("percolaw.report.claims", "from percolaw.runs.executor import run_units"),
        ("percolaw.report.claims", "from percolaw.experiments import toy"),
        ("percolaw.experiments.labelled", "from percolaw.runs.run import run"),
        ("percolaw.experiments.labelled", "from percolaw.cli import main"),
    ],
)
def test_the_walker_sees_wrong_arrows(module, source):
    assert wrong_arrows(source, module)


def test_heavy_libraries_stay_where_they_belong():
    for file in FILES:
        module, source = module_name(file), text(file)
        used = {name.split(".")[0] for name in imported(source, module)}
        if not module.startswith("percolaw.kernels"):
            assert "numba" not in used, f"{module}: Numba belongs into kernels"
        if module.startswith("percolaw.datasets"):
            body = ast.Module(
                [n for n in parse(source).body if isinstance(n, (ast.Import, ast.ImportFrom))],
                [],
            )
            used = {name.split(".")[0] for name in imported(ast.unparse(body), module)}
        if not module.startswith("percolaw.neural"):
            assert "torch" not in used, f"{module}: torch belongs into learners/neural"


def test_no_pickle_no_star_no_eval():
    for file in FILES:
        module, tree = module_name(file), parse(text(file))
        names = {n.split(".")[0] for n in imported(text(file), module)}
        assert not names & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, module
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert all(alias.name != "*" for alias in node.names), f"{module}: star import"
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name):
                    assert node.func.id not in ("eval", "exec"), f"{module}:{node.lineno}"
                for keyword in node.keywords:
                    if keyword.arg == "allow_pickle":
                        assert getattr(keyword.value, "value", True) is False, module


def public(tree: ast.Module):
    """(qualified name, node) of public functions, classes and methods at any level but inside
    functions."""

    def visit(body, prefix):
        for node in body:
            if isinstance(node, (ast.If, ast.Try)):
                yield from visit(node.body, prefix)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                if node.name.startswith("_"):
                    continue
                yield f"{prefix}{node.name}", node
                if isinstance(node, ast.ClassDef):
                    yield from visit(node.body, f"{prefix}{node.name}.")

    yield from visit(tree.body, "")


def undocumented(kernels: bool) -> list[str]:
    """Public names without a docstring, in the kernels or outside."""
    missing = []
    for module, tree in trees():
        if module.startswith("percolaw.kernels") != kernels:
            continue
        if not ast.get_docstring(tree):
            missing.append(module)
        missing += [
            f"{module}.{name}"
            for name, node in public(tree)
            if not ast.get_docstring(node) and name.split(".")[-1] not in INTERFACES
        ]
    return missing


#: What interfaces (clusters, sources, targets, nulls, networks, losses, gradients) document, and each
#: one answers.
INTERFACES = (
    "nearest_labelled",
    *("word", "label", "dimension", "sample", "sized_for", "approximation_order", "draw"),
    *("parameters", "forward", "flops", "input_flops", "value", "value_and_gradient"),
    "students_together",
)


def test_public_names_are_documented():
    assert not undocumented(kernels=False)
    assert sum(1 for _, tree in trees() for _ in public(tree)) > 150


def test_kernels_are_documented():
    assert not undocumented(kernels=True)


def test_public_signatures_are_annotated():
    missing = []
    for module, tree in trees():
        if module.startswith("percolaw.kernels"):
            continue
        for name, node in public(tree):
            if isinstance(node, ast.ClassDef):
                continue
            a = node.args
            arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
            static = any(getattr(d, "id", "") == "staticmethod" for d in node.decorator_list)
            if "." in name and not static:
                arguments = arguments[1:]
            if node.returns is None or any(x and x.annotation is None for x in arguments):
                missing.append(f"{module}.{name}")
    assert not missing, "not annotated: " + ", ".join(missing)


HEAVY = ("numba", "scipy", "matplotlib", "torch", "dask", "igraph", "powerlaw", "tyro", "pandas")


def loaded_by(code: str) -> set[str]:
    report = f"; import sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import percolaw; dir(percolaw); percolaw.__version__",
        "from percolaw.cli import main; assert main(['--help']) == 0",
        "from percolaw.cli import main; assert main(['lst']) == 2",
        "from percolaw.cli import main; assert main(['list']) == 0",
    ],
)
def test_importing_loads_nothing_heavy(code):
    assert loaded_by(code) == set()


def test_the_import_check_can_fail():
    assert loaded_by("import scipy") == {"scipy"}


def test_public_list_resolves_and_matches_what_type_checkers_see():
    for name in percolaw.__all__:
        assert getattr(percolaw, name) is not None
        assert name in dir(percolaw)
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If))
    seen = {
        alias.name: node.module
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: f"percolaw.{module}" for name, module in percolaw.PUBLIC.items()}
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = percolaw.nonsense


# --- sizes -----------------------------------------------------------------------------------------

#: Lines of a file, docstrings included, and of a function's body without its docstring.
LONGEST_FILE, LONGEST_BODY = 400, 60


def bodies(tree, prefix=""):
    """Every function with its name and the lines of its body, without the docstring."""
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}{getattr(node, 'name', '')}"
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            start = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))])
            yield name, node.end_lineno - start + 1
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield from bodies(node, f"{name}.")


def test_files_and_functions_are_short():
    files = {module_name(f): len(text(f).splitlines()) for f in FILES}
    assert not {m for m, n in files.items() if n > LONGEST_FILE}
    long = {
        f"{module}.{name}"
        for module, tree in trees()
        for name, n in bodies(tree)
        if n > LONGEST_BODY
    }
    assert not long
