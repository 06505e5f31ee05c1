"""`analyze`: is a data set like percolation clusters, and what follows for learning?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.analysis.findings import Findings, conclude
from percolaw.analysis.parts import Measurement, Row, Settings, plan
from percolaw.analysis.sample import Sample, as_sample
from percolaw.progress import progress as progress_bar
from percolaw.rng import Streams


def analyze(
    X: Any,
    y: Any = None,
    *,
    metric: str = "euclidean",
    k: int = 6,
    other_k: tuple[int, ...] = (3, 10),
    n_draws: int = 200,
    learners: tuple[str, ...] = ("nearest neighbour", "kernel"),
    n_most: int = 20_000,
    approximate: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> Findings:
    """Look at a data set as percolation clusters: adjacent elements of one class are joined.

    Parameters
    ----------
    X : array, shape (n, d), sequence of str, or sparse matrix, shape (n, n)
        Points; with the metric ``hamming`` strings of one length; with ``graph`` which elements are
        adjacent.
    y : array, shape (n,) or (n, n_levels), optional
        Classes, real values, or a hierarchy of classes from coarse to fine; without it the geometry
        alone.
    metric : {"euclidean", "cosine", "hamming", "graph"}
    k : int
        Neighbours among which points are adjacent, for the verdict.
    other_k : tuple of int
        Shown beside: what moves with k is no property of the data.
    n_draws : int
        Draws of each null.
    learners : tuple of str
        Whose learning curves are measured and predicted: ``nearest neighbour``, ``kernel``,
        ``network`` (needs the extra ``nn``).
    n_most : int
        Elements used at most, drawn at random.
    approximate : bool
        Whether a few neighbours of more than 20,000 points may be missed (needs faiss, of the extra
        ``analyze``): 99% of the true ones are found, and the share is measured.
    seed : int
    progress : bool
        Whether a bar shows how far it is.

    Returns
    -------
    Findings
        `Findings.sentence` says what was found and how far to trust it.

    Raises
    ------
    TypeError, ValueError
        For fewer than 400 distinct elements, elements and function of unequal number, one class only,
        strings of unequal length, NaN or infinity, k beyond what an eighth of the elements allows.
    ResourceError
        If it does not fit into memory.

    Notes
    -----
    `percolaw analyze` does the same on files, keeps what is measured and goes on after an interruption.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random((400, 2))
    >>> found = analyze(x, x[:, 0] > 0.5, n_draws=20, learners=())
    >>> found.verdicts[0].word
    'supercritical domains'
    """
    checks.integer("seed", seed, minimum=0)
    settings = Settings(k, tuple(other_k), n_draws=n_draws, learners=tuple(learners))
    whole = as_sample(X, y, metric=metric)
    sample = replace(at_most(whole, n_most, seed), approximate=approximate)
    parts = plan(sample, settings)
    measurement = Measurement(sample, settings, seed)
    rows: list[Row] = []
    with progress_bar("analyzing", not progress) as update:
        for done, part in enumerate(parts):
            update(done, len(parts))
            rows += measurement.rows(part)
        update(len(parts), len(parts))
    return conclude(rows, sample.levels, k)


def at_most(sample: Sample, n_most: int, seed: int) -> Sample:
    """Return the sample, or so many of its elements drawn at random.

    Parameters
    ----------
    sample : Sample
    n_most : int
    seed : int
        Stream ``split``.

    Returns
    -------
    Sample
    """
    most = checks.integer("n_most", n_most, minimum=400)
    if sample.n <= most:
        return sample
    rows = Streams(seed).generator("split").permutation(sample.n)[:most]
    return sample.part(np.sort(rows))
