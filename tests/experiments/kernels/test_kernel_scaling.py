"""Kernel scaling: what it plans, and what it concludes from made-up rows."""

import math

import numpy as np
import pytest
from conclusions import claim_with
from kernel_cases import by_hand

from percolaw.datasets.sources import Cube, InfiniteCluster, LatticeCluster, Manifold, parse_source
from percolaw.experiments.kernels.kernel_curves import last_decade
from percolaw.experiments.kernels.kernel_scaling import NETWORK, KernelScaling
from percolaw.numerics.covariance import (
    Matern,
)
from percolaw.targets.matern import MaternTeacher


def test_settings_and_cells():
    e = KernelScaling()
    settings = e.settings()
    for one in settings:
        if isinstance(one, InfiniteCluster):
            assert one.dimension == 4.0
        elif isinstance(one, Cube):
            assert one.dimension == one.side_dim
        else:
            assert one == Manifold((("sphere", 2), ("cube", 1)))
            assert one.dimension == 3.0
    assert len(settings) == len(e.cluster_dims) + len(e.cube_dims) + 1
    cells = e.cells()
    assert len({tuple(sorted(c.items())) for c in cells}) == len(cells)
    assert len(cells) == e.n_seeds * (len(settings) + len(e.teacher_settings))
    sizes = e.sizes()
    assert (sizes[0], sizes[-1]) == (e.smallest, e.largest)
    assert np.all(np.diff(sizes) > 0)
    for given, message in (
        ({"teacher_settings": (Cube(44),)}, "unknown teacher_settings.*Did you mean 'cube 4'"),
        ({"largest": 200}, "largest"),
        ({"smoothness": (0.0,)}, "smoothness"),
        ({"n_seeds": 0}, "n_seeds"),
    ):
        with pytest.raises(ValueError, match=message):
            KernelScaling(**given)


def test_points_are_those_of_the_setting():
    from percolaw.rng import Streams

    e = KernelScaling(largest=300, n_test=100)
    for source, width in ((Cube(3), 3), (InfiniteCluster(8), 8), (Manifold(), 4)):
        train, test = e.points(source, Streams(1))
        assert train.shape == (300, width)
        assert test.shape == (100, width)
        both = np.concatenate([train, test])
        assert np.mean(np.sum(both**2, axis=1)) / width == pytest.approx(1.0, rel=1e-6)
        assert not {r.tobytes() for r in train} & {r.tobytes() for r in test}


def test_expected_losses_are_dense_posterior_variances():
    from percolaw.rng import Streams

    e = KernelScaling(
        largest=300,
        n_test=50,
        n_sizes=4,
        cube_dims=(2,),
        cluster_dims=(),
        teacher_settings=(Cube(2),),
        smoothness=(0.5, 1.5),
    )
    cell = {"kind": "expected", "points": "cube 2", "seed": 1}
    rows = e.measure(cell)
    assert [r["nu"] for r in rows] == [0.5, 1.5]
    train, test = e.points(Cube(2), Streams(1).child(*b"cube 2"))
    for row in rows:
        for n, loss in zip(e.sizes(), row["loss"], strict=True):
            x = train[:n]
            expected = by_hand(Matern(row["nu"]), x, np.zeros(n), test)[1].mean()
            assert loss == pytest.approx(expected, rel=1e-6)


def power_law(e, exponent, last=1e-6):
    n = e.sizes().astype(float)
    return (last * (n / n[-1]) ** -exponent).tolist()


def made_rows(e, factor=1.0, ratio=1.0):
    """Rows as `measure` returns them, every curve an exact power law times `factor` in exponent."""
    rows = []
    dimension = {one.word: one.dimension for one in e.settings()}
    for cell in e.cells():
        big_d = dimension[cell["points"]]
        if cell["kind"] == "expected":
            rows += [
                {**cell, "nu": nu, "loss": power_law(e, factor * 2 * nu / big_d), "jitter": 0.0}
                for nu in e.smoothness
            ]
            continue
        orders = {name: teacher.approximation_order for name, teacher in e.teachers().items()}
        for name, order in orders.items():
            order = 10.0 if math.isinf(order) else min(order, big_d + 2.0)
            loss = power_law(e, factor * order / big_d)
            rows.append({**cell, "teacher": name, "student": NETWORK, "loss": loss})
        for nu in e.smoothness:
            loss = (ratio * np.array(power_law(e, factor * 2 * nu / big_d))).tolist()
            name = MaternTeacher(nu).word
            rows.append({**cell, "teacher": name, "student": f"{name} kernel", "loss": loss})
    return rows


EVERYTHING = KernelScaling(n_seeds=3, teacher_settings=(InfiniteCluster(16), Cube(4), Cube(2)))


def test_exact_power_laws_agree():
    found = EVERYTHING.conclude(made_rows(EVERYTHING))
    names = [c.name for c in found.claims]
    assert len(set(names)) == len(names)
    n_network = 3 * (3 + 4)  # settings; ReLU and Matérn teachers
    assert len(names) == len(EVERYTHING.settings()) * 4 + n_network + 3 * 4
    assert {c.verdict for c in found.claims} == {"agrees"}
    for claim in found.claims:
        assert claim.measured == pytest.approx(claim.predicted, rel=1e-9)
        assert claim.interval == pytest.approx((claim.measured,) * 2, rel=1e-6)
    (exponents,) = (p for p in found.plots if p.id == "kernel-scaling-exponents")
    laws = {one.name: one for one in exponents.series}
    assert len(laws) == 2 * len(EVERYTHING.settings())
    for one in laws.values():
        if one.kind == "measured":
            assert one.y == pytest.approx(laws[one.prediction].y)
            assert laws[one.prediction].y == pytest.approx(np.array(one.x) * one.y[0])
    # At the edge of the data a tangent kernel gives at most D + 2, here 4 of the teacher's 5.
    capped = [c for c in found.claims if c.name.startswith("cube 2, Matérn 2.5, infinitely")]
    assert [c.predicted for c in capped] == [4.0 / 2.0]
    assert "exponent 4/D" in capped[0].name
    assert not [c for c in found.claims if "linear" in c.name or "Fourier" in c.name]


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_wrong_exponents_disagree(factor):
    found = EVERYTHING.conclude(made_rows(EVERYTHING, factor))
    for claim in found.claims:
        wrong = "exponent" in claim.name
        assert claim.verdict == ("disagrees" if wrong else "agrees"), claim.name
        if wrong:
            assert claim.measured == pytest.approx(factor * claim.predicted, rel=1e-9)
    close = EVERYTHING.conclude(made_rows(EVERYTHING, 1 + 0.08 * np.sign(factor - 1)))
    assert {c.verdict for c in close.claims} == {"agrees"}, "the tolerance is 10%"


@pytest.mark.parametrize(("ratio", "verdict"), [(1.03, "agrees"), (0.9, "disagrees")])
def test_losses_on_drawn_teachers_are_held_against_the_variance(ratio, verdict):
    claims = EVERYTHING.conclude(made_rows(EVERYTHING, ratio=ratio)).claims
    drawn = [c for c in claims if "loss over posterior variance" in c.name]
    assert len(drawn) == 12
    assert {c.verdict for c in drawn} == {verdict}
    assert [c.measured for c in drawn] == pytest.approx([ratio] * 12)


def test_conclude_is_pure_and_does_not_depend_on_the_order_of_rows():
    rows = made_rows(EVERYTHING)
    first = EVERYTHING.conclude(rows)
    assert EVERYTHING.conclude(rows).claims == first.claims
    again = EVERYTHING.conclude(rows[::-1])
    assert {c.name: c.verdict for c in again.claims} == {c.name: c.verdict for c in first.claims}


def curve_rows(losses, **more):
    return [{"loss": np.asarray(loss).tolist(), **more} for loss in losses]


def fitted(e, losses, **more):
    return last_decade(e.curve(curve_rows(losses, **more)))


def test_window_is_the_last_decade():
    e = KernelScaling()
    n = e.sizes().astype(float)
    low = n[n <= n[-1] / 10][-1]
    # Another slope before the window does not count; the same before and after it does.
    loss = np.where(n < low, low**-0.5 * (n / low) ** -2.0, n**-0.5)
    found = fitted(e, [loss, 2 * loss, 3 * loss])
    assert found.window == (low, n[-1])
    assert found.exponent == pytest.approx(0.5, abs=1e-12)
    one_more = n[np.flatnonzero(n == low)[0] + 1]
    bent = np.where(n < one_more, one_more**-0.5 * (n / one_more) ** -2.0, n**-0.5)
    assert fitted(e, [bent] * 3).exponent > 0.51


def test_losses_below_the_floor_are_left_out():
    e = KernelScaling(floor=1e-6)
    n = e.sizes().astype(float)
    for stop in range(12, n.size + 1):
        loss = 1e-5 * (n / n[stop - 1]) ** -1.5
        loss[stop:] = 1e-12  # rounding
        found = fitted(e, [loss] * 3)
        if n[stop - 1] < 10 * n[0]:
            assert found is None
            continue
        low = n[n <= n[stop - 1] / 10][-1]
        assert found.window == (low, n[stop - 1])
        assert found.exponent == pytest.approx(1.5, abs=1e-10)
        # A last size that is back above the floor does not bring the others back.
        loss[-1] = 1.0 if stop < n.size - 1 else loss[-1]
        assert fitted(e, [loss] * 3).window == found.window


def test_jitter_raises_the_floor():
    e = KernelScaling()
    n = e.sizes().astype(float)
    loss = 1e-6 * (n / n[-1]) ** -1.0
    assert fitted(e, [loss] * 3, jitter=0.0).window[1] == n[-1]
    rows = curve_rows([loss] * 3, jitter=0.0)
    rows[1]["jitter"] = 3e-9  # 1000 of it is above the last losses
    assert last_decade(e.curve(rows)).window[1] == n[loss > 3e-6][-1]


@pytest.mark.parametrize("above", [0, 1, 2, 5])
def test_less_than_a_decade_above_the_floor_is_inconclusive(above):
    e = KernelScaling(n_seeds=3, teacher_settings=())
    loss = np.full(e.sizes().size, 1e-15)
    loss[:above] = 1e-3
    rows = [row | {"loss": loss.tolist()} for row in made_rows(e)]
    for claim in e.conclude(rows).claims:
        assert claim.verdict == "inconclusive"
        assert "1e-09" in claim.note


def test_two_seeds_are_inconclusive():
    e = KernelScaling(n_seeds=2)
    found = e.conclude(made_rows(e))
    assert {c.verdict for c in found.claims} == {"inconclusive"}


def test_window_of_sizes_off_a_round_decade():
    e = KernelScaling(largest=10_009, n_sizes=54)
    assert 1001 in e.sizes()
    assert fitted(e, [power_law(e, 1.0)] * 3).exponent == pytest.approx(1.0)


def test_smoothness_of_many_digits():
    e = KernelScaling(n_seeds=3, smoothness=(1 / 3, 0.5))
    assert {c.verdict for c in e.conclude(made_rows(e)).claims} == {"agrees"}


def test_kernel_scaling_takes_lattices():
    name = "lattice d = 2, p_c"
    e = KernelScaling(
        n_seeds=3,
        smallest=20,
        largest=300,
        n_test=100,
        smoothness=(0.5,),
        cluster_dims=(),
        cube_dims=(),
        lattices=(LatticeCluster(2), LatticeCluster(2, 1.3)),
    )
    assert e.teacher_settings == ()
    assert e.settings() == e.lattices
    rows = [row for cell in e.cells() if cell["seed"] == 0 for row in e.measure(cell)]
    assert [r["points"] for r in rows] == [name, "lattice d = 2, 1.3 p_c"]
    for row in rows:
        assert np.all(np.diff(row["loss"]) < 0)
    rows = [{**row, "seed": seed} for row in rows for seed in range(3)]
    found = e.conclude(rows)
    assert claim_with(found, name).predicted == pytest.approx(1 / parse_source(name).dimension)
