"""One step of AdamW in one pass over memory."""

import math

from percolaw.kernels.compile import compiled


@compiled(nogil=True, error_model="numpy")
def adamw(rows, gradient, first, second, rate, factor, decay, beta, gamma, step, epsilon):
    """Update rows (students, n) in place, with their moments.

    rate (students,), factor a number, decay (students,) what remains of the weights; step counts from
    0. Every number is read and written once.
    """
    one = rows.dtype.type(1.0)
    corrected = rows.dtype.type(1.0 / (1.0 - beta ** (step + 1)))
    root = rows.dtype.type(1.0 / math.sqrt(1.0 - gamma ** (step + 1)))
    b, g2 = rows.dtype.type(beta), rows.dtype.type(gamma)
    tiny = rows.dtype.type(epsilon)
    for s in range(rows.shape[0]):
        lr = rows.dtype.type(rate[s] * factor) * corrected
        keep = rows.dtype.type(decay[s])
        for i in range(rows.shape[1]):
            g = gradient[s, i]
            m = b * first[s, i] + (one - b) * g
            v = g2 * second[s, i] + (one - g2) * g * g
            first[s, i] = m
            second[s, i] = v
            rows[s, i] = keep * rows[s, i] - lr * m / (math.sqrt(v) * root + tiny)
