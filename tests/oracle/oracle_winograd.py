"""Convolutions by Winograd's formula: which they are, what float32 may add to them, and where an
infinity or a NaN goes.

Of finite operands the value is that of the plain convolution.  A stride is first taken apart into
its phases, which are channels of a convolution of stride 1.  The bound follows the formula of
docs/numerics.md, U = G g G', V = B' d B, M = sum of U V, y = A' M A, with every coefficient and
every operand replaced by its magnitude:

    U            2 on each way through a pass of G, of which there are two; 3 of five taps
    V            2 for a pass of B'
    M            a chain of fused multiply-adds over the channels
    y            5 for a pass of A', one of them of a constant, then the bias

which with one for second-order terms is (channels + 20) u, or 22 with five taps, of
|A'| (sum of |G| |g| |G'| |B'| |d| |B|) |A|.  Tiles of 4x4 that an image leaves one or two rows or
columns of are computed by F(2, 3) there, with fewer roundings.
"""
from typing import NamedTuple

import numpy as np

from bounds import U

INPUT, PHASE, OUTPUT, WEIGHTS, FEW_WEIGHTS = 380, 260, 240, 200, 144
POINTS = (0, 1, -1, 2, -2)


class Form(NamedTuple):
    """Of a convolution: phases along a side, taps of their kernels, pixels of a tile, and the rows
    and columns of the output."""
    stride: int
    taps: int
    out: int
    height: int
    width: int

    def channels(self, cin):
        return cin * self.stride**2


def form(x, weight, stride, pad):
    """None where the formula can not compute it."""
    taps = {-(-k // stride) for k in weight.shape[2:]}
    if len(taps) > 1 or not taps <= {3, 4, 5} or stride > 4:
        return None
    height, width = ((size + 2 * pad - k) // stride + 1
                     for size, k in zip(x.shape[2:], weight.shape[2:], strict=True))
    return Form(stride, *taps, 7 - max(taps), height, width)


def _positions(f, pixels):
    if f.out == 4:
        return pixels // 4 * 6 + (0, 3, 4, 5)[pixels % 4]
    return -(-pixels // f.out) * 6


def _panels(channels):
    return -(-channels // 16) * 16


def is_chosen(x, weight, stride, pad, dilation, groups):
    f = form(x, weight, stride, pad)
    if f is None or (dilation, groups) != (1, 1):
        return False
    cout, cin, kh, kw = weight.shape
    tiles = -(-f.height // f.out) * -(-f.width // f.out)
    products = _positions(f, f.height) * _positions(f, f.width)
    plain = (stride, f.taps) == (1, 3)
    cost = f.channels(cin) * _panels(cout) * (products + (FEW_WEIGHTS if plain else WEIGHTS))
    cost += tiles * (_panels(f.channels(cin)) * (INPUT if stride == 1 else INPUT + PHASE)
                     + _panels(cout) * OUTPUT)
    return kh * kw * f.height * f.width * cin * cout >= cost


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


def _both_axes(of_rows, of_cols, x):
    """A transform of columns, then of rows; x [i,j,...]"""
    return of_cols(of_rows(x).swapaxes(0, 1)).swapaxes(0, 1)


def _single(x):
    return np.asarray(x, np.float32).astype(np.float64)


def _weights(g):
    """G along the first axis, rounded as the library does: zeros and NaN are where it has them."""
    ends, odd, even, odd_2 = _single(g[0] + g[2]), g[1], _single(4 * g[2] + g[0]), g[1]
    if len(g) > 3:
        odd, odd_2 = _single(g[1] + g[3]), _single(4 * g[3] + g[1])
    if len(g) > 4:
        ends, even = _single(ends + g[4]), _single(16 * g[4] + even)
    return np.stack([g[0], _single(ends + odd), _single(ends - odd), _single(2 * odd_2 + even),
                     _single(even - 2 * odd_2), g[-1]])


def _weights_matrix(taps):
    last = [0] * (taps - 1) + [1]
    return np.array([[p**i for i in range(taps)] for p in POINTS] + [last], np.float64)


def _transformed_weights(weight):
    """[cout,channels,taps,taps] to U [6,6,cout,channels]"""
    return _both_axes(_weights, _weights, weight.transpose(2, 3, 0, 1))


def _weight_magnitudes(weight):
    """|G| |g| |G'| [6,6,cout,channels]"""
    of = _magnitudes(_weights_matrix(weight.shape[2]))
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
        out, [0, 1, 2, 3, 4, 5], _whole_input, _whole_output(out),
        np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                  [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], np.float64),
        matrix)


SHORT = Transform(
    2, [0, 1, 2, 5], _short_input, _short_output,
    np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]], np.float64),
    np.array([[1, 1 / 2, 1 / 2, 0], [0, 1 / 2, -1 / 2, 1]]))


def _parts(f, pixels):
    """Of rows or columns: where a run of tiles begins, how many there are, their transform."""
    if f.out < 4:
        return [(0, -(-pixels // f.out), _whole(f.out))]
    tiles = (pixels + 1) // 4  # with three pixels or four
    runs = [(0, tiles, _whole(4)), (4 * tiles, 1 if 4 * tiles < pixels else 0, SHORT)]
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
    y = np.empty((x.shape[0], u.shape[2], f.height + 4, f.width + 4))
    for rows in _parts(f, f.height):
        for cols in _parts(f, f.width):
            (r, n_rows, of_rows), (c, n_cols, of_cols) = rows, cols
            tiles, h, w = _tiles(x, f, rows, cols), of_rows.pixels, of_cols.pixels
            if magnitudes:
                of_rows, of_cols = of_rows.magnitudes(), of_cols.magnitudes()
            v = _both_axes(of_rows.input, of_cols.input, tiles)
            m = u[np.ix_(of_rows.positions, of_cols.positions)] @ v.reshape(*v.shape[:3], -1)
            part = _both_axes(of_rows.output, of_cols.output, m.reshape(*m.shape[:3], *v.shape[3:]))
            y[:, :, r : r + h * n_rows, c : c + w * n_cols] = part.transpose(
                3, 2, 4, 0, 5, 1).reshape(*y.shape[:2], h * n_rows, w * n_cols)
    return y[:, :, : f.height, : f.width]


def error(x, weight, bias, stride, pad, combined=False):
    """What float32 may add; combined: to any sum and difference of all output channels."""
    f = form(x, weight, stride, pad)
    phases, kernels = _phases(np.abs(x), np.abs(weight), f, pad)
    u = _weight_magnitudes(kernels)
    if combined:
        u = np.sum(u, 2, keepdims=True)
    total = _convolved(u, phases, f, magnitudes=True)
    if bias is not None:
        total = total + np.abs(bias)[:, None, None]
    return (phases.shape[1] + (22 if f.taps == 5 else 20)) * U * total


def where_not_finite(x, weight, bias, stride, pad, v):
    """v, and the infinities and NaN of the formula: one in a tile reaches all its results."""
    f = form(x, weight, stride, pad)
    phases, kernels = _phases(x, weight, f, pad)
    y = _convolved(_transformed_weights(kernels), phases, f)
    y = y + (0 if bias is None else bias[:, None, None])
    return np.where(np.isfinite(y), v, y)
