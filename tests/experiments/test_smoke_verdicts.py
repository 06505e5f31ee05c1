"""Every experiment's smoke preset says what smoke_verdicts.json holds: verdicts and measured values."""

import math

import pytest
from runnable import SMOKE
from smoke_verdicts import HELD, ROWS_WITHIN, allowed, said, smoke_units, stored
from toy_experiment import shared_root


# From the last to the first: another file runs the same presets from the first on, in another process.
@pytest.mark.parametrize("name", SMOKE[::-1])
def test_smoke_preset_says_what_it_must(name, tmp_path_factory):
    experiment, units = smoke_units(shared_root(tmp_path_factory), name)
    rows = [row for unit in units for row in unit]
    concluded = experiment.conclude(rows)
    now, expected = said(experiment, units, concluded), stored()[name]
    for part in ("claims", "rows", "found"):
        assert list(now.get(part, {})) == list(expected.get(part, {}))
    assert now.get("found") == expected.get("found")
    for claim in concluded.claims if now["claims"] else ():
        right = expected["claims"][claim.name]
        assert claim.verdict == right["verdict"], claim
        if right["measured"] is None:
            assert math.isnan(claim.measured)
            continue
        assert claim.measured == pytest.approx(
            right["measured"], rel=0.0, abs=allowed(name, claim, right["measured"])
        ), claim.name
    for field, number in expected.get("rows", {}).items():
        assert now["rows"][field] == pytest.approx(number, rel=0.0, abs=ROWS_WITHIN), field


def test_all_experiments_are_held():
    assert list(stored()) == list(HELD)


def test_a_verdict_and_a_number_that_moved_are_noticed(tmp_path_factory):
    """Half a per cent more of every distance: embedded-1nn agrees as before, and is refused."""
    experiment, units = smoke_units(shared_root(tmp_path_factory), "embedded-1nn")
    rows = [row | {"unit": 0.995 * row["unit"]} for unit in units for row in unit]
    (claim,) = [c for c in experiment.conclude(rows).claims if c.name.startswith("1-NN error")]
    right = stored()["embedded-1nn"]["claims"][claim.name]
    assert claim.verdict == right["verdict"]
    assert abs(claim.measured - right["measured"]) > allowed("embedded-1nn", claim, 1.0)
