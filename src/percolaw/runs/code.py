"""Which code measured a unit: a hash of the source that measuring may depend on.

The code of an experiment is the closure of what its module imports, at the top, in functions, and under
the short names of ``import percolaw``: inside the package, and of a user's own experiment also what
stands beside its file, or in its package. The protocol that runs units is left out. Docstrings, comments
and layout do not count, so that a better explanation does not make six hours of measuring stale; all
else does. What is imported by a name made at run time is not seen.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from percolaw.experiments import fields
from percolaw.public import PUBLIC

_PACKAGE = Path(__file__).resolve().parents[1]
#: Parts of the package that measure nothing, whoever imports them.
_OUTSIDE = ("report", "runs", "cli", "__main__", "public", "version", "shown", "frames")
#: The protocol, which runs units and does not measure: what only it imports does not count.
_PROTOCOL = tuple(
    f"percolaw.experiments.{name}"
    for name in ("base", "claims", "fields", "plots", "registry", "reproductions", "series")
)


#: What reading a user's file, or the annotations of a class in it, may raise.
_UNREADABLE = (OSError, TypeError, ValueError, SyntaxError, NameError, AttributeError)


class _UserCode(NamedTuple):
    """Where modules of a user's own stand that count."""

    root: Path
    """Folder that their names begin at."""
    top: str
    """The one package, or module, that counts; empty for all beside it."""


def experiment_code(experiment: type[Any]) -> str:
    """Return the hash of the code that measures an experiment.

    Parameters
    ----------
    experiment : type
        The closure of its module's imports counts. Where the file of a user's experiment cannot be
        read, as in a notebook: all of the package that measures, and the name of the class.

    Returns
    -------
    str
        16 hexadecimal digits, the same on every machine with this minor version of Python.
    """
    if experiment.__module__.split(".")[0] == "percolaw":
        return closure_code(experiment.__module__)
    try:
        names, user = _user_closure(experiment)
        return _digest([f"{name}\n{_read(name, user)[0]}" for name in names])
    except _UNREADABLE:
        return _digest([package_code(), experiment.__qualname__])


def source_bytes(experiment: type[Any]) -> str:
    """Return a hash of the bytes of the package, and of the files of a user's experiment.

    Parts of the package that measure nothing (reports, command line, runs) are left out. Fast, where
    `experiment_code` has to parse: where these bytes are equal, so is the code.
    """
    files: list[Path] = []
    if experiment.__module__.split(".")[0] != "percolaw":
        with contextlib.suppress(*_UNREADABLE):
            names, user = _user_closure(experiment)
            mine = [_file(name, user) for name in names if name.split(".")[0] != "percolaw"]
            files = [file for file in mine if file is not None]
    return _digest([experiment.__qualname__, _package_bytes(), _bytes(*files)])


@lru_cache(maxsize=64)
def _bytes(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        with contextlib.suppress(OSError):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _package_bytes() -> str:
    every = sorted(_PACKAGE.rglob("*.py"))
    return _bytes(*(f for f in every if f.relative_to(_PACKAGE).parts[0] not in _OUTSIDE))


@lru_cache(maxsize=64)
def closure_code(module: str) -> str:
    """Return the hash of a module of the package and of all that it imports, directly or not."""
    return _digest([f"{name}\n{_read(name)[0]}" for name in sorted(closure(module))])


@lru_cache(maxsize=1)
def package_code() -> str:
    """Return the hash of the whole package without the parts that measure nothing."""
    files = sorted(_PACKAGE.rglob("*.py"))
    names = [".".join(f.relative_to(_PACKAGE.parent).with_suffix("").parts) for f in files]
    return _digest([f"{name}\n{_read(name)[0]}" for name in names if _measures(name)])


def forget_bytes() -> None:
    """Read the bytes again at the next call of `source_bytes`."""
    _bytes.cache_clear()
    _package_bytes.cache_clear()


def forget() -> None:
    """Read the sources again at the next call: they may have changed while units were measured."""
    for cached in _KEPT:
        cached.cache_clear()


def closure(module: str) -> frozenset[str]:
    """Return the names of a module of the package and of all modules of it that it may import."""
    return _reached([module])


def _reached(modules: list[str], user: _UserCode | None = None) -> frozenset[str]:
    """Names of modules, of the packages on the way to them, and of all that these may import."""
    reached: set[str] = set()
    waiting = [".".join(m.split(".")[:k]) for m in modules for k in range(1, m.count(".") + 2)]
    while waiting:
        name = waiting.pop()
        if name not in reached and _measures(name, user):
            reached.add(name)
            waiting += _read(name, user)[1]
    return frozenset(reached)


def _user_closure(experiment: type[Any]) -> tuple[list[str], _UserCode]:
    """Modules that a user's own experiment may import, those that its fields' words name included."""
    file = Path(inspect.getsourcefile(experiment) or "").resolve(strict=True)
    parts = experiment.__module__.split(".")
    path = file.parent.parts if file.name == "__init__.py" else (*file.parent.parts, file.stem)
    if path[-len(parts) :] != tuple(parts):  # run as a script, or loaded from a path
        parts, path = [file.stem], (*file.parent.parts, file.stem)
    root = Path(*path[: -len(parts)])
    alone = len(parts) == 1 and file.name != "__init__.py"
    installed = root.name in ("site-packages", "dist-packages")
    user = _UserCode(root, "" if alone and not installed else parts[0])
    parsers = map(fields.parser_of, fields.hints(experiment).values())
    words = [parse.__module__ for parse in parsers if parse is not None]
    return sorted(_reached([".".join(parts), *words], user)), user


def _essence(tree: ast.Module) -> str:
    """A source without docstrings and comments, in one layout."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_text(line)] or [ast.Pass()]  # type: ignore
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, or a sentence under a field."""
    value = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _measures(name: str, user: _UserCode | None = None) -> bool:
    parts = name.split(".")
    if parts[0] == "percolaw" and (len(parts) == 1 or parts[1] in _OUTSIDE or name in _PROTOCOL):
        return False
    return _file(name, user) is not None


def _file(name: str, user: _UserCode | None = None) -> Path | None:
    """The source of a module of the package, or of the user's own; None if there is no such module."""
    parts = name.split(".")
    if parts[0] == "percolaw":
        place = _PACKAGE.joinpath(*parts[1:])
    elif user is not None and user.top in ("", parts[0]):
        place = user.root.joinpath(*parts)
    else:
        return None
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def _read(name: str, user: _UserCode | None = None) -> tuple[str, tuple[str, ...]]:
    """The essence of a module, and the modules that may count which it may import."""
    file = _file(name, user)
    if file is None:
        return "", ()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return _essence(tree), _imports(name, file, tree, user)


def _imports(name: str, file: Path, tree: ast.Module, user: _UserCode | None) -> tuple[str, ...]:
    """Modules that a module may import, packages on the way to them included."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    nodes = _run(tree)
    imported: set[str] = set()
    short = {"percolaw"}  # names of the package itself
    for node in nodes:
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
            short |= {a.asname for a in node.names if a.name == "percolaw" and a.asname}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            imported.add(base)
            for alias in node.names:
                imported |= {
                    f"{base}.{alias.name}",
                    _public(alias.name) if base == "percolaw" else base,
                }
    used = {n for n in nodes if isinstance(n, ast.Name) and n.id in short}
    asked = [n for n in nodes if isinstance(n, ast.Attribute) and n.value in used]
    imported |= {_public(node.attr) for node in asked}
    if len(used) > len(asked):  # handed on as a whole: any name may be asked of it
        imported |= {_public(name) for name in PUBLIC}
    whole = {".".join(n.split(".")[:k]) for n in imported for k in range(1, n.count(".") + 2)}
    return tuple(sorted(n for n in whole if _file(n, user) is not None))


def _public(name: str) -> str:
    """The module of a name that ``import percolaw`` offers."""
    return f"percolaw.{PUBLIC.get(name, name)}"


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


#: What is read once, until told to forget.
_KEPT = (closure_code, package_code, _bytes, _package_bytes, _read)
