"""Small boxes, and moments of clusters of the Bethe lattice."""

import dataclasses

from percolaw.experiments.lattices.boxes import Boxes

SMALL = Boxes(n_sites=20_000, n_draws=60)
WHOLE = dataclasses.replace(SMALL, n_draws=0)


def bethe_moments(z, p):
    """Mean size of a given site's cluster below p_c, and its mean square, by conditioning on branches."""
    b = (z - 1) * p
    mean = 1.0 / (1.0 - b)
    variance = b * (1.0 - p) * mean**2 / (1.0 - b)
    first = 1.0 + z * p * mean
    return first, z * p * variance + z * p * (1.0 - p) * mean**2 + first**2
