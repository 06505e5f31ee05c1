"""Upward and downward passes over a forest whose parents come before their children.

Every kernel takes ``parent`` (-1 at a root, else smaller than the site's own index) and, where
lengths matter, ``edge`` (length of the edge to the parent; a zero-stride view of 1 for unit
lengths). A pass visits each site once, so all of them take O(n) time.
"""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.random import bits


@compiled
def first_bad_parent(parent, start):
    """Index of the first site that breaks the order or a cluster boundary, or -1."""
    cluster = 0
    n_clusters = start.shape[0] - 1
    for i in range(parent.shape[0]):
        while cluster < n_clusters and i >= start[cluster + 1]:
            cluster += 1
        p = parent[i]
        if i == start[cluster]:
            if p != -1:
                return i
        elif p < start[cluster] or p >= i:
            return i
    return -1


@compiled
def depth_down(parent, edge, depth):
    """Distance of each site from its root."""
    for i in range(parent.shape[0]):
        p = parent[i]
        if p >= 0:
            depth[i] = depth[p] + edge[i]
        else:
            depth[i] = 0


@compiled
def sizes_up(parent, size):
    """Sites in the subtree of each site; ``size`` starts at 0."""
    for i in range(parent.shape[0] - 1, -1, -1):
        size[i] += 1
        p = parent[i]
        if p >= 0:
            size[p] += size[i]


@compiled
def count_children(parent, count):
    """Children of each site; ``count`` starts at 0."""
    for i in range(parent.shape[0]):
        p = parent[i]
        if p >= 0:
            count[p] += 1


@compiled
def accumulate_down(parent, value):
    """Turn steps into sums along the path from the root (the root keeps its own step)."""
    for i in range(parent.shape[0]):
        p = parent[i]
        if p >= 0:
            value[i] += value[p]


@compiled
def accumulate_up(parent, value):
    """Turn site values into sums over the subtree below each site, itself included."""
    for i in range(parent.shape[0] - 1, -1, -1):
        p = parent[i]
        if p >= 0:
            value[p] += value[i]


@compiled
def distances(parent, edge, first, second, out):
    """Path length between pairs; a site with the larger index is never an ancestor."""
    for k in range(first.shape[0]):
        u = first[k]
        v = second[k]
        total = 0.0
        while u != v:
            if u > v:
                total += edge[u]
                u = parent[u]
            else:
                total += edge[v]
                v = parent[v]
            if u < 0 or v < 0:
                total = np.inf
                break
        out[k] = total


@compiled
def closer(new_distance, new_site, old_distance, old_site, label, key):
    """Whether a candidate beats the present one; equal distances go to the smaller hash."""
    if old_site < 0 or new_distance < old_distance:
        return True
    if new_distance > old_distance or new_site == old_site:
        return False
    a = np.uint64(label[new_site] if label.shape[0] else new_site)
    b = np.uint64(label[old_site] if label.shape[0] else old_site)
    return bits(key, a) < bits(key, b)


@compiled
def nearest_passes(parent, edge, observed, label, key, distance, nearest):
    """Nearest observed site of every site, and how far it is; -1 where there is none.

    ``label`` holds the ids to hash when a tie is broken (empty: the index itself).
    """
    n = parent.shape[0]
    for i in range(n):
        nearest[i] = -1
        distance[i] = 0
    for k in range(observed.shape[0]):
        nearest[observed[k]] = observed[k]
    for i in range(n - 1, -1, -1):
        p = parent[i]
        if p >= 0 and nearest[i] >= 0:
            d = distance[i] + edge[i]
            if closer(d, nearest[i], distance[p], nearest[p], label, key):
                distance[p] = d
                nearest[p] = nearest[i]
    for i in range(n):
        p = parent[i]
        if p >= 0 and nearest[p] >= 0:
            d = distance[p] + edge[i]
            if closer(d, nearest[p], distance[i], nearest[i], label, key):
                distance[i] = d
                nearest[i] = nearest[p]


@compiled
def posterior_passes(parent, edge, observed, value, conductance, mean):
    """Harmonic extension of observed values and total conductance to the observed sites.

    Observed sites are grounded, an edge of length l has conductance 1/l. On return
    ``conductance[i]`` is C_up + C_down (infinity at an observed site, 0 where nothing is
    observed) and ``mean[i]`` the posterior mean.
    """
    n = parent.shape[0]
    for i in range(n):
        conductance[i] = 0.0
        mean[i] = 0.0
    for k in range(observed.shape[0]):
        conductance[observed[k]] = np.inf
        mean[observed[k]] = value[k]
    # Up: conductance of what hangs below, and the conductance-weighted value in `mean`.
    for i in range(n - 1, -1, -1):
        c = conductance[i]
        if c == 0.0:
            continue
        if c != np.inf:
            mean[i] /= c
        p = parent[i]
        if p >= 0 and conductance[p] != np.inf:
            g = 1.0 / edge[i] if c == np.inf else c / (1.0 + edge[i] * c)
            conductance[p] += g
            mean[p] += g * mean[i]
    # Down: add what the parent sees elsewhere, its own total less this site's share.
    for i in range(n):
        p = parent[i]
        if p < 0:
            continue
        c = conductance[i]
        if c == np.inf:
            continue
        length = edge[i]
        above = conductance[p]
        if above == np.inf:
            g = 1.0 / length
            m = mean[p]
        else:
            share = c / (1.0 + length * c)
            rest = above - share
            if rest <= 1e-14 * above:
                continue
            m = (above * mean[p] - share * mean[i]) / rest
            g = rest / (1.0 + length * rest)
        conductance[i] = c + g
        mean[i] = (c * mean[i] + g * m) / (c + g)


@compiled
def greedy_variance(parent, edge, first, order):
    """List sites so that each has the largest posterior variance given all before it, from `first` on.

    order (n,) is filled; ties go to the smallest index. Two passes over all sites for each one listed.
    """
    n = parent.shape[0]
    observed = np.zeros(n, np.bool_)
    below = np.empty(n, np.float64)
    total = np.empty(n, np.float64)
    chosen = np.int64(first)
    for k in range(order.shape[0]):
        order[k] = chosen
        observed[chosen] = True
        for i in range(n):
            below[i] = 0.0
        for i in range(n - 1, -1, -1):
            p = parent[i]
            if p >= 0:
                c = below[i]
                below[p] += 1.0 / edge[i] if observed[i] else c / (1.0 + edge[i] * c)
        least = np.inf
        for i in range(n):
            p = parent[i]
            c = below[i]
            if p >= 0:
                if observed[p]:
                    c += 1.0 / edge[i]
                else:
                    # What the parent sees elsewhere: its own total less this site's share.
                    mine = 1.0 / edge[i] if observed[i] else below[i] / (1.0 + edge[i] * below[i])
                    rest = max(total[p] - mine, 0.0)
                    c += rest / (1.0 + edge[i] * rest)
            total[i] = c
            if not observed[i] and c < least:
                least = c
                chosen = i


@compiled
def span_paths(parent, sites, slot):
    """Union of the paths from `sites` (sorted) to their roots, parents first.

    Each path is stored from the site it joins downwards, so a parent's position is smaller than
    its children's. ``slot`` must hold -1 everywhere and does so again on return.
    """
    capacity = max(16, 2 * sites.shape[0])
    nodes = np.empty(capacity, np.int64)
    above = np.empty(capacity, np.int64)
    position = np.empty(sites.shape[0], np.int64)
    n = 0
    for k in range(sites.shape[0]):
        first = n
        i = np.int64(sites[k])
        while i >= 0 and slot[i] < 0:
            if n == capacity:
                larger = np.empty(2 * capacity, np.int64)
                larger[:n] = nodes[:n]
                nodes = larger
                larger = np.empty(2 * capacity, np.int64)
                larger[:n] = above[:n]
                above = larger
                capacity *= 2
            slot[i] = 0
            nodes[n] = i
            n += 1
            i = np.int64(parent[i])
        if n > first:
            low = first
            high = n - 1
            while low < high:
                nodes[low], nodes[high] = nodes[high], nodes[low]
                low += 1
                high -= 1
            above[first] = slot[i] if i >= 0 else -1
            slot[nodes[first]] = first
            for j in range(first + 1, n):
                above[j] = j - 1
                slot[nodes[j]] = j
        position[k] = slot[sites[k]]
    for j in range(n):
        slot[nodes[j]] = -1
    return nodes[:n], above[:n], position


@compiled
def collapse(parent, edge, keep_site):
    """Merge unbranched runs: keep marked sites and branch points, drop stems above the first.

    Returns the kept indices, the new parents, the summed lengths, and old-to-new (-1 if dropped).
    """
    n = parent.shape[0]
    children = np.zeros(n, np.int64)
    for i in range(n):
        if parent[i] >= 0:
            children[parent[i]] += 1
    new = np.full(n, -1, np.int64)
    top = np.empty(n, np.int64)  # nearest kept ancestor-or-self, as a new index
    gap = np.empty(n, np.float64)  # length from that ancestor
    kept = np.empty(n, np.int64)
    new_parent = np.empty(n, np.int64)
    new_length = np.empty(n, np.float64)
    m = 0
    for i in range(n):
        p = parent[i]
        ancestor = top[p] if p >= 0 else -1
        length = gap[p] + edge[i] if ancestor >= 0 else 0.0
        if keep_site[i] or children[i] >= 2:
            new[i] = m
            kept[m] = i
            new_parent[m] = ancestor
            new_length[m] = length
            top[i] = m
            gap[i] = 0.0
            m += 1
        else:
            top[i] = ancestor
            gap[i] = length
    return kept[:m], new_parent[:m], new_length[:m], new


@compiled
def standardize(start, value):
    """Give each cluster mean 0 and variance 1 in place; return the variances found.

    A cluster without variance (one site) is set to 0.
    """
    n_clusters = start.shape[0] - 1
    variance = np.empty(n_clusters, np.float64)
    for k in range(n_clusters):
        low = start[k]
        high = start[k + 1]
        total = 0.0
        for i in range(low, high):
            total += value[i]
        centre = total / (high - low)
        squares = 0.0
        for i in range(low, high):
            value[i] -= centre
            squares += value[i] * value[i]
        variance[k] = squares / (high - low)
        scale = 1.0 / np.sqrt(variance[k]) if variance[k] > 0.0 else 0.0
        for i in range(low, high):
            value[i] *= scale
    return variance


@compiled
def bernoulli_sites(start, rate, key):
    """Each site of cluster k with probability rate[k], independently, sorted; by geometric gaps.

    The gaps of cluster k hash (key, k, gap number): other clusters' rates do not matter.
    """
    n_clusters = start.shape[0] - 1
    expected = 0.0
    for k in range(n_clusters):
        expected += rate[k] * (start[k + 1] - start[k])
    capacity = np.int64(expected + 8.0 * np.sqrt(expected) + 16)
    out = np.empty(capacity, np.int64)
    n = 0
    for k in range(n_clusters):
        if rate[k] <= 0.0:
            continue
        cluster_key = bits(key, np.uint64(k))
        inverse = 1.0 / np.log1p(-rate[k]) if rate[k] < 1.0 else 0.0
        i = start[k] - 1
        draw = np.uint64(0)
        while True:
            u = np.float64(bits(cluster_key, draw) >> np.uint64(11)) + 1.0
            draw += np.uint64(1)
            # u / 2^53 lies in (0, 1]; the gap is geometric on 1, 2, ...
            gap = np.floor(np.log(u / 9007199254740992.0) * inverse)
            if gap >= start[k + 1] - i:
                break
            i += 1 + np.int64(gap)
            if i >= start[k + 1]:
                break
            if n == capacity:
                larger = np.empty(2 * capacity, np.int64)
                larger[:n] = out
                out = larger
                capacity *= 2
            out[n] = i
            n += 1
    return out[:n]
