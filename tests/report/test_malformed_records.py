"""Malformed records: an error in a sentence, or a page."""

import copy
import json
import math
import random
import time

from report_cases import PLOTTED, check_page, record, write_run

from percolaw.errors import PercolawError
from percolaw.report.html import build

NASTY = (
    *(None, True, False, 0, -1, 1, 3, 0.0, -0.0, 1e308, -1e308, 5e-324, math.inf, -math.inf),
    *(math.nan, 10**30, 10**400, -(10**400), "", "x", "1", "done", "agrees", "</script>", "\ud800"),
    *("\x00", "a" * 300, [], {}, [[]], [None], [1, 2], [2, 1], [0, 0], {"": None}, {"a": {}}),
)


def places(value, path=()):
    """Paths of everything inside a JSON value."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from places(item, (*path, i))


def mutated(rng, value, every):
    """A JSON text as a value with one to three changes."""
    out = json.loads(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(every)
        if not path:
            if rng.random() < 0.02:
                return rng.choice(NASTY)
            continue
        try:
            at = out
            for key in path[:-1]:
                at = at[key]
            last, kind = path[-1], rng.randrange(6)
            if kind == 0:
                del at[last]
            elif kind == 1 and isinstance(at[last], list):
                at[last] = at[last] * 2 if rng.random() < 0.5 else at[last][:-1]
            elif kind == 2:
                other = out
                for key in rng.choice(every):
                    other = other[key]
                at[last] = copy.deepcopy(other)
            else:
                at[last] = copy.deepcopy(rng.choice(NASTY))
        except (LookupError, TypeError):
            continue
    return out


def as_bytes(rng, value):
    """Its JSON, sometimes cut, with bytes changed, or deeper than any reader goes."""
    body = json.dumps(value).encode()
    kind = rng.randrange(20)
    if kind == 0:
        return body[: rng.randrange(len(body) + 1)]
    if kind == 1 and body:
        changed = bytearray(body)
        for _ in range(rng.randrange(1, 5)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    if kind == 2:
        return body.replace(b"null", b"[" * 50 + b"]" * 50, 1).replace(b"0.", b"1e999 ,", 1)
    return body


def test_malformed_records_give_an_error_or_a_page(tmp_path, request):
    """Ten thousand of them with --slow, 300 without."""
    rng = random.Random(20240613)
    n_records, n_summaries = (9_000, 1_000) if request.config.getoption("--slow") else (270, 30)
    folder, paper = tmp_path / "run", tmp_path / "paper"
    inside = {name: list(places(record(name, size=4))) for name in PLOTTED}
    whole = {name: json.dumps(record(name, size=4)) for name in PLOTTED}
    pages = errors = 0
    short = []
    slowest = 0.0

    def attempt(where):
        nonlocal pages, errors, slowest
        started = time.perf_counter()
        try:
            page = build([where])
        except PercolawError as error:
            errors += 1
            short.extend([str(error)] * (len(str(error)) < 20))
        else:
            pages += 1
            page.encode("utf-8")
            assert page.endswith("</html>\n")
            if pages % 25 == 0:
                check_page(page)
        slowest = max(slowest, time.perf_counter() - started)

    write_run(folder, whole["teachers"])
    for i in range(n_records):
        name = PLOTTED[i % len(PLOTTED)]
        (folder / "record.json").write_bytes(as_bytes(rng, mutated(rng, whole[name], inside[name])))
        attempt(folder)
    write_run(folder, record("parameters-vs-dof"))
    paper.mkdir()
    summary = {"paper": "a", "command": "b", "seconds": 3.0, "claims": [], "provenance": {}}
    summary["runs"] = {"parameters-vs-dof": str(folder)}
    every = list(places(summary))
    summary = json.dumps(summary)
    for _ in range(n_summaries):
        (paper / "summary.json").write_bytes(as_bytes(rng, mutated(rng, summary, every)))
        attempt(paper)
    assert pages + errors == n_records + n_summaries
    assert min(pages, errors) > 0.1 * (pages + errors), (pages, errors)
    assert slowest < 5
    assert not short, "errors that say nothing"


def test_malformed_records_that_are_drawn(tmp_path):
    """Without kept pictures Matplotlib sees the numbers too."""
    rng = random.Random(7)
    content = record("theory-curves", size=4)
    every = [p for p in places(content) if p and p[0] == "plots"]
    folder = write_run(tmp_path / "run", content)
    (folder / "figures" / "a-picture.png").unlink()
    outcomes = set()
    for _ in range(12):
        (folder / "record.json").write_text(json.dumps(mutated(rng, json.dumps(content), every)))
        said = []
        page = build([folder], said.append)
        assert content["claims"][0]["name"] in page
        assert ("cannot be drawn" in page) == bool(said)
        outcomes.add(bool(said))
    assert outcomes == {True, False}
