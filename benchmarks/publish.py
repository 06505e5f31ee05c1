"""Take claims and pictures of finished runs into docs/results.

    python benchmarks/publish.py docs/results/NAME RUN [RUN ...]

Writes the claims of every RUN into claims.md, in the place of those of the same experiment, with the
command and the commit that the code was at, and copies its pictures. Other sections and pictures stay.
"""

from __future__ import annotations

import argparse
import itertools
import re
import shutil
from pathlib import Path

import percolaw as pl
from percolaw.report.claims import claims_markdown

HEAD = re.compile(r"^`percolaw run ([\w-]+)[^\n]*\n", re.M)


def section(run: Path, command: str, commit: str) -> str:
    """The command, how many claims have which verdict, and their table."""
    claims = pl.open_run(run).claims
    words = [c.verdict for c in claims]
    counts = ", ".join(f"{words.count(w)} {w}" for w in ("agrees", "disagrees", "inconclusive"))
    return f"`{command}`, commit {commit}: {counts}\n\n{claims_markdown(claims)}"


def sections_of(text: str) -> dict[str, str]:
    """Experiment to its part of claims.md, in order."""
    starts = [m.start() for m in HEAD.finditer(text)] + [len(text)]
    parts = [text[a:b].rstrip("\n") + "\n" for a, b in itertools.pairwise(starts)]
    return {HEAD.match(part).group(1): part for part in parts}  # type: ignore[union-attr]


def main() -> None:
    """Write claims.md and copy pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--commit", required=True, help="of the code that measured")
    options = parser.parse_args()
    file = options.folder / "claims.md"
    sections = sections_of(file.read_text(encoding="utf-8")) if file.exists() else {}
    for run in options.runs:
        name = pl.open_run(run).experiment
        command = f"percolaw run {name} --preset {options.preset}"
        sections[name] = section(run, command, options.commit)
        for picture in sorted((run / "figures").glob("*.png")):
            (options.folder / "figures").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, options.folder / "figures" / picture.name)
    file.write_text("\n".join(sections.values()), encoding="utf-8")


if __name__ == "__main__":
    main()
