"""The comparison itself: it takes what a bound allows and nothing beside it."""
import numpy as np
import pytest

from bounds import Bounded, depth, difference, half_ulp, to_half

ONE_ULP = 2.0**-10  # of 1


def result(*halves):
    return np.array(halves, np.float16).astype(np.float32)


@pytest.mark.parametrize(("v", "want"), [
    (1.0, 1.0), (1 + ONE_ULP / 2, 1.0), (1 + 1.5 * ONE_ULP, 1 + 2 * ONE_ULP),
    (1 + ONE_ULP / 2 + 2.0**-40, 1 + ONE_ULP), (65519.99, 65504), (65520, np.inf),
    (-65520, -np.inf), (2.0**-25, 0), (-(2.0**-26), -0.0), (1.5 * 2.0**-24, 2.0**-23),
    (np.nan, np.nan), (-0.0, -0.0),
])
def test_exact_results_are_rounded_once(v, want):
    exact = Bounded(np.array([v]))
    assert difference(result(want), exact) is None
    with np.errstate(over="ignore"):
        neighbours = [np.nextafter(np.float16(want), np.float16(s)) for s in (-np.inf, np.inf)]
    for other in [*neighbours, -np.float16(want)]:
        if other.view(np.uint16) != np.float16(want).view(np.uint16):
            assert difference(result(other), exact) is not None


def test_a_bound_allows_what_rounds_from_inside_it():
    v, e = 1 + 0.25 * ONE_ULP, 0.5 * ONE_ULP
    for got, good in [(1, True), (1 + ONE_ULP, True), (1 - ONE_ULP / 2, False),
                      (1 + 2 * ONE_ULP, False), (np.nan, False)]:
        assert (difference(result(got), Bounded(np.array([v]), e)) is None) is good, got
    beyond = Bounded(np.array([65510.0]), 16.0)
    assert difference(result(65504), beyond) is None
    assert difference(result(np.inf), beyond) is None
    assert difference(result(65472), beyond) is not None


def test_infinities_and_nan_are_themselves():
    v = np.array([np.inf, -np.inf, np.nan])
    assert difference(result(*v), Bounded(v, 1.0)) is None
    for i in range(3):
        for other in {65504.0, np.inf, -np.inf} - {v[i]}:
            got = v.copy()
            got[i] = other
            assert difference(result(*got), Bounded(v, 1.0)) is not None


def test_signs_of_zeros():
    zero = np.array([0.0])
    assert difference(result(-0.0), Bounded(zero, 0.0)) is None
    assert difference(result(-0.0), Bounded(zero)) is not None
    assert difference(result(-0.0), Bounded(zero, 2.0**-25, signed=True)) is not None
    assert difference(result(-0.0), Bounded(-zero, 2.0**-25, signed=True)) is None


def test_a_difference_is_told():
    got = np.float32([[1, 2], [3, 4]])
    told = difference(got, Bounded(got.astype(np.float64) + [[0, 0], [1, 0]], 0.25))
    assert told.startswith("1 of 4 wrong; element [1, 0] is ")
    assert told.endswith("allowed before rounding 0.25")
    assert "element [] is" in difference(np.float32(1), Bounded(np.float64(2)))


def test_what_is_refused_outright():
    assert "shape" in difference(result(1, 1), Bounded(np.array([1.0])))
    with pytest.raises(AssertionError, match="not binary16"):
        difference(np.array([1 + 2.0**-20], np.float32), Bounded(np.array([1.0]), 1.0))
    with pytest.raises(AssertionError, match="no bound"):
        difference(result(1), Bounded(np.array([1.0]), np.array([np.inf])))


def test_units():
    assert half_ulp(1.0) == ONE_ULP / 2
    assert half_ulp(1.999) == ONE_ULP / 2 and half_ulp(-2.0) == ONE_ULP
    assert half_ulp(0.0) == half_ulp(2.0**-20) == half_ulp(2.0**-14) == 2.0**-25
    assert to_half(0.1).view(np.uint16) == 0x2E66
    # Lane of one element, of 64, two blocks.
    assert [depth(1), depth(64), depth(65), depth(4096), depth(4097)] == [8, 8, 9, 71, 72]
