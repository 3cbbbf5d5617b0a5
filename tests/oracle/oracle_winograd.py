"""3x3 convolutions by Winograd's F(4x4, 3x3): which they are, what float32 may add to them, and
where an infinity or a NaN goes.

Of finite operands the value is that of the plain convolution.  The bound follows the formula of
docs/numerics.md, U = G g G', V = B' d B, M = sum of U V, y = A' M A, with every coefficient and
every operand replaced by its magnitude:

    U            4 on each way through the two passes of G, one of them of a constant
    V            4 on each way through the two passes of B'
    M            a chain of cin fused multiply-adds
    y            6 on each way through the two passes of A', then the bias

which with one for second-order terms is (cin + 20) u of
|A'| (sum of |G| |g| |G'| |B'| |d| |B|) |A|.
"""
import numpy as np

from bounds import U

LEAST_CHANNELS = 32
INPUT = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                  [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], np.float64)
WEIGHTS = np.array([[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
                    [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]], np.float64)
OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0],
                   [0, 1, -1, 8, -8, 1]], np.float64)


def tiles_of(pixels):
    return -(-pixels // 4)


def is_chosen(x, weight, stride, pad, dilation, groups):
    if weight.shape[2:] != (3, 3) or (stride, dilation, groups) != (1, 1, 1):
        return False
    height, width = (size + 2 * pad - 2 for size in x.shape[2:])
    tiles = tiles_of(height) * tiles_of(width)
    return min(weight.shape[:2]) >= LEAST_CHANNELS and height * width >= 6 * (tiles + 2)


def _both_axes(one_axis, x):
    """A transform of columns, then of rows; x [i,j,...]"""
    return one_axis(one_axis(x).swapaxes(0, 1)).swapaxes(0, 1)


def _single(x):
    return np.asarray(x, np.float32).astype(np.float64)


def _weights(g):
    """G along the first axis, rounded as the library does: zeros and NaN are where it has them."""
    sixth, twelfth, part = (_single(1 / d) for d in (6, 12, 24))
    ends, odd = _single(g[0] + g[2]), _single(g[1] * twelfth)
    even = _single(g[2] * sixth + _single(g[0] * part))
    return np.stack([g[0] / 4, _single(_single(ends + g[1]) * -sixth),
                     _single(_single(ends - g[1]) * -sixth), _single(even + odd),
                     _single(even - odd), g[2]])


def transformed_weights(weight):
    """[cout,cin,3,3] to U [6,6,cout,cin]"""
    return _both_axes(_weights, weight.transpose(2, 3, 0, 1))


def weight_magnitudes(weight):
    """|G| |g| |G'| [6,6,cout,cin]"""
    return _both_axes(_magnitudes(WEIGHTS), np.abs(weight.transpose(2, 3, 0, 1)))


def _input(x):
    """B' along the first axis, in the order of operations that numerics.md names."""
    p, q, s, t = x[4] - 4 * x[2], x[3] - 4 * x[1], x[4] - x[2], x[3] - x[1]
    return np.stack([4 * x[0] + (x[4] - 5 * x[2]), p + q, p - q, s + 2 * t, s - 2 * t,
                     4 * x[1] + (x[5] - 5 * x[3])])


def _output(m):
    """A' along the first axis."""
    s1, d1, s2, d2 = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return np.stack([(m[0] + s1) + s2, d1 + 2 * d2, s1 + 4 * s2, (d1 + 8 * d2) + m[5]])


def _magnitudes(matrix):
    return lambda x: np.tensordot(np.abs(matrix), x, 1)


def _input_tiles(x, pad):
    """[n,c,h,w] to [6,6,c,n,rows,cols]: zeros around the image and past its last tile."""
    ends = [(pad, 4 * tiles_of(size + 2 * pad - 2) + 2 - size - pad) for size in x.shape[2:]]
    x = np.pad(x, [(0, 0), (0, 0), *ends])
    windows = np.lib.stride_tricks.sliding_window_view(x, (6, 6), axis=(2, 3))[:, :, ::4, ::4]
    return windows.transpose(4, 5, 1, 0, 2, 3)


def _convolved(u, tiles, of_input, of_output):
    """y [n,cout,4 rows,4 cols]"""
    v = _both_axes(of_input, tiles)
    m = u @ v.reshape(6, 6, v.shape[2], -1)
    y = _both_axes(of_output, m.reshape(6, 6, u.shape[2], *v.shape[3:]))
    _, _, cout, n, rows, cols = y.shape
    return y.transpose(3, 2, 4, 0, 5, 1).reshape(n, cout, 4 * rows, 4 * cols)


def unit(cin):
    """What one of the magnitudes may lose."""
    return (cin + 20) * U


def magnitude(x, u, pad):
    """|A'| (sum of u |B'| |d| |B|) |A|, all tiles in full, for u as of weight_magnitudes."""
    return _convolved(np.abs(u), np.abs(_input_tiles(x, pad)), _magnitudes(INPUT),
                      _magnitudes(OUTPUT))


def error(x, weight, bias, pad, shape):
    """What float32 may add, for a result of `shape`."""
    rows, cols = shape[2:]
    total = magnitude(x, weight_magnitudes(weight), pad)[:, :, :rows, :cols]
    if bias is not None:
        total = total + np.abs(bias)[:, None, None]
    return unit(x.shape[1]) * total


def where_not_finite(x, weight, bias, pad, v):
    """v, and the infinities and NaN of the formula: one in a tile reaches all its results."""
    rows, cols = v.shape[2:]
    y = _convolved(transformed_weights(weight), _input_tiles(x, pad), _input, _output)
    y = y[:, :, :rows, :cols] + (0 if bias is None else bias[:, None, None])
    return np.where(np.isfinite(y), v, y)
