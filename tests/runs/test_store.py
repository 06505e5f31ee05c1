"""What a run keeps: read where nobody may write, damaged in part, taken from others, removed, linked."""

import dataclasses
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest
from fault_toy import TESTS, FaultToy, begun, change, content, live, register, toy, undisturbed

import percolaw
from percolaw.cli import main
from percolaw.errors import RunError
from percolaw.experiments.registry import EXPERIMENTS
from percolaw.report.html import build, write_report
from percolaw.runs import database
from percolaw.runs.activity import active
from percolaw.runs.folders import export
from percolaw.runs.run import default_folder
from percolaw.runs.schema import row_digest
from percolaw.runs.status import status, sweep_status
from percolaw.runs.store import read_record

QUIET = ("--quiet", "--no-figures", "--workers", "1")


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


# --- where nobody may write -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A run whose process was killed while all units were in the log beside the database."""
    out = tmp_path_factory.mktemp("killed") / "runs"
    code = (
        f"import os, sys; sys.path.insert(0, {str(TESTS)!r}); import percolaw, fault_toy as t\n"
        "percolaw.run(t.FaultToy(), out=sys.argv[1], "
        "progress=lambda n, m: n < 7 or os.kill(os.getpid(), 9))"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(out)], timeout=60)
    assert ended.returncode == -signal.SIGKILL
    folder = default_folder(FaultToy(), out)
    assert (folder / "units.sqlite-wal").stat().st_size > 0
    return folder


@pytest.mark.parametrize(
    "without", ["", "units.sqlite-shm", pytest.param(".lock", marks=pytest.mark.slow)]
)
def test_log_of_a_killed_run_is_read_where_nobody_may_write(tmp_path, killed, without):
    """As another user, who can read only; root may write anywhere."""
    folder = shutil.copytree(killed, tmp_path / "runs" / killed.name)
    (folder / without).unlink() if without else None
    before = {p: p.read_bytes() for p in folder.iterdir()}
    code = (
        "import os, sys\n"
        "import encodings.unicode_escape  # that user may not read where Python lies\n"
        "from percolaw.runs.folders import export\n"
        "from percolaw.runs.status import status\n"
        f"sys.path.insert(0, {str(TESTS)!r}); import fault_toy as t; t.register()\n"
        "from percolaw.experiments.registry import known_class\n"
        "os.getuid() or os.setuid(65534); from pathlib import Path\n"
        "found = status(Path(sys.argv[1]), known_class)\n"
        "print(export(sys.argv[1], sys.argv[2]), found.state, found.done, found.note)"
    )
    (tmp_path / "to").mkdir()
    temporary = Path(tempfile.gettempdir())
    for path in (tmp_path, *tmp_path.parents):
        if path != temporary and path.is_relative_to(temporary):
            path.chmod(0o755)
    (tmp_path / "to").chmod(0o777)
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "to" / "rows.csv")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "21 unfinished 7 \n", done.stderr
    assert {p: p.read_bytes() for p in folder.iterdir()} == before


def test_only_a_held_lock_is_a_running_process(tmp_path):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    (folder / "active.json").write_text(live(pid=2**31 - 5))
    (folder / ".lock").chmod(0o444)
    assert active(folder) is None
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); "
            "print('ready', flush=True); sys.stdin.read()",
            str(folder / ".lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"ready\n"
    assert active(folder) is not None
    holder.communicate(b"")
    (folder / ".lock").unlink()
    assert active(folder) is None


# --- file systems without shared memory -----------------------------------------------------------

NO_SHM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static int refused(int fd) {
  char link[64], name[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, name, sizeof name - 1);
  return n > 4 && !strncmp(name + n - 4, "-shm", 4);
}
#define WRAP(NAME) int NAME(int fd, int command, ...) { \
  va_list rest; va_start(rest, command); void *value = va_arg(rest, void *); va_end(rest); \
  if ((command == F_SETLK || command == F_GETLK) && refused(fd)) { errno = ENOLCK; return -1; } \
  int (*real)(int, int, ...) = dlsym(RTLD_NEXT, #NAME); return real(fd, command, value); }
WRAP(fcntl)
WRAP(fcntl64)
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs a C compiler")
def test_run_without_locks_on_shared_memory(tmp_path):
    (tmp_path / "noshm.c").write_text(NO_SHM)
    library = tmp_path / "noshm.so"
    made = ["gcc", "-shared", "-fPIC", "-w", "-o", library, tmp_path / "noshm.c", "-ldl"]
    subprocess.run(made, check=True)
    words = ["-m", "percolaw", "run", "theory-curves", "--preset", "smoke", *QUIET]
    ended = subprocess.run(
        [sys.executable, *words, "--out", tmp_path / "runs"],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    with sqlite3.connect(folder / "units.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


def test_network_file_systems_get_no_log(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "file_system", lambda path: "nfs4")
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    monkeypatch.undo()
    register(monkeypatch)
    assert main(["resume", str(folder), *QUIET]) == 0  # and it stays so on other machines
    assert not (folder / "units.sqlite-wal").exists()
    with sqlite3.connect(folder / "units.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
    assert database.file_system(Path("/proc/self")) == "proc"


# --- damaged units --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        "rows",
        "key",
        *(pytest.param(c, marks=pytest.mark.slow) for c in ("cell", "digest", "status")),
    ],
)
def test_one_damaged_unit_costs_itself_only(tmp_path, capsys, column):
    experiment = toy(tmp_path)
    folder = percolaw.run(experiment, out=tmp_path / "runs").folder
    where = "WHERE cell = '{\"unit\":4}'"
    change(
        folder,
        f"UPDATE units SET {column} = replace({column}, substr({column}, 3, 1), '#') {where}",
    )
    assert main(["status", "--out", str(folder.parent)]) == 0
    assert "unfinished  11/12 units, 1 damaged  (percolaw resume)" in capsys.readouterr().out
    assert main(["export", str(folder), "--out", str(tmp_path / "rows.csv")]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("33 lines in ")
    assert "1 unit(s) are damaged and left out" in said.err
    assert main(["resume", str(folder), *QUIET]) == 0
    assert "1 unit(s) kept in" in capsys.readouterr().err
    assert begun(experiment) == [*range(12), 4]
    assert content(folder) == undisturbed(experiment, tmp_path)
    assert export(folder, tmp_path / "rows.csv", overwrite=True) == 36


# --- units of other runs --------------------------------------------------------------------------


def test_units_of_other_runs_are_told(tmp_path):
    experiment = toy(tmp_path, n_units=4)
    first = percolaw.run(experiment, out=tmp_path / "runs")
    assert first.reused == {}
    more = percolaw.run(dataclasses.replace(experiment, n_units=6), out=tmp_path / "runs")
    assert more.reused == read_record(more.folder)["reused"] == {first.folder.name: 4}
    page = build([more.folder])
    assert f"taken from runs beside it: 4 units from {first.folder.name}" in page
    assert "taken from runs beside it" not in build([first.folder])
    again = percolaw.run(dataclasses.replace(experiment, n_units=6), out=tmp_path / "runs")
    assert again.reused == more.reused
    change(more.folder, "UPDATE units SET rows = '[]' WHERE cell = '{\"unit\":0}'")
    shutil.rmtree(first.folder)
    again = percolaw.run(dataclasses.replace(experiment, n_units=6), out=tmp_path / "runs")
    assert again.reused == {first.folder.name: 3}


@pytest.mark.parametrize("rows", ["{}", "[1]", "null", '[{"a":' + "[" * 5000 + "]" * 5000 + "}]"])
def test_rows_of_neighbours_that_are_no_rows_are_passed_over(tmp_path, rows):
    experiment = toy(tmp_path, n_units=4)
    first = percolaw.run(experiment, out=tmp_path / "runs").folder
    change(first, "UPDATE units SET rows = ?, digest = ?", rows, row_digest(rows.encode()))
    result = percolaw.run(dataclasses.replace(experiment, tolerance=0.4), out=tmp_path / "runs")
    assert result.reused == {}


FORGED = '[{"value": "x"}]'


def test_run_that_cannot_be_concluded_names_whose_units_it_has(tmp_path, capsys):
    first = percolaw.run(FaultToy(n_units=4), out=tmp_path).folder
    change(first, "UPDATE units SET rows = ?, digest = ?", FORGED, row_digest(FORGED.encode()))
    with pytest.raises(
        RunError, match=rf"4 of its units were .*taken from {first.name}; with anoth"
    ):
        percolaw.run(FaultToy(n_units=4, tolerance=0.4), out=tmp_path)


@pytest.mark.parametrize("name", ["units.sqlite", "units.sqlite-wal", "units.sqlite-journal"])
def test_neighbour_that_is_a_pipe_is_passed_over(tmp_path, name):
    first = percolaw.run(FaultToy(n_units=4), out=tmp_path).folder
    (first / name).unlink(missing_ok=True)
    os.mkfifo(first / name)
    assert percolaw.run(FaultToy(n_units=4, tolerance=0.4), out=tmp_path).reused == {}


# --- removed and linked ---------------------------------------------------------------------------


def test_folder_removed_while_it_is_measured(tmp_path):
    experiment = toy(tmp_path, n_units=50)

    def progress(done, total):
        if done == 3:
            shutil.rmtree(default_folder(experiment, tmp_path / "runs"))

    with pytest.raises(RunError, match=r"was removed or moved while"):
        percolaw.run(experiment, out=tmp_path / "runs", progress=progress)
    assert len(begun(experiment)) <= 4


def test_gc_does_not_follow_links(tmp_path, capsys):
    folder = percolaw.run(FaultToy(), out=tmp_path / "elsewhere").folder
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(folder)
    (folder / ".zarr.part").touch()
    assert main(["gc", "--apply", "--out", str(tmp_path / "runs")]) == 1
    assert "it is a link to" in capsys.readouterr().err
    assert (folder / ".zarr.part").exists()
    (folder / ".folder.part").mkdir()
    assert main(["gc", "--apply", "--out", str(tmp_path / "elsewhere")]) == 0
    assert not (folder / ".zarr.part").exists()
    assert (folder / ".folder.part").is_dir()


def test_pictures_are_neither_written_nor_read_through_links(tmp_path, monkeypatch):
    from percolaw.experiments.base import preset
    from percolaw.experiments.registry import experiment_class
    from percolaw.report import draw_figures

    folder = percolaw.run(preset(experiment_class("theory-curves"), "smoke"), out=tmp_path).folder
    (tmp_path / "private").mkdir()
    (folder / "figures").symlink_to(tmp_path / "private")
    with pytest.raises(RunError, match="is a link"):
        draw_figures(folder)
    assert not list((tmp_path / "private").iterdir())
    (tmp_path / "private" / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    assert "secret" not in build([folder])


def test_files_of_a_run_are_not_replaced(tmp_path, capsys):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    before = content(folder)
    for name in ("record.json", "config.json", "units.sqlite", "report"):
        assert main(["report", str(folder), "--out", str(folder / name)]) == 2
        assert "must end in .html" in capsys.readouterr().err
    assert main(["export", str(folder), "--out", str(folder / "rows.jsonl")]) == 2
    assert content(folder) == before


def test_figures_that_fail_hide_no_claims(tmp_path, capsys, monkeypatch):
    def fail(record):
        raise RuntimeError("no ink")

    module = types.SimpleNamespace(draw=fail)
    monkeypatch.setattr("percolaw.report.reading.figures_of", lambda name: module)
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    assert main(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 0
    said = capsys.readouterr().err
    assert "cannot be drawn (RuntimeError: no ink" in said
    assert "damaged" not in said
    assert "mean" in (tmp_path / "page.html").read_text()
    assert write_report([folder], tmp_path / "page.html")[1] > 0


# --- names and places -----------------------------------------------------------------------------


def test_runs_are_found_by_name_and_an_empty_place_is_no_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 0
    assert capsys.readouterr().out == "no runs in runs\n"
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["status", "--out", "run"]) == 2
    name = percolaw.run(FaultToy()).folder.name
    assert main(["resume", name, *QUIET]) == 0
    assert main(["export", name, "--out", "rows.csv"]) == 0
    assert main(["diff", name, f"runs/{name}"]) == 0
    assert main(["report", name]) == 0


def test_sweeps_are_listed(tmp_path, capsys):
    sweep = tmp_path / "sweep-fault-toy-0123"
    percolaw.run(FaultToy(), out=sweep)
    (sweep / "sweep.json").write_text('{"experiment": "fault-toy"}')
    assert main(["status", "--out", str(tmp_path)]) == 0
    line = f"{sweep}  unfinished  1 trials  (the same percolaw sweep goes on)\n"
    assert capsys.readouterr().out == line
    (sweep / "sweep.json").write_text("[" * 100_000)
    assert main(["status", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{sweep}  damaged\n"


def test_sweeps_of_other_code_are_outdated(tmp_path, monkeypatch):
    percolaw.run(FaultToy(), out=tmp_path)
    (tmp_path / "sweep.json").write_text('{"experiment": "fault-toy"}')
    (tmp_path / "best.json").write_text("{}")
    assert sweep_status(tmp_path, lambda name: FaultToy).state == "concluded"
    monkeypatch.setattr("percolaw.runs.code._digest", lambda texts: "another")
    found = sweep_status(tmp_path, lambda name: FaultToy)
    assert (found.state, found.done, found.kind) == ("outdated", 1, "sweep")


def test_status_of_known_experiments(tmp_path):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    found = status(folder, lambda name: FaultToy if name in EXPERIMENTS else None)
    assert (found.state, found.done, found.damaged, found.kind) == ("concluded", 12, 0, "run")
