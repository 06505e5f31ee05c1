"""What commands that measure share: flags, where units are measured, progress, pictures."""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from percolaw import checks
from percolaw.cli.numbers import count
from percolaw.cli.terminal import help_style, note
from percolaw.errors import MissingExtraError, PercolawError, RunError
from percolaw.progress import progress
from percolaw.text import printable


def add_common(parser: argparse._ActionsContainer, *, out: bool = True) -> None:
    """Add the flags of every command that measures.

    Parameters
    ----------
    parser : argparse.ArgumentParser, or a group of its arguments
        Changed.
    out : bool
        With ``--out``.
    """
    if out:
        parser.add_argument(
            "--out", default="runs", metavar="DIR", help="folder for results (default: runs)"
        )
    parser.add_argument(
        "--workers",
        type=count,
        default=None,
        metavar="N",
        help="processes (default: all cores; 1: this one)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=None,
        metavar="S",
        help="seconds after which a unit is given up",
    )
    parser.add_argument(
        "--scheduler",
        default=None,
        metavar="ADDRESS",
        help="measure on a Dask scheduler: tls://host:port, or local (default: own processes)",
    )
    for flag, what in (("ca-file", "authority"), ("cert", "certificate"), ("key", "its key")):
        parser.add_argument(
            f"--tls-{flag}", default=None, metavar="FILE", help=f"of a tls:// scheduler: {what}"
        )
    parser.add_argument("--no-figures", action="store_true", help="claims and data only")
    parser.add_argument("--quiet", action="store_true", help="no progress, results only")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def draw(result: Any, options: argparse.Namespace) -> None:
    """Draw the figures of a run; a failure is said with its traceback and takes nothing from the results.

    Parameters
    ----------
    result : Result
    options : argparse.Namespace
        ``no_figures``.
    """
    if options.no_figures:
        return
    try:
        from percolaw.report import draw_figures

        draw_figures(result.folder)
    except Exception as error:
        cause = error.__cause__ or error
        note(
            f"warning: the figures of {result.folder} could not be drawn ({type(cause).__name__}: "
            f"{cause}); claims and data are whole."
        )
        if not isinstance(cause, (OSError, PercolawError)):  # a mistake in code
            for line in traceback.format_tb(cause.__traceback__):
                print(line, end="", file=sys.stderr)


def configure(cls: type[Any], preset: str | None, rest: list[str]) -> Any:
    """The preset's config, changed by the flags left on the command line.

    Parameters
    ----------
    cls : type
        Class of the experiment.
    preset : str or None
        None for the usual one.
    rest : list of str
        Flags of the experiment.

    Returns
    -------
    Experiment
    """
    from percolaw.experiments.base import preset as preset_config
    from percolaw.experiments.base import usual_preset
    from percolaw.experiments.registry import place_of

    preset = preset or usual_preset(cls)
    default = preset_config(cls, preset)
    if not rest:
        return default
    import tyro

    from percolaw.cli.flags import registry

    start = f"the preset {preset}" if preset else "its fields"
    with help_style():
        return tyro.cli(
            cls,
            prog=f"percolaw run {place_of(cls)}",
            description=f"{cls.title}\n\nDefaults are those of {start}; others are told "
            "where they differ.",
            default=default,
            args=rest,
            registry=registry(cls),
        )


def check_options(options: argparse.Namespace) -> None:
    """Refuse what would fail late.

    Raises
    ------
    MissingExtraError
        If figures are wanted and cannot be drawn.
    ValueError
        For fewer than one worker, a timeout below 0.1 s, and ``--out`` that is a file.
    """
    if options.workers is not None:
        checks.integer("--workers", options.workers, minimum=1)
    if options.timeout is not None:
        checks.real("--timeout", options.timeout, minimum=0.1)
    if not options.no_figures:
        try:
            checks.extra("matplotlib", "report")
        except MissingExtraError as error:
            raise MissingExtraError(
                f"{error}. Or measure without pictures: --no-figures."
            ) from None
    out = Path(getattr(options, "out", "."))
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file; name a folder.")


@contextmanager
def executor_of(options: argparse.Namespace) -> Iterator[Any]:
    """Where units are measured: None for this process, local workers, or a Dask scheduler.

    Raises
    ------
    ValueError
        For ``--timeout`` with ``--scheduler``.
    RunError
        If workers that were asked for cannot be started.
    """
    from percolaw.runs.workers import WorkerPool, default_workers

    if options.scheduler is not None:
        if options.timeout is not None:
            raise ValueError("--timeout is for local workers; Dask cannot stop a running unit.")
        from percolaw.runs.scheduler import dask_executor, tls_security

        security = tls_security(options.tls_ca_file, options.tls_cert, options.tls_key)
        with dask_executor(options.scheduler, options.workers, security) as executor:
            yield executor
        return
    workers = options.workers or default_workers()
    if workers == 1 and options.timeout is None:
        yield None
        return
    try:
        pool = WorkerPool(workers, options.timeout)
    except RunError as error:
        if options.workers is not None or options.timeout is not None:
            raise
        note(f"{error} Going on so.")
        yield None
        return
    with pool:
        yield pool


def run_one(
    experiment: Any, options: argparse.Namespace, executor: Any, folder: str | None = None
) -> Any:
    """Run an experiment with progress.

    Parameters
    ----------
    experiment : Experiment
    options : argparse.Namespace
        ``out``, ``quiet``, ``timeout``.
    executor : Executor or None
        Not used for a single unit without a timeout.
    folder : path, optional
        The run folder itself, in place of one in ``out``.

    Returns
    -------
    Result
    """
    from percolaw.runs.run import run

    with progress(experiment.name, options.quiet) as shown:
        begun = options.quiet

        def update(done: int, total: int) -> None:
            nonlocal begun
            if not begun and done < total:
                begun = True
                say_what_it_takes(experiment)
                say_if_kernels_are_new()
            shown(done, total)

        return run(
            experiment,
            out=options.out if folder is None else "",
            folder=folder,
            executor=executor if len(experiment.cells()) > 1 or options.timeout else None,
            progress=update,
            waiting=lambda message: print(printable(message), file=sys.stderr),
        )


def say_what_it_takes(experiment: Any) -> None:
    """Say on stderr how long a preset takes, if it is one that takes minutes.

    Parameters
    ----------
    experiment : Experiment
    """
    from percolaw.experiments.base import preset as preset_config

    for label, preset in getattr(type(experiment), "presets", {}).items():
        if preset_config(type(experiment), label) == experiment:
            if re.search(r"min|hour|\bh\b", preset.time):
                note(f"{experiment.name}, preset {label}: {preset.time}; {preset.memory} of memory")
            return


def say_if_kernels_are_new() -> None:
    """Say on stderr that what is asked for takes longer this time, if no kernel was compiled before."""
    from percolaw.kernels.compile import cache_folder

    folder = cache_folder()
    if folder is None or not any(folder.glob("*.nbc")):
        kept = "in every process: no folder for them can be written" if folder is None else "once"
        note(f"kernels are compiled at their first use, {kept}; this takes up to a minute.")
