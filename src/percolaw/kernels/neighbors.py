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
def nearest_directly(points, queries, inverse, value, candidate):
    """Fill the rows of least squared distance to each query, by differences times ``inverse``.

    ``value`` and ``candidate`` have shape (queries, keep), keep at most the number of points, and are
    overwritten, in no order. Of equally far points the first rows are kept. A sum that has reached
    the largest kept value is not finished.
    """
    n, d = points.shape
    keep = candidate.shape[1]
    for i in range(queries.shape[0]):
        worst = 0
        limit = value[i, 0]
        for row in range(n):
            square = 0.0
            column = 0
            while column < d and (row < keep or square < limit):
                for c in range(column, min(column + 8, d)):
                    gap = (points[row, c] - queries[i, c]) * inverse
                    square += gap * gap
                column += 8
            if row >= keep and not square < limit:
                continue
            place = row if row < keep else worst
            value[i, place] = square
            candidate[i, place] = row
            if row >= keep - 1:
                worst = 0
                for c in range(1, keep):
                    if value[i, c] > value[i, worst] or (
                        value[i, c] == value[i, worst] and candidate[i, c] > candidate[i, worst]
                    ):
                        worst = c
                limit = value[i, worst]
