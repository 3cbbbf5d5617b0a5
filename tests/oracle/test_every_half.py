"""Elementwise operators on every binary16 value, and on all pairs of special ones."""
import numpy as np

from bounds import difference
from cases import cases_of
from graph_run import Graph
from op_info import computing_ops, op_info
from oracle_elementwise import ORACLES
from samples import COMPARISONS, add_op, as_operands

ALL = np.arange(65536, dtype=np.uint32).astype(np.uint16).view(np.float16)


def check_together(aneforge, folder, calls):
    """calls: (op, arrays, case or None for no attributes), all in one graph."""
    graph, fed, ports = Graph(), {}, []
    for op, arrays, case in calls:
        for array in arrays:
            if id(array) not in fed:
                fed[id(array)] = graph.input(array)
        names = [fed[id(array)] for array in arrays]
        text = case.attrs_text if case else ""
        ports.append(graph.output(add_op(graph, op_info(aneforge, op), names, text)))
    outputs = graph.run(aneforge, folder)
    for (op, arrays, case), port in zip(calls, ports, strict=True):
        operands = as_operands(op_info(aneforge, op), arrays)
        with np.errstate(all="ignore"):
            want = ORACLES[op](*operands, **(case.attrs if case else {}))
        wrong = difference(outputs[port], want)
        assert wrong is None, f"{op} ({case.attrs_text if case else ''}): {wrong}"


def takes_numbers(op, n):
    operands = cases_of(op)[0].operands
    return len(operands) == n and all(o.kind in ("", "p") for o in operands)


def test_every_unary_operator_on_every_value(aneforge, tmp_path):
    calls = {}
    for op in computing_ops(aneforge):
        if op in ORACLES and takes_numbers(op, 1):
            for case in cases_of(op):
                calls[op, case.attrs_text] = (op, [ALL], case)
    assert len(calls) > 40
    check_together(aneforge, tmp_path, list(calls.values()))


def special_values():
    """Both signs of: some values of every binade and its borders, small whole numbers, infinity."""
    exponents = np.arange(0, 31, 2, dtype=np.uint16) << 10
    bits = (exponents[:, None] | np.array([0, 1, 0x155, 0x200, 0x3FF], np.uint16)).ravel()
    whole = np.array([1, 2, 3, 5, 7, 10, 1023, 2047, 2048, 2050, 65504, np.inf, np.nan], np.float16)
    one_sign = np.concatenate([bits.view(np.float16), whole])
    return np.concatenate([one_sign, -one_sign])


def test_every_binary_operator_on_all_pairs_of_special_values(aneforge, tmp_path):
    v = special_values()
    rows, columns = v[:, None], v[None, :]
    binary = [op for op in computing_ops(aneforge) if op in ORACLES and takes_numbers(op, 2)]
    assert len(binary) == len(COMPARISONS) - 1 + 7
    check_together(aneforge, tmp_path, [(op, [rows, columns], None) for op in binary])
