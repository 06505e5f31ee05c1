"""Labels on a graph that keep the number of sites of every class: moves of a conserved Potts model.

The law is weight(labels) = exp(J A - (A - goal)^2 / (2 width^2)) over labels with the given class counts,
A the number of agreeing bonds. `step` writes J = K + t, opens every agreeing bond with probability
1 - e^-K and moves whole clusters of open bonds between classes (Fortuin and Kasteleyn 1972, Swendsen and
Wang 1987): given the bonds, labels have weight exp(t A - (A - goal)^2 / (2 width^2)) alone. Class counts
are kept by moving single sites the other way, as often as there are ways to choose them. `exchange` swaps
the labels of two sites. A law is the tuple (t, goal, width).
"""

import math

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.graph_sweep import find, join
from percolaw.kernels.random import mix, stream_bits

_S11 = np.uint64(11)


@compiled
def _unit(word):
    """A uniform float64 in [0, 1) of 64 random bits; the lowest 11 are not used."""
    return np.float64(word >> _S11) / 9007199254740992.0


@compiled
def same_label(low, high, label, root):
    """Return agreeing bonds, and the largest and the sum of squares of the sizes of same-label clusters;
    root (n,) int32 is scratch.
    """
    root[:] = -1
    agreeing = 0
    for e in range(low.shape[0]):
        if label[low[e]] == label[high[e]]:
            agreeing += 1
            join(root, low[e], high[e])
    largest, square = 0, 0.0
    for i in range(root.shape[0]):
        if root[i] < 0:
            largest = max(largest, -root[i])
            square += np.float64(root[i]) ** 2
    return agreeing, largest, square


@compiled
def _relabel(indptr, neighbor, label, sites, new):
    """Give sites a label; return by how much the agreeing bonds grow."""
    gain = 0
    for i in sites:
        old = label[i]
        for e in range(indptr[i], indptr[i + 1]):
            there = label[neighbor[e]]
            gain += (there == new) - (there == old)
        label[i] = new
    return gain


@compiled
def _weight(agreeing, tilt, goal, width):
    """The logarithm of what the law has beside the bonds."""
    return tilt * (agreeing - goal) - 0.5 * ((agreeing - goal) / width) ** 2


@compiled
def _log_ways(m, d):
    """The logarithm of the number of ways to choose d of m."""
    return math.lgamma(m + 1.0) - math.lgamma(d + 1.0) - math.lgamma(m - d + 1.0)


@compiled
def _clusters(root, member, start, order, key):
    """Sort sites by cluster of open bonds, and clusters of two or more sites by size, ties at random.

    member (n,) lists the sites cluster by cluster, start (n + 1,) where each begins; order (n,) lists the
    clusters of two or more sites, the largest last. Returns the number of these.
    """
    n = root.shape[0]
    number = np.full(n, -1, np.int32)
    count = 0
    for i in range(n):
        top = find(root, i)
        if number[top] < 0:
            number[top] = count
            start[count + 1] = -root[top]
            count += 1
    start[0] = 0
    for c in range(count):
        start[c + 1] += start[c]
    place = start[:count].copy()
    for i in range(n):
        c = number[find(root, i)]
        member[place[c]] = i
        place[c] += 1
    shuffled = np.empty(count, np.int32)
    several = 0
    for c in range(count):
        if start[c + 1] - start[c] > 1:
            other = np.int64(_unit(stream_bits(key, np.uint64(several))) * (several + 1))
            shuffled[several] = shuffled[other]
            shuffled[other] = c
            several += 1
    # Sorted by counting: `place` now holds where the clusters of each size go.
    place = np.zeros(n + 2, np.int32)
    for k in range(several):
        c = shuffled[k]
        place[start[c + 1] - start[c] + 1] += 1
    for size in range(1, n + 2):
        place[size] += place[size - 1]
    for k in range(several):
        c = shuffled[k]
        size = start[c + 1] - start[c]
        order[place[size]] = c
        place[size] += 1
    return several


@compiled
def _swap_singles(indptr, neighbor, label, everyone, single, place, agreeing, law, key):
    """Exchange the labels of random pairs of single sites; return the agreeing bonds.

    everyone lists the single sites; single (n,) does so by class, from first[class] on, and place (n,)
    says where each stands there.
    """
    tilt, goal, width = law
    n_single = everyone.shape[0]
    one, other = np.empty(1, np.int32), np.empty(1, np.int32)
    for t in range(n_single):
        word = stream_bits(key, np.uint64(t))
        one[0] = everyone[np.int64(_unit(word) * n_single)]
        word = mix(word ^ key)
        other[0] = everyone[np.int64(_unit(word) * n_single)]
        i, k = one[0], other[0]
        a, b = label[i], label[k]
        if a == b:
            continue
        gain = _relabel(indptr, neighbor, label, one, b)
        gain += _relabel(indptr, neighbor, label, other, a)
        change = _weight(agreeing + gain, tilt, goal, width) - _weight(agreeing, tilt, goal, width)
        if change >= 0.0 or _unit(mix(word ^ key)) < math.exp(change):
            agreeing += gain
            place[i], place[k] = place[k], place[i]
            single[place[i]], single[place[k]] = i, k
        else:
            label[i], label[k] = a, b
    return agreeing


@compiled
def _move_cluster(indptr, neighbor, label, first, single, place, held, bodies, agreeing, law, key):
    """Exchange the labels of two clusters, single sites making up for the difference in size.

    bodies holds the sites of the larger and of the smaller one (which may be empty) and the label of the
    smaller; held (n_classes,) counts the single sites of each class. Returns the agreeing bonds.
    """
    large, small, b = bodies
    tilt, goal, width = law
    a = label[large[0]]
    d = large.shape[0] - small.shape[0]
    if a == b or held[b] < d:
        return agreeing
    ways = _log_ways(held[b], d) - _log_ways(held[a] + d, d)
    if small.shape[0] == 0:  # b is the label of a random single site
        ways += math.log((held[a] + d) / held[b])
    word = stream_bits(key, np.uint64(0))
    if ways < 0.0 and _unit(word) >= math.exp(ways):
        return agreeing
    for t in range(d):  # d random single sites of class b come last among them
        word = stream_bits(key, np.uint64(t + 2))
        last = first[b] + held[b] - 1 - t
        chosen = first[b] + np.int64(_unit(word) * (held[b] - t))
        i, k = single[chosen], single[last]
        single[chosen], single[last] = k, i
        place[i], place[k] = last, chosen
    chosen = single[first[b] + held[b] - d : first[b] + held[b]].copy()
    gain = _relabel(indptr, neighbor, label, large, b)
    gain += _relabel(indptr, neighbor, label, small, a)
    gain += _relabel(indptr, neighbor, label, chosen, a)
    change = _weight(agreeing + gain, tilt, goal, width) - _weight(agreeing, tilt, goal, width)
    if change < 0.0 and _unit(stream_bits(key, np.uint64(1))) >= math.exp(change):
        label[large] = a
        label[small] = b
        label[chosen] = b
        return agreeing
    held[b] -= d
    for i in chosen:
        place[i] = first[a] + held[a]
        single[place[i]] = i
        held[a] += 1
    return agreeing + gain


@compiled
def step(indptr, neighbor, low, high, label, first, opening, law, agreeing, key):
    """Open bonds, then move clusters between classes; label (n,) changes in place.

    first (n_classes + 1,) counts the sites of all classes before each; opening is 1 - e^-J; law is
    (t, goal, width). Returns the agreeing bonds, which must be given right.
    """
    n = label.shape[0]
    root = np.full(n, -1, np.int32)
    bond_key = mix(key + np.uint64(1))
    if opening > 0.0:
        for e in range(low.shape[0]):
            agrees = label[low[e]] == label[high[e]]
            if agrees and _unit(stream_bits(bond_key, np.uint64(e))) < opening:
                join(root, low[e], high[e])
    member, order = np.empty(n, np.int32), np.empty(n, np.int32)
    start = np.empty(n + 1, np.int32)
    several = _clusters(root, member, start, order, mix(key + np.uint64(2)))
    held = np.zeros(first.shape[0] - 1, np.int32)
    single, place = np.empty(n, np.int32), np.full(n, -1, np.int32)
    everyone = np.empty(n, np.int32)
    n_single = 0
    for i in range(n):
        if root[i] == -1:
            everyone[n_single] = i
            a = label[i]
            place[i] = first[a] + held[a]
            single[place[i]] = i
            held[a] += 1
            n_single += 1
    everyone = everyone[:n_single]
    agreeing = _swap_singles(
        indptr, neighbor, label, everyone, single, place, agreeing, law, mix(key + np.uint64(3))
    )
    nobody = np.empty(0, np.int32)
    for t in range(several):
        move_key = mix(mix(key + np.uint64(4)) + np.uint64(t))
        word = mix(move_key)
        k = np.int64(_unit(word) * several)
        c = order[k]
        large = member[start[c] : start[c + 1]]
        word = mix(word ^ key)
        if word & np.uint64(1):  # with one of the next in size
            k += 1 + np.int64((word >> np.uint64(8)) & np.uint64(7))
            if k >= several:
                continue
            c = order[k]
            small, large = large, member[start[c] : start[c + 1]]
            b = label[small[0]]
        elif n_single > 0:
            small = nobody
            b = label[everyone[np.int64(_unit(word) * n_single)]]
        else:
            continue
        bodies = (large, small, b)
        agreeing = _move_cluster(
            indptr, neighbor, label, first, single, place, held, bodies, agreeing, law, move_key
        )
    return agreeing


@compiled
def _counts(indptr, neighbor, label, site, mine, theirs, other):
    """Return how many neighbours of a site have either label, and whether `other` is one of them."""
    same, different, adjacent = 0, 0, 0
    for e in range(indptr[site], indptr[site + 1]):
        there = label[neighbor[e]]
        same += there == mine
        different += there == theirs
        adjacent += neighbor[e] == other
    return same, different, adjacent


@compiled
def exchange(indptr, neighbor, label, first, member, place, law, agreeing, key):
    """Propose n exchanges of two labels, one of which is that of a neighbour; return the agreeing bonds.

    A random site takes the label b of a random neighbour, a random site of class b its old one; accepted
    by Metropolis and Hastings with t = J in `law`. Sites without neighbours that have the only site of a
    class keep it: `step` reaches every state. member (n,) and place (n,) are scratch.
    """
    n = label.shape[0]
    tilt, goal, width = law
    filled = first[:-1].copy()
    for i in range(n):
        place[i] = filled[label[i]]
        member[place[i]] = i
        filled[label[i]] += 1
    for t in range(n):
        word = stream_bits(key, np.uint64(t))
        i = np.int64(_unit(word) * n)
        degree = indptr[i + 1] - indptr[i]
        if degree == 0:
            continue
        word = mix(word ^ key)
        a, b = label[i], label[neighbor[indptr[i] + np.int64(_unit(word) * degree)]]
        if a == b:
            continue
        n_a, n_b = first[a + 1] - first[a], first[b + 1] - first[b]
        word = mix(word ^ key)
        k = member[first[b] + np.int64(_unit(word) * n_b)]
        other = indptr[k + 1] - indptr[k]
        i_a, i_b, adjacent = _counts(indptr, neighbor, label, i, a, b, k)
        k_b, k_a, adjacent = _counts(indptr, neighbor, label, k, b, a, i)
        gain = i_b + k_a - i_a - k_b - 2 * adjacent
        forth = i_b / (degree * n_b)
        back = (i_a + adjacent) / (degree * n_a)
        if other > 0:
            forth += k_a / (other * n_a)
            back += (k_b + adjacent) / (other * n_b)
        change = _weight(agreeing + gain, tilt, goal, width) - _weight(agreeing, tilt, goal, width)
        if _unit(mix(word ^ key)) * forth < math.exp(min(change, 500.0)) * back:
            agreeing += gain
            label[i], label[k] = b, a
            place[i], place[k] = place[k], place[i]
            member[place[i]], member[place[k]] = i, k
    return agreeing


@compiled(nogil=True)
def sweeps(indptr, neighbor, low, high, label, first, coupling, goal, width, agreeing, key, count):
    """Make sweeps of exchanges and cluster moves, with K = J and J/2 in turn; return the agreeing bonds.

    label (n,) int32 changes in place; first (n_classes + 1,) counts the sites of all classes before each;
    agreeing must be right.
    """
    n = label.shape[0]
    member, place = np.empty(n, np.int32), np.empty(n, np.int32)
    for s in range(count):
        here = mix(key + np.uint64(s) * np.uint64(0x9E3779B97F4A7C15))
        law = (coupling, goal, width)
        agreeing = exchange(
            indptr, neighbor, label, first, member, place, law, agreeing, mix(here + np.uint64(5))
        )
        share = max(0.0, coupling) * (1.0 if s % 2 == 0 else 0.5)
        law = (coupling - share, goal, width)
        agreeing = step(
            indptr, neighbor, low, high, label, first, 1.0 - math.exp(-share), law, agreeing, here
        )
    return agreeing
