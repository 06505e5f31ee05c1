"""Plain constructions of percolation on Z^d, independent of the package but for the hash of its bonds."""

from collections import deque
from functools import cache
from itertools import product

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

KINDS = ("bond", "site")


@cache
def lattice_bonds(dimension, length, periodic):
    """All bonds as (number, low, high, axis): number d * low + axis; high is one step up from low."""
    sites = list(product(range(length), repeat=dimension))  # in no order that matters
    number = {x: sum(c * length**k for k, c in enumerate(x)) for x in sites}
    rows = []
    for x in sites:
        for axis in range(dimension):
            up = list(x)
            up[axis] += 1
            if up[axis] == length:
                if not periodic:
                    continue
                up[axis] = 0
            rows.append((dimension * number[x] + axis, number[x], number[tuple(up)], axis))
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)


def components(n, bonds, here):
    """Cluster of each site by SciPy, numbered by first site, -1 where it is closed; and the sizes."""
    matrix = sparse.coo_array((np.ones(len(bonds)), (bonds[:, 1], bonds[:, 2])), (n, n))
    part = csgraph.connected_components(matrix, directed=False)[1]
    part[~here] = -1
    first = {}
    label = np.array([first.setdefault(k, len(first)) if k >= 0 else -1 for k in part.tolist()])
    return label, np.bincount(label[label >= 0], minlength=len(first))


def winding(n, bonds, length, dimension):
    """Along which axes the open bonds close a loop round the torus: a search that unwraps it."""
    neighbours = [[] for _ in range(n)]
    for _, low, high, axis in bonds.tolist():
        neighbours[low].append((high, axis, 1))
        neighbours[high].append((low, axis, -1))
    at = [None] * n
    winds = np.zeros(dimension, bool)
    for start in range(n):
        if at[start] is not None:
            continue
        at[start] = (0,) * dimension
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for there, axis, step in neighbours[here]:
                x = list(at[here])
                x[axis] += step
                if at[there] is None:
                    at[there] = tuple(x)
                    queue.append(there)
                else:
                    winds |= np.array(at[there]) != x
    return winds


@cache
def enumeration(dimension, length, kind, periodic, wraps=False):
    """Over all configurations, by the number open: how many there are, sums of clusters, loops, squares,
    squares of the largest and, if asked, of windings along the first axis.
    """
    n = length**dimension
    bonds = lattice_bonds(dimension, length, periodic)
    items = len(bonds) if kind == "bond" else n
    sums = np.zeros((items + 1, 6))
    for choice in product((False, True), repeat=items):
        chosen = np.array(choice)
        if kind == "bond":
            here, kept = np.ones(n, bool), bonds[chosen]
        else:
            here, kept = chosen, bonds[chosen[bonds[:, 1]] & chosen[bonds[:, 2]]]
        parent = list(range(n))
        for _, a, b, _ in kept.tolist():
            while parent[a] != a:
                a = parent[a]
            while parent[b] != b:
                b = parent[b]
            parent[max(a, b)] = min(a, b)
        roots = []
        for i in range(n):
            while parent[i] != parent[parent[i]]:
                parent[i] = parent[parent[i]]
            roots.append(parent[i])
        size = np.bincount(np.array(roots)[here], minlength=1)
        size = size[size > 0]
        row = (1, size.size, len(kept) - here.sum() + size.size, (size**2).sum())
        wind = winding(n, kept, length, dimension)[0] if wraps else 0
        sums[chosen.sum()] += (*row, size.max(initial=0), wind)
    return sums


def exact(sums, p):
    """Expectations at p: clusters, loops, sum of squares, largest, winding."""
    items = len(sums) - 1
    k = np.arange(items + 1)
    assert sums[:, 0].sum() == 2**items
    return (p**k * (1 - p) ** (items - k)) @ sums[:, 1:]


def chain_law(p, most=200):
    """P_s = s p^(s - 1) (1 - p)^2 from s = 0: of the cluster of a site, given open."""
    s = np.arange(most + 1)
    return s * p ** np.maximum(s - 1.0, 0.0) * (1 - p) ** 2
