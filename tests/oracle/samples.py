"""A case of an operator with values for its operands, in a graph, and what the command gives."""
import zlib

import numpy as np

from cases import values

COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
               "logical_not"}


def as_call(info, names):
    """For call_text: names in the order of the operator's call, None where one is absent."""
    if info.variadic:
        return [names], []
    n = len(info.operands) - info.n_optional
    return names[:n], [(k, v) for k, v in zip(info.operands[n:], names[n:], strict=False) if v]


def add_op(graph, info, names, attrs_text):
    """A boolean result becomes numbers, which can be an output."""
    y = graph.apply(info.name, *as_call(info, names), attrs_text)
    return graph.apply("cast", [y]) if info.name in COMPARISONS else y


def as_operands(info, arrays):
    """float64 or bool arrays, None where absent, as the oracles take them."""
    wide = [a if a is None or a.dtype == np.bool_ else a.astype(np.float64) for a in arrays]
    return [wide] if info.variadic else wide


class Sample:
    """names: of the operands in the graph.  port: of the result.  got: the result, once run."""

    def __init__(self, info, case, filling, graph):
        rng = np.random.default_rng(zlib.crc32(f"{case} {filling}".encode()))
        self.info, self.case, self.got = info, case, None
        self.arrays = [o and values(rng, o, filling) for o in case.operands]
        names = [None if o is None else (graph.constant if o.constant else graph.input)(a)
                 for o, a in zip(case.operands, self.arrays, strict=True)]
        self.names = dict(zip(info.operands, names, strict=False))
        self.port = graph.output(add_op(graph, info, names, case.attrs_text))

    def operands(self):
        return as_operands(self.info, self.arrays)
