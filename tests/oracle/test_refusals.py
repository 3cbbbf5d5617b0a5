"""What does not fit is refused by the command: nothing is written, and one message names the line,
the operator, what was given and what is needed.  The exit code is 2 where an operator refuses, 4
where the text is at fault."""
import numpy as np
import pytest

from cases import parse_operands
from graph_run import call_text, command, shape_text
from op_info import op_info
from oracle_elementwise import EXACT_BINARY, EXACT_UNARY, FUNCTIONS
from samples import as_call

# Operands as in cases.py, attributes, message.  One or more of each operator.
REFUSED = {
    **{op: [("b[3]", "", f"{op}: x is bool, needs float16")] for op in (
        *FUNCTIONS, *(op for op in EXACT_UNARY if op not in ("logical_not", "cast")))},
    **{op: [("[2,3] [4]", "", f"{op}: shapes [2,3] and [4] do not broadcast"),
            ("[2,3] u[3]", "", f"{op}: b is uint8, needs float16")]
       for op in (*EXACT_BINARY, "pow")},
    "logical_not": [("[3]", "", "logical_not: x is float16, needs bool")],
    "cast": [("[3]", "", "cast: x is float16, needs uint8 or bool")],
    "rsqrt": [("b[3]", "eps=1", "rsqrt: x is bool, needs float16")],
    "log": [("u[3]", "", "log: x is uint8, needs float16")],
    "elu": [("u[3]", "", "elu: x is uint8, needs float16")],
    "leaky_relu": [("b[3]", "", "leaky_relu: x is bool, needs float16")],
    "scale": [("b[3]", "factor=2", "scale: x is bool, needs float16")],
    "clip": [("[3]", "lo=1, hi=0", "clip: lo 1 is above hi 0")],
    "select": [("[3] [3] [3]", "", "select: cond is float16, needs bool"),
               ("b[4] [2] [2]", "", "select: shapes [4] and [2] do not broadcast")],
    "matmul": [("[2,3] w[4,5]", "", "matmul: w [4,5] needs K 4, x [2,3] has 3"),
               ("[3] w[3]", "", "matmul: w [3] has rank 1, needs 2")],
    "linear": [("[2,3] w[5,4]", "", "linear: weight [5,4] needs K 4, x [2,3] has 3"),
               ("[2,3] w[5,3] w[1,5]", "", "linear: bias [1,5] given, needs [5] for weight [5,3]")],
    "bmm": [("[2,3] [4,5]", "", "bmm: b [4,5] needs K 4, a [2,3] has 3"),
            ("[2,4,3] [5,3,4]", "",
             "bmm: batch dims of a [2,4,3] and b [5,3,4] do not broadcast")],
    "conv": [
        ("[1,3,9,9] w[16,4,3,3]", "", "conv: weight [16,4,3,3] needs Cin 4, x [1,3,9,9] has 3"),
        ("[1,1,3,9] w[1,1,5,5]", "",
         "conv: kernel of weight [1,1,5,5], dilation 1, does not fit x [1,1,3,9], pad 0"),
        ("[3,9,9] w[1,3,3,3]", "", "conv: x [3,9,9] has rank 3, needs 4")],
    "conv_transpose": [
        ("[1,3,8,8] w[4,2,3,3]", "",
         "conv_transpose: weight [4,2,3,3] needs Cin 4, x [1,3,8,8] has 3"),
        ("[1,1,2,2] w[1,1,3,3]", "pad=2",
         "conv_transpose: pad 2 leaves nothing of x [1,1,2,2], weight [1,1,3,3]")],
    "mean": [("[2,3]", "axes=[2]", "mean: axis 2 is out of range for rank 2")],
    "sum": [("[2,3]", "axes=[-3]", "sum: axis -3 is out of range for rank 2")],
    "amax": [("[2,3]", "axes=[1,-1]", "amax: axis 1 is given twice")],
    "amin": [("[2,3]", "axes=[]", "amin: axes is empty, needs at least one")],
    "softmax": [("[]", "", "softmax: axis -1 is out of range for rank 0")],
    "l2_norm": [("[2]", "axis=-2", "l2_norm: axis -2 is out of range for rank 1"),
                ("[2]", "eps=-1", "l2_norm: eps is -1, needs a finite number, 0 or more")],
    "rms_norm": [("[4,8] w[1,8]", "", "rms_norm: gamma [1,8] given, needs [8] for x [4,8]")],
    "layer_norm": [("[4,8] w[8] w[4]", "", "layer_norm: beta [4] given, needs [8] for x [4,8]")],
    "group_norm": [("[1,6,2] w[6] w[6]", "num_groups=4",
                    "group_norm: C 6 of x [1,6,2] is not divisible by num_groups 4")],
    "batch_norm": [("[1,6] w[6] w[6] w[6] w[5]", "",
                    "batch_norm: var [5] given, needs [6] for x [1,6]")],
    "max_pool": [("[1,1,3,9]", "k=6, pad=1", "max_pool: window 6 does not fit x [1,1,3,9], pad 1")],
    "avg_pool": [("[1,1,8,8]", "k=2, pad=2", "avg_pool: pad 2 given, needs less than k 2")],
    "upsample": [("[8,8]", "", "upsample: x [8,8] has rank 2, needs 4"),
                 ("[1,1,8,8]", "scale=0", "upsample: scale is 0, needs 1 to 1048576")],
    "pixel_shuffle": [("[1,6,8,8]", "r=2",
                       "pixel_shuffle: C 6 of x [1,6,8,8] is not divisible by r^2 = 4")],
    "pixel_unshuffle": [("[1,6,8,9]", "r=2",
                         "pixel_unshuffle: H and W of x [1,6,8,9] are not divisible by r 2")],
    "concat": [("[2,3,4] [2,3,5]", "",
                "concat: tensor 1 [2,3,5] and tensor 0 [2,3,4] differ outside axis 1")],
    "reshape": [
        ("[2,3]", "shape=[4]", "reshape: x [2,3] has 6 elements, shape [4] does not fit"),
        ("[6]", "shape=[0,6]", ("reshape: shape [0,6] needs dims of 1 or more, one may be "
                                "-1, and at most 2^40 elements"))],
    "squeeze": [("[2,1]", "axes=[0]", "squeeze: axis 0 of x [2,1] has size 2, needs 1")],
    "expand_dims": [("[2,3]", "axes=[3]", "expand_dims: axis 3 is out of range for rank 3")],
    "transpose": [("[2,3]", "perm=[1,-1]", "transpose: perm has axis 1 twice")],
    "slice": [("[2,4]", "begin=[0,2], size=[2,0]",
               "slice: begin [0,2] with size [2,0] is not inside x [2,4]"),
              ("[2,4]", "begin=[0,2], size=[2,3]",
               "slice: begin [0,2] with size [2,3] is not inside x [2,4]")],
    "split": [("[2,5]", "parts=2, index=0, axis=-1",
               "split: axis 1 of x [2,5] is not divisible into 2 parts")],
    "expand": [("[1]", "shape=[0]", "expand: x [1] does not broadcast to [0]"),
               ("[2,3]", "shape=[2,4]", "expand: x [2,3] does not broadcast to [2,4]")],
    "mha": [("[5,8] w[8,8] w[8,8] w[8,8] w[8,8]", "n_heads=3",
             "mha: width 8 of wq [8,8] is not divisible by n_heads 3"),
            ("[8] w[8,8] w[8,8] w[8,8] w[8,8]", "n_heads=2",
             "mha: x [8] has rank 1, needs 2 ([S,D]) or 3 ([N,S,D])")],
    "cross_attention": [
        ("[2,5,8] [3,5,8] w[8,8] w[8,8] w[8,8] w[8,8]", "n_heads=2",
         ("cross_attention: context [3,5,8] does not go with x [2,5,8], needs the same rank and "
          "batch"))],
    "geglu": [("[4,6] w[9,6]", "", "geglu: w [9,6] given, needs [2 F,6] for x [4,6]")],
}

TYPES = {"": "f16", "p": "f16", "b": "bool", "u": "u8"}


def refusal(aneforge, folder, lines):
    """The exit code, and the message without the file's name in front."""
    output = folder / "never.npz"
    text = "\n".join(["aneforge-graph 1", *lines, "return y", ""])
    code, out, err = command(aneforge, "run", "-", "--output", str(output), stdin=text)
    assert out == ""
    assert not output.exists()
    assert err.count("\n") == 1
    assert err.startswith("aneforge: run: -: ")
    return code, err.removeprefix("aneforge: run: -: ").rstrip()


def test_wrong_operands(aneforge, tmp_path, op):
    for text, attrs, message in REFUSED[op]:
        names, lines = [], []
        for i, operand in enumerate(parse_operands(text)):
            kind = f"{TYPES[operand.kind]}{shape_text(operand.shape)}"
            names.append(f"x{i}")
            constant = operand.constant or operand.kind == "b"
            lines.append(f"x{i} = " + (f"const {kind} fill(0)" if constant else f"input {kind}"))
        operands, named = as_call(op_info(aneforge, op), names)
        lines.append(f"y = {call_text(op, operands, named, attrs)}")
        assert refusal(aneforge, tmp_path, lines) == (
            2, f"line {len(lines) + 1}: {message}")


@pytest.mark.parametrize("kind", ["f16", "u8", "bool"])
@pytest.mark.parametrize("shape", ["[0]", "[0,3]", "[2,0]", "[1,3,0,4]"])
def test_size_0(aneforge, tmp_path, kind, shape):
    """Nothing of size 0 enters a graph; what would make one (a reshape, a slice, a window that does
    not fit) is among the refusals above."""
    need = f"line 2: shape {shape} needs dims of at least 1 and at most 2^40 elements"
    assert refusal(aneforge, tmp_path, [f"y = const {kind}{shape} fill(0)"]) == (4, need)
    if kind != "bool":
        assert refusal(aneforge, tmp_path, [f"y = input {kind}{shape}"]) == (4, need)


def test_rank_9(aneforge, tmp_path):
    refused = refusal(aneforge, tmp_path, ["y = input f16[1,1,1,1,1,1,1,1,1]"])
    assert refused == (4, "line 2: a shape has more than 8 entries")


@pytest.mark.parametrize("shape", [(0,), (2, 0), (3, 2), (2, 3, 1)])
def test_array_of_another_shape(aneforge, tmp_path, shape):
    (tmp_path / "net.graph").write_text("aneforge-graph 1\nx = input f16[2,3]\nreturn x\n")
    np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
    code, out, err = command(aneforge, "run", tmp_path / "net.graph", tmp_path / "a.npy")
    assert (code, out) == (2, "")
    assert err == (f"aneforge: run: {tmp_path}/a.npy: float32 {shape_text(shape)}, input 'x' needs "
                   "float16, float32 or float64 [2,3]\n")
