"""The index of flags: of every command, and of every experiment by the fields of its config."""

import argparse
import dataclasses

from mkdocs.structure.files import File

from percolaw.cli.commands import _parser
from percolaw.experiments.fields import documentation
from percolaw.experiments.registry import EXPERIMENTS, experiment_class


def on_files(files, config):
    files.append(File.generated(config, "reference/command-line.md", content=page()))
    return files


def page():
    lines = ["# Commands and flags", "", "Made from what `percolaw COMMAND --help` prints.", ""]
    parsers, helps = commands()
    for name, parser in parsers.items():
        about = parser.description or helps.get(name) or ""
        lines += [f"## percolaw {name}", "", written(about), ""]
        actions = [a for a in parser._actions if not isinstance(a, argparse._HelpAction)]
        if actions:
            lines += ["| flag | what it does |", "|---|---|"]
            lines += [f"| {names(a)} | {written(meaning(a, parser))} |" for a in actions]
            lines += [""]
    lines += ["## Flags of experiments", ""]
    lines += [
        "Of `percolaw run EXPERIMENT`; a page of the gallery has the defaults of its experiment."
    ]
    lines += ["", "| flag | experiments |", "|---|---|"]
    return "\n".join([*lines, *experiment_flags()])


def commands():
    """The parser and the line of help of every command."""
    (group,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return group.choices, {a.dest: a.help for a in group._choices_actions}


def names(action):
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    shown = list(action.option_strings) or [str(value)]
    if action.option_strings and action.nargs != 0:
        shown[-1] += f" {value if isinstance(value, str) else ' '.join(value)}"
    return ", ".join(f"`{s}`" for s in shown)


def meaning(action, parser):
    """The help of a flag as argparse prints it."""
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    if action.choices and not any(str(c) in text for c in action.choices):
        text += f" ({', '.join(map(str, action.choices))})"
    return text


def written(text):
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def experiment_flags():
    """Rows of a table: each flag, and what it is to the experiments that have it."""
    users = {}
    for name in EXPERIMENTS:
        cls = experiment_class(name)
        explained = documentation(cls)
        for field in dataclasses.fields(cls):
            text = written(explained.get(field.name, ""))
            users.setdefault(field.name, {}).setdefault(text, []).append(name)
    for field, meanings in sorted(users.items()):
        parts = [
            f"{text} ({', '.join(f'[{n}](../gallery/{n}.md)' for n in given)})"
            for text, given in meanings.items()
        ]
        yield f"| `--{field.replace('_', '-')}` | {'<br>'.join(parts)} |"
