"""Percolation on hypercubic lattices: labels by union-find, a sweep over p, growth of one cluster.

Site x of a lattice of length L in d dimensions is number sum_k x_k L^k. Bond d * site + k leads from a
site one step up along axis k. What is open is a hash of that number: no kernel stores the bonds.

``is_site`` says whether sites are opened (all bonds between open sites count) or bonds (all sites count).
``cut`` is the probability as a threshold of 53 random bits.
"""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.random import bits

_S11 = np.uint64(11)
_ONE = np.uint64(1)


@compiled
def is_open(key, index, cut):
    """Whether item `index` is open: 53 random bits below `cut` = p 2^53."""
    return (bits(key, np.uint64(index)) >> _S11) < cut


@compiled
def find(root, site):
    """Return the root of a site, halving the path to it. Roots hold minus the size of their cluster."""
    above = root[site]
    while above >= 0:
        top = root[above]
        if top < 0:
            return np.int64(above)
        root[site] = top
        site = top
        above = root[site]
    return np.int64(site)


@compiled
def _union(root, a, b):
    """Merge the clusters of two roots; the smaller index becomes the root, which is returned."""
    if a == b:
        return a
    if b < a:
        a, b = b, a
    root[a] += root[b]
    root[b] = a
    return a


@compiled
def label(root, length, dim, cut, is_site, periodic, key):
    """Fill root (n,) with a site on the way to the root, minus the size at roots; closed sites get n.

    Returns the number of open bonds between open sites.
    """
    n = root.shape[0]
    closed = root.dtype.type(n)
    x = np.zeros(dim, np.int64)
    n_bonds = np.int64(0)
    for site in range(n):
        if is_site and not is_open(key, site, cut):
            root[site] = closed
        else:
            root[site] = -1
            mine = np.int64(site)
            stride = np.int64(1)
            for axis in range(dim):
                if x[axis] > 0:
                    other = site - stride  # the bond belongs to the lower site
                    if (
                        root[other] != closed
                        if is_site
                        else is_open(key, np.int64(dim) * other + axis, cut)
                    ):
                        n_bonds += 1
                        mine = _union(root, mine, find(root, other))
                if periodic and x[axis] == length - 1 and length > 2:
                    other = site - stride * (length - 1)  # round the lattice
                    if (
                        root[other] != closed
                        if is_site
                        else is_open(key, np.int64(dim) * site + axis, cut)
                    ):
                        n_bonds += 1
                        mine = _union(root, mine, find(root, other))
                stride *= length
        axis = 0
        while axis < dim:  # the next site's coordinates
            x[axis] += 1
            if x[axis] < length:
                break
            x[axis] = 0
            axis += 1
    return n_bonds


@compiled
def flatten(root):
    """Replace every entry by the number of its cluster (-1 if closed), clusters in order of first site.

    Returns their sizes, int64 (n_clusters,).
    """
    n = root.shape[0]
    count = 0
    for site in range(n):
        if root[site] < 0:
            count += 1
    size = np.empty(count, np.int64)
    k = 0
    for site in range(n):  # a root is the smallest site of its cluster, so it comes first
        value = root[site]
        if value < 0:
            size[k] = -value
            root[site] = k
            k += 1
        elif value == n:
            root[site] = -1
        else:
            root[site] = root[value]
    return size


@compiled
def gather(cluster, wanted, position, site):
    """List the sites of wanted clusters, cluster by cluster, each in rising order.

    wanted (n_clusters,) holds the place of a cluster among those asked for, or -1; position (n_wanted,)
    the first free place of each in site (n_chosen,) and, on return, the end.
    """
    for i in range(cluster.shape[0]):
        k = cluster[i]
        if k >= 0 and wanted[k] >= 0:
            place = position[wanted[k]]
            site[place] = i
            position[wanted[k]] = place + 1


@compiled
def edges(site, place, length, dim, cut, is_site, periodic, key, degree, low, high):
    """List the open bonds between gathered sites, as places in `site`; return their number.

    place (n,) maps sites of the lattice to places, -1 elsewhere. With low and high empty only the
    degrees are counted.
    """
    n = np.int64(0)
    count_only = low.shape[0] == 0
    for i in range(site.shape[0]):
        here = np.int64(site[i])
        stride = np.int64(1)
        rest = here
        for axis in range(dim):
            x = rest % length
            rest //= length
            if x < length - 1:
                there = here + stride
            elif periodic and length > 2:
                there = here - stride * (length - 1)
            else:
                there = np.int64(-1)
            stride *= length
            if there < 0 or place[there] < 0:
                continue
            if not is_site and not is_open(key, np.int64(dim) * here + axis, cut):
                continue
            if not count_only:
                low[n], high[n] = i, place[there]
            degree[i] += 1
            degree[place[there]] += 1
            n += 1
    return n


@compiled
def sweep(order, length, dim, is_site, record_at, track, largest, square, loops, wrapped):
    """Open bonds (or sites) one by one in the given order, with periodic edges; record on the way.

    Record j is made when record_at[j] (rising) of them are open: the largest cluster, the sum of squared
    sizes, the bonds that closed a loop, and, with `track`, whether a cluster winds round the lattice
    along each axis (n_records, dim) (Newman and Ziff 2001).
    """
    n = np.int64(1)
    for _ in range(dim):
        n *= length
    root = np.full(n, -1, np.int32)
    shift = np.zeros(n if track else 1, np.int64)
    open_site = np.zeros(n if is_site else 1, np.bool_)
    # Displacements are one integer, sum_k x_k 2^(w k) modulo 2^64: sums of them are exact, and only the
    # loops' own must be read back, which are a few times L.
    unit = np.empty(dim, np.int64)
    strides = np.empty(dim, np.int64)
    width = 64 // dim
    for k in range(dim):
        unit[k] = np.int64(1) << np.int64(width * k)
        strides[k] = length**k
    most = np.int64(0 if is_site else 1)
    total = np.float64(0 if is_site else n)
    n_loops = np.int64(0)
    winds = np.zeros(dim, np.bool_)
    record = 0
    for step in range(order.shape[0] + 1):
        while record < record_at.shape[0] and record_at[record] == step:
            largest[record], square[record], loops[record] = most, total, n_loops
            for axis in range(dim):
                wrapped[record, axis] = winds[axis]
            record += 1
        if step == order.shape[0] or record == record_at.shape[0]:
            break
        if is_site:
            site = np.int64(order[step])
            open_site[site] = True
            total += 1.0
            most = max(most, np.int64(1))
            first, last = 0, dim
        else:
            site = np.int64(order[step]) // dim
            first = np.int64(order[step]) % dim
            last = first + 1
        for axis in range(first, last):
            x = (site // strides[axis]) % length
            up = site + strides[axis] if x < length - 1 else site - strides[axis] * (length - 1)
            if not is_site or open_site[up]:
                size, gain = _bond(root, shift, site, up, unit[axis], track, width, winds)
                most, total = max(most, size), total + gain
                n_loops += gain == 0.0
            if is_site:
                down = site - strides[axis] if x > 0 else site + strides[axis] * (length - 1)
                if open_site[down]:
                    size, gain = _bond(root, shift, down, site, unit[axis], track, width, winds)
                    most, total = max(most, size), total + gain
                    n_loops += gain == 0.0


@compiled
def _locate(root, shift, site, track):
    """Return the root of a site and the displacement from the site to it, halving the path."""
    moved = np.int64(0)
    while root[site] >= 0:
        above = np.int64(root[site])
        top = np.int64(root[above])
        if top < 0:
            if track:
                moved += shift[site]
            return above, moved
        if track:
            shift[site] += shift[above]
            moved += shift[site]
        root[site] = top
        site = top
    return site, moved


@compiled
def _bond(root, shift, low, high, step, track, width, winds):
    """Open the bond from `low` one step up to `high`; return the joined size and the gain in squares."""
    a, to_a = _locate(root, shift, low, track)
    b, to_b = _locate(root, shift, high, track)
    if a == b:
        # low -> root directly, or over high: they differ by turns round the lattice.
        turn = step + to_b - to_a
        if track and turn != 0:
            half = np.int64(1) << np.int64(width - 1)
            for k in range(winds.shape[0]):
                digit = ((turn + half) & ((half << 1) - 1)) - half if width < 64 else turn
                winds[k] |= digit != 0
                if width < 64:
                    turn = (turn - digit) >> width
        return -np.int64(root[a]), 0.0
    size_a, size_b = -np.int64(root[a]), -np.int64(root[b])
    if size_a >= size_b:
        if track:
            shift[b] = to_a - step - to_b  # b -> high -> low -> a
        root[a] += root[b]
        root[b] = a
    else:
        if track:
            shift[a] = to_b + step - to_a
        root[b] += root[a]
        root[a] = b
    return size_a + size_b, 2.0 * size_a * size_b


# ---- growth of one cluster


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
        own = bits(key, np.uint64(first + k))
        n, n_loops, code = grow(
            dim, width, cut, is_site, max_size, own, parent, site, table, index, none, none
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
