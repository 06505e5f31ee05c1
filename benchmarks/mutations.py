"""The mutation campaign: one plausible mistake at a time in a copy of the package, and what sees it.

python benchmarks/mutations.py [--only TEXT] [--seconds 120] [--check]

The mistakes stand in _mutants.py: a file, a text that stands in it once, and what stands there instead.
The test files of the mutated module's package and those that name the module run on the copy until one
test fails (`pytest -x`); for an experiment first the tests of all experiments, those that name it.
Prints Markdown as it goes: caught, and by which test (which must pass without the mutant), or survived.
Tests not done in time have not seen it.
`--check` only asserts that every text is still there, once.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "percolaw"

#: In tests/toy_experiment.py: smoke runs of some experiments are made together, whichever is asked for.
ALL_AT_ONCE = """    if name in SHORT:
        reproduced(root)
"""
#: Test files of all experiments.
OF_ALL = ("test_experiments", "test_wrong_measurements", "test_smoke_verdicts")


def test_files(file: str) -> list[str]:
    """Test files of a module: the one called after it, those of its package, those that name it."""
    module = file.removesuffix(".py").replace("/", ".")
    package, _, stem = module.rpartition(".")
    within = f"percolaw.{package}" if package else "percolaw"
    named = re.compile(
        rf"{within}\.{stem}\b|from {re.escape(within)} import [^\n]*\b{stem}\b"
        rf"|from {re.escape(within)} import \([^)]*\b{stem}\b"
    )
    room = ROOT / "tests" / Path(file).parent
    tests = [f for f in (ROOT / "tests").rglob("test_*.py") if f.stem not in OF_ALL]
    found = [f for f in tests if f.parent == room or named.search(f.read_text())]
    found.sort(key=lambda f: (f.stem != f"test_{stem}", f.parent != room, f.stat().st_size))
    return [str(f.relative_to(ROOT)) for f in found]


def experiments_of(file: str) -> list[str]:
    """Names of the experiments that a module makes: its own, or those whose modules import it."""
    registry = (PACKAGE / "experiments" / "registry.py").read_text()
    stem = Path(file).stem
    modules = dict(re.findall(r'"([\w-]+)": "([\w.]+):', registry))
    own = [name for name, module in modules.items() if module.endswith(f".{stem}")]
    if own or ("/" not in file.removeprefix("experiments/") and stem != "labelled"):
        return own
    named = re.compile(rf"import [^\n]*\b{stem}\b|\.{stem} import")
    files = {n: PACKAGE / "experiments" / (m.replace(".", "/") + ".py") for n, m in modules.items()}
    return [name for name, path in files.items() if named.search(path.read_text())]


def commands(mutant: Mutant) -> list[list[str]]:
    """What to run, in turn, until a test fails: arguments of pytest."""
    runs = []
    if mutant.file.startswith("experiments/") and (names := experiments_of(mutant.file)):
        # Others first: a recorded number sees every change, a check of what is right says more.
        found = [f for name in OF_ALL for f in (ROOT / "tests").rglob(f"{name}.py")]
        files = [str(f.relative_to(ROOT)) for f in found]
        parts = [(f"[{name}]", f"[{name}:", f"test_{name.replace('-', '_')}") for name in names]
        chosen = " or ".join(part for each in parts for part in each)
        runs.append([*files, "-k", chosen])
    if files := test_files(mutant.file):
        runs.append(files)
    return runs


def pytest(copy: Path, arguments: list[str], seconds: float) -> tuple[str, str]:
    """Run tests on the copy; return how it ended and the first test that failed."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider"]
    command += ["--basetemp", str(copy / "temporary"), *arguments]
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "not done in time", ""
    failed = re.search(
        r"^(?:FAILED|ERROR) (\S+\.py(?:::[^\n]*?)?)(?: - [^\n]*)?$", output, re.MULTILINE
    )
    if process.returncode == 0 or process.returncode == 5:  # all passed, or none chosen
        return "passed", ""
    if failed is None:
        return "not counted: no test failed, pytest did", output[-300:].replace("\n", " ")
    return "failed", failed[1]


class Copy:
    """A copy of the repository, and what is known of its tests without a mutant."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.sound: set[str] = set()
        self.broken: set[str] = set()

    def verdict(self, mutant: Mutant, seconds: float) -> tuple[str, str]:
        """Apply one mutant, run its tests, undo it; return the verdict and what saw it."""
        path = self.place / "src" / "percolaw" / mutant.file
        right = path.read_text()
        end = time.monotonic() + seconds
        for arguments in commands(mutant):
            how = "failed"
            while how == "failed":
                path.write_text(right.replace(mutant.right, mutant.wrong))
                try:
                    left = max(5.0, end - time.monotonic())
                    how, test = pytest(self.place, [*arguments, *self._without_broken()], left)
                finally:
                    path.write_text(right)
                if how == "failed" and self._is_sound(test):
                    return "caught", test
            if how != "passed":
                return f"survived ({how})", ""
        return "survived", ""

    def _is_sound(self, test: str) -> bool:
        """Whether a test passes without a mutant; those that do not are left out from now on."""
        if test not in self.sound | self.broken:
            passes = pytest(self.place, [test], 600.0)[0] == "passed"
            (self.sound if passes else self.broken).add(test)
        return test in self.sound

    def _without_broken(self) -> list[str]:
        """Options that leave out tests which fail anyway."""
        return [f"--{'deselect' if '::' in test else 'ignore'}={test}" for test in self.broken]


def times_in_file(mutant: Mutant) -> int:
    """How often the right text stands in its file; 0 if there is no such file."""
    path = PACKAGE / mutant.file
    return path.read_text().count(mutant.right) if path.exists() else 0


def left_out(folder: str, names: list[str]) -> list[str]:
    """What the copy does without: history, environments, caches of tools, and runs at the top."""
    at_top = Path(folder) == ROOT
    return [n for n in names if at_top and (n.startswith(".") or n == "runs")]


def main() -> None:
    """Check the list, run the campaign, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mutants whose file or text contains this")
    parser.add_argument("--seconds", type=float, default=120.0, help="for the tests of one mutant")
    parser.add_argument("--check", action="store_true", help="only look for the texts")
    options = parser.parse_args()
    lost = [m for m in MUTANTS if times_in_file(m) != 1 or m.right == m.wrong]
    assert not lost, f"each text must stand once in its file: mend _mutants.py, {lost}"
    chosen = [m for m in MUTANTS if options.only in m.file + m.right]
    print(f"{len(chosen)} mutants, each text stands once in its file.", flush=True)
    if options.check:
        return
    caught = 0
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "percolaw"
        shutil.copytree(ROOT, copy, ignore=left_out)
        shared = copy / "tests" / "toy_experiment.py"
        assert ALL_AT_ONCE in shared.read_text()
        shared.write_text(shared.read_text().replace(ALL_AT_ONCE, ""))
        tests = Copy(copy)
        print("\n| module | right | wrong | | by |\n| - | - | - | - | - |", flush=True)
        for mutant in chosen:
            how, test = tests.verdict(mutant, options.seconds)
            caught += how == "caught"
            right, wrong = (" ".join(text.split()).replace("|", "\\|") for text in mutant[1:])
            by = f"`{test.removeprefix('tests/')}`" if test else ""
            print(f"| {mutant.file} | `{right}` | `{wrong}` | {how} | {by} |", flush=True)
    print(f"\n{caught} of {len(chosen)} caught.")
    if tests.broken:
        print(f"Failed without a mutant, and left out: {', '.join(sorted(tests.broken))}.")


if __name__ == "__main__":
    main()
