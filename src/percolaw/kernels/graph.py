"""Searches over graphs in compressed rows: site i has neighbor[indptr[i]:indptr[i + 1]]."""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.tree import closer


@compiled
def fill_rows(indptr, low, high, neighbor):
    """Fill neighbor from the ends of the bonds, in the order given; indptr is unchanged on return."""
    n = indptr.shape[0] - 1
    place = indptr[:n].copy()
    for e in range(low.shape[0]):
        neighbor[place[low[e]]] = high[e]
        place[low[e]] += 1
        neighbor[place[high[e]]] = low[e]
        place[high[e]] += 1


@compiled
def nearest_search(indptr, neighbor, observed, label, key, distance, nearest):
    """Find the nearest observed site of every site by one search from all of them; -1 where none is.

    Among equally near ones the smallest hash of the id wins: all neighbours one step nearer have their
    own winner before a site is passed on, so the winner does not depend on the order of anything.
    ``label`` holds the ids to hash (empty: the index itself).
    """
    n = indptr.shape[0] - 1
    queue = np.empty(n, neighbor.dtype)
    for i in range(n):
        nearest[i] = -1
        distance[i] = 0
    size = 0
    for k in range(observed.shape[0]):
        i = observed[k]
        if nearest[i] < 0:
            nearest[i] = i
            queue[size] = i
            size += 1
    done = 0
    while done < size:
        here = queue[done]
        done += 1
        mine = nearest[here]
        beyond = distance[here] + 1
        for e in range(indptr[here], indptr[here + 1]):
            there = neighbor[e]
            other = nearest[there]
            if other < 0:
                nearest[there] = mine
                distance[there] = beyond
                queue[size] = there
                size += 1
            elif closer(beyond, mine, distance[there], other, label, key):
                nearest[there] = mine


@compiled
def breadth_first(indptr, neighbor, start, order, parent):
    """List the sites of each cluster breadth-first from its first one, with the place of the parent.

    order (n,) holds sites, cluster by cluster; parent (n,) places in order, -1 at the first of a cluster.
    Returns a cluster that is not connected, or -1.
    """
    n = indptr.shape[0] - 1
    place = np.full(n, -1, order.dtype)
    for k in range(start.shape[0] - 1):
        order[start[k]], parent[start[k]] = start[k], -1
        place[start[k]] = start[k]
        done = start[k]
        size = start[k] + 1
        while done < size:
            here = order[done]
            for e in range(indptr[here], indptr[here + 1]):
                there = neighbor[e]
                if place[there] < 0:
                    if there < start[k] or there >= start[k + 1]:
                        return k
                    place[there] = size
                    order[size], parent[size] = there, done
                    size += 1
            done += 1
        if size != start[k + 1]:
            return k
    return -1


@compiled
def prune(indptr, neighbor, removed, above):
    """Remove sites with one neighbour until none is left; removed (n,) lists them in that order.

    above (n,) is the only neighbour left when a site goes, -1 for those that stay and -2 for the last
    site of a tree (it is listed too). Returns how many are removed.
    """
    n = indptr.shape[0] - 1
    left = np.empty(n, np.int32)
    for i in range(n):
        left[i] = indptr[i + 1] - indptr[i]
        above[i] = -1
    size = 0
    for i in range(n):
        if left[i] <= 1:
            removed[size] = i
            size += 1
    done = 0
    while done < size:
        here = removed[done]
        done += 1
        above[here] = -2
        left[here] = -1
        for e in range(indptr[here], indptr[here + 1]):
            there = neighbor[e]
            if left[there] >= 0:
                above[here] = there
                left[there] -= 1
                if left[there] == 1:
                    removed[size] = there
                    size += 1
    return size


@compiled
def hang(removed, above, value):
    """Give every pruned site the value of the one it hung on, last removed first."""
    for k in range(removed.shape[0] - 1, -1, -1):
        if above[removed[k]] >= 0:
            value[removed[k]] = value[above[removed[k]]]


@compiled
def _move(site, distance, new, head, after, before):
    """Take a site out of the list of its old distance and put it at the head of the new one's."""
    old = distance[site]
    if old < head.shape[0]:
        if before[site] >= 0:
            after[before[site]] = after[site]
        else:
            head[old] = after[site]
        if after[site] >= 0:
            before[after[site]] = before[site]
    distance[site] = new
    before[site], after[site] = -1, head[new]
    if head[new] >= 0:
        before[head[new]] = site
    head[new] = site


@compiled
def farthest_first(indptr, neighbor, first, order):
    """List sites so that each is farthest from all before it, from `first` on.

    order (n,) is filled. Sites are kept in lists by distance to the nearest one chosen; a new one moves
    only those that it is nearest to. Ties go to the site that was moved last.
    """
    n_sites = indptr.shape[0] - 1
    distance = np.full(n_sites, n_sites, np.int64)
    after = np.full(n_sites, -1, np.int64)
    before = np.full(n_sites, -1, np.int64)
    head = np.full(n_sites, -1, np.int64)
    queue = np.empty(n_sites, np.int64)
    top = np.int64(n_sites - 1)
    chosen = np.int64(first)
    for k in range(order.shape[0]):
        if k > 0:
            while head[top] < 0:
                top -= 1
            chosen = head[top]
        order[k] = chosen
        _move(chosen, distance, np.int64(0), head, after, before)
        queue[0] = chosen
        size, done = 1, 0
        while done < size:
            here = queue[done]
            beyond = distance[here] + 1
            done += 1
            for e in range(indptr[here], indptr[here + 1]):
                there = neighbor[e]
                if beyond < distance[there]:
                    _move(there, distance, beyond, head, after, before)
                    queue[size] = there
                    size += 1
