"""Bonds of any graph opened one by one, and the clusters of a graph: union-find over lists of bonds."""

import numpy as np

from percolaw.kernels.compile import compiled


@compiled
def find(root, site):
    """Return the root of a site, halving the path; roots hold minus their size."""
    while root[site] >= 0:
        above = root[site]
        top = root[above]
        if top < 0:
            return above
        root[site] = top
        site = top
    return site


@compiled
def join(root, a, b):
    """Join the clusters of two sites, the smaller below the larger; roots hold minus the size."""
    a, b = find(root, a), find(root, b)
    if a == b:
        return
    if root[a] > root[b]:
        a, b = b, a
    root[a] += root[b]
    root[b] = a


@compiled(nogil=True)
def sweep_groups(low, high, start, n_sites, record_at, root, largest, square):
    """Open the bonds of every group in their order; record the largest cluster and the sum of squares.

    Bonds ``start[g] .. start[g + 1] - 1`` join sites of group g, which has ``n_sites[g]`` of them; record
    r of group g is made when ``record_at[g, r]`` (rising) of its bonds are open. ``root`` is -1
    throughout at the start; groups share no site.
    """
    n_records = record_at.shape[1]
    for g in range(n_sites.shape[0]):
        most, total = np.int64(min(n_sites[g], 1)), n_sites[g]
        first, last, record = start[g], start[g + 1], 0
        for bond in range(first, last + 1):
            while record < n_records and first + record_at[g, record] == bond:
                largest[g, record], square[g, record] = most, total
                record += 1
            if bond == last or record == n_records or most == n_sites[g]:
                break
            a, b = find(root, low[bond]), find(root, high[bond])
            if a != b:
                size_a, size_b = -np.int64(root[a]), -np.int64(root[b])
                if size_a < size_b:
                    a, b = b, a
                root[a] += root[b]
                root[b] = a
                most = max(most, size_a + size_b)
                total += 2 * size_a * size_b
        while record < n_records:
            largest[g, record], square[g, record] = most, total
            record += 1


@compiled
def open_at_shares(random, n_bonds, share, is_open):
    """Fill ``is_open`` (n_groups, n_shares) with how many bonds of each group are open at each share.

    The shares rise and bonds never close; the numbers are those that ``random.binomial`` of NumPy gives
    for one share after another, group by group.
    """
    so_far = np.zeros(n_bonds.shape[0], np.int64)
    before = 0.0
    for r in range(share.shape[0]):
        chance = 1.0 if share[r] >= 1.0 else (share[r] - before) / (1.0 - before)
        for g in range(n_bonds.shape[0]):
            so_far[g] += random.binomial(n_bonds[g] - so_far[g], chance)
            is_open[g, r] = so_far[g]
        before = share[r]


@compiled(nogil=True)
def group_bonds(low, high, group, start, low_out, high_out):
    """Sort bonds by group, keeping their order within; ``start`` holds where each group begins."""
    place = start[:-1].copy()
    for bond in range(low.shape[0]):
        at = place[group[bond]]
        low_out[at], high_out[at] = low[bond], high[bond]
        place[group[bond]] = at + 1


@compiled(nogil=True)
def number_clusters(low, high, is_open, root, cluster):
    """Fill ``cluster`` with the cluster of every site, numbered by first sites; return their number.

    ``root`` is -1 throughout at the start.
    """
    for bond in range(low.shape[0]):
        if is_open[bond]:
            join(root, low[bond], high[bond])
    n_clusters = 0
    for site in range(root.shape[0]):
        cluster[site] = -1
    for site in range(root.shape[0]):
        top = find(root, site)
        if cluster[top] < 0:
            cluster[top] = n_clusters
            n_clusters += 1
        cluster[site] = cluster[top]
    return n_clusters
