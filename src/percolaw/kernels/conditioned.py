"""Trees of given size, drawn exactly, in linear time, into one array."""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.random import bits, uniform

_ONE = np.uint64(1)


@compiled
def root_degree(size, slots, u):
    """Number of children of the root of a tree of `size` sites, by inversion of u.

    Weights C(slots + 1, r) r C(slots (size - 1), size - 1 - r) for ``slots`` = z - 1 places for
    children on every other site; slots = 0 stands for the Poisson limit, r / r! times
    (size - 1)^(size - 1 - r) / (size - 1 - r)!.
    """
    n = size - 1
    if n <= 1:
        return n
    top = n if slots == 0 else min(n, slots + 1)
    total = 0.0
    weight = 1.0
    for r in range(1, top + 1):
        total += weight
        weight *= _root_ratio(r, n, slots)
        if weight < 1e-18 * total:
            break
    target = u * total
    weight = 1.0
    running = 0.0
    for r in range(1, top + 1):
        running += weight
        if running > target:
            return r
        weight *= _root_ratio(r, n, slots)
    return top


@compiled
def _root_ratio(r, n, slots):
    """Weight of r + 1 children over weight of r."""
    if slots == 0:
        return (n - r) / (np.float64(r) * n)
    free = np.float64(slots) * n - (n - r) + 1.0
    return (slots + 1.0 - r) / np.float64(r) * (n - r) / free


@compiled
def degree_sequence(degree, n_children, slots, key):
    """Exchangeable numbers of children that sum to `n_children`, one per site of `degree`.

    Independent Binomial(slots, p) numbers given their sum are the counts of a uniform subset of
    all slots: throw each child at a site and accept with the share of that site's slots still
    free. slots = 0 stands for unlimited slots (Poisson).
    """
    n = degree.shape[0]
    for i in range(n):
        degree[i] = 0
    second = bits(key, np.uint64(0))
    counter = np.uint64(0)
    thrown = 0
    while thrown < n_children:
        counter += _ONE
        i = np.int64(uniform(key, counter) * n)
        d = degree[i]
        if d > 0 and slots > 0 and uniform(second, counter) * slots < d:
            continue
        degree[i] = d + 1
        thrown += 1


@compiled
def rotation(degree, n_trees, choice):
    """Start of one of the `n_trees` valid rotations of a forest's degree sequence (cycle lemma).

    The walk sum(degree - 1) ends at -n_trees; the valid starts follow its first visits to its
    n_trees lowest levels. Also returns a bound on the number of sites with open slots at a time.
    """
    n = degree.shape[0]
    walk = 0
    low = 0
    high = 0
    for i in range(n):
        walk += np.int64(degree[i]) - 1
        if walk < low:
            low = walk
        elif walk > high:
            high = walk
    level = low + choice
    walk = 0
    start = 0
    for i in range(n):
        walk += np.int64(degree[i]) - 1
        if walk == level:
            start = i + 1
            break
    return start, high - low + n_trees + 2


@compiled
def preorder_parents(degree, start, n_trees, n_open, offset, parent):
    """Write the parents of a root with `n_trees` children, depth first; root at `offset`.

    At most `n_open` sites have children still to come at any time.
    """
    n = degree.shape[0]
    stack_site = np.empty(n_open, np.int64)
    stack_open = np.empty(n_open, np.int64)
    parent[offset] = -1
    top = 0
    stack_site[0] = offset
    stack_open[0] = n_trees
    j = start
    for i in range(1, n + 1):
        if j == n:
            j = 0
        site = offset + i
        parent[site] = stack_site[top]
        stack_open[top] -= 1
        if stack_open[top] == 0:
            top -= 1
        d = np.int64(degree[j])
        j += 1
        if d > 0:
            top += 1
            stack_site[top] = site
            stack_open[top] = d


@compiled
def conditioned_forest(start, slots, key, parent):
    """Fill `parent` with independent trees, cluster k of size start[k + 1] - start[k]."""
    largest = 0
    for k in range(start.shape[0] - 1):
        largest = max(largest, start[k + 1] - start[k])
    buffer = np.empty(max(1, largest), np.uint8)
    for k in range(start.shape[0] - 1):
        offset = start[k]
        size = start[k + 1] - offset
        if size == 1:
            parent[offset] = -1
            continue
        cluster_key = bits(key, np.uint64(k))
        n_trees = root_degree(size, slots, uniform(cluster_key, np.uint64(0)))
        choice = np.int64(uniform(cluster_key, np.uint64(1)) * n_trees)
        degree = buffer[: size - 1]
        degree_sequence(degree, size - 1 - n_trees, slots, bits(cluster_key, np.uint64(2)))
        first, n_open = rotation(degree, n_trees, choice)
        preorder_parents(degree, first, n_trees, n_open, offset, parent)
