"""Experiments by name and by place: a user's file, a module, an installed package."""

import sys
from dataclasses import dataclass
from importlib import metadata
from typing import ClassVar

import pytest

from percolaw.cli import main
from percolaw.errors import RunError
from percolaw.experiments.registry import (
    EXPERIMENTS,
    experiment_class,
    installed,
    known_class,
    place_of,
)

#: A user's file, of which a name, a base and what is imported vary.
TEXT = """
from dataclasses import dataclass
from typing import ClassVar
{imports}
from percolaw.experiments.base import Conclusion

@dataclass(frozen=True)
class Mine:
    name: ClassVar[str] = "{name}"
    title: ClassVar[str] = "A title"
    source: ClassVar[str] = "a notebook"
    presets: ClassVar[dict] = {{}}
    n: int = 2

    def cells(self): return [{{"seed": i}} for i in range(self.n)]
    def measure(self, cell): return [{{"value": {value}}}]
    def conclude(self, rows): return Conclusion(())

@dataclass
class Half:
    name: ClassVar[str] = "half"
"""


def source(name="mine", imports="", value="1.0"):
    return TEXT.format(name=name, imports=imports, value=value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder; what is imported from it is forgotten."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_file_is_imported_as_python_would_run_it(folder):
    (folder / "work").mkdir()
    (folder / "work" / "beside_it.py").write_text("x = 3.0\n")
    (folder / "work" / "in_a_file.py").write_text(
        source(imports="from beside_it import x", value="x")
    )
    cls = experiment_class("work/in_a_file.py:Mine")
    assert cls().measure({})[0]["value"] == 3.0
    assert cls is experiment_class(str(folder / "work" / "in_a_file.py") + ":Mine")
    assert place_of(cls) == "work/in_a_file.py:Mine"


def test_a_module_is_installed_or_in_the_working_folder(folder):
    (folder / "package_of_mine").mkdir()
    (folder / "package_of_mine" / "part.py").write_text(source())
    cls = experiment_class("package_of_mine.part:Mine")
    assert place_of(cls) == "package_of_mine.part:Mine"
    assert known_class("package_of_mine.part:Mine") is None
    assert known_class("mine") is None


@pytest.mark.parametrize(
    ("place", "text", "error", "match"),
    [
        ("none.py:Mine", None, ValueError, "there is no file none.py"),
        ("a1.py", source(), ValueError, r"name the class, too. Experiments in it: a1.py:Mine\."),
        ("a2.py:Other", source(), ValueError, r"no class 'Other'. Experiments in it: a2.py:Mine\."),
        (
            "a3.py:Half",
            source(),
            ValueError,
            "it has no title, source, presets, cells, measure, con",
        ),
        (
            "a4.py:Mine",
            source("single-cluster"),
            ValueError,
            "the name of an experiment of percolaw",
        ),
        ("a5.py:Mine", source("../up"), ValueError, "must be of letters, digits and hyphens"),
        (
            "a6.py:Mine",
            "x = 1\ny = x / 0\n",
            RunError,
            "a6.py, line 2: ZeroDivisionError: division",
        ),
        ("a7.py:Mine", "def (", RunError, "a7.py fails while it is imported: SyntaxError"),
        (
            "a8.py:Mine",
            "import not_there\n",
            RunError,
            "ModuleNotFoundError: No module named 'not_",
        ),
        ("json.py:Mine", source(), ValueError, "'json' is already .*. Rename the file"),
        ("not_there.at_all:Mine", None, ValueError, "there is no module 'not_there'"),
        ("no module:Mine", None, ValueError, "is no name of a module"),
        ("singel-cluster", None, ValueError, "single-cluster"),
    ],
)
def test_mistakes_are_named(folder, place, text, error, match):
    if text is not None:
        (folder / place.split(":")[0]).write_text(text)
    with pytest.raises(error, match=match):
        experiment_class(place)


def test_installed_packages_name_their_experiments(folder, monkeypatch, capsys):
    (folder / "plugin_of_mine.py").write_text(source("from-elsewhere"))
    entries = [
        metadata.EntryPoint("from-elsewhere", "plugin_of_mine:Mine", "percolaw.experiments"),
        metadata.EntryPoint("another-name", "plugin_of_mine:Mine", "percolaw.experiments"),
        metadata.EntryPoint("single-cluster", "plugin_of_mine:Mine", "percolaw.experiments"),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: entries)
    assert installed() == {
        "another-name": "plugin_of_mine:Mine",
        "from-elsewhere": "plugin_of_mine:Mine",
    }
    assert main(["list"]) == 0
    assert "of installed packages\n  another-name" in capsys.readouterr().out
    assert "plugin_of_mine" not in sys.modules
    assert known_class("from-elsewhere") is None
    cls = experiment_class("from-elsewhere")
    assert place_of(cls) == "from-elsewhere"
    assert experiment_class("single-cluster").__module__.startswith("percolaw.")
    with pytest.raises(ValueError, match="both must be the same"):
        experiment_class("another-name")


def test_places_of_classes():
    @dataclass(frozen=True)
    class Here:
        name: ClassVar[str] = "here"

    assert place_of(Here) == ""
    for name in EXPERIMENTS:
        assert place_of(experiment_class(name)) == name
