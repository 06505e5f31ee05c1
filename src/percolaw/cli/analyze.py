"""``percolaw analyze``: a user's own data as percolation clusters, and what follows for learning."""

from __future__ import annotations

import argparse
import contextlib
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percolaw import checks
from percolaw.analysis.reliability import RELIABILITY
from percolaw.analysis.verdict import MEANING
from percolaw.cli.experiments import write_page
from percolaw.cli.measuring import add_common, check_options, draw, executor_of, run_one
from percolaw.cli.numbers import count
from percolaw.cli.terminal import note, table_width
from percolaw.datasets.element_labels import KINDS
from percolaw.datasets.formats import npz
from percolaw.text import printable, table_lines

if TYPE_CHECKING:
    from percolaw.analysis.findings import Findings
    from percolaw.analysis.sample import Sample
    from percolaw.analysis.verdict import Verdict

#: Elements from which on memory and time are said before anything starts; with the network always.
LARGE = 5000
#: Where more is said of it.
WHERE = "By kind of data, and what can fool the rule: docs/real-data.md."


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "analyze",
        help="your own data: are they like percolation clusters, what will more data bring",
        description="Join adjacent elements of one class, and hold the clusters against percolation and "
        "nulls: a verdict by a fixed rule, the conditions it rests on, and what 1-NN, a kernel and a "
        "network may expect of more data. Without labels the geometry alone. Interrupted, the same "
        "command continues.",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="points: .npy, .npz, .csv, .tsv, .txt, .parquet, .zarr; or text of strings, one a line",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="a class or a number for each element: .npy, .npz, .csv, .tsv, .txt, .parquet",
    )
    parser.add_argument(
        "--hierarchy", metavar="FILE", help="classes in several columns, coarsest first"
    )
    parser.add_argument(
        "--columns", type=_words, default=(), metavar="A,B", help="columns of the labels to use"
    )
    parser.add_argument(
        "--kind",
        choices=KINDS,
        default="auto",
        help="whether labels are classes or numbers (default: auto, whole numbers are classes)",
    )
    _add_settings(parser)
    add_common(parser)
    parser.set_defaults(handler=run_analyze)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """How the files are analysed."""
    parser.add_argument(
        "--metric",
        choices=("euclidean", "cosine", "hamming"),
        default="euclidean",
        help="what is near; hamming for strings of one length (default: euclidean)",
    )
    parser.add_argument(
        "--k",
        type=_counts,
        default=(6, 3, 10),
        metavar="K,K,...",
        help="neighbours among which points are adjacent; the first is the verdict's (default: 6,3,10)",
    )
    parser.add_argument(
        "--draws",
        type=count,
        default=200,
        metavar="N",
        help="of each null, at least 20 (default: 200)",
    )
    parser.add_argument(
        "--learners",
        type=_words,
        default=("nearest-neighbour", "kernel"),
        metavar="NAMES",
        help="of nearest-neighbour, kernel, network; or none (default: nearest-neighbour,kernel)",
    )
    parser.add_argument(
        "--max-elements",
        type=count,
        default=20_000,
        metavar="N",
        help="used at most, drawn at random (default: 20000)",
    )
    parser.add_argument(
        "--approximate",
        action="store_true",
        help="a few neighbours of more than 20000 points may be missed: 99%% are found (needs faiss)",
    )
    parser.add_argument("--seed", type=count, default=0, help="seed (default: 0)")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _counts(text: str) -> tuple[int, ...]:
    return tuple(count(word) for word in _words(text))


_counts.__name__ = "list of integers"  # what argparse calls it in messages


def run_analyze(options: argparse.Namespace) -> int:
    """Analyse files, print what is found, and write figures and a report.

    Parameters
    ----------
    options : argparse.Namespace
        Of the command.

    Returns
    -------
    int
        Exit code 0, whatever the verdict.

    Raises
    ------
    ValueError
        For files that cannot be analysed as asked, before anything is measured.
    """
    check_options(options)
    experiment = experiment_of(options)
    elements = experiment.read()
    if options.hierarchy is not None and (len(elements.levels) == 1 or elements.values is not None):
        raise ValueError(
            f"{options.hierarchy} holds one column, and a hierarchy several. Give it as --labels."
        )
    said = _described(experiment, elements)
    n_used = min(elements.n, experiment.n_most)
    if (n_used > LARGE or "network" in experiment.learners) and not options.quiet:
        expected = cost(n_used, elements.elements.nbytes, len(elements.levels), experiment)
        note(f"{said} {expected}")
    del elements
    experiment.cells()  # refuses what cannot be analysed
    with executor_of(options) as executor:
        result = run_one(experiment, options, executor)
    if options.json:
        print((result.folder / "record.json").read_text(encoding="utf-8"), end="", flush=True)
    else:
        findings = experiment.findings(result.rows, *experiment.names())
        print(f"{printable(said)}\n")
        for line in report(findings, table_width()):
            print(line)
        print(f"\nresults: {printable(result.folder)}", flush=True)
    draw(result, options)
    write_page(result.folder, options)
    return 0


def experiment_of(options: argparse.Namespace) -> Any:
    """Return the config of the analysis that is asked for.

    Parameters
    ----------
    options : argparse.Namespace
        Of the command.

    Returns
    -------
    Analyze

    Raises
    ------
    ValueError
        For a missing file, no k, an unknown learner, labels and a hierarchy, columns or a kind without
        labels, and fewer than 20 draws or 400 elements.
    """
    from percolaw.analysis.learning import LEARNERS
    from percolaw.experiments.real.own import Analyze

    labels = options.labels or options.hierarchy or ""
    if options.labels and options.hierarchy:
        raise ValueError(
            "--labels and --hierarchy both say what the elements are; give one. Several columns of one "
            "file are a hierarchy, coarsest first."
        )
    if not labels:
        _name_labels_inside(Path(options.file))
    if options.columns and not labels:
        raise ValueError("--columns names columns of labels; give their file with --labels.")
    if options.kind != "auto" and not labels:
        raise ValueError("--kind says what labels hold; give their file with --labels.")
    if not options.k:
        raise ValueError(
            "--k needs a number of neighbours, for instance --k 6, or several: 6,3,10."
        )
    checks.integer("--draws", options.draws, minimum=20)
    checks.integer("--max-elements", options.max_elements, minimum=400)
    learners = () if options.learners == ("none",) else options.learners
    names = {name.replace(" ", "-"): name for name in LEARNERS}
    for learner in learners:
        checks.choice("--learners", learner, names)
    return Analyze(
        file=options.file,
        labels=labels,
        columns=options.columns,
        kind=options.kind,
        metric=options.metric,
        k=options.k[0],
        other_k=options.k[1:],
        n_draws=options.draws,
        learners=tuple(names[learner] for learner in learners),
        n_most=options.max_elements,
        approximate=options.approximate,
        seed=options.seed,
    )


def _name_labels_inside(file: Path) -> None:
    """Say how labels that a file of points holds beside them are analysed."""
    if file.suffix != ".npz" or not file.is_file():
        return
    held: list[str] = []
    # Of a damaged file the analysis says what is wrong.
    with contextlib.suppress(Exception), npz.opened(file) as archive:
        held = [name for name in archive.names if name != "meta"]
    if {"X", "y"} <= {*held}:
        held.remove("X")
        others = f", with --columns one of {', '.join(held)}" if len(held) > 1 else ""
        where = printable(file)
        note(f"{where} also holds labels of its elements: --labels {where} analyses y{others}.")


def _described(experiment: Any, elements: Sample) -> str:
    """What is analysed, in a line."""
    shape = "letters" if elements.metric == "hamming" else "coordinates"
    (name,), width = experiment.names(), elements.elements.shape[1]
    text = f"{name}: {elements.n} distinct elements of {width} {shape}"
    if elements.values is not None:
        text += f", with numbers (standard deviation {elements.values.std():.3g})"
    elif elements.levels:
        text += f", classes: {', '.join(str(m + 1) for m in elements.classes.max(axis=0))}"
    if elements.n > experiment.n_most:
        text += f"; {experiment.n_most} of them drawn at random (--max-elements)"
    return text + "."


def cost(n_elements: int, n_bytes: int, n_levels: int, experiment: Any) -> str:
    """Return what an analysis takes, in words.

    Parameters
    ----------
    n_elements : int
        That are analysed.
    n_bytes : int
        Of all elements of the file.
    n_levels : int
        Resolutions of the function.
    experiment : Analyze

    Returns
    -------
    str

    Notes
    -----
    From two runs of 8000 and 20,000 points in 20 dimensions, 30 classes, 20 draws, one process:
    0.51 and 0.52 GiB; 27 and 55 s, of which 19 and 30 s the kernel, 2 s the draws of 20,000. A network
    trains for 3 to 4 s, at ten sizes for each repeat.
    """
    share = n_elements / 20_000
    kernel = 30.0 * min(1.0, n_elements / 6000) ** 3 * ("kernel" in experiment.learners)
    draws = 2.0 * share * experiment.n_draws / 20
    network = 4.0 * 10 * experiment.n_repeats * ("network" in experiment.learners)
    seconds = 5.0 * share + n_levels * (12.0 * share**2 + kernel + network + draws)
    minutes = max(1, round(seconds / 60))
    memory = checks.human_bytes(0.6 * 2**30 + 4.0 * n_bytes)
    slow = (
        ", up to 3 min more in each process if labels of maximum entropy are slow to equilibrate"
        if n_levels
        else ""
    )
    return f"About {minutes} min on one core{slow}; {memory} of memory a process."


# --- what is found, as text -----------------------------------------------------------------------


def report(findings: Findings, width: int) -> Iterator[str]:
    """Yield the lines that say what was found, on what it rests, and what to expect of more data.

    Parameters
    ----------
    findings : Findings
    width : int
        Columns of the terminal.
    """
    yield from textwrap.wrap(printable(findings.sentence), min(width, 100))
    for level, (name, verdict) in enumerate(zip(findings.levels, findings.verdicts, strict=True)):
        yield f"\n{printable(name)}: {verdict.word}"
        yield from textwrap.wrap(MEANING[verdict.word], min(width, 100))
        yield ""
        yield from _conditions(verdict, width)
        expected = [*_expectations(findings, level, min(width, 100))]
        yield f"\nOf more data{':' if expected else ' nothing is said: no learner took part.'}"
        yield from expected
    if findings.verdicts:
        yield ""
        yield from textwrap.wrap(f"{RELIABILITY} {WHERE}", min(width, 100))


def _conditions(verdict: Verdict, width: int) -> Iterator[str]:
    """The conditions of `critical` as a table."""
    from percolaw.analysis.verdict import CONDITIONS, HOLDS

    rows = [(CONDITIONS[c.name], HOLDS[c.holds], printable(c.measured)) for c in verdict.conditions]
    first = min(44, (width - 13) // 2)
    columns = (first, 7, max(12, min(76, width - first - 13)))
    yield from _line(("critical if", "holds", "measured"), columns)
    yield "-+-".join("-" * column for column in columns)
    for row in rows:
        yield from _line(row, columns)


def _line(cells: Sequence[str], columns: Sequence[int]) -> Iterator[str]:
    for parts in table_lines(cells, columns):
        yield " | ".join(parts).rstrip()


def _expectations(findings: Findings, level: int, width: int) -> Iterator[str]:
    """What each learner may expect of more data, or why nothing is promised."""
    for kind, before in (("expectation", ""), ("no prediction", "no prediction, for ")):
        for row in findings.series(kind, part="learning", level=level):
            said = printable(f"{row['learner']}: {before}{row['text']}")
            yield from textwrap.wrap(f"  {said}", width, subsequent_indent="    ")
