"""Apply the present rule of verdicts to results that were measured before, and take in new runs.

    python benchmarks/judge_again.py docs/results/NAME [RUN ...]

Numbers stay as they were measured; claims of experiments that have a finished RUN are taken from there.
Writes summary.json and claims.md anew and prints every verdict that changes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from percolaw.experiments.claims import Claim, judge
from percolaw.report.claims import VERDICT_RULE, claims_markdown, tally
from percolaw.runs.store import read_record, strict_json, write_atomic

#: The band of the size distributions is the tolerance; 0.3 of it, and one standard error, were before.
WIDER = {"size distribution at": 1.0 / 0.3, "share of clusters above": 3.3}
#: What earlier texts called a kernel without saying of which network.
SAID = {
    "that of the tangent kernel": "that of the tangent kernel (NTK parametrisation, unit biases)",
    "the tangent kernel has": "the tangent kernel (NTK parametrisation, unit biases) has",
    "the tangent kernel misses": "the tangent kernel (NTK parametrisation, unit biases) misses",
    "infinitely wide network": "infinitely wide network (NTK parametrisation)",
    "99.9% interval; clusters that": "interval and tolerance are the 99.9% band; clusters that",
}


def claim_of(entry: dict[str, Any]) -> Claim:
    """A stored claim, judged by the present rule."""

    def number(value: float | None, missing: float = math.nan) -> float:
        return missing if value is None else value

    tolerance = entry["tolerance"]
    for start, factor in WIDER.items():
        if entry["name"].startswith(start) and "judged" not in entry:
            tolerance *= factor
    low, high = entry["interval"]
    texts = [said(entry["name"]), said(entry["note"])]
    return judge(
        texts[0],
        entry["source"],
        number(entry["predicted"]),
        number(entry["measured"]),
        (number(low, -math.inf), number(high, math.inf)),
        tolerance,
        texts[1],
    )


def said(text: str) -> str:
    """A text of a claim that names its kernel."""
    for old, new in SAID.items():
        text = text if new in text or "own limit" in text else text.replace(old, new)
    return text


def main() -> None:
    """Read, judge, write, and say what changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("runs", nargs="*", type=Path)
    options = parser.parse_args()
    summary = json.loads((options.results / "summary.json").read_text(encoding="utf-8"))
    new = {r["experiment"]: r for r in map(read_record, options.runs)}
    claims: list[tuple[str, Claim]] = []
    for name in summary["runs"]:
        if name in new:
            claims += [
                (name, Claim(**{**c, "interval": tuple(c["interval"])}))
                for c in read_claims(new[name])
            ]
            continue
        for entry in summary["claims"]:
            if entry["experiment"] == name:
                found = claim_of(entry)
                claims.append((name, found))
                if found.verdict != entry["verdict"]:
                    print(f"| {name} | {found.name} | {entry['verdict']} | {found.verdict} |")
    again = summary.get("measured_again", {}) | {
        name: record["provenance"]["git_commit"] for name, record in new.items()
    }
    summary["claims"] = [
        {"experiment": name, **dataclasses.asdict(claim), "judged": True} for name, claim in claims
    ]
    summary["measured_again"] = again
    commit = summary["provenance"]["git_commit"][:7]
    when = f"Measured at commit {commit}"
    for name, at in again.items():
        when += f", {name} again at {at[:7]}"
    when += "; verdicts by the rule below (`python benchmarks/judge_again.py`)."
    found = [claim for _, claim in claims]
    write_atomic(
        options.results / "claims.md",
        f"`{summary['command']}`\n\n{when} {tally(found)}.\n\n{claims_markdown(found)}\n{VERDICT_RULE}\n",
    )
    text = json.dumps(strict_json(summary), indent=1)
    write_atomic(options.results / "summary.json", text + "\n")
    print(tally(found))


def read_claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims of a record, nulls as they were before they became JSON."""
    found = []
    for claim in record["claims"]:
        low, high = claim["interval"]
        ends = (-math.inf if low is None else low, math.inf if high is None else high)
        numbers = {k: math.nan if claim[k] is None else claim[k] for k in ("predicted", "measured")}
        words = {k: said(claim[k]) for k in ("name", "note")}
        found.append({**claim, **numbers, **words, "interval": ends})
    return found


if __name__ == "__main__":
    main()
