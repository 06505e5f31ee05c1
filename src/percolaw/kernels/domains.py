"""Compact domains of given sizes on a graph, grown side by side."""

import numpy as np

from percolaw.kernels.compile import compiled


@compiled(nogil=True)
def grow_domains(indptr, neighbor, turns, order, domain):
    """Give every site a domain: each turn, the next one of turns (n,) takes a site.

    It takes the free site that has been next to it for longest; where there is none, it begins anew at
    the next free site of order (n,), a permutation of the sites. domain (n,) int32 is filled.
    """
    n = turns.shape[0]
    n_domains = 0
    for t in range(n):
        n_domains = max(n_domains, turns[t] + 1)
        domain[t] = -1
    first = np.full(n_domains, -1, np.int64)
    last = np.full(n_domains, -1, np.int64)
    # A site is put in a line once for each neighbour at most.
    site, behind = np.empty(neighbor.shape[0], np.int32), np.empty(neighbor.shape[0], np.int64)
    length, free = 0, 0
    for t in range(n):
        here = turns[t]
        taken = -1
        while first[here] >= 0 and taken < 0:
            head = first[here]
            if domain[site[head]] < 0:
                taken = site[head]
            first[here] = behind[head]
        if taken < 0:
            while domain[order[free]] >= 0:
                free += 1
            taken = order[free]
        domain[taken] = here
        for e in range(indptr[taken], indptr[taken + 1]):
            if domain[neighbor[e]] < 0:
                site[length], behind[length] = neighbor[e], -1
                if first[here] < 0:
                    first[here] = length
                else:
                    behind[last[here]] = length
                last[here] = length
                length += 1
