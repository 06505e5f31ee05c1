"""The command line, and what the likeliest mistakes are answered with."""

import argparse
import json
import os
import pty
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import toy_experiment
from runnable import RUNNABLE
from toy_experiment import SHORT, percolaw_command, reproduced, shared_root

import percolaw as pl
from percolaw import cli
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.experiments.reproductions import REPRODUCTIONS

ESCAPE = "\x1b"
PROGRESS = re.compile(r"\d+%\|")


@pytest.fixture
def command(capsys, tmp_path, monkeypatch):
    """Run the command line in this process, in an empty folder: (code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert ESCAPE not in out + err, "colour without a terminal"
        return code, out, err

    return run


@pytest.fixture
def toy_command(monkeypatch, command):
    """The same with an experiment of the tests among the registered ones."""
    name = "percolaw.experiments.toy_experiment"
    monkeypatch.setitem(sys.modules, name, toy_experiment)
    monkeypatch.setitem(EXPERIMENTS, "toy", "toy_experiment:ToyExperiment")

    def run(*arguments):
        return command(
            *("run", "toy", "--preset", "smoke", "--workers", 1, "--no-figures"), *arguments
        )

    return run


def strict_json(text: str):
    """JSON as every other language reads it: NaN and Infinity are no numbers."""

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


# --- help ---------------------------------------------------------------------------------------


def test_help(command):
    code, out, _ = command("--help")
    assert code == 0
    for name in ("list", "run", "reproduce", "status"):
        assert name in out
    assert command("--version")[1].strip() == pl.__version__
    for arguments in (("run", "--help"), ("run", "-h")):
        code, out, _ = command(*arguments)
        assert code == 0
        assert all(name in out for name in EXPERIMENTS)
        assert all(f in out for f in ("--preset", "--out", "--workers", "--quiet", "--json"))
        assert "seconds after which a unit is given up" in out
    for sub in ("list", "reproduce", "status"):
        assert command(sub, "--help")[0] == 0


@pytest.mark.parametrize("name", RUNNABLE)
def test_help_of_an_experiment_shows_its_fields(command, tmp_path, name):
    import dataclasses

    code, out, _ = command("run", name, "--preset", "smoke", "--help")
    assert code == 0
    out = re.sub(r"[\s│]+", " ", out)
    cls = experiment_class(name)
    smoke = cls(**cls.presets["smoke"].config)
    for field in dataclasses.fields(cls):
        flag = field.name.replace("_", "-")
        assert re.search(rf"--{flag}[ .]|--no-{flag}", out), flag
        value = getattr(smoke, field.name)
        if isinstance(value, int) and not isinstance(value, bool):
            assert re.search(rf"\(default: {value}\)", out), f"{flag} does not show the preset"
    assert "--timeout S seconds after which a unit is given up" in out
    assert list(tmp_path.iterdir()) == []


def test_help_tells_what_other_presets_make_of_a_flag(command):
    out = re.sub(r"[\s│]+", " ", command("run", "single-cluster", "--help")[1])
    assert "Independent repetitions. (1 to 100000; smoke: 3; paper: 50) (default: 8)" in out
    assert "(1 to 1e+09; smoke: 300000; paper: 30000000) (default: 3000000)" in out, "nested"


# --- bad usage: exit code 2, a reason, the nearest match, nothing written ---------------------------

USAGE = [
    ("lst", "invalid choice: 'lst'.*Did you mean 'list'"),
    ("reprduce brill2024", "Did you mean 'reproduce'"),
    ("reproduce bril2024", "Did you mean 'brill2024'"),
    ("", "COMMAND"),
    ("run", "usage: percolaw run EXPERIMENT"),
    ("run --preset smoke", "usage: percolaw run EXPERIMENT"),
    ("run singl-cluster", "unknown experiment 'singl-cluster'.*Did you mean 'single-cluster'"),
    ("run singl", "unknown experiment 'singl'. Did you mean 'single-cluster'. There are"),
    ("run single_cluster", "Did you mean 'single-cluster'"),
    ("run zzz", "unknown experiment 'zzz'; choose from cluster-sizes"),
    ("run theory-curves --preset smok", "unknown preset 'smok'.*Did you mean 'smoke'"),
    ("reproduce brill2024 --preset lapto", "unknown preset 'lapto'.*Did you mean 'laptop'"),
    ("run single-cluster --n-sed 3", "Unrecognized options: --n-sed.*--n-seeds"),
    ("run single-cluster --n_sizs 9", "Unrecognized options: --n_sizs.*--n-sizes"),
    ("run single-cluster extra", "Unrecognized options: extra"),
    ("run single-cluster --n-seeds x", "--n-seeds.*'x'"),
    ("run single-cluster --n-seeds 0", r"n_seeds must be in \[1, 100000\]; got 0"),
    ("run single-cluster --n-seeds 2.5", "--n-seeds: '2.5' is no whole number"),
    ("run single-cluster --n-seeds 1e6", r"n_seeds must be in \[1, 100000\]; got 1000000"),
    (
        "run single-cluster --clusters.coordination-number 2",
        r"coordination_number must be an integer >= 3.*got 2",
    ),
    ("run single-cluster --clusters.n-clusters 0", r"n_clusters must be in \[1, inf\]; got 0"),
    (
        "run single-cluster --clusters.max-size 10",
        r"max_size must be in \[300, 1000000000\]; got 10",
    ),
    (
        "run data-scaling --largest 100",
        r"largest must be finite and in \[10000, 1e\+08\]; got 100",
    ),
    ("run embedded-1nn --n-test 0", r"n_test must be in \[2, inf\]; got 0"),
    ("run embedded-1nn --n-sizes 1", r"n_sizes must be in \[3, inf\]; got 1"),
    ("run embedded-1nn --tolerance -1", r"tolerance must be finite and in \[0, inf\]; got -1"),
    ("run theory-curves --workers 0", r"--workers must be in \[1, inf\]; got 0"),
    ("run theory-curves --workers -3", r"--workers must be in \[1, inf\]; got -3"),
    ("run theory-curves --workers two", "--workers: invalid integer value: 'two'"),
    ("reproduce brill2024 --n-seeds 0", r"--n-seeds must be in \[1, inf\]; got 0"),
    ("reproduce brill2024 --workers 0", r"--workers must be in \[1, inf\]; got 0"),
    ("reproduce brill2024 --frobnicate", "unrecognized arguments: --frobnicate"),
    ("reproduce", "PAPER"),
    ("list --jsn", "unrecognized arguments: --jsn"),
    ("list extra", "no experiment is about 'extra'. percolaw list shows all"),
    ("list single-clutser", r"Did you mean single-cluster\? percolaw list shows all"),
    ("status --out nowhere", r"there is no folder nowhere; name one with --out"),
]


@pytest.mark.parametrize(("line", "message"), USAGE)
def test_bad_usage(command, tmp_path, line, message):
    code, out, err = command(*line.split())
    said = re.sub(r"[\s│]+", " ", out + err)
    assert code == 2
    assert re.search(message, said), said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == [], "nothing may be written"


def test_what_cannot_fit_is_refused_before_the_first_unit(command, tmp_path):
    words = ("run", "embedded-1nn", "--workers", 1, "--no-figures", "--quiet")
    code, out, err = command(*words, "--largest", "1e15")
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"percolaw: --largest 10{15} needs .* TiB of memory and .* Lower it\.\n", err
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("run theory-curves --presett smoke", "--preset"),
        ("run theory-curves --worker 2", "--workers"),
        ("run theory-curves --no-figure", "--no-figures"),
        ("reproduce brill2024 --n-seed 3", "--n-seeds"),
        ("reproduce brill2024 --quite", "--quiet"),
        ("status --jso", "--json"),
    ],
)
def test_unknown_shared_flag_names_the_nearest(command, line, near):
    code, out, err = command(*line.split())
    assert code == 2
    # The last line refers to --help; the match must be near the complaint.
    assert re.search(rf"(mean|nearest)[^?]*{near}\b", re.sub(r"[\s│]+", " ", out + err))


def test_out_at_a_file_is_refused(command, tmp_path):
    (tmp_path / "file").write_text("thesis")
    for start in (["run", "theory-curves"], ["reproduce", "brill2024", "--preset", "smoke"]):
        code, _, err = command(*start, "--out", "file")
        assert code == 2
        assert err == "percolaw: --out file is a file; name a folder.\n"
        code, _, err = command(*start, "--out", "file/below", "--workers", 1, "--quiet")
        assert code == 1
        assert re.search(r"cannot make the results folder file/below/.*Not a directory", err)
    assert (tmp_path / "file").read_text() == "thesis"


def test_missing_extra_is_named(command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = command("run", "theory-curves")
    assert code == 1
    assert "matplotlib is not installed. Install it with: pip install -e '.[report]'" in err
    assert list(tmp_path.iterdir()) == []
    assert command("run", "theory-curves", "--no-figures", "--workers", 1)[0] == 0


# --- run -----------------------------------------------------------------------------------------


def test_run_prints_table_and_place(toy_command, tmp_path):
    code, out, err = toy_command("--n-seeds", 5, "--shape.mean", 1.5)
    assert code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.search(r"mean +\| tests +\| 1\.5 \+- [\d.]+ +\| 1\.\d+ \[.*\] +\| agrees", out)
    assert re.search(r"1 agree, 0 disagree, 0 inconclusive; \d+\.\d s", out)
    assert f"results: runs/{folder.name}" in out
    assert PROGRESS.search(err)
    assert not PROGRESS.search(out)
    config = json.loads((folder / "config.json").read_text())["config"]
    assert config["n_seeds"] == 5
    assert config["shape"]["mean"] == 1.5


def test_quiet_prints_results_only(toy_command):
    code, out, err = toy_command("--quiet")
    assert code == 0
    assert err == ""
    assert "results: runs/toy-" in out


def test_json_prints_json_only(toy_command):
    code, out, err = toy_command("--json", "--out", "elsewhere")
    assert code == 0
    record = strict_json(out)
    assert record["status"] == "done"
    assert record["claims"][0]["verdict"] == "agrees"
    assert record["units"] == 6
    assert {"git_commit", "packages", "processor", "cores"} <= set(record["provenance"])
    assert (Path("elsewhere") / f"toy-{record['id']}" / "record.json").read_text() == out
    assert PROGRESS.search(err)


def test_rerun_measures_nothing_again(toy_command, tmp_path):
    log = tmp_path / "log"
    for _ in range(2):
        assert toy_command("--log", log)[0] == 0
    assert len(log.read_text().split()) == 6


def test_failed_units_give_exit_code_1(toy_command, command, tmp_path):
    log = tmp_path / "log"
    broken = tmp_path / "log.broken"
    broken.touch()
    flags = ("--log", log, "--fail-at", 1, 4)
    code, out, err = toy_command(*flags)
    assert code == 1
    assert out == ""
    assert re.search(r"percolaw: 2 unit\(s\) of toy failed, .*ArithmeticError: unit", err)
    code, out, _ = command("status")
    assert re.fullmatch(r"runs/toy-\S+ +failed +4/6 units, 2 failed \(percolaw retry\)\n", out)
    broken.unlink()
    assert toy_command(*flags)[0] == 0
    assert command("status")[1].rstrip().endswith("concluded  6/6 units")
    assert len(log.read_text().split()) == 8


def test_interruption_gives_its_exit_code_and_the_way_on(toy_command, monkeypatch, tmp_path):
    log, seen = tmp_path / "log", []
    measure = toy_experiment.ToyExperiment.measure

    def interrupted(self, cell):
        if cell["seed"] == 3 and not seen:
            seen.append(cell)
            raise KeyboardInterrupt
        return measure(self, cell)

    monkeypatch.setattr(toy_experiment.ToyExperiment, "measure", interrupted)
    code, out, err = toy_command("--log", log, "--quiet")
    assert code == 130
    assert out == ""
    assert "every finished unit is kept, the same command continues" in err
    assert toy_command("--log", log)[0] == 0
    assert log.read_text().split() == list("012345")


def test_an_interrupted_estimate_promises_no_kept_units(command, monkeypatch, tmp_path):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "load", interrupted)
    np.save(tmp_path / "points.npy", np.ones((3, 2)))
    code, out, err = command("estimate-dimension", str(tmp_path / "points.npy"))
    assert (code, out, err.strip()) == (130, "", "interrupted.")


def test_a_command_alone_is_parsed_as_among_all():
    """Its own module only is loaded, so the table of modules must be right."""
    from percolaw.cli.commands import COMMANDS, _parser

    def described(parser):
        (found,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        return {name: one.format_help() for name, one in found.choices.items()}

    every = described(_parser())
    assert list(every) == list(COMMANDS)
    for name in COMMANDS:
        alone = described(_parser(name))
        assert alone[name] == every[name]
        assert len(alone) < len(every) or name == "completion"


def test_ctrl_c_has_its_exit_code_before_any_command_is_imported(command, monkeypatch):
    def interrupted(given):
        raise KeyboardInterrupt

    commands = types.SimpleNamespace(execute=interrupted)
    monkeypatch.setitem(sys.modules, "percolaw.cli.commands", commands)
    assert command("list") == (130, "", "\ninterrupted.\n")
    script = (
        "import sys, percolaw.cli; print([m for m in ('numpy', 'argparse') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", "until these are loaded, nobody would catch it"


def test_one_seed_is_inconclusive_and_json_stays_json(command):
    """A single seed has no interval; the record must still be readable by other programs."""
    flags = ("--preset", "smoke", "--n-seeds", 1, "--clusters.n-clusters", 30)
    arguments = ("run", "single-cluster", *flags, "--no-figures", "--workers", 1, "--quiet")
    code, out, _ = command(*arguments)
    assert code == 0
    assert "0 agree, 0 disagree, 6 inconclusive" in out
    assert "an interval needs three seeds" in out


def test_record_of_one_seed_is_strict_json(toy_command, monkeypatch):
    from percolaw.experiments.base import Conclusion
    from percolaw.experiments.claims import judge

    infinite = judge("mean", "tests", 2.0, 2.0, (-np.inf, np.inf), 0.1)
    monkeypatch.setattr(
        toy_experiment.ToyExperiment, "conclude", lambda self, rows: Conclusion((infinite,), {})
    )
    code, out, _ = toy_command("--json", "--quiet")
    assert code == 0
    strict_json(out)


def test_config_that_cannot_be_concluded_is_refused_before_work(command, tmp_path):
    flags = ("--preset", "smoke", "--n-sizes", 5, "--clusters.max-size", 3100)
    few = ("--clusters.n-clusters", 5, "--no-figures", "--workers", 1, "--quiet")
    code, _, err = command("run", "single-cluster", *flags, *few)
    assert code == 0 or list(tmp_path.iterdir()) == [], err


# --- status --------------------------------------------------------------------------------------


def test_status(toy_command, command, tmp_path):
    (tmp_path / "empty").mkdir()
    assert command("status", "--out", "empty")[:2] == (0, "no runs in empty\n")
    assert command("status", "--out", "empty", "--json")[:2] == (0, "[]\n")
    assert toy_command()[0] == 0
    assert command("run", "theory-curves", "--no-figures", "--workers", 1)[0] == 0
    (tmp_path / "runs" / "notes").mkdir()
    code, out, _ = command("status")
    assert code == 0
    assert re.search(r"^runs/toy-\w+ +concluded +6/6 units$", out, re.MULTILINE)
    assert re.search(r"^runs/theory-curves-\w+ +concluded +0/0 units$", out, re.MULTILINE)
    code, out, err = command("status", "--json")
    assert (code, err) == (0, "")
    theory, toy = strict_json(out)
    assert (toy["experiment"], theory["experiment"]) == ("toy", "theory-curves")
    assert (toy["done"], toy["failed"], toy["units"], toy["state"]) == (6, 0, 6, "concluded")


def test_status_knows_runs_of_unknown_experiments(toy_command, command, monkeypatch):
    assert toy_command()[0] == 0
    monkeypatch.delitem(EXPERIMENTS, "toy")
    code, out, _ = command("status", "--json")
    assert code == 0
    assert strict_json(out)[0]["units"] is None


def test_status_names_a_damaged_folder_and_shows_the_others(toy_command, command, tmp_path):
    assert toy_command()[0] == 0
    (folder,) = (tmp_path / "runs").iterdir()
    broken = tmp_path / "runs" / "a-broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"exper')
    (broken / "units.sqlite").write_bytes((folder / "units.sqlite").read_bytes())
    _, out, err = command("status")
    assert "a-broken" in out + err
    assert folder.name in out


# --- a terminal ----------------------------------------------------------------------------------


def test_colour_on_a_terminal_only(tmp_path):
    arguments = ("run", "theory-curves", "--no-figures", "--workers", 1, "--out", tmp_path)
    plain = subprocess.run(
        percolaw_command(*arguments), capture_output=True, text=True, timeout=100
    )
    assert plain.returncode == 0
    assert ESCAPE not in plain.stdout + plain.stderr
    leader, follower = pty.openpty()
    process = subprocess.Popen(percolaw_command(*arguments), stdout=follower, stderr=follower)
    os.close(follower)
    said = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        if not part:
            break
        said += part
    os.close(leader)
    assert process.wait(timeout=100) == 0
    text = said.decode()
    assert "\x1b[32magrees" in text
    assert "\x1b[31mDISAGREES" in text


# --- reproduce -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    return reproduced(shared_root(tmp_path_factory))


def check_reproduction(folder, members):
    summary = json.loads((folder / "summary.json").read_text())
    assert list(summary["runs"]) == list(members)
    assert summary["command"] == "percolaw reproduce brill2024 --preset smoke --n-seeds 3"
    claims = summary["claims"]
    assert {c["verdict"] for c in claims} == {"agrees", "disagrees", "inconclusive"}
    assert {c["experiment"] for c in claims} <= set(members)
    for name, relative in summary["runs"].items():
        run = folder / relative
        record = json.loads((Path(run) / "record.json").read_text())
        assert record["status"] == "done"
        assert len(record["claims"]) == sum(c["experiment"] == name for c in claims)
        own = {p.name for p in (Path(run) / "figures").glob("*.png")}
        assert own, f"{name} has no figure"
        for figure in own:
            copied = (folder / "figures" / figure).read_bytes()
            assert copied == (Path(run) / "figures" / figure).read_bytes()
            assert copied.startswith(b"\x89PNG")
    return claims


def test_reproduce_end_to_end(paper):
    assert paper["code"] == 0, paper["stderr"]
    (folder,) = paper["out"].glob("brill2024-smoke-*")
    assert len(check_reproduction(folder, SHORT)) >= 20


@pytest.mark.slow  # the fast one above leaves out what differs in nothing but its numbers
def test_the_whole_paper_is_reproduced(command, tmp_path):
    flags = ("--preset", "smoke", "--n-seeds", 3, "--workers", 1, "--out", tmp_path, "--quiet")
    assert command("reproduce", "brill2024", *flags)[0] == 0
    (folder,) = tmp_path.glob("brill2024-smoke-*")
    assert len(check_reproduction(folder, REPRODUCTIONS["brill2024"][1])) >= 30


def test_reproduce_table(paper):
    out = paper["stdout"]
    (folder,) = paper["out"].glob("brill2024-smoke-*")
    claims = json.loads((folder / "summary.json").read_text())["claims"]
    header = out.splitlines()[0]
    assert [h.strip() for h in header.split("|")] == [
        *("claim", "source", "predicted +- tolerance", "measured [95% interval]", "verdict")
    ]
    for verdict, word in (("agrees", "agrees"), ("disagrees", "DISAGREES")):
        n = sum(c["verdict"] == verdict for c in claims)
        assert len(re.findall(rf"\| {word}\n", out)) == n
    n = [sum(c["verdict"] == v for c in claims) for v in ("agrees", "disagrees", "inconclusive")]
    assert f"{n[0]} agree, {n[1]} disagree, {n[2]} inconclusive; " in out
    assert f"results: {folder}" in out
    assert f"figures: {folder / 'figures'}" in out
    markdown = (folder / "claims.md").read_text()
    assert markdown.count("\n| ") == len(claims) + 1
    assert markdown.startswith("`percolaw reproduce brill2024 --preset smoke --n-seeds 3`")


def test_reproduce_has_no_colour_and_little_progress_in_a_pipe(paper):
    assert ESCAPE not in paper["stdout"] + paper["stderr"]
    assert not PROGRESS.search(paper["stdout"])
    for name in SHORT:
        last = re.findall(rf"{name} .*?(\d+)/(\d+) \[.*?elapsed.*?left\]", paper["stderr"])
        assert not last or last[-1][0] == last[-1][1]
        assert len(last) < 40
    assert "elapsed" in paper["stderr"]


def test_reproduce_again_measures_nothing_and_prints_json(paper, command, monkeypatch):
    import sqlite3

    (folder,) = paper["out"].glob("brill2024-smoke-*")
    before = json.loads((folder / "summary.json").read_text())

    def finished():
        """Units of the reproduction alone: other tests may run others beside it."""
        out = []
        for run in sorted(before["runs"].values()):
            connection = sqlite3.connect(paper["out"] / Path(run).name / "units.sqlite")
            out += connection.execute("SELECT key, code, finished FROM units").fetchall()
            connection.close()
        return out

    kept = finished()
    assert len(kept) == 3 + 2  # of dof-scan and cluster-drawings
    title, _ = REPRODUCTIONS["brill2024"]
    monkeypatch.setitem(REPRODUCTIONS, "brill2024", (title, SHORT))
    code, out, err = command(
        *("reproduce", "brill2024", "--preset", "smoke", "--n-seeds", 3, "--workers", 1),
        *("--no-figures", "--quiet", "--json", "--out", paper["out"]),
    )
    assert (code, err) == (0, "")
    assert finished() == kept
    after = strict_json(out)
    assert after["claims"] == before["claims"]
