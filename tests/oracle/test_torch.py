"""Every operator on every case, against PyTorch in float64."""
import numpy as np
import pytest

from bounds import Bounded, difference
from cases import fillings_of
from oracles import ORACLES


@pytest.fixture(scope="module")
def forms(torch):
    from torch_forms import FORMS

    return FORMS


def to_tensors(torch, operands):
    if isinstance(operands, list):
        return [to_tensors(torch, o) for o in operands]
    return operands if operands is None else torch.from_numpy(operands)


@pytest.mark.torch
def test_every_operator_has_a_form(forms):
    assert sorted(forms) == sorted(ORACLES)


@pytest.mark.torch
def test_operator_in_torch(torch, forms, samples, op):
    """Zeros of either sign are one value here; NumPy's comparison tells them apart."""
    for filling in set(fillings_of(op)) - {"special"}:
        for sample in samples(op, filling):
            operands, attrs = sample.operands(), sample.case.attrs
            with np.errstate(all="ignore"):
                e = ORACLES[op](*operands, **attrs).e
            v = forms[op](*to_tensors(torch, operands), **attrs).numpy()
            wrong = difference(sample.got, Bounded(v, 0.0 if e is None else e))
            assert wrong is None, f"{sample.case}, {filling}: {wrong}"
