"""Edges of trees added one by one: the hierarchy of the clusters that they make.

Nodes of cluster k, which has s sites from ``start[k]`` on, are numbered from ``2 start[k] - k``: its
s - 1 latents, the last one made first, then its s sites. So parents come before their children.
"""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.random import bits, mix, normal, uniform


@compiled(nogil=True)
def edge_order(key, parent, out):
    """Sites that are no roots in the rising order of their random bits, in which edges are added.

    They are dealt to buckets of some thousand by their first bits, in each of those to 256 by the next
    ones, and then stand nearly where they belong. Bits are drawn anew each time: nothing is stored.
    """
    n, level = parent.shape[0], 1
    while n >> level > 2048:
        level += 1
    first, next_ones = np.uint64(64 - level), np.uint64(56 - level)
    stop = np.zeros((1 << level) + 1, np.int64)
    for i in range(n):
        if parent[i] >= 0:
            stop[np.int64(bits(key, np.uint64(i)) >> first) + 1] += 1
    most = stop.max()
    for b in range(1, stop.shape[0]):
        stop[b] += stop[b - 1]
    for i in range(n):  # stop[b] moves from where bucket b begins to where it ends
        if parent[i] >= 0:
            b = np.int64(bits(key, np.uint64(i)) >> first)
            out[stop[b]] = i
            stop[b] += 1
    value, site = np.empty(most, np.uint64), np.empty(most, np.int64)
    low = 0
    for b in range(1 << level):
        fine = np.zeros(257, np.int64)
        for j in range(low, stop[b]):
            fine[(np.int64(bits(key, np.uint64(out[j])) >> next_ones) & 255) + 1] += 1
        for c in range(1, 257):
            fine[c] += fine[c - 1]
        for j in range(low, stop[b]):
            v = bits(key, np.uint64(out[j]))
            c = np.int64(v >> next_ones) & 255
            value[fine[c]], site[fine[c]] = v, out[j]
            fine[c] += 1
        for j in range(stop[b] - low):
            v, i, q = value[j], site[j], j
            while q > 0 and value[q - 1] > v:
                value[q], site[q] = value[q - 1], site[q - 1]
                q -= 1
            value[q], site[q] = v, i
        for j in range(stop[b] - low):
            out[low + j] = site[j]
        low = stop[b]


@compiled(nogil=True)
def cut_times(key, edge, out):
    """The time of the first cut of every edge, exponential of rate its length; roots have none."""
    for i in range(out.shape[0]):
        out[i] = np.inf
        if edge[i] > 0.0:
            out[i] = -np.log1p(-uniform(key, np.uint64(i))) / edge[i]


@compiled(nogil=True)
def merge(parent, start, cluster, order, up, site):
    """Fill in the parent of every node and, of each latent, the site whose edge made it.

    ``order`` holds the sites that are no roots, the first edge first; ``cluster`` their cluster, by
    site. The edge of a site joins what lies below it, of which it is the top, to its parent's part.
    """
    above = np.full(
        parent.shape[0], -1, parent.dtype
    )  # a higher site of the same part, -1 at its top
    node = np.empty(parent.shape[0], parent.dtype)
    missing = np.empty(start.shape[0] - 1, np.int64)
    for k in range(start.shape[0] - 1):
        up[2 * start[k] - k] = -1
        missing[k] = start[k + 1] - start[k] - 1
        for i in range(start[k], start[k + 1]):
            node[i] = i + start[k + 1] - k - 1
    for edge in range(order.shape[0]):
        i = order[edge]
        p = parent[i]
        while above[p] >= 0:
            q = above[p]
            if above[q] < 0:
                p = q
                break
            above[p] = above[q]
            p = above[q]
        k = cluster[i]
        missing[k] -= 1
        new = 2 * start[k] - k + missing[k]
        site[start[k] - k + missing[k]] = i
        up[node[i]] = new
        up[node[p]] = new
        node[p] = new
        above[i] = p


@compiled(nogil=True)
def of_latents(value, start, out):
    """Values of the nodes that are latents, in their order."""
    for k in range(start.shape[0] - 1):
        for i in range(start[k] - k, start[k + 1] - k - 1):
            out[i] = value[i + start[k]]


@compiled(nogil=True)
def of_sites(value, start, out):
    """Values of the nodes that are sites, in their order."""
    for k in range(start.shape[0] - 1):
        for i in range(start[k], start[k + 1]):
            out[i] = value[i + start[k + 1] - k - 1]


@compiled(nogil=True)
def intervals(up, start, order, first, stop):
    """Order the sites depth-first, and fill in where the sites of each latent begin and end."""
    leaves = np.zeros(up.shape[0], up.dtype)
    place = np.empty(up.shape[0], up.dtype)  # where the next child begins
    for k in range(start.shape[0] - 1):
        low, n = 2 * start[k] - k, start[k + 1] - start[k]
        for node in range(low + 2 * n - 2, low - 1, -1):
            if node >= low + n - 1:
                leaves[node] = 1
            if node > low:
                leaves[up[node]] += leaves[node]
        place[low] = start[k]
        for node in range(low, low + 2 * n - 1):
            begin = place[node]
            if node > low:
                begin = place[up[node]]
                place[up[node]] = begin + leaves[node]
                place[node] = begin
            if node >= low + n - 1:
                order[begin] = node - low - n + 1 + start[k]
            else:
                latent = node - start[k]
                first[latent], stop[latent] = begin, begin + leaves[node]


@compiled(nogil=True)
def common_ancestor(up, first, second, out):
    """The lowest node above both nodes of each pair, which are in one tree; a node is above itself."""
    for i in range(out.shape[0]):
        a, b = first[i], second[i]
        while a != b:
            if a > b:
                a = up[a]
            else:
                b = up[b]
        out[i] = a


@compiled(nogil=True)
def children(up, child):
    """The two nodes below every latent node, the one made later first; -1 below sites."""
    child[:] = -1
    for node in range(up.shape[0]):
        p = up[node]
        if p >= 0:
            if child[p, 0] < 0:
                child[p, 0] = node
            else:
                child[p, 1] = node


@compiled(nogil=True)
def directions(child, start, key, out):
    """Unit vectors of the sites: those of the two parts of a latent are (v + w)/sqrt 2, (v - w)/sqrt 2.

    v is the latent's own, uniform on the sphere for the root; w, orthogonal to it and uniform, hashes
    (key, node), as v does at the root under the next counter. Only a path of vectors is held.
    """
    width = out.shape[1]
    stack = np.empty(64, np.int64)
    vector = np.empty((64, width))
    side = np.empty(width)
    for k in range(start.shape[0] - 1):
        low, n = 2 * start[k] - k, start[k + 1] - start[k]
        stack[0] = low
        _unit(mix(bits(key, np.uint64(low))), vector[0])
        depth = 1
        while depth > 0:
            depth -= 1
            node = stack[depth]
            if node >= low + n - 1:
                out[node - low - n + 1 + start[k]] = vector[depth]
                continue
            _unit(bits(key, np.uint64(node)), side)
            along = 0.0
            for c in range(width):
                along += side[c] * vector[depth, c]
            square = 0.0
            for c in range(width):
                side[c] -= along * vector[depth, c]
                square += side[c] * side[c]
            if depth + 2 > stack.shape[0]:
                stack = np.concatenate((stack, stack))
                vector = np.concatenate((vector, vector))
            shrink = 1.0 / np.sqrt(square)
            for c in range(width):
                v, w = vector[depth, c], side[c] * shrink
                vector[depth, c] = (v + w) * np.sqrt(0.5)
                vector[depth + 1, c] = (v - w) * np.sqrt(0.5)
            stack[depth], stack[depth + 1] = child[node, 0], child[node, 1]
            depth += 2


@compiled
def _unit(key, out):
    """Fill in a uniform unit vector."""
    square = 0.0
    for c in range(out.shape[0]):
        out[c] = normal(key, np.uint64(c))
        square += out[c] * out[c]
    for c in range(out.shape[0]):
        out[c] /= np.sqrt(square)


@compiled(nogil=True)
def walk(parent, points):
    """Turn steps from the parent into places, row by row; roots stay where they are."""
    for i in range(parent.shape[0]):
        p = parent[i]
        if p >= 0:
            for c in range(points.shape[1]):
                points[i, c] += points[p, c]


@compiled(nogil=True)
def posterior(up, total, is_known, mean, variance):
    """Fill in what the sums of normals along paths tell of each node's own: posterior mean and variance.

    ``total`` holds the sum from the root to a node where ``is_known`` (sites alone). A pass up finds
    the precision with which the nodes below know the sum at each node, a pass down adds those above.
    """
    n = up.shape[0]
    below = np.zeros(n)  # precision of the sum at a node, by what is known below
    weighted = np.zeros(n)  # times its mean
    for node in range(n - 1, -1, -1):
        p = up[node]
        if p < 0:
            continue
        if is_known[node]:
            below[p] += 1.0
            weighted[p] += total[node]
        elif below[node] > 0.0:
            below[p] += below[node] / (1.0 + below[node])
            weighted[p] += weighted[node] / (1.0 + below[node])
    above = np.empty(n)  # precision of the sum at a node, by all that is not below
    over = np.empty(n)  # times its mean
    for node in range(n):
        p = up[node]
        rest, gap = np.inf, 0.0  # precision and mean of the sum at the parent without this node
        if p >= 0:
            share = weight = 0.0
            if is_known[node]:
                share, weight = 1.0, total[node]
            elif below[node] > 0.0:
                share = below[node] / (1.0 + below[node])
                weight = weighted[node] / (1.0 + below[node])
            rest = above[p] + below[p] - share
            gap = (over[p] + weighted[p] - weight) / rest
        above[node] = rest / (1.0 + rest) if p >= 0 else 1.0
        over[node] = above[node] * gap
        if is_known[node]:
            variance[node] = 1.0 / (1.0 + rest)
            mean[node] = (total[node] - gap) * (1.0 - variance[node])
        elif below[node] > 0.0:
            unknown = 1.0 / below[node] + 1.0 / rest
            variance[node] = unknown / (1.0 + unknown)
            mean[node] = (weighted[node] / below[node] - gap) / (1.0 + unknown)
        else:
            variance[node], mean[node] = 1.0, 0.0


@compiled(nogil=True)
def nest(after, start, up):
    """Fill in the parents of all nodes, sites being places, from the latents that join neighbours.

    The latent between two places lies below the later made (smaller) one of the nearest latents on its
    sides that were made later than it; of these the one made first.
    """
    stack = np.empty(after.shape[0], np.int64)
    for k in range(start.shape[0] - 1):
        depth = 0
        for place in range(start[k], start[k + 1]):
            leaf = place + start[k + 1] - k - 1
            left = after[place - 1] if place > start[k] else -1
            right = after[place] if place < start[k + 1] - 1 else -1
            nearest = max(left, right)
            up[leaf] = nearest + start[k] if nearest >= 0 else -1
            if place == start[k + 1] - 1:
                break
            while depth > 0 and stack[depth - 1] > right:
                depth -= 1
                above = max(right, stack[depth - 1] if depth > 0 else -1)
                up[stack[depth] + start[k]] = above + start[k]
            stack[depth] = right
            depth += 1
        while depth > 0:
            depth -= 1
            latent = stack[depth]
            up[latent + start[k]] = stack[depth - 1] + start[k] if depth > 0 else -1
