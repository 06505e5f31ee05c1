"""All points in order of distance: distances, a radix sort of each row, means by rank."""

import numpy as np

from percolaw.kernels.compile import compiled

#: Coordinates of the points that one pass holds: 256 KiB of float64, which stay in the cache.
_TILE = 1 << 15
#: Bits that one pass of the sort looks at.
_BITS = 11


@compiled(nogil=True)
def squared_distances(queries, points, square):
    """Fill ``square[i, j]``, float32, with |queries[i] - points[:, j]|^2 summed in float64.

    ``points`` has shape (d, n). Every column is summed in the same order, so equal points have equal
    distances.
    """
    d, n = points.shape
    tile = max(64, _TILE // d)
    total = np.empty(min(tile, n))
    for low in range(0, n, tile):
        high = min(low + tile, n)
        some = total[: high - low]
        for i in range(queries.shape[0]):
            query = queries[i]
            some[:] = 0.0
            for c in range(0, d - d % 4, 4):
                _add_four(query[c : c + 4], points[c : c + 4, low:high], some)
            for c in range(d - d % 4, d):
                column = points[c, low:high]
                for j in range(some.size):
                    gap = column[j] - query[c]
                    some[j] += gap * gap
            row = square[i, low:high]
            for j in range(some.size):
                row[j] = some[j]


@compiled(nogil=True)
def _add_four(query, points, total):
    """Add the squares of four coordinates in one pass over the sums."""
    q0, q1, q2, q3 = query[0], query[1], query[2], query[3]
    p0, p1, p2, p3 = points[0], points[1], points[2], points[3]
    for j in range(total.size):
        a, b, c, d = p0[j] - q0, p1[j] - q1, p2[j] - q2, p3[j] - q3
        total[j] = total[j] + a * a + b * b + c * c + d * d


@compiled(nogil=True)
def mismatches(queries, points, count):
    """Fill ``count[i, j]``, uint32, with the places where queries[i] and points[:, j] differ."""
    length, n = points.shape
    for i in range(queries.shape[0]):
        row = count[i]
        row[:] = 0
        for c in range(length):
            letter, column = queries[i, c], points[c]
            for j in range(n):
                row[j] += np.uint32(column[j] != letter)


@compiled(nogil=True)
def rank_rows(key, first, order, tied):
    """Order the columns of each row by key, equal keys by column; row i leaves out column first + i.

    ``key`` (rows, n) is uint32; ``order`` (rows, n - 1) gets columns, ``tied`` whether the key equals
    the one before. A radix sort of words that hold key less the least key, and column: by the bits that
    differ.
    """
    rows, n = key.shape
    word, other = np.empty(n - 1, np.uint64), np.empty(n - 1, np.uint64)
    place = np.empty(1 << _BITS, np.int64)
    mask = np.uint64((1 << _BITS) - 1)
    half, step = np.uint64(32), np.uint64(_BITS)
    low_half = np.uint64(0xFFFFFFFF)
    for i in range(rows):
        row, left_out = key[i], first + i
        least = row[1] if left_out == 0 else row[0]
        most = least
        for part in (row[:left_out], row[left_out + 1 :]):
            for j in range(part.size):
                least, most = min(least, part[j]), max(most, part[j])
        least, spread = np.uint64(least), np.uint64(most) - np.uint64(least)
        for j in range(left_out):
            word[j] = ((np.uint64(row[j]) - least) << half) | np.uint64(j)
        for j in range(left_out + 1, n):
            word[j - 1] = ((np.uint64(row[j]) - least) << half) | np.uint64(j)
        shift = half
        while spread > np.uint64(0):
            place[:] = 0
            for j in range(n - 1):
                place[np.int64((word[j] >> shift) & mask)] += 1
            start = 0
            for b in range(place.size):
                start, place[b] = start + place[b], start
            for j in range(n - 1):
                digit = np.int64((word[j] >> shift) & mask)
                other[place[digit]] = word[j]
                place[digit] += 1
            word, other = other, word
            shift, spread = shift + step, spread >> step
        previous = np.uint64(0)
        for j in range(n - 1):
            order[i, j] = np.int32(word[j] & low_half)
            tied[i, j] = j > 0 and word[j] >> half == previous
            previous = word[j] >> half


@compiled(nogil=True)
def add_agreement(order, tied, first, label, total):
    """Add to ``total[j]`` how many rows have the label of their j-th column; ties share their mean."""
    pair = np.empty(order.shape[1])
    for i in range(order.shape[0]):
        mine, row = label[first + i], order[i]
        for j in range(row.size):
            pair[j] = 1.0 if label[row[j]] == mine else 0.0
        _add_means(pair, tied[i], total)


@compiled(nogil=True)
def _add_means(pair, tied, total):
    """Add ``pair`` to ``total``, each run of tied entries as its mean."""
    low = 0
    while low < pair.size:
        high = low + 1
        share = pair[low]
        while high < pair.size and tied[high]:
            share += pair[high]
            high += 1
        share /= high - low
        for j in range(low, high):
            total[j] += share
        low = high
