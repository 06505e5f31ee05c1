"""The table of claims, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from percolaw.experiments.claims import Claim
from percolaw.text import printable, table_lines

_MARK = {"agrees": "agrees", "disagrees": "DISAGREES", "inconclusive": "inconclusive"}
_COLOR = {"agrees": "\033[32m", "disagrees": "\033[31m", "inconclusive": "\033[33m"}
_HEADER = ("claim", "source", "predicted +- tolerance", "measured [95% interval]", "verdict")
#: Columns of sources, and the least that names get in a table.
_SOURCE, NARROWEST_NAME = 26, 30

#: How verdicts come about; see `percolaw.experiments.base.judge`.
VERDICT_RULE = (
    "A claim agrees if the measured value lies within the tolerance of the prediction (fixed in the "
    "config before the run) and its whole interval within three tolerances; it disagrees if the whole "
    "interval lies outside the tolerance; otherwise it is inconclusive."
)


def number(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value:.4g}"


def predicted(claim: Claim) -> str:
    """Return the predicted value with the tolerance of the verdict."""
    return f"{number(claim.predicted)} +- {claim.tolerance:.3g}"


def measured(claim: Claim) -> str:
    """Return the measured value with its interval."""
    low, high = claim.interval
    if low == high:
        return number(claim.measured)
    return f"{number(claim.measured)} [{number(low)}, {number(high)}]"


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def claims_table(claims: Iterable[Claim], *, color: bool = False, width: int = 130) -> str:
    """Return the claims as an aligned table; long texts are wrapped.

    The column of sources is left out where it does not fit, and where names would have less than
    `NARROWEST_NAME` columns without it, each claim stands in lines of its own.

    Parameters
    ----------
    claims : iterable of Claim
    color : bool
        Verdicts in the colours of a terminal.
    width : int
        Columns of the whole.
    """
    claims = tuple(claims)
    rows = [
        (_named(c), _line(c.source), predicted(c), measured(c), _MARK[c.verdict]) for c in claims
    ]
    fixed = [max(len(r[i]) for r in [*rows, _HEADER]) for i in (2, 3, 4)]
    left = width - sum(fixed) - 3 * 3
    if left < NARROWEST_NAME:
        return _listed(claims, color, width)
    first = left - _SOURCE - 3
    shown = (0, 1, 2, 3, 4) if first >= NARROWEST_NAME else (0, 2, 3, 4)
    widths = (first, _SOURCE, *fixed) if len(shown) == 5 else (left, *fixed)
    header = [_HEADER[i] for i in shown]
    lines = [" | ".join(h.ljust(w) for h, w in zip(header, widths, strict=True)).rstrip()]
    lines.append("-+-".join("-" * w for w in widths))
    for row, claim in zip(rows, claims, strict=True):
        for i, parts in enumerate(table_lines([row[i] for i in shown], widths)):
            if color and i == 0:
                parts[-1] = f"{_COLOR[claim.verdict]}{parts[-1]}\033[0m"
            lines.append(" | ".join(parts).rstrip())
    return "\n".join(lines)


#: What stands before and after the rows of a table in Markdown and LaTeX.
MARKDOWN_TABLE = ("| " + " | ".join(_HEADER) + " |\n|---|---|---|---|---|", "")
LATEX_TABLE = (
    "\\begin{tabular}{lllll}\n\\hline\n"
    "claim & source & predicted $\\pm$ tolerance & measured [95\\% interval] & verdict \\\\\n\\hline",
    "\\hline\n\\end{tabular}",
)
_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
}


def _cells(claim: Claim) -> list[str]:
    name = claim.name + (f" ({claim.note})" if claim.note else "")
    cells = (name, claim.source, predicted(claim), measured(claim), _MARK[claim.verdict])
    return [_line(cell) for cell in cells]


def markdown_row(claim: Claim) -> str:
    """Return a claim as a row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(claim)) + " |"


def latex_row(claim: Claim) -> str:
    """Return a claim as a row of a LaTeX table, in the characters that it is written in."""
    cells = ("".join(_LATEX.get(c, c) for c in cell) for cell in _cells(claim))
    return " & ".join(cells).replace("+-", r"$\pm$") + r" \\"


def _named(claim: Claim) -> str:
    """Name and note in a line."""
    return _line(claim.name + (f" -- {claim.note}" if claim.note else ""))


def _listed(claims: Iterable[Claim], color: bool, width: int) -> str:
    """Claims below each other: verdict and name, then the numbers."""
    indent = max(map(len, _MARK.values())) + 2
    lines = []
    for claim in claims:
        mark = _MARK[claim.verdict].ljust(indent)
        if color:
            mark = f"{_COLOR[claim.verdict]}{mark}\033[0m"
        numbers = f"predicted {predicted(claim)}, measured {measured(claim)}"
        folded = [
            line
            for text in (_named(claim), numbers)
            for line in textwrap.wrap(text, max(20, width - indent))
        ]
        lines += [mark + folded[0], *(" " * indent + line for line in folded[1:])]
    return "\n".join(lines)


def disagreements(claims: Iterable[Claim], *, color: bool = False, width: int = 130) -> str:
    """Return the claims that disagree again, each with its numbers and note; empty if none does.

    Parameters
    ----------
    claims : iterable of Claim
    color, width
        As in `claims_table`.
    """
    return _listed((c for c in claims if c.verdict == "disagrees"), color, width)


def claims_markdown(claims: Iterable[Claim]) -> str:
    """Return the claims as a Markdown table."""
    return "\n".join([MARKDOWN_TABLE[0], *map(markdown_row, claims)]) + "\n"


def tally(claims: Iterable[Claim]) -> str:
    """Return how many claims have each verdict, in words."""
    verdicts: list[str] = [c.verdict for c in claims]
    return ", ".join(
        f"{verdicts.count(name)} {label}"
        for name, label in (
            ("agrees", "agree"),
            ("disagrees", "disagree"),
            ("inconclusive", "inconclusive"),
        )
    )
