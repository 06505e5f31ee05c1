"""What experiments conclude of made-up rows: claims by name, and records as a run keeps them."""

import dataclasses
import importlib.util
import json
from pathlib import Path

from percolaw.experiments.base import plain
from percolaw.runs.store import strict_json


def claim_with(conclusion, text):
    """The one claim whose name contains a text."""
    (claim,) = [c for c in conclusion.claims if text in c.name]
    return claim


def verdicts(conclusion):
    return {c.name: c.verdict for c in conclusion.claims}


def record_of(experiment, rows):
    """What a run keeps, by way of strict JSON."""
    found = experiment.conclude(rows)
    return json.loads(
        json.dumps(
            strict_json(
                plain(
                    {
                        "experiment": experiment.name,
                        "config": dataclasses.asdict(experiment),
                        "claims": [dataclasses.asdict(c) for c in found.claims],
                        "tables": found.tables,
                        "plots": [dataclasses.asdict(p) for p in found.plots],
                    }
                )
            ),
            allow_nan=False,
        )
    )


def check_figures(experiment, rows):
    """Figures of a record can be made."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    from percolaw.report.reading import drawn
    from percolaw.report.style import styled

    with styled():
        assert drawn(Path(), record_of(experiment, rows))
