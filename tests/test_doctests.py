"""Every example in a docstring is true."""

import doctest
import importlib
from pathlib import Path

import pytest

import percolaw

PACKAGE = Path(percolaw.__file__).parent
MODULES = sorted(
    ".".join(("percolaw", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for file in PACKAGE.rglob("*.py")
    if file.name != "__main__.py" and "kernels" not in file.parts and ">>>" in file.read_text()
)


def test_there_are_examples():
    assert len(MODULES) >= 5


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if error.name == "torch" or "percolaw[" in str(error):
            pytest.skip(str(error))
        raise
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
    assert result.attempted > 0
