"""Line breaking: trees spanned by a growing number of random points, and walks along them.

Segment k (1 <= k < m) ends in point k; on the line laid out by all segments it covers positions
``ends[k - 1]`` to ``ends[k]``. Its start is glued to position ``glue[k]`` of an earlier segment,
``owner[k]``; segment 1 starts at point 0, the root, which is position 0.
"""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.random import bits, normal, uniform

_ONE = np.uint64(1)


@compiled
def line_breaking(n_points, length_key, glue_key, ends, glue):
    """Aldous's construction: ends sqrt(2 (E_1 + ... + E_k)), glue points uniform on what is built."""
    total = 0.0
    ends[0] = 0.0
    glue[0] = 0.0
    for k in range(1, n_points):
        total -= np.log(1.0 - uniform(length_key, np.uint64(k)))
        ends[k] = np.sqrt(2.0 * total)
        glue[k] = uniform(glue_key, np.uint64(k)) * ends[k - 1]


@compiled
def _hazard(first, count, size):
    """-log P(the next `count` draws from `size` sites all miss the `first` and each other).

    The sum of -log(1 - (first + i)/size) over i < count, by Euler-Maclaurin on the power series;
    for (first + count)/size below 0.02, with an error below 1e-15 in relative terms.
    """
    low = first / size
    high = (first + count) / size
    total = 0.0
    power_low = low
    power_high = high
    for p in range(1, 9):
        # sum of x^p: integral - half the difference + first derivative term / 12
        integral = (power_high * high - power_low * low) / (p + 1) * size
        ends = 0.5 * (power_high - power_low)
        slope = p * (power_high / high - (power_low / low if low > 0 else (1.0 if p == 1 else 0.0)))
        total += (integral - ends + slope / (12.0 * size)) / p
        power_low *= low
        power_high *= high
    return total


@compiled
def _run(first, size, key):
    """Number of new sites before the next repeat, when `first` of `size` sites are known."""
    run = 0.0
    exponential = -np.log(1.0 - uniform(key, np.uint64(0)))
    if first < 0.01 * size:
        limit = np.floor(0.02 * size - first)
        if limit >= 1.0 and _hazard(first, limit, size) <= exponential:
            run = limit  # survived so far; go on site by site
        elif limit >= 1.0:
            # P(run >= l) = exp(-hazard(l)): the run is the largest l with hazard(l) <= exponential.
            low = 0.0
            high = limit
            while high - low > 1.0:
                middle = np.floor(0.5 * (low + high))
                if _hazard(first, middle, size) <= exponential:
                    low = middle
                else:
                    high = middle
            return low
    # Site by site, with fresh numbers: given survival so far the next draw is independent of it.
    draw = np.uint64(1)
    while uniform(key, draw) >= (first + run) / size:
        run += 1.0
        draw += _ONE
    return run


@compiled
def birthday_process(n_points, size, length_key, glue_key, ends, glue):
    """Camarri and Pitman's construction of the uniform Cayley tree on `size` sites.

    Sites are drawn with replacement; new ones prolong the branch, a repeat ends it and starts
    the next at the repeated site. Positions are integers: site i of the line is the i-th new one.
    """
    ends[0] = 0.0
    glue[0] = 0.0
    known = 1.0
    for k in range(1, n_points):
        known += _run(known, size, bits(length_key, np.uint64(k)))
        ends[k] = known - 1.0
        # The repeat that ends branch k is where branch k + 1 starts, uniform on known sites.
        if k + 1 < n_points:
            glue[k + 1] = np.floor(uniform(glue_key, np.uint64(k + 1)) * known)
    if n_points > 1:
        glue[1] = 0.0


@compiled
def find_owners(ends, glue, owner):
    """Segment that each glue point lies on: the first whose end is not before it."""
    n = ends.shape[0]
    for k in range(min(2, n)):
        owner[k] = 0
    for k in range(2, n):
        low = 1
        high = k - 1
        x = glue[k]
        while low < high:
            middle = (low + high) // 2
            if ends[middle] < x:
                low = middle + 1
            else:
                high = middle
        owner[k] = low


@compiled
def children_of(owner, first, child):
    """Segments glued on each segment, in the order of their insertion: child[first[j]:first[j+1]]."""
    n = owner.shape[0]
    for k in range(2, n):
        first[owner[k] + 1] += 1
    for j in range(n):
        first[j + 1] += first[j]
    place = first[:-1].copy()
    for k in range(2, n):
        child[place[owner[k]]] = k
        place[owner[k]] += 1


@compiled
def _first_beyond(place, known, x):
    """Index, at least 1, of the first of the `known` rising places beyond x, or of the last one."""
    low = 0
    high = known - 1
    while high - low > 1:
        middle = (low + high) // 2
        if place[middle] <= x:
            low = middle
        else:
            high = middle
    return high


@compiled
def _glue_points(
    members,
    length,
    origin,
    start,
    base,
    glue,
    bridge_key,
    scale,
    column,
    vertex,
    place,
    row,
    branches,
):
    """Fill vertex[base + 1 + i] with the glue point of members[i], all on one segment.

    The segment starts at vertex `start`, at position `origin`, and ends at vertex `base`; place and row
    (at least two more than members) are scratch: positions known so far, rising, and their vertices.
    """
    place[0], row[0] = 0.0, start
    place[1], row[1] = length, base
    known = 2
    for i in range(members.shape[0]):
        k = members[i]
        x = glue[k] - origin
        high = _first_beyond(place, known, x)
        left, right, new = row[high - 1], row[high], base + 1 + i
        before, after = x - place[high - 1], place[high] - x
        if before <= 0.0 or after <= 0.0:
            same = left if before <= 0.0 else right
            for c in range(vertex.shape[1]):
                vertex[new, c] = vertex[same, c]
        else:
            share = before / (before + after)
            spread = np.sqrt(share * after) * scale
            word = bits(bridge_key, np.uint64(k))
            for c in range(vertex.shape[1]):
                vertex[new, c] = (
                    (1.0 - share) * vertex[left, c]
                    + share * vertex[right, c]
                    + spread * normal(word, np.uint64(column + c))
                )
            for j in range(known, high, -1):
                place[j] = place[j - 1]
                row[j] = row[j - 1]
            place[high] = x
            row[high] = new
            known += 1
        if branches.shape[0] > 0:
            for c in range(vertex.shape[1]):
                branches[k, c] = vertex[new, c]


@compiled
def walk_segments(ends, glue, first, child, leaf_key, bridge_key, scale, column, points, branches):
    """Gaussian walk along all segments: coordinates of the points, and of the glue points if asked.

    Column c of the arrays is coordinate ``column + c``. The end of segment k hashes (leaf_key, k);
    its glue point, placed by a Brownian bridge between its neighbours among earlier points of the
    same segment, hashes (bridge_key, k): nothing depends on how many points there are. Segments are
    visited depth first, so only the vertices of the present path of segments are held.
    """
    n = points.shape[0]
    width = points.shape[1]
    for c in range(width):
        points[0, c] = 0.0
    if n == 1:
        return
    frame = np.empty((64, 3), np.int64)  # segment, its next child, its base
    vertex = np.empty((256, width), np.float32)
    place = np.empty(256, np.float64)
    row = np.empty(256, np.int64)
    depth = 0
    # `start` is the vertex at which `segment` starts; its own vertices are kept from `base` on:
    # the end, then its glue points in the order of their insertion.
    segment = np.int64(1)
    start = np.int64(0)
    base = np.int64(1)
    for c in range(width):
        vertex[0, c] = 0.0
    while True:
        members = child[first[segment] : first[segment + 1]]
        count = members.shape[0]
        length = ends[segment] - ends[segment - 1]
        spread = np.sqrt(length) * scale
        word = bits(leaf_key, np.uint64(segment))
        for c in range(width):
            points[segment, c] = vertex[start, c] + spread * normal(word, np.uint64(column + c))
        if count > 0:
            if base + count + 1 > vertex.shape[0]:
                larger = np.empty((2 * (base + count + 1), width), np.float32)
                larger[: vertex.shape[0]] = vertex
                vertex = larger
            if count + 2 > place.shape[0]:
                place = np.empty(2 * (count + 2), np.float64)
                row = np.empty(2 * (count + 2), np.int64)
            for c in range(width):
                vertex[base, c] = points[segment, c]
            _glue_points(
                *(members, length, ends[segment - 1], start, base, glue, bridge_key, scale, column),
                *(vertex, place, row, branches),
            )
            if depth == frame.shape[0]:
                frame = np.concatenate((frame, frame))
            frame[depth, 0], frame[depth, 1], frame[depth, 2] = segment, 0, base
            depth += 1
        # Leave finished segments; go to the next child of the one below.
        while depth > 0:
            j = frame[depth - 1, 0]
            if frame[depth - 1, 1] < first[j + 1] - first[j]:
                break
            depth -= 1
        if depth == 0:
            return
        i = frame[depth - 1, 1]
        frame[depth - 1, 1] += 1
        segment = np.int64(child[first[j] + i])
        start = frame[depth - 1, 2] + 1 + i
        base = frame[depth - 1, 2] + 1 + first[j + 1] - first[j]


@compiled
def spanned_tree(ends, glue, first, child, parent, length, node_of_point, node_of_branch):
    """The tree of points and glue points, parents first; returns its number of nodes."""
    n = ends.shape[0]
    parent[0] = -1
    length[0] = 0.0
    node_of_point[0] = 0
    n_nodes = 1
    if n == 1:
        return n_nodes
    stack = np.empty(n, np.int64)
    stack[0] = 1
    depth = 1
    node_of_branch[0] = 0
    node_of_branch[1] = 0
    while depth > 0:
        depth -= 1
        segment = stack[depth]
        low = first[segment]
        high = first[segment + 1]
        members = child[low:high]
        order = np.argsort(glue[members])
        node = node_of_branch[segment]
        at = ends[segment - 1]
        for i in range(order.shape[0]):
            k = members[order[i]]
            if glue[k] > at:
                parent[n_nodes] = node
                length[n_nodes] = glue[k] - at
                node = n_nodes
                at = glue[k]
                n_nodes += 1
            node_of_branch[k] = node
            stack[depth] = k
            depth += 1
        if ends[segment] > at:
            parent[n_nodes] = node
            length[n_nodes] = ends[segment] - at
            node = n_nodes
            n_nodes += 1
        node_of_point[segment] = node
    return n_nodes


@compiled
def first_cuts(
    ends, glue, first, child, node_of_point, node_of_branch, time_key, side_key, wait_key, time
):
    """The time of the first cut of every edge of the spanned tree, by the node at its lower end.

    Segment k brings an edge, whose time hashes (time_key, k); the edge on which it is glued falls into
    two, and hashes of k say which part keeps the time (side_key) and when the other is cut (wait_key).
    """
    n = ends.shape[0]
    place = np.empty(64)
    cut = np.empty(64)
    node = np.empty(64, np.int64)
    for segment in range(1, n):
        members = child[first[segment] : first[segment + 1]]
        if members.shape[0] + 1 > place.shape[0]:
            place = np.empty(2 * members.shape[0] + 2)
            cut = np.empty(2 * members.shape[0] + 2)
            node = np.empty(2 * members.shape[0] + 2, np.int64)
        begin = ends[segment - 1]
        length = ends[segment] - begin
        if length <= 0.0:
            continue
        # Piece j ends at place[j] in node[j]; its first cut is at cut[j].
        place[0], node[0] = ends[segment], node_of_point[segment]
        cut[0] = -np.log1p(-uniform(time_key, np.uint64(segment))) / length
        known = 1
        for i in range(members.shape[0]):
            k = members[i]
            x = glue[k]
            j = 0
            while place[j] < x:
                j += 1
            before = x - (begin if j == 0 else place[j - 1])
            after = place[j] - x
            if before <= 0.0 or after <= 0.0:
                continue
            for later in range(known, j, -1):
                place[later], cut[later] = place[later - 1], cut[later - 1]
                node[later] = node[later - 1]
            known += 1
            place[j], node[j] = x, node_of_branch[k]
            wait = -np.log1p(-uniform(wait_key, np.uint64(k)))
            if uniform(side_key, np.uint64(k)) * (before + after) < before:
                cut[j + 1] = cut[j] + wait / after
            else:
                cut[j] = cut[j + 1] + wait / before
        for j in range(known):
            time[node[j]] = cut[j]
