"""Write python/aneforge/_ops.py: one method or function per operator of the linked table.

    gen_python.py [--check] build-test/python/aneforge/_core.abi3.so

Operands come first, then the attributes, then the optional operands, each with the table's default, as
in `conv(x, weight, stride=1, pad=0, dilation=1, groups=1, bias=None)`.  An operator is a method of its
first operand unless FREE names it.  FORMS, NOTES and FIRST hold what Python does differently from the
table, and nothing else; an operator added to the table needs no line here.
"""
import argparse
import importlib.machinery
import importlib.util
import pathlib
import sys
import textwrap

PATH = pathlib.Path(__file__).resolve().parent.parent / "python" / "aneforge" / "_ops.py"

# Spelled as symbols, or made in another way.
SYMBOLS = {"input", "const", "matmul", "bmm", "add", "sub", "mul", "div", "neg"}
FREE = {"conv", "conv_transpose", "maximum", "minimum", "select", "batch_norm", "concat",
        "pixel_shuffle", "pixel_unshuffle", "mha", "cross_attention", "geglu"}
# Operator: the parameters in order, where they differ, as (name in Python, name in the table, default).
FORMS = {
    "mha": [("x", "x", ""), ("Wq", "wq", ""), ("bq", "bq", ""), ("Wk", "wk", ""), ("bk", "bk", ""),
            ("Wv", "wv", ""), ("bv", "bv", ""), ("Wo", "wo", ""), ("bo", "bo", ""),
            ("n_heads", "n_heads", "")],
    "cross_attention": [("x", "x", ""), ("context", "context", ""), ("Wq", "wq", ""),
                        ("Wk", "wk", ""), ("Wv", "wv", ""), ("Wo", "wo", ""),
                        ("n_heads", "n_heads", ""), ("bq", "bq", "None"), ("bk", "bk", "None"),
                        ("bv", "bv", "None"), ("bo", "bo", "None")],
    "geglu": [("x", "x", ""), ("W", "w", ""), ("b", "b", "")],
    "linear": [("x", "x", ""), ("W", "weight", ""), ("bias", "bias", "None")],
    "max_pool": [("x", "x", ""), ("k", "k", ""), ("stride", "stride", "None"), ("pad", "pad", "0")],
    "avg_pool": [("x", "x", ""), ("k", "k", ""), ("stride", "stride", "None"), ("pad", "pad", "0")],
    "reshape": [("x", "x", ""), ("*shape", "shape", "")],
}
# Operator: what Python adds to the sentence about it, and what the method does first.
NOTES = {
    "cast": "Inputs of bytes and images are fp16 already, and are returned as they are.",
}
FIRST = {
    "cast": ['if isinstance(self, Tensor) and self.op == "image_input":',
             "    return self"],
    "reshape": ["if len(shape) == 1:",
                "    shape = shape[0]"],
}
TYPES = {"int": "int", "float": "float", "ints": "Ints"}

HEAD = '''"""The operators, one method or function each.

Written by tools/gen_python.py from the operator table: do not edit.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, SupportsFloat, SupportsIndex, TypeAlias

from aneforge import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Ints: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
Operand: TypeAlias = "Tensor | ArrayLike"
Scalar: TypeAlias = int | float | SupportsFloat


class Tensor(_core.Node):
    """A value in a graph: what an operator makes.  It has a shape and no numbers.

    Made by aneforge.input and the operators; compiled with aneforge.compile.  `a + b`, `-`, `*`, `/`
    and `**` take Tensors and numbers and broadcast like NumPy; `x @ W` streams a weight array, and
    `x @ y` with a Tensor is a batched product.  Weights are float16, float32 or float64 arrays, and
    biases of integers or bool too; they are copied, and rounded once to float16.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    if TYPE_CHECKING:
        def __add__(self, other: Tensor | Scalar, /) -> Tensor: ...
        def __radd__(self, other: Scalar, /) -> Tensor: ...
        def __sub__(self, other: Tensor | Scalar, /) -> Tensor: ...
        def __rsub__(self, other: Scalar, /) -> Tensor: ...
        def __mul__(self, other: Tensor | Scalar, /) -> Tensor: ...
        def __rmul__(self, other: Scalar, /) -> Tensor: ...
        def __truediv__(self, other: Tensor | Scalar, /) -> Tensor: ...
        def __rtruediv__(self, other: Scalar, /) -> Tensor: ...
        def __pow__(self, other: Tensor | Scalar, mod: None = None, /) -> Tensor: ...
        def __rpow__(self, other: Scalar, mod: None = None, /) -> Tensor: ...
        def __matmul__(self, other: Operand, /) -> Tensor: ...
        def __neg__(self) -> Tensor: ...

    def __iter__(self) -> NoReturn:
        raise TypeError("a Tensor cannot be iterated: it holds no values")
'''


def number(attr):
    value = attr["default"]
    return str(int(value)) if attr["type"] == "int" else repr(float(value))


def parameters(op):
    """[(name in Python, name in the table, default or "", annotation)]"""
    kinds = {}
    for o in op["operands"]:
        tensors = "Sequence[Tensor]" if o["variadic"] else "Operand"
        kinds[o["name"]] = (tensors, "None" if o["optional"] else "")
    if op["operands"] and not op["operands"][0]["variadic"]:
        kinds[op["operands"][0]["name"]] = ("Tensor", "")
    for a in op["attrs"]:
        kinds[a["name"]] = (TYPES[a["type"]], "" if a["required"] else number(a))
    if op["name"] in FORMS:
        form = FORMS[op["name"]]
    else:
        required = [n for n, (_, default) in kinds.items() if not default]
        attrs = [a["name"] for a in op["attrs"] if not a["required"]]
        optional = [o["name"] for o in op["operands"] if o["optional"]]
        form = [(n, n, kinds[n][1]) for n in required + attrs + optional]
    assert sorted(t for _, t, _ in form) == sorted(kinds), f"{op['name']}: FORMS misses something"
    optional = {o["name"] for o in op["operands"] if o["optional"]}
    return [(name, table, default,
             kinds[table][0] + (" | None" if default == "None" or table in optional else ""))
            for name, table, default in form]


def definition(op):
    method = op["name"] not in FREE
    params = parameters(op)
    head, call = [], {}
    for name, table, default, annotation in params:
        if method and table == op["operands"][0]["name"]:
            head.append("self")
            call[table] = "self"
            continue
        if annotation.startswith("Operand") and not default and op["operands"][0]["name"] == table:
            annotation = "Tensor"
        call[table] = name.lstrip("*")
        head.append(f"{name}: {annotation if name[0] != '*' else 'Any'}"
                    + (f" = {default}" if default else ""))
    operands = "".join(call[o["name"]] + ", " for o in op["operands"]).strip()
    if len(op["operands"]) > 1:
        operands = operands.rstrip(",")
    attrs = ", ".join(f'"{a["name"]}": {call[a["name"]]}' for a in op["attrs"])
    first = f"def {op['name']}("
    pad = " " * (100 - (4 if method else 0))
    glued = ", ".join(h.replace(" ", "\0") for h in head)
    lines = textwrap.wrap(glued, len(pad) - len(first) - 12, break_long_words=False)
    signature = (first + ("\n" + " " * len(first)).join(lines) + ") -> Tensor:").replace("\0", " ")
    doc = textwrap.wrap(" ".join([op["doc"], NOTES.get(op["name"], "")]).strip(), len(pad) - 8)
    notes = [f"{a['name']}: {a['doc']}." for a in op["attrs"]]
    body = ['    """' + "\n    ".join(doc)]
    if notes:
        body += [""] + ["    " + n for n in notes] + ['    """']
    else:
        body[-1] += '"""'
    body += ["    " + line for line in FIRST.get(op["name"], [])]
    ret = f'    return _core.op("{op["name"]}", ({operands}), {{{attrs}}})'
    if len(ret) > len(pad):
        ret = (f'    return _core.op("{op["name"]}", ({operands}),\n'
               f"                    {{{attrs}}})")
    return "\n".join([signature, *body, ret])


def table(path):
    """The operators linked into the built module; its package is what we write, so not imported."""
    loader = importlib.machinery.ExtensionFileLoader("aneforge._core", path)
    core = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    return core.ops()


def source(path):
    ops = [op for op in table(path) if op["name"] not in SYMBOLS]
    parts = [HEAD]
    for op in ops:
        if op["name"] not in FREE:
            parts.append("\n" + textwrap.indent(definition(op), "    ",
                                                lambda line: bool(line.strip())) + "\n")
    free = [op for op in ops if op["name"] in FREE]
    for op in free:
        parts.append("\n\n" + definition(op) + "\n")
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it differs")
    parser.add_argument("module", help="the built _core.abi3.so")
    args = parser.parse_args()
    text = source(args.module)
    if args.check:
        if not PATH.exists() or PATH.read_text() != text:
            sys.exit("gen_python: python/aneforge/_ops.py differs from the operator table; "
                     "run tools/gen_python.py")
    else:
        PATH.write_text(text)


if __name__ == "__main__":
    main()
