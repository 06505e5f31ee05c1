"""Free growth of branching processes, breadth first, with a size cap."""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.random import bits, uniform


@compiled
def grow_clusters(root_cdf, child_cdf, n_clusters, min_size, max_size, max_attempts, key):
    """Grow until `n_clusters` clusters of min_size..max_size sites are kept.

    Attempt j hashes (key, j, site): attempts do not influence each other. Returns the parents of
    all kept clusters (int32), their boundaries, the attempts made, and how many were too small
    and how many were stopped above the cap.
    """
    capacity = np.int64(1024)
    parent = np.empty(capacity, np.int32)
    start = np.zeros(n_clusters + 1, np.int64)
    kept = 0
    attempts = 0
    small = 0
    large = 0
    base = np.int64(0)
    while kept < n_clusters and attempts < max_attempts:
        attempt_key = bits(key, np.uint64(attempts))
        attempts += 1
        parent, size = _grow(root_cdf, child_cdf, max_size, attempt_key, parent, base)
        if size > max_size:
            large += 1
        elif size < min_size:
            small += 1
        else:
            kept += 1
            base += size
            start[kept] = base
    return parent[:base], start[: kept + 1], attempts, small, large


@compiled
def _grow(root_cdf, child_cdf, max_size, key, parent, base):
    """Grow one cluster into `parent` from `base`; its size, or more than max_size if stopped."""
    if base >= parent.shape[0]:
        parent = _enlarged(parent, base + 1)
    parent[base] = -1
    size = np.int64(1)
    site = np.int64(0)
    while site < size:
        u = uniform(key, np.uint64(site))
        cdf = root_cdf if site == 0 else child_cdf
        children = 0
        while children < cdf.shape[0] - 1 and u >= cdf[children]:
            children += 1
        if size + children > max_size:
            return parent, max_size + 1
        if base + size + children > parent.shape[0]:
            parent = _enlarged(parent, base + size + children)
        for _ in range(children):
            parent[base + size] = base + site
            size += 1
        site += 1
    return parent, size


@compiled
def _enlarged(array, needed):
    larger = np.empty(max(needed, 2 * array.shape[0]), array.dtype)
    larger[: array.shape[0]] = array
    return larger


@compiled
def yule_clusters(cluster, new_cluster_probability, key):
    """Assign sites to clusters by the Simon/Yule process; return the number of clusters."""
    n_clusters = 0
    second = bits(key, np.uint64(0))
    for i in range(cluster.shape[0]):
        if i == 0 or uniform(key, np.uint64(i)) < new_cluster_probability:
            cluster[i] = n_clusters
            n_clusters += 1
        else:
            cluster[i] = cluster[np.int64(uniform(second, np.uint64(i)) * i)]
    return n_clusters
