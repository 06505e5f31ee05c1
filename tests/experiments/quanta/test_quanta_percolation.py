"""Where quanta take over from manifolds, of exponents made by hand."""

import math

import numpy as np
import pytest

pytest.importorskip("torch")

from percolaw.experiments.quanta.quanta_percolation import QuantaPercolation


@pytest.mark.parametrize(
    ("exponent", "verdict", "measured"),
    [
        (lambda gamma: np.minimum(gamma, 0.5), "agrees", 0.5),
        (lambda gamma: 0.0 * gamma + 0.5, "inconclusive", math.nan),  # quanta throughout
        (lambda gamma: gamma, "inconclusive", math.nan),  # c/D throughout
    ],
)
def test_one_takes_over_from_the_other_where_both_do_better_somewhere(
    monkeypatch, exponent, verdict, measured
):
    experiment = QuantaPercolation(n_seeds=3)
    targets = experiment.targets()[: len(experiment.smoothness)]
    gamma = np.array([t.cluster_exponent for t in targets])

    def slopes(self, rows, key):
        at = rows[0]
        value = exponent(gamma)[at] if key == "loss" else 0.5
        return np.full(3, value) + 1e-6 * np.arange(3)

    monkeypatch.setattr(QuantaPercolation, "_slopes", slopes)
    monkeypatch.setattr(
        "percolaw.experiments.quanta.quanta_percolation._of",
        lambda rows, ensemble, target: [targets.index(target)],
    )
    claim = experiment._takeover("made by hand", 1.0, [])
    assert claim.verdict == verdict
    assert claim.measured == pytest.approx(measured, abs=0.13, nan_ok=True)
