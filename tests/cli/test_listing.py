"""``percolaw list``: a line each by paper, more of what is asked for."""

import json
import re

import pytest

from percolaw.cli import main
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.experiments.reproductions import REPRODUCTIONS


@pytest.fixture
def listed(capsys, monkeypatch):
    """What the command prints, in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words):
        assert main(["list", *words]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return run


def test_every_experiment_has_one_line_under_the_first_paper_it_is_part_of(listed):
    paper, seen = None, {}
    for line in listed().splitlines():
        assert len(line) <= 80
        heading = re.match(r"([\w-]+): ", line)
        paper = heading[1] if heading else ("" if line == "in no reproduction" else paper)
        member = re.match(r"  ([\w-]+)(\*?)  ", line)
        if member:
            assert member[1] not in seen
            seen[member[1]] = paper
            cls = experiment_class(member[1])
            assert cls.title[:10] in line
            assert line.endswith(
                cls.presets["laptop"].time.partition(",")[0] if cls.presets else " "
            )
            assert (getattr(cls, "command", "no command") in line) == (not cls.presets)
            assert bool(member[2]) == hasattr(cls, "validate")
    assert set(seen) == set(EXPERIMENTS)
    for name, under in seen.items():
        papers = [p for p, (_, members) in REPRODUCTIONS.items() if name in members]
        assert under == (papers or [""])[0]
    assert "and kernel-scaling, nn-data-scaling\n" in listed(), "what a paper shares is named there"


def test_a_text_shows_all_that_is_known_of_what_contains_it(listed):
    cls = experiment_class("single-cluster")
    out = listed("Single-Cluster")
    assert out.startswith(f"single-cluster\n    {cls.title}\n    source: {cls.source}\n")
    for label, preset in cls.presets.items():
        assert re.search(rf"--preset {label} +about {preset.time}, {preset.memory}", out)
    assert "percolaw sweep" not in out
    assert "    no presets: percolaw analyze FILE" in listed("data of your own")
    assert "percolaw sweep nn-tuning" in listed("nn-tuning")
    members = re.findall(r"^[\w-]+$", listed("sharma-kaplan"), re.MULTILINE)
    assert set(members) >= set(REPRODUCTIONS["sharma-kaplan"][1])


def test_json(listed):
    found = json.loads(listed("--json"))
    assert list(found) == list(EXPERIMENTS)
    for name, entry in found.items():
        assert entry["title"] == experiment_class(name).title
        assert not entry["presets"] or {"smoke", "laptop"} <= set(entry["presets"])
        assert all(p["time"] and p["memory"] for p in entry["presets"].values())
    assert [n for n, entry in found.items() if not entry["presets"]] == ["analyze"]
    assert [n for n, entry in found.items() if entry["tuned"]] == ["kernel-tuning", "nn-tuning"]
    assert list(json.loads(listed("kernel-tuning", "--json"))) == ["kernel-tuning"]
