"""Small pieces of the page: text made safe, tables, badges."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from percolaw.experiments.base import plain
from percolaw.report.reading import VERDICTS

# Control characters and marks that turn the direction of text would make a page lie.
_STRANGE = dict.fromkeys(
    [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)],
    "\ufffd",
)


def text(value: Any) -> str:
    """Return any value as text that is safe anywhere in HTML, attributes in quotes included."""
    clean = str(value).translate(_STRANGE).encode("utf-8", "replace").decode("utf-8")
    return html.escape(clean, quote=True)


def embedded_json(value: Any) -> str:
    """Return strict JSON that cannot end the script element it stands in."""
    body = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return body.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def duration(seconds: float | None) -> str:
    """Return seconds in words."""
    if seconds is None or seconds < 0:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"


def _table(rows: Sequence[Sequence[str]], header: Sequence[str], name: str, kind: str = "") -> str:
    """A table of cells that are safe already, in a box that scrolls and can have the focus."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll {kind}" tabindex="0" role="region" aria-label="{text(name)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _details(summary: str, body: str) -> str:
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def _flat(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Dotted names and values of nested objects."""
    if isinstance(value, Mapping) and value and depth < 5:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key), depth + 1)
    else:
        yield name, value if isinstance(value, str) else json.dumps(plain(value))


def badge(verdict: str) -> str:
    """Return a verdict as colour, shape, sign and word."""
    return (
        f'<span class="badge {text(verdict)}"><span class="sign" aria-hidden="true">'
        f"<span>{VERDICTS[verdict]}</span></span>{text(verdict)}</span>"
    )
