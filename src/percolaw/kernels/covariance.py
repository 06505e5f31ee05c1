"""Tables of covariance functions, and Gaussian fields by their nearest earlier points."""

import math

from percolaw.kernels.compilation import kernel

#: Conditional variance below which a neighbour adds only rounding.
SINGULAR = 1e-8


@kernel
def hermite(s, log_low, step, value, slope, c, power):
    """Cubic Hermite interpolation in log s, in place; 1 - c s^power below the table, 0 above."""
    last = value.shape[0] - 1
    for i in range(s.shape[0]):
        if s[i] <= 0.0:
            s[i] = 1.0
            continue
        u = (math.log(s[i]) - log_low) / step
        if u < 0.0:
            s[i] = 1.0 - c * s[i] ** power
        elif u >= last:
            s[i] = 0.0
        else:
            j = int(u)
            t = u - j
            r = 1.0 - t
            s[i] = (
                value[j] * (1.0 + 2.0 * t) * r * r
                + value[j + 1] * (3.0 - 2.0 * t) * t * t
                + (slope[j] * r - slope[j + 1] * t) * t * r
            )


@kernel
def conditional_forward(neighbor, weight, value):
    """value[i] += sum_j weight[i, j] value[neighbor[i, j]], in order; neighbours come before."""
    for i in range(neighbor.shape[0]):
        for c in range(value.shape[1]):
            total = 0.0
            for j in range(neighbor.shape[1]):
                if neighbor[i, j] < 0:
                    break
                total += weight[i, j] * value[neighbor[i, j], c]
            value[i, c] += total


@kernel
def conditional_backward(neighbor, weight, value):
    """The transpose of `conditional_forward`."""
    for i in range(neighbor.shape[0] - 1, -1, -1):
        for j in range(neighbor.shape[1]):
            if neighbor[i, j] < 0:
                break
            for c in range(value.shape[1]):
                value[neighbor[i, j], c] += weight[i, j] * value[i, c]


@kernel
def conditional_weights(count, variance, matrix, own, weight, deviation):
    """Weights and conditional standard deviations from covariances, by Cholesky, one point a row.

    `matrix` (b, k, k) holds covariances among neighbours (overwritten), `own` (b, k) those of the
    point with them, `variance` its own variance, `count` its neighbours in use.
    """
    for b in range(matrix.shape[0]):
        k = count[b]
        a = matrix[b]
        for i in range(k):
            for j in range(i + 1):
                total = a[i, j]
                for m in range(j):
                    total -= a[i, m] * a[j, m]
                if i == j:
                    # A neighbour that the others determine to rounding is left out.
                    a[i, i] = math.sqrt(total) if total > SINGULAR else math.inf
                else:
                    a[i, j] = total / a[j, j]
        rest = variance[b]
        for i in range(k):
            total = own[b, i]
            for m in range(i):
                total -= a[i, m] * weight[b, m]
            weight[b, i] = total / a[i, i]
            rest -= weight[b, i] ** 2
        deviation[b] = math.sqrt(max(rest, 0.0))
        for i in range(k - 1, -1, -1):
            total = weight[b, i]
            for m in range(i + 1, k):
                total -= a[m, i] * weight[b, m]
            weight[b, i] = total / a[i, i]
        for i in range(k, weight.shape[1]):
            weight[b, i] = 0.0
