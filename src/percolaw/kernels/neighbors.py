"""Selection of nearest candidates: from tiles of scalar products, or by direct differences."""

import numpy as np

from percolaw.kernels.compile import compiled

_STRIDE = 64


@compiled
def _any_below(product, norm, limit):
    """Whether norm - 2 product is below the limit in any column; vector instructions, no branches."""
    two = product.dtype.type(2)
    below = 0
    for j in range(_STRIDE):
        below |= norm[j] - two * product[j] < limit
    return below != 0


@compiled
def merge_smallest(product, norm, offset, value, candidate, worst):
    """Merge a tile into the running candidates of each row.

    ``product[i, j]`` is the scalar product of query i and point ``offset + j``; kept are the points of
    least norm - 2 product. ``value`` and ``candidate`` have shape (rows, keep) and start at
    infinity and -1; ``worst`` holds the place of the largest kept value of each row.
    """
    n = product.shape[1]
    keep = candidate.shape[1]
    two = product.dtype.type(2)
    for i in range(product.shape[0]):
        w = worst[i]
        limit = value[i, w]
        for low in range(0, n, _STRIDE):
            high = min(low + _STRIDE, n)
            if high - low == _STRIDE and not _any_below(
                product[i, low:high], norm[low:high], limit
            ):
                continue
            for j in range(low, high):
                v = norm[j] - two * product[i, j]
                if v < limit:
                    value[i, w] = v
                    candidate[i, w] = offset + j
                    w = 0
                    for c in range(1, keep):
                        if value[i, c] > value[i, w]:
                            w = c
                    limit = value[i, w]
        worst[i] = w


@compiled
def measure_near(product, least, bound, rows, points, queries, inverse, value, candidate):
    """Merge a tile into the running nearest points of each query, by differences times ``inverse``.

    ``product[i, j]`` is the scalar product of query i and the point of row ``rows[j]``; measured are
    the points with least - 2 product up to the ``bound`` of the query. ``value`` and ``candidate``
    have shape (queries, keep), start at infinity and -1, and are in no order. Of equally far points the
    first are kept, if rows rise. A sum that has reached the largest kept value is not finished.
    """
    n, d = points.shape
    for i in range(product.shape[0]):
        worst = _worst(value, candidate, i)
        limit = np.nextafter(bound[i], np.inf)
        for low in range(0, n, _STRIDE):
            high = min(low + _STRIDE, n)
            if high - low == _STRIDE and not _any_below(
                product[i, low:high], least[low:high], limit
            ):
                continue
            for j in range(low, high):
                if least[j] - 2.0 * product[i, j] >= limit:
                    continue
                square = 0.0
                column = 0
                while column < d and square < value[i, worst]:
                    for c in range(column, min(column + 8, d)):
                        gap = (points[j, c] - queries[i, c]) * inverse
                        square += gap * gap
                    column += 8
                if square < value[i, worst]:
                    value[i, worst] = square
                    candidate[i, worst] = rows[j]
                    worst = _worst(value, candidate, i)


@compiled
def _worst(value, candidate, row):
    """Place of the largest value, of the latest candidate among equal ones."""
    worst = 0
    for c in range(1, candidate.shape[1]):
        if value[row, c] > value[row, worst] or (
            value[row, c] == value[row, worst] and candidate[row, c] > candidate[row, worst]
        ):
            worst = c
    return worst
