"""The table of oracles and cases is complete: nothing the command can do is left out of it."""
import inspect

from cases import CASES, HIGHEST_RANK, cases_of
from op_info import REQUIRED, computing_ops, op_info, op_names
from oracles import ORACLES

# Compared in test_leaves.py.
LEAVES = {"input", "const"}


def test_every_operator_has_an_oracle_and_cases(aneforge):
    names = computing_ops(aneforge)
    assert set(op_names(aneforge)) - set(names) == LEAVES
    assert sorted(ORACLES) == sorted(names)
    assert sorted(CASES) == sorted(names)


def test_oracle_has_the_operator_s_signature(aneforge, op):
    """Operands and attributes by the same names, in the same order, with the same defaults."""
    info = op_info(aneforge, op)
    parameters = inspect.signature(ORACLES[op]).parameters.values()
    operands = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    attrs = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert tuple(p.name for p in operands) == info.operands
    assert sum(p.default is None for p in operands) == info.n_optional
    assert list(attrs) == list(info.attrs)
    for name, default in info.attrs.items():
        assert attrs[name] is inspect.Parameter.empty if default is REQUIRED else (
            attrs[name] == default), name


def sizes(case):
    return [d for operand in case.operands if operand for d in operand.shape]


def test_cases_are_ordinary_degenerate_and_odd(op):
    cases = cases_of(op)
    assert any(set(c.operands[0].shape) == {1} for c in cases), "no case of size 1"
    assert any(d > 2 and d % 2 for c in cases for d in sizes(c)), "no odd size"
    ranks = [len(o.shape) for c in cases for o in c.operands if o]
    assert max(ranks) == HIGHEST_RANK.get(op, 8)


def test_cases_vary_every_attribute(aneforge, op):
    info, cases = op_info(aneforge, op), cases_of(op)
    for name, default in info.attrs.items():
        given = {str(c.attrs[name]) for c in cases if name in c.attrs}
        assert len(given) >= (2 if default is REQUIRED else 1), name
        if default is not REQUIRED:
            assert any(float(v) != default for v in given), name
            assert any(name not in c.attrs for c in cases), name


def test_cases_leave_out_every_optional_operand(aneforge, op):
    info, cases = op_info(aneforge, op), cases_of(op)
    for i in range(len(info.operands) - info.n_optional, len(info.operands)):
        present = [i < len(c.operands) and c.operands[i] is not None for c in cases]
        assert any(present) and not all(present), info.operands[i]
