"""The command line: ``percolaw list | run | reproduce | generate | status``.

Flags of an experiment derive from the fields of its config. Exit codes: 0 done, 1 failed or
interrupted, 2 bad usage.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import percolaw
from percolaw import checks
from percolaw.errors import PercolawError
from percolaw.experiments import EXPERIMENTS, REPRODUCTIONS, experiment_class

_DONE, _FAILED, _USAGE = 0, 1, 2


class _Parser(argparse.ArgumentParser):
    """argparse that names the nearest match of a mistyped command or choice."""

    def error(self, message: str) -> NoReturn:
        import difflib
        import re

        found = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if found:
            options = [o.strip(" '") for o in found.group(2).split(",")]
            near = difflib.get_close_matches(found.group(1), options, n=1)
            if near:
                message += f". Did you mean {near[0]!r}?"
        self.exit(_USAGE, f"percolaw: {message}\nTry: {self.prog} --help\n")


def _parser() -> _Parser:
    parser = _Parser(
        prog="percolaw",
        description="How the geometry of data sets the exponents of scaling laws.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=percolaw.__version__)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )
    listing = commands.add_parser(
        "list", help="every experiment: claim, source, cost of presets", allow_abbrev=False
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    run = commands.add_parser(
        "run",
        help="run one experiment",
        description="Run one experiment. Further flags are fields of its config: "
        "percolaw run EXPERIMENT --help lists them.",
        add_help=False,
        allow_abbrev=False,
    )
    run.add_argument("experiment", nargs="?", metavar="EXPERIMENT")
    run.add_argument("--preset", default="laptop", help="smoke, laptop (default) or paper")
    _common(run)
    reproduce = commands.add_parser(
        "reproduce", help="all figures and claims of a paper", allow_abbrev=False
    )
    reproduce.add_argument("paper", choices=list(REPRODUCTIONS), metavar="PAPER")
    reproduce.add_argument("--preset", default="laptop", help="smoke, laptop (default) or paper")
    reproduce.add_argument(
        "--n-seeds", type=int, default=None, help="repetitions, instead of the preset's"
    )
    _common(reproduce)
    generate = commands.add_parser(
        "generate",
        help="write a dataset to .npz, .npy, .zarr or .parquet",
        description="Write a dataset. Clusters in .zarr are streamed in bounded memory; the same "
        "command continues an interrupted one.",
        allow_abbrev=False,
    )
    generate.add_argument(
        "kind",
        choices=["cluster", "distribution", "manifold"],
        metavar="KIND",
        help="cluster, distribution or manifold",
    )
    generate.add_argument("--n", type=_count, required=True, help="points, e.g. 2000000 or 2e6")
    generate.add_argument("--dim", type=_count, default=64, help="dimension (default: 64)")
    generate.add_argument("--out", required=True, help="file or folder; the suffix is the format")
    generate.add_argument("--seed", type=_count, default=0, help="seed (default: 0)")
    generate.add_argument(
        "--size", type=float, default=float("inf"), help="cluster: sites (default: infinite)"
    )
    generate.add_argument(
        "--z",
        type=float,
        default=float("inf"),
        help="cluster: coordination number (default: infinite)",
    )
    generate.add_argument("--steps", default="gaussian", help="cluster: gaussian, sphere, lattice")
    generate.add_argument("--ensemble", default="site", help="distribution: site, cluster, yule")
    generate.add_argument("--clusters", type=_count, default=316, help="distribution: clusters")
    generate.add_argument(
        "--manifold", default="cube", help="manifold: cube, ball, sphere, torus, swiss-roll"
    )
    generate.add_argument("--intrinsic-dim", type=_count, default=2, help="manifold: dimension")
    generate.add_argument(
        "--memory", type=float, default=2.0, help="GiB of one block when streaming (default: 2)"
    )
    generate.add_argument("--overwrite", action="store_true", help="replace what is there")
    generate.add_argument("--quiet", action="store_true", help="no progress")
    status = commands.add_parser(
        "status", help="what the runs in a folder have done", allow_abbrev=False
    )
    status.add_argument("--out", default="runs", help="folder of runs (default: runs)")
    status.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="runs", help="folder for results (default: runs)")
    parser.add_argument(
        "--workers", type=int, default=None, help="processes (default: all cores; 1: this one)"
    )
    parser.add_argument("--no-figures", action="store_true", help="claims and data only")
    parser.add_argument("--quiet", action="store_true", help="no progress, results only")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = _parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options, rest = parser.parse_known_args(given)
        near = _near_flag(rest, options.command)
        if rest and (options.command != "run" or near):
            hint = f". Did you mean {near}?" if near else ""
            parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
        handler: Callable[[argparse.Namespace, list[str]], int] = {
            "list": _list,
            "run": _run,
            "reproduce": _reproduce,
            "generate": _generate,
            "status": _status,
        }[options.command]
        return handler(options, rest)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else _USAGE
    except KeyboardInterrupt:
        print(
            "\ninterrupted; every finished unit is kept, the same command continues.",
            file=sys.stderr,
        )
        return _FAILED
    except (ValueError, TypeError) as error:
        print(f"percolaw: {error}", file=sys.stderr)
        return _USAGE
    except (PercolawError, OSError) as error:
        print(f"percolaw: {error}", file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        return _FAILED


_SHARED_FLAGS = ("--preset", "--out", "--workers", "--no-figures", "--quiet", "--json")
_GENERATE_FLAGS = (
    *("--n", "--dim", "--seed", "--size", "--z", "--steps", "--ensemble"),
    *("--clusters", "--manifold", "--intrinsic-dim", "--memory", "--overwrite"),
)
_OWN_FLAGS = {"reproduce": ("--n-seeds",), "generate": _GENERATE_FLAGS}


def _near_flag(rest: list[str], command: str) -> str | None:
    """The flag that an unknown one was probably meant to be (of `run`: a shared one)."""
    import difflib

    known = (*_SHARED_FLAGS, *_OWN_FLAGS.get(command, ()))
    for word in rest:
        flag = word.split("=")[0]
        near = difflib.get_close_matches(flag, known, n=1, cutoff=0.8 if command == "run" else 0.7)
        if flag.startswith("--") and flag not in known and near:
            return near[0]
    return None


def _list(options: argparse.Namespace, rest: list[str]) -> int:
    found = {name: experiment_class(name) for name in EXPERIMENTS}
    if options.json:
        print(
            json.dumps(
                {
                    name: {
                        "title": cls.title,
                        "source": cls.source,
                        "presets": {
                            p: {"time": v.time, "memory": v.memory} for p, v in cls.presets.items()
                        },
                    }
                    for name, cls in found.items()
                },
                indent=1,
            )
        )
        return _DONE
    for name, cls in found.items():
        print(f"{name}\n    {cls.title}\n    source: {cls.source}")
        for label, preset in cls.presets.items():
            print(f"    --preset {label:<7} about {preset.time}, {preset.memory} on 2 cores")
    print("\npapers: percolaw reproduce NAME")
    for name, (title, members) in REPRODUCTIONS.items():
        print(f"{name}\n    {title}: {len(members)} experiments")
    return _DONE


def _run(options: argparse.Namespace, rest: list[str]) -> int:
    if options.experiment is None or options.experiment.startswith("-"):
        if {"-h", "--help"} & set(rest) or options.experiment is None:
            print(
                "usage: percolaw run EXPERIMENT [--preset P] [--out DIR] [--workers N] "
                "[--no-figures] [--quiet] [--json] [flags of the experiment]\n\n"
                f"experiments: {', '.join(EXPERIMENTS)}\n"
                "percolaw run EXPERIMENT --help lists the flags of an experiment."
            )
        return _DONE if {"-h", "--help"} & set(rest) else _USAGE
    experiment = _configure(experiment_class(options.experiment), options.preset, rest)
    _check(options)
    from percolaw.report.claims import claims_table, tally

    started = time.perf_counter()
    with _executor(options) as executor:
        result = _one(experiment, options, executor)
    if options.json:
        print((result.folder / "record.json").read_text(encoding="utf-8"), end="")
        return _DONE
    if result.claims:
        print(claims_table(result.claims, color=sys.stdout.isatty()))
        print(f"\n{tally(result.claims)}; {time.perf_counter() - started:.1f} s")
    print(f"results: {result.folder}")
    return _DONE


def _configure(cls: type[Any], preset: str, rest: list[str]) -> Any:
    """The preset's config, changed by the flags left on the command line."""
    from percolaw.experiments.base import preset as preset_config

    default = preset_config(cls, preset)
    if not rest:
        return default
    import tyro

    return tyro.cli(
        cls,
        prog=f"percolaw run {cls.name}",
        description=f"{cls.title}\n\nFlags shared by all experiments: --preset, --out, --workers, "
        "--no-figures, --quiet, --json.",
        default=default,
        args=rest,
    )


def _reproduce(options: argparse.Namespace, rest: list[str]) -> int:
    from percolaw.experiments.base import content_id, preset, run_id
    from percolaw.report.claims import VERDICT_RULE, claims_markdown, claims_table, tally
    from percolaw.runs.provenance import provenance
    from percolaw.runs.store import strict_json, write_atomic

    title, members = REPRODUCTIONS[options.paper]
    experiments = [preset(experiment_class(name), options.preset) for name in members]
    if options.n_seeds is not None:
        n = checks.integer("--n-seeds", options.n_seeds, minimum=1)
        experiments = [
            dataclasses.replace(e, n_seeds=n) if hasattr(e, "n_seeds") else e for e in experiments
        ]
    _check(options)
    started = time.perf_counter()
    identity = content_id([run_id(e) for e in experiments], 8)
    folder = Path(options.out) / f"{options.paper}-{options.preset}-{identity}"
    results = []
    with _executor(options) as executor:
        for experiment in experiments:
            results.append(_one(experiment, options, executor))
    target = folder / "figures"
    target.mkdir(parents=True, exist_ok=True)
    if not options.no_figures:
        for result in results:
            for figure in sorted((result.folder / "figures").glob("[!.]*.png")):
                (target / figure.name).write_bytes(figure.read_bytes())
    claims = [claim for result in results for claim in result.claims]
    command = f"percolaw reproduce {options.paper} --preset {options.preset}"
    if options.n_seeds is not None:
        command += f" --n-seeds {options.n_seeds}"
    seconds = time.perf_counter() - started
    summary = {
        "paper": title,
        "command": command,
        "claims": [
            {"experiment": e.name, **dataclasses.asdict(c)}
            for e, r in zip(experiments, results, strict=True)
            for c in r.claims
        ],
        "runs": {e.name: str(r.folder) for e, r in zip(experiments, results, strict=True)},
        "seconds": round(seconds, 1),
        "provenance": provenance(),
    }
    write_atomic(
        folder / "claims.md", f"`{command}`\n\n{claims_markdown(claims)}\n{VERDICT_RULE}\n"
    )
    summary = strict_json(summary)
    write_atomic(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    if options.json:
        print(json.dumps(summary, indent=1))
        return _DONE
    print(claims_table(claims, color=sys.stdout.isatty()))
    print(f"\n{tally(claims)}; {seconds:.0f} s")
    print(f"results: {folder}  (figures in {target})")
    return _DONE


_KIND_FLAGS = {
    "cluster": ("size", "z", "steps", "memory"),
    "distribution": ("ensemble", "clusters"),
    "manifold": ("manifold", "intrinsic_dim"),
}


def _refuse_foreign_flags(options: argparse.Namespace) -> None:
    """Refuse flags that the kind of dataset would ignore."""
    parser = _parser()
    least = ["generate", options.kind, "--n", "1", "--out", options.out]
    default = vars(parser.parse_args(least))
    for kind, names in _KIND_FLAGS.items():
        for name in names:
            if kind != options.kind and getattr(options, name) != default[name]:
                flag = "--" + name.replace("_", "-")
                raise ValueError(f"{flag} belongs to `generate {kind}`, not to {options.kind}.")


def _count(text: str) -> int:
    """An integer as a person writes it: 2000000 or 2e6."""
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


_count.__name__ = "integer"  # what argparse calls it in messages


def _generate(options: argparse.Namespace, rest: list[str]) -> int:
    from percolaw.datasets.formats import checked_target, load, save, stream_cluster
    from percolaw.datasets.make import make_cluster, make_distribution
    from percolaw.datasets.manifolds import make_manifold

    n, dim = options.n, options.dim
    checks.integer("--n", n, minimum=1)
    checks.integer("--dim", dim, minimum=1)
    if not 0.0 < options.memory < float("inf"):
        raise ValueError(f"--memory must be a positive number of GiB; got {options.memory:g}.")
    _refuse_foreign_flags(options)
    if options.kind == "cluster":
        from percolaw.embedding.walk import STEPS

        checks.choice("--steps", options.steps, STEPS)
        if options.size == float("inf") and (
            options.z != float("inf") or options.steps != "gaussian"
        ):
            raise ValueError(
                "--z and --steps other than gaussian need a finite cluster: add --size, e.g. 1e7."
            )
    target = checked_target(options.out, 4.0 * n * dim + 24.0 * n, options.overwrite)
    started = time.perf_counter()
    plain = options.z == float("inf") and options.steps == "gaussian"
    if options.kind == "cluster" and target.suffix == ".zarr" and plain:
        with _progress(target.name, options.quiet) as progress:
            stream_cluster(
                target,
                n,
                dim,
                options.seed,
                size=options.size,
                memory=options.memory * 2**30,
                overwrite=options.overwrite,
                progress=progress,
            )
    else:
        if options.kind == "cluster":
            data = make_cluster(
                n,
                dim,
                options.seed,
                size=options.size,
                coordination_number=options.z,
                steps=options.steps,
            )
        elif options.kind == "distribution":
            data = make_distribution(
                n, dim, options.seed, ensemble=options.ensemble, n_clusters=options.clusters
            )
        else:
            data = make_manifold(options.manifold, n, options.intrinsic_dim, dim, options.seed)
        save(data, target, overwrite=options.overwrite)
    if not options.quiet:
        print(f"{load(target)} in {target}; {time.perf_counter() - started:.1f} s")
    return _DONE


def _status(options: argparse.Namespace, rest: list[str]) -> int:
    from percolaw.experiments.base import from_config
    from percolaw.runs.store import RunFolder

    out = Path(options.out)
    if not out.is_dir():
        raise ValueError(f"there is no folder {out}; name one with --out.")
    found: list[dict[str, Any]] = []
    for path in sorted(out.iterdir()):
        if not (path / "config.json").exists() or not (path / "units.sqlite").exists():
            continue
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
            counts = RunFolder(path, config).counts()
            name = config["experiment"]
            total = (
                len(from_config(experiment_class(name), config["config"]).cells())
                if name in EXPERIMENTS
                else None
            )
        except (ValueError, KeyError, TypeError, OSError, PercolawError) as error:
            print(f"percolaw: {path} is damaged: {error}", file=sys.stderr)
            found.append({"folder": str(path), "damaged": str(error)})
            continue
        found.append(
            {
                "folder": str(path),
                "experiment": name,
                "done": counts.get("done", 0),
                "failed": counts.get("failed", 0),
                "units": total,
                "concluded": (path / "record.json").exists(),
            }
        )
    if options.json:
        print(json.dumps(found, indent=1))
        return _DONE
    if not found:
        print(f"no runs in {out}")
    for item in found:
        if "damaged" in item:
            print(f"{item['folder']}  damaged")
            continue
        state = "concluded" if item["concluded"] else "unfinished: run it again to continue"
        failed = f", {item['failed']} failed" if item["failed"] else ""
        units = f"{item['done']}" if item["units"] is None else f"{item['done']}/{item['units']}"
        print(f"{item['folder']}  {units} units{failed}  {state}")
    return _DONE


def _check(options: argparse.Namespace) -> None:
    """Refuse what would fail late."""
    if options.workers is not None:
        checks.integer("--workers", options.workers, minimum=1)
    if not options.no_figures:
        checks.extra("matplotlib", "report")
    out = Path(options.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file; name a folder.")


@contextmanager
def _executor(options: argparse.Namespace) -> Iterator[Any]:
    """A process pool that starts when it is first needed; None for one worker."""
    from percolaw.runs.executor import default_workers, process_pool

    workers = options.workers or default_workers()
    if workers == 1:
        yield None
        return
    pool = process_pool(workers)
    try:
        yield pool
    except BaseException:
        processes = list(pool._processes.values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        raise
    pool.shutdown()


def _one(experiment: Any, options: argparse.Namespace, executor: Any) -> Any:
    from percolaw.runs.run import run

    with _progress(experiment.name, options.quiet) as progress:
        result = run(
            experiment,
            out=options.out,
            executor=executor if len(experiment.cells()) > 1 else None,
            progress=progress,
        )
    if not options.no_figures:
        from percolaw.report import draw_figures

        draw_figures(result.folder)
    return result


@contextmanager
def _progress(name: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr with the time left; without a terminal at most one line in 10 seconds."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    bar: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar
        if quiet or not total:
            return
        if bar is None:
            bar = tqdm(
                total=total,
                initial=done,
                desc=f"{name:<16}",
                unit="unit",
                mininterval=0.1 if terminal else 10.0,
                bar_format="{desc} {percentage:3.0f}%|{bar:25}| {n}/{total} "
                "[{elapsed} elapsed, {remaining} left]",
            )
        bar.update(done - bar.n)
        if terminal:
            bar.refresh()

    try:
        yield update
    finally:
        if bar is not None:
            bar.close()


if __name__ == "__main__":
    sys.exit(main())
