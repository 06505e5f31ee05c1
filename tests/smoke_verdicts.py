"""What the smoke preset of every experiment says, kept in smoke_verdicts.json.

Write the file anew, after a change that is meant to move numbers, and read the difference before it is
committed (about 90 s on one core)::

    PYTHONPATH=src:tests python tests/smoke_verdicts.py
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from runnable import RUNNABLE
from toy_experiment import cells, smoke_run

from percolaw.experiments.base import config_dict
from percolaw.experiments.registry import experiment_class
from percolaw.runs.store import RunFolder, strict_json

FILE = Path(__file__).parent / "data" / "smoke_verdicts.json"
#: Experiments whose words are kept.
HELD = RUNNABLE
#: Those on data that other packages ship, of any version: verdicts are kept, and no numbers.
OF_PACKAGES = tuple(name for name in HELD if hasattr(experiment_class(name), "unavailable"))
#: Experiments that show their rows as they are: no claim holds what they show.
PICTURES = ("cluster-drawings", "cluster-points", "teacher-gallery")
#: Fields of rows that are not kept: igraph relaxes layouts step by step, which other processors follow
#: elsewhere.
NOT_KEPT = ("x", "y")
#: Deviation of a measured value that passes, relative to it or to its claim's tolerance, whichever is
#: larger. On one machine values repeat to the last bit; with other processor features in NumPy, OpenBLAS
#: and PyTorch (SSE in place of AVX-512) they moved by at most 2e-13.
WITHIN = 1e-6
#: The same relative to the tolerance alone, where rounding grows: kernels of 2.5 derivatives are nearly
#: singular, and training in float32 amplifies it. They moved by 6e-4 and 3e-2 of the tolerance, between
#: processors and when products were taken the other way round; no verdict comes nearer than that to
#: another one. At the border of two clusters of gradients a sample may
#: change sides.
WITHIN_OF_TOLERANCE = {"kernel-scaling": 0.005, "quanta-discovery": 1.0} | dict.fromkeys(
    (
        *("nn-tuning", "nn-data-scaling", "nn-model-scaling", "effective-dof", "layer-dimension"),
        *("architectures", "latent-probes", "dictionary-scaling", "in-context"),
        *("superposition", "features", "absorption", "quanta-model", "quanta-time"),
    ),
    0.1,
)
#: Deviation of a number of the rows; they are rounded to four digits.
ROWS_WITHIN = 1e-5


def allowed(name: str, claim: Any, measured: float) -> float:
    """How far the measured value of a claim may lie from the one kept."""
    exact = WITHIN * max(abs(measured), claim.tolerance)
    return max(exact, WITHIN_OF_TOLERANCE.get(name, 0.0) * claim.tolerance)


def stored() -> dict[str, Any]:
    """Experiment to what it must say: claims by name, and numbers of the rows of a picture."""
    return json.loads(FILE.read_text())


def smoke_units(root: Path, name: str) -> tuple[Any, list[list[dict[str, Any]]]]:
    """The smoke preset's config and the rows of each of its units, run once in a folder."""
    experiment, folder = smoke_run(root, name)
    store = RunFolder(folder, config_dict(experiment))
    return experiment, [store.rows([cell]) for cell in cells(experiment)]


def said(
    experiment: Any, units: list[list[dict[str, Any]]], concluded: Any = None
) -> dict[str, Any]:
    """Verdict and measured value of every claim by name; of a picture also numbers of its rows, of an
    analysis what it found. What is concluded of the units can be given.
    """
    rows = [row for unit in units for row in unit]
    concluded = concluded or experiment.conclude(rows)
    claims = {
        claim.name: {"verdict": claim.verdict, "measured": strict_json(claim.measured)}
        for claim in concluded.claims
        if experiment.name not in OF_PACKAGES
    }
    lines = [s["short"] for s in concluded.tables.get("readings", ()) if "short" in s]
    found = {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}
    numbers = {"rows": row_numbers(rows)} if experiment.name in PICTURES else {}
    return {"claims": claims} | numbers | ({"found": found} if found else {})


def row_numbers(rows: list[dict[str, Any]]) -> dict[str, float]:
    """One number a field of the rows, which the order of the values changes as well as they do."""
    fields: dict[str, list[float]] = {}
    for row in rows:
        for field, value in row.items():
            if field in NOT_KEPT or isinstance(value, (str, bool, type(None))):
                continue
            fields.setdefault(field, []).extend(np.ravel(value).astype(float).tolist())
    return {
        field: float(
            np.mean(np.array(x) * np.cos(np.arange(len(x)))) / max(np.mean(np.abs(x)), 1e-300)
        )
        for field, x in fields.items()
        if x
    }


def written(content: dict[str, Any]) -> str:
    """The file's text: a claim a line, so that a difference shows which one moved."""
    lines = ["{"]
    for i, (name, parts) in enumerate(content.items()):
        lines.append(f"  {json.dumps(name)}: {{")
        for j, (part, entries) in enumerate(parts.items()):
            lines.append(f'    "{part}": {{')
            pairs = [f"      {json.dumps(k)}: {json.dumps(v)}" for k, v in entries.items()]
            lines += [",\n".join(pairs)] if pairs else []
            lines.append("    }" + ("," if j < len(parts) - 1 else ""))
        lines.append("  }" + ("," if i < len(content) - 1 else ""))
    return "\n".join([*lines, "}", ""])


def main() -> None:
    """Run every smoke preset and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        content = {name: said(*smoke_units(Path(folder), name)) for name in HELD}
    FILE.write_text(written(content))
    claims = sum(len(parts["claims"]) for parts in content.values())
    print(f"{len(content)} experiments, {claims} claims")


if __name__ == "__main__":
    main()
