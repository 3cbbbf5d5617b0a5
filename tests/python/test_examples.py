"""The examples run, and the one that can be right or wrong is right."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aneforge

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples" / "python"
# One answer on every machine, so the words are the same on each.
PRINTED = {"digits.py": "accuracy on 382 unseen images: 98.17 % (7 wrong)\n",
           "hello.py": "<aneforge.Model 10 ops, "}


def test_every_example_is_named():
    assert sorted(p.name for p in EXAMPLES.glob("*.py")) == sorted(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_example(name):
    folder = Path(aneforge.__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-B", EXAMPLES / name], text=True, capture_output=True,
                          check=False, env={**os.environ, "PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    assert PRINTED[name] in done.stdout
