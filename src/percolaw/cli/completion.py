"""``percolaw completion``: what the shell offers at Tab.

The scripts ask ``percolaw completion words``, so what is offered is always what the installed version
and the present folder have: commands, experiments, reproductions, flags with what they take, runs.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from percolaw.experiments.registry import EXPERIMENTS, experiment_class, installed
from percolaw.experiments.reproductions import REPRODUCTIONS
from percolaw.words import Worded

#: What makes the shell ask, by shell; where nothing is offered it completes names of files.
SCRIPTS = {
    "bash": """\
_percolaw() {
    local IFS=$'\\n'
    COMPREPLY=($(percolaw completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _percolaw percolaw
""",
    "zsh": """\
#compdef percolaw
_percolaw() {
    local -a offered
    local line
    for line in "${(@f)$(percolaw completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && offered+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
    done
    (( $#offered )) && _describe percolaw offered || _files
}
if [[ $funcstack[1] == _percolaw ]]; then _percolaw "$@"; else compdef _percolaw percolaw; fi
""",
    "fish": """\
function __percolaw
    set -l offered (percolaw completion words -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
    if test (count $offered) -gt 0
        printf '%s\\n' $offered
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c percolaw -f -a '(__percolaw)'
""",
}
#: Where each shell is told of its script, once.
INSTALLED = {
    "bash": 'eval "$(percolaw completion bash)" in ~/.bashrc',
    "zsh": "source <(percolaw completion zsh) in ~/.zshrc, after compinit",
    "fish": "percolaw completion fish > ~/.config/fish/completions/percolaw.fish",
}


def add(commands: Any) -> None:
    """Add the command to the parser."""
    completion = commands.add_parser(
        "completion",
        help="a script that lets bash, zsh or fish complete at Tab",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Print a script that lets a shell complete commands, experiments, flags and runs:\n\n"
        + "\n".join(f"  {line}" for line in INSTALLED.values()),
    )
    completion.add_argument(
        "shell", choices=[*SCRIPTS, "words"], metavar="SHELL", help="bash, zsh, fish"
    )
    completion.add_argument("words", nargs="*", metavar="WORD", help=argparse.SUPPRESS)
    completion.set_defaults(handler=run_completion, commands=commands)


def run_completion(options: argparse.Namespace) -> int:
    """Print a shell's script, or what may stand in the place of the last of some words."""
    if options.shell != "words":
        print(SCRIPTS[options.shell], end="")
        return 0
    parsers: dict[str, Any] = options.commands.choices
    helps = {action.dest: action.help for action in options.commands._choices_actions}
    for word, text in offered(options.words or [""], parsers, helps):
        print(f"{word}\t{' '.join(text.split())}")
    return 0


def offered(
    words: list[str], parsers: dict[str, Any], helps: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield what may stand in the place of the last word, each with what it means.

    Parameters
    ----------
    words : list of str
        Of a command line, without the name of the program; the last one is begun, or empty.
    parsers : dict of str to ArgumentParser
        Of every command.
    helps : dict of str to str
        What each command does.
    """
    *before, begun = words
    for word, text in _candidates(before, begun, parsers, helps):
        if word.startswith(begun):
            yield word, text


def _candidates(
    before: list[str], begun: str, parsers: dict[str, Any], helps: dict[str, str]
) -> Iterator[tuple[str, str]]:
    if not before:
        yield from helps.items()
        return
    parser = parsers.get(before[0])
    if parser is None:
        return
    flags = {flag: a for flag, a in parser._option_string_actions.items() if flag.startswith("--")}
    named = (w for w in before[1:] if w in EXPERIMENTS or w in installed())
    experiment = next(named, None) if before[0] in ("run", "sweep") else None
    fields = dict(field_flags(experiment_class(experiment))) if experiment else {}
    last = flags.get(before[-1])
    if last is not None and last.nargs != 0:
        yield from _values(before[-1], last, experiment)
    elif begun.startswith("-"):
        yield from ((flag, action.help or "") for flag, action in flags.items())
        yield from fields.items()
    elif before[-1] not in fields:
        given = sum(not word.startswith("-") for word in _without_values(before[1:], flags))
        places = [a for a in parser._actions if not a.option_strings]
        if given < len(places) or (places and places[-1].nargs in ("*", "+")):
            yield from _positional(before[0], places[min(given, len(places) - 1)])


def _without_values(words: list[str], flags: dict[str, Any]) -> Iterator[str]:
    """The words that are not what a flag before them takes."""
    for index, word in enumerate(words):
        flag = flags.get(words[index - 1]) if index else None
        if flag is None or flag.nargs == 0:
            yield word


def _values(flag: str, action: Any, experiment: str | None) -> Iterator[tuple[str, str]]:
    """What a flag takes, as far as it is one of a few words."""
    if action.choices:
        yield from ((str(choice), "") for choice in action.choices)
    elif flag == "--preset":
        names = [experiment] if experiment else list(EXPERIMENTS)
        presets = {name: cost for e in names for name, cost in experiment_class(e).presets.items()}
        for name, cost in presets.items():
            yield name, f"about {cost.time}" if experiment else ""
    elif flag == "--over" and experiment:
        for name, text in field_flags(experiment_class(experiment)):
            yield name.removeprefix("--").replace("-", "_") + "=", text


def _positional(command: str, action: Any) -> Iterator[tuple[str, str]]:
    """What an argument without a flag may be."""
    if action.choices and command != "completion":
        titles = {name: title for name, (title, _) in REPRODUCTIONS.items()}
        yield from ((choice, titles.get(choice, "")) for choice in action.choices)
    elif command == "completion":
        yield from ((shell, "") for shell in SCRIPTS)
    elif action.dest == "experiment":
        for name in EXPERIMENTS:  # without titles, which would take the import of every class
            if command != "sweep" or hasattr(experiment_class(name), "validate"):
                yield name, ""
        yield from installed().items()  # nothing of them is imported before one is named
    elif action.metavar in ("RUN", "OTHER"):
        from percolaw.cli.control import RUNS

        if Path(RUNS).is_dir():
            yield from ((path.name, "") for path in sorted(Path(RUNS).iterdir()) if path.is_dir())


def field_flags(config: type[Any], prefix: str = "--") -> Iterator[tuple[str, str]]:
    """Yield the flag of every field of a config class, nested ones included, with what it says.

    Parameters
    ----------
    config : type
        A dataclass.
    prefix : str
        What stands before the names of the fields.
    """
    from percolaw.experiments import fields

    texts, types = fields.documentation(config), fields.hints(config)
    for field in dataclasses.fields(config):
        flag, kind = prefix + field.name.replace("_", "-"), fields.bare(types[field.name])
        nested = isinstance(kind, type) and dataclasses.is_dataclass(kind)
        if nested and not issubclass(kind, Worded):
            yield from field_flags(kind, f"{flag}.")
        else:
            yield flag, texts.get(field.name, "")
