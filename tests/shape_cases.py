"""Shapes of clusters: canonical forms and enumerations, independent of the package."""

import math
from collections import Counter
from functools import cache
from itertools import product

import numpy as np
from statistical import chi_squared_p

CAYLEY = math.inf


def rooted_shape(children, root=0):
    """Canonical nested tuple of a rooted tree given as lists of children."""
    return tuple(sorted(rooted_shape(children, c) for c in children[root]))


def rerooted_children(neighbours, root):
    children = [[] for _ in neighbours]
    stack = [(root, -1)]
    while stack:
        site, above = stack.pop()
        children[site] = [n for n in neighbours[site] if n != above]
        stack += [(n, site) for n in children[site]]
    return children


@cache
def shapes(parents):
    """Rooted shape and free (unrooted) shape of a parent tuple."""
    neighbours = [[] for _ in parents]
    for i, p in enumerate(parents):
        if p >= 0:
            neighbours[i].append(p)
            neighbours[p].append(i)
    n = range(len(parents))
    rooted = [rooted_shape(rerooted_children(neighbours, r), r) for r in n]
    return rooted[parents.index(-1)], min(rooted)


def census(tree, which):
    """Counts of the rooted (0) or free (1) shapes of all clusters of a tree."""
    rows = Counter()
    for low, high in zip(tree.start[:-1].tolist(), tree.start[1:].tolist(), strict=True):
        parents = tree.parent[low:high] - low
        parents[0] = -1
        rows[shapes(tuple(parents.tolist()))[which]] += 1
    return rows


@cache
def bethe_shapes(z, size, which):
    """Law of the shape of the cluster of the origin, given its size, by listing all of them.

    A site is the tuple of turns that lead to it from the origin. All clusters of one size have
    as many open and closed bonds, hence equal weight.
    """
    grown = {frozenset([()])}
    for _ in range(size - 1):
        grown = {
            cluster | {(*site, turn)}
            for cluster in grown
            for site in cluster
            for turn in range(z if site == () else z - 1)
            if (*site, turn) not in cluster
        }
    expected = z * math.factorial((z - 1) * size)
    expected //= math.factorial(size - 1) * math.factorial((z - 2) * size + 2)
    assert len(grown) == expected
    rows = Counter()
    for cluster in grown:
        sites = sorted(cluster, key=len)
        index = {site: i for i, site in enumerate(sites)}
        parents = tuple(index[site[:-1]] if site else -1 for site in sites)
        rows[shapes(parents)[which]] += 1
    return {shape: n / len(grown) for shape, n in rows.items()}


@cache
def cayley_shapes(size, which):
    """The same for uniform Cayley trees, by listing all Prüfer codes and all roots."""
    rows = Counter()
    for code in product(range(size), repeat=size - 2):
        degree = [1 + code.count(i) for i in range(size)]
        neighbours = [[] for _ in range(size)]
        for site in code:
            leaf = degree.index(1)
            neighbours[leaf].append(site)
            neighbours[site].append(leaf)
            degree[leaf] -= 1
            degree[site] -= 1
        u, v = (i for i in range(size) if degree[i] == 1)
        neighbours[u].append(v)
        neighbours[v].append(u)
        rooted = [rooted_shape(rerooted_children(neighbours, r), r) for r in range(size)]
        rows.update(rooted if which == 0 else [min(rooted)])
    total = sum(rows.values())
    return {shape: n / total for shape, n in rows.items()}


def shape_law(z, size, which):
    return cayley_shapes(size, which) if z == CAYLEY else bethe_shapes(z, size, which)


def census_p(counts, law):
    assert set(counts) <= set(law)
    return chi_squared_p([counts.get(shape, 0) for shape in law], list(law.values()))


def normalised(values):
    values = np.array(list(values)) + 1e-12
    return values / values.sum()
