"""Folders that hold anything: every command ends in a sentence, and other runs are still handled."""

import json
import os
import shutil
import sqlite3
import sys
import types
from pathlib import Path

import pytest
from fault_toy import FaultToy, change, content, register

import percolaw
from percolaw.cli import main
from percolaw.runs.schema import row_digest

QUIET = ("--quiet", "--no-figures", "--workers", "1")
BIG = "9" * 400


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)
    figures = types.SimpleNamespace(draw=lambda record: {}, plots=lambda record: ())
    monkeypatch.setitem(sys.modules, "percolaw.report.figures.fault_toy", figures)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """Two finished runs, to be copied; the second is to be spoiled and comes first."""
    out = tmp_path_factory.mktemp("healthy") / "runs"
    good = percolaw.run(FaultToy(n_units=3, level=1.0), out=out).folder
    other = percolaw.run(FaultToy(n_units=3), out=out).folder
    return good, other.rename(out / "a-spoiled-run")


@pytest.fixture
def pair(tmp_path, healthy):
    """A healthy run and one to spoil."""
    shutil.copytree(healthy[0].parent, tmp_path / "runs")
    return tuple(tmp_path / "runs" / folder.name for folder in healthy)


def commands(good: Path, bad: Path, tmp_path: Path) -> list[list[object]]:
    """Every command that reads a run."""
    return [
        ["status", "--out", good.parent],
        ["status", "--json", "--out", good.parent],
        ["gc", "--apply", "--out", good.parent],
        ["diff", bad, good],
        ["diff", "--json", good, bad],
        ["export", bad, "--out", tmp_path / "rows.csv"],
        ["export", bad, "--out", tmp_path / "rows.parquet"],
        ["report", bad, "--out", tmp_path / "page.html", "--figures", "svg"],
        ["cancel", bad],
        ["retry", bad, *QUIET],
        ["resume", bad, *QUIET],
    ]


def check(good: Path, bad: Path, tmp_path: Path, capsys) -> None:
    """No traceback, one sentence, and the healthy run is still seen and swept."""
    for words in commands(good, bad, tmp_path):
        (good / ".left.1.part").touch()
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        assert code in (0, 1, 2), words
        assert "Traceback" not in said.err
        assert "\x1b" not in said.out + said.err
        if words[0] in ("status", "gc"):
            assert good.name in said.out, words
        elif code:
            said_lines = said.err.splitlines()
            assert said_lines, words
            assert all(line.startswith("percolaw: ") for line in said_lines), said.err
        if "--apply" in words:
            assert not (good / ".left.1.part").exists()


def config(**fields: object) -> str:
    return json.dumps(
        {"experiment": "fault-toy", "schema_version": 1, "stream_version": 1, "config": fields}
    )


DEEP = '{"a":' * 500 + "1" + "}" * 500
CONFIGS = {
    "deep": "[" * 100_000,
    "deep field": config().replace("{}", f'{{"at": {DEEP}}}'),
    "empty": "",
    "long number": "9" * 5000,
    "list": "[]",
    "bytes": "\x00\xff",
    "no config": '{"experiment": "fault-toy"}',
    "list config": '{"experiment": "fault-toy", "config": []}',
    "number name": '{"experiment": 3, "config": {}}',
    "unknown": '{"experiment": "no-such", "config": {}}',
    "escape name": '{"experiment": "\\u001b[2J", "config": {}}',
    "path name": '{"experiment": "../../etc/*", "config": {}}',
    "huge field": config().replace("{}", f'{{"n_units": {BIG}}}'),
    "infinite units": config(n_units=float("inf")),
    "text units": config(n_units="many"),
    "unknown field": config(n_unit=3),
    "escape field": config(**{"\x1b]0;x\x07": 3}),
    "other experiment": '{"experiment": "learnability", "config": {"boxes": 1.0}}',
    "nested wrong": '{"experiment": "dof-scan", "config": {"clusters": 3}}',
    "nested deep": '{"experiment": "dof-scan", "config": {"clusters": {"n_clusters": {}}}}',
    "number": "7",
    "null": "null",
    "text for units": config(n_units="x"),
    "number for places": config(at=7),
    "other units": config(),
}


def often(cases: dict[str, object], *rare: str) -> list[object]:
    """Names of cases; rare ones, whose code another case runs too, with --slow only."""
    assert set(rare) <= set(cases)
    return [pytest.param(c, marks=pytest.mark.slow) if c in rare else c for c in cases]


@pytest.mark.parametrize(
    "case",
    often(
        CONFIGS,
        *("empty", "list", "list config", "path name", "text units", "nested wrong"),
        *("number", "text for units", "number for places", "number name"),
    ),
)
def test_config(pair, tmp_path, capsys, case):
    (pair[1] / "config.json").write_text(CONFIGS[case])
    check(*pair, tmp_path, capsys)


def claim(**fields: object) -> dict[str, object]:
    base = {"name": "mean", "source": "", "predicted": 2.0, "measured": 2.0, "interval": [1.9, 2.1]}
    return {**base, "tolerance": 0.5, "verdict": "agrees", "note": "", **fields}


RECORDS = {
    "deep": "[" * 100_000,
    "deep table": {"tables": "DEEP"},
    "list": [],
    "no experiment": {"experiment": None},
    "unknown experiment": {"experiment": "\x1b[31mno\nsuch"},
    "other experiment": {"experiment": "learnability"},
    "status": {"status": {}},
    "no config": {"config": None},
    "deep config": {"config": "DEEP"},
    "number claims": {"claims": 7},
    "empty claim": {"claims": [{}]},
    "list name": {"claims": [claim(name=["a"])]},
    "escape name": {"claims": [claim(name="\x1b]0;owned\x07\x1b[2J", note="\u202eevil")]},
    "surrogate name": {"claims": [claim(name="\ud800")]},
    "huge measured": {"claims": "BIG"},
    "text measured": {"claims": [claim(measured="2")]},
    "short interval": {"claims": [claim(interval=[1.0])]},
    "list tables": {"tables": []},
    "reused list": {"reused": {"\x1b[2J": [1, {}]}},
    "units": {"units": {"a": "\x1b[2J"}},
    "provenance": {"provenance": [1]},
    "id": {"id": "\x1b[2J", "code": {"\x1b[2J": 1}},
}


@pytest.mark.parametrize(
    "case",
    often(
        RECORDS,
        *("list", "no experiment", "no config", "list name", "text measured", "list tables"),
        *("units", "provenance", "deep config", "short interval"),
    ),
)
def test_record(pair, tmp_path, capsys, case):
    file, fields = pair[1] / "record.json", RECORDS[case]
    if isinstance(fields, dict):
        record = {**json.loads(file.read_text()), **fields}
        text = json.dumps(record).replace('"DEEP"', DEEP)
        text = text.replace('"BIG"', json.dumps([claim()]).replace("2.0", BIG, 2))
    else:
        text = fields if isinstance(fields, str) else json.dumps(fields)
    file.write_text(text)
    check(*pair, tmp_path, capsys)


ROWS = {
    "empty object": "[{}]",
    "numbers": "[1, 2]",
    "nothing": "[]",
    "cut": "[{",
    "deep": f'[{{"value": {DEEP}}}]',
    "huge": f'[{{"value": {BIG}}}]',
    "kinds": '[{"value": 1}, {"value": "x"}, {"value": [1]}, {"value": {"a": 1}}]',
    "big for columns": '[{"value": 99999999999999999999999999}]',
    "surrogate": '[{"value": "\\ud800"}]',
    "escape": '[{"\\u001b[2J": "\\u001b[2J"}]',
}


@pytest.mark.parametrize("case", often(ROWS, "nothing", "huge", "surrogate", "numbers"))
def test_rows_with_the_right_checksum(pair, tmp_path, capsys, case):
    text = ROWS[case]
    change(pair[1], "UPDATE units SET rows = ?, digest = ?", text, row_digest(text.encode()))
    check(*pair, tmp_path, capsys)


CELLS = {
    "key bytes": ("key", b"\xff"),
    "cell": ("cell", "{"),
    "deep cell": ("cell", "[" * 100_000),
    "status": ("status", "\x1b[2J"),
    "seconds": ("seconds", "long"),
    "place": ("place", b"\xff"),
    "digest": ("digest", b"\xff"),
    "no digest": ("digest", None),
    "rows bytes": ("rows", b"\xff\x00"),
    "failed": ("status", "failed"),
}


@pytest.mark.parametrize("case", often(CELLS, "cell", "place", "digest", "seconds"))
def test_columns(pair, tmp_path, capsys, case):
    column, value = CELLS[case]
    change(pair[1], f"UPDATE units SET {column} = ? WHERE cell = '{{\"unit\":1}}'", value)
    check(*pair, tmp_path, capsys)


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA user_version = 99",
        pytest.param("PRAGMA user_version = -1", marks=pytest.mark.slow),
        pytest.param("PRAGMA user_version = 1", marks=pytest.mark.slow),
        "DROP TABLE units",
        "ALTER TABLE units RENAME COLUMN digest TO sum",
        "CREATE TABLE reused (x)",
        pytest.param("CREATE VIEW reused AS SELECT 1", marks=pytest.mark.slow),
        "CREATE TRIGGER t BEFORE DELETE ON units BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE VIRTUAL TABLE t USING fts5(x)",
    ],
)
def test_tables(pair, tmp_path, capsys, statement):
    execute(pair[1], statement)
    check(*pair, tmp_path, capsys)


def execute(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "units.sqlite")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


ENDLESS = (
    "ALTER TABLE units RENAME TO true_units",
    "CREATE VIEW units AS WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) "
    "SELECT i AS key, code, cell, status, rows, error, seconds, finished, place, digest "
    "FROM c JOIN true_units",
)
BIG_CELLS = (
    "ALTER TABLE units RENAME TO true_units",
    "CREATE TABLE units (key, code, cell, status, error, seconds, finished, place, digest, "
    "rows AS (hex(zeroblob(100000000))))",
    "INSERT INTO units SELECT key, code, cell, status, error, seconds, finished, place, digest "
    "FROM true_units",
)


@pytest.mark.parametrize("statements", [ENDLESS, BIG_CELLS], ids=["endless", "big"])
def test_databases_that_compute(pair, tmp_path, capsys, statements):
    """A view can be asked for ever, a computed column fills the memory; neither is looked at."""
    good, bad = pair
    execute(bad, *statements)
    check(good, bad, tmp_path, capsys)
    for folder in (good, bad):
        shutil.rmtree(folder)
    ended = percolaw.run(FaultToy(n_units=3), out=tmp_path / "runs").folder
    bad = ended.rename(ended.with_name("fault-toy-a-neighbour"))
    execute(bad, *statements)
    assert percolaw.run(FaultToy(n_units=3), out=tmp_path / "runs").reused == {}


@pytest.mark.parametrize(
    "kind",
    [
        *("pipe", "folder", "empty"),
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("link to itself", "link to nothing")
        ),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "record.json", "units.sqlite", ".lock"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("units.sqlite-wal", "active.json")
        ),
    ],
)
def test_files_that_are_no_files(pair, tmp_path, capsys, name, kind):
    file = pair[1] / name
    file.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "empty":
        file.touch()
    else:
        file.symlink_to("nothing" if kind == "link to nothing" else name)
    if name == ".lock" and kind == "pipe":
        pytest.skip("a lock is taken on a pipe as on a file")
    check(*pair, tmp_path, capsys)


@pytest.mark.parametrize("name", ["run\x1b[2J", "run\nx  concluded  9 units", "\u202enur"])
def test_names_of_folders_cannot_steer_the_terminal(pair, tmp_path, capsys, name):
    good, bad = pair
    bad = bad.rename(bad.parent / name)
    capsys.readouterr()
    assert main(["status", "--out", str(bad.parent)]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert all(c.isprintable() or c == "\n" for c in out)
    (bad / "config.json").write_text("{")
    check(good, bad, tmp_path, capsys)


def test_the_healthy_run_is_untouched(pair, tmp_path, capsys):
    before = content(pair[0])
    (pair[1] / "config.json").write_text("[" * 100_000)
    check(*pair, tmp_path, capsys)
    assert content(pair[0]) == before
