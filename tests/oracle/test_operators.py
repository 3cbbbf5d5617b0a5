"""Every operator on every case, against its formula in float64."""
import numpy as np

from bounds import difference
from cases import fillings_of
from oracles import ORACLES


def test_operator(samples, op):
    for filling in fillings_of(op):
        for sample in samples(op, filling):
            with np.errstate(all="ignore"):
                want = ORACLES[op](*sample.operands(), **sample.case.attrs)
            wrong = difference(sample.got, want)
            assert wrong is None, f"{sample.case}, {filling}: {wrong}"
