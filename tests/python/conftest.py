"""The module under test is the one of --module, or built beside the command of --aneforge.
Formulas in float64 and their bounds are those of tests/oracle."""
import sys
from pathlib import Path


def pytest_pycollect_makemodule(module_path, parent):
    option = parent.config.getoption
    built = Path(option("--aneforge")).resolve().parent / "python"
    folders = [str(Path(option("--module") or built).resolve()),
               str(Path(__file__).resolve().parent.parent / "oracle")]
    for folder in folders:
        if folder not in sys.path:
            sys.path.insert(0, folder)
