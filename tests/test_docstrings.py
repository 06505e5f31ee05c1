"""Docstrings of public functions are whole: parameters, what comes back, what is raised."""

import ast
import inspect
import itertools
import re
from collections import Counter

import pytest
from test_architecture import FILES, INTERFACES, module_name

import percolaw

#: Sections of the numpydoc convention, each a line of its own with dashes under it.
RAISING = ("Raises", "Warns")


def functions(tree):
    """Public functions and methods of public classes, with the class or None."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node, None
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                    yield f"{node.name}.{part.name}", part, node


def sections(text):
    lines = (text or "").splitlines()
    return {
        line.strip()
        for line, below in itertools.pairwise(lines)
        if line.strip() and set(below.strip()) == {"-"} and len(below.strip()) == len(line.strip())
    }


def described(text, section):
    """Names that a section describes."""
    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines[:-1]) if lines[i + 1].strip().startswith("---")]
    start = next((i for i in heads if lines[i].strip() == section), None)
    if start is None:
        return set()
    end = next((i for i in heads if i > start), len(lines))
    body = lines[start + 2 : end]
    margin = min((len(b) - len(b.lstrip()) for b in body if b.strip()), default=0)
    names = [b.strip() for b in body if b.strip() and len(b) - len(b.lstrip()) == margin]
    return {n.strip("* ") for name in names for n in name.split(" : ")[0].split(",")}


def raises(node):
    """Whether a function raises in its own body, not only in a function inside or to be abstract."""
    waiting = list(node.body)
    while waiting:
        part = waiting.pop()
        if isinstance(part, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(part, ast.Raise) and part.exc is not None:
            return "NotImplementedError" not in ast.dump(part.exc)
        waiting += ast.iter_child_nodes(part)
    return False


def returns(node):
    text = ast.unparse(node.returns) if node.returns is not None else "None"
    return text not in ("None", "NoReturn", "bool", "str", "Self") and not text.startswith(
        ("Iterator", "Generator")
    )


def missing(source, module):
    """What the docstrings of a module do not say: (place, section)."""
    found = []
    for name, node, owner in functions(ast.parse(source)):
        if name.split(".")[-1] in INTERFACES and owner is not None:
            continue
        text = ast.get_docstring(node) or ""
        known = sections(text)
        a = node.args
        names = [
            x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs) if x.arg not in ("self", "cls")
        ]
        if len(names) >= 2:
            told = described(text, "Parameters")
            if "Parameters" not in known or not (set(names) <= told or "as in `" in text.lower()):
                found.append((f"{module}.{name}", "Parameters"))
            if returns(node) and "Returns" not in known and "Yields" not in known:
                found.append((f"{module}.{name}", "Returns"))
        if (
            raises(node)
            and not known & set(RAISING)
            and "raises " not in text.lower()
            and "Error" not in text
        ):
            found.append((f"{module}.{name}", "Raises"))
    return found


def all_missing():
    return [
        item
        for file in FILES
        if not module_name(file).startswith("percolaw.kernels")
        for item in missing(file.read_text(), module_name(file))
    ]


def test_docstrings_are_whole():
    lacking = all_missing()
    assert not lacking, Counter(section for _, section in lacking)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("Add.", {"Parameters", "Returns", "Raises"}),
        (
            "Add.\n\n    Parameters\n    ----------\n    a : int\n",
            {"Parameters", "Returns", "Raises"},
        ),
        ("Add.\n\n    Parameters\n    ----------\n    a, b : int\n", {"Returns", "Raises"}),
        (
            "Add.\n\n    Parameters\n    ----------\n    a : int\n    b : int\n\n    Returns\n"
            "    -------\n    int\n\n    Raises\n    ------\n    ValueError\n",
            set(),
        ),
    ],
)
def test_what_is_missing_is_seen(text, lacks):
    source = f'def add(a: int, b: int) -> int:\n    """{text}"""\n    raise ValueError("no")\n'
    assert {section for _, section in missing(source, "m")} == lacks


def test_signatures_of_public_names_can_be_read():
    for name in percolaw.__all__:
        try:
            said = str(inspect.signature(getattr(percolaw, name)))
        except (TypeError, ValueError):  # no signature, or none that Python knows
            continue
        assert not re.search(" at 0x|<function|<factory>", said), f"{name}{said}"
