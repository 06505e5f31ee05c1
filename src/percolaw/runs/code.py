"""Which code measured a unit: a hash of the source that measuring may depend on.

The code of an experiment is the closure of what its module imports inside the package, at the top, in
functions, and under the short names of ``import percolaw``. Docstrings, comments and blank lines do not
count, so that a better explanation does not make six hours of measuring stale; everything else does.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import tokenize
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import percolaw

_PACKAGE = Path(percolaw.__file__).resolve().parent
#: Parts of the package that measure nothing, whoever imports them.
_OUTSIDE = ("report", "runs", "cli", "__main__")


def experiment_code(experiment: type[Any]) -> str:
    """Return the hash of the code that measures an experiment.

    Parameters
    ----------
    experiment : type
        Of this package: the closure of its module's imports counts. A user's own: all of the package
        that measures, and the file the class stands in (not what that file imports from elsewhere).

    Returns
    -------
    str
        16 hexadecimal digits, the same on every machine and Python version.
    """
    if experiment.__module__.split(".")[0] == "percolaw":
        return closure_code(experiment.__module__)
    try:
        own = essence(Path(inspect.getsourcefile(experiment) or "").read_text(encoding="utf-8"))
    except (OSError, TypeError, ValueError, SyntaxError):
        own = experiment.__qualname__
    return _digest([package_code(), own])


@lru_cache(maxsize=64)
def closure_code(module: str) -> str:
    """Return the hash of a module of the package and of all that it imports, directly or not."""
    return _digest([f"{name}\n{_essence(name)}" for name in sorted(closure(module))])


@lru_cache(maxsize=1)
def package_code() -> str:
    """Return the hash of the whole package without the parts that measure nothing."""
    files = sorted(_PACKAGE.rglob("*.py"))
    names = [".".join(f.relative_to(_PACKAGE.parent).with_suffix("").parts) for f in files]
    return _digest([f"{name}\n{_essence(name)}" for name in names if _measures(name)])


def forget() -> None:
    """Read the sources again at the next call: they may have changed while units were measured."""
    for cached in (closure_code, package_code, _essence, _imports):
        cached.cache_clear()


def closure(module: str) -> frozenset[str]:
    """Return the names of a module of the package and of all modules of it that it may import."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and _measures(name):
            found.add(name)
            waiting += _imports(name)
    return frozenset(found)


def essence(source: str) -> str:
    """Return a source without docstrings, comments, blank lines and blanks at the ends of lines.

    Raises
    ------
    SyntaxError, ValueError
        If it is no Python source.
    """
    lines = source.splitlines(keepends=True)
    spans: list[tuple[int, int, int, int]] = []
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            start, stop = node.col_offset, node.end_col_offset or 0
            first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
            spans.append((first, _column(lines[first], start), last, _column(lines[last], stop)))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row = token.start[0] - 1
            spans.append((row, token.start[1], row, token.end[1]))
    for first, start, last, stop in sorted(spans, reverse=True):
        rest = lines[last][stop:]
        lines[first : last + 1] = [lines[first][:start] + rest]
    kept = (line.rstrip() for line in "".join(lines).splitlines())
    return "\n".join(line for line in kept if line)


def _column(line: str, offset: int) -> int:
    """Characters before a place that the parser gives in bytes."""
    return len(line.encode()[:offset].decode())


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _measures(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and parts[1] not in _OUTSIDE and _file(name) is not None


def _file(name: str) -> Path | None:
    """The source of a module of the package, None if there is no such module."""
    place = _PACKAGE.joinpath(*name.split(".")[1:])
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def _essence(name: str) -> str:
    file = _file(name)
    return "" if file is None else essence(file.read_text(encoding="utf-8"))


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Modules of the package that a module may import, packages on the way to them included."""
    file = _file(name)
    if file is None:
        return ()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _run(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            found.add(base)
            for alias in node.names:
                found |= {
                    f"{base}.{alias.name}",
                    _public(alias.name) if base == "percolaw" else base,
                }
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "percolaw":
            found.add(_public(node.attr))
    own = [n for n in found if n.split(".")[0] == "percolaw"]
    whole = {".".join(n.split(".")[:k]) for n in own for k in range(2, n.count(".") + 2)}
    return tuple(sorted(n for n in whole if _file(n) is not None))


def _public(name: str) -> str:
    """The module of a name that ``import percolaw`` offers."""
    return f"percolaw.{percolaw._PUBLIC.get(name, name)}"


def _run(tree: ast.AST) -> list[ast.AST]:
    """All nodes but those that only type checkers see."""
    nodes: list[ast.AST] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        nodes.append(node)
        waiting += list(ast.iter_child_nodes(node))
    return nodes
