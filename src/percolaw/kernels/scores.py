"""How well numbers tell members of a set from the rest, at the best threshold."""

import numpy as np

from percolaw.kernels.compile import compiled


@compiled(nogil=True)
def best_thresholds(score, first, stop, f1, mcc):
    """Best F1 and Matthews correlation of each column of ``score`` for the rows first[j] .. stop[j] - 1.

    A row counts as chosen where its score is at least the threshold; thresholds at members suffice.
    """
    n = score.shape[0]
    for j in range(first.shape[0]):
        inside = np.sort(score[first[j] : stop[j], j])
        k = inside.shape[0]
        reach = np.zeros(k + 1, np.int64)  # others that pass the first m thresholds, not the next
        for i in range(n):
            if first[j] <= i < stop[j]:
                continue
            reach[np.searchsorted(inside, score[i, j], side="right")] += 1
        f1[j], mcc[j] = 0.0, 0.0
        others = 0
        for m in range(k - 1, -1, -1):
            others += reach[m + 1]
            if m > 0 and inside[m - 1] == inside[m]:
                continue
            right, wrong = k - m, others
            f1[j] = max(f1[j], 2.0 * right / (k + right + wrong))
            chosen = right + wrong
            spread = np.float64(chosen) * (n - chosen) * k * (n - k)
            if spread > 0.0:
                gain = np.float64(right) * (n - k - wrong) - np.float64(wrong) * (k - right)
                mcc[j] = max(mcc[j], gain / np.sqrt(spread))
