"""Selection of nearest candidates: from tiles of scalar products, or by direct differences."""

from percolaw.kernels.compile import compiled

_STRIDE = 32


@compiled(fastmath={"nnan", "ninf", "nsz"})  # finite by the caller's checks
def _least(product, norm, row, low):
    """Least norm - 2 product among _STRIDE columns; one vector instruction a few columns."""
    two = product.dtype.type(2)
    least = norm[low] - two * product[row, low]
    for j in range(low + 1, low + _STRIDE):
        least = min(least, norm[j] - two * product[row, j])
    return least


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
        low = 0
        while low < n:
            high = min(low + _STRIDE, n)
            if high - low == _STRIDE and _least(product, norm, i, low) >= limit:
                low = high
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
            low = high
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
        low = 0
        while low < n:
            high = min(low + _STRIDE, n)
            if high - low < _STRIDE or _least(product, least, i, low) <= bound[i]:
                for j in range(low, high):
                    if least[j] - 2.0 * product[i, j] > bound[i]:
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
            low = high


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
