"""Several architectures on one data set: what is concluded of made-up rows, and the inputs."""

import json
import math

import numpy as np
import pytest
from conclusions import claim_with

pytest.importorskip("torch")

from network_cases import drawn, sources, trained_row

from percolaw.experiments.base import canonical_json
from percolaw.experiments.networks.architecture_claims import transitions
from percolaw.experiments.networks.architectures import BASE, N_DIGITS, Architectures, inputs

E = Architectures()
PREDICTED = {source.word: 1.0 / source.dimension for source in E.settings}
SHIFT = PREDICTED["lattice d = 3, p_c"] - PREDICTED["lattice d = 3, 1.3 p_c"]


def made_up(exponent=lambda cell: PREDICTED[cell["points"]], gap=0.0, own=0.005):
    """Rows whose losses are powers of the size, with noise of each student and of the points."""
    rows = []
    for cell in E.cells():
        model = cell["task"] == "model"
        sizes = [45, 160, 600] if model else E.sizes()
        if model and cell["architecture"] == "transformer":
            sizes = [450, 1700, 6500]
        power = 0.0 if cell["task"] == "shuffled" else exponent(cell)
        words = f"{cell['task']} {cell['architecture']} {cell['points']} {cell['seed']}"
        noise = own * np.random.default_rng(list(words.encode())).standard_normal(len(sizes))
        if cell["kind"] == "doubled":
            sizes = [sizes[len(sizes) // 2], sizes[-1]]
        for n, e in zip(sizes, noise, strict=False):
            loss = math.exp(e - power * math.log(n / 30.0))
            more = (
                {"wide": 1.1 * loss * math.exp(-0.5 * e), "own": loss**0.5}
                if cell["task"] == "data"
                else {}
            )
            row = cell | {"n": n} | trained_row(cell["seed"], loss, **more)
            if cell["kind"] == "doubled":
                right = next(r for r in rows if r["n"] == n and _same(r, cell))
                row["validation"] = right["validation"] / (1.0 + gap)
            rows.append(row)
    return rows


def _same(row, cell):
    keys = ("task", "architecture", "points", "seed")
    return row["kind"] == "train" and all(row[k] == cell[k] for k in keys)


def test_what_follows_theory_agrees():
    found = E.conclude(made_up())
    assert len({c.name for c in found.claims}) == len(found.claims)
    own = [c for c in found.claims if c.about["quantity"] == "exponent less own"]
    assert {c.verdict for c in own} == {"disagrees"}, "of half the exponent"
    rest = [c for c in found.claims if c.about["quantity"] != "exponent less own"]
    assert {c.verdict for c in rest} == {"agrees"}
    shifts = [c for c in rest if c.about["quantity"].startswith("shift of")]
    assert len(shifts) == 4 + 3, "in points of four architectures, in parameters of three"
    for claim in shifts:
        assert claim.predicted == pytest.approx(SHIFT)
        assert "transition shows" in claim.note
    assert claim_with(found, "cluster d = 8, MLP: exponent in training points").predicted == 0.25
    json.dumps(found.tables, allow_nan=False)


def test_an_architecture_without_the_transition_is_seen():
    """The transformer has the exponent above the threshold on both sides of it."""

    def flat(cell):
        above = PREDICTED["lattice d = 3, 1.3 p_c"]
        lattice = cell["points"].startswith("lattice")
        return (
            above
            if cell["architecture"] == "transformer" and lattice
            else PREDICTED[cell["points"]]
        )

    found = E.conclude(made_up(flat, own=0.0005))
    parts = {c.name: c for c in found.claims if ": shift of the exponent in training" in c.name}
    for name, claim in parts.items():
        beside = " less MLP" in name.split(",")[-1] or name.split(":")[0].endswith("less MLP")
        missed = ", transformer" in name and "digits" not in name
        assert claim.verdict == ("disagrees" if missed else "agrees"), name
        if not beside:
            assert ("transition shows" in claim.note) != missed
    difference = claim_with(found, "lattice d = 3, p_c, transformer less MLP: exponent in training")
    assert difference.measured == pytest.approx(-SHIFT, abs=0.01)


def test_points_that_did_not_converge_decide_nothing():
    found = E.conclude(made_up(gap=1.0))
    assert {c.verdict for c in found.claims} == {"inconclusive"}
    drawn(found)


def test_students_of_shuffled_labels_that_get_less_bad_learn_nothing():
    """From 1.5 towards the variance, as fewer points pull them away from the mean."""
    rows = made_up()
    for row in rows:
        if row["task"] == "shuffled":
            row["loss"] = row["validation"] = 1.0 + 15.0 / row["n"]
    controls = [c for c in E.conclude(rows).claims if c.about["quantity"] == "exponent, shuffled"]
    assert [(c.verdict, c.measured) for c in controls] == [("agrees", 0.0)] * 2


@pytest.mark.parametrize("task", ["shuffled", "permuted"])
def test_controls_can_fail(task):
    rows = made_up(lambda cell: PREDICTED[cell["points"]] + 0.2 * (cell["task"] == "permuted"))
    for row in rows:
        if row["task"] == "shuffled":
            row["loss"] *= (row["n"] / 30.0) ** -0.2
    controls = [c for c in E.conclude(rows).claims if c.about["quantity"] == f"exponent, {task}"]
    assert {c.verdict for c in controls} == {"disagrees"}
    assert len(controls) == {"shuffled": 2, "permuted": 1}[task]


def test_conclude_takes_rows_in_any_order():
    rows = made_up()
    assert canonical_json(E.conclude(rows[::-1])) == canonical_json(E.conclude(rows))


def test_only_the_same_lattice_above_its_threshold_makes_a_transition():
    words = ("lattice d = 3, p_c", "lattice d = 3, 1.3 p_c", "lattice d = 4, p_c", "cluster d = 8")
    (pair,) = transitions(sources(*words))
    assert [s.word for s in pair] == list(words[:2])
    assert not transitions(sources("lattice d = 4, p_c", "lattice d = 3, 1.3 p_c"))
    assert not transitions(sources("lattice d = 3, 1.3 p_c", "lattice d = 3, p_c"))


def test_digits_are_the_places_of_points():
    x = np.random.default_rng(0).standard_normal((200, 3))
    digits = inputs("tokens", x)
    assert digits.dtype == np.int64
    assert digits.shape == (200, 3 * N_DIGITS)
    value = digits.reshape(200, 3, N_DIGITS) @ (BASE ** np.arange(N_DIGITS)[::-1])
    step = np.ptp(x, axis=0) / BASE**N_DIGITS
    back = x.min(axis=0) + (value + 0.5) * step
    assert np.all(np.abs(back - x) <= 0.5 * step * (1 + 1e-9))
    assert digits.min() == 0
    assert digits.max() == BASE - 1
    assert inputs("mlp", x) is x


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"teacher": "linear"}, "teacher must have a finite order"),
        ({"settings": ("cube 2",)}, "must be one of settings too"),
        ({"widths": (4, 6)}, "multiple of n_heads"),
        ({"architectures": ()}, "architectures must name one at least"),
        ({"largest": 299}, r"largest must be in \[300"),
    ],
)
def test_configs_that_mean_nothing_are_refused(fields, words):
    from percolaw.targets.families import parse_target

    if "teacher" in fields:
        fields = {"teacher": parse_target(fields["teacher"])}
    if "settings" in fields:
        fields = {"settings": sources(*fields["settings"])}
    with pytest.raises(ValueError, match=words):
        Architectures(**fields)
