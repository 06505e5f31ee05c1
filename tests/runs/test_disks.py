"""Full and read-only disks: no finished unit is lost or done twice."""

import dataclasses
import json
import os
import resource
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fault_toy import (
    FaultToy,
    begun,
    clean,
    command,
    content,
    done,
    flags,
    live,
    register,
    toy,
    undisturbed,
)

import percolaw
from percolaw.cli import main
from percolaw.errors import RunError
from percolaw.experiments.base import Conclusion
from percolaw.runs.files import write_atomic
from percolaw.runs.run import default_folder
from percolaw.runs.store import read_record


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


@contextmanager
def small_disk(place: Path, size: str):
    """A file system of its own with little room, for root only."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("file systems can be mounted by root only")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True)


def nothing_half_written(folder: Path) -> None:
    assert not list(folder.glob("*.part"))
    assert not list(folder.glob(".*.part"))
    for name in ("config.json", "record.json"):
        if (folder / name).exists():
            json.loads((folder / name).read_text())
    for line in (
        (folder / "rows.jsonl").read_text().splitlines() if (folder / "rows.jsonl").exists() else []
    ):
        json.loads(line)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_full_disk_in_the_middle_of_a_run(tmp_path, workers):
    experiment = toy(tmp_path, n_units=40, padding=30_000, seconds=0.005)
    with small_disk(tmp_path / "disk", "700k") as disk:
        folder = default_folder(experiment, disk / "runs")
        given = flags(experiment, disk / "runs", workers)
        ended = subprocess.run(command(*given), capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1
        assert clean(ended.stderr), ended.stderr
        assert "make room" in ended.stderr or "No space left" in ended.stderr
        nothing_half_written(folder)
        assert not (folder / "record.json").exists()
        remount(disk, "size=40m")
        before = done(folder)
        assert 2 <= len(before) < 40
        seen = len(begun(experiment))
        percolaw.run(experiment, out=disk / "runs")
        assert before.items() <= done(folder).items()
        assert not set(begun(experiment)[seen:]) & set(before)
        assert content(folder) == undisturbed(experiment, tmp_path)


def test_full_disk_at_the_start(tmp_path):
    experiment = toy(tmp_path)
    with small_disk(tmp_path / "disk", "256k") as disk:
        filler = disk / "filler"
        fill(filler)
        for freed in (0, 4096, 8192, 16384, 32768, 65536):
            with open(filler, "r+b") as file:
                file.truncate(max(0, 256 * 1024 - 8192 - freed))
            code = main([str(x) for x in flags(experiment, disk / "runs", 1)])
            assert code in (0, 1)
            nothing_half_written(default_folder(experiment, disk / "runs"))
        filler.unlink()
        assert main([str(x) for x in flags(experiment, disk / "runs", 1)]) == 0
        folder = default_folder(experiment, disk / "runs")
        assert content(folder) == undisturbed(experiment, tmp_path)


def fill(file: Path) -> None:
    """Leave no room."""
    with open(file, "ab", buffering=0) as out:
        for size in (65536, 4096, 1):
            try:
                while True:
                    out.write(b"x" * size)
            except OSError:
                pass


@dataclass(frozen=True)
class FillingToy(FaultToy):
    """Its conclusion fills the disk, so that the record cannot be written."""

    name: ClassVar[str] = "filling-toy"

    filler: str = ""

    def conclude(self, rows: list[dict[str, Any]]) -> Conclusion:
        if not Path(self.filler + ".enough").exists():
            fill(Path(self.filler))
        return super().conclude(rows)


def test_full_disk_at_the_end_measures_nothing_again(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        experiment = FillingToy(
            log=str(tmp_path / "log"), filler=str(disk / "filler"), padding=5000
        )
        with pytest.raises((OSError, RunError), match=r"No space left|make room"):
            percolaw.run(experiment, out=disk / "runs")
        folder = default_folder(experiment, disk / "runs")
        nothing_half_written(folder)
        assert not (folder / "record.json").exists()
        (disk / "filler").unlink()
        (disk / "filler.enough").touch()
        percolaw.run(experiment, out=disk / "runs")
        assert begun(experiment) == list(range(12))
        read_record(folder)


def test_file_size_limit_in_the_middle_of_a_run(tmp_path):
    experiment = toy(tmp_path, n_units=40, padding=30_000)
    folder = default_folder(experiment, tmp_path / "runs")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    given = command(*flags(experiment, tmp_path / "runs", 1))
    ended = subprocess.run(given, capture_output=True, text=True, preexec_fn=limit, timeout=60)
    assert ended.returncode == 1
    assert clean(ended.stderr), ended.stderr
    assert "units.sqlite cannot be used" in ended.stderr
    nothing_half_written(folder)
    before = done(folder)
    assert 2 <= len(before) < 40
    percolaw.run(experiment, out=tmp_path / "runs")
    assert before.items() <= done(folder).items()
    assert content(folder) == undisturbed(experiment, tmp_path)


def test_disk_that_turns_read_only(tmp_path, capsys):
    experiment = toy(tmp_path, n_units=30, seconds=0.02)
    with small_disk(tmp_path / "disk", "8m") as disk:
        given = [str(x) for x in flags(experiment, disk / "runs", 1)]
        remount(disk, "ro")
        assert main(given) == 1
        assert "Read-only file system. Choose another with --out" in capsys.readouterr().err
        remount(disk, "rw")
        folder = default_folder(experiment, disk / "runs")
        assert main([*given, "--n-units", "10"]) == 0
        remount(disk, "ro")
        capsys.readouterr()
        small = default_folder(dataclasses.replace(experiment, n_units=10), disk / "runs")
        assert main(["resume", str(small)]) == 1
        assert "is not writable" in capsys.readouterr().err
        remount(disk, "rw")
        assert main(given) == 0
        assert content(folder) == undisturbed(experiment, tmp_path)
    assert begun(experiment) == list(range(30))


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("status", "--json", "--out", "{out}"), id="status"),
        pytest.param(("export", "{run}", "--out", "{tmp}/rows.csv"), id="export"),
        pytest.param(("diff", "{run}", "{run}"), id="diff"),
    ],
)
def test_runs_in_a_read_only_archive_can_be_read(tmp_path, capsys, words):
    with small_disk(tmp_path / "disk", "8m") as disk:
        run = percolaw.run(FaultToy(), out=disk / "runs").folder
        remount(disk, "ro")
        given = [w.format(out=disk / "runs", run=run, tmp=tmp_path) for w in words]
        assert main(given) == 0
        if words[0] == "status":
            assert json.loads(capsys.readouterr().out)[0]["state"] == "concluded"


def test_every_command_that_writes_says_why_it_cannot_in_a_read_only_archive(tmp_path, capsys):
    broken = toy(tmp_path, at=(3,), how="fail")
    Path(broken.log + ".broken").touch()
    with small_disk(tmp_path / "disk", "8m") as disk:
        out = disk / "runs"
        with pytest.raises(RunError):
            percolaw.run(broken, out=out)
        folder = default_folder(broken, out)
        (folder / ".rows.jsonl.1-a.part").touch()
        (folder / "active.json").write_text(live())
        remount(disk, "ro")
        copy = "Choose another folder with --out, or copy this one"
        for words, remedy in [
            (["resume", folder, "--no-figures"], copy),
            (["retry", folder, "--no-figures"], copy),
            (["cancel", folder], f"Ask the user whose process {os.getpid()} on "),
            (["gc", "--out", out, "--apply"], "Copy the folder of runs"),
            (["export", folder, "--out", out / "rows.csv"], "Name a file in another folder"),
        ]:
            capsys.readouterr()
            assert main([*map(str, words)]) == 1
            place = out if words[0] == "export" else folder
            assert f"{place} is not writable. {remedy}" in capsys.readouterr().err
        with pytest.raises(OSError, match="report") as caught:
            write_atomic(out / "report.html", "text")
        assert caught.value.filename == str(out / "report.html")


def test_a_file_that_cannot_be_written_is_called_by_the_name_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write_atomic(tmp_path / "none" / "report.html", "text")
    assert caught.value.filename == str(tmp_path / "none" / "report.html")
