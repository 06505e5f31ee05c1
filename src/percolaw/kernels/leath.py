"""The cluster of one site of the infinite hypercubic lattice, grown from it (Leath 1976).

A site is its coordinates packed into one word; what is open is a hash of that word. ``cut`` and
``is_site`` are as in `percolaw.kernels.hypercubic`.
"""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.hypercubic import is_open
from percolaw.kernels.random import bits

_ONE = np.uint64(1)


@compiled
def _slot(table, packed, mask):
    """Place of a packed site in the table of visited ones, or of the empty slot where it belongs."""
    word = (packed ^ (packed >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    place = np.int64((word ^ (word >> np.uint64(29))) & mask)
    while table[place] != 0 and table[place] != packed:
        place = np.int64((np.uint64(place) + _ONE) & mask)
    return place


@compiled
def origin(dim, width):
    """The packed site in the middle: `width` bits a coordinate."""
    middle = np.uint64(0)
    for axis in range(dim):
        middle |= _ONE << np.uint64(width * axis + width - 1)
    return middle


@compiled
def grow(dim, width, cut, is_site, max_size, key, parent, site, table, index, low, high):
    """Grow the cluster of the origin breadth-first, visiting only sites it reaches (Leath 1976).

    A site's coordinates are packed into one word. parent and site (max_size,) are filled; table and index
    (a power of two above max_size) must hold no site, see `clear`. Open bonds that are not in the tree of
    parents are written into low and high as long as there is room, and counted beyond. Bonds are found
    from their end that is reached first.

    Returns the size, the number of loops, and a code: 0 whole, 1 stopped at max_size, 2 a coordinate left
    its range.
    """
    mask = np.uint64(table.shape[0] - 1)
    field = (_ONE << np.uint64(width)) - _ONE
    axis_key = np.empty(dim, np.uint64)
    for axis in range(dim):
        axis_key[axis] = key if is_site else bits(key, np.uint64(axis))
    middle = origin(dim, width)
    parent[0], site[0] = -1, middle
    place = _slot(table, middle, mask)
    table[place], index[place] = middle, 0
    size = np.int64(1)
    n_loops = np.int64(0)
    done = np.int64(0)
    while done < size:
        here = site[done]
        for axis in range(dim):
            low_bit = np.uint64(width * axis)
            x = (here >> low_bit) & field
            for up in (False, True):
                if x == (field if up else _ONE):
                    return size, n_loops, 2
                there = here + (_ONE << low_bit) if up else here - (_ONE << low_bit)
                lower = there if is_site or not up else here
                if not is_open(axis_key[axis], lower, cut):
                    continue
                place = _slot(table, there, mask)
                if table[place] == there:
                    other = index[place]
                    if other > done:
                        if n_loops < low.shape[0]:
                            low[n_loops], high[n_loops] = done, other
                        n_loops += 1
                    continue
                if size == max_size:
                    return size, n_loops, 1
                parent[size], site[size] = done, there
                table[place], index[place] = there, size
                size += 1
        done += 1
    return size, n_loops, 0


@compiled
def clear(table, site, size):
    """Empty the table of the first `size` sites, which it holds; the last ones in go first."""
    mask = np.uint64(table.shape[0] - 1)
    for i in range(size - 1, -1, -1):
        table[_slot(table, site[i], mask)] = 0


@compiled
def unpack(site, dim, width, out):
    """Write coordinates (n, dim), the origin at 0, of packed sites."""
    field = (_ONE << np.uint64(width)) - _ONE
    half = np.int64(1) << np.int64(width - 1)
    for i in range(site.shape[0]):
        for axis in range(dim):
            out[i, axis] = np.int64((site[i] >> np.uint64(width * axis)) & field) - half


@compiled
def grow_many(
    dim,
    width,
    cut,
    is_site,
    max_size,
    key,
    parent,
    site,
    table,
    index,
    first,
    size,
    radius,
    depth,
    loops,
):
    """Grow clusters first, first + 1, ... one after the other in the same memory; keep what they are.

    Fills, for each, the size, the squared radius of gyration, the depth (largest chemical distance from
    the origin) and the number of loops; all four negative (-1) in what the cap makes meaningless: radius,
    depth and loops of a stopped cluster. Returns the code 2 if a coordinate left its range, else 0.
    """
    none = np.zeros(0, np.int32)
    sums = np.empty(2 * dim, np.float64)
    field = (_ONE << np.uint64(width)) - _ONE
    half = np.float64(np.int64(1) << np.int64(width - 1))
    level = np.empty(max_size, np.int32)
    for k in range(size.shape[0]):
        stream = bits(key, np.uint64(first + k))
        n, n_loops, code = grow(
            dim, width, cut, is_site, max_size, stream, parent, site, table, index, none, none
        )
        if code == 2:
            return 2
        clear(table, site, n)
        size[k] = n
        radius[k], depth[k], loops[k] = -1.0, -1, -1
        if code == 1:
            continue
        sums[:] = 0.0
        for i in range(n):
            level[i] = level[parent[i]] + 1 if i > 0 else 0
            for axis in range(dim):
                x = np.float64((site[i] >> np.uint64(width * axis)) & field) - half
                sums[2 * axis] += x
                sums[2 * axis + 1] += x * x
        square = 0.0
        for axis in range(dim):
            square += sums[2 * axis + 1] / n - (sums[2 * axis] / n) ** 2
        radius[k], depth[k], loops[k] = square, level[n - 1], n_loops
    return 0
