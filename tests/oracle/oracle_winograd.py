"""3x3 convolutions by Winograd's F(4x4, 3x3): which they are, what float32 may add to them, and
where an infinity or a NaN goes.

Of finite operands the value is that of the plain convolution.  The bound follows the formula of
docs/numerics.md, U = G g G', V = B' d B, M = sum of U V, y = A' M A, with every coefficient and
every operand replaced by its magnitude:

    U            2 on each way through a pass of G, of which there are two
    V            2 for a pass of B'
    M            a chain of cin fused multiply-adds
    y            5 for a pass of A', one of them of a constant, then the bias

which with one for second-order terms is (cin + 20) u of
|A'| (sum of |G| |g| |G'| |B'| |d| |B|) |A|.  Tiles that an image leaves one or two rows or columns
of are computed by F(2, 3) there, with fewer roundings.
"""
from typing import NamedTuple

import numpy as np

from bounds import U

LEAST_CHANNELS = 32
WEIGHTS = np.array([[1, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -2, 4], [0, 0, 1]], np.float64)


def positions_of(pixels):
    return pixels // 4 * 6 + (0, 3, 4, 5)[pixels % 4]


def is_chosen(x, weight, stride, pad, dilation, groups):
    if weight.shape[2:] != (3, 3) or (stride, dilation, groups) != (1, 1, 1):
        return False
    height, width = (size + 2 * pad - 2 for size in x.shape[2:])
    tiles = -(-height // 4) * -(-width // 4)
    return (min(weight.shape[:2]) >= LEAST_CHANNELS and 9 * height * width
            >= positions_of(height) * positions_of(width) + 18 * tiles + 108)


def _both_axes(of_rows, of_cols, x):
    """A transform of columns, then of rows; x [i,j,...]"""
    return of_cols(of_rows(x).swapaxes(0, 1)).swapaxes(0, 1)


def _single(x):
    return np.asarray(x, np.float32).astype(np.float64)


def _weights(g):
    """G along the first axis, rounded as the library does: zeros and NaN are where it has them."""
    ends, even = _single(g[0] + g[2]), _single(4 * g[2] + g[0])
    return np.stack([g[0], _single(ends + g[1]), _single(ends - g[1]), _single(2 * g[1] + even),
                     _single(even - 2 * g[1]), g[2]])


def transformed_weights(weight):
    """[cout,cin,3,3] to U [6,6,cout,cin]"""
    return _both_axes(_weights, _weights, weight.transpose(2, 3, 0, 1))


def weight_magnitudes(weight):
    """|G| |g| |G'| [6,6,cout,cin]"""
    of = _magnitudes(WEIGHTS)
    return _both_axes(of, of, np.abs(weight.transpose(2, 3, 0, 1)))


def _magnitudes(matrix):
    return lambda x: np.tensordot(np.abs(matrix), x, 1)


class Transform(NamedTuple):
    """B' and A' along the first axis, in the order of operations that numerics.md names, and
    their coefficients; the rows of U that take part."""
    pixels: int
    positions: list
    input: callable
    output: callable
    input_matrix: np.ndarray
    output_matrix: np.ndarray

    def magnitudes(self):
        return self._replace(input=_magnitudes(self.input_matrix),
                             output=_magnitudes(self.output_matrix))


def _whole_input(x):
    p, q, s, t = x[4] - 4 * x[2], x[3] - 4 * x[1], x[4] - x[2], x[3] - x[1]
    return np.stack([4 * x[0] + (x[4] - 5 * x[2]), p + q, p - q, s + 2 * t, s - 2 * t,
                     4 * x[1] + (x[5] - 5 * x[3])])


def _whole_output(m):
    s1, d1, s2, d2 = (m[1] + m[2]) / -6, (m[1] - m[2]) / -6, m[3] + m[4], m[3] - m[4]
    return np.stack([s2 / 24 + (m[0] / 4 + s1), d2 / 12 + d1, s2 / 6 + s1, (d2 / 3 + d1) + m[5]])


def _short_input(x):
    return np.stack([x[0] - x[2], x[1] + x[2], x[2] - x[1], x[3] - x[1]])


def _short_output(m):
    return np.stack([(m[1] + m[2]) / 2 + m[0], (m[1] - m[2]) / 2 + m[3]])


WHOLE = Transform(
    4, [0, 1, 2, 3, 4, 5], _whole_input, _whole_output,
    np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
              [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], np.float64),
    np.array([[1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24, 0], [0, -1 / 6, 1 / 6, 1 / 12, -1 / 12, 0],
              [0, -1 / 6, -1 / 6, 1 / 6, 1 / 6, 0], [0, -1 / 6, 1 / 6, 1 / 3, -1 / 3, 1]]))
SHORT = Transform(
    2, [0, 1, 2, 5], _short_input, _short_output,
    np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]], np.float64),
    np.array([[1, 1 / 2, 1 / 2, 0], [0, 1 / 2, -1 / 2, 1]]))


def _parts(pixels):
    """Of rows or columns: where a run of tiles begins, how many there are, their transform."""
    tiles = (pixels + 1) // 4  # with three pixels or four
    runs = [(0, tiles, WHOLE), (4 * tiles, 1 if 4 * tiles < pixels else 0, SHORT)]
    return [run for run in runs if run[1]]


def _tiles(x, rows, cols):
    """[n,c,h,w] to [i,j,c,n,rows,cols]"""
    windows = x
    for axis, (begin, count, of) in ((2, rows), (3, cols)):
        span = of.pixels + 2
        windows = np.take(windows, begin + 4 * np.arange(count)[:, None] + np.arange(span), axis)
        windows = np.moveaxis(windows, axis + 1, -1)
    return windows.transpose(4, 5, 1, 0, 2, 3)


def _convolved(u, x, pad, magnitudes=False):
    """y [n,cout,h,w]"""
    height, width = (size + 2 * pad - 2 for size in x.shape[2:])
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad + 4), (pad, pad + 4)])
    y = np.empty((x.shape[0], u.shape[2], height + 4, width + 4))
    for rows in _parts(height):
        for cols in _parts(width):
            (r, n_rows, of_rows), (c, n_cols, of_cols) = rows, cols
            tiles, h, w = _tiles(x, rows, cols), of_rows.pixels, of_cols.pixels
            if magnitudes:
                of_rows, of_cols = of_rows.magnitudes(), of_cols.magnitudes()
            v = _both_axes(of_rows.input, of_cols.input, tiles)
            m = u[np.ix_(of_rows.positions, of_cols.positions)] @ v.reshape(*v.shape[:3], -1)
            part = _both_axes(of_rows.output, of_cols.output, m.reshape(*m.shape[:3], *v.shape[3:]))
            y[:, :, r : r + h * n_rows, c : c + w * n_cols] = part.transpose(
                3, 2, 4, 0, 5, 1).reshape(*y.shape[:2], h * n_rows, w * n_cols)
    return y[:, :, :height, :width]


def unit(cin):
    """What one of the magnitudes may lose."""
    return (cin + 20) * U


def magnitude(x, u, pad):
    """|A'| (sum of u |B'| |d| |B|) |A|, for u as of weight_magnitudes."""
    return _convolved(np.abs(u), np.abs(x), pad, magnitudes=True)


def error(x, weight, bias, pad):
    """What float32 may add."""
    total = magnitude(x, weight_magnitudes(weight), pad)
    if bias is not None:
        total = total + np.abs(bias)[:, None, None]
    return unit(x.shape[1]) * total


def where_not_finite(x, weight, bias, pad, v):
    """v, and the infinities and NaN of the formula: one in a tile reaches all its results."""
    y = _convolved(transformed_weights(weight), x, pad)
    y = y + (0 if bias is None else bias[:, None, None])
    return np.where(np.isfinite(y), v, y)
