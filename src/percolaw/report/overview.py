"""What the page begins with: the verdicts in a line, what disagrees, links, and the table of claims."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from percolaw.experiments.claims import Claim
from percolaw.report.citations import linked
from percolaw.report.claims import (
    LATEX_TABLE,
    MARKDOWN_TABLE,
    VERDICT_RULE,
    latex_row,
    markdown_row,
    measured,
    predicted,
    tally,
)
from percolaw.report.markup import badge, text
from percolaw.report.reading import VERDICTS, Entry
from percolaw.report.records import readings
from percolaw.report.redo import commit_of


def navigation(entries: Sequence[Entry]) -> str:
    """Return the bar of links that stays on the screen."""
    links = []
    for entry in entries:
        against = sum(claim.verdict == "disagrees" for claim in entry.run.claims)
        sign = f' <span class="against">{against} {VERDICTS["disagrees"]}</span>' if against else ""
        links.append(f'<li><a href="#{entry.place}">{text(entry.words)}{sign}</a></li>')
    first = '<li><a href="#top">summary</a></li>'
    return f'<nav aria-label="Experiments"><ul>{first}{"".join(links)}</ul></nav>'


#: Seconds after which a page of runs that go on loads itself anew.
RELOAD = 5


def going_on(running: Sequence[str]) -> str:
    """Return what is still measured; the script loads the page anew as long as this stands there."""
    if not running:
        return ""
    items = "".join(f"<li>{text(words)}</li>" for words in running)
    return (
        f'<aside class="live" data-reload="{RELOAD}"><p>{_many(len(running), "run")} going on when this '
        f"was written:</p><ul>{items}</ul></aside>"
    )


def headline(claims: Sequence[Claim], experiments: Sequence[str]) -> str:
    """Return how many claims have each verdict, in words and as a bar.

    Parameters
    ----------
    claims : sequence of Claim
        Of all runs.
    experiments : sequence of str
        Name of the experiment of each run.

    Returns
    -------
    str
    """
    runs, n = len(experiments), len(set(experiments))
    named = _many(n, "experiment") + (f" in {runs} runs" if runs > n else "")
    words = f"{named}, {_many(len(claims), 'claim')}: {text(tally(claims))}."
    parts, x = [], 0.0
    for verdict in VERDICTS:
        width = 100.0 * sum(c.verdict == verdict for c in claims) / max(1, len(claims))
        if width:
            parts.append(
                f'<rect class="{verdict}" x="{x:.2f}" y="0" width="{width:.2f}" height="4"/>'
            )
        x += width
    bar = (
        '<svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )
    return f'<p class="headline">{words}</p>{bar if parts else ""}'


def found(entries: Sequence[Entry]) -> str:
    """Return what runs say in words: the first of their readings, with links to the runs."""
    items = []
    for entry in entries:
        said = readings(entry.run.record["tables"])
        if said:
            where = f'<a href="#{entry.place}">{text(entry.words)}</a>'
            items.append(f"<li>{where}, {text(said[0].title)}: {text(said[0].text)}</li>")
    if not items:
        return ""
    return f'<section class="found"><h2>What was found</h2><ul>{"".join(items)}</ul></section>'


def disagreements(entries: Sequence[Entry]) -> str:
    """Return the claims that disagree, each with its numbers, its note and a link to its run."""
    items = [
        f'<li><a href="#{entry.place}">{text(claim.name)}</a>{_strip(claim)}'
        f'<span class="numbers">predicted {_plus_minus(predicted(claim))}, measured '
        f"{text(measured(claim))}</span>"
        + (f'<span class="note">{text(claim.note)}</span>' if claim.note else "")
        + f'<span class="note"><code>{text(entry.words)}</code></span></li>'
        for entry in entries
        for claim in entry.run.claims
        if claim.verdict == "disagrees"
    ]
    if not items:
        every = any(entry.run.claims for entry in entries)
        return "<p>No claim disagrees with its prediction.</p>" if every else ""
    return (
        f'<section class="disagreements"><h2>What disagrees</h2><ul>{"".join(items)}</ul></section>'
    )


def claims_section(entries: Sequence[Entry]) -> str:
    """Return the table of all claims, folded."""
    bodies = [_body(entry) for entry in entries if entry.run.claims]
    if not bodies:
        return '<section id="claims"><h2>Claims</h2><p>These runs make no claims.</p></section>'
    columns = "".join(
        f'<th scope="col">{h or "<span class=sr>drawn</span>"}</th>' for h in _COLUMNS
    )
    n_claims = sum(len(entry.run.claims) for entry in entries)
    copies = {"markdown": MARKDOWN_TABLE, "latex": LATEX_TABLE}
    data = "".join(
        f' data-{kind}="{text(json.dumps({"before": before, "after": after}))}"'
        for kind, (before, after) in copies.items()
    )
    return (
        f'<section><details id="claims" class="claims"><summary>All {_many(n_claims, "claim")}, '
        "with predictions, intervals and sources</summary>"
        f"<p>{_plus_minus(VERDICT_RULE)}</p>"
        f'<p class="filter controls" hidden{data}></p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Claims">'
        f"<table><thead><tr>{columns}</tr></thead>{''.join(bodies)}</table></div></details></section>"
    )


_COLUMNS = ("verdict", "claim", "predicted", "measured", "", "source")


def _body(entry: Entry) -> str:
    run, place, _ = entry
    commit = commit_of(run.record)
    rows = "".join(
        f'<tr data-verdict="{text(c.verdict)}" data-markdown="{text(markdown_row(c))}" '
        f'data-latex="{text(latex_row(c))}"><td>{badge(c.verdict)}</td>'
        f'<th scope="row"><a href="#{place}">{text(c.name)}</a>'
        + (f'<span class="note">{text(c.note)}</span>' if c.note else "")
        + f'</th><td data-label="predicted">{_plus_minus(predicted(c))}</td>'
        f'<td data-label="measured">{text(measured(c))}</td>'
        f'<td>{_strip(c)}</td><td data-label="source">{linked(c.source, commit)}</td></tr>'
        for c in run.claims
    )
    return (
        '<tbody><tr class="group"><th colspan="6" scope="rowgroup">'
        f'<a href="#{place}">{text(entry.words)}</a></th></tr>{rows}</tbody>'
    )


def _plus_minus(words: str) -> str:
    return text(words).replace("+-", "&plusmn;")


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _strip(claim: Claim) -> str:
    """The interval against predicted +- tolerance, drawn; 4 tolerances to each side."""
    low, high = claim.interval
    t = claim.tolerance
    if not t > 0 or not all(map(math.isfinite, (claim.predicted, claim.measured))):
        return ""

    def place(value: float) -> float:
        return round(60 + 14 * max(-4.0, min(4.0, (value - claim.predicted) / t)), 1)

    a, b = place(low), place(high)
    return (
        '<svg class="strip" viewBox="0 0 120 16" width="120" height="16" aria-hidden="true">'
        '<rect class="allowed" x="46" y="1" width="28" height="14"/>'
        '<line class="expected" x1="60" y1="1" x2="60" y2="15"/>'
        f'<line class="found" x1="{a}" y1="8" x2="{b}" y2="8"/>'
        f'<circle class="found" cx="{place(claim.measured)}" cy="8" r="3"/></svg>'
    )
