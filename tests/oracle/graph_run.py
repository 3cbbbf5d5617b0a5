"""A graph text in the making, and the command that runs it."""
import subprocess
from pathlib import Path

import numpy as np

TYPES = {np.dtype(np.float16): "f16", np.dtype(np.uint8): "u8", np.dtype(np.bool_): "bool"}


def shape_text(shape):
    return "[" + ",".join(str(d) for d in shape) + "]"


def command(aneforge, *arguments, stdin=None):
    """Exit code, standard output, standard error."""
    done = subprocess.run([aneforge, *arguments], input=stdin, capture_output=True, text=True,
                          timeout=600, check=False)
    return done.returncode, done.stdout, done.stderr


def call_text(op, operands, named=(), attrs=""):
    """operands: names of values, or one list of them; named: (name, value) of optional ones."""
    words = ["[" + ", ".join(o) + "]" if isinstance(o, list) else o for o in operands]
    words += [f"{name}={value}" for name, value in named]
    return f"{op}({', '.join(words + [attrs] * bool(attrs))})"


class Graph:
    """Statements of a text with the arrays it is fed.  Methods return names of values."""

    def __init__(self):
        self.lines = ["aneforge-graph 1"]
        self.inputs, self.constants, self.outputs = {}, {}, []

    def value(self, definition):
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {definition}")
        return name

    def input(self, array):
        """A boolean has no port: it is fed as numbers and compared with 0."""
        if array.dtype == np.bool_:
            x, zero = self.input(array.astype(np.float16)), self.value("const f16[] {0}")
            return self.value(f"not_equal({x}, {zero})")
        name = self.value(f"input {TYPES[array.dtype]}{shape_text(array.shape)}")
        self.inputs[name] = array
        return name

    def constant(self, array):
        kind = f"{TYPES[array.dtype]}{shape_text(array.shape)}"
        if array.dtype == np.bool_:
            return self.value(f"const {kind} {{{','.join(str(int(b)) for b in array.flat)}}}")
        key = f"c{len(self.constants)}"
        self.constants[key] = array
        return self.value(f'const {kind} file("constants.npz", "{key}")')

    def apply(self, op, operands, named=(), attrs=""):
        return self.value(call_text(op, operands, named, attrs))

    def output(self, value):
        """The name of the output port."""
        self.outputs.append(value)
        return f"y{len(self.outputs) - 1}"

    def text(self):
        return "\n".join([*self.lines, "return " + ", ".join(self.outputs), ""])

    def write(self, folder):
        (folder / "net.graph").write_text(self.text())
        np.savez(folder / "inputs.npz", **self.inputs)
        if self.constants:
            np.savez(folder / "constants.npz", **self.constants)

    def run(self, aneforge, folder, *options):
        """float32 arrays by output port.  The folder may be used again."""
        folder = Path(folder)
        self.write(folder)
        inputs = [str(folder / "inputs.npz")] if self.inputs else []
        outputs = folder / "outputs.npz"
        outputs.unlink(missing_ok=True)
        code, _, err = command(aneforge, "run", *options, str(folder / "net.graph"), *inputs,
                               "--output", str(outputs))
        assert code == 0, f"exit {code}: {err}{self.text()}"
        with np.load(outputs) as arrays:
            return {name: arrays[name] for name in arrays.files}
