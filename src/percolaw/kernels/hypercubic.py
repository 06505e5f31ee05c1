"""All clusters of a box of a hypercubic lattice: labels by union-find, and the graph of some of them.

Site x of a lattice of length L in d dimensions is number sum_k x_k L^k. Bond d * site + k leads from a
site one step up along axis k. What is open is a hash of that number: no kernel stores the bonds.

``is_site`` says whether sites are opened (all bonds between open sites count) or bonds (all sites count).
``cut`` is the probability as a threshold of 53 random bits.
"""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.random import bits

_S11 = np.uint64(11)


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
