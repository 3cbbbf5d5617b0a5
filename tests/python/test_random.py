"""Random graphs, drawn as tests/oracle draws them, built and run through the module.

Every step is compared with its formula in float64 on the values its operands had, within the bound
of that one operator; the whole, fused and not, must have the bits of its steps.  RANDOM_EXAMPLES is
the number of graphs (60), the same ones each time.
"""
import inspect
import operator
import os

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import aneforge as af
from aneforge import _core
from recipes import RECIPES, RandomGraph
from test_random_graphs import check_steps

EXAMPLES = int(os.environ.get("RANDOM_EXAMPLES", "60"))
SYMBOLS = {"matmul": operator.matmul, "bmm": operator.matmul, "add": operator.add,
           "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "pow": operator.pow,
           "neg": operator.neg}
TABLE = {op["name"]: op for op in _core.ops()}
WITH_WEIGHTS = {"linear", "conv", "conv_transpose", "layer_norm", "rms_norm", "group_norm",
                "batch_norm", "mha", "cross_attention", "geglu"}


def call(op, operands, attrs):
    """The operator as a user writes it; its optional operands are the last ones of `operands`."""
    if op in SYMBOLS:
        return SYMBOLS[op](*operands)
    function = getattr(af, op, None) or getattr(af.Tensor, op)
    if TABLE[op]["operands"][0]["variadic"]:
        operands = [operands]
    names = [o["name"] for o in sorted(TABLE[op]["operands"], key=lambda o: o["optional"])]
    given_by_name = {**dict(zip(names, operands, strict=False)), **attrs}
    first, *parameters = inspect.signature(function).parameters.values()
    positional, named = [given_by_name.pop(names[0])], {}
    for p in parameters:
        name = p.name if p.name in given_by_name else "weight" if p.name == "W" else p.name
        name = name if name in given_by_name else p.name.lower()
        if name not in given_by_name:
            continue
        value = given_by_name.pop(name)
        if p.kind is p.VAR_POSITIONAL:
            positional += value
        else:
            named[p.name] = value
    assert not given_by_name, f"{op}: {first} and {parameters} leave {given_by_name}"
    return function(*positional, **named)


class Built:
    """The values of a random graph as Tensors, and the arrays that feed its inputs."""

    def __init__(self, values):
        self.tensors, self.feeds = {}, []
        for v in values:
            if v.op:
                operands = [self.operand(v.op, i, o) for i, o in enumerate(v.operands)]
                self.tensors[v.name] = call(v.op, operands, v.attrs)

    def tensor(self, v):
        if v.name not in self.tensors:
            x = af.input(v.shape)
            self.feeds.append(v.array.astype(np.float64))
            self.tensors[v.name] = x.not_equal(0) if v.boolean else x
        return self.tensors[v.name]

    def operand(self, op, i, v):
        if v is None:
            return None
        weight = op == "matmul" or (op in WITH_WEIGHTS and v.name not in self.tensors)
        return v.array if weight and i > 0 and v.array is not None else self.tensor(v)

    def run(self, values, **options):
        """The value of each as float32, by name."""
        outs = [self.tensors[v.name].cast() if v.boolean else self.tensors[v.name] for v in values]
        with af.compile(outs, **options) as net:
            got = net(*self.feeds)
        return dict(zip((v.name for v in values), got if len(outs) > 1 else [got], strict=True))


@settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
          suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_graph(aneforge, data):
    g = RandomGraph(data.draw, aneforge)
    g.leaf(g.shape(g.pick((4, 4, 2, 3, 1))), constant=False)
    for op in data.draw(st.lists(st.sampled_from(sorted(RECIPES)), min_size=4, max_size=16)):
        g.add(op)
    made = [v for v in g.values if v.op]
    if not made:
        return
    note(g.graph.text())
    built = Built(g.values)
    got = {v.name: v.array.astype(np.float32) for v in g.values if not v.op}
    got |= built.run(made)
    check_steps(g, got)
    used = {o.name for v in g.values for o in v.operands if o}
    last = [v for v in made if v.name not in used]
    for opt in ("routes", 0):
        for name, whole in built.run(last, opt=opt).items():
            same = np.array_equal(whole.view(np.uint32), got[name].view(np.uint32))
            assert same, f"{name} has other bits with opt={opt!r} than as a step"
