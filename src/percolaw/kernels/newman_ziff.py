"""A box of a hypercubic lattice while its bonds (or sites) are opened one by one (Newman and Ziff 2001).

Sites and bonds are numbered as in `percolaw.kernels.hypercubic`; edges are periodic.
"""

import numpy as np

from percolaw.kernels.compile import compiled


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
