"""Convolutions by Winograd's formula: which they are, what float32 may add to them, and where an
infinity or a NaN goes.

Of finite operands the value is that of the plain convolution.  A stride is first taken apart into
its phases, which are channels of a convolution of stride 1.  The bound follows the formula of
docs/numerics.md, U = G g G', V = B' d B, M = sum of U V, y = A' M A, with every coefficient and
every operand replaced by its magnitude:

    U            2 on each way through a pass of G, of which there are two; 3 of five taps
    V            2 for a pass of B'; 3 with eight positions a side
    M            a chain of fused multiply-adds over the channels
    y            5 for a pass of A', one of them of a constant; 6 with eight positions; the bias

which with one for second-order terms is (channels + 20) u, or 22 with five taps, or 24 with eight
positions, of |A'| (sum of |G| |g| |G'| |B'| |d| |B|) |A|.  Where an image leaves fewer rows or
columns of a tile, they are computed with fewer positions and roundings.
"""
from typing import NamedTuple

import numpy as np

from bounds import U

class Costs(NamedTuple):
    """In multiply-adds, see src/kernels/winograd.c."""
    input: int
    output: int
    weights: int
    few_weights: int
    phase: int = 0


SMALL, LARGE = 6, 8  # positions of a tile, a side
COSTS = {SMALL: Costs(380, 240, 200, 144, 260), LARGE: Costs(900, 560, 200, 200)}
LARGE_WORTH = 1.04


class Form(NamedTuple):
    """Of a convolution: phases along a side, taps of their kernels, positions and pixels of a tile,
    and the rows and columns of the output."""
    stride: int
    taps: int
    size: int
    height: int
    width: int

    @property
    def out(self):
        return self.size + 1 - self.taps

    def channels(self, cin):
        return cin * self.stride**2

    def cost(self, cin, cout):
        costs, plain = COSTS[self.size], (self.stride, self.taps) == (1, 3)
        tiles = -(-self.height // self.out) * -(-self.width // self.out)
        products = _positions(self, self.height) * _positions(self, self.width)
        weights = costs.few_weights if plain else costs.weights
        per_input = costs.input if self.stride == 1 else costs.input + costs.phase
        return (self.channels(cin) * _panels(cout) * (products + weights)
                + tiles * (_panels(self.channels(cin)) * per_input
                           + _panels(cout) * costs.output))


def form(x, weight, stride, pad):
    """None where the formula can not compute it."""
    taps = {-(-k // stride) for k in weight.shape[2:]}
    if len(taps) > 1 or not taps <= {3, 4, 5} or stride > 4:
        return None
    height, width = ((size + 2 * pad - k) // stride + 1
                     for size, k in zip(x.shape[2:], weight.shape[2:], strict=True))
    small = Form(stride, *taps, SMALL, height, width)
    large = small._replace(size=LARGE)
    if (stride, small.taps) != (1, 3):
        return small
    cout, cin = weight.shape[:2]
    return large if LARGE_WORTH * large.cost(cin, cout) < small.cost(cin, cout) else small


def _positions(f, pixels):
    if f.taps > 3:
        return -(-pixels // f.out) * f.size
    rest = pixels % f.out
    last = (rest + 1) // 2 * 2 + 2 - rest % 2 if rest else 0
    return pixels // f.out * f.size + last


def _panels(channels):
    return -(-channels // 16) * 16


def is_chosen(x, weight, stride, pad, dilation, groups):
    f = form(x, weight, stride, pad)
    if f is None or (dilation, groups) != (1, 1):
        return False
    cout, cin, kh, kw = weight.shape
    return kh * kw * f.height * f.width * cin * cout >= f.cost(cin, cout)


def _phases(x, weight, f, pad):
    """The same with stride 1 and no padding: x with what tiles read beyond the image."""
    s, (n, cin), cout = f.stride, x.shape[:2], weight.shape[0]
    sizes = [-(-pixels // f.out) * f.out + f.taps - 1 for pixels in (f.height, f.width)]
    room = [(pad, max(0, size * s - pad - there))
            for size, there in zip(sizes, x.shape[2:], strict=True)]
    x = np.pad(x, [(0, 0), (0, 0), *room])[:, :, : sizes[0] * s, : sizes[1] * s]
    x = x.reshape(n, cin, sizes[0], s, sizes[1], s).transpose(0, 1, 3, 5, 2, 4)
    taps = [(0, f.taps * s - k) for k in weight.shape[2:]]
    weight = np.pad(weight, [(0, 0), (0, 0), *taps])
    weight = weight.reshape(cout, cin, f.taps, s, f.taps, s).transpose(0, 1, 3, 5, 2, 4)
    return (x.reshape(n, f.channels(cin), *sizes),
            weight.reshape(cout, f.channels(cin), f.taps, f.taps))


POINTS = (0, 1, -1, 2, -2)


def _both_axes(of_rows, of_cols, x):
    """A transform of columns, then of rows; x [i,j,...]"""
    return of_cols(of_rows(x).swapaxes(0, 1)).swapaxes(0, 1)


def _single(x):
    return np.asarray(x, np.float32).astype(np.float64)


def _weights(g, size):
    """G along the first axis, rounded as the library does: zeros and NaN are where it has them."""
    ends, odd, even, odd_2 = _single(g[0] + g[2]), g[1], _single(4 * g[2] + g[0]), g[1]
    if len(g) > 3:
        odd, odd_2 = _single(g[1] + g[3]), _single(4 * g[3] + g[1])
    if len(g) > 4:
        ends, even = _single(ends + g[4]), _single(16 * g[4] + even)
    u = [g[0], _single(ends + odd), _single(ends - odd), _single(2 * odd_2 + even),
         _single(even - 2 * odd_2)]
    if size == LARGE:
        half = _single(4 * g[0] + g[2])
        u += [_single(2 * g[1] + half), _single(half - 2 * g[1])]
    return np.stack([*u, g[-1]])


def _weights_matrix(taps, size):
    rows = [[p**i for i in range(taps)] for p in POINTS]
    if size == LARGE:
        rows += [[4 * p**i for i in range(taps)] for p in (1 / 2, -1 / 2)]
    return np.array([*rows, [0] * (taps - 1) + [1]], np.float64)


def _transformed_weights(weight, size):
    """[cout,channels,taps,taps] to U [size,size,cout,channels]"""
    def of(g):
        return _weights(g, size)

    return _both_axes(of, of, weight.transpose(2, 3, 0, 1))


def _weight_magnitudes(weight, size):
    """|G| |g| |G'| [size,size,cout,channels]"""
    of = _magnitudes(_weights_matrix(weight.shape[2], size))
    return _both_axes(of, of, np.abs(weight.transpose(2, 3, 0, 1)))


def _magnitudes(matrix):
    return lambda x: np.tensordot(np.abs(matrix), x, 1)


class Transform(NamedTuple):
    """B' and A' along the first axis, in the order of operations that numerics.md names, and
    their coefficients."""
    pixels: int
    input: callable
    output: callable
    input_matrix: np.ndarray
    output_matrix: np.ndarray

    def positions(self, size):
        """The rows of U that take part, of so many."""
        return [*range(self.input_matrix.shape[0] - 1), size - 1]

    def magnitudes(self):
        return self._replace(input=_magnitudes(self.input_matrix),
                             output=_magnitudes(self.output_matrix))


def _whole_input(x):
    p, q, s, t = x[4] - 4 * x[2], x[3] - 4 * x[1], x[4] - x[2], x[3] - x[1]
    return np.stack([4 * x[0] + (x[4] - 5 * x[2]), p + q, p - q, s + 2 * t, s - 2 * t,
                     4 * x[1] + (x[5] - 5 * x[3])])


def _whole_output(out):
    def output(m):
        s1, d1, s2, d2 = (m[1] + m[2]) / -6, (m[1] - m[2]) / -6, m[3] + m[4], m[3] - m[4]
        y = [s2 / 24 + (m[0] / 4 + s1), d2 / 12 + d1, s2 / 6 + s1, d2 / 3 + d1][:out]
        y[-1] = y[-1] + m[5]
        return np.stack(y)

    return output


def _short_input(x):
    return np.stack([x[0] - x[2], x[1] + x[2], x[2] - x[1], x[3] - x[1]])


def _short_output(m):
    return np.stack([(m[1] + m[2]) / 2 + m[0], (m[1] - m[2]) / 2 + m[3]])


def _whole(out):
    factors = np.array([1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24])
    matrix = np.zeros((out, 6))
    matrix[:, :5] = [[f * p**i for f, p in zip(factors, POINTS, strict=True)] for i in range(out)]
    matrix[-1, 5] = 1
    return Transform(
        out, _whole_input, _whole_output(out),
        np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                  [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], np.float64),
        matrix)


SHORT = Transform(
    2, _short_input, _short_output,
    np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]], np.float64),
    np.array([[1, 1 / 2, 1 / 2, 0], [0, 1 / 2, -1 / 2, 1]]))


def _large_input(x):
    p, q = (x[2] + x[6]) - 4.25 * x[4], (x[1] + x[5]) - 4.25 * x[3]
    s, t = x[2] / 4 + (x[6] - 1.25 * x[4]), x[1] / 4 + (x[5] - 1.25 * x[3])
    u, v = 4 * x[2] + (x[6] - 5 * x[4]), 4 * x[1] + (x[5] - 5 * x[3])
    return np.stack([5.25 * (x[4] - x[2]) + (x[0] - x[6]), p + q, p - q, s + 2 * t, s - 2 * t,
                     u + v / 2, u - v / 2, 5.25 * (x[3] - x[5]) + (x[7] - x[1])])


def _large_output(m):
    s1, d1 = (m[1] + m[2]) * (-2 / 9), (m[1] - m[2]) * (-2 / 9)
    s2, d2, s3, d3 = m[3] + m[4], m[3] - m[4], m[5] + m[6], m[5] - m[6]
    return np.stack([8 / 45 * s3 + (s2 / 90 + (m[0] + s1)), 4 / 45 * d3 + (d2 / 45 + d1),
                     2 / 45 * s3 + (2 / 45 * s2 + s1), d3 / 45 + (4 / 45 * d2 + d1),
                     s3 / 90 + (8 / 45 * s2 + s1), d3 / 180 + (16 / 45 * d2 + d1) + m[7]])


def _large_matrices():
    a, b, c = 5.25, 4.25, 1.25
    inputs = [[1, 0, -a, 0, a, 0, -1, 0], [0, 1, 1, -b, -b, 1, 1, 0], [0, -1, 1, b, -b, -1, 1, 0],
              [0, 1 / 2, 1 / 4, -2 * c, -c, 2, 1, 0], [0, -1 / 2, 1 / 4, 2 * c, -c, -2, 1, 0],
              [0, 2, 4, -5 / 2, -5, 1 / 2, 1, 0], [0, -2, 4, 5 / 2, -5, -1 / 2, 1, 0],
              [0, -1, 0, a, 0, -a, 0, 1]]
    outputs = np.zeros((6, 8))
    points, factors = (*POINTS, 1 / 2, -1 / 2), (1, *[-2 / 9] * 2, *[1 / 90] * 2, *[8 / 45] * 2)
    outputs[:, :7] = [[f * p**i for f, p in zip(factors, points, strict=True)] for i in range(6)]
    outputs[-1, 7] = 1
    return np.array(inputs, np.float64), outputs


LARGEST = Transform(6, _large_input, _large_output, *_large_matrices())


def _parts(f, pixels):
    """Of rows or columns: where a run of tiles begins, how many there are, their transform."""
    if f.taps > 3:
        return [(0, -(-pixels // f.out), _whole(f.out))]
    whole = LARGEST if f.size == LARGE else _whole(4)
    tiles, rest = divmod(pixels + 1, f.out)  # a tile that lacks a pixel is as the whole ones
    begin = f.out * tiles
    left = max(0, rest - 1)
    runs = [(0, tiles, whole), (begin, left > 0, SHORT if left <= 2 else _whole(4))]
    return [run for run in runs if run[1]]


def _tiles(x, f, rows, cols):
    """[n,c,h,w] to [i,j,c,n,rows,cols]"""
    windows = x
    for axis, (begin, count, of) in ((2, rows), (3, cols)):
        span = of.pixels + f.taps - 1
        windows = np.take(windows, begin + f.out * np.arange(count)[:, None] + np.arange(span),
                          axis)
        windows = np.moveaxis(windows, axis + 1, -1)
    return windows.transpose(4, 5, 1, 0, 2, 3)


def _convolved(u, x, f, magnitudes=False):
    """y [n,cout,h,w] of the phases x"""
    y = np.empty((x.shape[0], u.shape[2], f.height + f.out, f.width + f.out))
    for rows in _parts(f, f.height):
        for cols in _parts(f, f.width):
            (r, n_rows, of_rows), (c, n_cols, of_cols) = rows, cols
            tiles, h, w = _tiles(x, f, rows, cols), of_rows.pixels, of_cols.pixels
            if magnitudes:
                of_rows, of_cols = of_rows.magnitudes(), of_cols.magnitudes()
            v = _both_axes(of_rows.input, of_cols.input, tiles)
            there = np.ix_(of_rows.positions(f.size), of_cols.positions(f.size))
            m = u[there] @ v.reshape(*v.shape[:3], -1)
            part = _both_axes(of_rows.output, of_cols.output, m.reshape(*m.shape[:3], *v.shape[3:]))
            y[:, :, r : r + h * n_rows, c : c + w * n_cols] = part.transpose(
                3, 2, 4, 0, 5, 1).reshape(*y.shape[:2], h * n_rows, w * n_cols)
    return y[:, :, : f.height, : f.width]


def error(x, weight, bias, stride, pad, combined=False):
    """What float32 may add; combined: to any sum and difference of all output channels."""
    f = form(x, weight, stride, pad)
    phases, kernels = _phases(np.abs(x), np.abs(weight), f, pad)
    u = _weight_magnitudes(kernels, f.size)
    if combined:
        u = np.sum(u, 2, keepdims=True)
    total = _convolved(u, phases, f, magnitudes=True)
    if bias is not None:
        total = total + np.abs(bias)[:, None, None]
    roundings = 24 if f.size == LARGE else 22 if f.taps == 5 else 20
    return (phases.shape[1] + roundings) * U * total


def where_not_finite(x, weight, bias, stride, pad, v):
    """v, and the infinities and NaN of the formula: one in a tile reaches all its results."""
    f = form(x, weight, stride, pad)
    phases, kernels = _phases(x, weight, f, pad)
    y = _convolved(_transformed_weights(kernels, f.size), phases, f)
    y = y + (0 if bias is None else bias[:, None, None])
    return np.where(np.isfinite(y), v, y)
