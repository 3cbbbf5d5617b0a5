"""The examples run, those of the documentation too, and what can be right or wrong is right."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aneforge

TOP = Path(__file__).resolve().parent.parent.parent
EXAMPLES = TOP / "examples" / "python"
# One answer on every machine, so the words are the same on each.
PRINTED = {"compression.py": "int4, atol 0.15     34048  0.253    368    96.34%  0.997886  14 int4\n",
           "digits.py": "accuracy on 382 unseen images: 98.17 % (7 wrong)\n",
           "hello.py": "<aneforge.Model 7 ops, "}


def test_every_example_is_named():
    assert sorted(p.name for p in EXAMPLES.glob("*.py")) == sorted(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_example(name):
    folder = Path(aneforge.__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-B", EXAMPLES / name], text=True, capture_output=True,
                          check=False, env={**os.environ, "PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    assert PRINTED[name] in done.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_code_of_a_page(page):
    text = (TOP / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        names = {}
        exec(block, names)
        assert isinstance(names["net"], aneforge.Model)
