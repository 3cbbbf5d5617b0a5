"""What the command says about its operators: `aneforge ops`, read back."""
import re
from dataclasses import dataclass
from functools import cache

from graph_run import command

REQUIRED = object()


@dataclass(frozen=True)
class OpInfo:
    """operands: names in the order of the call, the optional ones last.  attrs: defaults."""

    name: str
    operands: tuple
    n_optional: int
    variadic: bool
    attrs: dict

    @property
    def is_leaf(self):
        return not self.operands


@cache
def op_names(aneforge):
    code, out, err = command(aneforge, "ops", "--names")
    assert code == 0, err
    return tuple(out.split())


@cache
def op_info(aneforge, name):
    code, out, err = command(aneforge, "ops", name)
    assert code == 0, err
    call = re.search(rf"^  {name}\((.*)\)$", out, re.MULTILINE)
    line = r"^  (\w+) +(?:integers?|number) +(required|default (\S+)) "
    attrs = {attr: REQUIRED if given == "required" else float(default)
             for attr, given, default in re.findall(line, out, re.MULTILINE)}
    words = re.findall(r"\[(\w+), \.\.\.\]|(\w+)(?:=([^,]+))?", call[1]) if call else []
    names = [(listed or word, value) for listed, word, value in words
             if (listed or word) not in attrs]
    return OpInfo(name, tuple(name for name, _ in names), sum(bool(v) for _, v in names),
                  bool(words and words[0][0]), attrs)


def computing_ops(aneforge):
    """All but the leaves of a graph."""
    return [name for name in op_names(aneforge) if not op_info(aneforge, name).is_leaf]
