"""Random graphs: every step against its formula in float64, and the whole against its steps.

First every value of the graph is an output.  Each is then compared with the float64 oracle of its
operator on the values its operands had: no error is carried along, so the bounds are those of
single operators.  Then only the values that nothing uses are outputs, fused and unfused: they must
have the bits they had before.  ORACLE_EXAMPLES is the number of graphs (60), the same ones each
time.
"""
import os

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from bounds import difference
from op_info import computing_ops, op_info
from oracles import ORACLES
from recipes import RECIPES, RandomGraph
from samples import as_operands

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "60"))


def test_every_operator_can_be_drawn(aneforge):
    assert sorted(RECIPES) == sorted(computing_ops(aneforge))


def as_output(graph, value):
    """Of a boolean, a cast: an output holds numbers."""
    return graph.apply("cast", [value.name]) if value.boolean else value.name


def run_steps(g, folder):
    """The graph with every value as an output: value name to float32 array."""
    lines = list(g.graph.lines)
    ports = {v.name: g.graph.output(as_output(g.graph, v)) for v in g.values}
    got = g.graph.run(g.aneforge, folder)
    g.graph.lines, g.graph.outputs = lines, []
    return {name: got[port] for name, port in ports.items()}


def check_steps(g, got):
    for v in g.values:
        if not v.op:
            continue
        arrays = [None if o is None else got[o.name] != 0 if o.boolean else got[o.name]
                  for o in v.operands]
        operands = as_operands(op_info(g.aneforge, v.op), arrays)
        with np.errstate(all="ignore"):
            want = ORACLES[v.op](*operands, **v.attrs)
        wrong = difference(got[v.name], want)
        assert wrong is None, f"{v.name} = {v.op}: {wrong}"


def check_whole(g, got, folder):
    used = {o.name for v in g.values for o in v.operands if o}
    last = [v for v in g.values if v.op and v.name not in used]
    ports = {v.name: g.graph.output(as_output(g.graph, v)) for v in last}
    for level in ("default", "none"):
        whole = g.graph.run(g.aneforge, folder, "--opt", level)
        for name, port in ports.items():
            same = np.array_equal(whole[port].view(np.uint32), got[name].view(np.uint32))
            assert same, f"{name} has other bits with --opt {level} than as a step"


@settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
          suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_graph(aneforge, tmp_path_factory, data):
    g = RandomGraph(data.draw, aneforge)
    g.leaf(g.shape(g.pick((4, 4, 2, 3, 1))), constant=False)
    wanted = data.draw(st.lists(st.sampled_from(sorted(RECIPES)), min_size=4, max_size=16))
    if not sum(g.add(op) for op in wanted):
        return
    note(g.graph.text())
    folder = tmp_path_factory.getbasetemp()
    got = run_steps(g, folder)
    check_steps(g, got)
    check_whole(g, got, folder)
