import numpy as np

from percolaw.experiments.seeds import pivot


def test_a_field_is_put_at_the_places_of_others_whatever_the_order_of_the_rows():
    rows = [
        {"seed": seed, "n": n, "loss": None if (seed, n) == (0, 20) else seed + n}
        for n, seed in ((20, 1), (10, 1), (20, 0), (10, 0), (10, 2))
    ]
    table = pivot(rows, "loss", "seed", "n", missing=-1.0)
    np.testing.assert_array_equal(table, [[10, -1], [11, 21], [12, -1]])
