"""Damaged runs, strange files and clocks: a sentence, the other runs, and no code run from disk."""

import json
import os
import pickle
import random
import re
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from fault_toy import (
    TESTS,
    FaultToy,
    begun,
    change,
    content,
    flags,
    live,
    register,
    toy,
    undisturbed,
)

import percolaw
from percolaw.cli import main
from percolaw.runs.activity import active
from percolaw.runs.run import default_folder

SOURCE = TESTS.parent / "src" / "percolaw"
N_UNITS = 12


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


def damaged_copies(folder: Path, tmp_path: Path, n: int, at_once: int):
    """Copies of a run in which some bytes of the store are random."""
    chance, data = random.Random(99), (folder / "units.sqlite").read_bytes()
    for i in range(n):
        bad = bytearray(data)
        for _ in range(at_once):
            bad[chance.randrange(len(bad))] ^= chance.randrange(1, 256)
        copy = tmp_path / "damaged" / f"fault-toy-{i}"
        copy.mkdir(parents=True)
        (copy / "config.json").write_bytes((folder / "config.json").read_bytes())
        (copy / "units.sqlite").write_bytes(bad)
        yield copy


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A finished run whose store is one file, to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        out = tmp_path_factory.mktemp("whole") / "runs"
        folder = percolaw.run(FaultToy(n_units=N_UNITS), out=out).folder
    connection = sqlite3.connect(folder / "units.sqlite")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return folder


@pytest.fixture
def finished(tmp_path, whole_run):
    """The finished run."""
    shutil.copytree(whole_run.parent, tmp_path / "runs")
    return tmp_path / "runs" / whole_run.name


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "at_once"), [(12, 1), (4, 100)])
def test_flipped_bytes_end_in_a_message_or_a_record(tmp_path, finished, capsys, n, at_once):
    whole = content(finished)
    ends = {"refused": 0, "same": 0, "other": 0}
    for copy in damaged_copies(finished, tmp_path, n, at_once):
        code = main(["resume", str(copy), "--workers", "1", "--quiet", "--no-figures"])
        text = capsys.readouterr()
        assert code in (0, 1, 2)
        if code:
            assert text.err.startswith(("percolaw: ", "Traceback"))
            ends["refused"] += 1
        else:
            ends["same" if content(copy) == whole else "other"] += 1
        assert main(["status", "--out", str(copy.parent), "--json"]) == 0
        json.loads(capsys.readouterr().out)
        for path in (copy / "record.json", copy / "rows.jsonl"):
            path.unlink(missing_ok=True)
        (copy / "config.json").unlink()  # out of the next status
    assert ends["same"] + ends["refused"] > ends["other"], ends


def test_changed_digit_in_a_row_is_noticed(tmp_path, finished):
    whole = content(finished)
    change(
        finished,
        "UPDATE units SET rows = replace(rows, '\"value\":1.', '\"value\":9.') "
        "WHERE cell = '{\"unit\":4}'",
    )
    connection = sqlite3.connect(finished / "units.sqlite")
    connection.execute("UPDATE units SET rows = replace(rows, 'value\":2.', 'value\":9.')")
    connection.commit()
    connection.close()
    code = main(["resume", str(finished), "--workers", "1", "--quiet", "--no-figures"])
    assert code != 0 or content(finished) == whole


@pytest.mark.parametrize("rows", ["[{", "null", "[1, 2]", None], ids=["cut", "null", "list", "no"])
def test_rows_that_are_no_rows_are_named_and_measured_again(finished, capsys, rows):
    whole = content(finished)
    change(finished, "UPDATE units SET rows = ? WHERE cell = '{\"unit\":4}'", rows)
    assert main(["resume", str(finished), "--workers", "1", "--quiet", "--no-figures"]) == 0
    assert "1 unit(s) kept in" in capsys.readouterr().err
    assert content(finished) == whole


@pytest.mark.parametrize("words", [["status", "--out", "{out}"], ["gc", "--out", "{out}"]])
def test_one_damaged_run_does_not_hide_the_others(tmp_path, finished, capsys, words):
    bad = finished.parent / "a-damaged-run"
    bad.mkdir()
    (bad / "config.json").write_text("{")
    (bad / "units.sqlite").touch()
    (finished / ".record.json.1.part").touch()
    code = main([w.format(out=finished.parent) for w in words])
    assert str(finished) in capsys.readouterr().out
    assert code == 0


@pytest.mark.parametrize("text", ["{", "[]", '{"experiment": "no-such", "config": {}}'])
def test_beside_a_malformed_config_a_run_goes_on(tmp_path, finished, text):
    """Commands on the folder itself: test_foreign_folders."""
    bad = finished.rename(finished.with_name("a-damaged-run"))
    (bad / "config.json").write_text(text)
    words = flags(FaultToy(n_units=N_UNITS), finished.parent, 1)
    assert main(list(map(str, words))) == 0
    assert content(finished) == undisturbed(FaultToy(n_units=N_UNITS), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "\x00\xff", "[" * 100_000),
        *(live(pid=pid) for pid in ("x", 2**31 - 5, 10**30)),
        live(done="x"),
        live(host="elsewhere"),
        live(seconds_left=float("inf")),
        *(
            pytest.param(text, marks=pytest.mark.slow)
            for text in (
                *("", "null", "7", '{"experiment": 1, "config": {}}'),
                *(live(seconds_left=left) for left in (None, 1e9, "soon")),
                *(live(pid=None), live(host=["a"])),
            )
        ),
    ],
    ids=lambda text: (
        f"{len(text)}-{text[:12]!r}" if "pid" not in text else text.split("pid")[1][-40:]
    ),
)
def test_malformed_active_is_no_obstacle(tmp_path, finished, capsys, text):
    (finished / "active.json").write_text(text)
    assert main(["status", "--out", str(finished.parent)]) == 0
    assert main(["resume", str(finished), "--quiet", "--no-figures", "--workers", "1"]) == 0
    assert not (finished / "active.json").exists()


@pytest.mark.parametrize("pid", [0, -1, 1])
def test_leftover_of_a_killed_run_is_not_taken_for_a_running_one(finished, pid):
    (finished / "active.json").write_text(live(pid=pid))
    assert active(finished) is None


@pytest.mark.parametrize("text", ["", "x\x00" * 1000])
def test_whatever_a_leftover_cancel_file_says_is_no_obstacle(finished, text):
    (finished / "cancel").write_text(text)
    assert main(["resume", str(finished), "--quiet", "--no-figures", "--workers", "1"]) == 0
    assert not (finished / "cancel").exists()


@pytest.mark.parametrize("name", ["cancel", "active.json", ".lock", "units.sqlite", "config.json"])
def test_folders_in_place_of_files_end_in_a_message(finished, capsys, name):
    (finished / name).unlink(missing_ok=True)
    (finished / name).mkdir()
    code = main(["resume", str(finished), "--quiet", "--no-figures", "--workers", "1"])
    assert code == 1
    assert name in capsys.readouterr().err
    assert main(["status", "--out", str(finished.parent)]) == 0


# --- clocks, two at once, many units, Ctrl-C ------------------------------------------------------


def test_clock_going_backwards(tmp_path, monkeypatch):
    experiment = toy(tmp_path, n_units=10, seconds=0.15)
    now = [2e9]

    def backwards():
        now[0] -= 3600.0
        return now[0]

    seen = []
    folder = default_folder(experiment, tmp_path / "runs")
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", backwards)
        percolaw.run(
            experiment,
            out=tmp_path / "runs",
            progress=lambda done, total: seen.append(active(folder)),
        )
    left = [found["seconds_left"] for found in seen if found and found["seconds_left"] is not None]
    assert left
    assert all(0.0 <= seconds < 60.0 for seconds in left)
    assert begun(experiment) == list(range(10))
    assert content(folder) == undisturbed(experiment, tmp_path)


def test_files_from_the_future_are_no_obstacle(tmp_path, finished):
    for path in finished.iterdir():
        os.utime(path, (4e9, 4e9))
    assert main(["resume", str(finished), "--quiet", "--no-figures", "--workers", "1"]) == 0


class Malicious:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


# --- nothing on disk is code ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("units.sqlite", "record.json", "config.json", "active.json"),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("rows.jsonl", "cancel", ".lock")),
    ],
)
def test_pickles_on_disk_are_not_executed(tmp_path, finished, capsys, name):
    trace = tmp_path / "executed"
    data = pickle.dumps(Malicious(trace))
    (finished / name).write_bytes(data)
    for words in (
        ["status", "--out", finished.parent],
        ["gc", "--out", finished.parent],
        ["diff", finished, finished],
        ["cancel", finished],
        ["export", finished, "--out", tmp_path / "rows.csv"],
        ["resume", finished, "--quiet", "--no-figures", "--workers", 1],
        ["retry", finished, "--quiet", "--no-figures", "--workers", 1],
    ):
        assert main(list(map(str, words))) in (0, 1, 2)
    assert not trace.exists()
    pickle.loads(data)
    assert trace.exists(), "the bait works"


def test_source_unpickles_nothing():
    banned = re.compile(
        r"(?<![.\w])(eval|exec|__import__)\(|import (c?[pP]ickle|marshal|shelve|joblib|dill)\b"
        r"|(pickle|marshal|shelve|joblib|torch)\.(load|open)|allow_pickle=True|from pickle"
    )
    found = {
        f"{file.relative_to(SOURCE)}:{number}: {line.strip()}"
        for file in SOURCE.rglob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if banned.search(line)
    }
    assert not found
    assert banned.search("np.load(file, allow_pickle=True)")
