"""Tables of covariance functions, and Gaussian fields by their nearest earlier points."""

import math

from percolaw.kernels.compile import compiled

#: Share of the squared norms below which a squared distance is summed from differences: above it the
#: formula of the matrix product keeps all but about three digits.
NEAR = 2.0**-10
#: Conditional variance below which a neighbour adds only rounding.
SINGULAR = 1e-8


@compiled
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


@compiled
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


@compiled
def conditional_backward(neighbor, weight, value):
    """The transpose of `conditional_forward`."""
    for i in range(neighbor.shape[0] - 1, -1, -1):
        for j in range(neighbor.shape[1]):
            if neighbor[i, j] < 0:
                break
            for c in range(value.shape[1]):
                value[neighbor[i, j], c] += weight[i, j] * value[i, c]


@compiled
def conditional_weights(count, variance, matrix, cross, weight, deviation):
    """Weights and conditional standard deviations from covariances, by Cholesky, one point a row.

    `matrix` (b, k, k) holds covariances among neighbours (overwritten), `cross` (b, k) those of the
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
            total = cross[b, i]
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


@compiled
def finish_distances(x, y, norm_x, norm_y, square):
    """|x_i - y_j|^2 in place of -2 x_i.y_j about some centre; near pairs from their differences.

    `norm_x` and `norm_y` are squared norms about that centre; `x` and `y` as they were given.
    """
    n, m, d = square.shape[0], square.shape[1], x.shape[1]
    for i in range(n):
        near = 0
        for j in range(m):
            total = norm_x[i] + norm_y[j]
            square[i, j] += total
            near += square[i, j] < NEAR * total
        if near == 0:
            continue
        for j in range(m):
            if square[i, j] < NEAR * (norm_x[i] + norm_y[j]):
                total = 0.0
                for c in range(d):
                    total += (x[i, c] - y[j, c]) ** 2
                square[i, j] = total


@compiled
def _angle(u, v, product):
    """Return the angle between unit vectors and 1 - its cosine, precise also near 0 and pi."""
    if product > 1.0 - NEAR:
        square = 0.0
        for c in range(u.shape[0]):
            square += (u[c] - v[c]) ** 2
        return 2.0 * math.asin(min(1.0, 0.5 * math.sqrt(square))), 0.5 * square
    if product < NEAR - 1.0:
        square = 0.0
        for c in range(u.shape[0]):
            square += (u[c] + v[c]) ** 2
        return math.pi - 2.0 * math.asin(min(1.0, 0.5 * math.sqrt(square))), 2.0 - 0.5 * square
    return math.acos(product), 1.0 - product


@compiled
def network(u, v, radius_u, radius_v, gain, bias, weight, value):
    """Replace u_i.v_j by a kernel of infinitely wide ReLU networks.

    `radius_u` (depth + 1, n) and `radius_v` hold the roots of the variances of every layer, `gain` and
    `bias` are s_w^2 / 2 and s_b^2, `weight` as in `percolaw.numerics.covariance._network`. What is
    carried from layer to layer is 1 - cosine: from the cosine itself small angles lose half of the
    digits.
    """
    first, itself, hidden, back, output, itself_output = weight
    depth = radius_u.shape[0] - 1
    for i in range(u.shape[0]):
        for j in range(v.shape[0]):
            norm = radius_u[0, i] * radius_v[0, j]
            angle, gap = 0.0, 0.0
            if norm > 0.0:
                angle, gap = _angle(u[i], v[j], value[i, j])
            t = first * norm * (1.0 - gap) + itself
            for layer in range(depth):
                if layer:
                    angle = 2.0 * math.asin(math.sqrt(min(1.0, 0.5 * gap)))
                half = 1.0 - angle / math.pi  # k_0
                sine = math.sqrt(max(0.0, gap * (2.0 - gap)))
                less = gap + (angle * (1.0 - gap) - sine) / math.pi  # 1 - k_1
                k = bias + gain * norm * (1.0 - less)
                if layer < depth - 1:
                    t = gain * half * t + hidden * k + itself
                else:
                    t = back * half * t + output * k + itself_output
                difference = radius_u[layer, i] - radius_v[layer, j]
                after = radius_u[layer + 1, i] * radius_v[layer + 1, j]
                gap = 0.0
                if after > 0.0:
                    # after - k, without the cancellation
                    gap = bias * gain * difference * difference / (after + bias + gain * norm)
                    gap = max(0.0, (gap + gain * norm * less) / after)
                norm = after
            value[i, j] = t
