"""Which code measured a unit: a hash of the source that measuring may depend on.

The code of an experiment is the closure of what its module imports inside the package, at the top, in
functions, and under the short names of ``import percolaw``; the protocol that runs units is left out.
Of a user's experiment it is the whole package, the file of its class, and what that file imports from
beside it.
Docstrings, comments and layout do not count, so that a better explanation does not make six hours of
measuring stale; everything else does.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from percolaw.public import PUBLIC

_PACKAGE = Path(__file__).resolve().parents[1]
#: Parts of the package that measure nothing, whoever imports them.
_OUTSIDE = ("report", "runs", "cli", "__main__", "public", "version", "shown", "frames")
#: The protocol, which runs units and does not measure: what only it imports does not count.
_PROTOCOL = tuple(
    f"percolaw.experiments.{name}"
    for name in ("base", "claims", "fields", "plots", "registry", "reproductions")
)


def experiment_code(experiment: type[Any]) -> str:
    """Return the hash of the code that measures an experiment.

    Parameters
    ----------
    experiment : type
        Of this package: the closure of its module's imports counts. A user's: all of the package that
        measures, the file the class stands in, and what that file imports, directly or not, from its
        folder (of a package: from the package). What is imported by a name made up while it runs, data
        files, and other installed packages do not count.

    Returns
    -------
    str
        16 hexadecimal digits, the same on every machine with this minor version of Python.
    """
    if experiment.__module__.split(".")[0] == "percolaw":
        return closure_code(experiment.__module__)
    file = _file_of(experiment)
    if file is None:
        return _digest([package_code(), experiment.__qualname__])
    _, *beside = _users(file, experiment.__module__)
    texts = (f"{name}\n{_users_text(other)}" for name, other in beside)
    return _digest([package_code(), _users_text(file), *texts])


def _file_of(experiment: type[Any]) -> Path | None:
    """The file in which a user's class stands; None in a notebook."""
    try:
        return Path(inspect.getsourcefile(experiment) or "").resolve(strict=True)
    except (OSError, TypeError):
        return None


@lru_cache(maxsize=16)
def _users(file: Path, module: str) -> tuple[tuple[str, Path], ...]:
    """A user's file and those it imports from beside it: names and files, the first one first."""
    parts = module.split(".")
    up = len(parts) - (file.name != "__init__.py")
    root = file.parents[up]
    whole = not any(p.name in ("site-packages", "dist-packages") for p in (root, *root.parents))
    found = {module: file}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        for other in _names(name, found[name], _users_tree(found[name])):
            place = _place(root, other)
            if place is None or other in found or place == file:
                continue
            if whole or other.split(".")[0] == parts[0]:
                found[other] = place
                waiting.append(other)
    return ((module, file), *sorted((n, f) for n, f in found.items() if n != module))


def _users_tree(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return ast.Module([], [])


def _users_text(file: Path) -> str:
    """The essence of a user's file; its bytes if it is no Python, nothing if it is gone."""
    try:
        content = file.read_bytes()
    except OSError:
        return ""
    try:
        return essence(content.decode("utf-8"))
    except (ValueError, SyntaxError):
        return repr(content)


def source_bytes(experiment: type[Any]) -> str:
    """Return a hash of all bytes of the package, and of the files of a user's experiment.

    Fast, where `experiment_code` has to parse: where these bytes are equal, so is the code.
    """
    file = None
    if experiment.__module__.split(".")[0] != "percolaw":
        file = _file_of(experiment)
    files = () if file is None else tuple(f for _, f in _users(file, experiment.__module__))
    return _bytes(experiment.__qualname__, files)


@lru_cache(maxsize=64)
def _bytes(name: str, users: tuple[Path, ...]) -> str:
    every = sorted(_PACKAGE.rglob("*.py"))
    files = [f for f in every if f.relative_to(_PACKAGE).parts[0] not in _OUTSIDE]
    digest = hashlib.sha256(name.encode())
    for file in (*files, *users):
        with contextlib.suppress(OSError):
            digest.update(str(file.name).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


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
    _users.cache_clear()


def forget() -> None:
    """Read the sources again at the next call: they may have changed while units were measured."""
    for cached in _KEPT:
        cached.cache_clear()


def closure(module: str) -> frozenset[str]:
    """Return the names of a module of the package and of all modules of it that it may import."""
    found: set[str] = set()
    parts = module.split(".")
    waiting = [".".join(parts[:k]) for k in range(2, len(parts) + 1)]
    while waiting:
        name = waiting.pop()
        if name not in found and _measures(name):
            found.add(name)
            waiting += _read(name)[1]
    return frozenset(found)


def essence(source: str) -> str:
    """Return a source without docstrings and comments, in one layout.

    Raises
    ------
    SyntaxError, ValueError
        If it is no Python source.
    """
    return _essence(ast.parse(source))


def _essence(tree: ast.Module) -> str:
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


def _measures(name: str) -> bool:
    parts = name.split(".")
    return (
        len(parts) > 1
        and parts[1] not in _OUTSIDE
        and name not in _PROTOCOL
        and _file(name) is not None
    )


def _file(name: str) -> Path | None:
    """The source of a module of the package, None if there is no such module."""
    return _place(_PACKAGE, name.partition(".")[2])


def _place(root: Path, name: str) -> Path | None:
    """The source of a module in a folder, None if there is none."""
    place = root.joinpath(*name.split(".")) if name else root
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def _read(name: str) -> tuple[str, tuple[str, ...]]:
    """The essence of a module of the package, and the modules of it that it may import."""
    file = _file(name)
    if file is None:
        return "", ()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return _essence(tree), _imports(name, file, tree)


def _imports(name: str, file: Path, tree: ast.Module) -> tuple[str, ...]:
    """Modules of the package that a module may import, packages on the way to them included."""
    mine = (n for n in _names(name, file, tree) if n.startswith("percolaw."))
    return tuple(sorted(n for n in mine if _file(n) is not None))


def _names(name: str, file: Path, tree: ast.Module) -> set[str]:
    """All names that a module may import, of modules or of what is in them, and the packages above."""
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
    return {".".join(n.split(".")[:k]) for n in found for k in range(1, n.count(".") + 2)}


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
_KEPT = (closure_code, package_code, _bytes, _read, _users)
