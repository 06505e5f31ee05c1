"""Every command in one parser, and what its errors are answered with."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Any, NoReturn

import percolaw
from percolaw.cli.terminal import note, prepare_streams, warnings_as_notes
from percolaw.errors import PercolawError
from percolaw.experiments.registry import experiment_class
from percolaw.runs.signals import Terminated, terminable
from percolaw.text import printable, suggestion

_FAILED, _USAGE = 1, 2
#: The module of `percolaw.cli` that each command is in, as help lists them.
COMMANDS = {
    "list": "listing",
    **dict.fromkeys(("run", "reproduce"), "experiments"),
    "analyze": "analyze",
    "sweep": "sweep",
    **dict.fromkeys(("status", "resume", "retry", "cancel", "diff", "export", "gc"), "control"),
    "report": "report",
    "generate": "generate",
    "estimate-dimension": "dimension",
    "warmup": "warmup",
    "completion": "completion",
}


class _Parser(argparse.ArgumentParser):
    """argparse that takes no abbreviated flags, and names the nearest match of a mistyped word."""

    def __init__(self, **more: Any) -> None:
        super().__init__(allow_abbrev=False, **more)

    def error(self, message: str) -> NoReturn:
        import re

        match = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if match:
            options = [o.strip(" '") for o in match.group(2).split(",")]
            message = message[: match.start(2) - 14] + suggestion(match.group(1), options)
        self.exit(_USAGE, f"percolaw: {printable(message)}\nTry: {self.prog} --help\n")


def _parser(command: str = "") -> _Parser:
    """The parser of a command, with those of its module; of all of them where none is named.

    The others take as long to load and to describe as a short command works. Completion asks for all.
    """
    alone = command in COMMANDS and command != "completion"
    parser = _Parser(
        prog="percolaw",
        description="How the geometry of data sets the exponents of scaling laws.",
    )
    parser.add_argument("--version", action="version", version=percolaw.__version__)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )
    for module in [COMMANDS[command]] if alone else dict.fromkeys(COMMANDS.values()):
        importlib.import_module(f".{module}", "percolaw.cli").add(commands)
    return parser


def execute(given: list[str], last: bool = False) -> int:
    """Run a command line.

    Parameters
    ----------
    given : list of str
        Its words, without the name of the program.
    last : bool
        Whether nothing but the end of the process follows, which interruptions leave alone.

    Returns
    -------
    int
        Exit code.
    """
    with terminable(last), warnings_as_notes():
        return _execute(given)


def _execute(given: list[str]) -> int:
    prepare_streams()
    # Nothing is shown in a window, and the backend of a notebook that calls may be missing here.
    os.environ["MPLBACKEND"] = "agg"
    try:
        parser = _parser(given[0] if given else "")
        options, rest = parser.parse_known_args(given)
        near = _near_flag(rest, parser, options)
        if rest and (options.command not in ("run", "sweep") or near):
            hint = f". Did you mean {near}?" if near else ""
            parser.prog = f"{parser.prog} {options.command}"
            parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
        options.rest = rest  # flags of the experiment
        return int(options.handler(options))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else _USAGE
    except KeyboardInterrupt as stop:
        ended = isinstance(stop, Terminated)
        word, code = ("terminated", 128 + stop.args[0]) if ended else ("interrupted", 130)
        # An estimate has no units: the same command begins it anew.
        kept = "; every finished unit is kept, the same command continues"
        print(f"\n{word}{'' if 'estimate-dimension' in given[:1] else kept}.", file=sys.stderr)
        return code
    except BrokenPipeError:
        return _FAILED
    except (ValueError, TypeError) as error:
        note(error)
        return _USAGE
    except (PercolawError, OSError) as error:
        note(error)
        return _FAILED
    except MemoryError as error:
        note(
            f"out of memory ({error or 'no more could be taken'}); what was finished is kept. Ask for "
            "less, or use fewer --workers."
        )
        return _FAILED


def _near_flag(rest: list[str], parser: _Parser, options: argparse.Namespace) -> str | None:
    """The flag that an unknown one was probably meant to be (of `run`: a shared one)."""
    import difflib

    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    command = options.command
    known = [f for f in commands.choices[command]._option_string_actions if f.startswith("--")]
    fields: set[str] = set()
    if rest and command in ("run", "sweep") and options.experiment:
        from percolaw.cli import completion

        fields = {flag for flag, _ in completion.field_flags(experiment_class(options.experiment))}
    for word in rest:
        flag = word.split("=")[0]
        near = difflib.get_close_matches(
            flag, known, n=1, cutoff=0.8 if command in ("run", "sweep") else 0.7
        )
        if flag.startswith("--") and flag not in known and flag not in fields and near:
            return near[0]
    return None
